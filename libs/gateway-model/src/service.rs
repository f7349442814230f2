//! Service: an upstream API, where matched requests are sent.

use url::Url;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::entity::Model;
use crate::fields::Fields;
use crate::schema::{restrict, set};
use crate::writer::Writer;
use crate::{Reference, ReferenceMut, UniqueKey, rules};

/// Port of an `http` service, and of any service whose port nobody named.
const PORT_HTTP: u16 = 80;
/// Port of an `https` service that names none.
const PORT_HTTPS: u16 = 443;
const RETRIES_DEFAULT: u16 = 5;
/// Most retries, as in Kong.
const RETRIES_MAX: u16 = 32_767;
const TIMEOUT_DEFAULT_MS: u32 = 60_000;
/// Longest timeout, as in Kong.
const TIMEOUT_MAX_MS: u32 = 2_147_483_646;

/// Bytes of a service's `url`: the longest path and host, and room for scheme and port.
const URL_BYTES_MAX: usize = 2048;

/// A scheme that the gateway speaks, with clients and with upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Protocol {
    pub(crate) const WORDS: [(&'static str, Protocol); 2] =
        [("http", Protocol::Http), ("https", Protocol::Https)];

    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Protocol::Http => PORT_HTTP,
            Protocol::Https => PORT_HTTPS,
        }
    }
}

/// An upstream API.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct Service {
    /// Name, unique in the control plane; may stand for the id in URLs.
    #[schema(max_length = 128)]
    pub name: Option<String>,
    /// How the upstream is spoken to.
    #[schema(value_type = String, required = false, default = "http")]
    pub protocol: Protocol,
    /// Host name or IP address of the upstream.
    #[schema(max_length = 253)]
    pub host: String,
    /// Port of the upstream; 443 when `protocol` is `https` and none is given.
    #[schema(required = false, default = 80, minimum = 1)]
    pub port: u16,
    /// Path put before the path of every request.
    #[schema(max_length = 1024)]
    pub path: Option<String>,
    /// How often a request that was not sent is tried again.
    #[schema(required = false, default = 5, maximum = 32767)]
    pub retries: u16,
    /// Milliseconds to wait for a connection.
    #[schema(required = false, default = 60000, minimum = 1, maximum = 2147483646)]
    pub connect_timeout: u32,
    /// Milliseconds between two writes of a request.
    #[schema(required = false, default = 60000, minimum = 1, maximum = 2147483646)]
    pub write_timeout: u32,
    /// Milliseconds between two reads of a response.
    #[schema(required = false, default = 60000, minimum = 1, maximum = 2147483646)]
    pub read_timeout: u32,
    /// Whether the service's routes are served at all.
    #[schema(required = false, default = true)]
    pub enabled: bool,
    /// Whether the upstream's certificate is verified; null leaves it to the gateway, which verifies.
    pub tls_verify: Option<bool>,
    /// Free labels to select entities by.
    #[schema(required = false, max_items = 32)]
    pub tags: Vec<String>,
}

/// Where a service is: four fields, or the shorthand `url`.
struct Address {
    protocol: Protocol,
    host: String,
    port: u16,
    path: Option<String>,
}

