//! What nodes report, written in groups: whatever has come in while one statement ran is written by the next one. So the number of
//! statements per second is bounded by how long one takes, however many nodes there are, and a single report does not wait.

use std::{collections::HashSet, sync::Arc};

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{
    Report,
    seat::{Seat, encode},
};
use crate::rows::RowError;

/// Most reports of one statement.
const BATCH_MAX: usize = 1000;
/// Reports that wait; whoever has the next one waits until there is room.
const QUEUE_MAX: usize = 4000;

/// A report of a node, and who waits for it to be written.
struct Waiting {
    seat: Seat,
    /// `None`: the node has sent something, no more.
    applied: Option<Report>,
    /// Whether the node still has the seat.
    answer: oneshot::Sender<Result<bool, Arc<RowError>>>,
}

/// Writes the reports of all nodes of this process. Cheap to clone.
#[derive(Clone)]
pub struct Registry(mpsc::Sender<Waiting>);

/// A report was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotNoted {
    /// The statement failed, for all reports that it was to write.
    #[error(transparent)]
    Rows(#[from] Arc<RowError>),
    #[error("the registry of nodes has ended")]
    Ended,
}

impl Registry {
    /// Starts the task that writes. It ends with the last clone.
    pub fn start(db: PgPool) -> Self {
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
                write_and_answer(&db, std::mem::take(&mut batch)).await;
            }
        });
        Self(queue)
    }

    /// Notes that the node has sent something. `false` if another stream has the seat by now, or the node was removed.
    pub async fn note_seen(&self, seat: &Seat) -> Result<bool, NotNoted> {
        self.note(seat, None).await
    }

    /// Notes what the node says that it has applied. `false` as in [`Registry::note_seen`].
    pub async fn note_applied(&self, seat: &Seat, report: Report) -> Result<bool, NotNoted> {
        self.note(seat, Some(report)).await
    }

    async fn note(&self, seat: &Seat, applied: Option<Report>) -> Result<bool, NotNoted> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { seat: *seat, applied, answer };
        self.0.send(waiting).await.map_err(|_| NotNoted::Ended)?;
        Ok(answered.await.map_err(|_| NotNoted::Ended)??)
    }
}

async fn write_and_answer(db: &PgPool, batch: Vec<Waiting>) {
    let seated = write(db, &batch).await.map_err(Arc::new);
    for Waiting { seat, answer, .. } in batch {
        // A stream that has ended meanwhile waits no more.
        let _ = answer.send(seated.as_ref().map(|seated| seated.contains(&seat.session)).map_err(Arc::clone));
    }
}

/// Writes the reports of those that have their seat; answers their sessions.
async fn write(db: &PgPool, batch: &[Waiting]) -> Result<HashSet<Uuid>, RowError> {
    let reports = || batch.iter().map(|waiting| waiting.applied.as_ref());
    let quarantined = reports().map(|report| report.map(|report| encode(&report.quarantined)).transpose());
    let quarantined: Vec<Option<String>> = quarantined.collect::<Result<_, _>>()?;
    let number = |of: fn(&Report) -> u64| {
        reports().map(|report| report.map(|report| of(report).cast_signed())).collect::<Vec<Option<i64>>>()
    };
    let seated: Vec<(Uuid,)> = sqlx::query_as(
        "UPDATE regional.node AS n
         SET last_seen_at = now(),
             applied_at = CASE WHEN r.version IS NULL THEN n.applied_at ELSE now() END,
             applied_epoch = coalesce(r.incarnation, n.applied_epoch),
             applied_version = coalesce(r.version, n.applied_version),
             applied_digest = coalesce(r.digest, n.applied_digest),
             digest_matches = coalesce(r.digest_matches, n.digest_matches),
             derive_us = coalesce(r.derive_us, n.derive_us), commit_us = coalesce(r.commit_us, n.commit_us),
             last_error = coalesce(r.last_error, n.last_error),
             quarantined = coalesce(r.quarantined, n.quarantined)
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bool[], $7::bigint[],
                     $8::bigint[], $9::text[], $10::text[], $11::bytea[])
              AS r (control_plane_id, id, session_id, incarnation, version, digest_matches, derive_us, commit_us,
                    last_error, quarantined, digest)
         WHERE n.control_plane_id = r.control_plane_id AND n.id = r.id AND n.session_id = r.session_id
           AND n.removed_at IS NULL
         RETURNING n.session_id",
    )
    .bind(batch.iter().map(|waiting| waiting.seat.control_plane.uuid()).collect::<Vec<_>>())
    .bind(batch.iter().map(|waiting| waiting.seat.node.uuid()).collect::<Vec<_>>())
    .bind(batch.iter().map(|waiting| waiting.seat.session).collect::<Vec<_>>())
    .bind(number(|report| report.incarnation))
    .bind(number(|report| report.version))
    .bind(reports().map(|report| report.map(|report| report.digest_matches)).collect::<Vec<_>>())
    .bind(number(|report| report.derive_us))
    .bind(number(|report| report.commit_us))
    .bind(reports().map(|report| report.map(|report| report.error.clone())).collect::<Vec<_>>())
    .bind(quarantined)
    .bind(reports().map(|report| report.map(|report| report.digest.clone())).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    Ok(seated.into_iter().map(|(session,)| session).collect())
}
