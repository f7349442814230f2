//! The addresses of the hosts of services that are no upstreams. A name is asked for when a connection is opened to it: once for all that are
//! opened meanwhile, and again when the TTL is over. While there is no answer, the last one counts.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::watch, time::timeout};

use super::names::{Names, NoAnswer};

/// Most names that are known at a time. When there are more, those whose TTL is over are forgotten, and others are not remembered.
const NAMES_MAX: usize = 10_000;
/// How long a connection waits for a new answer where there is an old one.
const NEWS_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the last answer counts on after a query without an answer.
const BRIDGE: Duration = Duration::from_secs(2);

/// Knows the addresses of hosts. Cheap to clone; clones share what is known.
#[derive(Clone)]
pub struct Hosts(Arc<Shared>);

struct Shared {
    names: Names,
    /// Where names are asked for: threads that serve requests end earlier.
    runtime: Handle,
    known: Mutex<HashMap<Box<str>, Arc<Host>>>,
}

#[derive(Default)]
struct Host {
    state: Mutex<State>,
    /// Which of its addresses comes first.
    turn: AtomicUsize,
}

#[derive(Default)]
struct State {
    last: Option<Answer>,
    /// Where the answer comes while somebody asks.
    asking: Option<watch::Receiver<Option<Told>>>,
}

#[derive(Clone)]
struct Answer {
    ips: Arc<[IpAddr]>,
    until: Instant,
}

type Told = Result<Answer, NoAnswer>;

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").finish_non_exhaustive()
    }
}

impl Hosts {
    /// Nothing is known yet. Names are asked for by `names`, on the present runtime.
    pub fn new(names: Names) -> Self {
        Self(Arc::new(Shared { names, runtime: Handle::current(), known: Mutex::default() }))
    }

    /// The addresses of `name`: those of IPv4 first, each in its turn at the front. None if there are none.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        let host = self.host(name);
        let (last, mut asking) = {
            let mut state = host.state();
            if let Some(answer) = state.last.as_ref().filter(|answer| answer.until > Instant::now()) {
                return Ok(host.in_turn(&answer.ips));
            }
            // It is closed if whoever asked has ended without an answer.
            let asking = state.asking.clone().filter(|asking| asking.has_changed().is_ok());
            (state.last.clone(), asking.unwrap_or_else(|| self.ask(name, &host, &mut state)))
        };
        let told = async {
            let told = asking.wait_for(Option::is_some).await.ok()?;
            told.clone()
        };
        let answer = match last {
            None => told.await.unwrap_or(Err(NoAnswer::Ended))?,
            Some(last) => {
                timeout(NEWS_TIMEOUT, told).await.ok().flatten().and_then(Result::ok).unwrap_or(last)
            }
        };
        Ok(host.in_turn(&answer.ips))
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = known.get(name) {
            return host.clone();
        }
        if known.len() >= NAMES_MAX {
            let now = Instant::now();
            known.retain(|_, host| host.state().last.as_ref().is_some_and(|answer| answer.until > now));
        }
        let host = Arc::<Host>::default();
        if known.len() < NAMES_MAX {
            known.insert(name.into(), host.clone());
        }
        host
    }

    /// Begins to ask for `name`.
    fn ask(&self, name: &str, host: &Arc<Host>, state: &mut State) -> watch::Receiver<Option<Told>> {
        let (tell, asking) = watch::channel(None);
        state.asking = Some(asking.clone());
        let (names, name, host) = (self.0.names.clone(), name.to_owned(), host.clone());
        self.0.runtime.spawn(async move {
            let answer = names.ask_host(&name).await.map(|answer| Answer {
                ips: answer.records.iter().map(|record| record.ip).collect(),
                until: answer.until,
            });
            host.told(&name, &answer);
            tell.send_replace(Some(answer));
        });
        asking
    }
}

impl Host {
    /// Nobody asks any more. An answer counts until its TTL is over; without one, the last answer does for a while.
    fn told(&self, name: &str, told: &Told) {
        let mut state = self.state();
        state.asking = None;
        match (told, &mut state.last) {
            (Ok(answer), last) => *last = Some(answer.clone()),
            (Err(error), Some(last)) => {
                last.until = Instant::now() + BRIDGE;
                tracing::debug!(name, %error, "the name of a host cannot be resolved: its last addresses are used");
            }
            (Err(error), None) => tracing::debug!(name, %error, "the name of a host cannot be resolved"),
        }
    }

    fn in_turn(&self, ips: &[IpAddr]) -> Vec<IpAddr> {
        let (mut ips, turn) = (ips.to_vec(), self.turn.fetch_add(1, Relaxed));
        let of_ipv4 = ips.partition_point(IpAddr::is_ipv4);
        let (four, six) = ips.split_at_mut(of_ipv4);
        for kind in [four, six] {
            kind.rotate_left(turn.checked_rem(kind.len()).unwrap_or_default());
        }
        ips
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole after each change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
