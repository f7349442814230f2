//! The pinned certificates that this replica knows of, for TLS handshakes, which cannot ask the database.
//!
//! They are read at the start, when somebody shows a certificate that is none of them (it may have been pinned a moment ago), and now
//! and then. So a handshake may take a certificate that is no longer pinned, which then opens nothing, and may refuse one that was pinned a
//! moment ago; the gateway dials again. Before the first read it refuses all.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::store;
use crate::rows::RowError;

/// Pause between two reads, whoever shows what.
const READ_PAUSE: Duration = Duration::from_millis(200);
/// Pause between two reads while nobody shows an unknown certificate.
const READ_INTERVAL: Duration = Duration::from_secs(10);

/// Hashes of the region's pinned certificates. Clones share them.
#[derive(Clone, Debug)]
pub struct KnownPins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: PgPool,
    hashes: RwLock<HashSet<[u8; 32]>>,
    /// Somebody has shown a certificate that is none of them.
    missed: Notify,
}

impl KnownPins {
    /// None yet. [`KnownPins::run`] has to run.
    pub fn new(db: PgPool) -> Self {
        Self(Arc::new(Inner { db, hashes: RwLock::default(), missed: Notify::new() }))
    }

    /// Whether a certificate with this SHA-256 is pinned, as far as this replica knows.
    pub fn has(&self, sha256: &[u8; 32]) -> bool {
        let has = self.0.hashes.read().unwrap_or_else(PoisonError::into_inner).contains(sha256);
        if !has {
            self.0.missed.notify_one();
        }
        has
    }

    /// Reads them.
    pub async fn read(&self) -> Result<(), RowError> {
        let hashes = store::hashes(&self.0.db).await?;
        *self.0.hashes.write().unwrap_or_else(PoisonError::into_inner) = hashes;
        Ok(())
    }

    /// Reads them again and again, until the drain.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let reading = async {
            loop {
                if let Err(error) = self.read().await {
                    tracing::warn!(%error, "the pinned certificates cannot be read; handshakes go by those that are known");
                }
                tokio::time::sleep(READ_PAUSE).await;
                let _ = timeout(READ_INTERVAL, self.0.missed.notified()).await;
            }
        };
        drain
            .run_until_cancelled(reading)
            .await
            .map_or(Ok(()), |never: std::convert::Infallible| match never {})
    }
}