impl Service {
    /// `host:port` as in a URL, IPv6 addresses in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Service {
        let name = fields.name("name", rules::name);
        let address =
            if fields.has("url") { Address::read_url(fields) } else { Address::read_fields(fields) };
        let mut timeout = |name| fields.integer(name, TIMEOUT_DEFAULT_MS, 1..=TIMEOUT_MAX_MS);
        let (connect_timeout, write_timeout, read_timeout) =
            (timeout("connect_timeout"), timeout("write_timeout"), timeout("read_timeout"));
        let service = Service {
            name,
            protocol: address.protocol,
            host: address.host,
            port: address.port,
            path: address.path,
            retries: fields.integer("retries", RETRIES_DEFAULT, 0..=RETRIES_MAX),
            connect_timeout,
            write_timeout,
            read_timeout,
            enabled: fields.boolean("enabled", true),
            tls_verify: fields.optional_boolean("tls_verify"),
            tags: fields.tags(),
        };
        fields.unsupported(
            "client_certificate",
            None,
            "the gateway presents no certificate to upstreams; remove it",
        );
        fields.unsupported(
            "ca_certificates",
            None,
            "upstreams are verified against the public roots; remove it",
        );
        fields.unsupported(
            "tls_verify_depth",
            None,
            "the depth of certificate chains cannot be set; remove it",
        );
        fields.unsupported("tls_sans", None, "the certificate must name the host; remove it");
        service
    }

    /// The derived schema and the shorthand `url`, which is input only.
    pub(crate) fn body_schema() -> RefOr<Schema> {
        let mut schema = Service::schema();
        restrict(&mut schema, "protocol", Protocol::WORDS.iter().map(|(word, _)| *word));
        let url = ObjectBuilder::new().schema_type(Type::String).write_only(true).description(Some(
            "Shorthand that sets `protocol`, `host`, `port` and `path`, and is given instead of them.",
        ));
        set(&mut schema, "url", url);
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            // `url` may stand for it.
            object.required.retain(|name| name != "host");
        }
        schema
    }
}

impl Address {
    fn read_fields(fields: &mut Fields<'_>) -> Address {
        let protocol = fields.word("protocol", Protocol::Http, &Protocol::WORDS);
        fields.skip("url");
        Address {
            protocol,
            host: fields.required_text(
                "host",
                rules::upstream_host,
                "give the upstream's host name or address, or its `url`",
            ),
            port: fields.integer("port", protocol.port(), 1..=u16::MAX),
            path: fields.text("path", rules::upstream_path),
        }
    }

    /// `http://host[:port][/path]`.
    fn read_url(fields: &mut Fields<'_>) -> Address {
        for name in ["protocol", "host", "port", "path"] {
            fields.skip(name);
            if fields.has(name) {
                fields.fail(name, "must be left out: `url` sets it");
            }
        }
        let url = fields.text("url", |url| Address::from_url(url).map(drop));
        let address = url.and_then(|url| Address::from_url(&url).ok());
        // A placeholder: without address there is an error.
        address.unwrap_or(Address {
            protocol: Protocol::Http,
            host: String::new(),
            port: PORT_HTTP,
            path: None,
        })
    }

    fn from_url(text: &str) -> Result<Address, String> {
        rules::length_bytes(text, URL_BYTES_MAX)?;
        let usage = || "be a URL such as `https://api.example.com:8443/v1`".to_owned();
        let url = Url::parse(text).map_err(|_| usage())?;
        let protocol = match url.scheme() {
            "http" => Protocol::Http,
            "https" => Protocol::Https,
            _ => return Err("start with `http://` or `https://`".to_owned()),
        };
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
        let path = Some(url.path()).filter(|path| *path != "/").map(str::to_owned);
        path.as_deref().map_or(Ok(()), rules::upstream_path)?;
        match url.port() {
            Some(0) => Err("have a port from 1 to 65535".to_owned()),
            port => {
                Ok(Address { protocol, host: host.to_owned(), port: port.unwrap_or(protocol.port()), path })
            }
        }
    }
}

impl Model for Service {
    fn write(&self, out: &mut Writer) {
        out.optional("name", self.name.clone());
        out.unless("protocol", self.protocol.as_str(), Protocol::Http.as_str());
        out.always("host", self.host.clone());
        out.unless("port", self.port, self.protocol.port());
        out.optional("path", self.path.clone());
        out.unless("retries", self.retries, RETRIES_DEFAULT);
        out.unless("connect_timeout", self.connect_timeout, TIMEOUT_DEFAULT_MS);
        out.unless("write_timeout", self.write_timeout, TIMEOUT_DEFAULT_MS);
        out.unless("read_timeout", self.read_timeout, TIMEOUT_DEFAULT_MS);
        out.unless("enabled", self.enabled, true);
        out.optional("tls_verify", self.tls_verify);
        out.list("tags", &self.tags);
    }

    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.name.iter().map(|name| UniqueKey::new("name", name)).collect()
    }

    fn references(&self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    fn references_mut(&mut self) -> Vec<ReferenceMut<'_>> {
        Vec::new()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

#[cfg(test)]
mod tests;
