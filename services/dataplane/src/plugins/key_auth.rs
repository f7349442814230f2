//! key-auth: a request with a known API key passes, as a request of the consumer that owns the key.
//!
//! The key is looked for under each configured name, first in the headers, then in the query. The first one found counts.
//! Only its hash is compared with what the store holds. A request that has two different keys under one name is refused,
//! because nobody knows which of them the upstream would read.

use std::{borrow::Cow, rc::Rc};

use gateway_model::{key_hash, plugin::key_auth::Config};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{Answer, Compiled, Exchange, Identity, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct KeyAuth {
    /// Names of the key in the query, where case matters.
    names: Vec<String>,
    headers: Vec<HeaderName>,
    in_header: bool,
    in_query: bool,
    hide: bool,
    on_preflight: bool,
    challenge: HeaderValue,
}

/// What a request shows under one name.
enum PresentedKey<'a> {
    None,
    One(Cow<'a, str>),
    Several,
}

impl Compiled for KeyAuth {
    type Config = Config;
    const PRIORITY: u32 = 1250;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if a name or the realm cannot stand in a header.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let headers = config.key_names.iter().map(|name| HeaderName::from_bytes(name.as_bytes()));
        let headers = headers.collect::<Result<_, _>>();
        let challenge = match &config.realm {
            Some(realm) => HeaderValue::from_str(&format!("Key realm=\"{realm}\"")),
            None => Ok(HeaderValue::from_static("Key")),
        };
        Ok(Self {
            names: config.key_names.clone(),
            headers: headers.map_err(|_| NotExecutable("key_names: not a header name".to_owned()))?,
            in_header: config.key_in_header,
            in_query: config.key_in_query,
            hide: config.hide_credentials,
            on_preflight: config.run_on_preflight,
            challenge: challenge.map_err(|_| NotExecutable("realm: not a header value".to_owned()))?,
        })
    }
}

impl Plugin for KeyAuth {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let (identities, now) = (exchange.identities, exchange.now);
        self.judge(exchange, |hash| identities.by_key(hash, now))
    }
}

impl KeyAuth {
    /// Lets the request pass if `find` knows the owner of its key, given the key's hash; else answers 401.
    pub(super) fn judge(
        &self,
        exchange: &mut Exchange<'_, '_>,
        find: impl FnOnce(&[u8; 32]) -> Result<Option<Rc<Identity>>, StoreError>,
    ) -> Result<Verdict, StoreError> {
        if *exchange.method == Method::OPTIONS && !self.on_preflight {
            return Ok(Verdict::Pass);
        }
        let key = match self.key(exchange) {
            PresentedKey::One(key) => key,
            PresentedKey::None => return Ok(self.refuse("No API key found in request")),
            PresentedKey::Several => return Ok(self.refuse("Duplicate API key found")),
        };
        let Some(identity) = find(&key_hash(&key))? else {
            return Ok(self.refuse("Unauthorized"));
        };
        if self.hide {
            self.hide_key(exchange);
        }
        identity.tell(exchange.headers);
        exchange.consumer = Some(identity);
        Ok(Verdict::Pass)
    }

    fn key<'a>(&self, exchange: &'a Exchange<'_, '_>) -> PresentedKey<'a> {
        let query = exchange.query.as_deref().filter(|_| self.in_query).unwrap_or_default();
        for (name, header) in self.names.iter().zip(&self.headers) {
            let in_headers = self.in_header.then(|| exchange.headers.get_all(header).into_iter());
            // A header that is not text counts as an empty one: it is no key.
            let in_headers =
                in_headers.into_iter().flatten().map(|value| value.to_str().unwrap_or_default().into());
            let in_query = url::form_urlencoded::parse(query.as_bytes())
                .filter(|(argument, _)| argument == name)
                .map(|(_, value)| value);
            match (only(in_headers), only(in_query)) {
                (PresentedKey::None, PresentedKey::None) => {}
                (PresentedKey::None, found) | (found, _) => return found,
            }
        }
        PresentedKey::None
    }

    fn hide_key(&self, exchange: &mut Exchange<'_, '_>) {
        self.headers.iter().for_each(|name| drop(exchange.headers.remove(name)));
        if let Some(query) = exchange.query.as_deref()
            && let Cow::Owned(without) = without_arguments(query, &self.names)
        {
            *exchange.query = Some(without).filter(|without| !without.is_empty()).map(Cow::Owned);
        }
    }

    fn refuse(&self, message: &str) -> Verdict {
        Verdict::Answer(Answer::Message {
            status: StatusCode::UNAUTHORIZED,
            message: message.to_owned(),
            headers: vec![(header::WWW_AUTHENTICATE, self.challenge.clone())],
        })
    }
}

/// The one value among `values`. Empty values count as absent.
fn only<'a>(values: impl Iterator<Item = Cow<'a, str>>) -> PresentedKey<'a> {
    values.filter(|value| !value.is_empty()).fold(PresentedKey::None, |found, value| match found {
        PresentedKey::None => PresentedKey::One(value),
        PresentedKey::One(held) if held == value => PresentedKey::One(held),
        _ => PresentedKey::Several,
    })
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
mod tests {
    use super::*;

    #[test]
    fn arguments_are_removed_by_decoded_name() {
        let names = ["apikey".to_owned()];
        assert_eq!(without_arguments("a=1&apikey=s&b=%20", &names), "a=1&b=%20");
        assert_eq!(without_arguments("%61pikey=s&apikey", &names), "");
        assert_eq!(without_arguments("xapikey=s", &names), "xapikey=s");
    }
}
