//! One deployment: the database, two replicas of config, several gateways, the network between them, and time. Everything here is what can
//! be done to it; what is done, and when, is drawn by the schedule.

mod checking;
mod settling;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use self::settling::drive;
use crate::{
    checker::{Asked, Memory},
    network::{Network, Way},
    node::{Node, Process},
    plane::{self, Head, History, Model, Name},
    replica::{Answer, Replica, Site},
    writes::{Write, Writes},
};
use axum::http::Method;
use clock::Clock;
use dataplane::store::Store;
use ids::ControlPlaneId;
use random::Random;
use serde_json::json;
use sqlx::PgPool;
use test_database::Database;

pub const REPLICAS: usize = 2;
/// Lines of what was done last.
const TRACE_MAX: usize = 80;

/// The store of each gateway that runs.
pub type Stores = Arc<Mutex<Vec<Option<Store>>>>;

/// What is wrong with gateways, for tests of the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A new process does not deny what the one before denied.
    ForgetsDenied,
    /// A new process finds an old store.
    OldDisk,
}

pub struct World {
    pub fault: Option<Fault>,
    pub stores: Stores,
    site: Site,
    database: Database,
    /// Of the simulation itself.
    db: PgPool,
    control_plane: ControlPlaneId,
    pub replicas: [Option<Replica>; REPLICAS],
    clocks: [Clock; REPLICAS],
    pub nodes: Vec<Node>,
    pub network: Network,
    pub writes: Writes,
    /// What was acknowledged.
    pub model: Model,
    pub asked: Asked,
    history: History,
    memories: Vec<Memory>,
    /// The control plane's, as of the last check.
    incarnation: u64,
    /// Writes that may have been done: the answer did not say.
    uncertain: Vec<Write>,
    /// What goes by itself: keys that end, and what was revoked by a delete that has not been answered.
    passing: HashSet<Name>,
    /// Versions that answers have named.
    acknowledged: Vec<Head>,
    backup: Option<(Database, Model)>,
    ahead: Duration,
    seed: u64,
    started: u64,
    trace: VecDeque<String>,
}

impl World {
    pub async fn new(seed: u64, gateways: usize) -> Self {
        let site = Site::new();
        let database = test_database::create(&config::MIGRATIONS).await;
        let db = database.pool();
        plane::record(&db).await;
        let now = Clock::system().now();
        let clocks = [Clock::manual(now), Clock::manual(now)];
        let replica = |number: usize| {
            Replica::start(&site, &database, clocks[number].clone(), seed.wrapping_add(number as u64))
        };
        let replicas = [Some(replica(0)), Some(replica(1))];
        let first = replicas[0].as_ref().expect("runs");
        let made = first.call(Method::POST, "/v2/control-planes", &json!({ "name": "simulated" })).await;
        let control_plane = made.body["id"].as_str().and_then(|id| id.parse().ok()).expect("a control plane");
        let mut nodes = Vec::new();
        for number in 0..gateways {
            let (clock, random) = (Clock::manual(now), Random::seeded(seed ^ (1 + number as u64)));
            nodes.push(Node::enrol(number, first, (&site.region, control_plane), clock, random).await);
        }
        let mut world = Self {
            fault: None,
            stores: Arc::new(Mutex::new(vec![None; gateways])),
            db,
            control_plane,
            clocks,
            replicas,
            nodes,
            network: Network::default(),
            writes: Writes::new(),
            model: Model::new(),
            asked: Asked::default(),
            history: History::default(),
            memories: (0..gateways).map(|_| Memory::default()).collect(),
            incarnation: 0,
            uncertain: Vec::new(),
            passing: HashSet::new(),
            acknowledged: Vec::new(),
            backup: None,
            ahead: Duration::ZERO,
            seed,
            started: REPLICAS as u64,
            trace: VecDeque::new(),
            site,
            database,
        };
        for number in 0..REPLICAS {
            let streams = world.replicas[number].as_ref().map(|replica| replica.streams.clone());
            world.network.serve(number, streams);
        }
        for number in 0..gateways {
            world.start_node(number, false).await;
        }
        world
    }

