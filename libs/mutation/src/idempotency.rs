//! `Idempotency-Key`: a POST that is sent twice has one effect and one answer.
//!
//! [`replay`] stands before every POST handler: it answers a known key from the table, and hands an unknown one to the
//! handler as a [`Key`]. The write's transaction inserts the key first (so two at once meet at its unique index) and
//! stores the answer before it commits, sealed with a key that only the raw `Idempotency-Key` gives. Of the raw key
//! only a hash is kept. Keys live for 24 hours.

use std::{collections::HashSet, convert::Infallible, future::Future, time::Duration};

use access::{Caller, Places, Vector};
use axum::{
    body::{Body, Bytes},
    extract::{OptionalFromRequestParts, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, Limited};
use pace::every;
use seal::SealKey;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::{Uuid, uuid};
use web::{BODY_BYTES_MAX, Problem};

use crate::Error;

/// The request header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key, bytes.
pub(crate) const KEY_BYTES_MAX: usize = 255;
/// Namespace of ids that are derived from keys.
const DERIVED_IDS: Uuid = uuid!("5b0c1c0a-6f6e-4d1b-9d0f-3f1f7b7f2a51");
/// Pause between two sweeps of expired keys.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// The idempotency key of a request that has not been answered before. A handler takes it as `Option<Key>`: not every request
/// has one.
#[derive(Clone)]
pub struct Key {
    /// Names the row: a hash of caller, path and raw key.
    id: [u8; 32],
    /// What was asked: a hash of the body.
    fingerprint: [u8; 32],
    seal: SealKey,
}

/// Where a write stands, for the consistency token of the answer that is given again.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// In the log.
    pub log: Vector,
    /// Among the versions of a control plane's configuration.
    pub places: Places,
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
    /// The version of a control plane's configuration that the write made, as text.
    #[serde(default)]
    places: String,
}

#[derive(sqlx::FromRow)]
struct IdempotencyRow {
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

async fn known_answer(pool: &PgPool, request: Request) -> Result<Known, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = read(body).await?;
    let key = Key::of(&parts, &body)?;
    let row: Option<IdempotencyRow> =
        sqlx::query_as("SELECT fingerprint, sealed_answer FROM idempotency WHERE id = $1")
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
            caller.wrote(&written.log);
            caller.shows(&written.places);
        }
        return Ok(Known::Answered(response));
    }
    parts.extensions.insert(key);
    Ok(Known::New(Request::from_parts(parts, Body::from(body))))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let problem = |error: &(dyn std::error::Error + 'static)| {
        Problem::of_body(error).cloned().unwrap_or_else(|| Error::BodyTooLarge.into())
    };
    limited.map(|body| body.to_bytes()).map_err(|error| problem(&*error))
}

