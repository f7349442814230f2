//! Connections that say nothing, or half of what they should, at every port.

use std::net::SocketAddr;

use anyhow::Context;
use testbed::{Gateway, Region, ServiceName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{beside_a_bystander, size};
use crate::{
    fixtures::{check_plain_file, served},
    harness::{SOON, run, shared},
};

/// All ports of the region and its gateway.
fn ports(region: &Region, gateway: &Gateway) -> anyhow::Result<Vec<(String, SocketAddr)>> {
    let addresses = &region.infrastructure().addresses;
    let admin = |url: &str| anyhow::Ok(url.strip_prefix("http://").context("an address")?.parse()?);
    let mut ports = vec![
        ("edge".to_owned(), addresses.edge),
        ("edge admin".to_owned(), addresses.edge_admin),
        ("sync".to_owned(), addresses.sync),
        ("gateway http".to_owned(), gateway.http_address()),
        ("gateway admin".to_owned(), admin(&gateway.admin_url())?),
    ];
    for service in ServiceName::ALL {
        let listen = addresses.of(service);
        ports.push((format!("{service} api"), listen.api));
        ports.push((format!("{service} operator"), listen.operator));
        if service != ServiceName::Config {
            ports.push((format!("{service} internal"), listen.internal));
            ports.push((format!("{service} peers"), listen.peers));
        }
    }
    Ok(ports)
}

/// What a connection says before it falls silent.
const BEGINNINGS: [&[u8]; 4] = [
    b"",
    b"GET / HTTP/1.1\r\nhost: a",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    // The head of a TLS handshake.
    b"\x16\x03\x01\x02\0\x01",
];

#[test]
fn silent_connections_shut_nobody_out() {
    run(async {
        listener::raise_open_files();
        let region = shared().await?;
        let (_plane, gateway) = served(region, "silent").await?;
        let attack = async {
            let mut held = Vec::new();
            for (name, address) in ports(region, &gateway)? {
                for number in 0..size(100, 600) {
                    let connecting = timeout(SOON, TcpStream::connect(address)).await;
                    let mut stream = connecting.with_context(|| format!("{name}: {number}"))??;
                    let beginning = BEGINNINGS[number % BEGINNINGS.len()];
                    // One that was closed meanwhile is no matter.
                    let _ = stream.write_all(beginning).await;
                    held.push(stream);
                }
                check_plain_file(&gateway).await.with_context(|| format!("after {name}"))?;
            }
            for service in ServiceName::ALL {
                region.operator(service)?.get("/readyz").await?.expect(200)?;
            }
            gateway.admin().get("/readyz").await?.expect(200)?;
            Ok(held)
        };
        drop(beside_a_bystander(region, "/v3/teams", attack).await?);
        gateway.process().stop().await?;
        Ok(())
    });
}

#[test]
fn half_a_head_is_not_waited_for() {
    run(async {
        let region = shared().await?;
        let (_plane, gateway) = served(region, "half").await?;
        let plain = ["gateway http", "gateway admin", "identity operator", "edge admin"];
        let ports = ports(region, &gateway)?;
        let begun = Instant::now();
        let waits =
            ports.iter().filter(|(name, _)| plain.contains(&name.as_str())).map(|(name, address)| async {
                let mut stream = TcpStream::connect(*address).await?;
                stream.write_all(b"GET / HTTP/1.1\r\nhost: a").await?;
                let mut rest = Vec::new();
                // Closed, or reset.
                let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.context(name.clone())?;
                anyhow::Ok(())
            });
        futures::future::try_join_all(waits).await?;
        assert!(begun.elapsed() >= std::time::Duration::from_secs(5), "not at once, either");
        gateway.process().stop().await?;
        Ok(())
    });
}
