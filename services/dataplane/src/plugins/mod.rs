//! What the gateway does with a request after its route is found and before it is forwarded. One file per plugin.
//!
//! A plugin is compiled from its configuration when the view is derived, never per request. It lets a request pass, or
//! answers it. An authenticating plugin also says who the consumer is; the plugins of that consumer apply from then on.
//! Plugins run in the order of their priorities, the higher first. The priorities are Kong's.
//!
//! As in Kong, a plugin's `protocols` do not restrict it: it runs for http and https requests alike. Otherwise a key-auth
//! plugin with `https` alone would leave plain requests unprotected.
//!
//! Used by the view, which compiles and selects plugins, and by the proxy, which runs them.

mod identities;
mod key_auth;
mod request_termination;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, rc::Rc, sync::Arc};

use bytes::Bytes;
use gateway_model::PluginConfig;
use http::{HeaderMap, HeaderName, Method, Response};
use uuid::Uuid;

pub use identities::{Identities, Identity};
pub use key_auth::KeyAuth;
pub use request_termination::RequestTermination;

use crate::store::StoreError;

/// The consumer's id.
pub const CONSUMER_ID: HeaderName = HeaderName::from_static("x-consumer-id");
/// The consumer's name, if it has one.
pub const CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
/// The consumer's id in the customer's own system, if it has one.
pub const CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
/// Id of the credential that the request showed.
pub const CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");

/// A plugin ready to run.
#[derive(Debug)]
pub enum Plugin {
    /// Lets requests with a known API key pass.
    KeyAuth(KeyAuth),
    /// Answers every request.
    RequestTermination(RequestTermination),
}

/// The plugin's configuration is valid, but this gateway cannot do what it says. The text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotExecutable(pub String);

/// The request as plugins see and change it.
#[derive(Debug)]
pub struct Exchange<'a, 'q> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's headers, as the upstream will get them.
    pub headers: &'a mut HeaderMap,
    /// The request's query, without the question mark.
    pub query: &'a mut Option<Cow<'q, str>>,
    /// Who sent the request; set by the plugin that authenticated it.
    pub consumer: Option<Rc<Identity>>,
    /// Unix seconds.
    pub now: u64,
}

/// What a plugin says to a request.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The next plugin goes on, or the request is forwarded.
    Pass,
    /// The request is answered and not forwarded.
    Answer(Answer),
}

/// A plugin's answer.
#[derive(Debug)]
pub enum Answer {
    /// The usual JSON: the message, and the request's id, which the proxy adds.
    Message {
        /// Status of the answer.
        status: http::StatusCode,
        /// What the client is told.
        message: String,
        /// A further header.
        header: Option<(HeaderName, http::HeaderValue)>,
    },
    /// The answer as it is.
    Full(Box<Response<Bytes>>),
}

impl Plugin {
    /// Compiles a plugin.
    pub fn new(config: &PluginConfig) -> Result<Self, NotExecutable> {
        match config {
            PluginConfig::KeyAuth(config) => KeyAuth::new(config).map(Self::KeyAuth),
            PluginConfig::RequestTermination(config) => {
                RequestTermination::new(config).map(Self::RequestTermination)
            }
        }
    }

    /// The plugin's name, as in its configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KeyAuth(_) => "key-auth",
            Self::RequestTermination(_) => "request-termination",
        }
    }

    /// Of two plugins, the one with the greater priority runs first.
    pub fn priority(&self) -> u32 {
        match self {
            Self::KeyAuth(_) => 1250,
            Self::RequestTermination(_) => 2,
        }
    }

    /// Runs the plugin on a request.
    ///
    /// # Errors
    /// When the store cannot be read: then nobody knows who the consumer is, and the request must not pass.
    pub fn run(
        &self,
        exchange: &mut Exchange<'_, '_>,
        identities: &Identities,
    ) -> Result<Verdict, StoreError> {
        match self {
            Self::KeyAuth(plugin) => {
                let now = exchange.now;
                plugin.run(exchange, |hash| identities.by_key(hash, now))
            }
            Self::RequestTermination(plugin) => Ok(plugin.run()),
        }
    }
}

/// The plugins of a request in the order in which they run: at most one of each name.
#[derive(Clone, Debug, Default)]
pub struct Chain(Arc<[Arc<Plugin>]>);

impl Chain {
    /// A chain of `plugins`, at most one of each name. Sorted by priority and then by name.
    pub fn new(mut plugins: Vec<Arc<Plugin>>) -> Self {
        plugins.sort_by_key(|plugin| (std::cmp::Reverse(plugin.priority()), plugin.name()));
        Self(plugins.into())
    }

    /// Runs the plugins one after the other, until one answers. When a plugin finds out who the consumer is, `for_consumer`
    /// may give another chain to go on with. Of that chain only plugins of lower priority than that plugin still run.
    pub fn run<E: From<StoreError>>(
        &self,
        exchange: &mut Exchange<'_, '_>,
        identities: &Identities,
        for_consumer: impl FnOnce(Uuid) -> Result<Option<Chain>, E>,
    ) -> Result<Verdict, E> {
        let mut for_consumer = Some(for_consumer);
        let mut own = None;
        let mut last = None;
        while let Some(plugin) = own.as_ref().unwrap_or(self).next(last) {
            last = Some(plugin.priority());
            if let Verdict::Answer(answer) = plugin.run(exchange, identities)? {
                return Ok(Verdict::Answer(answer));
            }
            if let Some(identity) = &exchange.consumer
                && let Some(ask) = for_consumer.take()
            {
                own = ask(identity.consumer)?;
            }
        }
        Ok(Verdict::Pass)
    }

    /// The plugins' names, in the order in which they run.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|plugin| plugin.name())
    }

    /// The plugin that runs after the one with priority `last`; the first for `None`. Different plugins have different
    /// priorities.
    fn next(&self, last: Option<u32>) -> Option<&Plugin> {
        self.0.iter().map(Arc::as_ref).find(|plugin| last.is_none_or(|last| plugin.priority() < last))
    }
}
