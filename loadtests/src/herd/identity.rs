//! Who the nodes are: each enrols as a gateway does, with a key and a certificate request of its own.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ids::NodeId;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::json;
use testbed::{Api, Region, ServiceName, api::text};
use tokio::task::spawn_blocking;

use crate::stage;

/// Nodes that enrol at the same time, each with a connection.
const CALLERS: usize = 16;
/// Nodes of one address, as of a host or of a network behind one.
const NODES_PER_ADDRESS: usize = 100;

/// One node: its id, where it comes from, and how it shows who it is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub node: NodeId,
    /// Of 127.0.0.0/8.
    pub address: Ipv4Addr,
    /// With the node's certificate. No session is resumed, as a gateway does not either: each dial is a whole handshake.
    pub tls: Arc<ClientConfig>,
}

/// Enrols `count` nodes with a control plane.
pub async fn enrol(region: &Region, control_plane: &str, count: usize) -> anyhow::Result<Vec<Identity>> {
    let callers = stage::callers(region, ServiceName::Config, CALLERS)?;
    let mut tokens = Vec::new();
    for caller in &callers {
        // The token's row is locked while a node enrols with it: one for each caller.
        let body = json!({ "uses": count.div_ceil(CALLERS) });
        let path = format!("/v2/control-planes/{control_plane}/enrolment-tokens");
        let created = caller.post(&path, &body).await?.expect(201)?;
        tokens.push(text(&created, "token")?.to_owned());
    }
    let pairs: Vec<(Api, String)> = callers.iter().map(Api::anonymous).zip(tokens).collect();
    let enrolled = pairs.into_iter().enumerate().map(|(caller, (api, token))| async move {
        let mut identities = Vec::new();
        for number in (caller..count).step_by(CALLERS) {
            identities.push(one(&api, &token, number).await?);
        }
        anyhow::Ok(identities)
    });
    let enrolled: Vec<Vec<Identity>> = stream::iter(enrolled).buffer_unordered(CALLERS).try_collect().await?;
    Ok(enrolled.into_iter().flatten().collect())
}

async fn one(api: &Api, token: &str, number: usize) -> anyhow::Result<Identity> {
    let node = NodeId::generate();
    let (key, csr) = spawn_blocking(|| {
        let key = KeyPair::generate()?;
        let csr = CertificateParams::default().serialize_request(&key)?.pem()?;
        anyhow::Ok((key, csr))
    })
    .await??;
    let body =
        json!({ "token": token, "node_id": node, "hostname": format!("node-{number}"), "csr_pem": csr });
    let enrolled = api.post("/v1/nodes/enrol", &body).await?.expect(200)?;
    let certificate = CertificateDer::from_pem_slice(text(&enrolled, "certificate_pem")?.as_bytes())?;
    let ca = CertificateDer::from_pem_slice(text(&enrolled, "ca_pem")?.as_bytes())?;
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    tls.resumption = Resumption::disabled();
    Ok(Identity { node, address: address(number)?, tls: Arc::new(tls) })
}

/// 127.1.0.1 and so on: none that anything else on this machine has.
fn address(number: usize) -> anyhow::Result<Ipv4Addr> {
    let host = u32::try_from(number / NODES_PER_ADDRESS + 1).context("too many nodes")?;
    ensure!(host < 1 << 16, "too many nodes");
    Ok(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_from_many_addresses() {
        let of = |number| address(number).expect("an address").to_string();
        assert_eq!(
            (of(0), of(99), of(100), of(25_500)),
            ("127.1.0.1".into(), "127.1.0.1".into(), "127.1.0.2".into(), "127.1.1.0".into())
        );
        assert!(address(NODES_PER_ADDRESS << 16).is_err());
    }
}
