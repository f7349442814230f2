//! Requests that are shown to a single plugin, in tests.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
    net::IpAddr,
    rc::Rc,
};

use bytes::Bytes;
use entity_secrets::{NodeKey, hash_passwords};
use gateway_model::{Entity, Kind, PluginConfig};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Answer, Authorities, Body, Captures, Client, ClientCertificate, Compiled, Effects, Exchange, Identities,
    Identity, Make, NotExecutable, Place, Plugin, Reply, Tools, Verdict,
};
use crate::{
    seams::Seams,
    store::{Commit, Incarnation, Settled, Store, StoreOptions},
};

/// The id of the plugin that [`compile`] makes.
pub const PLUGIN: Uuid = Uuid::from_u128(0x9106);
/// Unix seconds at which requests come.
pub const NOW: u64 = 1_800_000_000;

/// The settings of the plugin `name`.
pub fn settings(name: &str, config: Value) -> PluginConfig {
    let body = json!({ "name": name, "config": config });
    match Entity::from_api(Kind::Plugin, &body) {
        Ok(Entity::Plugin(plugin)) => plugin.config,
        other => panic!("{other:?}"),
    }
}

/// A plugin with these settings.
pub fn compile<P: Compiled>(config: &P::Config) -> Result<P, NotExecutable> {
    P::new(config, &Make { id: PLUGIN, tools: &Tools::default(), authorities: Authorities::NONE })
}

/// A request.
pub struct Request {
    pub method: Method,
    pub headers: HeaderMap,
    pub path: String,
    pub query: Option<String>,
    pub body: Option<Bytes>,
    /// Whether it says how long its body is.
    pub says_length: bool,
    pub client: IpAddr,
    pub https: bool,
    pub certificate: Rc<ClientCertificate>,
    pub consumer: Option<Rc<Identity>>,
    pub now: u64,
}

/// What came of one.
pub struct Outcome {
    pub verdict: Verdict,
    pub method: Method,
    pub headers: HeaderMap,
    pub query: Option<String>,
    pub consumer: Option<Rc<Identity>>,
    pub effects: Effects,
}

