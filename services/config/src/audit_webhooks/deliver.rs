//! Delivers: reads what is behind the cursor of a webhook, posts it, and moves the cursor when it was taken.
//!
//! Whoever takes a batch may get it again: the process can end between the answer and the move of the cursor. An entry is known by its
//! chain and its place in it.

use std::time::Duration;

use audit_log::{Filter, Record};
use axum::http::{Request, StatusCode, header};
use clock::Clock;
use futures::{StreamExt as _, stream};
use http_body_util::Full;
use ids::OrganizationId;
use metrics::{counter, describe_counter};
use pace::full_jitter;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Reason, Webhooks,
    secret::Secret,
    store::{self, WebhookRow},
};
use crate::rows::RowError;

/// Longest time of one delivery.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between two looks for webhooks that are due.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a webhook is left alone that has taken everything.
const IDLE: Duration = Duration::from_secs(2);
/// Webhooks that a process takes at once, and how many of them it serves at the same time.
const CLAIMED_MAX: i64 = 16;
const AT_ONCE: usize = 8;
/// How long a process has a webhook to itself. One delivery is far shorter.
const CLAIMED_FOR: Duration = Duration::from_secs(60);
/// Entries of one delivery.
const BATCH_MAX: u32 = 100;
/// Batches of one webhook in a row, before others have their turn.
const BATCHES_MAX: usize = 10;
/// Shortest and longest wait after a failure.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// A webhook that has failed for so long is given up until somebody changes it.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 86_400);
/// Longest reason that is kept, bytes.
const REASON_BYTES_MAX: usize = 500;

const DELIVERED: &str = "landbridge_audit_webhook_entries_total";
const FAILED: &str = "landbridge_audit_webhook_failures_total";

/// What is posted.
#[derive(Serialize)]
struct Batch<'a> {
    r#type: &'static str,
    /// Unix seconds.
    timestamp: i64,
    data: &'a [Record],
}

/// Delivers until the drain, as a replica.
pub async fn run(webhooks: Webhooks, clock: Clock, drain: CancellationToken) -> anyhow::Result<()> {
    describe_counter!(DELIVERED, "Audit entries that webhooks have taken.");
    describe_counter!(FAILED, "Attempts to deliver audit entries to webhooks that have failed.");
    let round = || round(&webhooks, &clock);
    pace::every(INTERVAL, "audit entries are delivered", drain.cancelled_owned(), round).await;
    Ok(())
}

/// Serves the webhooks that are due, once.
pub async fn round(webhooks: &Webhooks, clock: &Clock) -> Result<(), RowError> {
    let due = store::claim(&webhooks.db, CLAIMED_MAX, CLAIMED_FOR.as_secs_f64()).await?;
    let served = stream::iter(due).map(|row| serve(webhooks, clock, row)).buffer_unordered(AT_ONCE);
    let outcomes: Vec<Result<(), RowError>> = served.collect().await;
    outcomes.into_iter().collect()
}

async fn serve(webhooks: &Webhooks, clock: &Clock, row: WebhookRow) -> Result<(), RowError> {
    let organization: OrganizationId = row.organization_id.into();
    let mut cursor = row.cursor()?;
    for _ in 0..BATCHES_MAX {
        let page = webhooks.logs.page(organization, &cursor, &Filter::default(), BATCH_MAX).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                // A fault of the region's, not of the endpoint's.
                tracing::warn!(%error, "audit entries cannot be read for a webhook");
                return Ok(store::postponed(&webhooks.db, organization, IDLE.as_secs_f64()).await?);
            }
        };
        if !page.records.is_empty()
            && let Err(failure) = post(webhooks, clock, &row, &page.records).await
        {
            return fail(webhooks, clock, &row, failure).await;
        }
        let count = i64::try_from(page.records.len()).unwrap_or(i64::MAX);
        counter!(DELIVERED).increment(count.unsigned_abs());
        cursor = page.cursor;
        let next = if page.more { Duration::ZERO } else { IDLE };
        store::succeeded(&webhooks.db, organization, (&cursor, count), next.as_secs_f64()).await?;
        if !page.more {
            break;
        }
    }
    Ok(())
}

/// Why a delivery failed.
struct Failure {
    reason: Reason,
    /// Whether the endpoint says that it is there no more.
    is_gone: bool,
}

async fn post(
    webhooks: &Webhooks,
    clock: &Clock,
    row: &WebhookRow,
    records: &[Record],
) -> Result<(), Failure> {
    let failure = |reason: String| Failure { reason: reason.into(), is_gone: false };
    let uri =
        webhooks.client.endpoint(&row.endpoint).map_err(|reason| failure(format!("endpoint: {reason}")))?;
    let secret = webhooks.open(row).map_err(failure)?;
    let timestamp = clock.unix_seconds();
    let batch = Batch { r#type: "audit_log.entries", timestamp, data: records };
    let body = serde_json::to_vec(&batch).map_err(|error| failure(error.to_string()))?;
    let id = message_id(records);
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "landbridge-audit-webhook")
        .header("webhook-id", &id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", secret.sign(&id, timestamp, &body))
        .body(Full::from(body))
        .map_err(|error| failure(error.to_string()))?;
    match webhooks.client.status(request, EXCHANGE_TIMEOUT).await {
        Ok(status) if status.is_success() => Ok(()),
        Ok(StatusCode::GONE) => Err(Failure { reason: "it answers 410 Gone".into(), is_gone: true }),
        Ok(status) => Err(failure(format!("it answers {status}"))),
        Err(unreachable) => Err(failure(unreachable.to_string())),
    }
}

/// The same for the same entries, so that a batch that comes again is known.
fn message_id(records: &[Record]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("landbridge audit delivery v1");
    for record in records {
        hasher.update(&record.hash);
    }
    format!("msg_{}", &hasher.finalize().to_hex()[..32])
}

async fn fail(
    webhooks: &Webhooks,
    clock: &Clock,
    row: &WebhookRow,
    Failure { reason, is_gone }: Failure,
) -> Result<(), RowError> {
    counter!(FAILED).increment(1);
    let reason = reason.get(..reason.floor_char_boundary(REASON_BYTES_MAX)).unwrap_or_default();
    let has_failed_for = row.failing_since.map(|since| clock.now() - since).unwrap_or_default();
    let given_up = match (is_gone, has_failed_for >= GIVE_UP_AFTER) {
        (true, _) => Some("the endpoint answered 410 Gone".to_owned()),
        (false, true) => Some(format!("every attempt failed for {} days", GIVE_UP_AFTER.as_secs() / 86_400)),
        (false, false) => None,
    };
    let attempt = u32::try_from(row.failures).unwrap_or_default();
    // At least half of it, so that the first ones are not all at once.
    let wait = full_jitter(attempt, RETRY_MIN, RETRY_MAX, webhooks.random.number()) + RETRY_MIN / 2;
    let organization = row.organization_id.into();
    store::failed(&webhooks.db, organization, (reason, given_up.as_deref()), wait.as_secs_f64()).await?;
    Ok(())
}

impl Webhooks {
    fn open(&self, row: &WebhookRow) -> Result<Secret, String> {
        let purpose = super::http::purpose(row.organization_id.into());
        let opened = self.seal.open(&purpose, &row.secret);
        opened.map(Secret::of_bytes).map_err(|error| format!("its secret cannot be opened: {error}"))
    }
}
