//! A gateway: its store on disk, what applies changes to it, what it serves, and its end of the stream. Requests are not sent to it: the
//! checker asks the view and the store what a request would ask them.

use std::{fs, path::PathBuf, sync::Arc};

use axum::http::{HeaderMap, Method};
use clock::Clock;
use dataplane::{
    applier::Applier,
    balancing::Groups,
    enrol::NodeFiles,
    router,
    seams::Seams,
    settings::SyncMode,
    status::{ControlPlaneStatus, Source, Status},
    store::{Lookup, Owner, Position, Scan, Store, StoreError, StoreOptions},
    stream::{self, StreamOptions},
    view::Live,
};
use gateway_model::Kind;
use heed::{CommitOrAbort, EnvOpenOptions, types::Bytes};
use ids::{ControlPlaneId, NodeId, Region};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use random::Random;
use rcgen::CertificateParams;
use serde_json::json;
use sync::{EntityState, identity::NodeIdentity};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    network::{Network, Wire},
    replica::{ENDPOINT, Replica},
};

/// LMDB's file.
const DATA_FILE: &str = "data.mdb";
/// What a store may be enlarged to, in bytes, and what it has at first.
const ROOM: StoreOptions = StoreOptions { map_bytes: 1 << 24, map_bytes_max: 1 << 28 };
const PAGE_BYTES: usize = 4096;
/// As many tables as a store has.
const TABLES_MAX: u32 = 10;
/// Fields of bodies that damage is done to.
const FIELDS: [&str; 3] = ["\"custom_id\":\"", "\"host\":\"", "\"username\":\""];

/// A gateway's machine: what is there when its process has ended.
pub struct Node {
    pub number: usize,
    pub id: NodeId,
    pub clock: Clock,
    control_plane: ControlPlaneId,
    folder: TempDir,
    files: NodeFiles,
    random: Random,
    /// Counts the processes: each has its store in a folder of its own, which begins as a copy of the one before.
    life: usize,
    pub process: Option<Process>,
}

/// A process of the gateway.
pub struct Process {
    pub applier: Applier,
    drain: CancellationToken,
    following: JoinHandle<()>,
}

impl Node {
    /// Enrolled by the API of `replica`. It does not run yet.
    pub async fn enrol(
        number: usize,
        replica: &Replica,
        (region, control_plane): (&Region, ControlPlaneId),
        clock: Clock,
        random: Random,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let files = NodeFiles::new(folder.path().join("node"));
        let id = NodeId::generate();
        let path = format!("/v2/control-planes/{control_plane}/enrolment-tokens");
        let token = replica.call(Method::POST, &path, &json!({})).await.body;
        let csr = CertificateParams::default().serialize_request(&files.key().expect("a key"));
        let csr = csr.expect("a request").pem().expect("PEM");
        let body = json!({"token": token["token"], "node_id": id, "hostname": "gateway", "csr_pem": csr});
        let enrolled = replica.call(Method::POST, "/v1/nodes/enrol", &body).await.body;
        let text = |field: &str| enrolled[field].as_str().expect("text").to_owned();
        let identity = NodeIdentity { region: region.clone(), control_plane, node: id };
        let endpoints = (0..2).map(|number| format!("{ENDPOINT}{number}")).collect();
        let token: Uuid = token["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        files
            .keep(identity, &text("certificate_pem"), &text("ca_pem"), endpoints, token)
            .expect("a certificate");
        Self { number, id, clock, control_plane, folder, files, random, life: 0, process: None }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join(format!("store-{}", self.life))
    }

    /// Starts a process. Its disk is nearly full if it has `little_room`.
    pub async fn start(&mut self, network: &Network, little_room: bool) {
        let folder = self.store();
        fs::create_dir_all(&folder).expect("a folder");
        let used = fs::metadata(folder.join(DATA_FILE)).map_or(0, |file| file.len() as usize);
        let little = used.next_multiple_of(PAGE_BYTES) + 4 * PAGE_BYTES;
        let options = match little_room && used > 0 {
            true => StoreOptions { map_bytes: little, map_bytes_max: little },
            false => ROOM,
        };
        let store = match Store::open(&folder, options) {
            Ok(store) => store,
            // As when the gateway sets a store aside.
            Err(error) if error.says_unusable() => {
                fs::remove_dir_all(&folder).expect("removed");
                Store::open(&folder, ROOM).expect("a store")
            }
            // What was damaged is set apart, and there is no room for that. The process ends until somebody makes room.
            Err(StoreError::Full(_)) if little_room => return,
            Err(error) => panic!("node {}: {error}", self.number),
        };
        let source = Source::ControlPlane(ControlPlaneStatus::default());
        let status = Status::new(self.id, self.clock.now(), source);
        let seams = Seams { clock: self.clock.clone(), random: self.random.clone() };
        let (status, groups) = (watch::channel(status).0, Groups::default());
        let applier = Applier::start(store, Live::default(), status, groups, seams).await.expect("starts");
        let owner = Owner::ControlPlane(self.control_plane);
        applier.bind(owner, self.files.secrets_key_or_none()).await.expect("bound");
        let drain = CancellationToken::new();
        let dial = Arc::new(Wire { network: network.clone(), node: self.number });
        let (hostname, mode) = ("gateway".to_owned(), SyncMode::default());
        let options = StreamOptions { hostname, files: self.files.clone(), dial, mode };
        let following = tokio::spawn(stream::run(applier.clone(), options, drain.clone()));
        self.process = Some(Process { applier, drain, following });
    }

    /// The process takes its leave.
    pub fn drain(&mut self) {
        if let Some(process) = &self.process {
            process.drain.cancel();
        }
    }

    /// The process ends as by SIGKILL, wherever it is: the next one finds what is on disk now.
    pub fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        let before = self.store();
        self.life += 1;
        fs::create_dir_all(self.store()).expect("a folder");
        fs::copy(before.join(DATA_FILE), self.store().join(DATA_FILE)).expect("a copy");
        process.following.abort();
    }

