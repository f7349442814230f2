//! The hook that makes and removes records in DNS. It is told which organization asks: whether the domain is theirs, only it can know, since a
//! record that it makes proves the domain to the ACME server, whoever asked.

use std::time::Duration;

use axum::http::{Method, Request, header};
use bytes::Bytes;
use http_body_util::Full;
use ids::{ControlPlaneId, OrganizationId};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    failure::Failure,
    options::{DNS_WAIT_MAX, Hook},
    store::Job,
};

/// Times that a record is asked for.
const TRIES_MAX: u32 = 3;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_secs(1);

/// What the hook is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Make the record.
    Present,
    /// Remove it.
    Cleanup,
}

/// A TXT record. Several of one name may stand at the same time.
#[derive(Clone, Debug)]
pub struct Record {
    /// For whom.
    pub job: Job,
    /// The name that is proved by it, without `*.`.
    pub domain: String,
    /// What it says.
    pub value: String,
}

#[derive(Serialize)]
struct Asked<'a> {
    action: Action,
    organization_id: OrganizationId,
    control_plane_id: ControlPlaneId,
    domain: &'a str,
    record: String,
    value: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    wait_seconds: Option<u32>,
}

/// The hook has not done what it was asked for.
struct NoAnswer {
    reason: String,
    may_try_again: bool,
}

impl Hook {
    /// Asks for a record, or for its removal. Answers how long the record takes to be seen.
    pub async fn ask(&self, action: Action, record: &Record) -> Result<Duration, Failure> {
        let Record { job: Job { organization, control_plane, .. }, domain, value } = record;
        let asked = Asked {
            action,
            organization_id: *organization,
            control_plane_id: *control_plane,
            domain,
            record: format!("_acme-challenge.{domain}"),
            value,
        };
        let body = serde_json::to_vec(&asked).map_err(|error| Failure::refused(error.to_string()))?;
        let mut tries = 1;
        loop {
            match self.ask_once(body.clone().into()).await {
                Ok(wait) => return Ok(wait),
                Err(NoAnswer { may_try_again: true, .. }) if tries < TRIES_MAX => tries += 1,
                Err(NoAnswer { reason, .. }) => {
                    return Err(Failure::refused(format!(
                        "the region's hook for DNS, asked for {domain}: {reason}"
                    )));
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn ask_once(&self, body: Bytes) -> Result<Duration, NoAnswer> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        headers.extend(self.authorization.clone().map(|value| (header::AUTHORIZATION, value)));
        let answer = self.client.exchange(request).await;
        let answer = answer.map_err(|error| NoAnswer { reason: error.to_string(), may_try_again: true })?;
        let status = answer.status();
        if !status.is_success() {
            return Err(NoAnswer {
                reason: format!("it answers {status}"),
                may_try_again: !status.is_client_error(),
            });
        }
        // It need not say anything.
        let said: Said = serde_json::from_slice(answer.body()).unwrap_or_default();
        let wait = said.wait_seconds.map_or(self.wait, |seconds| Duration::from_secs(seconds.into()));
        Ok(wait.min(DNS_WAIT_MAX))
    }
}
