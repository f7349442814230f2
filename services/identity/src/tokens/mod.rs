//! Access tokens of people and of system accounts. Only the SHA-256 of a token's text is stored; it is the primary key.
//!
//! Replicated edges: made and revoked in any region. A request to make a token that is repeated in another region makes the
//! same token there: it has one id and two texts, and each text is a row.

pub mod apply;
pub mod http;
mod mint;
pub mod names;
pub mod store;
pub mod uses;

use ids::{PrincipalId, TokenId};
pub use mint::{Maker, Name, NewToken, mint};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use self::names::Print;
use crate::{app::Tx, operation::Operation};

/// What can go wrong with an access token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// The principal has no such token.
    #[error("no such access token")]
    Absent,
    /// The principal has so many active tokens, as many as the settings allow. Regions that make tokens at the same time may go beyond it
    /// together.
    #[error("too many active tokens")]
    LimitReached(usize),
    /// The organization has as many tokens as the platform operator lets it have.
    #[error("too many active tokens of the organization")]
    OrganizationLimitReached(u32),
    /// The request's idempotency key made a token of another name before.
    #[error("the idempotency key was used for another token")]
    KeyReused,
    /// The token that the request made when it came before has been revoked.
    #[error("the token that this request made has been revoked since")]
    RevokedSince,
    /// The access token of the request ended while the request was under way.
    #[error("the token of the request has ended")]
    ParentEnded,
    /// The access token of the request has not arrived in this region, so that nobody knows here when it ends.
    #[error("the token of the request has not arrived in this region")]
    ParentNotArrived,
    /// It is revoked here, but authz has not applied that in time and may still allow sessions that were made from it.
    #[error("authz has not applied the revocation in time")]
    StillHonoured,
    /// A region of an earlier release would not read it.
    #[error("tokens can be renamed once every region runs this release")]
    RenamedTooEarly,
    /// A fault of ours.
    #[error("a token that was just made is not there")]
    Lost,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// Whether a token can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It can.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked, or its principal was removed.
    Revoked,
}

/// What is shown of a token: never its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is called. `null` in the answer of a region that does not know it: the name of a person's token is known in the
    /// organization's home region only.
    pub name: Option<String>,
    /// What its maker called it first, if it was renamed since.
    #[serde(skip)]
    pub first_name: Option<String>,
    /// The fingerprint of a person's token's name.
    #[serde(skip)]
    pub print: Option<Print>,
    /// Whether it can be used.
    pub state: TokenState,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When its name last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// When it ends by itself.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was revoked, if it was.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
    /// When it last opened something in the region that answers, to the minute. `null` if it never has.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
}

/// Gives a token another name; answers it as it is then. One that has ended is [`Error::Absent`].
async fn rename(
    tx: &mut Tx<'_>,
    principal: PrincipalId,
    id: TokenId,
    name: Option<String>,
) -> Result<Token, Error> {
    let now = tx.at();
    let before = store::find_live(tx.connection(), principal, id, now).await?.ok_or(Error::Absent)?;
    match name.filter(|name| before.name.as_ref() != Some(name)) {
        None => Ok(before),
        Some(name) => {
            tx.append(Operation::TokenRenamed { id, name }).await?;
            store::find_live(tx.connection(), principal, id, now).await?.ok_or(Error::Lost)
        }
    }
}

/// Revokes one token and what was made with it; answers the sequence number of the last revocation in this region's log. A token that
/// is revoked already is revoked again, so that a request that is repeated also waits for authz.
///
/// What was made with it ends by the lineage already. It is named besides for authz, which knows sessions and no lineage.
async fn revoke(tx: &mut Tx<'_>, principal: PrincipalId, id: TokenId) -> Result<u64, Error> {
    let expires_at = store::expiry(tx.connection(), principal, id).await?.ok_or(Error::Absent)?;
    let (organization, now) = (tx.organization(), tx.at());
    let below = store::descendants(tx.connection(), organization, &[id], now).await?;
    let mut seq = 0;
    for (id, expires_at) in below.into_iter().chain([(id, expires_at)]) {
        let revoked = Operation::TokenRevoked { id, expires_at: expires_at.unix_timestamp() };
        seq = tx.append(revoked).await?.seq;
    }
    Ok(seq)
}

/// Revokes the session `id`, which ends at `ends_at`; answers the place of the revocation in this region's log.
pub async fn revoke_session(
    tx: &mut Tx<'_>,
    id: TokenId,
    ends_at: OffsetDateTime,
) -> Result<u64, mutation::Error> {
    let revoked = Operation::TokenRevoked { id, expires_at: ends_at.unix_timestamp() };
    Ok(tx.append(revoked).await?.seq)
}

/// Revokes every token and session of `principal` that can still be used, and what was made with them.
pub async fn revoke_all(tx: &mut Tx<'_>, principal: PrincipalId) -> Result<(), mutation::Error> {
    let (organization, now) = (tx.organization(), tx.at());
    let own = store::usable(tx.connection(), principal, now).await?;
    let roots: Vec<TokenId> = own.iter().map(|(id, _)| *id).collect();
    let below = store::descendants(tx.connection(), organization, &roots, now).await?;
    for (id, expires_at) in below.into_iter().chain(own) {
        let revoked = Operation::TokenRevoked { id, expires_at: expires_at.unix_timestamp() };
        tx.append(revoked).await?;
    }
    Ok(())
}
