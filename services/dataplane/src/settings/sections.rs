//! The sections of the settings that only gateways have.

use std::{path::PathBuf, time::Duration};

use ids::{ControlPlaneId, Region};
use serde::Deserialize;
use settings::Names;
use utoipa::ToSchema;

use crate::proxy::{AccessLogOptions, MetricsOptions};

/// How the gateway ends after SIGTERM or SIGINT. A second signal ends it at once.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// How long everything is still served while the gateway already says that it is not ready: until load balancers send new connections
    /// elsewhere. In Kubernetes, 10 or more; `terminationGracePeriodSeconds` must be longer than this, `timeout_seconds` and 5 together.
    #[schema(default = 0)]
    pub delay_seconds: u32,
    /// How long a connection that is kept alive then waits for a last request. Its answer says that the connection ends.
    #[schema(default = 5)]
    pub last_request_seconds: u32,
    /// How long requests and WebSockets may take to end, `last_request_seconds` included. What is left is cut off.
    #[schema(default = 20)]
    pub timeout_seconds: u32,
    /// How much longer than `timeout_seconds` they may take when another process has taken over. A signal ends this time.
    #[schema(default = 600)]
    pub after_take_over_seconds: u32,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay_seconds: 0, last_request_seconds: 5, timeout_seconds: 20, after_take_over_seconds: 600 }
    }
}

impl Drain {
    /// How long everything is still served.
    pub fn delay(&self) -> Duration {
        Duration::from_secs(self.delay_seconds.into())
    }

    /// How long requests may take to end.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }

    /// How much longer they may take when another process has taken over.
    pub fn after_take_over(&self) -> Duration {
        Duration::from_secs(self.after_take_over_seconds.into())
    }
}

/// A certificate of your own by which this gateway is known, in place of enrolment. It is pinned to the control plane (`POST
/// /v2/control-planes/{id}/dp-client-certificates`, whose answer says what to write here), and any number of gateways may share it. The files
/// are read again when the gateway connects, and a few seconds after they were changed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// PEM file with a certificate of your own that is pinned to the control plane, in place of enrolment. With one of these settings, all are
    /// needed.
    #[schema(value_type = String)]
    pub certificate: PathBuf,
    /// PEM file with its private key.
    #[schema(value_type = String)]
    pub key: PathBuf,
    /// PEM file with the region's CA, by which the control plane is verified.
    #[schema(value_type = String)]
    pub ca: PathBuf,
    /// Where to connect to, `host:port` each; tried one after the other.
    #[schema(value_type = Vec<String>)]
    pub sync: Names,
    /// The control plane's region.
    #[schema(value_type = String)]
    pub region: Region,
    /// The control plane's id. No other one is followed, wherever the certificate is pinned.
    #[schema(value_type = String)]
    pub control_plane: ControlPlaneId,
}

/// How changes of the control plane's configuration are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// What has changed.
    #[default]
    Incremental,
    /// The whole configuration with each change.
    Full,
}

/// A line of JSON for each request, when it is over, with fields named as in OpenTelemetry's semantic conventions. No header but `User-Agent`
/// is in it, and no query.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// The file, to which lines are added; `-` for the standard output. It is opened anew when it was moved away. There is no log when absent.
    #[schema(value_type = Option<String>, default)]
    pub file: Option<PathBuf>,
    /// The share of the requests that get a line, from 0 to 1.
    #[schema(default = 1.0)]
    pub sample: f64,
    /// Requests that are answered with this status, or one above, always get a line.
    #[schema(default = 500)]
    pub always_from_status: u16,
    /// Requests that take longer than this, in milliseconds, always get a line.
    #[schema(default)]
    pub always_slower_than_ms: Option<u32>,
}

impl Default for AccessLog {
    fn default() -> Self {
        let AccessLogOptions { sample, always_from_status, .. } = AccessLogOptions::default();
        Self { file: None, sample, always_from_status, always_slower_than_ms: None }
    }
}

/// Which metrics the admin port shows, besides those of the gateway as a whole.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Whether each route is counted.
    #[schema(default = true)]
    pub routes: bool,
    /// Whether each consumer is counted, by its id.
    #[schema(default = false)]
    pub consumers: bool,
    /// How many routes, and how many consumers, are counted each for itself. Those that are first seen after that many others are counted
    /// together, as `other`.
    #[schema(default = 1000)]
    pub series_max: usize,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        let MetricsOptions { routes, consumers, series_max } = MetricsOptions::default();
        Self { routes, consumers, series_max }
    }
}

impl AccessLog {
    /// The access log's file, and which requests get a line; `None`: there is none.
    pub fn options(&self) -> Option<(PathBuf, AccessLogOptions)> {
        let AccessLog { file, sample, always_from_status, always_slower_than_ms } = self.clone();
        let always_slower_than = always_slower_than_ms.map(|limit| Duration::from_millis(limit.into()));
        Some((file?, AccessLogOptions { sample, always_from_status, always_slower_than }))
    }
}

impl MetricsSettings {
    /// Which metrics there are.
    pub fn options(&self) -> MetricsOptions {
        let MetricsSettings { routes, consumers, series_max } = *self;
        MetricsOptions { routes, consumers, series_max }
    }
}
