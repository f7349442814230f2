//! Service: an upstream API, where matched requests are sent.

use serde_json::{Value, json};
use url::Url;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::{Child, KindRow, Model, UniqueField};
use crate::record::{
    Field, Fields, Property, Rules, Source, Word as _, Writer, absent, boolean, id_list, integer, name,
    optional_boolean, optional_integer, record, reference, schema_of, tags, text, word, words,
};
use crate::rules::{self, NAME, UPSTREAM_HOST, UPSTREAM_PATH};
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

/// Port of a service without TLS, and of any service whose port nobody named.
const PORT_HTTP: u16 = 80;
/// Port of a service with TLS that names none.
const PORT_HTTPS: u16 = 443;
/// Longest timeout in milliseconds, as in Kong.
const TIMEOUT_MAX_MS: u32 = 2_147_483_646;
/// Certificates that one service may trust.
const CA_CERTIFICATES_MAX: usize = 32;
/// Longest chain of certificates that can be asked for.
const DEPTH_MAX: u8 = 64;
/// Bytes of a service's `url`: the longest path and host, and room for scheme and port.
const URL_BYTES_MAX: usize = 2048;

words! {
    /// A scheme that the gateway speaks, with clients and with upstreams.
    pub enum Protocol {
        /// Plain HTTP.
        Http = "http",
        /// HTTP over TLS.
        Https = "https",
        /// gRPC, over HTTP/2 without TLS.
        Grpc = "grpc",
        /// gRPC over TLS.
        Grpcs = "grpcs",
        /// WebSockets.
        Ws = "ws",
        /// WebSockets over TLS.
        Wss = "wss",
    }
}

/// What is spoken over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Application {
    /// Requests and answers.
    Http,
    /// gRPC.
    Grpc,
    /// WebSockets.
    WebSocket,
}

impl Protocol {
    /// Whether it is spoken over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Protocol::Https | Protocol::Grpcs | Protocol::Wss)
    }

    /// What is spoken.
    pub fn application(self) -> Application {
        match self {
            Protocol::Http | Protocol::Https => Application::Http,
            Protocol::Grpc | Protocol::Grpcs => Application::Grpc,
            Protocol::Ws | Protocol::Wss => Application::WebSocket,
        }
    }

    fn of(word: &str) -> Option<Protocol> {
        Protocol::WORDS.iter().find(|(known, _)| *known == word).map(|(_, protocol)| *protocol)
    }

    fn port(self) -> u16 {
        if self.is_tls() { PORT_HTTPS } else { PORT_HTTP }
    }
}

/// Schemes of Kong's that are no HTTP.
const STREAMS: [&str; 4] = ["tcp", "tls", "tls_passthrough", "udp"];

/// A scheme or a list of them, with an error of its own for those of streams.
pub(super) struct NoStreams<F>(pub F);

impl<F: Field> Field for NoStreams<F> {
    type Value = F::Value;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> F::Value {
        let is_stream = |value: &Value| value.as_str().is_some_and(|word| STREAMS.contains(&word));
        let place = match from.given(name) {
            Some(Value::Array(list)) => {
                list.iter().position(is_stream).map(|index| format!("{name}[{index}]"))
            }
            Some(value) if is_stream(value) => Some(name.to_owned()),
            _ => None,
        };
        let Some(place) = place else { return self.0.read(name, from) };
        from.skip(name);
        let served =
            Protocol::WORDS.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        from.fail(
            place,
            format!(
                "must be one of {served}: streams of bytes (TCP, UDP, TLS that is passed on) are not served"
            ),
        );
        from.placeholder(|empty| self.0.read(name, empty))
    }

    fn write(&self, name: &'static str, value: &F::Value, out: &mut Writer) {
        self.0.write(name, value, out);
    }

    fn describe(&self) -> Option<Property> {
        self.0.describe()
    }
}

