//! Upstreams with targets: at run time, beside the view.
//!
//! The view gives the definition of each upstream ([`Definition`]), and is pure. A [`Group`] is what becomes of it: its names are resolved
//! (`names`), its targets are checked (`checking`), and requests are spread over what is up (`libs/balancer`). There is one group for each upstream,
//! shared by all threads and kept when the configuration changes.
//!
//! The applier lets the groups follow a view before requests see it ([`Groups::follow`]), and drops those that are gone afterwards
//! ([`Groups::retire`]). A request finds its group by a pointer in the view that it holds: it takes no lock, and its group stays for as long
//! as it needs it.
//!
//! The hosts of services that are no upstreams have no group: their names are asked for by whoever opens a connection ([`Hosts`]).
//!
//! Knows no request and no connection: the proxy reports how attempts end. Its tasks run on threads that serve no requests.

mod checking;
mod checks;
mod counted;
mod definition;
mod group;
mod hosts;
mod names;
mod probe;
mod resolving;
mod shown;
mod spread;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use clock::Stopwatch;
use imbl::HashMap;
use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use self::counted::Published;
pub use self::{
    definition::{ByHand, Definition, FindTls, HashBy, Host, Statuses, Target, Unusable},
    group::{Group, Picked},
    hosts::Hosts,
    names::{Names, NoAnswer},
    probe::Prober,
    shown::{ShownEndpoint, ShownTarget, ShownUpstream, State},
    spread::{Place, Spread},
};

/// How long a change of the configuration waits for the addresses of names that it brings.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// An upstream in a view.
#[derive(Debug)]
pub struct Balanced {
    /// The upstream as it is defined.
    pub definition: Arc<Definition>,
    group: OnceLock<Arc<Group>>,
}

impl Balanced {
    /// An upstream whose group does not follow yet.
    pub fn new(definition: Definition) -> Self {
        Self { definition: Arc::new(definition), group: OnceLock::new() }
    }

    /// Its group; `None` before the groups follow the view.
    pub fn group(&self) -> Option<&Arc<Group>> {
        self.group.get()
    }
}

/// The upstreams of a view, by id. Persistent.
pub type Upstreams = HashMap<Uuid, Arc<Balanced>>;

/// The groups of a gateway. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Groups(Arc<Shared>);

struct Shared {
    names: Names,
    /// Who checks targets; `None`: nobody yet.
    prober: watch::Sender<Option<Arc<Prober>>>,
    published: Published,
    /// Tells that the addresses or the health of some target have changed.
    news: watch::Sender<()>,
    /// The time, as all groups count it.
    time: Stopwatch,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    groups: BTreeMap<Uuid, Running>,
    /// What is followed.
    upstreams: Upstreams,
    /// What was served when groups were dropped last.
    retired: Upstreams,
}

struct Running {
    group: Arc<Group>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Default for Groups {
    /// Names are resolved by the system's name servers.
    fn default() -> Self {
        Self::new(Names::new(&[]))
    }
}

impl Groups {
    /// No groups yet. Names are resolved by `names`.
    pub fn new(names: Names) -> Self {
        Self::timed_by(Stopwatch::start(), names)
    }

    /// The same, where pauses of targets that are down pass by another time.
    pub fn timed_by(time: Stopwatch, names: Names) -> Self {
        Self(Arc::new(Shared {
            names,
            prober: watch::channel(None).0,
            published: Published::default(),
            news: watch::channel(()).0,
            time,
            held: Mutex::default(),
        }))
    }

    /// Has targets checked by `prober` from now on.
    pub fn check_by(&self, prober: Arc<Prober>) {
        self.0.prober.send_replace(Some(prober));
    }

    /// Follows the upstreams of a view that requests are about to see. Waits a little for the addresses of new names.
    pub async fn follow(&self, upstreams: &Upstreams) {
        let mut unresolved = Vec::new();
        {
            let mut held = self.held();
            if held.upstreams.ptr_eq(upstreams) {
                return;
            }
            for balanced in upstreams.values().filter(|balanced| balanced.group.get().is_none()) {
                let (group, brings_names) = self.group(&mut held, &balanced.definition);
                if brings_names {
                    unresolved.push(group.clone());
                }
                // Views are followed one after the other: nobody else has set it.
                let _ = balanced.group.set(group);
            }
            held.upstreams = upstreams.clone();
        }
        let resolved = async {
            for group in unresolved {
                group.resolved_once().await;
            }
        };
        // They are resolved all the same, later.
        let _ = timeout(FIRST_ANSWER_TIMEOUT, resolved).await;
    }

    /// Drops the groups of upstreams that the view which is served does not have. Requests under way keep theirs.
    pub fn retire(&self, upstreams: &Upstreams) {
        {
            let mut held = self.held();
            // Most changes are of something else, and there may be very many groups.
            if held.retired.ptr_eq(upstreams) {
                return;
            }
            held.groups.retain(|id, _| upstreams.contains_key(id));
            held.retired = upstreams.clone();
        }
        self.0.news.send_replace(());
    }

    /// Sees when the addresses or the health of some target have changed.
    pub fn news(&self) -> watch::Receiver<()> {
        self.0.news.subscribe()
    }

    /// All groups.
    pub fn all(&self) -> Vec<Arc<Group>> {
        self.held().groups.values().map(|running| running.group.clone()).collect()
    }

    /// The group for a definition, and whether it has names that were not asked for yet.
    fn group(&self, held: &mut Held, definition: &Arc<Definition>) -> (Arc<Group>, bool) {
        if let Some(running) = held.groups.get(&definition.id) {
            return (running.group.clone(), running.group.define(definition.clone()));
        }
        let group = Arc::new(Group::new(definition.clone(), self.0.time.clone(), self.0.news.clone()));
        let resolving = tokio::spawn(resolving::resolve(self.0.names.clone(), group.clone()));
        let checking = tokio::spawn(checking::check(self.0.prober.subscribe(), group.clone()));
        let running =
            Running { group: group.clone(), _tasks: [resolving, checking].map(AbortOnDropHandle::new) };
        held.groups.insert(definition.id, running);
        (group, definition.names().next().is_some())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // It is whole after each change.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
