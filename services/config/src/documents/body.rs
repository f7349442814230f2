//! Receives a document: however large it is, little of it is in memory.

use access::{Turn, Turns};
use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use futures::StreamExt as _;
use gateway_model::declarative::{DOCUMENT_BYTES_MAX, stream::STREAM_BYTES_MAX};
use ids::OrganizationId;
use web::{Problem, ProblemType};

use super::spool::{Spool, Spools};
use crate::{
    error::Answer,
    validation::{Unread, in_place},
};

/// A document that has arrived.
pub struct Received {
    /// Its text.
    pub text: Spool,
    /// Of its text.
    pub hash: [u8; 32],
    /// A share of the disk, if it takes one.
    pub turn: Option<Turn>,
}

/// Receives a document of `organization`. What does not fit in memory waits for one of `turns` first.
pub async fn receive(
    spools: &Spools,
    turns: &Turns,
    organization: OrganizationId,
    headers: &HeaderMap,
    body: Body,
) -> Answer<Received> {
    let limit = if is_json(headers) { STREAM_BYTES_MAX } else { DOCUMENT_BYTES_MAX as u64 };
    let (mut text, mut hasher, mut turn) = (spools.spool(), blake3::Hasher::new(), None);
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| {
            let broken = || Problem::new(ProblemType::MalformedBody, "the body broke off before its end");
            Problem::of_body(&error).cloned().unwrap_or_else(broken)
        })?;
        if text.bytes() + part.len() as u64 > limit {
            let detail = format!(
                "a document may have at most {limit} bytes here; JSON, sent as application/json, may have {STREAM_BYTES_MAX}"
            );
            return Err(Problem::new(ProblemType::BodyTooLarge, detail).into());
        }
        if turn.is_none() && text.outgrows_memory(&part) {
            turn = Some(turns.take(organization).await.map_err(Unread::from)?);
        }
        hasher.update(&part);
        let is_for_disk = turn.is_some();
        let mut append = || text.append(&part);
        // The runtime moves the other tasks of this thread to another thread while a block is written.
        let appended = if is_for_disk { in_place(append) } else { append() };
        appended.map_err(super::not_kept)?;
    }
    Ok(Received { text, hash: *hasher.finalize().as_bytes(), turn })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}
