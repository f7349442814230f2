//! A request that is over, as plugins hear of it.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri, Version,
    uri::{Authority, PathAndQuery},
};

use super::{Effects, Identity, Place};

/// A request from its head to its answer's last byte.
#[derive(Debug)]
pub struct Transaction<'a> {
    /// What was asked.
    pub asked: &'a Asked,
    /// What it was for.
    pub place: Place<'a>,
    /// Who sent it, if a plugin found out.
    pub consumer: Option<&'a Identity>,
    /// What plugins wanted, their notes included.
    pub effects: &'a Effects,
    /// When its head had come.
    pub began: SystemTime,
    /// Status and headers of the answer; `None`: the client went away before.
    pub answer: Option<&'a (StatusCode, HeaderMap)>,
    /// Bytes of its body that came.
    pub received: u64,
    /// Bytes of the answer's body that were sent.
    pub sent: u64,
    /// Whether that is all of it.
    pub is_complete: bool,
    /// Why the gateway answered itself. Example: `upstream-timeout`.
    pub reason: Option<&'static str>,
    /// From its head to its answer's last byte.
    pub total: Duration,
    /// The gateway's own part up to the answer's head; `None`: there was none.
    pub gateway: Option<Duration>,
    /// How long the upstream was waited for; `None`: it was not asked.
    pub upstream: Option<Duration>,
    /// How often the upstream was asked.
    pub tries: u32,
    /// The path and query that the upstream was asked for.
    pub upstream_uri: Option<&'a PathAndQuery>,
    /// The attempts at the upstream, in their order.
    pub attempts: &'a [Attempt],
}

/// What is counted of a request that is over.
#[derive(Debug)]
pub struct Ended<'a> {
    /// What it was for.
    pub place: Place<'a>,
    /// Who sent it, if a plugin found out.
    pub consumer: Option<&'a Identity>,
    /// Status of the answer; `None`: the client went away before.
    pub status: Option<StatusCode>,
    /// Whether it was the upstream's.
    pub is_of_upstream: bool,
    /// Bytes of its body that came.
    pub received: u64,
    /// Bytes of the answer's body that were sent.
    pub sent: u64,
    /// From its head to its answer's last byte.
    pub total: Duration,
    /// The gateway's own part up to the answer's head; `None`: there was none.
    pub gateway: Option<Duration>,
    /// How long the upstream was waited for; `None`: it was not asked.
    pub upstream: Option<Duration>,
}

/// An attempt at an upstream.
#[derive(Debug)]
pub struct Attempt {
    /// Where it went: a host or an address, and a port.
    pub at: Authority,
    /// Whether it brought no answer.
    pub has_failed: bool,
}

impl Transaction<'_> {
    /// Whether the upstream's answer was the one that the client got.
    pub fn is_of_upstream(&self) -> bool {
        self.answer.is_some() && is_of_upstream(self.upstream, self.reason)
    }
}

/// What is kept of a request for those who hear of its end.
#[derive(Debug)]
pub struct Asked {
    /// Its method, as the client sent it.
    pub method: Method,
    /// Its target, as the client sent it.
    pub uri: Uri,
    /// The version of HTTP that the client speaks.
    pub version: Version,
    /// Its headers, as the plugins left them.
    pub headers: HeaderMap,
    /// Host and port as the client wrote them.
    pub authority: HeaderValue,
    /// The address that the connection came from, and whether it is TLS.
    pub peer: (SocketAddr, bool),
    /// The client's address, as trusted proxies state it.
    pub client: std::net::IpAddr,
    /// The id that the upstream and the client are told.
    pub request_id: HeaderValue,
}

/// Whether an answer was the upstream's, which was waited for so long, where this is why the gateway answered itself.
pub fn is_of_upstream(upstream: Option<Duration>, reason: Option<&str>) -> bool {
    // A body that breaks off has begun.
    upstream.is_some() && reason.is_none_or(|reason| reason == "upstream-body")
}
