//! What the gateway says about itself. The applier and the stream write it; the admin port shows it.

use std::collections::BTreeMap;

use ids::{ControlPlaneId, NodeId, Region};
use serde::{Serialize, Serializer};
use sync::Places;
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
    Declarative(DeclarativeStatus),
    /// The control plane that this node is enrolled with.
    ControlPlane(ControlPlaneStatus),
}

/// The file that a gateway in declarative mode follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeclarativeStatus {
    /// Why what was written into the file is not in service; `None`: it is.
    pub file_error: Option<String>,
}

/// The control plane as this node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControlPlaneStatus {
    /// The control plane's region; absent until the node is enrolled.
    pub region: Option<Region>,
    /// The control plane's id; absent until the node is enrolled.
    pub id: Option<ControlPlaneId>,
    /// When the node's certificate ends. One that the node has enrolled for is renewed after two thirds of its life; a pinned one is not.
    #[serde(with = "time::serde::rfc3339::option")]
    pub certificate_not_after: Option<OffsetDateTime>,
    /// The stream to the control plane.
    #[serde(rename = "connection")]
    pub stream: StreamState,
    /// A snapshot that is being received; absent when none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotProgress>,
    /// The last failure to reach the control plane or to apply what it sent. It is still shown when the connection is back.
    pub last_error: Option<String>,
}

/// How far a snapshot has come on its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SnapshotProgress {
    /// Why the control plane sends it.
    pub reason: String,
    /// Buckets, which are parts of the configuration, that have begun to arrive.
    pub buckets: u32,
    /// How many arrive in all, as far as is known.
    pub buckets_of: u32,
    /// Entities that have arrived.
    pub entities: u64,
}

/// The state of the stream to the control plane. The gateway serves what it holds in every one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StreamState {
    /// The node asks for its certificate.
    Enrolling,
    /// The node dials.
    Connecting {
        /// The address that it dials.
        endpoint: String,
    },
    /// The control plane has welcomed the node.
    Connected {
        /// The address that it is connected to.
        endpoint: String,
    },
    /// The node waits before it dials again.
    #[default]
    Waiting,
}

/// The configuration that is being served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// The incarnation in which `version` counts. `None` until a configuration was
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
    /// How many entities are held of each kind that this gateway does not serve, by the kind's wire name.
    pub unserved: BTreeMap<&'static str, usize>,
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
    /// The gateway is about to stop. It finishes its requests.
    pub draining: bool,
}

/// What the process is doing as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It takes requests.
    Serving,
    /// It wants no new requests, and finishes those that it has.
    Draining,
}

/// Whether the gateway wants traffic, and what is well with it and what is not. In the form in which the services of the
/// control plane say it too.
///
/// Readiness does not depend on the stream: a gateway without its control plane serves what it holds. So a gateway
/// becomes ready once, with its first configuration, and unready once, when it drains; it does not flap when the stream does.
/// One exception: a node that is enrolled with another control plane drops its configuration, and is not ready until it has
/// received the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Readiness {
    /// Whether the gateway wants traffic: it serves, and every required condition is met.
    pub ready: bool,
    /// What the process is doing.
    pub phase: Phase,
    /// By name: `configuration` and `quarantine`; with a file also `file`, with a control plane `digest` and `stream`.
    pub conditions: BTreeMap<&'static str, Condition>,
}

/// Something that an operator wants to be true of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Whether it is true.
    pub met: bool,
    /// Whether the gateway is not ready without it.
    pub required: bool,
    /// Why it is not met; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Condition {
    /// A condition that is met unless there is a `reason` why not.
    fn new(required: bool, reason: Option<String>) -> Self {
        Self { met: reason.is_none(), required, reason }
    }
}

impl Status {
    /// The status of a gateway that serves nothing yet.
    pub fn new(node: NodeId, started_at: OffsetDateTime, source: Source) -> Status {
        let configuration = Configuration::default();
        let software_version = env!("CARGO_PKG_VERSION");
        Status { node, software_version, started_at, source, configuration, draining: false }
    }

    /// Whether the gateway wants traffic, and what is well with it and what is not.
    pub fn readiness(&self) -> Readiness {
        let phase = if self.draining { Phase::Draining } else { Phase::Serving };
        let conditions = self.conditions();
        let all_met = conditions.values().all(|condition| condition.met || !condition.required);
        Readiness { ready: phase == Phase::Serving && all_met, phase, conditions }
    }

