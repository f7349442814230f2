//! key-auth: a request with a known API key passes, as a request of the consumer that owns the key.
//!
//! The key is looked for under each configured name, first in the headers, then in the query. The first one found counts.
//! Only its hash is compared with what the store holds. A request that has two different keys under one name is refused,
//! because nobody knows which of them the upstream would read.

use std::borrow::Cow;

use gateway_model::{key_hash, plugin::key_auth::Config};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::{
    Answer, CONSUMER_CUSTOM_ID, CONSUMER_ID, CONSUMER_USERNAME, CREDENTIAL_IDENTIFIER, Exchange,
    NotExecutable, Verdict,
};
use crate::store::{KeyOwner, StoreError};

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
enum PresentedKey {
    None,
    One(String),
    Several,
}

impl KeyAuth {
    /// Compiles the plugin. An error if a name or the realm cannot stand in a header.
    pub fn new(config: &Config) -> Result<Self, NotExecutable> {
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

    /// Lets the request pass if `find` knows the owner of its key, given the key's hash; else answers 401.
    pub fn run(
        &self,
        exchange: &mut Exchange<'_>,
        find: impl FnOnce(&[u8; 32]) -> Result<Option<KeyOwner>, StoreError>,
    ) -> Result<Verdict, StoreError> {
        if *exchange.method == Method::OPTIONS && !self.on_preflight {
            return Ok(Verdict::Pass);
        }
        let key = match self.key(exchange) {
            PresentedKey::One(key) => key,
            PresentedKey::None => return Ok(self.refuse("No API key found in request")),
            PresentedKey::Several => return Ok(self.refuse("Duplicate API key found")),
        };
        let Some(owner) = find(&key_hash(&key))? else {
            return Ok(self.refuse("Unauthorized"));
        };
        if self.hide {
            self.hide_key(exchange);
        }
        identify(exchange.headers, &owner);
        exchange.consumer = Some(owner);
        Ok(Verdict::Pass)
    }

    fn key(&self, exchange: &Exchange<'_>) -> PresentedKey {
        for (name, header) in self.names.iter().zip(&self.headers) {
            let in_headers = self.in_header.then(|| exchange.headers.get_all(header).into_iter());
            // A header that is not text counts as an empty one: it is no key.
            let in_headers =
                in_headers.into_iter().flatten().map(|value| value.to_str().unwrap_or_default().to_owned());
            let query = exchange.query.as_deref().filter(|_| self.in_query).unwrap_or_default();
            let in_query = url::form_urlencoded::parse(query.as_bytes())
                .filter(|(argument, _)| argument == name)
                .map(|(_, value)| value.into_owned());
            match (only(in_headers), only(in_query)) {
                (PresentedKey::None, PresentedKey::None) => {}
                (PresentedKey::None, found) | (found, _) => return found,
            }
        }
        PresentedKey::None
    }

    fn hide_key(&self, exchange: &mut Exchange<'_>) {
        self.headers.iter().for_each(|name| drop(exchange.headers.remove(name)));
        if let Some(query) = exchange.query {
            *query = without_arguments(query, &self.names).into_owned();
            if query.is_empty() {
                *exchange.query = None;
            }
        }
    }

    fn refuse(&self, message: &str) -> Verdict {
        Verdict::Answer(Answer::Message {
            status: StatusCode::UNAUTHORIZED,
            message: message.to_owned(),
            header: Some((header::WWW_AUTHENTICATE, self.challenge.clone())),
        })
    }
}

/// The one value among `values`. Empty values count as absent.
fn only(values: impl Iterator<Item = String>) -> PresentedKey {
    values.filter(|value| !value.is_empty()).fold(PresentedKey::None, |found, value| match found {
        PresentedKey::None => PresentedKey::One(value),
        PresentedKey::One(held) if held == value => PresentedKey::One(held),
        _ => PresentedKey::Several,
    })
}

fn identify(headers: &mut HeaderMap, owner: &KeyOwner) {
    set(headers, CONSUMER_ID, Some(&owner.consumer_id.to_string()));
    set(headers, CREDENTIAL_IDENTIFIER, Some(&owner.credential_id.to_string()));
    set(headers, CONSUMER_USERNAME, owner.consumer.username.as_deref());
    set(headers, CONSUMER_CUSTOM_ID, owner.consumer.custom_id.as_deref());
}

/// Sets or removes a header. UTF-8 is passed as it is. A value that no header can hold is left out: the consumer's id, which
/// always fits, still tells who it is.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    headers.remove(&name);
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
        headers.insert(name, value);
    }
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
