//! A request that is over, as plugins hear of it.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

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
