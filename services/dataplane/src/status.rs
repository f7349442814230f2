//! What the gateway says about itself: the applier and the sync client write it, the admin port shows it.

use ids::{ControlPlaneId, NodeId, Region};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::{
    store::Position,
    view::{Counts, Quarantined, View},
};

/// Quarantined entities listed; further ones are only counted.
pub const QUARANTINED_SHOWN_MAX: usize = 1_000;

/// Where this gateway's configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Source {
    /// A file, and `POST /config` on the admin port.
    Declarative,
    ControlPlane(ControlPlaneStatus),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControlPlaneStatus {
    /// Absent until the node is enrolled.
    pub region: Option<Region>,
    pub id: Option<ControlPlaneId>,
    /// When the node's certificate ends; it is renewed long before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub certificate_not_after: Option<OffsetDateTime>,
    pub connection: StreamState,
    /// The last failure to reach it or to follow it; kept when the connection is back.
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StreamState {
    Enrolling,
    Connecting {
        endpoint: String,
    },
    Connected {
        endpoint: String,
    },
    /// The gateway serves what it holds and dials again.
    #[default]
    Waiting,
}

/// The configuration that is being served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// 0 until a configuration was verified.
    pub epoch: u64,
    pub version: u64,
    /// Digest of all entities held, in hexadecimal.
    pub digest: String,
    /// Whether it was what the control plane had at that version; absent until first compared.
    pub digest_matches: Option<bool>,
    pub counts: Counts,
    /// Entities held and not served, at most [`QUARANTINED_SHOWN_MAX`] of them.
    pub quarantined: Vec<Quarantined>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    pub node: NodeId,
    pub software_version: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    pub source: Source,
    pub configuration: Configuration,
    pub draining: bool,
}

impl Status {
    pub fn new(node: NodeId, started_at: OffsetDateTime, source: Source) -> Status {
        let configuration = Configuration::default();
        let software_version = env!("CARGO_PKG_VERSION");
        Status { node, software_version, started_at, source, configuration, draining: false }
    }

    /// Whether the gateway wants traffic: it holds a configuration that was verified, in this run or an earlier one.
    pub fn ready(&self) -> bool {
        !self.draining && self.configuration.epoch > 0
    }

    /// Takes over what is now served.
    pub fn served(&mut self, position: &Position, view: &View) {
        let configuration = &mut self.configuration;
        configuration.epoch = position.epoch;
        configuration.version = position.version;
        configuration.digest = position.digest.to_string();
        configuration.counts = view.counts();
        configuration.quarantined = view.quarantined();
        configuration.quarantined.truncate(QUARANTINED_SHOWN_MAX);
    }
}

/// Changes the control plane's part of the status, if there is one.
pub fn with_control_plane(status: &watch::Sender<Status>, change: impl FnOnce(&mut ControlPlaneStatus)) {
    status.send_modify(|status| {
        if let Source::ControlPlane(control_plane) = &mut status.source {
            change(control_plane);
        }
    });
}
