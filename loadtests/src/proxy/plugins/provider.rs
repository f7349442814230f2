//! An identity provider that knows one key and finds every token right.

use std::net::Ipv4Addr;

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::authentication::{AUDIENCE, CONSUMER};

/// See the module. It ends with the process.
pub struct Provider {
    /// What its tokens name it by.
    pub issuer: String,
}

impl Provider {
    /// Starts it, on loopback, with the public key `jwk`.
    pub async fn start(jwk: &Value) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let pages = Pages::new(&issuer, jwk);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let pages = pages.clone();
                let serve = service_fn(move |request: Request<Incoming>| {
                    let answer = pages.answer(&request);
                    async move { answer }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
        });
        Ok(Self { issuer })
    }

    /// Where it says what a token is worth.
    pub fn introspection(&self) -> String {
        format!("{}/introspect", self.issuer)
    }
}

/// What it answers.
#[derive(Clone)]
struct Pages {
    about: Bytes,
    keys: Bytes,
    worth: Bytes,
}

impl Pages {
    fn new(issuer: &str, jwk: &Value) -> Self {
        let about = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
        let worth = json!({ "active": true, "username": CONSUMER, "sub": CONSUMER, "aud": AUDIENCE });
        let [about, keys, worth] =
            [about, json!({ "keys": [jwk] }), worth].map(|page| Bytes::from(page.to_string()));
        Self { about, keys, worth }
    }

    fn answer(
        &self,
        request: &Request<Incoming>,
    ) -> hyper::http::Result<Response<http_body_util::Full<Bytes>>> {
        let (status, page) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/.well-known/openid-configuration") => (StatusCode::OK, self.about.clone()),
            (&Method::GET, "/keys") => (StatusCode::OK, self.keys.clone()),
            (&Method::POST, "/introspect") => (StatusCode::OK, self.worth.clone()),
            _ => (StatusCode::NOT_FOUND, Bytes::new()),
        };
        Response::builder().status(status).header("content-type", "application/json").body(page.into())
    }
}
