//! A small client of a region's HTTP APIs, for tests and the tour: bearer token, consistency token, JSON, and errors that
//! show the answer.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use reqwest::{Certificate, Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// What an error shows of a body, in characters.
const BODY_SHOWN_MAX: usize = 2000;

/// Header with what a client has seen of the organization's state, in requests and answers.
pub const CONSISTENCY: &str = "landbridge-consistency";

/// An HTTP client that trusts the certificates in `ca` (PEM) and no others.
pub fn https_client(ca: &Path) -> anyhow::Result<Client> {
    let pem = fs::read(ca).with_context(|| format!("read {}", ca.display()))?;
    let authorities = Certificate::from_pem_bundle(&pem)?;
    Ok(client_builder().tls_certs_only(authorities).build()?)
}

/// The same, which connects from `address`, an address of this machine, and calls itself `user_agent`.
pub fn https_client_at(ca: &Path, address: IpAddr, user_agent: &str) -> anyhow::Result<Client> {
    let pem = fs::read(ca).with_context(|| format!("read {}", ca.display()))?;
    let authorities = Certificate::from_pem_bundle(&pem)?;
    let builder = client_builder().local_address(address).user_agent(user_agent);
    Ok(builder.tls_certs_only(authorities).build()?)
}

/// An HTTP client for plain HTTP, which trusts no certificate at all.
pub fn http_client() -> anyhow::Result<Client> {
    Ok(client_builder().tls_certs_only([]).build()?)
}

fn client_builder() -> reqwest::ClientBuilder {
    // Proxies and redirects would hide what the addressed server does.
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER_TIMEOUT)
}

/// One service's API, as one caller sees it.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client,
    base: String,
    other: Option<Other>,
    token: Option<String>,
    consistency: Option<String>,
}

/// Another replica of the service, which gets every second request.
#[derive(Clone, Debug)]
struct Other {
    base: String,
    requests: Arc<AtomicUsize>,
}

impl Api {
    /// `base` as in `https://127.0.0.1:12000`.
    pub fn new(http: Client, base: impl Into<String>, token: Option<&str>) -> Self {
        Self { http, base: base.into(), other: None, token: token.map(str::to_owned), consistency: None }
    }

    /// The same API, where every second request goes to another replica of the service.
    pub fn and_replica(&self, base: impl Into<String>) -> Self {
        let other = Other { base: base.into(), requests: Arc::default() };
        Self { other: Some(other), ..self.clone() }
    }

    /// The same API with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same API without any token.
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same API, with requests that ask for a state no older than this consistency token.
    pub fn with_consistency(&self, token: &str) -> Self {
        Self { consistency: Some(token.to_owned()), ..self.clone() }
    }

    /// The same API, with requests that ask for a state no older than `answer` has seen, if it tells.
    pub fn after(&self, answer: &Answer) -> Self {
        answer.consistency().map_or_else(|| self.clone(), |token| self.with_consistency(token))
    }

    /// The base URL, as in `https://127.0.0.1:12000`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a GET for `path`. Like all requests here, any status is an answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// A POST that can be repeated without a second effect.
    pub async fn post_once(&self, path: &str, body: &Value, idempotency_key: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::POST, path).header("Idempotency-Key", idempotency_key).json(body))
            .await
    }

    /// Sends a PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// A PUT of YAML text, as for a declarative file.
    pub async fn put_yaml(&self, path: &str, text: &str) -> anyhow::Result<Answer> {
        let request = self.request(Method::PUT, path).header("Content-Type", "application/yaml");
        self.send(request.body(text.to_owned())).await
    }

    /// Sends a PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// A request to `path` with the caller's tokens, to be completed and given to [`Api::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = match &self.other {
            Some(other) if other.requests.fetch_add(1, Ordering::Relaxed) % 2 == 1 => &other.base,
            _ => &self.base,
        };
        let mut request = self.http.request(method, format!("{base}{path}"));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(token) = &self.consistency {
            request = request.header(CONSISTENCY, token);
        }
        request
    }

    /// Sends a request. Any status is an answer; the error is that there was none.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let request = request.build()?;
        let what = format!("{} {}", request.method(), request.url());
        let answer = self.http.execute(request).await.with_context(|| what.clone())?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.with_context(|| what.clone())?;
        Ok(Answer { what, status, headers, text })
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    what: String,
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The body, if the status is `status`; else an error that shows the whole answer. An empty body is `null`.
    pub fn expect(&self, status: u16) -> anyhow::Result<Value> {
        anyhow::ensure!(self.status == status, "{}: expected {status}, got {}", self.what, self.describe());
        self.json()
    }

    /// The body of a refusal: problem+json with the members that every problem has.
    pub fn expect_problem(&self, status: u16) -> anyhow::Result<Value> {
        let problem = self.expect(status)?;
        let kind = self.header("content-type").unwrap_or_default();
        let is_problem = kind.starts_with("application/problem+json")
            && ["type", "title", "detail", "message"].iter().all(|member| problem[*member].is_string())
            && problem["status"] == status
            && (status != 400 || problem["invalid_parameters"].is_array());
        anyhow::ensure!(is_problem, "{}: not a problem: {kind} {}", self.what, self.describe());
        Ok(problem)
    }

    /// The body as JSON; `null` when it is empty.
    pub fn json(&self) -> anyhow::Result<Value> {
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.text)
            .with_context(|| format!("{}: no JSON: {}", self.what, self.describe()))
    }

    /// The value of a header; `None` when it is absent or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The consistency token that it carries.
    pub fn consistency(&self) -> Option<&str> {
        self.header(CONSISTENCY)
    }

    fn describe(&self) -> String {
        let shown: String = self.text.chars().take(BODY_SHOWN_MAX).collect();
        format!("{} {shown}", self.status)
    }
}

/// A string member of an answer's body, or an error that shows the body.
pub fn text<'a>(value: &'a Value, member: &str) -> anyhow::Result<&'a str> {
    value[member].as_str().with_context(|| format!("no `{member}` in {value}"))
}
