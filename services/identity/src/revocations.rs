//! Tells the region's services which sessions have ended, so that they forget tokens that they remember. A hint only: a service
//! forgets by itself a quarter of a second later.
//!
//! Whoever revokes here announces it before answering. What other regions revoked is announced by [`follow`], which
//! reads what their entries changed here.

use std::time::Duration;

use ids::{Region, TokenId, subject};
use oplog::{Author, Batch, Cursor, FollowError, Follower, Log};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{apply::Rows, error::Answer, operation::Operation, tokens::store};

/// Pause before what could not be written is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Which sessions have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Those that were made with this access token.
    Session(TokenId),
    /// Any may have: everything that is remembered is to be forgotten.
    Any,
}

/// Among the effects of an entry, in the place of a token: any session may have ended, or begun to be worth something again. No token has
/// this id.
pub const ANY: TokenId = TokenId::from_uuid(Uuid::nil());

impl Ended {
    /// What an effect says.
    fn of(effect: TokenId) -> Self {
        if effect == ANY { Self::Any } else { Self::Session(effect) }
    }
}

/// Announces ended sessions on the region's NATS. Cheap to clone.
#[derive(Clone)]
pub struct Announcer {
    nats: async_nats::Client,
    subject: String,
}

impl Announcer {
    /// Announces to the services of `region`.
    pub fn new(nats: async_nats::Client, region: &Region) -> Self {
        Self { nats, subject: subject::session_revoked(region) }
    }

    /// Announces that sessions have ended. A failure is logged: nobody can do more about it.
    pub async fn announce(&self, ended: Ended) {
        let payload = match ended {
            Ended::Session(id) => id.to_string(),
            Ended::Any => String::new(),
        };
        let headers = service::nats_headers();
        let published = self.nats.publish_with_headers(self.subject.clone(), headers, payload.into()).await;
        if let Err(error) = published {
            tracing::warn!(%error, "a revocation was not announced; services forget the token by themselves");
        }
    }
}

/// Which tokens may have ended with another one while no revocation names them.
#[derive(Debug, PartialEq, Eq)]
enum Unnamed {
    These(Vec<TokenId>),
    Any,
}

/// Announces what other regions revoked, as it is applied here, until the drain. What was applied before the start is not
/// announced; what ended with another token before the start is named as well.
pub async fn follow(log: Log<Rows>, announcer: Announcer, drain: CancellationToken) -> anyhow::Result<()> {
    let mut follower = Follower::<Rows>::new(log.replica(), newest(&log).await?);
    // A process before this one may have ended between an entry and the names of what ended by it.
    let mut unnamed = Unnamed::Any;
    loop {
        unnamed = match name_descendants(&log, &unnamed).await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(%error, "authz was not told of tokens that ended with another; trying again");
                Unnamed::Any
            }
        };
        let batch = tokio::select! {
            () = drain.cancelled() => return Ok(()),
            () = sleep(RETRY_INTERVAL), if unnamed == Unnamed::Any => continue,
            batch = follower.next() => batch,
        };
        match batch {
            Ok(Batch::Applied(applied)) => {
                let others = applied.iter().filter(|entry| entry.dot.origin != *log.origin());
                let ended: Vec<TokenId> = others.flat_map(|entry| entry.effects.iter().copied()).collect();
                for id in &ended {
                    announcer.announce(Ended::of(*id)).await;
                }
                if unnamed == Unnamed::These(Vec::new()) {
                    unnamed = Unnamed::These(ended);
                }
            }
            Ok(Batch::ReadAnew) => match newest(&log).await {
                Ok(newest) => {
                    follower.go_on_from(newest);
                    unnamed = Unnamed::Any;
                    announcer.announce(Ended::Any).await;
                }
                Err(error) => tracing::warn!(%error, "the end of the log could not be read; trying again"),
            },
            Err(error @ FollowError::Database(_)) => {
                tracing::warn!(%error, "what other regions revoked could not be read; trying again");
            }
            Err(error @ FollowError::Unreadable { .. }) => return Err(error.into()),
        }
    }
}

/// Revokes by name what has ended with another token and what whoever revoked that one did not know. Example: us revokes a token while
/// eu makes another one with it. In both regions the new one ends when both entries are there; authz, which knows no lineage, hears
/// of it from here, and refuses signed tokens that were made from it.
async fn name_descendants(log: &Log<Rows>, among: &Unnamed) -> Answer<Unnamed> {
    let ids = match among {
        Unnamed::These(ids) if ids.is_empty() => return Ok(Unnamed::These(Vec::new())),
        Unnamed::These(ids) => Some(&ids[..]),
        Unnamed::Any => None,
    };
    let unnamed = store::ended_by_lineage(log.db(), ids).await?;
    let left = match unnamed.len() as i64 == store::UNNAMED_MAX {
        true => Unnamed::Any,
        false => Unnamed::These(Vec::new()),
    };
    if unnamed.is_empty() {
        return Ok(left);
    }
    let written = log.write(Author::operator(), move |tx| {
        Box::pin(async move {
            for (id, organization, expires_at) in unnamed {
                let revoked = Operation::TokenRevoked { id, expires_at: expires_at.unix_timestamp() };
                tx.append(organization, revoked).await.map_err(mutation::Error::from)?;
            }
            Answer::Ok(())
        })
    });
    written.await?;
    Ok(left)
}

/// The end of the local order.
async fn newest(log: &Log<Rows>) -> Result<Cursor, postgres::Error> {
    Cursor::read(&mut *log.db().acquire().await?).await
}
