//! The ways in which proxies are measured, and what is recorded of each.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use hyper::Request;
use rustls::ClientConfig;

use super::{
    certificate::{Certificate, Identity, Sessions},
    generator::{self, Arrivals, Cut, Load, Reuse, Wire},
    http2,
    requests::{self, Requests},
    target::Target,
};
use crate::{
    documents::Size,
    measured::Samples,
    report::{COUNT, MICROSECONDS, PER_SECOND, RATIO, Report},
};

/// Connections, and requests that are open at the same time.
pub const CONNECTIONS: usize = 64;
/// Bytes of a large body, the request's and the answer's.
const LARGE_BODY_BYTES: usize = 64 * 1024;

/// How a proxy is brought to saturation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// HTTP/1.1 on kept connections.
    Closed,
    /// The same with 64 KiB in both directions.
    Body,
    /// HTTP/1.1 over TLS 1.3 on kept connections.
    Https,
    /// A new connection with a full handshake for every request.
    HttpsHandshake,
    /// A new connection that resumes a session for every request.
    HttpsResumed,
    /// HTTP/2 over TLS 1.3.
    Http2,
}

impl Way {
    /// All but the first, which everything is measured in.
    pub const OTHERS: [Self; 5] =
        [Self::Body, Self::Https, Self::HttpsHandshake, Self::HttpsResumed, Self::Http2];

    /// As in the keys of figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Body => "body",
            Self::Https => "https",
            Self::HttpsHandshake => "https_handshake",
            Self::HttpsResumed => "https_resumed",
            Self::Http2 => "h2",
        }
    }
}

/// What the clients of one measurement saw.
#[derive(Debug)]
pub struct Seen {
    /// Times of right answers.
    pub latencies: Samples,
    /// Right answers a second.
    pub per_second: f64,
    /// Requests without the right answer.
    pub failed: u64,
    /// Answers on connections that resumed a TLS session.
    pub resumed: u64,
    /// CPU time of the generator.
    pub cpu: Duration,
}

/// All that clients need: what they send, and by which certificate they know the proxies.
#[derive(Debug)]
pub struct Clients<'a> {
    certificate: &'a Certificate,
    identity: Option<&'a Identity>,
    small: Arc<Requests>,
    large: Arc<Requests>,
    for_http2: Arc<[Request<()>]>,
}

impl<'a> Clients<'a> {
    /// Clients for proxies with `size` routes and keys.
    pub fn new(size: Size, certificate: &'a Certificate) -> anyhow::Result<Self> {
        Self::with_headers(size, certificate, "")
    }

    /// The same, whose small requests have further `headers`: whole lines.
    pub fn with_headers(size: Size, certificate: &'a Certificate, headers: &str) -> anyhow::Result<Self> {
        Ok(Self {
            certificate,
            identity: None,
            small: Arc::new(Requests::small(size, headers)),
            large: Arc::new(Requests::with_body(size, LARGE_BODY_BYTES)),
            for_http2: requests::for_http2(size)?.into(),
        })
    }

