//! proxy-cache: answers are kept and given again (RFC 9111). What may be kept and given, and for how long, the crate
//! `http-cache-semantics` decides; where `Cache-Control` is not to decide, it is shown a `max-age` of the plugin's own.
//!
//! The gateway is a shared cache. An answer to a request with `Authorization` is kept only if it says so itself, or if the request has a
//! consumer, whose answers nobody else gets. One with `Set-Cookie` is not kept. What is kept is the answer as the plugins before this one
//! have left it. A request that changes something makes the cache forget what it is for ([`changed`]).

mod admin;
mod changed;
mod kept;
mod store;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use clock::Clock;
use gateway_model::plugin::proxy_cache::{CachedMethod, Config};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HOST, PRAGMA, RANGE, SET_COOKIE, VARY},
    request::Parts,
};
use http_cache_semantics::{CacheOptions, CachePolicy};
use uuid::Uuid;

use super::{Answer, Body, Compiled, Effects, Exchange, Make, NotExecutable, Phases, Plugin, Reply, Verdict};
use crate::store::StoreError;
use changed::{Change, Generations};
use kept::{Keeping, X_CACHE_KEY, X_CACHE_STATUS};
use store::{Found, Key, Stored};

pub use admin::router;
pub use store::Store;

/// Bytes of the longest body that is kept.
const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The compiled plugin.
#[derive(Debug)]
pub struct ProxyCache {
    plugin: Uuid,
    store: Store,
    clock: Clock,
    statuses: Vec<u16>,
    methods: Vec<CachedMethod>,
    types: Vec<String>,
    ttl: u32,
    kept_for: Option<Duration>,
    /// Whether `Cache-Control` decides.
    by_control: bool,
    ignores_case: bool,
    arguments: Vec<String>,
    headers: Vec<HeaderName>,
    tells: Tells,
}

/// Which headers tell of the cache.
#[derive(Clone, Copy, Debug)]
struct Tells {
    age: bool,
    status: bool,
    key: bool,
}

/// What an answer to a request is kept with.
struct Wanted {
    key: Key,
    request: Parts,
    /// `Miss` or `Refresh`.
    status: &'static str,
}

/// The request's answer is not looked for.
struct Bypassed;

/// The request is answered without a body.
struct OfHead;

impl Compiled for ProxyCache {
    type Config = Config;
    const PRIORITY: u32 = 100;
    const PHASES: Phases = Phases::BOTH;

    /// An error if the name of a header is none.
    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let headers = config.vary_headers.iter().map(|name| HeaderName::from_bytes(name.as_bytes()));
        let headers = headers.collect::<Result<_, _>>();
        let told = &config.response_headers;
        let mut arguments = config.vary_query_params.clone();
        arguments.sort_unstable();
        Ok(Self {
            plugin: make.id,
            store: make.tools.cache().clone(),
            clock: make.tools.seams().clock.clone(),
            statuses: config.response_code.clone(),
            methods: config.request_method.clone(),
            types: config.content_type.clone(),
            ttl: config.cache_ttl,
            kept_for: config.storage_ttl.map(|seconds| Duration::from_secs(seconds.into())),
            by_control: config.cache_control,
            ignores_case: config.ignore_uri_case,
            arguments,
            headers: headers.map_err(|_| NotExecutable("vary_headers: not a header name".to_owned()))?,
            tells: Tells { age: told.age, status: told.status, key: told.key },
        })
    }
}

impl Plugin for ProxyCache {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if !self.is_looked_for(exchange) {
            // A method whose answers are kept changes nothing, as whoever configured that says.
            if let Some(change) = Change::of(exchange).filter(|_| !self.has_method(exchange)) {
                exchange.effects.put(change);
            }
            exchange.effects.put(Bypassed);
            return Ok(Verdict::Pass);
        }
        let (key, request) = (self.key(exchange), self.as_decided_on(exchange));
        let now: SystemTime = exchange.clock.now().into();
        let status = match self.store.find(&key, &request, now) {
            Found::Fresh(stored) => {
                let answer = kept::answer(&stored, (&key, self.tells), exchange, now);
                return Ok(Verdict::Answer(Answer::Full(Box::new(answer))));
            }
            Found::Stale => "Refresh",
            Found::Nothing => "Miss",
        };
        if self.by_control && says(exchange.headers, &["only-if-cached"]) {
            let message = "the answer is not in the cache";
            return Ok(Verdict::Answer(Answer::message(StatusCode::GATEWAY_TIMEOUT, message)));
        }
        if *exchange.method == Method::HEAD {
            exchange.effects.put(OfHead);
        }
        exchange.effects.put(Wanted { key, request, status });
        Ok(Verdict::Pass)
    }

    fn response(&self, effects: &mut Effects, reply: &mut Reply<'_>) {
        if let Some(change) = effects.get::<Change>().filter(|_| reply.is_of_upstream) {
            change.conclude(*reply.status, reply.headers, self.store.generations());
        }
        if effects.get::<Bypassed>().is_some() {
            return self.tell(reply, "Bypass", None);
        }
        let Some(Wanted { key, request, status }) = effects.get::<Wanted>() else { return };
        if !reply.is_of_upstream {
            return;
        }
        // It has no body that could be kept.
        if effects.get::<OfHead>().is_some() {
            return self.tell(reply, status, Some(key));
        }
        let Some(policy) = self.policy(request, reply) else { return self.tell(reply, "Bypass", Some(key)) };
        let at = policy.1;
        let keeping = Keeping::new(
            (self.store.clone(), *key, request.clone()),
            Stored {
                plugin: self.plugin,
                at,
                kept_for: self.kept_for.unwrap_or_else(|| policy.0.time_to_live(at)),
                policy: policy.0,
                status: *reply.status,
                headers: reply.headers.clone(),
                body: bytes::Bytes::new(),
            },
            reply.length,
        );
        reply.filter_body(Box::new(keeping));
        self.tell(reply, status, Some(key));
    }
}

