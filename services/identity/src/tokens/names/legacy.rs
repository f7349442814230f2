//! Names that earlier releases wrote into replicated rows, and that stand in clear in old entries of logs.

use ids::{OrganizationId, Region, TokenId, kinds};
use postgres::{Error, SqlId};
use sqlx::{PgConnection, PgPool};

use super::{Prints, store};

/// Rows that are changed in one transaction.
const BATCH_MAX: i64 = 500;

/// Moves the names of personal tokens out of the replicated rows, into the rows of people where `region` is their home. Finds nothing the
/// next time.
pub async fn move_out(db: &PgPool, region: &Region, prints: &Prints) -> Result<u64, Error> {
    type Row = (Vec<u8>, SqlId<kinds::Token>, SqlId<kinds::Organization>, String);
    let mut moved = 0;
    loop {
        let mut tx = db.begin().await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT sha256, id, organization_id, name FROM replicated.token
             WHERE principal_kind = 'user' AND name <> '' LIMIT $1 FOR UPDATE SKIP LOCKED",
        )
        .bind(BATCH_MAX)
        .fetch_all(&mut *tx)
        .await?;
        if rows.is_empty() {
            return Ok(moved);
        }
        for (sha256, id, organization, name) in rows {
            hide(&mut tx, (organization.into(), id.into()), &sha256, &name, region, prints).await?;
            moved += 1;
        }
        tx.commit().await?;
    }
}

/// Puts the fingerprint in the place of a personal token's name, and keeps the name if `region` is its home.
pub async fn hide(
    connection: &mut PgConnection,
    (organization, token): (OrganizationId, TokenId),
    sha256: &[u8],
    name: &str,
    region: &Region,
    prints: &Prints,
) -> Result<(), Error> {
    let print = prints.of(organization, name);
    let home: Option<(String,)> = sqlx::query_as(
        "WITH hidden AS (UPDATE replicated.token SET name = '', name_print = $2 WHERE sha256 = $1)
         SELECT home_region FROM replicated.organization WHERE id = $3",
    )
    .bind(sha256)
    .bind(&print[..])
    .bind(SqlId(organization))
    .fetch_optional(&mut *connection)
    .await?;
    if home.is_some_and(|(home,)| home == region.as_str()) {
        store::keep(connection, organization, token, &print, name).await?;
    }
    Ok(())
}
