//! What a request is hashed by, so that requests which have it in common go to the same target.

use std::{borrow::Cow, net::IpAddr};

use balancer::hash;
use http::{HeaderMap, HeaderValue, header::COOKIE};
use random::Random;
use url::form_urlencoded;
use uuid::Uuid;

use crate::{balancing::HashBy, view::Captures};

/// What is known of a request when its target is looked for.
pub struct Asked<'a> {
    /// Who sends it, if that is known.
    pub consumer: Option<Uuid>,
    /// The client's address.
    pub client: IpAddr,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its path, in canonical form.
    pub path: &'a str,
    /// Its query.
    pub query: Option<&'a str>,
    /// What its route captures of the path.
    pub captures: &'a Captures,
}

/// The key of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// The hash; `None`: the request has nothing that it could be hashed by.
    pub key: Option<u64>,
    /// `Set-Cookie` for a client that has not the cookie yet, so that its next request has the same key.
    pub set_cookie: Option<HeaderValue>,
}

impl Affinity {
    /// The key of a request by the first of `by` that it has.
    pub fn of(by: &[HashBy], asked: &Asked<'_>, random: &Random) -> Self {
        by.iter().find_map(|by| Self::by(by, asked, random)).unwrap_or_default()
    }

    fn by(by: &HashBy, asked: &Asked<'_>, random: &Random) -> Option<Self> {
        let key = match by {
            HashBy::Consumer => hash(asked.consumer?.as_bytes()),
            HashBy::Ip => hash(asked.client.to_canonical().to_string().as_bytes()),
            HashBy::Header(name) => hash(&all(asked.headers, name)?),
            HashBy::Path => hash(asked.path.as_bytes()),
            HashBy::UriCapture(name) => hash(asked.captures.find(name, asked.path)?.as_bytes()),
            HashBy::QueryArg(name) => {
                let mut pairs = form_urlencoded::parse(asked.query?.as_bytes());
                hash(pairs.find(|(held, _)| held == name)?.1.as_bytes())
            }
            HashBy::Cookie { name, path } => match cookie(asked.headers, name) {
                Some(value) => hash(value.as_bytes()),
                None => {
                    let value = random.uuid().to_string();
                    let set = HeaderValue::try_from(format!("{name}={value}; Path={path}; HttpOnly"));
                    return Some(Self { key: Some(hash(value.as_bytes())), set_cookie: set.ok() });
                }
            },
        };
        Some(Self { key: Some(key), set_cookie: None })
    }
}

/// All values of a header, in their order.
fn all<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let rest: Vec<&[u8]> = values.collect();
    if rest.is_empty() {
        return Some(Cow::Borrowed(first));
    }
    Some(Cow::Owned([vec![first], rest].concat().join(&b", "[..])))
}

/// The value of a cookie; `None` if it is not there, or empty.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut cookies = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    cookies.find(|(held, value)| *held == name && !value.is_empty()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn a_request_is_hashed_by_the_first_thing_that_it_has() {
        let mut headers = HeaderMap::new();
        let asked = |headers: &HeaderMap, consumer: Option<u128>, by: &[HashBy]| {
            let client = "192.0.2.1".parse().unwrap();
            let consumer = consumer.map(Uuid::from_u128);
            let (query, captures) = (Some("x=1&user=%41&user=B"), &Captures::default());
            let asked = Asked { consumer, client, headers, path: "/a", query, captures };
            Affinity::of(by, &asked, &Random::seeded(1))
        };
        let key = |affinity: Affinity| affinity.key;
        let by_header = HashBy::Header(HeaderName::from_static("x-user"));
        let (consumer_or_ip, header_or_path) = ([HashBy::Consumer, HashBy::Ip], [by_header, HashBy::Path]);
        assert_eq!(key(asked(&headers, None, &consumer_or_ip)), Some(hash(b"192.0.2.1")));
        assert_eq!(key(asked(&headers, Some(7), &consumer_or_ip)), Some(hash(Uuid::from_u128(7).as_bytes())));
        assert_eq!(key(asked(&headers, None, &header_or_path)), Some(hash(b"/a")));
        headers.append("x-user", HeaderValue::from_static("anna"));
        assert_eq!(key(asked(&headers, None, &header_or_path)), Some(hash(b"anna")));
        headers.append("x-user", HeaderValue::from_static("bert"));
        assert_eq!(key(asked(&headers, None, &header_or_path)), Some(hash(b"anna, bert")));
        let argument = |name: &str| [HashBy::QueryArg(name.to_owned())];
        assert_eq!(key(asked(&headers, None, &argument("user"))), Some(hash(b"A")));
        assert_eq!(asked(&headers, None, &argument("other")), Affinity::default());
    }

    #[test]
    fn a_cookie_is_set_once_and_leads_to_the_same_key() {
        let by = [HashBy::Cookie { name: "stick".to_owned(), path: "/shop".to_owned() }];
        let of = |cookies: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.extend(cookies.map(|cookies| (COOKIE, HeaderValue::from_str(cookies).unwrap())));
            let client = IpAddr::from([192, 0, 2, 1]);
            let captures = &Captures::default();
            let asked = Asked { consumer: None, client, headers: &headers, path: "/", query: None, captures };
            Affinity::of(&by, &asked, &Random::seeded(1))
        };
        for without in [None, Some("other=1; stick="), Some("Stick=1")] {
            let first = of(without);
            let set = first.set_cookie.unwrap();
            let (pair, rest) = set.to_str().unwrap().split_once(';').unwrap();
            assert!(pair.starts_with("stick=") && rest == " Path=/shop; HttpOnly", "{set:?}");
            let next = of(Some(&format!("other=1; {pair}")));
            assert_eq!(next, Affinity { key: first.key, set_cookie: None });
        }
    }
}
