//! Plugins that send something beside requests, and whoever takes that.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use tokio::net::{TcpListener, UdpSocket};

use super::{Case, World, cases::plugin};

/// Receivers that do nothing with what they get.
pub struct Receivers {
    tcp: SocketAddr,
    /// Where datagrams go.
    pub udp: SocketAddr,
    _udp: UdpSocket,
}

impl Receivers {
    /// Starts them, on loopback.
    pub async fn start() -> anyhow::Result<Self> {
        let (listener, udp) = (
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        );
        let addresses = (listener.local_addr()?, udp.local_addr()?);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
            }
        });
        Ok(Self { tcp: addresses.0, udp: addresses.1, _udp: udp })
    }
}

/// The gateway with each of these plugins.
pub fn cases(world: &World) -> Vec<Case> {
    let http = format!("http://{}/", world.http);
    let (tcp, udp) = (world.receivers.tcp.port(), world.receivers.udp.port());
    // Batches as somebody sets them who has many requests.
    let queue = json!({ "max_batch_size": 200, "max_entries": 100_000 });
    [
        ("file_log", "file_log_cost_us", "file-log", json!({ "path": "/dev/null" })),
        ("http_log", "http_log_cost_us", "http-log", json!({ "http_endpoint": http, "queue": queue })),
        ("tcp_log", "tcp_log_cost_us", "tcp-log", json!({ "host": "127.0.0.1", "port": tcp })),
        ("udp_log", "udp_log_cost_us", "udp-log", json!({ "host": "127.0.0.1", "port": udp })),
        ("syslog", "syslog_cost_us", "syslog", json!({})),
        ("opentelemetry", "opentelemetry_cost_us", "opentelemetry", json!({ "traces_endpoint": http })),
        ("request_mirror", "request_mirror_cost_us", "request-mirror", json!({ "url": http })),
    ]
    .into_iter()
    .map(|(name, key, kind, config)| Case::gateway(name, vec![plugin(kind, config)]).over("none", key))
    .collect()
}
