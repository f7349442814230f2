//! The endpoints of one upstream at run time: what its names resolve to, which of them are up, and which one gets a request.
//!
//! A group is shared by all threads and kept for as long as its upstream is: a change of the upstream, of its targets or of their addresses
//! makes the next [`Spread`], in which the endpoints that stay keep their requests in flight, latency and health. A request holds the spread
//! that it began with.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use balancer::{Balancer, Draw, Endpoint, InFlight, Member, Observed, Policy, RetryBudget, Shift, Source};
use clock::Stopwatch;
use http::{HeaderValue, StatusCode, uri::Authority};
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    definition::{ByHand, Definition, HashBy, Host, Target},
    names::Answer,
};
use crate::view::{Destination, Versions};

/// What the names of targets resolved to last.
pub type Answers = BTreeMap<String, Arc<Answer>>;

/// The endpoints of an upstream.
pub struct Group {
    /// Id of the upstream.
    pub id: Uuid,
    spread: ArcSwap<Spread>,
    /// Bounds how many of its requests are repeated.
    pub budget: RetryBudget,
    time: Stopwatch,
    /// Held while the next spread is made.
    answers: Mutex<Answers>,
    /// Tells the group's tasks that the definition, the addresses or the health has changed.
    changed: watch::Sender<()>,
    /// Tells whoever wants to know of all groups the same.
    news: watch::Sender<()>,
    /// How many definitions there were, and the last one whose names were all asked for.
    generation: AtomicU64,
    resolved: watch::Sender<u64>,
}

/// How requests are spread now.
pub struct Spread {
    /// The upstream as it is defined.
    pub definition: Arc<Definition>,
    balancer: Balancer,
    /// Beside the balancer's members.
    places: Vec<Arc<Place>>,
}

/// An address of a target.
#[derive(Debug)]
pub struct Place {
    /// The target.
    pub target: Arc<Target>,
    /// The name in the SRV record that led to it.
    pub srv_name: Option<String>,
    /// The address.
    pub address: SocketAddr,
    /// The address, spoken to in plain.
    pub destination: Destination,
    /// The name that TLS asks for, where nothing else is asked for; `None` if no certificate can be for it.
    pub name: Option<ServerName<'static>>,
    /// The `Host` header for it, where nothing else is asked for: by plain HTTP and by TLS.
    hosts: [HeaderValue; 2],
}

