//! Requests to a region's API, as the generator sends them.

use std::sync::Arc;

use anyhow::ensure;
use hyper::Method;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use testbed::{Api, Region};

use crate::proxy::{
    certificate::{self, Sessions},
    generator::Wire,
    requests::{Expected, HOST},
};

/// One request.
pub struct Message {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Message {
    /// A request without a body.
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    /// A request with a body of JSON.
    pub fn with(method: Method, path: String, body: Value) -> Self {
        Self { method, path, body: Some(body) }
    }

    /// The request with an access token, as it goes over the wire.
    pub fn bytes(self, token: &str) -> Box<[u8]> {
        let Self { method, path, body } = self;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let about_body = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n");
        [head, about_body, "\r\n".to_owned(), body].concat().into_bytes().into()
    }

    /// Sends it. All answers to requests of its kind are as long as this one.
    pub async fn answer_of(self, api: &Api) -> anyhow::Result<Expected> {
        let request = api.request(self.method, &self.path);
        let request = match &self.body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = api.send(request).await?;
        Ok(Expected { status: answer.status, length: answer.text.len() })
    }
}

/// How TLS is spoken to the region: each of `callers` is a client of its own.
pub fn wire(region: &Region, callers: usize) -> anyhow::Result<Wire> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(region.ca_file())? {
        roots.add(authority?)?;
    }
    ensure!(!roots.is_empty(), "the region has no authority");
    let client = || certificate::client(roots.clone(), &["http/1.1"], Sessions::Forgotten, None);
    Ok(Wire::Tls((0..callers).map(|_| client()).collect::<Result<Arc<[_]>, _>>()?))
}
