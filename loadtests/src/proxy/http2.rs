//! Closed-loop load over HTTP/2 with TLS, by hyper's client on one thread.
//!
//! It costs the generator more than [`super::generator`] does; `*.h2.core_share` tells whether the proxy was the limit.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, runtime::Builder, task::spawn_blocking};
use tokio_rustls::TlsConnector;

use super::{measure::Seen, requests::HOST};
use crate::{closedloop, machine};

/// Connections. The callers share them, so each has several streams open.
const CONNECTIONS: usize = 8;

/// What to send, where and for how long.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the proxy takes HTTPS.
    pub address: SocketAddr,
    /// A client that asks for `h2`.
    pub client: Arc<ClientConfig>,
    /// Taken in turn.
    pub requests: Arc<[Request<()>]>,
    /// Requests that are open at the same time.
    pub callers: usize,
    /// How long requests are sent.
    pub duration: Duration,
}

/// Carries a load out. An error when more than one request in a hundred failed.
pub async fn run(load: Load) -> anyhow::Result<Seen> {
    spawn_blocking(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let cpu = machine::cpu_time_of_thread()?;
        let closedloop::Outcome { latencies, per_second, failed } = runtime.block_on(closed(load))?;
        let cpu = machine::cpu_time_of_thread()?.saturating_sub(cpu);
        Ok(Seen { latencies, per_second, failed, resumed: 0, cpu })
    })
    .await?
}

async fn closed(load: Load) -> anyhow::Result<closedloop::Outcome> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(load.address, &load.client).await?);
    }
    closedloop::run(load.callers, load.duration, move |call| {
        let connection = connections.get(call.caller % CONNECTIONS).cloned();
        let request = load.requests.get(call.number as usize % load.requests.len().max(1)).cloned();
        async move { send(connection.context("no connection")?, request.context("no request")?).await }
    })
    .await
}

async fn connect(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::clone(client)).connect(ServerName::try_from(HOST)?, stream).await?;
    ensure!(stream.get_ref().1.alpn_protocol() == Some(b"h2"), "{address} does not speak HTTP/2");
    let (connection, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // Its errors reach whoever waits for an answer.
    tokio::spawn(driver);
    Ok(connection)
}

async fn send(mut connection: SendRequest<Empty<Bytes>>, request: Request<()>) -> anyhow::Result<()> {
    connection.ready().await?;
    let answer = connection.send_request(request.map(|()| Empty::new())).await?;
    ensure!(answer.status() == StatusCode::OK, "answered {}", answer.status());
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        documents::Size,
        proxy::{
            certificate::{Sessions, tests::https_upstream},
            requests::for_http2,
        },
    };

    #[tokio::test]
    async fn a_server_without_http2_is_an_error() {
        let (certificate, address) = https_upstream().await.expect("a server");
        let client = certificate.client(&["h2"], Sessions::Forgotten).expect("a client");
        let size = Size { services: 1, routes: 1, consumers: 1 };
        let requests = for_http2(size).expect("addresses").into();
        let load = Load { address, client, requests, callers: 1, duration: Duration::from_millis(10) };
        let error = run(load).await.expect_err("no HTTP/2").to_string();
        assert!(error.contains("does not speak HTTP/2"), "{error}");
        std::fs::remove_dir_all(certificate.folder()).expect("removed");
    }
}