    /// Notes what is done, for who has to understand a failure.
    pub fn note(&mut self, what: String) {
        if self.trace.len() == TRACE_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(what);
    }

    pub fn trace(&self) -> String {
        self.trace.iter().map(|line| format!("  {line}\n")).collect()
    }

    // --- writes ---------------------------------------------------------------------------------------------------------

    /// Sends a write to a replica, if it runs.
    pub async fn write(&mut self, replica: usize, write: Write) {
        let path = self.path(&write);
        let Some(replica) = &self.replicas[replica] else { return };
        let called = drive(replica.call(write.method.clone(), &path, &write.body)).await;
        self.answered(write, &called);
    }

    /// Sends two writes at the same time, each to a replica, if both run.
    pub async fn write_both(&mut self, one: Write, other: Write) {
        let (path, other_path) = (self.path(&one), self.path(&other));
        let [Some(first), Some(second)] = &self.replicas else { return };
        let calls = futures::future::join(
            first.call(one.method.clone(), &path, &one.body),
            second.call(other.method.clone(), &other_path, &other.body),
        );
        let (first, second) = drive(calls).await;
        self.answered(one, &first);
        self.answered(other, &second);
    }

    /// Postgres is restarted while a write is under way.
    pub async fn write_in_a_restart(&mut self, replica: usize, write: Write) {
        let path = self.path(&write);
        let Some(replica) = &self.replicas[replica] else { return };
        let call = replica.call(write.method.clone(), &path, &write.body);
        let (called, ()) = drive(futures::future::join(call, self.database.restart())).await;
        self.answered(write, &called);
    }

    fn path(&self, write: &Write) -> String {
        format!("/v2/control-planes/{}/{}", self.control_plane, write.path)
    }

    fn answered(&mut self, write: Write, answer: &Answer) {
        let status = answer.status;
        self.note(format!("  {} {} {}: {status} {:?}", write.method, write.path, write.body, answer.place));
        if status.is_success() {
            write.apply(&mut self.model);
            self.passing.extend(write.effects.iter().filter(|_| write.ends).map(|(name, _)| name.clone()));
            let place = answer.place.map(|place| (place.incarnation, place.version));
            self.acknowledged.extend(place);
        } else if status.is_server_error() || status.as_u16() == 429 {
            if write.method == Method::DELETE {
                self.passing.extend(write.effects.iter().map(|(name, _)| name.clone()));
            }
            self.uncertain.push(write);
        } else {
            // Refused for a reason that the simulation does not follow, such as a reference that is not there any more.
            assert!(status.is_client_error(), "{status} {}", answer.body);
        }
    }

    // --- replicas and the database --------------------------------------------------------------------------------------

    /// A replica ends, and nobody listens in its place.
    pub async fn end_replica(&mut self, number: usize, killed: bool) {
        self.network.serve(number, None);
        let Some(replica) = self.replicas[number].take() else { return };
        if killed {
            self.network.cut_all(|_, replica| replica == number);
            drive(replica.kill()).await;
        } else {
            drive(replica.stop()).await;
        }
    }

    pub fn start_replica(&mut self, number: usize) {
        if self.replicas[number].is_some() {
            return;
        }
        self.started += 1;
        let seed = self.seed.wrapping_add(self.started);
        let replica = Replica::start(&self.site, &self.database, self.clocks[number].clone(), seed);
        self.network.serve(number, Some(replica.streams.clone()));
        self.replicas[number] = Some(replica);
    }

    /// A replica learns that another one has committed; or it is told so and there is nothing new.
    pub async fn hint(&self, replica: usize) {
        if let Some(replica) = &self.replicas[replica] {
            drive(replica.hint(self.control_plane)).await;
        }
    }

    pub async fn restart_database(&self) {
        drive(self.database.restart()).await;
    }

    pub async fn back_up(&mut self) {
        let copy = drive(self.database.copy()).await;
        self.backup = Some((copy, self.model.clone()));
    }

