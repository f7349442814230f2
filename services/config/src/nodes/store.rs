//! Rows of nodes. A stream writes its node's row (`seat`); people read and remove rows. A node that was not heard of for a while is no longer
//! listed; its row stays as long as its certificate is valid or may be renewed, so that it may come back.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use gateway_model::Kind;
use ids::{ControlPlaneId, EnrolmentTokenId, NodeId, PinnedCertificateId, kinds};
use postgres::SqlId;
use sqlx::{FromRow, PgConnection, PgPool};
use sync::Digest;
use time::OffsetDateTime;

use super::{Compatibility, Node, Snapshot, State, lag};
use crate::{enrolment::ca::Issued, rows::RowError};

pub(super) const TABLE: &str = "regional.node";

/// What every node is, in the field `type`.
const NODE_TYPE: &str = "landbridge";

#[derive(FromRow)]
struct NodeRow {
    id: SqlId<kinds::Node>,
    hostname: String,
    software_version: String,
    last_seen_at: Option<OffsetDateTime>,
    left_at: Option<OffsetDateTime>,
    applied_at: Option<OffsetDateTime>,
    applied_version: i64,
    applied_digest: Option<Vec<u8>>,
    digest_matches: bool,
    /// How many versions the control plane is ahead; `None` if the node holds another incarnation.
    versions_behind: Option<i64>,
    /// [`lag::OF_NODE`].
    lag_seconds: Option<f64>,
    /// Whether the node has applied the head of its control plane.
    at_head: bool,
    derive_us: i64,
    commit_us: i64,
    last_error: String,
    snapshot_buckets: Option<i32>,
    snapshot_buckets_of: Option<i32>,
    quarantined: String,
    kinds: String,
    plugins: String,
    model_version: i32,
    certificate_expires_at: OffsetDateTime,
    pinned_certificate_id: Option<SqlId<kinds::PinnedCertificate>>,
    created_at: OffsetDateTime,
    /// The database's time, in which `last_seen_at` was written.
    now: OffsetDateTime,
}

impl TryFrom<NodeRow> for Node {
    type Error = RowError;

    fn try_from(row: NodeRow) -> Result<Self, RowError> {
        let state = match (row.left_at, row.last_seen_at) {
            (Some(_), _) => State::Gone,
            (None, None) => State::Enrolled,
            (None, Some(seen)) if row.now - seen > sync::limits::LEASE => State::Stale,
            (None, Some(_)) => State::Connected,
        };
        let sent = row.snapshot_buckets.zip(row.snapshot_buckets_of).filter(|_| state == State::Connected);
        let snapshot = sent.map(|(buckets, of)| Snapshot {
            buckets: buckets.cast_unsigned(),
            buckets_of: of.cast_unsigned(),
        });
        let unreadable = |error| RowError::unreadable(TABLE, error);
        let quarantined = serde_json::from_str(&row.quarantined).map_err(unreadable)?;
        let kinds: Vec<String> = serde_json::from_str(&row.kinds).map_err(unreadable)?;
        let plugins = serde_json::from_str(&row.plugins).map_err(unreadable)?;
        Ok(Self {
            id: row.id.into(),
            r#type: NODE_TYPE,
            hostname: row.hostname,
            version: row.software_version,
            state,
            applied_version: row.applied_version.cast_unsigned(),
            config_hash: digest(row.applied_digest).map(|digest| digest.to_string()).unwrap_or_default(),
            versions_behind: row.versions_behind.map(i64::cast_unsigned),
            lag_seconds: row.lag_seconds,
            digest_matches: row.digest_matches,
            in_sync: row.digest_matches && row.at_head,
            last_error: row.last_error,
            snapshot,
            quarantined,
            kinds,
            plugins,
            model_version: row.model_version.cast_unsigned(),
            compatibility_status: Compatibility::default(),
            derive_us: row.derive_us.cast_unsigned(),
            commit_us: row.commit_us.cast_unsigned(),
            applied_at: row.applied_at,
            last_ping: row.last_seen_at.map_or(0, OffsetDateTime::unix_timestamp),
            last_seen_at: row.last_seen_at,
            certificate_expires_at: row.certificate_expires_at,
            pinned_certificate_id: row.pinned_certificate_id.map(Into::into),
            updated_at: row.last_seen_at.max(row.left_at).unwrap_or(row.created_at).unix_timestamp(),
            created_at: row.created_at.unix_timestamp(),
        })
    }
}

