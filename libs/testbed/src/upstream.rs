//! An upstream that answers with what it received, so that a test sees what a gateway forwarded.
//!
//! Any path answers 200 with JSON: method, path, query, headers (a list per name) and the length of the body.
//! `/status/<code>` answers with that status instead. Every answer carries `x-echo: 1`.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Context;
use axum::{
    Json, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::{
    binaries,
    folder::Folder,
    process::{Process, Program},
    service::until_answers_200,
};

/// Header that every answer of the echo upstream carries, and nothing else does.
pub const ECHO_HEADER: &str = "x-echo";
/// Largest request body, in bytes.
const BODY_MAX: usize = 64 * 1024 * 1024;
const STATUS_PREFIX: &str = "/status/";

/// What the upstream received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// As in `GET`.
    pub method: String,
    /// The path as it came, without the query.
    pub path: String,
    /// What followed the `?`; `None` without one.
    pub query: Option<String>,
    /// Values in order of arrival. What is not UTF-8 is shown with replacement characters.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Length of the body, in bytes.
    pub body_length: usize,
}

/// Serves until the process ends: `landbridge-testbed echo --listen ADDR`.
pub async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let router = Router::new().fallback(answer).layer(DefaultBodyLimit::max(BODY_MAX));
    axum::serve(listener, router).await.context("serve")
}

async fn answer(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut received: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        received.entry(name.to_string()).or_default().push(value);
    }
    let echo = Echo {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        headers: received,
        body_length: body.len(),
    };
    (status_asked_for(uri.path()), [(ECHO_HEADER, "1")], Json(echo)).into_response()
}

fn status_asked_for(path: &str) -> StatusCode {
    let code = path.strip_prefix(STATUS_PREFIX).and_then(|code| code.parse().ok());
    code.and_then(|code: u16| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK)
}

/// A running echo upstream.
#[derive(Debug)]
pub struct Upstream {
    process: Process,
    address: SocketAddr,
}

impl Upstream {
    /// Starts it in its region, and waits until it answers.
    pub async fn start(folder: &Folder, address: SocketAddr) -> anyhow::Result<Self> {
        let program =
            Program::new("echo", binaries::testbed()?).arg("echo").arg("--listen").arg(address.to_string());
        let upstream = Self { process: Process::start(program, folder).await?, address };
        until_answers_200(&upstream.process, &upstream.url()).await?;
        Ok(upstream)
    }

    /// As in `http://127.0.0.1:12010`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_answered_as_asked() {
        assert_eq!(status_asked_for("/status/418"), StatusCode::IM_A_TEAPOT);
        for path in ["/", "/status/", "/status/42", "/status/1000", "/status/200/more"] {
            assert_eq!(status_asked_for(path), StatusCode::OK, "{path}");
        }
    }
}
