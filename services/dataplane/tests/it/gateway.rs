//! A gateway for a test: the real proxy over a real store in a temporary folder, filled from a declarative text.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use dataplane::{
    balancing::{Groups, Names},
    plugins::{CACHE_BYTES_MAX, Tools},
    proxy::{self, Proxy, ProxyOptions},
    seams::Seams,
    store::{Commit, Incarnation, Settled, Store, StoreOptions},
    view::{Change, Live, View},
};
use entity_secrets::{NodeKey, hash_passwords};
use gateway_model::{Entity, declarative};
use random::Random;
use sync::EntityState;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct Gateway {
    pub proxy: Option<Proxy>,
    pub store: Store,
    pub drain: CancellationToken,
    live: Live,
    pub groups: Groups,
    pub tools: Tools,
    held: Mutex<BTreeSet<(String, Uuid)>>,
    version: Mutex<u64>,
    _folder: TempDir,
}

/// Any free port on loopback.
pub fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

impl Gateway {
    pub async fn start(yaml: &str) -> Gateway {
        Self::start_with(yaml, ProxyOptions { http: Some(any_port()), ..ProxyOptions::default() }).await
    }

    pub async fn start_with(yaml: &str, options: ProxyOptions) -> Gateway {
        Self::start_with_names(yaml, options, Names::new(&[])).await
    }

    pub async fn start_with_names(yaml: &str, options: ProxyOptions, names: Names) -> Gateway {
        let options = ProxyOptions { names: Some(names.clone()), ..options };
        Self::start_with_groups(yaml, options, Groups::new(names)).await
    }

    pub async fn start_with_groups(yaml: &str, options: ProxyOptions, groups: Groups) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(folder.path(), StoreOptions { map_bytes: 1 << 24, map_bytes_max: 1 << 28 }).unwrap();
        let seams = Seams { random: Random::seeded(1), ..Seams::system() };
        let tools = Tools::new(seams.clone(), Handle::current(), folder.path().to_owned(), CACHE_BYTES_MAX);
        let view = View::new(u64::MAX, tools.clone()).opening_with(Some(key()));
        let (live, drain): (Live, _) = (Arc::new(ArcSwap::from_pointee(view)), CancellationToken::new());
        let proxy = proxy::serve(options, live.clone(), store.clone(), seams, drain.clone()).await.unwrap();
        groups.check_by(proxy.prober.clone());
        tools.calls().open(proxy.prober.clone(), proxy.hosts.clone()).unwrap();
        let gateway = Gateway {
            proxy: Some(proxy),
            store,
            drain,
            live,
            groups,
            tools,
            held: Mutex::default(),
            version: Mutex::new(0),
            _folder: folder,
        };
        gateway.apply(yaml).await;
        gateway
    }

    /// What is held and not served, with the reasons.
    pub fn quarantined(&self) -> Vec<String> {
        self.live
            .load()
            .quarantined()
            .into_iter()
            .map(|held| format!("{}: {}", held.kind, held.reason))
            .collect()
    }

    pub fn http(&self) -> SocketAddr {
        self.proxy.as_ref().and_then(|proxy| proxy.http).unwrap()
    }

    pub fn https(&self) -> SocketAddr {
        self.proxy.as_ref().and_then(|proxy| proxy.https).unwrap()
    }

    /// Makes `yaml` the whole configuration.
    pub async fn apply(&self, yaml: &str) {
        let entities = declarative::parse(yaml).unwrap().entities(Uuid::nil(), &|_, _| None).unwrap();
        let mut changes: Vec<Change> = entities.iter().map(|(id, entity)| change(*id, entity)).collect();
        let now: BTreeSet<_> = changes.iter().map(|change| (change.kind.clone(), change.id)).collect();
        let before = std::mem::replace(&mut *self.held.lock().unwrap(), now.clone());
        changes.extend(before.difference(&now).map(|(kind, id)| Change {
            kind: kind.clone(),
            id: *id,
            body: None,
        }));
        self.change(changes).await;
    }

    pub async fn change(&self, changes: Vec<Change>) {
        let version = {
            let mut version = self.version.lock().unwrap();
            *version += 1;
            *version
        };
        let entity = |change: &Change| EntityState {
            kind: change.kind.clone(),
            id: change.id,
            version,
            body: change.body.clone().unwrap_or_default(),
            deleted: change.body.is_none(),
        };
        let entities = changes.iter().map(entity).collect();
        self.store
            .commit(Commit {
                incarnation: Incarnation::LOCAL,
                version,
                entities,
                expected: None,
                settled: Settled::default(),
            })
            .await
            .unwrap();
        let view = self.live.load().with(&changes);
        self.groups.follow(view.upstreams()).await;
        let view = Arc::new(view);
        self.live.store(view.clone());
        self.groups.retire(view.upstreams());
    }
}

/// What opens the secrets of a test's entities.
fn key() -> NodeKey {
    NodeKey::new(&[7; 32])
}

fn change(id: Uuid, entity: &Entity) -> Change {
    let mut entity = entity.clone();
    hash_passwords(Uuid::nil(), &mut entity).unwrap();
    key().seal(id, &mut entity, None);
    Change { kind: entity.kind().name().to_owned(), id, body: Some(entity.to_wire().unwrap().into()) }
}
