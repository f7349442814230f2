//! Tells the region's services which sessions have ended, so that they forget tokens that they remember. A hint: they
//! forget by themselves soon after.
//!
//! Whoever revokes here announces it before answering. What other regions revoked is announced by [`follow`], which
//! reads what their entries changed here.

use ids::{Region, TokenId};
use oplog::{Batch, Cursor, FollowError, Follower, Log};
use tokio_util::sync::CancellationToken;

use crate::apply::Rows;

/// Which sessions have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Session(TokenId),
    /// Any may have: everything that is remembered is to be forgotten.
    Any,
}

/// Announces that sessions have ended.
pub async fn announce(nats: &async_nats::Client, region: &Region, ended: Ended) {
    let subject = access::revocation_subject(region);
    let payload = match ended {
        Ended::Session(id) => id.to_string(),
        Ended::Any => String::new(),
    };
    let published = nats.publish_with_headers(subject, service::nats_headers(), payload.into()).await;
    if let Err(error) = published {
        tracing::warn!(%error, "a revocation was not announced; remembered tokens end within their time");
    }
}

/// Announces what other regions revoked, as it is applied here, until the drain. What was applied before the start is not
/// announced.
pub async fn follow(
    log: Log<Rows>,
    nats: async_nats::Client,
    region: Region,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let mut follower = Follower::<Rows>::new(log.replica(), newest(&log).await?);
    while let Some(batch) = drain.run_until_cancelled(follower.next()).await {
        match batch {
            Ok(Batch::Applied(applied)) => {
                for entry in applied.iter().filter(|entry| entry.dot.origin != *log.origin()) {
                    for id in &entry.effects {
                        announce(&nats, &region, Ended::Session(*id)).await;
                    }
                }
            }
            Ok(Batch::ReadAnew) => {
                follower.go_on_from(newest(&log).await?);
                announce(&nats, &region, Ended::Any).await;
            }
            Err(error @ FollowError::Database(_)) => {
                tracing::warn!(%error, "what other regions revoked could not be read");
            }
            Err(error @ FollowError::Unreadable { .. }) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The end of the local order.
async fn newest(log: &Log<Rows>) -> Result<Cursor, postgres::Error> {
    Cursor::read(&mut *log.db().acquire().await?).await
}
