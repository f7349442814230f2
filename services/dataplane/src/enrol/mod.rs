//! Enrolment: a node exchanges its enrolment token for a certificate, once in its life.
//!
//! The node makes its own key and sends a certificate request. The key never leaves the data folder. The node does not know
//! the region's CA yet, so it verifies the region's API by the CA's fingerprint, which is part of the token (`pinned`).
//! The result is kept in files (`files`): a restart needs neither the token nor the region's API. A gateway that is known by a pinned
//! certificate does not enrol: the files that its settings name are in the place of those (`own`).
//!
//! Called by the gateway; the stream reads the files.

mod files;
mod own;
pub mod pinned;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use ids::{ControlPlaneId, NodeId, Region};
use pace::full_jitter;
use random::Random;
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, Serialize};
use sync::{
    enrolment::{EnrolmentToken, InvalidToken},
    identity::{InvalidIdentity, NodeIdentity},
    limits::{ENDPOINTS_MAX, RECONNECT_MAX, RECONNECT_MIN, RETRY_AFTER_MAX, bounded},
};

pub use self::files::{Credentials, NodeFiles};
use self::pinned::PinnedAuthority;
use crate::egress::{EgressProxy, InvalidProxy};

/// Limit of one attempt, from the connection to the last byte of the answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why a node could not be enrolled, or its enrolment could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token is not one.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// TLS could not be set up.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// No answer, or a temporary one. The only error after which [`enrol`] tries again.
    #[error("{api} cannot be reached: {reason}")]
    Unreachable {
        /// Address of the region's API.
        api: String,
        /// The error with its causes, or the answer.
        reason: String,
        /// What the API asked to wait at least.
        retry_after: Duration,
    },
    /// The region's API said no.
    #[error("{api} refuses the enrolment ({status}): {reason}")]
    Refused {
        /// Address of the region's API.
        api: String,
        /// Status of the answer.
        status: StatusCode,
        /// Its explanation.
        reason: String,
    },
    /// The answer, or the token's address, cannot be used.
    #[error("the region's answer cannot be used: {0}")]
    Answer(String),
    /// There are no credentials in the data folder.
    #[error("this node is not enrolled: start it with an enrolment token")]
    NotEnrolled,
    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate is not for this node or cannot be read.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The certificate names no node.
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
    /// The setting names no proxy.
    #[error("egress_proxy: {0}")]
    Proxy(#[from] InvalidProxy),
    /// A key or a certificate request could not be made.
    #[error("a key or a certificate request could not be made: {0}")]
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

/// Enrols `node` with `token`, unless it was enrolled with the same token before. Asks through `proxy` if there is one. Tries again for as long as the region's API
/// cannot be reached or answers with a temporary error. A refusal is final. Each failed attempt is given to `progress`.
pub async fn enrol(
    files: &NodeFiles,
    token: &str,
    node: NodeId,
    (hostname, proxy): (&str, Option<&EgressProxy>),
    random: &Random,
    mut progress: impl FnMut(&EnrolError),
) -> Result<Credentials, EnrolError> {
    let token = EnrolmentToken::parse(token)?;
    if let Ok(credentials) = files.credentials()
        && credentials.token == Some(token.id)
    {
        return Ok(credentials);
    }
    let mut attempt = 0;
    loop {
        let error = match ask(files, &token, node, (hostname, proxy)).await {
            Ok(credentials) => return Ok(credentials),
            Err(error) => error,
        };
        let EnrolError::Unreachable { retry_after, .. } = &error else {
            return Err(error);
        };
        let wait = (*retry_after).min(RETRY_AFTER_MAX)
            + full_jitter(attempt, RECONNECT_MIN, RECONNECT_MAX, random.number());
        attempt = attempt.saturating_add(1);
        tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "not enrolled yet; trying again after a wait");
        progress(&error);
        tokio::time::sleep(wait).await;
    }
}

/// One attempt.
async fn ask(
    files: &NodeFiles,
    token: &EnrolmentToken,
    node: NodeId,
    (hostname, proxy): (&str, Option<&EgressProxy>),
) -> Result<Credentials, EnrolError> {
    let key = files.key()?;
    let csr_pem = files::certificate_request(&key)?.pem()?;
    let request = EnrolmentRequest { token: &token.encode(), node_id: node, hostname, csr_pem };
    let unreachable = |reason: String, retry_after| {
        let api = token.api.clone();
        EnrolError::Unreachable { api, reason, retry_after }
    };
    let client = client(token, proxy)?;
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

/// Checks that the answer is for this node and comes with the CA that the token names, and stores it.
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

fn client(token: &EnrolmentToken, proxy: Option<&EgressProxy>) -> Result<reqwest::Client, EnrolError> {
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
    // That of the settings, or none: the environment has no say.
    let client = reqwest::Client::builder().no_proxy();
    let client = match proxy {
        Some(proxy) => client.proxy(proxy.for_client()?),
        None => client,
    };
    client
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ATTEMPT_TIMEOUT)
        .build()
        .map_err(|error| EnrolError::Answer(causes(&error)))
}

/// The `detail` of a problem document, or the text itself; cut if it is long.
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

/// An error with its causes on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
