//! The registry of nodes: who they are, what each of them holds, and when it was last heard of.

pub mod http;
pub mod store;
pub mod sweep;

use ids::{NodeId, kinds};
use postgres::SqlId;
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A node, as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Node {
    pub id: NodeId,
    pub hostname: String,
    pub version: String,
    pub state: State,
    /// Version of the configuration that the node has applied.
    pub applied_version: u64,
    /// Whether the node's configuration is, to the bit, what the control plane had at that version.
    pub digest_matches: bool,
    /// Whether the node has applied the newest version.
    pub in_sync: bool,
    /// Why the node could not apply something; empty when it could.
    pub last_error: String,
    /// Entities that the node holds and does not serve, with reasons.
    pub quarantined: serde_json::Value,
    /// How long the node's last change took, microseconds.
    pub derive_us: u64,
    pub commit_us: u64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub applied_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub certificate_expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Enrolled, and not heard of yet.
    Enrolled,
    /// Heard of within its lease.
    Connected,
    /// Not heard of for longer than its lease.
    Stale,
    /// Left on purpose.
    Gone,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Node>,
    hostname: String,
    software_version: String,
    last_seen_at: Option<OffsetDateTime>,
    left_at: Option<OffsetDateTime>,
    applied_epoch: i64,
    applied_version: i64,
    applied_at: Option<OffsetDateTime>,
    digest_matches: bool,
    derive_us: i64,
    commit_us: i64,
    last_error: String,
    quarantined: String,
    certificate_expires_at: OffsetDateTime,
    created_at: OffsetDateTime,
    head_epoch: i64,
    head_version: i64,
}

impl Row {
    fn node(self, now: OffsetDateTime) -> Node {
        let state = match (self.left_at, self.last_seen_at) {
            (Some(_), _) => State::Gone,
            (None, None) => State::Enrolled,
            (None, Some(seen)) if now - seen > sync::limits::LEASE => State::Stale,
            (None, Some(_)) => State::Connected,
        };
        Node {
            id: self.id.into(),
            hostname: self.hostname,
            version: self.software_version,
            state,
            applied_version: self.applied_version.cast_unsigned(),
            digest_matches: self.digest_matches,
            in_sync: self.digest_matches
                && (self.applied_epoch, self.applied_version) == (self.head_epoch, self.head_version),
            last_error: self.last_error,
            quarantined: serde_json::from_str(&self.quarantined).unwrap_or_default(),
            derive_us: self.derive_us.cast_unsigned(),
            commit_us: self.commit_us.cast_unsigned(),
            applied_at: self.applied_at,
            last_seen_at: self.last_seen_at,
            certificate_expires_at: self.certificate_expires_at,
            created_at: self.created_at,
        }
    }
}
