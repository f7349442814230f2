//! When each token was last used in this region: noted in memory where a token is resolved, and written once a minute for all of them. So
//! no request waits for it, and a process that is killed loses a minute.
//!
//! Regional: a token that is used all the time would otherwise make an entry of a log a minute, for every region to apply. Each region shows
//! what it has seen. A signed token counts as a use of its access token when it is made, not when it is shown.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ids::{OrganizationId, TokenId};
use postgres::{Error, SqlId};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// Pause between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);
/// Tokens that are noted between two writes. The use of a further one is not noted.
const NOTED_MAX: usize = 100_000;
/// Tokens in one statement.
const BATCH: usize = 5000;

type Noted = HashMap<TokenId, (OrganizationId, OffsetDateTime)>;

/// The uses since they were last written. Cheap to clone.
#[derive(Clone, Default)]
pub struct Uses(Arc<Mutex<Noted>>);

impl Uses {
    /// The token `id` opens something at `now`.
    pub fn note(&self, organization: OrganizationId, id: TokenId, now: OffsetDateTime) {
        let mut noted = self.noted();
        if noted.len() < NOTED_MAX || noted.contains_key(&id) {
            noted.insert(id, (organization, now));
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was noted, every minute and at the end, until `drain`.
    pub async fn run(self, db: PgPool, drain: CancellationToken) -> anyhow::Result<()> {
        let stop = drain.cancelled_owned();
        pace::every(WRITE_INTERVAL, "the last use of tokens is written", stop, || self.write(&db)).await;
        if let Err(error) = self.write(&db).await {
            tracing::warn!(%error, "the last use of tokens within this minute was not written");
        }
        Ok(())
    }

    /// Writes what was noted. What cannot be written is lost: the next use is noted again.
    pub async fn write(&self, db: &PgPool) -> Result<(), Error> {
        let noted: Vec<_> = std::mem::take(&mut *self.noted()).into_iter().collect();
        for batch in noted.chunks(BATCH) {
            // Tokens of an organization that was deleted meanwhile are not there.
            sqlx::query(
                "INSERT INTO regional.token_use (token_id, organization_id, used_at)
                 SELECT used.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS used (id, organization, at)
                 WHERE EXISTS (SELECT FROM replicated.token AS t WHERE t.id = used.id)
                 ORDER BY used.id
                 ON CONFLICT (token_id) DO UPDATE SET used_at = greatest(token_use.used_at, excluded.used_at)",
            )
            .bind(batch.iter().map(|(id, _)| SqlId(*id)).collect::<Vec<_>>())
            .bind(batch.iter().map(|(_, (organization, _))| SqlId(*organization)).collect::<Vec<_>>())
            .bind(batch.iter().map(|(_, (_, at))| *at).collect::<Vec<_>>())
            .execute(db)
            .await?;
        }
        Ok(())
    }
}
