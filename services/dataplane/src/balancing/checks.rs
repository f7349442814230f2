//! Active checks of an upstream as they are defined: what targets are asked, and how often.

use std::{sync::Arc, time::Duration};

use gateway_model::{Active, Probe};
use http::{HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use rustls_pki_types::ServerName;

use super::definition::{FindTls, Statuses, Unusable};
use crate::view::TlsProfile;

/// The shortest time between two checks of one endpoint.
pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// How many checks of one upstream run at a time, whatever it asks for.
const CONCURRENCY_MAX: u32 = 256;

/// Active checks.
#[derive(Debug, PartialEq)]
pub struct Checks {
    /// What is asked.
    pub ask: Ask,
    /// How long it may take, the connection included.
    pub timeout: Duration,
    /// How many run at a time.
    pub concurrency: usize,
    /// The path that is asked for.
    pub path: PathAndQuery,
    /// Further headers of the request.
    pub headers: HeaderMap,
    /// What statuses count as.
    pub statuses: Statuses,
    /// The time between two checks of an endpoint that is up; `None`: there are none.
    pub up_interval: Option<Duration>,
    /// The time between two checks of one that is down; `None`: there are none.
    pub down_interval: Option<Duration>,
}

/// What is asked.
#[derive(Debug, PartialEq)]
pub enum Ask {
    /// For a connection.
    Connection,
    /// For an answer.
    Http,
    /// For an answer over TLS.
    Https {
        /// The name in TLS, if it is not the one that requests have.
        name: Option<ServerName<'static>>,
        /// Who verifies the certificate, and what the target is shown.
        profile: Arc<TlsProfile>,
    },
}

impl Checks {
    /// Compiles active checks; `None` if there are none.
    pub fn new(active: &Active, tls: FindTls<'_>) -> Result<Option<Self>, Unusable> {
        let interval = |seconds: f64| (seconds > 0.0).then(|| duration(seconds).max(INTERVAL_MIN));
        let (up, down) = (interval(active.healthy.interval), interval(active.unhealthy.interval));
        if up.is_none() && down.is_none() {
            return Ok(None);
        }
        let ask = match active.probe {
            Probe::Tcp => Ask::Connection,
            Probe::Http => Ask::Http,
            Probe::Https => Ask::Https {
                name: active.https_sni.as_deref().map(name).transpose()?,
                profile: tls(active.https_verify_certificate)?,
            },
            Probe::Grpc | Probe::Grpcs => {
                return Err(Unusable::NotDone("healthchecks.active.type: a check by gRPC"));
            }
        };
        let path =
            active.http_path.parse().map_err(|_| Unusable::Invalid("healthchecks.active.http_path"))?;
        let mut headers = HeaderMap::new();
        for (name, values) in &active.headers {
            for value in values {
                let header = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
                let (name, value) = header.ok_or(Unusable::Invalid("healthchecks.active.headers"))?;
                headers.append(name, value);
            }
        }
        Ok(Some(Self {
            ask,
            timeout: duration(active.timeout),
            concurrency: active.concurrency.min(CONCURRENCY_MAX) as usize,
            path,
            headers,
            statuses: Statuses::new(&active.healthy.http_statuses, &active.unhealthy.http_statuses),
            up_interval: up,
            down_interval: down,
        }))
    }

    /// The time between two checks of an endpoint.
    pub fn interval(&self, is_up: bool) -> Option<Duration> {
        if is_up { self.up_interval } else { self.down_interval }
    }
}

fn name(name: &str) -> Result<ServerName<'static>, Unusable> {
    let read = ServerName::try_from(name.to_owned());
    read.map_err(|_| Unusable::Invalid("healthchecks.active.https_sni"))
}

/// The model bounds the seconds.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
