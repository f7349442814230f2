//! A tenant with a node of its own: what its certificate lets it do to others.

use std::fs;

use anyhow::Context;
use futures::future::join_all;
use proto::sync::v1::{Hello, NodeMessage, node_message::Message, sync_client::SyncClient};
use testbed::{Gateway, Region, ServiceName};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    codec::CompressionEncoding,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{beside_a_bystander, size};
use crate::{
    fixtures::{check_plain_file, served},
    harness::{SOON, run, shared},
};

/// What a message says that is small on the wire only, in bytes.
const INFLATED: usize = 64 * 1024 * 1024;
/// How much config may grow by such messages, in KiB. One of them would be 64 MiB.
const GROWTH_MAX: u64 = 48 * 1024;

/// A connection to config with the certificate of `gateway`.
async fn connect(region: &Region, gateway: &Gateway) -> anyhow::Result<Channel> {
    let folder = gateway.folder().join("landbridge-data/node");
    let tls = ClientTlsConfig::new()
        .domain_name("sync.us.landbridge.internal")
        .ca_certificate(Certificate::from_pem(fs::read(region.ca_file())?))
        .identity(Identity::from_pem(
            fs::read(folder.join("certificate.pem"))?,
            fs::read(folder.join("key.pem"))?,
        ));
    let address = region.infrastructure().addresses.sync;
    Ok(Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?.connect().await?)
}

/// KiB that the service holds in memory.
fn resident(region: &Region, service: ServiceName) -> anyhow::Result<u64> {
    let pid = region.process(service).pid().context("it runs")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn small_messages_that_grow_are_refused() {
    run(async {
        let region = shared().await?;
        let (_plane, gateway) = served(region, "inflating").await?;
        let before = resident(region, ServiceName::Config)?;
        let attempts = (0..size(4, 8)).map(|_| async {
            let mut client = SyncClient::new(connect(region, &gateway).await?)
                .send_compressed(CompressionEncoding::Zstd)
                .max_encoding_message_size(2 * INFLATED);
            let hello = Hello { hostname: "a".repeat(INFLATED), ..Hello::default() };
            let message = NodeMessage { message: Some(Message::Hello(hello)) };
            let sent = client.follow(tokio_stream::once(message)).await;
            let ended = match sent {
                Err(refused) => Err(refused),
                Ok(stream) => stream.into_inner().message().await,
            };
            anyhow::ensure!(!matches!(ended, Ok(Some(_))), "it was taken: {ended:?}");
            Ok(())
        });
        let attack = async { join_all(attempts).await.into_iter().collect::<anyhow::Result<Vec<_>>>() };
        beside_a_bystander(region, "/v2/control-planes", attack).await?;
        let grown = resident(region, ServiceName::Config)?.saturating_sub(before);
        assert!(grown < GROWTH_MAX, "config grew by {grown} KiB");
        gateway.process().stop().await?;
        Ok(())
    });
}

#[test]
fn silent_streams_delay_no_other_node() {
    run(async {
        let region = shared().await?;
        let (_plane, gateway) = served(region, "silent-streams").await?;
        let channel = connect(region, &gateway).await?;
        let mut held = Vec::new();
        for _ in 0..size(48, 200) {
            let (sender, messages) = mpsc::channel(1);
            sender.send(NodeMessage { message: Some(Message::Hello(Hello::default())) }).await?;
            let mut client = SyncClient::new(channel.clone());
            let opening = tokio::spawn(async move { client.follow(ReceiverStream::new(messages)).await });
            held.push((sender, opening));
        }
        // Another gateway enrols, gets everything, and serves.
        let (_other, bystander) = timeout(SOON, served(region, "other")).await.context("not in time")??;
        check_plain_file(&bystander).await?;
        held.into_iter().for_each(|(_, opening)| opening.abort());
        bystander.process().stop().await?;
        gateway.process().stop().await?;
        Ok(())
    });
}