/// The nodes of control plane $1 that were heard of within $2 seconds; `and` narrows them further.
fn select(and: &str) -> sqlx::AssertSqlSafe<String> {
    let lag = lag::OF_NODE;
    sqlx::AssertSqlSafe(format!(
        "SELECT n.*, (n.applied_epoch, n.applied_version) = (c.epoch, c.version) AS at_head,
                CASE WHEN n.applied_epoch = c.epoch THEN greatest(c.version - n.applied_version, 0) END AS versions_behind,
                {lag} AS lag_seconds, now() AS now
         FROM regional.node AS n JOIN regional.control_plane AS c ON c.id = n.control_plane_id
         WHERE n.control_plane_id = $1 AND {LISTED} {and}"
    ))
}

const LISTED: &str = "n.removed_at IS NULL
         AND greatest(n.created_at, n.last_seen_at, n.left_at) > now() - make_interval(secs => $2)";

/// Nodes after `after`, by id. One that was not heard of for longer than `listed` is left out.
pub async fn list(
    db: &PgPool,
    control_plane: ControlPlaneId,
    listed: Duration,
    after: Option<NodeId>,
    limit: i64,
) -> Result<Vec<Node>, RowError> {
    let rows: Vec<NodeRow> =
        sqlx::query_as(select("AND ($3::uuid IS NULL OR n.id > $3) ORDER BY n.id LIMIT $4"))
            .bind(SqlId(control_plane))
            .bind(listed.as_secs_f64())
            .bind(after.map(SqlId))
            .bind(limit)
            .fetch_all(db)
            .await?;
    rows.into_iter().map(Node::try_from).collect()
}

/// How many nodes [`list`] has in all.
pub async fn count(db: &PgPool, control_plane: ControlPlaneId, listed: Duration) -> Result<u64, RowError> {
    let (count,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FROM regional.node AS n WHERE n.control_plane_id = $1 AND {LISTED}"
    )))
    .bind(SqlId(control_plane))
    .bind(listed.as_secs_f64())
    .fetch_one(db)
    .await?;
    Ok(count.cast_unsigned())
}

/// One node; `None` if there is none, or it was removed, or it was not heard of for as long as nodes are listed.
pub async fn find(
    db: &PgPool,
    control_plane: ControlPlaneId,
    listed: Duration,
    id: NodeId,
) -> Result<Option<Node>, RowError> {
    let row: Option<NodeRow> = sqlx::query_as(select("AND n.id = $3"))
        .bind(SqlId(control_plane))
        .bind(listed.as_secs_f64())
        .bind(SqlId(id))
        .fetch_optional(db)
        .await?;
    row.map(Node::try_from).transpose()
}

/// How many connected nodes of one control plane have applied which version of the present incarnation; -1 for those that hold something
/// else than the control plane had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread(BTreeMap<i64, u64>);

