//! The history of edges: every grant and every revocation. The merge rule is asked with them.

use std::collections::BTreeSet;

use ids::OrganizationId;
use oplog::{ApplyError, columns};
use postgres::{Error, SqlId};
use replication::{
    Entry, Vector,
    merge::{self, Grant, Revocation, Standing},
};
use sqlx::{PgConnection, types::Uuid};

/// Those of `edges` that no grant keeps alive.
pub async fn dead_edges(connection: &mut PgConnection, edges: &BTreeSet<Uuid>) -> Result<Vec<Uuid>, Error> {
    let dead: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT id FROM unnest($1::uuid[]) AS edge (id)
         WHERE NOT EXISTS (SELECT FROM replicated.edge_grant WHERE edge_id = id AND NOT ended AND NOT void)",
    )
    .bind(edges.iter().copied().collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(dead.into_iter().map(|(id,)| id).collect())
}

#[derive(sqlx::FromRow)]
struct GrantRow {
    origin: String,
    seq: i64,
    epoch: i64,
    edge_id: Uuid,
    deps: String,
    authority: Vec<Uuid>,
    ended: bool,
    void: bool,
}

#[derive(sqlx::FromRow)]
struct RevocationRow {
    origin: String,
    seq: i64,
    epoch: i64,
    subject_id: Uuid,
    deps: String,
}

impl TryFrom<GrantRow> for (Grant, Standing) {
    type Error = Error;

    fn try_from(row: GrantRow) -> Result<Self, Error> {
        let grant = Grant {
            edge: row.edge_id,
            dot: columns::dot(&row.origin, row.epoch, row.seq)?,
            deps: serde_json::from_str(&row.deps).map_err(Error::undecodable)?,
            authority: row.authority,
        };
        Ok((grant, Standing { ended: row.ended, void: row.void }))
    }
}

impl TryFrom<RevocationRow> for Revocation {
    type Error = Error;

    fn try_from(row: RevocationRow) -> Result<Self, Error> {
        Ok(Self {
            subject: row.subject_id,
            dot: columns::dot(&row.origin, row.epoch, row.seq)?,
            deps: serde_json::from_str(&row.deps).map_err(Error::undecodable)?,
        })
    }
}

/// Every grant of `edges`, and what has become of it.
pub async fn grants_of(
    connection: &mut PgConnection,
    edges: &[Uuid],
) -> Result<Vec<(Grant, Standing)>, Error> {
    let rows: Vec<GrantRow> = sqlx::query_as("SELECT * FROM replicated.edge_grant WHERE edge_id = ANY($1)")
        .bind(edges)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(TryFrom::try_from).collect()
}

/// Every revocation of `subjects`.
pub async fn revocations_of(
    connection: &mut PgConnection,
    subjects: &[Uuid],
) -> Result<Vec<Revocation>, Error> {
    let rows: Vec<RevocationRow> =
        sqlx::query_as("SELECT * FROM replicated.revocation WHERE subject_id = ANY($1)")
            .bind(subjects)
            .fetch_all(connection)
            .await?;
    rows.into_iter().map(TryFrom::try_from).collect()
}

/// Every grant of the revoked edge, and every grant of the organization that the revocation's writer had not seen.
pub async fn grants_beside(
    connection: &mut PgConnection,
    organization: OrganizationId,
    revocation: &Revocation,
) -> Result<Vec<(Grant, Standing)>, Error> {
    let mut seen = revocation.deps.clone();
    // A writer has seen its own log up to its operation, unless its deps say less.
    if seen.get(&revocation.dot.origin).is_none() {
        seen.advance(&revocation.dot.origin, revocation.dot.position);
    }
    let rows: Vec<GrantRow> = sqlx::query_as(
        "SELECT * FROM replicated.edge_grant AS beside
         WHERE edge_id = $1
            OR (organization_id = $2 AND NOT EXISTS (
                SELECT FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS seen (origin, epoch, seq)
                WHERE seen.origin = beside.origin AND (beside.epoch, beside.seq) <= (seen.epoch, seen.seq)))",
    )
    .bind(revocation.subject)
    .bind(SqlId(organization))
    .bind(seen.iter().map(|(origin, _)| origin.to_string()).collect::<Vec<_>>())
    .bind(seen.iter().map(|(_, position)| columns::epoch(*position)).collect::<Vec<_>>())
    .bind(seen.iter().map(|(_, position)| columns::seq(*position)).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TryFrom::try_from).collect()
}

/// Stores a grant. One that is stored already stays as it is.
pub async fn insert_grant(
    connection: &mut PgConnection,
    entry: &Entry,
    new: &Grant,
    standing: Standing,
) -> Result<(), ApplyError> {
    sqlx::query(
        "INSERT INTO replicated.edge_grant
         (origin, seq, epoch, organization_id, edge_id, deps, authority, ended, void)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(new.dot.origin.to_string())
    .bind(columns::seq(new.dot.position))
    .bind(columns::epoch(new.dot.position))
    .bind(SqlId(entry.organization))
    .bind(new.edge)
    .bind(json(&new.deps)?)
    .bind(&new.authority)
    .bind(standing.ended)
    .bind(standing.void)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores a revocation. One that is stored already stays as it is.
pub async fn insert_revocation(
    connection: &mut PgConnection,
    entry: &Entry,
    new: &Revocation,
) -> Result<(), ApplyError> {
    sqlx::query(
        "INSERT INTO replicated.revocation (origin, seq, epoch, organization_id, subject_id, deps)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(new.dot.origin.to_string())
    .bind(columns::seq(new.dot.position))
    .bind(columns::epoch(new.dot.position))
    .bind(SqlId(entry.organization))
    .bind(new.subject)
    .bind(json(&new.deps)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what has become of a grant.
pub async fn update_standing(connection: &mut PgConnection, change: &merge::Change) -> Result<(), Error> {
    sqlx::query(
        "UPDATE replicated.edge_grant SET ended = $5, void = $6
         WHERE edge_id = $1 AND origin = $2 AND epoch = $3 AND seq = $4",
    )
    .bind(change.edge)
    .bind(change.dot.origin.to_string())
    .bind(columns::epoch(change.dot.position))
    .bind(columns::seq(change.dot.position))
    .bind(change.standing.ended)
    .bind(change.standing.void)
    .execute(connection)
    .await?;
    Ok(())
}

fn json(vector: &Vector) -> Result<String, Error> {
    serde_json::to_string(vector).map_err(Error::unencodable)
}
