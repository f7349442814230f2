//! `Idempotency-Key`: a POST that is sent twice has one effect and one answer.
//!
//! [`replay`] stands before every POST handler: it answers a known key from the table, and hands an unknown one to the
//! handler as [`Idempotency`]. The write transaction inserts the key first (so two at once meet at its unique index) and
//! stores the answer before it commits, sealed with a key that only the raw `Idempotency-Key` gives. Of the raw key
//! only a hash is kept. Keys live for 24 hours.

use std::{future::Future, time::Duration};

use access::{Caller, Vector};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::{Uuid, uuid};
use web::{Answer, BODY_BYTES_MAX, Problem, ProblemType};

use crate::{Error, every, seal::SealKey};

/// The request header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 255;
/// Namespace of ids that are derived from keys.
const DERIVED_IDS: Uuid = uuid!("5b0c1c0a-6f6e-4d1b-9d0f-3f1f7b7f2a51");
/// Pause between two sweeps of expired keys.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// The idempotency key of a request that has not been answered before; empty when the client sent none.
#[derive(Clone, Default)]
pub struct Idempotency(Option<Key>);

#[derive(Clone)]
struct Key {
    /// Names the row: a hash of caller, path and raw key.
    id: [u8; 32],
    /// What was asked: a hash of the body.
    fingerprint: [u8; 32],
    seal: SealKey,
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    content_type: Option<String>,
    etag: Option<String>,
    body: String,
    /// Where the write stands in the log.
    #[serde(default)]
    written: Vector,
}

#[derive(sqlx::FromRow)]
struct Row {
    fingerprint: Vec<u8>,
    sealed_answer: Option<Vec<u8>>,
}

