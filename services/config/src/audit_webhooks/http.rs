//! `/v3/audit-log-webhook`: where the region's audit log is delivered, and how that goes.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode};
use ids::OrganizationId;
use mutation::Mutation;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Api, Endpoint, FieldError, Json, Problem, ProblemType};

use super::{
    Webhooks,
    secret::Secret,
    store::{self, WebhookRow},
};
use crate::{app::App, audit_logs::http::newest, error::Answer, rows::RowError};

const NONE: &str = "no such webhook of the audit log";

/// Adds the endpoints about the webhook.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ONE: &str = "/v3/audit-log-webhook";
    api.endpoint(
        Endpoint::get(ONE, "Where the region's audit log is delivered")
            .refuses(ProblemType::NotFound, NONE)
            .answers::<WebhookBody>(StatusCode::OK),
        get,
    )
    .endpoint(
        Endpoint::patch(
            ONE,
            "Have the region's audit log delivered, from now on, or change where; a webhook that was given up goes on from where it was",
        )
        .body::<WebhookChange>()
        .answers::<WebhookBody>(StatusCode::OK),
        change,
    )
    .endpoint(
        Endpoint::delete(ONE, "Have it delivered no more").refuses(ProblemType::NotFound, NONE),
        delete,
    )
    .endpoint(
        Endpoint::get("/v3/audit-log-webhook/status", "How the delivery of the region's audit log goes")
            .refuses(ProblemType::NotFound, NONE)
            .answers::<WebhookStatus>(StatusCode::OK),
        status,
    )
}

/// What a secret is sealed for.
pub fn purpose(organization: OrganizationId) -> Vec<u8> {
    [b"audit webhook ".as_slice(), organization.uuid().as_bytes()].concat()
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditLogWebhookChange)]
struct WebhookChange {
    /// An HTTPS URL at a public address. Entries are posted to it as JSON, `{"type": "audit_log.entries", "timestamp": …, "data": […]}`, at most
    /// 100 at a time. It answers 2xx once it has them; anything else, and the same ones come again. Needed for a new webhook.
    #[serde(default)]
    endpoint: Option<String>,
    /// Whether entries are delivered; `true` for a new webhook.
    #[serde(default)]
    enabled: Option<bool>,
    /// The secret of the signatures, as Standard Webhooks has it: `whsec_` and base64 of 24 to 64 bytes. A new webhook gets one that is made
    /// here, unless it is given.
    #[serde(default)]
    secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogWebhook)]