    /// The same, which show `identity` to proxies that ask for it over HTTP/1.1.
    #[must_use]
    pub fn showing(self, identity: &'a Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// Brings a proxy to saturation, without a record.
    pub async fn saturate(&self, target: &Target, way: Way, duration: Duration) -> anyhow::Result<Seen> {
        let Self { small, large, .. } = self;
        let plain = target.plain;
        let tls = target.tls.context("it speaks no TLS");
        let (address, requests, wire, reuse) = match way {
            Way::Closed => (plain, small, Wire::Plain, Reuse::Kept),
            Way::Body => (plain, large, Wire::Plain, Reuse::Kept),
            Way::Https => (tls?, small, self.tls(Sessions::Forgotten)?, Reuse::Kept),
            Way::HttpsHandshake => (tls?, small, self.tls(Sessions::Forgotten)?, Reuse::OneRequest),
            Way::HttpsResumed => (tls?, small, self.tls(Sessions::Resumed)?, Reuse::OneRequest),
            Way::Http2 => return http2::run(self.http2(tls?, duration)?).await,
        };
        let (requests, arrivals) = (Arc::clone(requests), Arrivals::Closed(duration));
        let load = Load { address, requests, connections: CONNECTIONS, reuse, wire, arrivals };
        Ok(generator::run(load).await?.into())
    }

    /// Brings a proxy to saturation and records what that cost, as `<name>.<way>.…`.
    pub async fn record(
        &self,
        target: &Target,
        way: Way,
        duration: Duration,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let key = format!("{}.{}", target.name, way.name());
        let before = target.cpu_time()?;
        let seen = self.saturate(target, way, duration).await.with_context(|| key.clone())?;
        let used = target.cpu_time()?.saturating_sub(before).as_secs_f64();
        let count = seen.latencies.len() as f64;
        report.record(format!("{key}.requests"), PER_SECOND, seen.per_second);
        report.record(format!("{key}.cpu_per_request"), MICROSECONDS, used * 1e6 / count);
        report.record(format!("{key}.core_share"), RATIO, used * seen.per_second / count);
        report.record_times(&format!("{key}.latency"), &seen.latencies);
        report.record(format!("{key}.failed"), COUNT, seen.failed as f64);
        report.record(format!("{key}.generator_cpu"), MICROSECONDS, seen.cpu.as_secs_f64() * 1e6 / count);
        if way == Way::HttpsResumed {
            report.record(format!("{key}.resumed"), RATIO, seen.resumed as f64 / count);
        }
        Ok(())
    }

    /// Sends this many requests a second for a while, without a record.
    pub async fn open(
        &self,
        address: SocketAddr,
        (per_second, duration): (f64, Duration),
    ) -> anyhow::Result<generator::Outcome> {
        self.open_until(address, (per_second, duration), Cut::default()).await
    }

    /// The same, which may be cut off.
    pub async fn open_until(
        &self,
        address: SocketAddr,
        (per_second, duration): (f64, Duration),
        cut: Cut,
    ) -> anyhow::Result<generator::Outcome> {
        let load = Load {
            address,
            requests: Arc::clone(&self.small),
            connections: CONNECTIONS,
            reuse: Reuse::Kept,
            wire: Wire::Plain,
            arrivals: Arrivals::Open { per_second, duration },
        };
        generator::run_until(load, cut).await
    }

    /// The same, recorded as `<key>.latency` and the like. Returns how many requests failed.
    pub async fn record_open(
        &self,
        address: SocketAddr,
        key: &str,
        rate: (f64, Duration),
        report: &mut Report,
    ) -> anyhow::Result<u64> {
        let outcome = self.open(address, rate).await.with_context(|| key.to_owned())?;
        report.record_times(&format!("{key}.latency"), &outcome.latencies);
        report.record_times(&format!("{key}.lateness"), &outcome.lateness);
        report.record(format!("{key}.failed"), COUNT, outcome.failed as f64);
        Ok(outcome.failed)
    }

    fn tls(&self, sessions: Sessions) -> anyhow::Result<Wire> {
        let client = || self.certificate.client_showing(&["http/1.1"], sessions, self.identity);
        let clients = (0..CONNECTIONS).map(|_| client());
        Ok(Wire::Tls(clients.collect::<Result<_, _>>()?))
    }

    fn http2(&self, address: SocketAddr, duration: Duration) -> anyhow::Result<http2::Load> {
        let client: Arc<ClientConfig> = self.certificate.client(&["h2"], Sessions::Forgotten)?;
        let requests = Arc::clone(&self.for_http2);
        Ok(http2::Load { address, client, requests, callers: CONNECTIONS, duration })
    }
}

impl From<generator::Outcome> for Seen {
    fn from(outcome: generator::Outcome) -> Self {
        let generator::Outcome { latencies, per_second, failed, resumed, cpu, .. } = outcome;
        Self { latencies, per_second, failed, resumed, cpu }
    }
}
