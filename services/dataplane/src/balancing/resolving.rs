//! Keeps the addresses of a group's names up to date, for as long as the group is held.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream::FuturesUnordered};

use super::{group::Group, names::Names};

/// How many names of one group are asked for at a time; and how many of them may be names for which there was no answer last.
const CONCURRENCY_MAX: usize = 64;
const FAILING_MAX: usize = 32;
/// How long a name rests for which there was no answer, at first and at most.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// When a name is asked for next, and how often in turn there was no answer.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    failures: u32,
    /// Whether somebody asks now.
    is_asked: bool,
    /// Whether somebody has asked.
    is_known: bool,
}

/// Asks for each name of `group` when its answer is over, and for new ones at once. Names for which nobody answers delay no others.
pub async fn resolve(names: Names, group: Arc<Group>) {
    let (mut changes, mut due) = (group.changes(), BTreeMap::<String, Due>::new());
    let mut asking = FuturesUnordered::new();
    loop {
        changes.mark_unchanged();
        let generation = group.generation();
        let held: BTreeSet<String> = group.spread().definition.names().map(str::to_owned).collect();
        due.retain(|name, _| held.contains(name));
        let now = Instant::now();
        for name in held {
            let new = Due { at: now, failures: 0, is_asked: false, is_known: false };
            due.entry(name).or_insert(new);
        }
        if due.values().all(|due| due.is_known) {
            group.note_resolved(generation);
        }
        let mut waiting: Vec<(&String, &mut Due)> = due.iter_mut().filter(|(_, due)| !due.is_asked).collect();
        waiting.sort_by_key(|(_, due)| (due.failures > 0, due.at));
        let mut wake = None::<Instant>;
        for (name, due) in waiting {
            if due.at > now {
                wake = Some(wake.map_or(due.at, |wake| wake.min(due.at)));
                continue;
            }
            if asking.len() >= if due.failures > 0 { FAILING_MAX } else { CONCURRENCY_MAX } {
                continue;
            }
            due.is_asked = true;
            let (name, failures, names, group) = (name.clone(), due.failures, &names, &group);
            asking.push(async move {
                let due = ask(names, group, &name, failures).await;
                (name, due)
            });
        }
        let woken = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((name, told)) = asking.next() => {
                due.insert(name, told);
            }
            () = woken => {}
            // The group is held as long as this runs.
            _ = changes.changed() => {}
        }
    }
}

async fn ask(names: &Names, group: &Group, name: &str, failures: u32) -> Due {
    let before = group.answer(name);
    match names.ask(name, before.as_deref()).await {
        Ok(answer) => {
            if failures > 0 {
                tracing::info!(name, "the name of a target is resolved again");
            }
            let at = answer.until;
            let is_same = before.is_some_and(|before| before.records == answer.records);
            if !is_same {
                tracing::debug!(
                    name,
                    addresses = answer.records.len(),
                    "the name of a target has other addresses"
                );
                if answer.records.is_empty() {
                    tracing::warn!(name, "the name of a target has no address");
                }
            }
            group.resolved(name, Arc::new(answer), is_same);
            Due { at, failures: 0, is_asked: false, is_known: true }
        }
        Err(error) => {
            if failures == 0 {
                let keeps = before.is_some_and(|before| !before.records.is_empty());
                tracing::warn!(name, %error, keeps, "the name of a target cannot be resolved: its last addresses are used");
            }
            let pause = RETRY_MIN.saturating_mul(1 << failures.min(16)).min(RETRY_MAX);
            let (at, failures) = (Instant::now() + pause, failures.saturating_add(1));
            Due { at, failures, is_asked: false, is_known: true }
        }
    }
}
