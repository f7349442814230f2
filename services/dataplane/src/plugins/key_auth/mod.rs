//! key-auth: a request with a known API key passes, as a request of the consumer that owns the key.
//!
//! The key is looked for under each configured name, first in the headers, then in the query, then in the body. The first one found counts.
//! Only its hash is compared with what the store holds. A request that has two different keys under one name is refused,
//! because nobody knows which of them the upstream would read.

mod body;
mod multipart;

use std::borrow::Cow;

use gateway_model::{Kind, plugin::key_auth::Config};
use http::{HeaderName, HeaderValue, Method};

use super::{
    Body, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict,
    authentication::{Fallback, Said, admit, challenge, header_names, once, unauthorized},
};
use crate::store::{Lookup, StoreError};

/// The compiled plugin.
#[derive(Debug)]
pub struct KeyAuth {
    /// Names of the key in the query and in bodies, where case matters.
    names: Vec<String>,
    headers: Vec<HeaderName>,
    in_header: bool,
    in_query: bool,
    /// Bytes of a body that is searched; `None`: none is.
    in_body: Option<usize>,
    hide: bool,
    on_preflight: bool,
    fallback: Fallback,
    challenge: HeaderValue,
}

/// What a request shows.
enum Shown<'a> {
    Key(Said<Cow<'a, str>>),
    /// The body has to be read first, of at most so many bytes.
    NeedsBody(usize),
}

impl Compiled for KeyAuth {
    type Config = Config;
    const PRIORITY: u32 = 1250;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if a name or the realm cannot stand in a header.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        Ok(Self {
            names: config.key_names.clone(),
            headers: header_names("key_names", &config.key_names)?,
            in_header: config.key_in_header,
            in_query: config.key_in_query,
            in_body: config.key_in_body.then_some(config.body_max_bytes as usize),
            hide: config.hide_credentials,
            on_preflight: config.run_on_preflight,
            fallback: Fallback::new(config.anonymous.as_deref()),
            challenge: challenge("Key", config.realm.as_deref())?,
        })
    }
}

impl Plugin for KeyAuth {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        if (*exchange.method == Method::OPTIONS && !self.on_preflight) || self.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        let key = match self.shown(exchange) {
            Shown::Key(Said::Once(key)) => key,
            Shown::Key(Said::Nothing) => return self.refuse(exchange, "No API key found in request"),
            Shown::Key(Said::Several) => return self.refuse(exchange, "Duplicate API key found"),
            Shown::NeedsBody(max) => return Ok(Verdict::NeedsBody { max }),
        };
        let lookup = Lookup::key(&key);
        let Some(identity) = exchange.identities.by_credential(Kind::KeyAuth, &lookup, exchange.now)? else {
            return self.refuse(exchange, "Unauthorized");
        };
        self.hide(exchange);
        admit(exchange, identity);
        Ok(Verdict::Pass)
    }
}

impl KeyAuth {
    fn shown<'a>(&self, exchange: &'a Exchange<'_, '_>) -> Shown<'a> {
        let query = exchange.query.as_deref().filter(|_| self.in_query).unwrap_or_default();
        for (name, header) in self.names.iter().zip(&self.headers) {
            let in_headers = self.in_header.then(|| exchange.headers.get_all(header).into_iter());
            // A header that is not text counts as an empty one: it is no key.
            let in_headers =
                in_headers.into_iter().flatten().map(|value| value.to_str().unwrap_or_default().into());
            for found in [only(in_headers), only(arguments(query.as_bytes(), name))] {
                if found != Said::Nothing {
                    return Shown::Key(found);
                }
            }
            match (self.in_body, &exchange.body) {
                (Some(max), Body::Unread { .. }) => return Shown::NeedsBody(max),
                (Some(_), Body::Read(body)) => match body::find(exchange.headers, body, name) {
                    Said::Nothing => {}
                    found => return Shown::Key(found),
                },
                _ => {}
            }
        }
        Shown::Key(Said::Nothing)
    }

    fn refuse(&self, exchange: &mut Exchange<'_, '_>, message: &str) -> Result<Verdict, StoreError> {
        let answer = unauthorized(message, &self.challenge);
        self.fallback.refuse(exchange, answer, |exchange| self.hide(exchange))
    }

    fn hide(&self, exchange: &mut Exchange<'_, '_>) {
        if !self.hide {
            return;
        }
        self.headers.iter().for_each(|name| drop(exchange.headers.remove(name)));
        if let Some(query) = exchange.query.as_deref()
            && let Cow::Owned(without) = without_arguments(query, &self.names)
        {
            *exchange.query = Some(without).filter(|without| !without.is_empty()).map(Cow::Owned);
        }
        if let (Some(_), Body::Read(body)) = (self.in_body, &exchange.body)
            && let Some(without) = body::without(exchange.headers, body, &self.names)
        {
            exchange.effects.want().body = Some(without);
        }
    }
}

/// The one value among `values`. Empty values count as absent.
fn only<'a>(values: impl Iterator<Item = Cow<'a, str>>) -> Said<Cow<'a, str>> {
    once(values.filter(|value| !value.is_empty()))
}

/// The values of the argument `name`.
fn arguments<'a>(text: &'a [u8], name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    url::form_urlencoded::parse(text).filter(move |(argument, _)| argument == name).map(|(_, value)| value)
}

/// `query` without the arguments whose decoded name is in `names`; the others stay byte for byte.
pub fn without_arguments<'a>(query: &'a str, names: &[String]) -> Cow<'a, str> {
    let is_named = |pair: &str| {
        url::form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| names.iter().any(|held| *held == name))
    };
    if !query.split('&').any(is_named) {
        return Cow::Borrowed(query);
    }
    Cow::Owned(query.split('&').filter(|pair| !is_named(pair)).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests;