record! {
    /// An upstream API.
    pub struct Service keeps empty_lists {
        /// Name, unique in the control plane; may stand for the id in URLs.
        pub name: Option<String> = name(NAME),
        /// How the upstream is spoken to. `http`: HTTP/1.1. `https`: the version that TLS agrees on, of HTTP/2 and HTTP/1.1. `grpc` and `grpcs`:
        /// HTTP/2, `grpc` without TLS and without asking. `ws` and `wss`: HTTP/1.1, for WebSockets.
        pub protocol: Protocol = or_url(NoStreams(word(Protocol::Http)), |address| address.protocol).or_like(),
        /// Host name or IP address of the upstream, or the name of an upstream entity.
        pub host: String = or_url(text(UPSTREAM_HOST).required(HOST_REMEDY), |address| address.host.clone()),
        /// Port of the upstream. When none is given: 443 if `protocol` is `https`, `grpcs` or `wss`, and else 80.
        pub port: u16 = or_url(Port, |address| address.port),
        /// Path put before the path of every request.
        pub path: Option<String> = or_url(text(UPSTREAM_PATH), |address| address.path.clone()),
        /// How often a request that was not sent is tried again.
        pub retries: u16 = integer(5, 0..=32_767),
        /// Milliseconds to wait for a connection.
        pub connect_timeout: u32 = integer(60_000, 1..=TIMEOUT_MAX_MS),
        /// Milliseconds between two writes of a request.
        pub write_timeout: u32 = integer(60_000, 1..=TIMEOUT_MAX_MS),
        /// Milliseconds between two reads of a response.
        pub read_timeout: u32 = integer(60_000, 1..=TIMEOUT_MAX_MS),
        /// Whether the service's routes are served at all.
        pub enabled: bool = boolean(true),
        /// Certificate that the gateway shows the upstream.
        pub client_certificate: Option<Target> = reference(Kind::Certificate, OnDelete::Restrict).bare(),
        /// Whether the upstream's certificate is verified; null leaves it to the gateway, which verifies.
        pub tls_verify: Option<bool> = optional_boolean(),
        /// Most certificates between the upstream's own and a trusted one.
        pub tls_verify_depth: Option<u8> = optional_integer(0..=DEPTH_MAX),
        /// Ids of the CA certificates that the upstream's certificate is verified against; null leaves it to the gateway.
        pub ca_certificates: Vec<Target> = id_list(Kind::CaCertificate, CA_CERTIFICATES_MAX),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
    besides {
        /// Shorthand for `protocol`, `host`, `port` and `path`. What is given beside it must agree with it; `protocol` may be another one over the same transport.
        url = UrlField,
        tls_sans = absent("the certificate must name the host; remove it"),
    }
}

const HOST_REMEDY: &str = "give the upstream's host name or address, or its `url`";

pub(crate) const ROW: KindRow = KindRow {
    name: "service",
    collection: "services",
    section: "services",
    label: "service",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[
        Child::new("routes", "routes", Kind::Route, "service"),
        Child::new("plugins", "plugins", Kind::Plugin, "service"),
    ],
    read: |fields| Entity::Service(super::read(fields)),
    schema: schema_of::<Service>,
    example: || {
        json!({"name": "orders", "protocol": "https", "host": "orders.example.com", "port": 8443, "path": "/v1",
               "retries": 2, "connect_timeout": 1000, "write_timeout": 2000, "read_timeout": 3000, "enabled": false,
               "tls_verify": true, "tls_verify_depth": 2, "tags": ["team-a"]})
    },
};

impl Service {
    /// `host:port` as in a URL, IPv6 addresses in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Rules for Service {}

impl Model for Service {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.name.iter().map(|name| UniqueKey::new("name", name)).collect()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// A port whose default is that of the protocol beside it.
struct Port;

impl Field for Port {
    type Value = u16;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> u16 {
        let protocol = from.given("protocol").and_then(|value| Protocol::of(value.as_str()?));
        from.integer(name, 1..=u16::MAX).unwrap_or_else(|| protocol.unwrap_or(Protocol::Http).port())
    }