/// Middleware for POST endpoints, inside the guard.
pub async fn replay(State(pool): State<PgPool>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(HEADER) {
        return next.run(request).await;
    }
    match known_answer(&pool, request).await {
        Ok(Known::Answered(response)) => response,
        Ok(Known::New(request)) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

enum Known {
    Answered(Response),
    New(Request),
}

async fn known_answer(pool: &PgPool, request: Request) -> Answer<Known> {
    let (mut parts, body) = request.into_parts();
    let body = read(body).await?;
    let key = Key::of(&parts, &body)?;
    let row: Option<Row> = sqlx::query_as("SELECT fingerprint, sealed_answer FROM idempotency WHERE id = $1")
        .bind(&key.id[..])
        .fetch_optional(pool)
        .await
        .map_err(Error::from)?;
    if let Some(row) = row {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            // The decision about the request was taken when it was first made; this one is about its session alone.
            caller.require_session().await?;
        }
        let (response, written) = key.replay(&row)?;
        if let Some(caller) = parts.extensions.get::<Caller>() {
            caller.wrote(&written);
        }
        return Ok(Known::Answered(response));
    }
    parts.extensions.insert(Idempotency(Some(key)));
    Ok(Known::New(Request::from_parts(parts, Body::from(body))))
}

async fn read(body: Body) -> Answer<Bytes> {
    let limited = Limited::new(body, BODY_BYTES_MAX).collect().await;
    limited.map(|body| body.to_bytes()).map_err(|_| {
        Problem::new(
            ProblemType::BodyTooLarge,
            format!("a body with Idempotency-Key may be at most {BODY_BYTES_MAX} bytes"),
        )
    })
}

impl Key {
    fn of(parts: &Parts, body: &[u8]) -> Answer<Self> {
        let raw = parts.headers.get(HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
        if raw.is_empty() || raw.len() > KEY_BYTES_MAX {
            return Err(Problem::new(
                ProblemType::InvalidParameter,
                format!("Idempotency-Key: send 1 to {KEY_BYTES_MAX} characters, a UUID for example"),
            ));
        }
        // An endpoint without a caller proves it by its body, which the fingerprint covers.
        let caller = parts.extensions.get::<Caller>();
        let (organization, principal) = caller.map_or_else(Default::default, |caller| {
            (caller.organization().to_string(), caller.principal().to_string())
        });
        let mut material = Vec::new();
        for part in [organization.as_bytes(), principal.as_bytes(), parts.uri.path().as_bytes(), raw] {
            material.extend((part.len() as u64).to_le_bytes());
            material.extend(part);
        }
        Ok(Self {
            id: blake3::derive_key("landbridge idempotency id v1", &material),
            fingerprint: blake3::hash(body).into(),
            seal: SealKey::new(&blake3::derive_key("landbridge idempotency seal v1", &material)),
        })
    }

    /// The answer that was given, and where its write stands.
    fn replay(&self, row: &Row) -> Answer<(Response, Vector)> {
        if row.fingerprint != self.fingerprint {
            return Err(Problem::new(
                ProblemType::IdempotencyKeyReused,
                "this Idempotency-Key came with another body before; use a new key for a new request",
            ));
        }
        let sealed = row.sealed_answer.as_deref().ok_or_else(in_use)?;
        let kept = self.seal.open(&self.id, sealed).map_err(Problem::internal)?;
        let kept: Kept = serde_json::from_slice(&kept).map_err(Problem::internal)?;
        let mut response = Response::new(Body::from(kept.body));
        *response.status_mut() = StatusCode::from_u16(kept.status).map_err(Problem::internal)?;
        let headers = response.headers_mut();
        for (name, value) in [(header::CONTENT_TYPE, kept.content_type), (header::ETAG, kept.etag)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok((response, kept.written))
    }
}

fn in_use() -> Problem {
    let mut problem = Problem::new(
        ProblemType::IdempotencyKeyInUse,
        "a request with this Idempotency-Key is still running; try again",
    );
    problem.retry_after = Some(Duration::from_secs(1));
    problem
}

impl Idempotency {
    /// An id for what the request makes under `purpose`: the same for the same caller, path and key, so that a retry in
    /// another region makes the same row. Random without a key.
    pub fn derived_id(&self, purpose: &str) -> Uuid {
        match &self.0 {
            Some(key) => {
                let mut material = key.id.to_vec();
                material.extend_from_slice(purpose.as_bytes());
                Uuid::new_v5(&DERIVED_IDS, &material)
            }
            None => Uuid::now_v7(),
        }
    }

    /// Takes the key for this transaction: 409 if another holds it or has just used it.
    pub async fn claim(&self, connection: &mut PgConnection) -> Answer<()> {
        let Some(key) = &self.0 else { return Ok(()) };
        // Waits for a transaction that holds the key; a conflict leaves this transaction usable.
        let inserted =
            sqlx::query("INSERT INTO idempotency (id, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(&key.id[..])
                .bind(&key.fingerprint[..])
                .execute(connection)
                .await
                .map_err(Error::from)?;
        if inserted.rows_affected() == 0 { Err(in_use()) } else { Ok(()) }
    }

    /// Lets go of a key claimed in this transaction, which goes on without this request.
    pub async fn release(&self, connection: &mut PgConnection) -> Answer<()> {
        let Some(key) = &self.0 else { return Ok(()) };
        sqlx::query("DELETE FROM idempotency WHERE id = $1")
            .bind(&key.id[..])
            .execute(connection)
            .await
            .map_err(Error::from)?;
        Ok(())
    }

    /// Keeps the answer that this transaction leads to. `body` is JSON; `written` is where its write stands in the log.
    pub async fn keep(
        &self,
        connection: &mut PgConnection,
        status: StatusCode,
        etag: Option<&str>,
        body: &str,
        written: Vector,
    ) -> Answer<()> {
        let Some(key) = &self.0 else { return Ok(()) };
        let kept = Kept {
            status: status.as_u16(),
            content_type: Some("application/json".to_owned()),
            etag: etag.map(str::to_owned),
            body: body.to_owned(),
            written,
        };
        let kept = serde_json::to_vec(&kept).map_err(Problem::internal)?;
        sqlx::query("UPDATE idempotency SET sealed_answer = $2 WHERE id = $1")
            .bind(&key.id[..])
            .bind(key.seal.seal(&key.id, &kept))
            .execute(connection)
            .await
            .map_err(Error::from)?;
        Ok(())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Deletes expired keys, now and every hour, until `stop`.
pub async fn sweep(db: PgPool, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    const EXPIRED: &str = "DELETE FROM idempotency WHERE created_at < now() - interval '24 hours'";
    every(SWEEP_INTERVAL, "expired idempotency keys are swept", stop, async || {
        sqlx::query(EXPIRED).execute(&db).await?;
        Ok(())
    })
    .await
}