impl Spread {
    /// How many nodes are connected.
    pub fn nodes(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many of them have applied `version` or a newer one.
    pub fn applied(&self, version: u64) -> u64 {
        self.0.range(version.cast_signed()..).map(|(_, nodes)| nodes).sum()
    }

    /// Whether at least one node is connected, and all have applied `version`.
    pub fn is_complete(&self, version: u64) -> bool {
        let nodes = self.nodes();
        nodes > 0 && self.applied(version) == nodes
    }
}

/// The spread of one control plane.
pub async fn spread(db: &PgPool, control_plane: ControlPlaneId) -> Result<Spread, RowError> {
    Ok(spreads(db, &[control_plane]).await?.remove(&control_plane).unwrap_or_default())
}

/// The spread of each of these control planes; a control plane without a connected node is left out.
pub async fn spreads(
    db: &PgPool,
    control_planes: &[ControlPlaneId],
) -> Result<HashMap<ControlPlaneId, Spread>, RowError> {
    let rows: Vec<(SqlId<kinds::ControlPlane>, i64, i64)> = sqlx::query_as(
        "SELECT c.id, CASE WHEN digest_matches AND applied_epoch = c.epoch THEN applied_version ELSE -1 END AS applied,
                count(*)
         FROM regional.node JOIN regional.control_plane AS c ON c.id = control_plane_id
         WHERE control_plane_id = ANY($1) AND removed_at IS NULL AND left_at IS NULL
           AND last_seen_at > now() - make_interval(secs => $2)
         GROUP BY 1, 2",
    )
    .bind(control_planes.iter().copied().map(SqlId).collect::<Vec<_>>())
    .bind(sync::limits::LEASE.as_secs_f64())
    .fetch_all(db)
    .await?;
    let mut spreads: HashMap<ControlPlaneId, Spread> = HashMap::new();
    for (control_plane, applied, nodes) in rows {
        let Spread(spread) = spreads.entry(control_plane.into()).or_default();
        *spread.entry(applied).or_default() += nodes.cast_unsigned();
    }
    Ok(spreads)
}

/// The digest of what a control plane holds, and when that last changed.
pub async fn expected(
    db: &PgPool,
    control_plane: ControlPlaneId,
) -> Result<(Digest, OffsetDateTime), RowError> {
    let (bytes, changed_at) =
        sqlx::query_as("SELECT digest, committed_at FROM regional.control_plane WHERE id = $1")
            .bind(SqlId(control_plane))
            .fetch_one(db)
            .await?;
    let digest = digest(bytes)
        .ok_or_else(|| RowError::unreadable("regional.control_plane", "a digest is 32 bytes"))?;
    Ok((digest, changed_at))
}

fn digest(bytes: Option<Vec<u8>>) -> Option<Digest> {
    Digest::from_slice(&bytes?)
}

/// Removes a node: from now on its certificate is not accepted. `false` if there is none.
#[must_use = "`false`: there is no such node"]
pub async fn remove(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: NodeId,
) -> Result<bool, RowError> {
    let removed = sqlx::query(
        "UPDATE regional.node SET removed_at = now() WHERE control_plane_id = $1 AND id = $2 AND removed_at IS NULL",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(id))
    .execute(&mut *connection)
    .await?;
    count_removal(connection, control_plane).await?;
    Ok(removed.rows_affected() == 1)
}

/// Removes the nodes that are known by a pinned certificate, which is no longer pinned.
pub async fn remove_pinned(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    certificate: PinnedCertificateId,
) -> Result<(), RowError> {
    sqlx::query(
        "UPDATE regional.node SET removed_at = now()
         WHERE control_plane_id = $1 AND pinned_certificate_id = $2 AND removed_at IS NULL",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(certificate))
    .execute(&mut *connection)
    .await?;
    count_removal(connection, control_plane).await
}

/// Streams look for themselves when the count has changed.
async fn count_removal(connection: &mut PgConnection, control_plane: ControlPlaneId) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO regional.removal_head (control_plane_id, seq) VALUES ($1, 1)
         ON CONFLICT (control_plane_id) DO UPDATE SET seq = removal_head.seq + 1",
    )
    .bind(SqlId(control_plane))
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a node was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "only `Yes` lets the node in"]
pub enum Entered {
    /// It was, or it is the same node as before.
    Yes,
    /// It was removed.
    Removed,
    /// Its id belongs to another key, or to a node whose key is not known yet.
    OtherKey,
}

/// Enters an enrolled node, or the same one enrolling again: with the same key.
pub async fn enrol(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: NodeId,
    hostname: &str,
    token: EnrolmentTokenId,
    issued: &Issued,
) -> Result<Entered, RowError> {
    let entered = sqlx::query(
        "INSERT INTO regional.node
             (control_plane_id, id, hostname, enrolment_token_id, certificate_expires_at, key_sha256)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (control_plane_id, id) DO UPDATE SET hostname = excluded.hostname,
             enrolment_token_id = excluded.enrolment_token_id, certificate_expires_at = excluded.certificate_expires_at,
             pinned_certificate_id = NULL
         WHERE node.removed_at IS NULL AND node.key_sha256 = excluded.key_sha256",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(id))
    .bind(hostname)
    .bind(SqlId(token))
    .bind(issued.expires_at)
    .bind(issued.key.as_bytes())
    .execute(&mut *connection)
    .await?;
    if entered.rows_affected() == 1 {
        return Ok(Entered::Yes);
    }
    let (removed,): (bool,) = sqlx::query_as(
        "SELECT removed_at IS NOT NULL FROM regional.node WHERE control_plane_id = $1 AND id = $2",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(id))
    .fetch_one(connection)
    .await?;
    Ok(if removed { Entered::Removed } else { Entered::OtherKey })
}

/// Whether `id` has enrolled with `token` before: then it does not use it up again.
pub async fn enrolled_with(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: NodeId,
    token: EnrolmentTokenId,
) -> Result<bool, RowError> {
    let row: Option<(bool,)> = sqlx::query_as(
        "SELECT true FROM regional.node WHERE control_plane_id = $1 AND id = $2 AND enrolment_token_id = $3",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(id))
    .bind(SqlId(token))
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// The kinds of which the control plane has entities, by their wire names.
pub async fn kinds_in_use(db: &PgPool, control_plane: ControlPlaneId) -> Result<Vec<String>, RowError> {
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM unnest($2::text[]) AS name WHERE EXISTS (
             SELECT FROM regional.entity WHERE control_plane_id = $1 AND kind = name AND NOT deleted)",
    )
    .bind(SqlId(control_plane))
    .bind(names)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}
