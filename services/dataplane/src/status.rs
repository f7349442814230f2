//! What the gateway says about itself. The applier and the stream write it; the admin port shows it.

use ids::{ControlPlaneId, NodeId, Region};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::{
    store::{Incarnation, Position},
    view::{Counts, Quarantined, View},
};

/// Quarantined entities listed at most; all are counted.
pub const QUARANTINED_SHOWN_MAX: usize = 1_000;

/// Where this gateway's configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Source {
    /// A file, and `POST /config` on the admin port.
    Declarative,
    /// The control plane that this node is enrolled with.
    ControlPlane(ControlPlaneStatus),
}

/// The control plane as this node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControlPlaneStatus {
    /// The control plane's region; absent until the node is enrolled.
    pub region: Option<Region>,
    /// The control plane's id; absent until the node is enrolled.
    pub id: Option<ControlPlaneId>,
    /// When the node's certificate ends. It is renewed after two thirds of its life.
    #[serde(with = "time::serde::rfc3339::option")]
    pub certificate_not_after: Option<OffsetDateTime>,
    /// The stream to the control plane.
    #[serde(rename = "connection")]
    pub stream: StreamState,
    /// The last failure to reach the control plane or to follow it. It stays when the connection is back.
    pub last_error: Option<String>,
}

/// The state of the stream to the control plane. The gateway serves what it holds in every one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StreamState {
    /// The node asks for its certificate.
    Enrolling,
    /// The node dials.
    Connecting {
        /// Whom it dials.
        endpoint: String,
    },
    /// The control plane has welcomed the node.
    Connected {
        /// Whom it is connected to.
        endpoint: String,
    },
    /// The node waits before it dials again.
    #[default]
    Waiting,
}

/// The configuration that is being served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// The incarnation of the control plane's database that `version` counts in. `None` until a configuration was
    /// received. In JSON it is `epoch`, and 0 for `None`.
    #[serde(rename = "epoch", serialize_with = "number_or_zero")]
    pub incarnation: Option<Incarnation>,
    /// The configuration's version; 0 until a configuration was received.
    pub version: u64,
    /// Digest of all entities held, in hexadecimal.
    pub digest: String,
    /// Whether the digest was the control plane's when the two were last compared. `None` until they were.
    pub digest_matches: Option<bool>,
    /// How much is served.
    pub counts: Counts,
    /// Entities that are held and not served; at most [`QUARANTINED_SHOWN_MAX`] of them.
    pub quarantined: Vec<Quarantined>,
}

/// All that the gateway says about itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The node's id.
    pub node: NodeId,
    /// Release of this gateway.
    pub software_version: &'static str,
    /// When this process began.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Where the configuration comes from.
    pub source: Source,
    /// What is served.
    pub configuration: Configuration,
    /// The gateway is about to stop: it takes no new connections and finishes its requests.
    pub draining: bool,
}

/// Whether the gateway wants traffic, and if not, why.
///
/// The stream plays no part: a gateway without its control plane serves what it holds. So the answer changes at most from
/// [`Readiness::NoConfiguration`] to [`Readiness::Ready`] to [`Readiness::Draining`], and it does not flap when the stream
/// does. One exception: a node that is enrolled with another control plane drops its configuration, and is not ready until
/// it has received the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Readiness {
    /// A verified configuration is served.
    Ready,
    /// No configuration was ever received.
    NoConfiguration,
    /// The gateway is about to stop.
    Draining,
}

/// One thing that an operator may want to be true of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// `configuration`, `quarantine`, `digest` or `stream`.
    pub name: &'static str,
    /// Whether all is well.
    pub ok: bool,
    /// Whether the gateway is not ready while it is not.
    pub needed_for_ready: bool,
    /// What is the case, for people.
    pub message: String,
}

impl Status {
    /// The status of a gateway that serves nothing yet.
    pub fn new(node: NodeId, started_at: OffsetDateTime, source: Source) -> Status {
        let configuration = Configuration::default();
        let software_version = env!("CARGO_PKG_VERSION");
        Status { node, software_version, started_at, source, configuration, draining: false }
    }

    /// Whether the gateway wants traffic.
    pub fn readiness(&self) -> Readiness {
        match (self.draining, self.configuration.incarnation) {
            (true, _) => Readiness::Draining,
            (false, None) => Readiness::NoConfiguration,
            (false, Some(_)) => Readiness::Ready,
        }
    }