struct WebhookBody {
    /// What entries are posted to.
    endpoint: String,
    /// Whether they are.
    enabled: bool,
    /// The secret that was made for a new webhook. Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogWebhookStatus)]
struct WebhookStatus {
    /// Whether entries are delivered.
    enabled: bool,
    /// Why deliveries were given up; absent unless they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<String>,
    /// When the endpoint last took entries.
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    last_success_at: Option<OffsetDateTime>,
    /// Why the last attempt that failed has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    last_error_at: Option<OffsetDateTime>,
    /// Attempts that have failed since one succeeded.
    failures: i32,
    /// When the next attempt is due.
    #[serde(with = "time::serde::rfc3339")]
    next_attempt_at: OffsetDateTime,
    /// Entries that the endpoint has taken.
    delivered: i64,
    /// Entries that it has not taken yet: its lag.
    pending: u64,
}

fn body(row: WebhookRow, secret: Option<String>) -> Json<WebhookBody> {
    let WebhookRow { endpoint, enabled, created_at, updated_at, .. } = row;
    Json(WebhookBody { endpoint, enabled, secret, created_at, updated_at })
}

async fn find(webhooks: &Webhooks, caller: &Caller) -> Answer<WebhookRow> {
    let row = store::find(&webhooks.db, caller.organization()).await.map_err(RowError::from)?;
    Ok(row.ok_or_else(|| Problem::not_found("webhook of the audit log"))?)
}

async fn get(State(webhooks): State<Webhooks>, caller: Caller) -> Answer<Json<WebhookBody>> {
    caller.may(Action::AuditRead, &Resource::Iam).await?;
    Ok(body(find(&webhooks, &caller).await?, None))
}

async fn change(
    State(webhooks): State<Webhooks>,
    caller: Caller,
    Json(change): Json<WebhookChange>,
) -> Answer<Json<WebhookBody>> {
    caller.may(Action::AuditManage, &Resource::Iam).await?;
    let organization = caller.organization();
    let known = store::find(&webhooks.db, organization).await.map_err(RowError::from)?;
    let field = |field: &str, reason: &str| FieldError { field: field.to_owned(), reason: reason.to_owned() };
    let endpoint = change.endpoint.or_else(|| known.as_ref().map(|row| row.endpoint.clone()));
    let endpoint = endpoint.ok_or_else(|| field("endpoint", "say what entries are to be posted to"))?;
    webhooks.client.endpoint(&endpoint).map_err(|reason| field("endpoint", reason))?;
    let enabled = change.enabled.unwrap_or_else(|| {
        // One that was given up begins again with any change.
        known.as_ref().is_none_or(|row| row.enabled || row.given_up.is_some())
    });
    let given = change.secret.as_deref().map(|text| {
        Secret::parse(text).ok_or_else(|| field("secret", "must be whsec_ and base64 of 24 to 64 bytes"))
    });
    let given = given.transpose()?;
    let purpose = purpose(organization);
    let (sealed, shown) = match (given, &known) {
        (Some(secret), _) => (webhooks.seal.seal(&purpose, secret.bytes()), None),
        (None, Some(row)) => (row.secret.clone(), None),
        (None, None) => {
            let secret = Secret::generate(&webhooks.random);
            (webhooks.seal.seal(&purpose, secret.bytes()), Some(secret.expose()))
        }
    };
    let cursor = match known {
        Some(_) => Default::default(),
        None => newest(&webhooks.logs, organization).await?,
    };
    let mut tx = Mutation::by(&caller, "audit-webhook.put").begin(&webhooks.db).await?;
    let put = store::put(tx.connection(), organization, (&endpoint, enabled), &sealed, &cursor).await;
    let row = put.map_err(RowError::from)?;
    tx.commit(&endpoint_host(&row.endpoint)).await?;
    Ok(body(row, shown))
}

/// What the audit log says of an endpoint: its path and query may hold secrets.
fn endpoint_host(endpoint: &str) -> String {
    let uri: Option<axum::http::Uri> = endpoint.parse().ok();
    uri.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_default()
}

async fn delete(State(webhooks): State<Webhooks>, caller: Caller) -> Answer<StatusCode> {
    caller.may(Action::AuditManage, &Resource::Iam).await?;
    let row = find(&webhooks, &caller).await?;
    let mut tx = Mutation::by(&caller, "audit-webhook.delete").begin(&webhooks.db).await?;
    store::delete(tx.connection(), caller.organization()).await.map_err(RowError::from)?;
    tx.commit(&endpoint_host(&row.endpoint)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn status(State(webhooks): State<Webhooks>, caller: Caller) -> Answer<Json<WebhookStatus>> {
    caller.may(Action::AuditRead, &Resource::Iam).await?;
    let row = find(&webhooks, &caller).await?;
    let (cursor, newest) =
        (row.cursor().map_err(RowError::from)?, newest(&webhooks.logs, caller.organization()).await?);
    let behind = |(service, seq): (&ids::ServiceName, &u64)| {
        seq.saturating_sub(cursor.get(service).copied().unwrap_or_default())
    };
    let pending = newest.iter().map(behind).sum();
    Ok(Json(WebhookStatus {
        enabled: row.enabled,
        given_up: row.given_up,
        last_success_at: row.last_success_at,
        last_error: row.last_error,
        last_error_at: row.last_error_at,
        failures: row.failures,
        next_attempt_at: row.next_attempt_at,
        delivered: row.delivered,
        pending,
    }))
}
