//! Checks the endpoints of a group actively, for as long as the group is held. Each is checked at its own times: a slow one delays no other.

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use balancer::{Observed, Source};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::watch, time::sleep_until};

use super::{checks::Checks, definition::Target, group::Group, probe::Prober, spread::Spread};

/// The time between two looks at which checks are due, at least: with thousands of endpoints a look takes a while.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// An endpoint, whatever its place in a spread is.
type Key = (Arc<Target>, SocketAddr);

/// The checks of one endpoint.
#[derive(Default)]
struct Checked {
    /// When the last one began; `None`: there was none.
    began: Option<Instant>,
    is_running: bool,
}

/// Checks the endpoints of `group`, once there is a prober.
pub async fn check(mut prober: watch::Receiver<Option<Arc<Prober>>>, group: Arc<Group>) {
    let Some(prober) = prober.wait_for(Option::is_some).await.ok().and_then(|prober| prober.clone()) else {
        return;
    };
    let (mut changes, mut checked, mut running) =
        (group.changes(), HashMap::<Key, Checked>::new(), FuturesUnordered::new());
    loop {
        changes.mark_unchanged();
        let (spread, next_look) = (group.spread(), Instant::now() + LOOK_PAUSE);
        let (begun, wake) = match &spread.definition.checks {
            Some(checks) => begin(&spread, checks, &mut checked, running.len()),
            None => (Vec::new(), None),
        };
        running.extend(begun.into_iter().map(|(index, key)| {
            let (prober, spread) = (prober.clone(), spread.clone());
            async move {
                let observed = probe(&prober, &spread, index).await;
                (spread, index, key, observed)
            }
        }));
        let mut wake = wake.map(|wake| wake.max(next_look));
        loop {
            let woken = async {
                match wake {
                    Some(at) => sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = woken => break,
                Some((spread, index, key, observed)) = running.next() => {
                    if let Some(checked) = checked.get_mut(&key) {
                        checked.is_running = false;
                    }
                    if let Some(observed) = observed {
                        group.observe(&spread, index, Source::Active, observed);
                    }
                }
                // The group is held as long as this runs.
                _ = changes.changed() => {}
            }
            wake = Some(next_look);
        }
    }
}

/// The endpoints of which a check begins now, and when the next one is due. `running`: how many checks run.
fn begin(
    spread: &Spread,
    checks: &Checks,
    checked: &mut HashMap<Key, Checked>,
    running: usize,
) -> (Vec<(usize, Key)>, Option<Instant>) {
    let (now, mut free) = (Instant::now(), checks.concurrency.saturating_sub(running));
    let (mut begun, mut wake, mut held) = (Vec::new(), None::<Instant>, HashSet::new());
    for (index, (place, member)) in spread.places().enumerate() {
        let key = (place.target.clone(), place.address);
        held.insert(key.clone());
        let Some(interval) = checks.interval(member.endpoint.health().is_up()) else { continue };
        let checked = checked.entry(key.clone()).or_default();
        if checked.is_running {
            continue;
        }
        let due = checked.began.map_or(now, |began| began + interval);
        if due > now {
            wake = Some(wake.map_or(due, |wake| wake.min(due)));
        } else if free > 0 {
            free -= 1;
            *checked = Checked { began: Some(now), is_running: true };
            begun.push((index, key));
        }
    }
    checked.retain(|key, _| held.contains(key));
    (begun, wake)
}

async fn probe(prober: &Prober, spread: &Spread, index: usize) -> Option<Observed> {
    let place = spread.place(index)?;
    let checks = spread.definition.checks.as_ref()?;
    Some(prober.check(checks, &spread.definition, place).await)
}