/// A request by `method` for the target `path`, which may have a query.
pub fn request(method: Method, target: &str) -> Request {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Request {
        method,
        headers: HeaderMap::new(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        body: None,
        says_length: true,
        client: IpAddr::from([192, 0, 2, 1]),
        https: false,
        certificate: Rc::new(ClientCertificate::Plain),
        consumer: None,
        now: NOW,
    }
}

/// A `GET` for the target.
pub fn get(target: &str) -> Request {
    request(Method::GET, target)
}

impl Request {
    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// With a body.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    /// With a body whose length is not said.
    pub fn chunked(self, body: impl Into<Bytes>) -> Self {
        Self { says_length: false, ..self.body(body) }
    }

    /// From another address.
    pub fn from(self, client: &str) -> Self {
        Self { client: client.parse().unwrap(), ..self }
    }

    /// Shows it to `plugin` of a gateway without consumers, the body too if that asks for it.
    pub fn show(self, plugin: &dyn Plugin) -> Outcome {
        with_identities(|identities| self.show_by(identities, plugin))
    }

    /// Shows it to `plugin` where `identities` are known; waits where the plugin does.
    pub fn show_by(self, identities: &Identities, plugin: &dyn Plugin) -> Outcome {
        self.show_in_turn(identities, &[plugin])
    }

    /// Shows it to `plugins`, one after the other, until one answers.
    pub fn show_in_turn(self, identities: &Identities, plugins: &[&dyn Plugin]) -> Outcome {
        let Request { mut method, mut headers, path, query, body, .. } = self;
        let Request { says_length, client, https, certificate, consumer, now, .. } = self;
        let mut query = query.map(Cow::Owned);
        let length = body.as_ref().map(|body| body.len() as u64).filter(|_| says_length);
        let unread = || if body.is_some() { Body::Unread { length } } else { Body::Empty };
        let seams = Seams::system();
        let uri = match &query {
            Some(query) => format!("{path}?{query}").parse().unwrap(),
            None => path.parse().unwrap(),
        };
        let request_id = HeaderValue::from_static("r-1");
        let mut exchange = Exchange {
            method: &mut method,
            version: Version::HTTP_11,
            uri: &uri,
            authority: &HeaderValue::from_static("example.com"),
            headers: &mut headers,
            path: &path,
            query: &mut query,
            body: unread(),
            client: Client {
                address: client,
                host: "example.com",
                port: 80,
                https,
                sni: None,
                certificate: &certificate,
            },
            place: Place {
                route: Uuid::from_u128(1),
                route_name: "route",
                service: Some(Uuid::from_u128(2)),
                service_name: "service",
                upstream: None,
            },
            captures: Captures(&|_| None),
            request_id: &request_id,
            identities,
            random: &seams.random,
            clock: &seams.clock,
            now,
            consumer,
            effects: Effects::default(),
        };
        let mut verdict = Verdict::Pass;
        for plugin in plugins {
            verdict = plugin.request(&mut exchange).unwrap();
            loop {
                verdict = match verdict {
                    Verdict::NeedsBody { max } => {
                        let body = body.clone().unwrap_or_default();
                        exchange.body =
                            if body.len() > max { Body::TooLarge { length } } else { Body::Read(body) };
                        plugin.request(&mut exchange).unwrap()
                    }
                    Verdict::Wait(future) => {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                        let then = runtime.unwrap().block_on(future);
                        then(&mut exchange).unwrap()
                    }
                    judged => {
                        verdict = judged;
                        break;
                    }
                };
            }
            if matches!(verdict, Verdict::Answer(_)) {
                break;
            }
        }
        let Exchange { consumer, effects, .. } = exchange;
        let query = query.map(Cow::into_owned);
        Outcome { verdict, method, headers, query, consumer, effects }
    }
}

impl Outcome {
    /// Whether the request passed.
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Pass)
    }

    /// Status and message of the plugin's answer.
    pub fn refused(&self) -> (StatusCode, &str) {
        match &self.verdict {
            Verdict::Answer(Answer::Message { status, message, .. }) => (*status, message),
            Verdict::Answer(Answer::Full(response)) => {
                (response.status(), std::str::from_utf8(response.body()).unwrap())
            }
            _ => panic!("it passed"),
        }
    }

    /// A header of the plugin's answer.
    pub fn answer_header(&self, name: &str) -> Option<&str> {
        let found = match &self.verdict {
            Verdict::Answer(Answer::Message { headers, .. }) => {
                headers.iter().find(|(held, _)| held == name).map(|(_, value)| value)
            }
            Verdict::Answer(Answer::Full(response)) => response.headers().get(name),
            _ => panic!("it passed"),
        };
        found.map(|value| value.to_str().unwrap())
    }

    /// The headers that the client gets whoever answers, as "name: value".
    pub fn answered_with(&self) -> Vec<String> {
        let wanted = self.effects.wanted().into_iter().flat_map(|wanted| &wanted.answer);
        let told = wanted.filter_map(|header| Some((&header.name, header.value.as_ref()?)));
        told.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    /// Shows an answer to the plugin whose body breaks off.
    pub fn answer_in_part(&mut self, plugin: &dyn Plugin, headers: &[(&str, &str)], body: &str) {
        let (mut status, mut map) = (StatusCode::OK, HeaderMap::new());
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let mut reply = Reply::new(&mut status, &mut map, None, true);
        plugin.response(&mut self.effects, &mut reply);
        for mut filter in reply.into_filters() {
            filter.data(Bytes::copy_from_slice(body.as_bytes()));
        }
    }

    /// Shows an answer to the plugin. Returns it as the plugin leaves it; the body as its filters do.
    pub fn answer(
        &mut self,
        plugin: &dyn Plugin,
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut status = StatusCode::from_u16(status).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let mut reply = Reply::new(&mut status, &mut map, Some(body.len() as u64), true);
        plugin.response(&mut self.effects, &mut reply);
        let mut filters = reply.into_filters();
        let mut all = Vec::from(body);
        for filter in &mut filters {
            let mut next = Vec::new();
            // In two pieces, as it may come.
            let (first, second) = all.split_at(all.len() / 2);
            next.extend_from_slice(&filter.data(Bytes::copy_from_slice(first)));
            next.extend_from_slice(&filter.data(Bytes::copy_from_slice(second)));
            next.extend_from_slice(&filter.end());
            all = next;
        }
        (status, map, all.into())
    }
}

/// Calls `test` with identities of an empty store.
fn with_identities<T>(test: impl FnOnce(&Identities) -> T) -> T {
    thread_local! {
        static NOBODY: OnceCell<Known> = const { OnceCell::new() };
    }
    NOBODY.with(|held| test(&held.get_or_init(|| Known::new(&[])).identities))
}

/// Consumers and their credentials, in a store of their own.
pub struct Known {
    pub identities: Identities,
    pub store: Store,
    version: Cell<u64>,
    _folder: tempfile::TempDir,
}

impl Known {
    /// Entities by kind, number of the id, and body as users write it.
    pub fn new(entities: &[(Kind, u128, Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { map_bytes: 1 << 20, map_bytes_max: 1 << 24 };
        let store = Store::open(folder.path(), options).unwrap();
        let identities = Identities::new(store.clone(), || Some(node_key()), [5; 32]);
        let known = Self { identities, store, version: Cell::new(0), _folder: folder };
        if !entities.is_empty() {
            known.put(entities);
        }
        known
    }

    /// Writes further entities, or others in their place.
    pub fn put(&self, entities: &[(Kind, u128, Value)]) {
        self.version.set(self.version.get() + 1);
        let version = self.version.get();
        let states = entities.iter().map(|(kind, id, body)| {
            let id = Uuid::from_u128(*id);
            let mut entity = Entity::from_api(*kind, body).unwrap();
            hash_passwords(Uuid::nil(), &mut entity).unwrap();
            node_key().seal(id, &mut entity, None);
            let body = entity.to_wire().unwrap().into();
            sync::EntityState { kind: kind.name().to_owned(), id, version, body, deleted: false }
        });
        let (incarnation, entities) = (Incarnation::LOCAL, states.collect());
        let commit = Commit { incarnation, version, entities, expected: None, settled: Settled::default() };
        futures::executor::block_on(self.store.commit(commit)).unwrap();
    }
}

fn node_key() -> NodeKey {
    NodeKey::new(&[7; 32])
}
