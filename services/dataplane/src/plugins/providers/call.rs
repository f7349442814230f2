//! One call of an identity provider.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode, header};
use reqwest::{Client, Url, dns, redirect};
use serde_json::Value;

use super::super::Tools;

/// How long a call may take, from the look-up of the name to the answer's last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER_MAX: usize = 512 * 1024;

/// Calls providers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    tools: Tools,
}

/// What is asked of a provider.
pub enum Call<'c> {
    Get(&'c str),
    /// A form, with this `Authorization` where there is one.
    Form {
        url: &'c str,
        form: &'c [(&'c str, &'c str)],
        authorization: Option<&'c str>,
    },
}

/// A provider has not answered as it should.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("not a URL of http or https: {0}")]
    Url(String),
    #[error("the address of {0} is not allowed")]
    Address(String),
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {ANSWER_MAX} bytes, or no JSON object")]
    Answer,
    #[error("nobody can log in there: its description names no place for that")]
    NoLogin,
    #[error("it cannot be asked about tokens: its description names no place for that")]
    NoIntrospection,
    #[error("the answer says: {0}")]
    Content(String),
}

impl Caller {
    pub fn new(tools: Tools) -> Self {
        Self { tools }
    }

    /// The JSON object that the provider answers.
    pub async fn call(&self, call: Call<'_>) -> Result<Value, CallError> {
        let (Call::Get(text) | Call::Form { url: text, .. }) = &call;
        let url = self.url(text)?;
        let client = self.client(&url)?;
        let request = match call {
            Call::Get(_) => client.get(url),
            Call::Form { form, authorization, .. } => {
                let body: String =
                    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                let request = client.post(url).header(header::CONTENT_TYPE, kind).body(body);
                authorization
                    .into_iter()
                    .fold(request, |request, value| request.header(header::AUTHORIZATION, value))
            }
        };
        let request = request.header(header::ACCEPT, HeaderValue::from_static("application/json"));
        let unreachable = |error: reqwest::Error| CallError::Unreachable(error.without_url().to_string());
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(CallError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(CallError::Answer);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).ok().filter(Value::is_object).ok_or(CallError::Answer)
    }

    fn url(&self, text: &str) -> Result<Url, CallError> {
        let url = Url::parse(text).map_err(|_| CallError::Url(text.to_owned()))?;
        let (Some(host), Some(port), "http" | "https") =
            (url.host(), url.port_or_known_default(), url.scheme())
        else {
            return Err(CallError::Url(text.to_owned()));
        };
        // An address is connected to without a look-up.
        let address = match host {
            url::Host::Domain(_) => None,
            url::Host::Ipv4(address) => Some(SocketAddr::from((address, port))),
            url::Host::Ipv6(address) => Some(SocketAddr::from((address, port))),
        };
        match address {
            Some(address) if !self.tools.allows(address) => Err(CallError::Address(host.to_string())),
            _ => Ok(url),
        }
    }

    /// Calls are rare: each has a connection of its own.
    fn client(&self, url: &Url) -> Result<Client, CallError> {
        let port = url.port_or_known_default().unwrap_or_default();
        let client = Client::builder()
            .dns_resolver(Arc::new(Guarded { tools: self.tools.clone(), port }))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build();
        client.map_err(|error| CallError::Unreachable(error.to_string()))
    }
}

/// The `Authorization` of a client: both parts are form-encoded first (RFC 6749, section 2.3.1).
pub fn client_authorization(id: &str, secret: &str) -> String {
    let [id, secret] =
        [id, secret].map(|text| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

/// Finds addresses, of which only those are used that may be called.
struct Guarded {
    tools: Tools,
    port: u16,
}

impl dns::Resolve for Guarded {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let (tools, port) = (self.tools.clone(), self.port);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), port)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| tools.allows(*address)).collect();
            if allowed.is_empty() {
                return Err(CallError::Address(name.as_str().to_owned()).into());
            }
            let addresses: dns::Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}