    /// Between two processes: something of an entity's body in the store changes.
    pub fn damage(&self, rng: &mut StdRng) {
        let file = self.store().join(DATA_FILE);
        let mut data = fs::read(&file).expect("a store");
        let field = FIELDS.choose(rng).expect("some").as_bytes();
        let found: Vec<usize> =
            (0..data.len() - field.len()).filter(|at| data[*at..].starts_with(field)).collect();
        if let Some(at) = found.choose(rng) {
            data[at + field.len()] = b'A' + rng.random_range(0..26);
        }
        fs::write(&file, data).expect("written");
    }

    /// Between two processes: the store is lost.
    pub fn lose(&self) {
        fs::remove_dir_all(self.store()).expect("removed");
    }

    /// Between two processes: the store is put back to the first copy that was made of it.
    pub fn put_back(&self) {
        let copy = self.folder.path().join("copy");
        if !copy.exists() {
            fs::copy(self.store().join(DATA_FILE), &copy).expect("a copy");
        }
        fs::copy(copy, self.store().join(DATA_FILE)).expect("a copy");
    }

    /// Between two processes: what the store denies is forgotten, and not that it was told.
    pub fn forget_denied(&self) {
        let mut open = EnvOpenOptions::new();
        open.map_size(ROOM.map_bytes).max_dbs(TABLES_MAX);
        #[expect(unsafe_code, reason = "no process has the store open")]
        let store = unsafe { open.open(self.store()) }.expect("opens");
        let write = store.write_txn().expect("a transaction");
        let forgotten = store.create_databases_and_commit(write, |opener, write| {
            opener.create_database::<Bytes, Bytes>(write, Some("denied"))?.clear(write)?;
            Ok::<CommitOrAbort<(), ()>, heed::Error>(CommitOrAbort::Commit(()))
        });
        forgotten.expect("forgotten");
        store.prepare_for_closing().wait();
    }
}

impl Process {
    pub fn position(&self) -> Option<Position> {
        self.applier.store().position()
    }

    /// All that is held.
    pub fn held(&self) -> Vec<EntityState> {
        let mut held = Vec::new();
        self.applier.store().scan(Scan::Serving, |entities| held.extend(entities)).expect("readable");
        held
    }

    /// Which route a request for `path` takes.
    pub fn route(&self, path: &str) -> Option<Uuid> {
        let (method, headers) = (Method::GET, HeaderMap::new());
        let request = router::Lookup {
            host: "",
            path,
            method: &method,
            port: 80,
            https: false,
            sni: None,
            headers: &headers,
        };
        self.applier.live().load().find(&request).map(|found| found.served.route)
    }

    /// Which credential a request with `key` shows, at the node's time.
    pub fn credential(&self, key: &str, clock: &Clock) -> Option<Uuid> {
        let now = u64::try_from(clock.unix_seconds()).unwrap_or_default();
        let found = self.applier.store().identify(Kind::KeyAuth, &Lookup::key(key), now).expect("readable");
        found.and_then(|found| found.credential).map(|(id, _)| id)
    }
}
