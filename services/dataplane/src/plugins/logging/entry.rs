//! A request as an entry of a log, in the format of Kong's `kong.log.serialize`.
//!
//! Different from Kong: of route, service and consumer it holds what tells which they are, and not the whole entities. Sizes are those of
//! bodies.

use std::{
    borrow::Cow,
    cell::RefCell,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use uuid::Uuid;

use crate::plugins::{CONSUMER_CUSTOM_ID, CONSUMER_USERNAME, CREDENTIAL_IDENTIFIER, Place, Transaction};

/// What stands in place of a password or a token.
const REDACTED: &str = "REDACTED";
/// Arguments of a query that an entry holds at most, as in Kong.
const ARGUMENTS_MAX: usize = 100;

thread_local! {
    /// Where a thread writes its entries. It becomes as long as the longest of them, which the limits of heads bound.
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[derive(Serialize)]
struct Entry<'a> {
    request: Asked<'a>,
    response: Answered<'a>,
    upstream_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<String>,
    source: &'static str,
    tries: Vec<Try<'a>>,
    latencies: Latencies,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated_entity: Option<Credential<'a>>,
    route: Route<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<Consumer<'a>>,
    client_ip: std::net::IpAddr,
    started_at: u64,
    workspace: &'static str,
    workspace_name: &'static str,
}

#[derive(Serialize)]
struct Asked<'a> {
    id: Cow<'a, str>,
    method: &'a str,
    uri: Cow<'a, str>,
    url: String,
    querystring: Query<'a>,
    headers: Headers<'a>,
    size: u64,
}

#[derive(Serialize)]
struct Answered<'a> {
    status: u16,
    headers: Headers<'a>,
    size: u64,
}

#[derive(Serialize)]
struct Try<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

#[derive(Serialize)]
struct Latencies {
    /// The gateway's own part, in milliseconds.
    kong: u64,
    /// Until the upstream's answer began; -1: it was not asked.
    proxy: i64,
    /// From the request's head to the answer's last byte.
    request: u64,
    /// While the answer's body came.
    receive: u64,
}

#[derive(Serialize)]
struct Credential<'a> {
    id: Cow<'a, str>,
}

#[derive(Serialize)]
struct Route<'a> {
    id: Uuid,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ById>,
}

#[derive(Serialize)]
struct ById {
    id: Uuid,
}

#[derive(Serialize)]
struct Service<'a> {
    id: Uuid,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

#[derive(Serialize)]
struct Consumer<'a> {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_id: Option<Cow<'a, str>>,
}

/// Headers by their names; several of one name as a list. Of a request also `Host`, which is none of its headers here.
struct Headers<'a> {
    map: Option<&'a HeaderMap>,
    host: Option<&'a HeaderValue>,
}

/// The arguments of a query, decoded; several of one name as a list, one without a value as `true`.
struct Query<'a>(Option<&'a str>);

