//! Enrolment: from a token to a certificate, once in a node's life.
//!
//! The node makes its own key and sends a certificate request; the key never leaves the data folder. The first answer
//! of a region whose authority the node has never seen is verified by the fingerprint in the token ([`pinned`]).
//! What is learnt is kept in files ([`files`]), so that a restart needs neither the token nor the region's API.

mod files;
pub mod pinned;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use ids::{ControlPlaneId, NodeId, Region};
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, Serialize};
use sync::{
    backoff::full_jitter,
    enrolment::{EnrolmentToken, InvalidToken},
    identity::{InvalidIdentity, NodeIdentity},
    limits::{ENDPOINTS_MAX, RECONNECT_MAX, RECONNECT_MIN, RETRY_AFTER_MAX, bounded},
};

pub use self::files::{Credentials, NodeFiles};
use self::pinned::PinnedAuthority;

/// One attempt, from the connection to the last byte of the answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(transparent)]
    Token(#[from] InvalidToken),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error("{api} could not be asked: {reason}")]
    Unreachable { api: String, reason: String, retry_after: Duration },
    #[error("{api} refuses the enrolment ({status}): {reason}")]
    Refused { api: String, status: StatusCode, reason: String },
    #[error("the region's answer is not usable: {0}")]
    Answer(String),
    #[error("this node is not enrolled: start it with an enrolment token")]
    NotEnrolled,
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("the certificate is not usable: {0}")]
    Certificate(String),
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
    #[error("making a key or a certificate request: {0}")]
    Key(#[from] rcgen::Error),
}

#[derive(Serialize)]
struct EnrolmentRequest<'a> {
    token: &'a str,
    node_id: NodeId,
    hostname: &'a str,
    csr_pem: String,
}

#[derive(Deserialize)]
struct EnrolmentAnswer {
    certificate_pem: String,
    ca_pem: String,
    control_plane_id: ControlPlaneId,
    region: Region,
    sync: Vec<String>,
}

/// Enrols `node` with `token` unless it was before with the same one. Tries again for as long as the region cannot be
/// reached or is not able to answer; a refusal is final. `progress` hears of each failed attempt.
pub async fn enrol(
    files: &NodeFiles,
    token: &str,
    node: NodeId,
    hostname: &str,
    mut progress: impl FnMut(&EnrolError),
) -> Result<Credentials, EnrolError> {
    let token = EnrolmentToken::parse(token)?;
    if let Ok(credentials) = files.credentials()
        && credentials.token == token.id
    {
        return Ok(credentials);
    }
    let mut attempt = 0;
    loop {
        let error = match ask(files, &token, node, hostname).await {
            Ok(credentials) => return Ok(credentials),
            Err(error) => error,
        };
        let EnrolError::Unreachable { retry_after, .. } = &error else {
            return Err(error);
        };
        let wait = (*retry_after).min(RETRY_AFTER_MAX)
            + full_jitter(attempt, RECONNECT_MIN, RECONNECT_MAX, rand::random());
        attempt = attempt.saturating_add(1);
        tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "not enrolled yet");
        progress(&error);
        tokio::time::sleep(wait).await;
    }
}

async fn ask(
    files: &NodeFiles,
    token: &EnrolmentToken,
    node: NodeId,
    hostname: &str,
) -> Result<Credentials, EnrolError> {
    let key = files.key()?;
    let csr_pem = files::certificate_request(&key)?.pem()?;
    let request = EnrolmentRequest { token: &token.encode(), node_id: node, hostname, csr_pem };
    let unreachable = |reason: String, retry_after| {
        let api = token.api.clone();
        EnrolError::Unreachable { api, reason, retry_after }
    };
    let client = client(token)?;
    let url = format!("{}/v1/nodes/enrol", token.api.trim_end_matches('/'));
    let sent = client.post(url).json(&request).send().await;
    let mut response = sent.map_err(|error| unreachable(causes(&error), Duration::ZERO))?;

    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| unreachable(causes(&error), Duration::ZERO))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(EnrolError::Answer(format!("it is larger than {ANSWER_BYTES_MAX} bytes")));
        }
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let reason = format!("it answers {status}: {}", message(&body));
        return Err(unreachable(reason, Duration::from_secs(retry_after.unwrap_or(0))));
    }
    if !status.is_success() {
        return Err(EnrolError::Refused { api: token.api.clone(), status, reason: message(&body) });
    }
    let answer = serde_json::from_slice(&body).map_err(|error| EnrolError::Answer(error.to_string()))?;
    keep(files, token, node, answer)
}

/// Checks that the answer is for this node, from the authority that the token names, and writes it down.
fn keep(
    files: &NodeFiles,
    token: &EnrolmentToken,
    node: NodeId,
    answer: EnrolmentAnswer,
) -> Result<Credentials, EnrolError> {
    let EnrolmentAnswer { certificate_pem, ca_pem, control_plane_id, region, sync } = answer;
    if pinned::fingerprint_of_pem(&ca_pem) != Some(token.ca_sha256) {
        return Err(EnrolError::Answer("its CA is not the one that the enrolment token names".to_owned()));
    }
    let sync = if sync.is_empty() { token.sync.clone() } else { sync };
    if sync.is_empty() || sync.len() > ENDPOINTS_MAX {
        return Err(EnrolError::Answer(format!("it names {} sync endpoints", sync.len())));
    }
    let expected = NodeIdentity { region, control_plane: control_plane_id, node };
    files.keep(expected, &certificate_pem, &ca_pem, sync, token.id)
}

fn client(token: &EnrolmentToken) -> Result<reqwest::Client, EnrolError> {
    if !token.api.starts_with("https://") {
        return Err(EnrolError::Answer(format!(
            "the token names {}, which is not an https:// address",
            token.api
        )));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(PinnedAuthority::new(token.ca_sha256, Arc::clone(&provider)));
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ATTEMPT_TIMEOUT)
        .build()
        .map_err(|error| EnrolError::Answer(causes(&error)))
}

/// The `detail` of a problem document, else the text, cut short.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => bounded(&problem.detail).to_owned(),
        Err(_) => bounded(&String::from_utf8_lossy(body)).to_owned(),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
