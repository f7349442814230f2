//! What the gateway does with a request beside forwarding it. One file or folder per plugin.
//!
//! A plugin is made of its settings when the view is derived, never per request ([`Compiled`]). It has up to three phases ([`Plugin`]): it
//! judges and changes requests, changes the heads of answers, and hears of requests that are over. In each phase plugins run in the order
//! of their priorities, the higher first. The priorities are Kong's. A plugin that finds out who the consumer is says so in the
//! [`Exchange`]; the plugins of that consumer apply from then on.
//!
//! Who wants to add one writes its settings (`gateway_model::plugin`), a file here, and a line in [`compile`]. Nothing else in the gateway
//! knows a plugin by name.
//!
//! A plugin never blocks the thread that it runs on, which serves other requests too. What has to wait is a future
//! ([`Verdict::Wait`]), and what needs a body asks for it ([`Verdict::NeedsBody`]). A plugin decides on a refusal before it changes anything
//! in the exchange: then a plugin that only observes changes nothing.
//!
//! As in Kong, a plugin's `protocols` do not restrict it: it runs for http and https requests alike. Otherwise a key-auth
//! plugin with `https` alone would leave plain requests unprotected.
//!
//! Used by the view, which compiles and selects plugins, and by the proxy, which runs them. Knows neither.

mod acl;
mod authentication;
mod basic_auth;
mod bot_detection;
mod canary;
mod certificate;
mod chain;
mod correlation_id;
mod cors;
mod exchange;
mod hmac_auth;
mod identities;
mod ip_restriction;
mod jwt;
mod key_auth;
mod limiting;
mod logging;
mod mtls_auth;
mod oauth2;
mod oauth2_introspection;
mod openid_connect;
mod opentelemetry;
mod passwords;
mod prometheus;
mod providers;
mod proxy_cache;
mod rate_limiting;
mod reply;
mod request_mirror;
mod request_size_limiting;
mod request_termination;
mod request_transformer;
mod response_ratelimiting;
mod response_transformer;
mod subject;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tools;
mod traffic_split;
mod transaction;
mod transforming;
mod verifier;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use gateway_model::PluginConfig;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use uuid::Uuid;

pub use self::{
    certificate::{ClientCertificate, Wish},
    chain::{Chain, Instance, Phases, Run, Step, observed},
    exchange::{
        AnswerHeader, Body, BodyCopy, BodyMax, Captures, Client, Divert, Effects, Exchange, Place, Wanted,
    },
    identities::{Identities, Identity, unusable},
    prometheus::{KongMetrics, Node},
    proxy_cache::router as cache_router,
    reply::{BodyFilter, Reply},
    tools::{CACHE_BYTES_MAX, Tools},
    transaction::{Asked, Attempt, Ended, Transaction, is_of_upstream},
};
use crate::{authority::Authority, store::StoreError};

/// The consumer's id.
pub const CONSUMER_ID: HeaderName = HeaderName::from_static("x-consumer-id");
/// The consumer's name, if it has one.
pub const CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
/// The consumer's id in the customer's own system, if it has one.
pub const CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
/// The groups that access lists know the consumer by.
pub const CONSUMER_GROUPS: HeaderName = HeaderName::from_static("x-consumer-groups");
/// The groups that an identity provider has stated.
pub const AUTHENTICATED_GROUPS: HeaderName = HeaderName::from_static("x-authenticated-groups");
/// Says that no credential was shown, and the consumer is who such requests count as.
pub const ANONYMOUS_CONSUMER: HeaderName = HeaderName::from_static("x-anonymous-consumer");
/// What upstreams know the credential by that the request showed: its username or key, or its id.
pub const CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");

/// The subject of the certificate that a client has shown, where it stands for no consumer.
pub const CLIENT_CERT_DN: HeaderName = HeaderName::from_static("x-client-cert-dn");
/// Its subject alternative names.
pub const CLIENT_CERT_SAN: HeaderName = HeaderName::from_static("x-client-cert-san");