/// An endpoint that a request is sent to. The request counts as in flight until `in_flight` is dropped.
#[derive(Debug)]
pub struct Picked {
    /// Its place in the spread.
    pub index: usize,
    /// When it was picked.
    pub at: Duration,
    /// Whether it is down, and the request tries it.
    pub is_trial: bool,
    /// Counts the request.
    pub in_flight: InFlight,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Group {
    /// A group whose names were not resolved yet.
    pub fn new(definition: Arc<Definition>, time: Stopwatch, news: watch::Sender<()>) -> Self {
        let (id, now) = (definition.id, time.elapsed());
        let spread = Spread::new(definition, &Answers::new(), None, now);
        Self {
            id,
            spread: ArcSwap::from_pointee(spread),
            budget: RetryBudget::default(),
            time,
            answers: Mutex::default(),
            changed: watch::channel(()).0,
            news,
            generation: AtomicU64::new(1),
            resolved: watch::channel(0).0,
        }
    }

    /// How requests are spread now.
    pub fn spread(&self) -> Arc<Spread> {
        self.spread.load_full()
    }

    /// The time, as balancers count it.
    pub fn now(&self) -> Duration {
        self.time.elapsed()
    }

    /// Goes on with another definition. Returns whether that brings names which were not asked for yet.
    pub fn define(&self, definition: Arc<Definition>) -> bool {
        let answers = self.answers();
        let before = self.spread.load().definition.clone();
        let brings_names = definition.names().any(|name| before.names().all(|held| held != name));
        self.replace(definition, &answers);
        drop(answers);
        self.generation.fetch_add(1, Release);
        self.tell();
        brings_names
    }

    /// How many definitions there were.
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// All names of the definition with this number were asked for.
    pub fn note_resolved(&self, generation: u64) {
        self.resolved.send_replace(generation);
    }

    /// Waits until all names of its definition were asked for once.
    pub async fn resolved_once(&self) {
        let generation = self.generation();
        // It cannot fail: the sender is the group's own.
        let _ = self.resolved.subscribe().wait_for(|resolved| *resolved >= generation).await;
    }

    /// Goes on with what `name` resolved to. `is_same`: nothing but the time until which it counts has changed.
    pub fn resolved(&self, name: &str, answer: Arc<Answer>, is_same: bool) {
        let mut answers = self.answers();
        answers.insert(name.to_owned(), answer);
        if is_same {
            return;
        }
        let definition = self.spread.load().definition.clone();
        answers.retain(|name, _| definition.names().any(|other| other == name));
        self.replace(definition, &answers);
    }

    /// What `name` resolved to last.
    pub fn answer(&self, name: &str) -> Option<Arc<Answer>> {
        self.answers().get(name).cloned()
    }

    /// Sees each change of the definition, the addresses and the health.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// An endpoint for a request which has the hash `key`; not one of those in `tried`.
    pub fn pick(
        &self,
        spread: &Spread,
        key: Option<u64>,
        tried: &[usize],
        random: &dyn Fn() -> u64,
    ) -> Option<Picked> {
        let now = self.now();
        let picked = spread.balancer.pick(&Draw { now, key, tried, random })?;
        let endpoint = spread.endpoint(picked.member)?;
        Some(Picked { index: picked.member, at: now, is_trial: picked.is_trial, in_flight: endpoint.begin() })
    }

    /// Takes in how an attempt ended: with a status, or why without.
    pub fn attempted(&self, spread: &Spread, picked: &Picked, outcome: Result<StatusCode, Observed>) {
        let settings = spread.balancer.settings();
        let measures = settings.policy == Policy::Latency;
        let counts = picked.is_trial || settings.rules.passive.takes_down();
        if outcome.is_ok() && !measures && !counts {
            return;
        }
        let now = self.now();
        let took = now.saturating_sub(picked.at);
        match (outcome, spread.endpoint(picked.index)) {
            (Ok(_), Some(endpoint)) if measures => endpoint.answered(now, took),
            (Err(_), Some(endpoint)) => endpoint.failed(now, took),
            _ => {}
        }
        if counts {
            let judged = |status| spread.definition.passive.judge(status);
            let observed = outcome.map_or_else(|observed| observed, judged);
            let source = if picked.is_trial { Source::Trial } else { Source::Passive };
            self.observe(spread, picked.index, source, observed);
        }
    }

    /// Takes in what was found of an endpoint.
    pub fn observe(&self, spread: &Spread, index: usize, source: Source, observed: Observed) {
        let Some(endpoint) = spread.endpoint(index) else { return };
        let now = self.now();
        let shift = endpoint.health().observe(source, observed, &spread.balancer.settings().rules, now);
        if let Some(shift) = shift {
            self.shifted(spread, index, shift, now);
        }
    }

    fn shifted(&self, spread: &Spread, index: usize, shift: Shift, now: Duration) {
        if let (Shift::Up, Some(endpoint)) = (shift, spread.endpoint(index)) {
            endpoint.recovered(now);
        }
        spread.balancer.settle();
        self.spread.load().balancer.settle();
        self.tell();
        let (upstream, place) = (spread.definition.name.as_str(), spread.places.get(index));
        let (target, address) = place.map(|place| (place.target.to_string(), place.address)).unzip();
        match shift {
            Shift::Up => tracing::info!(upstream, target, ?address, "a target is up again"),
            Shift::Down => {
                tracing::warn!(upstream, target, ?address, "a target is down: it gets no requests")
            }
        }
    }

    fn replace(&self, definition: Arc<Definition>, answers: &Answers) {
        let (before, now) = (self.spread.load_full(), self.now());
        let next = Spread::new(definition, answers, Some(&before), now);
        for member in next.balancer.members() {
            let _ = member.endpoint.health().adopt(&next.balancer.settings().rules, now);
        }
        self.spread.store(Arc::new(next));
        // Whoever saw an endpoint change meanwhile may have told the spread before.
        self.spread.load().balancer.settle();
        before.balancer.settle();
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_replace(());
        self.news.send_replace(());
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        // It is whole after each change.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spread {
    fn new(definition: Arc<Definition>, answers: &Answers, before: Option<&Spread>, now: Duration) -> Self {
        let held: HashMap<_, _> = before.map(Spread::endpoints).into_iter().flatten().collect();
        // Those that all come together share the requests evenly.
        let is_first = held.is_empty();
        let new = || Arc::new(if is_first { Endpoint::default() } else { Endpoint::coming(now) });
        let (mut places, mut members) = (Vec::new(), Vec::new());
        for target in &definition.targets {
            for found in found(target, answers) {
                let place = Place::new(&definition, target, found.address, found.srv_name);
                let before = held.get(&place.identity());
                let endpoint = before.map_or_else(new, |(endpoint, _)| Arc::clone(endpoint));
                let is_set = before.is_none_or(|(_, by_hand)| *by_hand != target.by_hand);
                if let Some(by_hand) = target.by_hand.filter(|_| is_set)
                    && endpoint.health().set(by_hand.is_up) == Some(Shift::Up)
                {
                    endpoint.recovered(now);
                }
                let key = balancer::hash(format!("{target} {}", place.address).as_bytes());
                members.push(Member { endpoint, key, weight: found.weight, tier: found.tier });
                places.push(Arc::new(place));
            }
        }
        let balancer = Balancer::new(definition.settings, members, before.map(|before| &before.balancer));
        Self { definition, balancer, places }
    }

    /// What is counted of an endpoint.
    pub fn endpoint(&self, index: usize) -> Option<&Arc<Endpoint>> {
        self.balancer.members().get(index).map(|member| &member.endpoint)
    }

    /// Where an endpoint is.
    pub fn place(&self, index: usize) -> Option<&Arc<Place>> {
        self.places.get(index)
    }

    /// Where the endpoints are, and their weights.
    pub fn places(&self) -> impl Iterator<Item = (&Arc<Place>, &Member)> {
        self.places.iter().zip(self.balancer.members())
    }

    /// By what stays of them, with the state that their target was set to.
    fn endpoints(&self) -> impl Iterator<Item = (Identity<'_>, (&Arc<Endpoint>, Option<ByHand>))> {
        self.places().map(|(place, member)| (place.identity(), (&member.endpoint, place.target.by_hand)))
    }
}

/// What stays the same of an endpoint when its upstream changes.
type Identity<'a> = (&'a Host, u16, SocketAddr);

/// An address that a target has.
struct Found {
    address: SocketAddr,
    weight: u32,
    tier: u16,
    srv_name: Option<String>,
}

fn found(target: &Target, answers: &Answers) -> Vec<Found> {
    let at = |ip: IpAddr, port: Option<u16>| SocketAddr::new(ip, port.unwrap_or(target.port));
    let name = match &target.host {
        Host::Address(ip) => {
            let weight = u32::from(target.weight);
            return vec![Found { address: at(*ip, None), weight, tier: 0, srv_name: None }];
        }
        Host::Name(name) => name,
    };
    let records = answers.get(name).map(|answer| answer.records.as_slice()).unwrap_or_default();
    let record = |record: &super::names::Record| Found {
        address: at(record.ip, record.port),
        // A target that should get nothing gets nothing, whatever its records say.
        weight: if target.weight == 0 { 0 } else { record.weight.unwrap_or(target.weight).into() },
        tier: record.tier,
        srv_name: record.srv_name.clone(),
    };
    records.iter().map(record).collect()
}

impl Place {
    fn new(
        definition: &Definition,
        target: &Arc<Target>,
        address: SocketAddr,
        srv_name: Option<String>,
    ) -> Self {
        let srv_name = srv_name.filter(|_| definition.use_srv_name);
        let named = match (&srv_name, &target.host) {
            (Some(name), _) | (None, Host::Name(name)) => name.clone(),
            (None, Host::Address(IpAddr::V4(ip))) => ip.to_string(),
            (None, Host::Address(IpAddr::V6(ip))) => format!("[{ip}]"),
        };
        let port = if srv_name.is_some() { address.port() } else { target.port };
        let hosts = [80, 443].map(|default_port| {
            if let Some(host) = &definition.host_header {
                return host.clone();
            }
            let host = if port == default_port { named.clone() } else { format!("{named}:{port}") };
            // The model lets only names and addresses pass.
            HeaderValue::try_from(host).unwrap_or_else(|_| HeaderValue::from_static(""))
        });
        let authority = Authority::try_from(address.to_string()).expect("an address is an authority");
        let name = Authority::try_from(hosts[0].as_bytes()).ok();
        let name =
            name.and_then(|name| ServerName::try_from(name.host().trim_matches(['[', ']']).to_owned()).ok());
        Self {
            target: target.clone(),
            srv_name,
            address,
            destination: Destination::new(authority, None, Versions::Http1),
            name,
            hosts,
        }
    }

    /// The `Host` header for it, unless the client's is preserved.
    pub fn host(&self, over_tls: bool) -> &HeaderValue {
        let [plain, secured] = &self.hosts;
        if over_tls { secured } else { plain }
    }

    fn identity(&self) -> Identity<'_> {
        (&self.target.host, self.target.port, self.address)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl Definition {
    /// The groups of paths that requests are hashed by.
    pub fn captures(&self) -> impl Iterator<Item = &str> + Clone {
        self.hash_by.iter().filter_map(|by| match by {
            HashBy::UriCapture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The names that have to be resolved.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().filter_map(|target| match &target.host {
            Host::Name(name) => Some(name.as_str()),
            Host::Address(_) => None,
        })
    }
}