    /// What is well with this gateway and what is not.
    pub fn conditions(&self) -> Vec<Condition> {
        let Configuration { incarnation, version, digest_matches, counts, .. } = &self.configuration;
        let condition = |name, ok, message| Condition { name, ok, needed_for_ready: false, message };
        let configuration = match incarnation {
            Some(_) => format!("version {version} is served"),
            None => "no configuration was received yet".to_owned(),
        };
        let quarantine = format!("{} entities are held and not served", counts.quarantined);
        let mut conditions = vec![
            Condition {
                needed_for_ready: true,
                ..condition("configuration", incarnation.is_some(), configuration)
            },
            condition("quarantine", counts.quarantined == 0, quarantine),
        ];
        if let Source::ControlPlane(control_plane) = &self.source {
            let digest = match digest_matches {
                Some(true) => "the configuration is the control plane's",
                Some(false) => "the configuration differs from the control plane's",
                None => "the configuration was not compared with the control plane's since the start",
            };
            conditions.push(condition("digest", *digest_matches != Some(false), digest.to_owned()));
            conditions.push(control_plane.condition());
        }
        conditions
    }

    /// Notes what is served from now on; `None`: an empty view, since no configuration is held.
    pub fn served(&mut self, position: Option<Position>, view: &View) {
        let configuration = &mut self.configuration;
        configuration.incarnation = position.map(|position| position.incarnation);
        configuration.version = position.map_or(0, |position| position.version);
        configuration.digest = position.map(|position| position.digest).unwrap_or_default().to_string();
        configuration.counts = view.counts();
        configuration.quarantined = view.quarantined();
        configuration.quarantined.truncate(QUARANTINED_SHOWN_MAX);
    }
}

impl ControlPlaneStatus {
    fn condition(&self) -> Condition {
        let (ok, state) = match &self.stream {
            StreamState::Connected { endpoint } => (true, format!("connected to {endpoint}")),
            StreamState::Connecting { endpoint } => (false, format!("dialling {endpoint}")),
            StreamState::Enrolling => (false, "asking for a certificate".to_owned()),
            StreamState::Waiting => (false, "waiting before it dials again".to_owned()),
        };
        let message = match &self.last_error {
            Some(error) if !ok => format!("{state}; last error: {error}"),
            Some(_) | None => state,
        };
        Condition { name: "stream", ok, needed_for_ready: false, message }
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

fn number_or_zero<S: Serializer>(
    incarnation: &Option<Incarnation>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(incarnation.map_or(0, Incarnation::get))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(source: Source) -> Status {
        Status::new(NodeId::from_uuid(uuid::Uuid::from_u128(1)), OffsetDateTime::UNIX_EPOCH, source)
    }

    fn named(status: &Status, name: &str) -> Condition {
        status.conditions().into_iter().find(|condition| condition.name == name).expect("listed")
    }

    #[test]
    fn readiness_follows_the_configuration_and_the_drain_not_the_stream() {
        let mut gateway = status(Source::ControlPlane(ControlPlaneStatus::default()));
        assert_eq!(gateway.readiness(), Readiness::NoConfiguration);
        assert!(!named(&gateway, "configuration").ok && named(&gateway, "configuration").needed_for_ready);

        gateway.configuration.incarnation = Incarnation::new(1);
        let endpoint = || "eu.test:7443".to_owned();
        for stream in [
            StreamState::Waiting,
            StreamState::Enrolling,
            StreamState::Connecting { endpoint: endpoint() },
            StreamState::Connected { endpoint: endpoint() },
        ] {
            let connected = matches!(stream, StreamState::Connected { .. });
            gateway.source = Source::ControlPlane(ControlPlaneStatus {
                stream,
                last_error: Some("refused".to_owned()),
                ..ControlPlaneStatus::default()
            });
            assert_eq!(gateway.readiness(), Readiness::Ready);
            let condition = named(&gateway, "stream");
            assert_eq!((condition.ok, condition.needed_for_ready), (connected, false));
            assert_eq!(condition.message.contains("refused"), !connected, "{}", condition.message);
        }
        gateway.draining = true;
        assert_eq!(gateway.readiness(), Readiness::Draining);
    }

    #[test]
    fn a_differing_digest_and_a_quarantine_are_conditions() {
        let mut gateway = status(Source::ControlPlane(ControlPlaneStatus::default()));
        for (matches, ok) in [(None, true), (Some(true), true), (Some(false), false)] {
            gateway.configuration.digest_matches = matches;
            assert_eq!(named(&gateway, "digest").ok, ok, "{matches:?}");
        }
        assert!(named(&gateway, "quarantine").ok);
        gateway.configuration.counts.quarantined = 2;
        assert_eq!(named(&gateway, "quarantine").message, "2 entities are held and not served");
        assert!(!named(&gateway, "quarantine").ok);

        let declarative = status(Source::Declarative);
        let names: Vec<_> = declarative.conditions().iter().map(|condition| condition.name).collect();
        assert_eq!(names, ["configuration", "quarantine"], "it has no stream");
    }
}