    /// The database is put back to the last backup; as a copy of its files if `untold`: then Postgres does not tell.
    pub async fn restore(&mut self, untold: bool) {
        let Some((copy, model)) = &self.backup else { return };
        self.model = model.clone();
        drive(self.database.restore(copy)).await;
        self.history.forget_place();
        self.network.forget_applied();
        for (node, memory) in self.nodes.iter().zip(&mut self.memories) {
            let held = node.process.as_ref().map(Process::held).unwrap_or_default();
            memory.put_back(|id| held.iter().any(|entity| entity.id == id));
        }
        self.uncertain.clear();
        if untold {
            let forget = sqlx::query("UPDATE regional.history SET identity = NULL").execute(&self.db);
            forget.await.expect("forgotten");
        }
        // No two histories begin within the same minute.
        self.ahead += Duration::from_secs(61);
        plane::set_clock(&self.db, self.ahead).await;
    }

    /// What replicas do now and then: deletes are completed, what has ended is deleted, what is old is forgotten.
    pub async fn sweep(&self, replica: usize) {
        let Some(replica) = &self.replicas[replica] else { return };
        let sweeps = async {
            // The next sweep does what this one could not.
            let _ = replica.service.sweep_revocations().await;
            let _ = replica.service.sweep_expired().await;
            let _ = replica.service.sweep_nodes().await;
        };
        drive(sweeps).await;
    }

    // --- gateways -------------------------------------------------------------------------------------------------------

    pub async fn start_node(&mut self, number: usize, little_room: bool) {
        let network = self.network.clone();
        if self.nodes[number].process.is_some() {
            return;
        }
        drive(self.nodes[number].start(&network, little_room)).await;
        let process = self.nodes[number].process.as_ref();
        self.keep_store(number, process.map(|process| process.applier.store().clone()));
    }

    fn keep_store(&self, number: usize, store: Option<Store>) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)[number] = store;
    }

    pub fn kill_node(&mut self, number: usize) {
        if self.nodes[number].process.is_none() {
            return;
        }
        self.keep_store(number, None);
        self.nodes[number].kill();
        self.network.cut_all(|node, _| node == number);
        match self.fault {
            Some(Fault::ForgetsDenied) => self.nodes[number].forget_denied(),
            Some(Fault::OldDisk) => self.nodes[number].put_back(),
            None => {}
        }
    }

    /// Tells the control plane that it leaves, and ends.
    pub async fn stop_node(&mut self, number: usize) {
        self.nodes[number].drain();
        self.settle().await;
        self.deliver_all(|node| node == number).await;
        self.kill_node(number);
    }

    /// Something in the store changes, or all of it is lost, while the gateway does not run.
    pub fn harm(&mut self, number: usize, harm: impl FnOnce(&Node)) {
        self.memories[number].forget_store(self.incarnation);
        harm(&self.nodes[number]);
    }

    // --- time and the network -------------------------------------------------------------------------------------------

    /// Time passes, for everybody.
    pub async fn pass(&mut self, time: Duration) {
        self.ahead += time;
        plane::set_clock(&self.db, self.ahead).await;
        let by = time::Duration::try_from(time).expect("short");
        self.clocks
            .iter()
            .chain(self.nodes.iter().map(|node| &node.clock))
            .for_each(|clock| clock.advance(by));
        tokio::time::advance(time).await;
    }

    /// The clock of a node, or behind those of a replica, is set.
    pub fn jump(&mut self, at: usize, by: time::Duration) {
        match self.nodes.get(at) {
            Some(node) => node.clock.advance(by),
            None => self.clocks[at - self.nodes.len()].advance(by),
        }
    }

    /// Delivers everything to and from some nodes, until there is nothing more.
    pub async fn deliver_all(&self, of: impl Fn(usize) -> bool) {
        for _ in 0..1000 {
            let nodes: Vec<(u64, usize, usize)> = self.network.open();
            let of_them = |id: &u64| nodes.iter().any(|(link, node, _)| link == id && of(*node));
            let waiting: Vec<(u64, Way)> =
                self.network.waiting().into_iter().filter(|(id, _)| of_them(id)).collect();
            if waiting.is_empty() {
                return;
            }
            waiting.into_iter().for_each(|(id, way)| self.network.deliver(id, way));
            self.settle().await;
        }
    }
}