impl ProxyCache {
    /// Whether an answer to the request may be in the cache, or come into it.
    fn is_looked_for(&self, exchange: &Exchange<'_, '_>) -> bool {
        self.has_method(exchange)
            && exchange.body == Body::Empty
            && !exchange.headers.contains_key(RANGE)
            && !(self.by_control && says(exchange.headers, &["no-store", "no-cache"]))
    }

    fn has_method(&self, exchange: &Exchange<'_, '_>) -> bool {
        self.methods.iter().any(|method| method.as_str() == exchange.method.as_str())
    }

    /// What the answer depends on, as a name.
    fn key(&self, exchange: &Exchange<'_, '_>) -> Key {
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        add(self.plugin.as_bytes());
        add(exchange.place.route.as_bytes());
        add(exchange.consumer.as_ref().map_or(&[][..], |identity| identity.consumer.as_bytes()));
        add(kept_for(exchange.method).as_str().as_bytes());
        add(if exchange.client.https { b"https" } else { b"http" });
        let host = exchange.client.host;
        add(host.as_bytes());
        add(&self.store.generations().of(host, exchange.path).to_be_bytes());
        match self.ignores_case {
            true => add(exchange.path.to_lowercase().as_bytes()),
            false => add(exchange.path.as_bytes()),
        }
        for argument in self.query(exchange.query.as_deref().unwrap_or_default()) {
            add(argument.as_bytes());
        }
        for name in &self.headers {
            add(name.as_str().as_bytes());
            exchange.headers.get_all(name).iter().for_each(|value| add(value.as_bytes()));
        }
        *hasher.finalize().as_bytes()
    }

    /// The arguments that tell answers apart, in one order.
    fn query<'q>(&self, query: &'q str) -> Vec<&'q str> {
        let name = |argument: &str| {
            let mut decoded = url::form_urlencoded::parse(argument.as_bytes());
            decoded.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
        };
        let counts = |argument: &&str| {
            self.arguments.is_empty() || self.arguments.binary_search(&name(argument)).is_ok()
        };
        let mut arguments: Vec<&str> =
            query.split('&').filter(|argument| !argument.is_empty()).filter(counts).collect();
        // Of several with one name the order may mean something.
        arguments.sort_by_key(|argument| name(argument));
        arguments
    }

    /// The request as it is decided on whether an answer may be given to it.
    fn as_decided_on(&self, exchange: &Exchange<'_, '_>) -> Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = kept_for(exchange.method).clone();
        // The key says for which address.
        parts.uri = Uri::from_static("/");
        parts.headers = exchange.headers.clone();
        parts.headers.remove(HOST);
        if !self.by_control {
            parts.headers.remove(CACHE_CONTROL);
            parts.headers.remove(PRAGMA);
        }
        if exchange.consumer.is_some() {
            // Nobody else gets the answer: the key says whose it is.
            parts.headers.remove(AUTHORIZATION);
        }
        parts
    }

    /// For how long an answer may be given again, and since when; `None`: it is not kept.
    fn policy(&self, request: &Parts, reply: &Reply<'_>) -> Option<(CachePolicy, SystemTime)> {
        let content_type = reply.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_wanted = self.statuses.contains(&reply.status.as_u16())
            && content_type
                .is_some_and(|found| self.types.iter().any(|kept| kept.eq_ignore_ascii_case(found)))
            && !reply.headers.contains_key(SET_COOKIE)
            && reply.headers.get(VARY).is_none_or(|vary| vary != "*")
            && reply.length.is_none_or(|length| length <= BODY_BYTES_MAX);
        if !is_wanted {
            return None;
        }
        let (mut response, ()) = http::Response::new(()).into_parts();
        response.status = *reply.status;
        response.headers = reply.headers.clone();
        if !self.by_control {
            response.headers.remove(EXPIRES);
            response.headers.remove(PRAGMA);
            let max_age = HeaderValue::try_from(format!("max-age={}", self.ttl)).ok()?;
            response.headers.insert(CACHE_CONTROL, max_age);
        }
        let now: SystemTime = self.clock.now().into();
        // Without a word on how long, nothing is kept: to guess is for browsers.
        let options = CacheOptions { cache_heuristic: 0.0, ..CacheOptions::default() };
        let policy = CachePolicy::new_options(request, &response, now, options);
        let is_kept = policy.is_storable() && !policy.time_to_live(now).is_zero();
        is_kept.then_some((policy, now))
    }

    fn tell(&self, reply: &mut Reply<'_>, status: &'static str, key: Option<&Key>) {
        if self.tells.status {
            reply.headers.insert(X_CACHE_STATUS, HeaderValue::from_static(status));
        }
        if self.tells.key
            && let Some(key) = key
            && let Ok(key) = HeaderValue::try_from(hex::encode(key))
        {
            reply.headers.insert(X_CACHE_KEY, key);
        }
    }
}

/// Whether `Cache-Control` has one of the directives.
fn says(headers: &HeaderMap, directives: &[&str]) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|directive| directive.split('=').next().unwrap_or_default().trim())
        .any(|directive| directives.iter().any(|wanted| wanted.eq_ignore_ascii_case(directive)))
}

/// The method whose answer is given to a request by `method`: HEAD gets what is kept for GET, without its body (RFC 9111, section 4).
fn kept_for(method: &Method) -> &Method {
    if *method == Method::HEAD { &Method::GET } else { method }
}

#[cfg(test)]
impl ProxyCache {
    /// The same with nothing kept.
    fn emptied(self) -> Self {
        self.store.purge_all();
        self
    }
}
