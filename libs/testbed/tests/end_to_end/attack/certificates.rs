//! What each certificate opens: the table of SECURITY.md, every certificate at every door.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use ids::ServiceName;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use testbed::{Deployment, Infrastructure, ca::Pair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls};

use super::inner_doors::{quoted, table};
use crate::{
    fixtures::served,
    harness::{run, shared_two},
};

/// Longest time that a door may take to open.
const OPENING: Duration = Duration::from_secs(10);
/// What every client of HTTP/2 begins with: the preface, and settings that say nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The type of a frame with settings.
const SETTINGS: u8 = 4;
/// Asks Postgres for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// What Postgres says to whom it lets in.
const AUTHENTICATED: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];

/// How a door is knocked on.
#[derive(Clone, Copy)]
enum Door {
    /// HTTP/2 over TLS.
    Http2,
    /// The same, of a server with a name of its own.
    Sync,
    /// Postgres, as this role.
    Postgres(&'static str),
}

/// All doors of the region, by their names in the table.
fn doors(us: &Infrastructure) -> Vec<(String, SocketAddr, Door)> {
    let addresses = &us.addresses;
    let mut doors = vec![
        ("edge".to_owned(), addresses.edge, Door::Http2),
        ("sync".to_owned(), addresses.sync, Door::Sync),
    ];
    for service in ServiceName::ALL {
        let listen = addresses.of(service);
        doors.push((format!("{service} api"), listen.api, Door::Http2));
        if service != ServiceName::Config {
            doors.push((format!("{service} internal"), listen.internal, Door::Http2));
            doors.push((format!("{service} peers"), listen.peers, Door::Http2));
        }
    }
    for role in ["identity", "authz", "config", "operator", "postgres"] {
        doors.push((format!("postgres as {role}"), addresses.postgres, Door::Postgres(role)));
    }
    doors
}

async fn handshake(
    us: &Infrastructure,
    mut tcp: TcpStream,
    door: Door,
    pair: Option<&Pair>,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in [us.ca.internal_ca(), us.ca.region_ca()] {
        roots.add(CertificateDer::from_pem_file(authority.certificate)?)?;
    }
    let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&pair.certificate)?.collect();
            builder.with_client_auth_cert(chain?, PrivateKeyDer::from_pem_file(&pair.key)?)?
        }
    };
    let name = match door {
        Door::Sync => format!("sync.{}.landbridge.internal", us.region),
        Door::Http2 | Door::Postgres(_) => "localhost".to_owned(),
    };
    if let Door::Postgres(_) = door {
        tcp.write_all(&SSL_REQUEST).await?;
        anyhow::ensure!(tcp.read_u8().await? == b'S', "no TLS");
    } else {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name)?, tcp).await?)
}

/// Knocks at a door. An error says that it stays closed.
async fn knock(
    us: &Infrastructure,
    address: SocketAddr,
    door: Door,
    pair: Option<&Pair>,
) -> anyhow::Result<()> {
    let mut stream = handshake(us, TcpStream::connect(address).await?, door, pair).await?;
    match door {
        Door::Http2 | Door::Sync => {
            stream.write_all(PREFACE).await?;
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            anyhow::ensure!(head[3] == SETTINGS, "it answers otherwise");
        }
        Door::Postgres(role) => {
            let body = format!("\0\x03\0\0user\0{role}\0database\0{role}\0\0");
            stream.write_all(&u32::try_from(body.len() + 4)?.to_be_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            anyhow::ensure!(head == AUTHENTICATED, "not let in");
        }
    }
    Ok(())
}

/// The certificate that a row of the table is about; `None` for whoever has none.
async fn certificate(two: &Deployment, name: &str, node: &Pair) -> anyhow::Result<Option<Pair>> {
    let [us, eu] = two.regions() else { anyhow::bail!("two regions") };
    let (us, eu) = (us.infrastructure(), eu.infrastructure());
    Ok(Some(match name.split_once(' ') {
        None if name == "none" => return Ok(None),
        None if name == "node" => node.clone(),
        Some(("us", "api")) => us.api_tls.clone(),
        Some(("us", service)) => us.ca.internal(service)?,
        Some(("eu", service)) => eu.ca.internal(service)?,
        _ => anyhow::bail!("{name} is no certificate of the table"),
    }))
}

#[test]
fn each_certificate_opens_the_doors_of_the_table_and_no_other() {
    run(async {
        let two = shared_two().await?;
        let us = &two.regions()[0];
        let (_plane, gateway) = served(us, "doors").await?;
        let folder = gateway.folder().join("landbridge-data/node");
        let node = Pair { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        let on = us.infrastructure();
        let doors = doors(on);
        let rows = table("### Ports of a region");
        let named: BTreeSet<_> = rows.iter().flat_map(|row| quoted(row[1])).map(str::to_owned).collect();
        let all: BTreeSet<_> = doors.iter().map(|(name, ..)| name.clone()).collect();
        assert_eq!(named.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new(), "no such door");
        for row in &rows {
            let (name, opens) = (row[0], quoted(row[1]));
            let pair = certificate(&two, name, &node).await?;
            for (door, address, kind) in &doors {
                let knocked = timeout(OPENING, knock(on, *address, *kind, pair.as_ref())).await;
                let is_open = knocked.is_ok_and(|knocked| knocked.is_ok());
                assert_eq!(is_open, opens.contains(&door.as_str()), "{name} at {door}");
            }
        }
        gateway.process().stop().await?;
        Ok(())
    });
}
