//! Rows of names, at home and on their way there.

use ids::{OrganizationId, PrincipalId, TokenId, kinds};
use postgres::{Error, SqlId};
use sqlx::{PgConnection, PgExecutor};

use super::Print;

/// Keeps the name of a token, which belongs to this region. `false`: the token is not here, or is not called so.
pub async fn keep(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    token: TokenId,
    print: &Print,
    name: &str,
) -> Result<bool, Error> {
    let kept = sqlx::query(
        "WITH token AS (
             SELECT id, organization_id, principal_id FROM replicated.token
             WHERE organization_id = $1 AND id = $2 AND name_print = $3 LIMIT 1),
         kept AS (
             INSERT INTO resident.token_name (token_id, print, organization_id, principal_id, name)
             SELECT id, $3, organization_id, principal_id, $4 FROM token ON CONFLICT (token_id, print) DO NOTHING)
         SELECT FROM token",
    )
    .bind(SqlId(organization))
    .bind(SqlId(token))
    .bind(&print[..])
    .bind(name)
    .fetch_optional(executor)
    .await?;
    Ok(kept.is_some())
}

/// Deletes the names of a principal that was removed.
pub async fn forget(connection: &mut PgConnection, principal: PrincipalId) -> Result<(), Error> {
    sqlx::query("DELETE FROM resident.token_name WHERE principal_id = $1")
        .bind(SqlId(principal))
        .execute(connection)
        .await?;
    Ok(())
}

/// A name that has to be sent home.
pub struct Underway {
    /// Whose name it is.
    pub token: TokenId,
    /// Of the name.
    pub print: Print,
    /// The token's.
    pub organization: OrganizationId,
    /// The name, for the purpose [`purpose`].
    pub sealed: Vec<u8>,
    /// Where it has to go.
    pub home: String,
}

/// What the name of `token` is sealed for.
pub fn purpose(token: TokenId) -> [u8; 16] {
    token.uuid().into_bytes()
}

/// Notes a name that has to be sent home.
pub async fn send(
    connection: &mut PgConnection,
    organization: OrganizationId,
    token: TokenId,
    print: &Print,
    sealed: &[u8],
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO regional.token_name_underway (token_id, print, organization_id, sealed) VALUES ($1, $2, $3, $4)
         ON CONFLICT (token_id, print) DO NOTHING",
    )
    .bind(SqlId(token))
    .bind(&print[..])
    .bind(SqlId(organization))
    .bind(sealed)
    .execute(connection)
    .await?;
    Ok(())
}

/// At most `limit` names that have to be sent home, the oldest first.
pub async fn underway(executor: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Underway>, Error> {
    type Row = (SqlId<kinds::Token>, Vec<u8>, SqlId<kinds::Organization>, Vec<u8>, String);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT n.token_id, n.print, n.organization_id, n.sealed, o.home_region
         FROM regional.token_name_underway AS n JOIN replicated.organization AS o ON o.id = n.organization_id
         ORDER BY n.created_at LIMIT $1",
    )
    .bind(limit)
    .fetch_all(executor)
    .await?;
    let read = |(token, print, organization, sealed, home): Row| {
        let print = print.try_into().map_err(|_| Error::undecodable("a fingerprint of another length"))?;
        Ok(Underway { token: token.into(), print, organization: organization.into(), sealed, home })
    };
    rows.into_iter().map(read).collect()
}

/// Forgets a name that has arrived.
pub async fn arrived(executor: impl PgExecutor<'_>, token: TokenId, print: &Print) -> Result<(), Error> {
    sqlx::query("DELETE FROM regional.token_name_underway WHERE token_id = $1 AND print = $2")
        .bind(SqlId(token))
        .bind(&print[..])
        .execute(executor)
        .await?;
    Ok(())
}