/// Compiles the plugin of `config`. The only list of plugins in the gateway.
pub fn compile(config: &PluginConfig, make: &Make<'_>) -> Result<Instance, NotExecutable> {
    let about = (config.name(), config.observe());
    match config {
        PluginConfig::BotDetection(config) => {
            Instance::of::<bot_detection::BotDetection>(about, config, make)
        }
        PluginConfig::Canary(config) => Instance::of::<canary::Canary>(about, config, make),
        PluginConfig::CorrelationId(config) => {
            Instance::of::<correlation_id::CorrelationId>(about, config, make)
        }
        PluginConfig::Cors(config) => Instance::of::<cors::Cors>(about, config, make),
        PluginConfig::Foreign(foreign) => {
            Err(NotExecutable(format!("the plugin {} is not executed by this gateway", foreign.name)))
        }
        PluginConfig::FileLog(config) => Instance::of::<logging::FileLog>(about, config, make),
        PluginConfig::HttpLog(config) => Instance::of::<logging::HttpLog>(about, config, make),
        PluginConfig::IpRestriction(config) => {
            Instance::of::<ip_restriction::IpRestriction>(about, config, make)
        }
        PluginConfig::Acl(config) => Instance::of::<acl::Acl>(about, config, make),
        PluginConfig::BasicAuth(config) => Instance::of::<basic_auth::BasicAuth>(about, config, make),
        PluginConfig::HmacAuth(config) => Instance::of::<hmac_auth::HmacAuth>(about, config, make),
        PluginConfig::Jwt(config) => Instance::of::<jwt::Jwt>(about, config, make),
        PluginConfig::MtlsAuth(config) => Instance::of::<mtls_auth::MtlsAuth>(about, config, make),
        PluginConfig::KeyAuth(config) => Instance::of::<key_auth::KeyAuth>(about, config, make),
        PluginConfig::OpenTelemetry(config) => {
            Instance::of::<opentelemetry::OpenTelemetry>(about, config, make)
        }
        PluginConfig::Prometheus(config) => Instance::of::<prometheus::Prometheus>(about, config, make),
        PluginConfig::ProxyCache(config) => Instance::of::<proxy_cache::ProxyCache>(about, config, make),
        PluginConfig::RequestMirror(config) => {
            Instance::of::<request_mirror::RequestMirror>(about, config, make)
        }
        PluginConfig::RequestSizeLimiting(config) => {
            Instance::of::<request_size_limiting::RequestSizeLimiting>(about, config, make)
        }
        PluginConfig::Oauth2(config) => Instance::of::<oauth2::Oauth2>(about, config, make),
        PluginConfig::RateLimiting(config) => {
            Instance::of::<rate_limiting::RateLimiting>(about, config, make)
        }
        PluginConfig::Oauth2Introspection(config) => {
            Instance::of::<oauth2_introspection::Oauth2Introspection>(about, config, make)
        }
        PluginConfig::OpenidConnect(config) => {
            Instance::of::<openid_connect::OpenidConnect>(about, config, make)
        }
        PluginConfig::RequestTermination(config) => {
            Instance::of::<request_termination::RequestTermination>(about, config, make)
        }
        PluginConfig::RequestTransformer(config) => {
            Instance::of::<request_transformer::RequestTransformer>(about, config, make)
        }
        PluginConfig::ResponseTransformer(config) => {
            Instance::of::<response_transformer::ResponseTransformer>(about, config, make)
        }
        PluginConfig::Syslog(config) => Instance::of::<logging::SyslogLog>(about, config, make),
        PluginConfig::TcpLog(config) => Instance::of::<logging::TcpLog>(about, config, make),
        PluginConfig::TrafficSplit(config) => {
            Instance::of::<traffic_split::TrafficSplit>(about, config, make)
        }
        PluginConfig::ResponseRatelimiting(config) => {
            Instance::of::<response_ratelimiting::ResponseRatelimiting>(about, config, make)
        }
        PluginConfig::UdpLog(config) => Instance::of::<logging::UdpLog>(about, config, make),
    }
}

