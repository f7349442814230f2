//! Rows of pinned certificates.

use std::collections::HashSet;

use ids::{ControlPlaneId, OrganizationId, PinnedCertificateId, kinds};
use postgres::SqlId;
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;

use super::{PER_CONTROL_PLANE_MAX, PER_ORGANIZATION_MAX, Pin, PinError, certificate::Usable};
use crate::{nodes, rows::RowError};

const TABLE: &str = "regional.pinned_certificate";

/// A pinned certificate, as it is shown.
#[derive(Debug, FromRow)]
pub struct PinRow {
    /// Names it in the API.
    pub id: SqlId<kinds::PinnedCertificate>,
    /// What it opens.
    control_plane_id: SqlId<kinds::ControlPlane>,
    /// SHA-256 of the certificate (DER).
    pub sha256: Vec<u8>,
    /// Given by whoever pinned it; may be empty.
    pub title: String,
    /// PEM, as it was sent.
    pub cert: String,
    not_before: OffsetDateTime,
    /// Until when it counts.
    pub not_after: OffsetDateTime,
    /// When it was pinned.
    pub created_at: OffsetDateTime,
}

/// What a new row is made of.
pub struct NewPin<'a> {
    /// Chosen by the caller of [`insert`].
    pub id: PinnedCertificateId,
    /// Free text.
    pub title: &'a str,
    /// As it was sent.
    pub cert: &'a str,
    /// What was read of it.
    pub usable: &'a Usable,
}

/// Pins a certificate. Others of the organization wait until the transaction ends, so that the limits hold.
pub async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    control_plane: ControlPlaneId,
    new: NewPin<'_>,
) -> Result<PinRow, PinError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('pins ' || $1::text, 0))")
        .bind(SqlId(organization))
        .execute(&mut *connection)
        .await
        .map_err(RowError::from)?;
    let (own, all): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE p.control_plane_id = $2), count(*) FROM regional.pinned_certificate AS p
         JOIN regional.control_plane AS c ON c.id = p.control_plane_id WHERE c.organization_id = $1",
    )
    .bind(SqlId(organization))
    .bind(SqlId(control_plane))
    .fetch_one(&mut *connection)
    .await
    .map_err(RowError::from)?;
    if own >= PER_CONTROL_PLANE_MAX.into() || all >= PER_ORGANIZATION_MAX.into() {
        return Err(PinError::TooMany);
    }
    let inserted: Option<PinRow> = sqlx::query_as(
        "INSERT INTO regional.pinned_certificate (id, control_plane_id, sha256, title, cert, not_before, not_after)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sha256) DO NOTHING RETURNING *",
    )
    .bind(SqlId(new.id))
    .bind(SqlId(control_plane))
    .bind(&new.usable.sha256[..])
    .bind(new.title)
    .bind(new.cert)
    .bind(new.usable.not_before)
    .bind(new.usable.not_after)
    .fetch_optional(connection)
    .await
    .map_err(RowError::from)?;
    inserted.ok_or(PinError::Taken)
}

/// All pinned certificates of a control plane, by id; at most [`PER_CONTROL_PLANE_MAX`].
pub async fn list(db: &PgPool, control_plane: ControlPlaneId) -> Result<Vec<PinRow>, RowError> {
    let rows =
        sqlx::query_as("SELECT * FROM regional.pinned_certificate WHERE control_plane_id = $1 ORDER BY id")
            .bind(SqlId(control_plane))
            .fetch_all(db)
            .await?;
    Ok(rows)
}

/// One pinned certificate of a control plane.
pub async fn find(
    db: &PgPool,
    control_plane: ControlPlaneId,
    id: PinnedCertificateId,
) -> Result<Option<PinRow>, RowError> {
    let row =
        sqlx::query_as("SELECT * FROM regional.pinned_certificate WHERE control_plane_id = $1 AND id = $2")
            .bind(SqlId(control_plane))
            .bind(SqlId(id))
            .fetch_optional(db)
            .await?;
    Ok(row)
}

/// What the certificate with this SHA-256 opens; `None` if it is not pinned.
pub async fn opens(db: &PgPool, sha256: &[u8; 32]) -> Result<Option<Pin>, RowError> {
    let row: Option<PinRow> = sqlx::query_as("SELECT * FROM regional.pinned_certificate WHERE sha256 = $1")
        .bind(&sha256[..])
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| Pin {
        id: row.id.into(),
        control_plane: row.control_plane_id.into(),
        not_before: row.not_before,
        not_after: row.not_after,
    }))
}

/// Deletes a pinned certificate and removes its nodes; `false` if there is none. A stream that opens at the same time is either seen
/// here, or finds the row gone: taking a seat locks the row.
#[must_use = "`false`: there is no such certificate"]
pub async fn delete(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: PinnedCertificateId,
) -> Result<bool, RowError> {
    let deleted =
        sqlx::query("DELETE FROM regional.pinned_certificate WHERE control_plane_id = $1 AND id = $2")
            .bind(SqlId(control_plane))
            .bind(SqlId(id))
            .execute(&mut *connection)
            .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    nodes::store::remove_pinned(connection, control_plane, id).await?;
    Ok(true)
}

/// The hashes of all pinned certificates of the region.
pub async fn hashes(db: &PgPool) -> Result<HashSet<[u8; 32]>, RowError> {
    let rows: Vec<(Vec<u8>,)> =
        sqlx::query_as("SELECT sha256 FROM regional.pinned_certificate").fetch_all(db).await?;
    let hash = |(bytes,): (Vec<u8>,)| {
        bytes.try_into().map_err(|_| RowError::unreadable(TABLE, "a hash is 32 bytes"))
    };
    rows.into_iter().map(hash).collect()
}