#[derive(Serialize)]
#[serde(untagged)]
enum Values<'a> {
    True(bool),
    One(Cow<'a, str>),
    Several(Vec<Cow<'a, str>>),
}

/// The entry of a request, as JSON.
pub fn entry(transaction: &Transaction<'_>) -> Bytes {
    WRITTEN.with_borrow_mut(|written| {
        written.clear();
        match serde_json::to_writer(&mut *written, &Entry::of(transaction)) {
            // Only as much memory as the entry has: many may wait.
            Ok(()) => Bytes::copy_from_slice(written),
            // Nothing in it can fail.
            Err(_) => Bytes::new(),
        }
    })
}

impl<'a> Entry<'a> {
    fn of(transaction: &'a Transaction<'_>) -> Self {
        let Transaction { asked, place, consumer, .. } = transaction;
        let status = transaction.answer.map(|(status, _)| status.as_u16());
        let is_of_upstream = transaction.is_of_upstream();
        let credential = consumer.and_then(|identity| identity.says(&CREDENTIAL_IDENTIFIER));
        let began = transaction.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        Entry {
            request: Asked::of(transaction),
            response: Answered {
                // As nginx counts a client that went away.
                status: status.unwrap_or(499),
                headers: Headers { map: transaction.answer.map(|(_, headers)| headers), host: None },
                size: transaction.sent,
            },
            upstream_uri: transaction.upstream_uri.map_or("", |uri| uri.as_str()),
            upstream_status: status.filter(|_| is_of_upstream).map(|status| status.to_string()),
            source: if is_of_upstream { "upstream" } else { "kong" },
            tries: transaction.attempts.iter().map(Try::of).collect(),
            latencies: Latencies::of(transaction),
            authenticated_entity: credential.map(|id| Credential { id: text(id) }),
            route: Route {
                id: place.route,
                name: place.route_name,
                service: place.service.map(|id| ById { id }),
            },
            service: Service::of(place),
            consumer: consumer.map(|identity| Consumer {
                id: identity.consumer,
                username: identity.says(&CONSUMER_USERNAME).map(text),
                custom_id: identity.says(&CONSUMER_CUSTOM_ID).map(text),
            }),
            client_ip: asked.client,
            started_at: u64::try_from(began.as_millis()).unwrap_or(u64::MAX),
            workspace: "default",
            workspace_name: "default",
        }
    }
}

impl<'a> Asked<'a> {
    fn of(transaction: &'a Transaction<'_>) -> Self {
        let asked = transaction.asked;
        let target = asked.uri.path_and_query().map_or("/", |target| target.as_str());
        let (scheme, default_port) = if asked.peer.1 { ("https", 443) } else { ("http", 80) };
        let host = text(&asked.authority);
        let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        let port = if has_port { String::new() } else { format!(":{default_port}") };
        Asked {
            id: text(&asked.request_id),
            method: asked.method.as_str(),
            uri: target.into(),
            url: format!("{scheme}://{host}{port}{target}"),
            querystring: Query(asked.uri.query()),
            headers: Headers { map: Some(&asked.headers), host: Some(&asked.authority) },
            size: transaction.received,
        }
    }
}

impl<'a> Try<'a> {
    fn of(attempt: &'a crate::plugins::Attempt) -> Self {
        let host = attempt.at.host().trim_matches(['[', ']']);
        let is_ip = host.parse::<std::net::IpAddr>().is_ok();
        Self {
            ip: is_ip.then_some(host),
            hostname: (!is_ip).then_some(host),
            port: attempt.at.port_u16(),
            state: attempt.has_failed.then_some("failed"),
        }
    }
}

impl<'a> Service<'a> {
    fn of(place: &Place<'a>) -> Option<Self> {
        Some(Service {
            id: place.service?,
            name: place.service_name,
            host: place.upstream.map(|upstream| upstream.host()),
            port: place.upstream.and_then(|upstream| upstream.port_u16()),
        })
    }
}

impl Latencies {
    fn of(transaction: &Transaction<'_>) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (gateway, upstream) = (transaction.gateway.unwrap_or_default(), transaction.upstream);
        let until_head = gateway + upstream.unwrap_or_default();
        Latencies {
            kong: millis(gateway),
            proxy: upstream.map_or(-1, |upstream| i64::try_from(upstream.as_millis()).unwrap_or(i64::MAX)),
            request: millis(transaction.total),
            receive: millis(transaction.total.saturating_sub(until_head)),
        }
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(host) = self.host {
            map.serialize_entry("host", &text(host))?;
        }
        let headers = self.map.into_iter().flat_map(HeaderMap::keys);
        for name in headers.filter(|name| self.host.is_none() || *name != header::HOST) {
            if [header::AUTHORIZATION, header::PROXY_AUTHORIZATION].contains(name) {
                map.serialize_entry(name.as_str(), REDACTED)?;
                continue;
            }
            let values = self.map.into_iter().flat_map(|map| map.get_all(name)).map(text);
            map.serialize_entry(name.as_str(), &Values::of(values))?;
        }
        map.end()
    }
}

impl Serialize for Query<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all: Vec<(Cow<'_, str>, Vec<Values<'_>>)> = Vec::new();
        let arguments = self.0.unwrap_or_default().split('&').filter(|argument| !argument.is_empty());
        for argument in arguments.take(ARGUMENTS_MAX) {
            let Some((name, value)) = url::form_urlencoded::parse(argument.as_bytes()).next() else {
                continue;
            };
            let value = if argument.contains('=') { Values::One(value) } else { Values::True(true) };
            match all.iter_mut().find(|(held, _)| *held == name) {
                Some((_, values)) => values.push(value),
                None => all.push((name, vec![value])),
            }
        }
        let mut map = serializer.serialize_map(Some(all.len()))?;
        for (name, values) in &all {
            match values.as_slice() {
                [one] => map.serialize_entry(name, one)?,
                several => map.serialize_entry(name, several)?,
            }
        }
        map.end()
    }
}

impl<'a> Values<'a> {
    fn of(mut values: impl Iterator<Item = Cow<'a, str>>) -> Self {
        let first = values.next().unwrap_or_default();
        let rest: Vec<_> = values.collect();
        if rest.is_empty() { Self::One(first) } else { Self::Several([vec![first], rest].concat()) }
    }
}

/// A header's value as text. Bytes that are none become question marks in a lozenge.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
