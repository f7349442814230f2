//! What the plugins that authenticate have in common: how they combine, and how they refuse.
//!
//! As in Kong, a plugin with `anonymous` is one of several ways to authenticate: it does nothing if an earlier one has succeeded, and a request
//! that it cannot identify goes on as the anonymous consumer. Without `anonymous` it is one of several conditions: each of them must hold, and
//! the last one says who the consumer is.

use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::{Answer, Exchange, Identity, NotExecutable, Verdict, identities::Named};
use crate::store::StoreError;

/// What a plugin does with requests that it cannot identify.
#[derive(Debug)]
pub struct Fallback {
    anonymous: Option<Named>,
}

/// Groups that an identity provider has stated of who sends the request; a note in the exchange.
#[derive(Debug)]
pub struct AuthenticatedGroups(pub Vec<String>);

/// Somebody was identified who is no consumer; a note in the exchange.
#[derive(Debug)]
pub struct WithoutConsumer;

impl Fallback {
    /// What the setting `anonymous` says.
    pub fn new(anonymous: Option<&str>) -> Self {
        Self { anonymous: anonymous.map(Named::new) }
    }

    /// Whether nothing is left to do: another plugin has identified who sends the request.
    pub fn is_done(&self, exchange: &Exchange<'_, '_>) -> bool {
        self.anonymous.is_some() && is_identified(exchange)
    }

    /// Refuses the request, or lets it go on as the anonymous consumer; then `hide` removes what the request has shown.
    pub fn refuse(
        &self,
        exchange: &mut Exchange<'_, '_>,
        answer: Answer,
        hide: impl FnOnce(&mut Exchange<'_, '_>),
    ) -> Result<Verdict, StoreError> {
        let Some(named) = &self.anonymous else { return Ok(Verdict::Answer(answer)) };
        let Some(identity) = exchange.identities.anonymous(named)? else {
            let message = format!("anonymous consumer {named} is configured but doesn't exist");
            return Ok(Verdict::Answer(Answer::message(StatusCode::INTERNAL_SERVER_ERROR, message)));
        };
        hide(exchange);
        admit(exchange, identity);
        Ok(Verdict::Pass)
    }
}

/// Whether somebody in particular sends the request, as far as is known.
pub fn is_identified(exchange: &Exchange<'_, '_>) -> bool {
    exchange.consumer.as_ref().is_some_and(|identity| !identity.is_anonymous)
        || exchange.effects.get::<WithoutConsumer>().is_some()
}

/// The request is one of this consumer from now on, and the upstream is told so.
pub fn admit(exchange: &mut Exchange<'_, '_>, identity: Rc<Identity>) {
    identity.tell(exchange.headers, exchange.consumer.is_some());
    exchange.consumer = Some(identity);
}

/// The request is one of somebody in particular who is no consumer.
pub fn admit_nobody(exchange: &mut Exchange<'_, '_>) {
    if exchange.consumer.take().is_some() {
        Identity::untell(exchange.headers);
    }
    exchange.effects.put(WithoutConsumer);
}

/// The refusal of a request that does not show who sends it.
pub fn unauthorized(message: &str, challenge: &HeaderValue) -> Answer {
    Answer::Message {
        status: StatusCode::UNAUTHORIZED,
        message: message.to_owned(),
        headers: vec![(header::WWW_AUTHENTICATE, challenge.clone())],
    }
}

/// A refusal whose body says what is wrong with each of several things.
pub fn unauthorized_for(errors: &Value, challenge: &HeaderValue) -> Answer {
    let mut response = Response::new(bytes::Bytes::from(errors.to_string()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.clone());
    Answer::Full(Box::new(response))
}

/// The challenge of a scheme: what stands in `WWW-Authenticate`.
pub fn challenge(scheme: &str, realm: Option<&str>) -> Result<HeaderValue, NotExecutable> {
    let text = match realm {
        Some(realm) => format!("{scheme} realm=\"{realm}\""),
        None => scheme.to_owned(),
    };
    HeaderValue::from_str(&text).map_err(|_| NotExecutable("realm: not a header value".to_owned()))
}

/// The names of headers.
pub fn header_names(field: &str, names: &[String]) -> Result<Vec<HeaderName>, NotExecutable> {
    let names = names.iter().map(|name| HeaderName::from_bytes(name.as_bytes()));
    names.collect::<Result<_, _>>().map_err(|_| NotExecutable(format!("{field}: not a header name")))
}

/// What a request says once.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<T> {
    /// Nothing.
    Nothing,
    /// This.
    Once(T),
    /// Different things. Nobody knows which of them the upstream would read.
    Several,
}

/// The one value among `values`. The same one twice counts once.
pub fn once<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Said<T> {
    values.into_iter().fold(Said::Nothing, |said, value| match said {
        Said::Nothing => Said::Once(value),
        Said::Once(held) if held == value => Said::Once(held),
        _ => Said::Several,
    })
}

/// What stands behind `scheme` in the header `name`. A header that is not text, or has another scheme, says nothing.
pub fn credentials<'h>(headers: &'h HeaderMap, name: &HeaderName, scheme: &str) -> Said<&'h str> {
    let values = headers.get_all(name).into_iter();
    once(values.filter_map(|value| behind_scheme(value.to_str().ok()?, scheme)))
}

/// What stands behind `scheme`, in upper or lower case.
pub fn behind_scheme<'v>(value: &'v str, scheme: &str) -> Option<&'v str> {
    let value = value.trim_start();
    let (found, rest) = value.split_at_checked(scheme.len())?;
    let rest = found.eq_ignore_ascii_case(scheme).then_some(rest)?;
    let text = rest.trim();
    (rest.starts_with([' ', '\t']) && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_read_in_any_case_and_end_at_a_space() {
        for (value, expected) in [
            ("Bearer a.b", Some("a.b")),
            ("bearer  a.b ", Some("a.b")),
            (" BEARER\ta", Some("a")),
            ("Bearera", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
            ("Be", None),
            ("Béarer x", None),
            ("Basic a", None),
        ] {
            assert_eq!(behind_scheme(value, "Bearer"), expected, "{value}");
        }
    }

    #[test]
    fn what_is_said_twice_counts_once() {
        assert_eq!(once([1, 1]), Said::Once(1));
        assert_eq!(once([1, 2, 1]), Said::Several);
        assert_eq!(once::<u8>([]), Said::Nothing);
    }
}
