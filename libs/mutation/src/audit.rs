//! The audit log: one entry for each write, in the transaction of the write. The one place that inserts them.

use std::borrow::Cow;

use ids::{OrganizationId, PrincipalId, TokenId};
use postgres::{Error, SqlId};
use sqlx::PgConnection;

/// Who did what, to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The organization in whose audit log the entry stands.
    pub organization: OrganizationId,
    /// `None` for the operator and for services.
    pub actor: Option<PrincipalId>,
    /// The access token of the request; `None` where nobody's token was used.
    pub session: Option<TokenId>,
    /// As in `team.create`.
    pub action: Cow<'static, str>,
    /// What the write was about: an id, or a path of ids.
    pub target: String,
}

/// Writes `entries`, in one statement.
pub async fn insert(connection: &mut PgConnection, entries: &[Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audit (organization_id, actor_id, session_id, action, target)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])",
    )
    .bind(entries.iter().map(|entry| SqlId(entry.organization)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.actor.map(SqlId)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.session.map(SqlId)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.action.as_ref()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.target.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
