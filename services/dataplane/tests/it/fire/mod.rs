//! Clients and upstreams that send without end, or take nothing: each is bounded, and nobody else notices. The tables of SECURITY.md name
//! the limits.

mod crowd;
mod endless;
mod half_closed;
mod http2;
mod pipelining;

use std::{net::SocketAddr, time::Duration};

use dataplane::proxy::{Limits, ProxyOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::Client,
    gateway::{Gateway, any_port},
};

/// The limits of time, where a test waits for them.
const SHORT: Duration = Duration::from_millis(300);
/// Every flood ends before.
const FLOOD_DEADLINE: Duration = Duration::from_secs(30);
/// No flood is taken for longer, in bytes: a head, and what fits into the kernel's buffers.
const TAKEN_MAX: usize = 32 << 20;

/// A gateway with one route, for everything.
async fn start(upstream: SocketAddr, connections: listener::Limits) -> Gateway {
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{upstream}', retries: 0, routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let limits = Limits { connections, ..Limits::default() };
    Gateway::start_with(&yaml, ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() })
        .await
}

/// What a flood came to.
struct Ended {
    /// How many bytes were taken of it.
    sent: usize,
    /// What came back.
    said: Vec<u8>,
}

/// How a flood takes what comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// The first bytes end it.
    First,
    /// It goes on until the connection ends.
    All,
    /// Nothing is taken before the connection ends.
    Nothing,
}

/// Sends `start`, and then what `again` gives for 0, 1 and so on, until it is ended.
async fn flood(tcp: TcpStream, start: &[u8], mut again: impl FnMut(u32) -> Vec<u8>, reads: Reads) -> Ended {
    let (mut reader, mut writer) = tcp.into_split();
    let (mut ended, mut next, mut count) = (Ended { sent: 0, said: Vec::new() }, start.to_vec(), 0);
    let pouring = async {
        loop {
            if next.is_empty() {
                next = again(count);
                count += 1;
            }
            tokio::select! {
                biased;
                read = reader.read_buf(&mut ended.said), if reads != Reads::Nothing => {
                    if reads == Reads::First || !matches!(read, Ok(1..)) {
                        break;
                    }
                }
                written = writer.write(&next) => {
                    let Ok(written) = written else { break };
                    ended.sent += written;
                    next.drain(..written);
                }
            }
        }
        let _ = writer.shutdown().await;
        let _ = reader.read_to_end(&mut ended.said).await;
    };
    timeout(FLOOD_DEADLINE, pouring).await.expect("the flood goes on");
    ended
}

/// The gateway serves others.
async fn assert_well(gateway: &Gateway) {
    assert_eq!(Client::connect(gateway.http()).await.get("/").await.status, 200, "the gateway is not well");
}
