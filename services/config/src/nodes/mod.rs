//! The registry of nodes: who they are, what each of them holds, and when it was last heard of.

pub mod health;
pub mod http;
pub mod lag;
mod progress;
pub mod propagation;
pub mod registry;
pub mod seat;
pub mod store;
pub mod sweep;

use ids::{NodeId, PinnedCertificateId};
use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use self::progress::Progress;
use crate::{feed::Feed, settings::Retention};

/// The nodes of this region's control planes. Cheap to clone.
#[derive(Clone)]
pub struct Nodes {
    db: PgPool,
    feed: Feed,
    retention: Retention,
    /// For those who wait until nodes have applied something.
    pub progress: Progress,
}

impl Nodes {
    /// What the handlers need. `feed` tells streams that a node was removed; `retention` says how long a node is listed.
    pub fn new(db: PgPool, feed: Feed, retention: Retention) -> Self {
        Self { progress: Progress::new(db.clone()), db, feed, retention }
    }
}

/// A node, as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Node {
    /// A UUID, from the certificate that the node enrolled for; with a pinned certificate, made by the node.
    pub id: NodeId,
    /// `landbridge`.
    pub r#type: &'static str,
    /// Name of the node's machine, as the node says.
    pub hostname: String,
    /// Version of the gateway's software, as the node says; empty until it first connects.
    pub version: String,
    /// Whether the node can be reached.
    pub state: State,
    /// Version of the configuration that the node has applied.
    pub applied_version: u64,
    /// Digest of the configuration that the node has applied, in hexadecimal; empty until it has told. In sync, it is the
    /// `expected_hash` of `…/expected-config-hash`.
    pub config_hash: String,
    /// How many versions the control plane is ahead; null if the node holds nothing of its present history.
    pub versions_behind: Option<u64>,
    /// How long ago the oldest change was committed that the node does not hold, in seconds, of those that no later change of the same entity
    /// has replaced; 0 when it holds the newest version, null if it holds nothing of the control plane's present history.
    pub lag_seconds: Option<f64>,
    /// Whether the digest of the node's configuration equals the control plane's at that version.
    pub digest_matches: bool,
    /// Whether the node has applied the newest version.
    pub in_sync: bool,
    /// Why the node could not apply something; empty when it could.
    pub last_error: String,
    /// A snapshot that the node is being sent; absent when it is sent none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// Entities that the node holds and does not serve, with reasons.
    pub quarantined: serde_json::Value,
    /// Wire names of the kinds of entity that the node serves.
    pub kinds: Vec<String>,
    /// Names of the plugins that the node runs.
    pub plugins: Vec<String>,
    /// Version of the model by which the node reads entities; 0 until it tells.
    pub model_version: u32,
    /// Whether the node serves all that the control plane has.
    pub compatibility_status: Compatibility,
    /// How long the node took to compute what it serves after its last change, microseconds.
    pub derive_us: u64,
    /// How long the node took to store its last change, microseconds.
    pub commit_us: u64,
    /// When the node last acknowledged a change, RFC 3339.
    #[serde(with = "time::serde::rfc3339::option")]
    pub applied_at: Option<OffsetDateTime>,
    /// When the node was last heard of, in seconds since 1970; 0 if never.
    pub last_ping: i64,
    /// The same, RFC 3339.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    /// When the node's certificate expires, RFC 3339. A node that has enrolled renews it before that.
    #[serde(with = "time::serde::rfc3339")]
    pub certificate_expires_at: OffsetDateTime,
    /// The pinned certificate that the node shows; null for one that has enrolled.
    pub pinned_certificate_id: Option<PinnedCertificateId>,
    /// When the node enrolled, or first connected, in seconds since 1970.
    pub created_at: i64,
    /// When its record last changed, in seconds since 1970.
    pub updated_at: i64,
}

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Snapshot {
    /// How many buckets the node has staged, which are parts of the configuration.
    pub buckets: u32,
    /// How many it is sent in all.
    pub buckets_of: u32,
}

/// Whether a node serves all that its control plane has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Compatibility {
    /// In Konnect's words.
    pub state: CompatibilityState,
    /// Why not; empty where it does.
    pub issues: Vec<Issue>,
}

/// Whether a node serves all that its control plane has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub enum CompatibilityState {
    /// The node has not told yet what it serves.
    #[default]
    #[serde(rename = "COMPATIBILITY_STATE_UNKNOWN")]
    Unknown,
    /// It does.
    #[serde(rename = "COMPATIBILITY_STATE_FULLY_COMPATIBLE")]
    FullyCompatible,
    /// It holds entities of a kind that it does not serve.
    #[serde(rename = "COMPATIBILITY_STATE_INCOMPATIBLE")]
    Incompatible,
}

/// Why a node does not serve all that its control plane has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Issue {
    /// Stable: `kind-not-served`.
    pub code: String,
    /// `WARNING`.
    pub severity: String,
    /// What it means.
    pub description: String,
    /// What to do about it.
    pub resolution: String,
    /// Wire name of the kind.
    pub kind: String,
    /// What is not served: all entities of the kind.
    pub affected_resources: Vec<AffectedResource>,
}

/// What is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AffectedResource {
    /// Wire name of the kind.
    pub r#type: String,
}

impl Node {
    /// Tells how the node fits a control plane that has entities of the kinds `in_use`.
    fn judge(&mut self, in_use: &[String]) {
        if self.model_version == 0 {
            return;
        }
        let missing = in_use.iter().filter(|kind| !self.kinds.contains(kind));
        let issues: Vec<Issue> = missing.map(|kind| Issue::not_served(kind)).collect();
        let state = match issues.as_slice() {
            [] => CompatibilityState::FullyCompatible,
            _ => CompatibilityState::Incompatible,
        };
        self.compatibility_status = Compatibility { state, issues };
    }
}

impl Issue {
    fn not_served(kind: &str) -> Self {
        Self {
            code: "kind-not-served".to_owned(),
            severity: "WARNING".to_owned(),
            description: format!(
                "the node holds entities of kind `{kind}` and does not serve them; what depends on them is answered 503"
            ),
            resolution: format!(
                "upgrade the gateway to a release that serves `{kind}`, or remove these entities"
            ),
            kind: kind.to_owned(),
            affected_resources: vec![AffectedResource { r#type: kind.to_owned() }],
        }
    }
}

/// Whether a node can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has enrolled and has not connected yet.
    Enrolled,
    /// It is connected: it has sent something within the last 30 seconds.
    Connected,
    /// It has sent nothing for more than 30 seconds.
    Stale,
    /// It has said that it leaves: its process was stopped.
    Gone,
}

/// An entity that a node holds and does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Wire name of the kind, possibly one that this release does not know.
    pub kind: String,
    /// The id of the entity.
    pub id: Uuid,
    /// Why, in the node's words.
    pub reason: String,
}

/// What a node says that it has applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The incarnation that `version` counts in.
    pub incarnation: u64,
    /// The version that the node holds; 0 for nothing.
    pub version: u64,
    /// Digest of what it holds.
    pub digest: Vec<u8>,
    /// Whether the node's digest was the control plane's at that version.
    pub digest_matches: bool,
    /// How long the node took to compute what it serves, microseconds.
    pub derive_us: u64,
    /// How long the node took to store the change, microseconds.
    pub commit_us: u64,
    /// Why the delta was not applied; empty when it was.
    pub error: String,
    /// Every entity held and not served, as of now.
    pub quarantined: Vec<Quarantined>,
}
