//! What the gateway does with a request between matching it and forwarding it. One file per plugin.
//!
//! A plugin is compiled from its configuration when the view is derived, never per request. It may let the request pass,
//! answer it, or fail it; an authenticating plugin may also say who the consumer is, after which plugins scoped to that
//! consumer apply. Plugins run in the order of their priorities, those of Kong: the higher first.
//!
//! As in Kong, a plugin's `protocols` do not restrict it further: http and https requests alike pass through it. The other
//! reading would leave plain requests unprotected by an `https` key-auth.
//!
//! Used by the view (compiles and selects) and the proxy (runs).

mod key_auth;
mod request_termination;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use gateway_model::PluginConfig;
use http::{HeaderMap, HeaderName, Method, Response};
use uuid::Uuid;

pub use key_auth::KeyAuth;
pub use request_termination::RequestTermination;

use crate::store::{KeyOwner, Store, StoreError};

/// Headers by which upstreams learn who the consumer is. Only the gateway sets them: removed from every request.
pub const IDENTITY_HEADERS: [HeaderName; 6] = [
    CONSUMER_ID,
    CONSUMER_USERNAME,
    CONSUMER_CUSTOM_ID,
    CREDENTIAL_IDENTIFIER,
    HeaderName::from_static("x-anonymous-consumer"),
    HeaderName::from_static("x-consumer-groups"),
];

pub const CONSUMER_ID: HeaderName = HeaderName::from_static("x-consumer-id");
pub const CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
pub const CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
pub const CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");

/// A plugin ready to run.
#[derive(Debug)]
pub enum Plugin {
    KeyAuth(KeyAuth),
    RequestTermination(RequestTermination),
}

/// A plugin's configuration is valid by itself, and yet nothing that this gateway can do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotExecutable(pub String);

/// The request as plugins see and change it.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub method: &'a Method,
    pub headers: &'a mut HeaderMap,
    /// Without the question mark.
    pub query: &'a mut Option<String>,
    /// Set by the plugin that authenticated the request.
    pub consumer: Option<KeyOwner>,
}

/// What a plugin says to a request.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    Pass,
    Answer(Answer),
}

/// A plugin's answer. A message becomes the usual JSON, to which the proxy adds the request's id.
#[derive(Debug)]
pub enum Answer {
    Message { status: http::StatusCode, message: String, header: Option<(HeaderName, http::HeaderValue)> },
    Full(Box<Response<Bytes>>),
}

impl Plugin {
    pub fn new(config: &PluginConfig) -> Result<Self, NotExecutable> {
        match config {
            PluginConfig::KeyAuth(config) => KeyAuth::new(config).map(Self::KeyAuth),
            PluginConfig::RequestTermination(config) => {
                RequestTermination::new(config).map(Self::RequestTermination)
            }
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::KeyAuth(_) => "key-auth",
            Self::RequestTermination(_) => "request-termination",
        }
    }

    /// Greater runs first.
    pub fn priority(&self) -> u32 {
        match self {
            Self::KeyAuth(_) => 1250,
            Self::RequestTermination(_) => 2,
        }
    }

    pub fn run(&self, exchange: &mut Exchange<'_>, store: &Store) -> Result<Verdict, StoreError> {
        match self {
            Self::KeyAuth(plugin) => plugin.run(exchange, |hash| store.consumer_by_key(hash)),
            Self::RequestTermination(plugin) => Ok(plugin.run()),
        }
    }
}

/// The plugins of a request in the order in which they run: at most one of each name.
#[derive(Clone, Debug, Default)]
pub struct Chain(Arc<[Arc<Plugin>]>);

impl Chain {
    /// Sorts by priority, then name, so that the order is total.
    pub fn new(mut plugins: Vec<Arc<Plugin>>) -> Self {
        plugins.sort_by_key(|plugin| (std::cmp::Reverse(plugin.priority()), plugin.name()));
        Self(plugins.into())
    }

    /// Runs the chain. When a plugin finds out who the consumer is, `for_consumer` gives the chain to go on with: of it,
    /// only plugins of lower priority than that one still run.
    pub fn run<E: From<StoreError>>(
        &self,
        exchange: &mut Exchange<'_>,
        store: &Store,
        for_consumer: impl FnOnce(Uuid) -> Result<Option<Chain>, E>,
    ) -> Result<Verdict, E> {
        let mut for_consumer = Some(for_consumer);
        let mut chain = self.clone();
        let mut last = None;
        while let Some(plugin) = chain.next(last) {
            last = Some(plugin.priority());
            if let Verdict::Answer(answer) = plugin.run(exchange, store)? {
                return Ok(Verdict::Answer(answer));
            }
            if let Some(owner) = &exchange.consumer
                && let Some(ask) = for_consumer.take()
                && let Some(own) = ask(owner.consumer_id)?
            {
                chain = own;
            }
        }
        Ok(Verdict::Pass)
    }

    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|plugin| plugin.name())
    }

    /// The plugin that runs after the one with priority `last`; the first for `None`. Different plugins have different
    /// priorities.
    fn next(&self, last: Option<u32>) -> Option<Arc<Plugin>> {
        self.0.iter().find(|plugin| last.is_none_or(|last| plugin.priority() < last)).cloned()
    }
}