    fn conditions(&self) -> BTreeMap<&'static str, Condition> {
        let Configuration { incarnation, digest_matches, counts, .. } = &self.configuration;
        let none = incarnation.is_none().then(|| "no configuration was received yet".to_owned());
        let quarantined = (counts.quarantined > 0)
            .then(|| format!("{} entities are held and not served", counts.quarantined));
        let mut conditions = BTreeMap::from([
            ("configuration", Condition::new(true, none)),
            ("quarantine", Condition::new(false, quarantined)),
        ]);
        match &self.source {
            Source::Declarative(declarative) => {
                conditions.insert("file", Condition::new(false, declarative.file_error.clone()));
            }
            Source::ControlPlane(control_plane) => {
                let differs = (*digest_matches == Some(false))
                    .then(|| "the configuration differs from the control plane's".to_owned());
                conditions.insert("digest", Condition::new(false, differs));
                conditions.insert("stream", Condition::new(false, control_plane.why_not_connected()));
            }
        }
        conditions
    }

    /// Whether requests that come after `places` can be served: whether the version of this gateway's control plane among them, if there
    /// is one, is in service. What was written before the history that is served now is not waited for: it is there or it is lost.
    pub fn serves(&self, places: &Places) -> bool {
        let Source::ControlPlane(ControlPlaneStatus { id, .. }) = &self.source else { return true };
        let Some(place) = id.map(|id| places.of(id)) else { return false };
        let Configuration { incarnation, version, .. } = &self.configuration;
        let served = (incarnation.map_or(0, Incarnation::get), *version);
        place.is_none_or(|place| served >= (place.incarnation, place.version))
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
        configuration.unserved = view.unserved();
    }
}

impl ControlPlaneStatus {
    fn why_not_connected(&self) -> Option<String> {
        let state = match &self.stream {
            StreamState::Connected { .. } => return None,
            StreamState::Connecting { endpoint } => format!("dialling {endpoint}"),
            StreamState::Enrolling => "asking for a certificate".to_owned(),
            StreamState::Waiting => "waiting before the next dial".to_owned(),
        };
        Some(match &self.last_error {
            Some(error) => format!("{state}; last error: {error}"),
            None => state,
        })
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

    #[test]
    fn readiness_follows_the_configuration_and_the_drain_not_the_stream() {
        let mut gateway = status(Source::ControlPlane(ControlPlaneStatus::default()));
        let readiness = gateway.readiness();
        assert_eq!((readiness.ready, readiness.phase), (false, Phase::Serving));
        let configuration = &readiness.conditions["configuration"];
        assert!(!configuration.met && configuration.required && configuration.reason.is_some());

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
            let readiness = gateway.readiness();
            assert!(readiness.ready);
            let stream = &readiness.conditions["stream"];
            assert_eq!((stream.met, stream.required), (connected, false));
            let told = stream.reason.as_ref().is_some_and(|reason| reason.contains("refused"));
            assert_eq!(told, !connected, "{stream:?}");
        }
        gateway.draining = true;
        let readiness = gateway.readiness();
        assert_eq!((readiness.ready, readiness.phase), (false, Phase::Draining));
    }

    #[test]
    fn a_differing_digest_and_a_quarantine_are_conditions() {
        let mut gateway = status(Source::ControlPlane(ControlPlaneStatus::default()));
        for (matches, met) in [(None, true), (Some(true), true), (Some(false), false)] {
            gateway.configuration.digest_matches = matches;
            assert_eq!(gateway.readiness().conditions["digest"].met, met, "{matches:?}");
        }
        assert!(gateway.readiness().conditions["quarantine"].met);
        gateway.configuration.counts.quarantined = 2;
        let quarantine = gateway.readiness().conditions["quarantine"].clone();
        assert_eq!(quarantine.reason.as_deref(), Some("2 entities are held and not served"));
        assert!(!quarantine.met && !quarantine.required);

        let declarative = status(Source::Declarative(DeclarativeStatus::default())).readiness();
        assert_eq!(
            declarative.conditions.keys().collect::<Vec<_>>(),
            [&"configuration", &"file", &"quarantine"]
        );
    }
}
