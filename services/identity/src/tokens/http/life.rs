//! How long a token may live: no longer than a year, nor than the token that it is made with.

use access::Caller;
use ids::TokenId;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use web::FieldError;

use super::{
    Error,
    store::{self, Root},
};
use crate::{
    app::{App, Tx},
    error::Answer,
};

/// Life of a token whose maker names no end.
pub(super) const DEFAULT: Duration = Duration::days(90);
/// Longest life of a token.
pub(super) const MAX: Duration = Duration::days(366);

/// What bounds the life of a token that a request makes.
pub(super) struct Bounds {
    /// When it ends at the latest.
    pub latest: OffsetDateTime,
    /// What it ends with. A token that somebody makes in the console goes on when the console is closed: it ends with nothing.
    pub parent: Option<TokenId>,
}

/// What bounds the life of a token that `caller` makes at `now`.
pub(super) async fn bounds(app: &App, caller: &Caller, now: OffsetDateTime) -> Answer<Bounds> {
    let id = caller.session.id;
    let root = root(app, caller, id).await?;
    Ok(match root.is_session {
        true => Bounds { latest: now + MAX, parent: None },
        false => Bounds { latest: root.expires_at.min(now + MAX), parent: Some(id) },
    })
}

/// When the token `id` of the caller's organization ends: what is made with it ends no later.
pub(super) async fn latest_end(app: &App, caller: &Caller, id: TokenId) -> Answer<OffsetDateTime> {
    Ok(root(app, caller, id).await?.expires_at)
}

async fn root(app: &App, caller: &Caller, id: TokenId) -> Answer<Root> {
    let find = async || store::root(&app.db, caller.organization(), id).await;
    if let Some(root) = find().await? {
        return Ok(root);
    }
    // A signed token can be used in a region before the access token behind it has arrived there.
    app.settle().await?;
    Ok(find().await?.ok_or(Error::ParentNotArrived)?)
}

/// The end that was asked for, or `default`. One that was asked for is never shortened: what lies behind `latest` is refused.
pub(super) fn end_within(
    asked: Option<OffsetDateTime>,
    default: OffsetDateTime,
    now: OffsetDateTime,
    latest: OffsetDateTime,
) -> Result<OffsetDateTime, FieldError> {
    let Some(asked) = asked else { return Ok(default.min(latest)) };
    if asked > now && asked <= latest {
        return Ok(asked);
    }
    let shown = latest.format(&Rfc3339).unwrap_or_else(|_| latest.to_string());
    let reason = format!(
        "must lie in the future and at the latest at {shown}: 366 days from now, or the end of the token that it is made with"
    );
    Err(FieldError { field: "expires_at".to_owned(), reason })
}

/// Refuses an end of the token `id` that what was made with it would outlive.
pub(super) async fn no_earlier_than_descendants(
    tx: &mut Tx<'_>,
    id: TokenId,
    end: OffsetDateTime,
) -> Answer<()> {
    let (organization, now) = (tx.organization(), tx.at());
    let below = store::descendants(tx.connection(), organization, &[id], now).await?;
    let Some(last) = below.into_iter().map(|(_, end)| end).max().filter(|last| *last > end) else {
        return Ok(());
    };
    let shown = last.format(&Rfc3339).unwrap_or_else(|_| last.to_string());
    let reason = format!(
        "must not lie before {shown}, when the last token that was made with it ends; revoke that one first"
    );
    Err(FieldError { field: "expires_at".to_owned(), reason }.into())
}