/// Names the metrics of plugins.
pub fn describe_metrics() {
    chain::describe_metrics();
    request_mirror::describe_metrics();
    transforming::describe_metrics();
}

/// What a plugin does in each phase. It does nothing in those that it leaves out.
pub trait Plugin: fmt::Debug + Send + Sync {
    /// Judges and changes a request before it goes upstream.
    ///
    /// # Errors
    /// When the store cannot be read: then nobody knows who the consumer is, and the request must not pass.
    fn request(&self, _exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        Ok(Verdict::Pass)
    }

    /// Changes the head of an answer, whoever gives it: the upstream, another plugin or the gateway itself.
    fn response(&self, _effects: &mut Effects, _reply: &mut Reply<'_>) {}

    /// Hears of a request that is over. Must not wait: it runs on the thread that serves requests.
    fn log(&self, _transaction: &Transaction<'_>) {}

    /// Counts a request that is over: as [`Plugin::log`], and knows less of it, which costs less.
    fn count(&self, _ended: &Ended<'_>) {}

    /// The groups of the route's regular expressions that it reads by [`Exchange::captures`].
    fn captures(&self) -> &[String] {
        &[]
    }

    /// That clients are asked for a certificate when they open a connection; `None`: it needs none.
    fn wish(&self) -> Option<&Arc<Wish>> {
        None
    }
}

/// How a plugin is made.
pub trait Compiled: Plugin + Sized + 'static {
    /// Its settings.
    type Config;
    /// Of two plugins, the one with the greater priority runs first.
    const PRIORITY: u32;
    /// The phases that it has.
    const PHASES: Phases;

    /// Makes it of its settings, whose secrets are open. Does no I/O.
    fn new(config: &Self::Config, make: &Make<'_>) -> Result<Self, NotExecutable>;
}

/// What a plugin is made with.
#[derive(Clone, Copy, Debug)]
pub struct Make<'a> {
    /// Id of the plugin's entity. What is kept under it outlives a change of the settings.
    pub id: Uuid,
    /// What it may use of the process.
    pub tools: &'a Tools,
    /// The CA certificates of the configuration.
    pub authorities: Authorities<'a>,
}

/// Finds a CA certificate by its id; `None` if it is not there, or cannot be used. A plugin finds only those that its settings refer to: it is
/// made again when one of these changes.
#[derive(Clone, Copy)]
pub struct Authorities<'a>(pub &'a dyn Fn(Uuid) -> Option<Arc<Authority>>);

impl Authorities<'_> {
    /// There are none.
    pub const NONE: Authorities<'static> = Authorities(&|_| None);

    fn find(&self, id: Uuid) -> Option<Arc<Authority>> {
        (self.0)(id)
    }
}

impl fmt::Debug for Authorities<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(…)")
    }
}

/// The plugin's configuration is valid, but this gateway cannot do what it says. The text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotExecutable(pub String);

/// What a plugin says to a request.
#[must_use]
pub enum Verdict {
    /// The next plugin goes on, or the request is forwarded.
    Pass,
    /// The request is answered and not forwarded.
    Answer(Answer),
    /// The plugin has to see the body, if that has no more than `max` bytes. It is asked again when the body is read.
    NeedsBody {
        /// In bytes.
        max: usize,
    },
    /// The plugin has to wait for something. What comes of it goes on with the request.
    Wait(LocalBoxFuture<'static, Then>),
}

/// Goes on with a request when what was waited for is there.
pub type Then = Box<dyn FnOnce(&mut Exchange<'_, '_>) -> Result<Verdict, StoreError>>;

/// A plugin's answer.
#[derive(Debug)]
pub enum Answer {
    /// The usual JSON: the message, and the request's id, which the proxy adds.
    Message {
        /// Status of the answer.
        status: StatusCode,
        /// What the client is told.
        message: String,
        /// Further headers.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// The answer as it is.
    Full(Box<Response<Bytes>>),
}

impl Answer {
    /// A message without further headers.
    pub fn message(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Message { status, message: message.into(), headers: Vec::new() }
    }
}