impl Key {
    fn of(parts: &Parts, body: &[u8]) -> Result<Self, Error> {
        let raw = parts.headers.get(HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
        if raw.is_empty() || raw.len() > KEY_BYTES_MAX {
            return Err(Error::InvalidKey);
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
    fn replay(&self, row: &IdempotencyRow) -> Result<(Response, Written), Error> {
        if row.fingerprint != self.fingerprint {
            return Err(Error::KeyReused);
        }
        let sealed = row.sealed_answer.as_deref().ok_or(Error::KeyInUse)?;
        let kept = self.seal.open(&self.id, sealed).map_err(unreadable)?;
        let kept: Kept = serde_json::from_slice(&kept).map_err(unreadable)?;
        let mut response = Response::new(Body::from(kept.body));
        *response.status_mut() = StatusCode::from_u16(kept.status).map_err(unreadable)?;
        let headers = response.headers_mut();
        for (name, value) in [(header::CONTENT_TYPE, kept.content_type), (header::ETAG, kept.etag)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        let places = Places::read(&kept.places).map_err(unreadable)?;
        Ok((response, Written { log: kept.written, places }))
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Answer(error.to_string())
}

impl Key {
    /// An id for what the request makes under `purpose`: the same for the same caller, path and key, so that a retry in
    /// another region makes the same row.
    pub fn derived_id(&self, purpose: &str) -> Uuid {
        let mut material = self.id.to_vec();
        material.extend_from_slice(purpose.as_bytes());
        Uuid::new_v5(&DERIVED_IDS, &material)
    }

    /// Takes the key for this transaction, as [`claim`] does; an error if it is not free.
    pub async fn claim(&self, connection: &mut PgConnection) -> Result<(), Error> {
        match claim(connection, &[self]).await?.as_slice() {
            [true] => Ok(()),
            _ => Err(Error::KeyInUse),
        }
    }

    /// The answer that this transaction leads to, sealed. `body` is JSON; `written` is where the write stands.
    pub fn seal_answer(
        &self,
        status: StatusCode,
        etag: Option<&str>,
        body: &str,
        written: Written,
    ) -> Result<SealedAnswer, Error> {
        let kept = Kept {
            status: status.as_u16(),
            content_type: Some("application/json".to_owned()),
            etag: etag.map(str::to_owned),
            body: body.to_owned(),
            written: written.log,
            places: written.places.text(),
        };
        let kept = serde_json::to_vec(&kept).map_err(unreadable)?;
        Ok(SealedAnswer { id: self.id, sealed: self.seal.seal(&self.id, &kept) })
    }

    /// Keeps the answer that this transaction leads to.
    pub async fn keep(
        &self,
        connection: &mut PgConnection,
        status: StatusCode,
        body: &str,
        written: Written,
    ) -> Result<(), Error> {
        keep(connection, &[self.seal_answer(status, None, body, written)?]).await
    }
}

/// An answer as it is kept for its key.
pub struct SealedAnswer {
    id: [u8; 32],
    sealed: Vec<u8>,
}

/// Takes keys for this transaction, in one statement, and waits for other transactions that hold them. Answers of each whether it was free:
/// not if another transaction has used it, nor the second time that it is among these. The transaction stays usable.
pub async fn claim(connection: &mut PgConnection, keys: &[&Key]) -> Result<Vec<bool>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let inserted: Vec<(Vec<u8>,)> = sqlx::query_as(
        "INSERT INTO idempotency (id, fingerprint) SELECT * FROM unnest($1::bytea[], $2::bytea[])
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(keys.iter().map(|key| &key.id[..]).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| &key.fingerprint[..]).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let mut free: HashSet<Vec<u8>> = inserted.into_iter().map(|(id,)| id).collect();
    Ok(keys.iter().map(|key| free.remove(&key.id[..])).collect())
}

/// Lets go of keys claimed in this transaction, which goes on without their requests.
pub async fn release(connection: &mut PgConnection, keys: &[&Key]) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM idempotency WHERE id = ANY($1)")
        .bind(keys.iter().map(|key| &key.id[..]).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps the answers that this transaction leads to, in one statement.
pub async fn keep(connection: &mut PgConnection, answers: &[SealedAnswer]) -> Result<(), Error> {
    if answers.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE idempotency AS i SET sealed_answer = a.sealed
         FROM unnest($1::bytea[], $2::bytea[]) AS a (id, sealed) WHERE i.id = a.id",
    )
    .bind(answers.iter().map(|answer| &answer.id[..]).collect::<Vec<_>>())
    .bind(answers.iter().map(|answer| &answer.sealed[..]).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Key {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// Deletes expired keys, now and every hour, until `stop`.
pub async fn sweep(db: PgPool, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    const EXPIRED: &str = "DELETE FROM idempotency WHERE created_at < now() - interval '24 hours'";
    every(SWEEP_INTERVAL, "expired idempotency keys are swept", stop, async || {
        sqlx::query(EXPIRED).execute(&db).await.map(drop)
    })
    .await;
    Ok(())
}
