//! The right of one stream to write its node's row.

use std::time::Duration;

use ids::{ControlPlaneId, NodeId, OrganizationId, PinnedCertificateId, kinds};
use postgres::SqlId;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Quarantined, store::TABLE};
use crate::{enrolment::key::NodeKey, pins, rows::RowError};

/// A node gets a new certificate no more often than this.
const RENEWAL_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// What a node says of itself when its stream begins.
pub struct Hello {
    /// Name of the node's machine, as the node says.
    pub hostname: String,
    /// Version of the gateway's software.
    pub software_version: String,
    /// Entities that the node holds and does not serve, as its column has them.
    pub quarantined: String,
    /// Wire names of the kinds that the node serves, as their column has them.
    pub kinds: String,
    /// Names of the plugins that the node runs, as their column has them.
    pub plugins: String,
    /// Version of the node's model; 0 if it does not tell.
    pub model_version: u32,
    /// Why the node ended its last stream, if the reason was its own; empty for none.
    pub last_error: String,
}

/// The right of one stream to write its node's row. Only the newest stream of a node has it. Example: a node connects again
/// before its old stream has ended; when the old stream ends, it must not mark the node as gone.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// The control plane of the node's certificate.
    pub control_plane: ControlPlaneId,
    /// The node of the certificate.
    pub node: NodeId,
    /// The key of the certificate.
    pub key: NodeKey,
    /// Made anew for each stream. The node's row names the session that has the seat.
    pub session: Uuid,
}

impl Seat {
    /// Notes how many buckets of a snapshot the node has staged, and of how many; `None`: it is sent no snapshot any more.
    pub async fn note_snapshot(&self, db: &PgPool, staged: Option<(usize, usize)>) -> Result<(), RowError> {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        sqlx::query(
            "UPDATE regional.node SET snapshot_buckets = $4, snapshot_buckets_of = $5
             WHERE control_plane_id = $1 AND id = $2 AND session_id = $3",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .bind(staged.map(|(buckets, _)| number(buckets)))
        .bind(staged.map(|(_, of)| number(of)))
        .execute(db)
        .await?;
        Ok(())
    }

    /// Takes the seat of a node that is known by a pinned certificate, which a node makes for itself when it first comes. `None` if
    /// the certificate is no longer pinned, if the node was removed and shows the certificate that it had then, if its id is that of a
    /// node that has enrolled, or if there are [`pins::NODES_MAX`] others.
    #[must_use = "`None`: the stream may not go on"]
    pub async fn take_pinned(
        &self,
        certificate: PinnedCertificateId,
        db: &PgPool,
        hello: Hello,
    ) -> Result<Option<OrganizationId>, RowError> {
        // The lock keeps the certificate until the row is there for its deletion to find.
        let taken: Option<(SqlId<kinds::Organization>,)> = sqlx::query_as(
            "WITH pin AS (
                 SELECT id, control_plane_id, not_after FROM regional.pinned_certificate
                 WHERE control_plane_id = $1 AND id = $11 FOR KEY SHARE
             )
             INSERT INTO regional.node AS n
                 (control_plane_id, id, session_id, hostname, software_version, quarantined, key_sha256, kinds,
                  plugins, model_version, last_error, last_seen_at, certificate_expires_at, pinned_certificate_id)
             SELECT control_plane_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $13, now(), not_after, id FROM pin
             WHERE EXISTS (SELECT FROM regional.node WHERE control_plane_id = $1 AND id = $2)
                OR (SELECT count(*) FROM regional.node
                    WHERE control_plane_id = $1 AND pinned_certificate_id IS NOT NULL) < $12
             ON CONFLICT (control_plane_id, id) DO UPDATE SET session_id = excluded.session_id,
                 hostname = excluded.hostname, software_version = excluded.software_version,
                 quarantined = excluded.quarantined, key_sha256 = excluded.key_sha256, kinds = excluded.kinds,
                 plugins = excluded.plugins, model_version = excluded.model_version,
                 last_error = coalesce(nullif(excluded.last_error, ''), n.last_error),
                 snapshot_buckets = NULL, snapshot_buckets_of = NULL,
                 last_seen_at = excluded.last_seen_at, left_at = NULL, removed_at = NULL,
                 certificate_expires_at = excluded.certificate_expires_at,
                 pinned_certificate_id = excluded.pinned_certificate_id
             WHERE CASE WHEN n.removed_at IS NULL THEN n.pinned_certificate_id IS NOT NULL
                        ELSE n.pinned_certificate_id IS DISTINCT FROM excluded.pinned_certificate_id END
             RETURNING (SELECT organization_id FROM regional.control_plane AS c WHERE c.id = n.control_plane_id)",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .bind(hello.hostname)
        .bind(hello.software_version)
        .bind(hello.quarantined)
        .bind(self.key.as_bytes())
        .bind(hello.kinds)
        .bind(hello.plugins)
        .bind(hello.model_version.cast_signed())
        .bind(SqlId(certificate))
        .bind(i64::from(pins::NODES_MAX))
        .bind(hello.last_error)
        .fetch_optional(db)
        .await?;
        Ok(taken.map(|(organization,)| organization.into()))
    }

    /// Notes that the node left on purpose.
    pub async fn note_left(&self, db: &PgPool) -> Result<(), RowError> {
        sqlx::query(
            "UPDATE regional.node SET left_at = now()
             WHERE control_plane_id = $1 AND id = $2 AND session_id = $3",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .execute(db)
        .await?;
        Ok(())
    }

    /// Notes that the node has a new certificate, for the key that it has; a node that belonged to no key belongs to this one from
    /// now on. `false` if another stream has the seat by now, the node was removed, or its certificate was renewed less than
    /// [`RENEWAL_INTERVAL_MIN`] ago.
    #[must_use = "`false`: the node gets no certificate"]
    pub async fn note_renewed(&self, db: &PgPool, expires_at: OffsetDateTime) -> Result<bool, RowError> {
        let renewed = sqlx::query(
            "UPDATE regional.node SET certificate_expires_at = $4, key_sha256 = $5
             WHERE control_plane_id = $1 AND id = $2 AND session_id = $3 AND removed_at IS NULL
               AND certificate_expires_at <= $4 - make_interval(secs => $6)",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .bind(expires_at)
        .bind(self.key.as_bytes())
        .bind(RENEWAL_INTERVAL_MIN.as_secs_f64())
        .execute(db)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }
}

/// A list of names as its column has it.
pub fn json(names: &[String]) -> Result<String, RowError> {
    serde_json::to_string(names).map_err(|error| RowError::unreadable(TABLE, error))
}

/// As the column `quarantined` has it.
pub fn encode(quarantined: &[Quarantined]) -> Result<String, RowError> {
    serde_json::to_string(quarantined).map_err(|error| RowError::unreadable(TABLE, error))
}