    fn write(&self, name: &'static str, value: &u16, out: &mut Writer) {
        out.always(name, *value);
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::integer(1, u16::MAX.into()).default(PORT_HTTP.into()))
    }
}

/// Where a service is, as `url` says it.
struct Address {
    protocol: Protocol,
    host: String,
    port: u16,
    path: Option<String>,
}

impl Address {
    /// That of the body's `url`, if it has a valid one.
    fn given(from: &Fields<'_>) -> Option<Address> {
        if from.source() == Source::Wire {
            return None;
        }
        Address::from_url(from.given("url")?.as_str()?).ok()
    }

    fn from_url(text: &str) -> Result<Address, String> {
        rules::length_bytes(text, URL_BYTES_MAX)?;
        let usage = || "be a URL such as `https://api.example.com:8443/v1`".to_owned();
        let url = Url::parse(text).map_err(|_| usage())?;
        let protocol = Protocol::of(url.scheme()).ok_or(
            "start with `http://`, `https://`, `grpc://`, `grpcs://`, `ws://` or `wss://`: streams of bytes are not served",
        )?;
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err("have no user, query or fragment".to_owned());
        }
        let host = url.host_str().ok_or_else(usage)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        rules::upstream_host(host)?;
        let path = Some(url.path()).filter(|path| !path.is_empty() && *path != "/").map(str::to_owned);
        path.as_deref().map_or(Ok(()), rules::upstream_path)?;
        match url.port() {
            Some(0) => Err("have a port from 1 to 65535".to_owned()),
            port => {
                Ok(Address { protocol, host: host.to_owned(), port: port.unwrap_or(protocol.port()), path })
            }
        }
    }
}

/// A field that `url` sets, where the body has one.
struct OrUrl<F: Field> {
    field: F,
    part: fn(&Address) -> F::Value,
    /// Whether a value that is given beside `url`, and is not its part, counts instead.
    counts: fn(&F::Value, &F::Value) -> bool,
}

fn or_url<F: Field>(field: F, part: fn(&Address) -> F::Value) -> OrUrl<F> {
    OrUrl { field, part, counts: |_, _| false }
}

impl<F: Field<Value = Protocol>> OrUrl<F> {
    /// A URL has two schemes only, so a protocol that is spoken over the same transport may be given beside it, as `ws` beside `http://…`.
    fn or_like(self) -> Self {
        OrUrl { counts: |given, part| given.is_tls() == part.is_tls(), ..self }
    }
}

impl<F: Field<Value: PartialEq>> Field for OrUrl<F> {
    type Value = F::Value;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> F::Value {
        if from.source() == Source::Wire || !from.has("url") {
            return self.field.read(name, from);
        }
        let Some(address) = Address::given(from) else {
            // A `url` that cannot be read is an error of its own.
            from.skip(name);
            return from.placeholder(|empty| self.field.read(name, empty));
        };
        let value = (self.part)(&address);
        if !from.has(name) {
            from.skip(name);
            return value;
        }
        let given = self.field.read(name, from);
        if given != value && !(self.counts)(&given, &value) {
            from.fail(name, "must agree with `url`: change one of them, or leave it out");
        }
        given
    }

    fn write(&self, name: &'static str, value: &F::Value, out: &mut Writer) {
        self.field.write(name, value, out);
    }

    fn describe(&self) -> Option<Property> {
        // `url` may stand for it.
        self.field.describe().map(Property::optional)
    }
}

/// The shorthand itself: input only.
struct UrlField;

impl Field for UrlField {
    type Value = ();

    fn read(&self, name: &'static str, from: &mut Fields<'_>) {
        if from.source() != Source::Wire {
            from.text(name, |url| Address::from_url(url).map(drop));
        }
    }

    fn write(&self, _: &'static str, (): &(), _: &mut Writer) {}

    fn describe(&self) -> Option<Property> {
        Some(Property::of(ObjectBuilder::new().schema_type(Type::String).write_only(true).build()))
    }
}

#[cfg(test)]
mod tests;
