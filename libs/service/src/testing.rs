//! Certificates in a temporary folder, for tests of what stands between regions.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf};

use axum::Router;
use ids::{Region, ServiceName};
use listener::{Listener, Options, Protocols};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use settings::sections::{PeerRegion, Public, Tls};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{Identity, peer_name, regions};

/// Serves `router` to identity of `regions`, as [`crate::Process::peers`] does, on a free port.
pub async fn serve_peers(
    own: &Identity,
    regions: &BTreeMap<Region, PeerRegion>,
    router: Router,
    drain: CancellationToken,
) -> SocketAddr {
    let verifier = regions::verifier(ServiceName::Identity, regions).expect("certificates");
    let tls = Some(own.server_config(verifier).expect("a certificate"));
    let any = "127.0.0.1:0".parse().expect("address");
    let listener =
        Listener::bind(any, Options { name: "peers", tls: tls.map(Into::into), ..Options::default() }).await;
    let listener = listener.expect("a listener");
    let address = listener.address();
    let protocols = Protocols::Streams { streams_max: 100 };
    tokio::spawn(listener.serve(regions::introduced(router), protocols, drain));
    address
}

pub fn region(name: &str) -> Region {
    name.parse().expect("a region's name")
}

/// The authority of a region's internal certificates.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().expect("temporary folder");
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("certificate");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("write");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate that says it is `service` in `region`, whoever this authority belongs to.
    pub fn service(&self, service: ServiceName, region: &Region) -> Identity {
        let id = format!("spiffe://landbridge/region/{region}/service/{service}");
        self.identity(&peer_name(service, region), Some(&id))
    }

    /// A certificate with this SPIFFE id.
    pub fn certificate(&self, name: &str, uri: &str) -> CertificateDer<'static> {
        self.identity(name, Some(uri));
        CertificateDer::from_pem_file(self.file("leaf.pem")).expect("a certificate")
    }

    pub fn identity(&self, name: &str, uri: Option<&str>) -> Identity {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("name");
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().expect("URI"))));
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate");
        fs::write(self.file("leaf.pem"), certificate.pem()).expect("write");
        fs::write(self.file("leaf.key"), key.serialize_pem()).expect("write");
        let files =
            Tls { certificate: self.file("leaf.pem"), key: self.file("leaf.key"), ca: self.file("ca.pem") };
        Identity::load(&files).expect("certificates")
    }

    /// The region of this authority, as another one's settings name it.
    pub fn peer_region(&self, service: SocketAddr) -> PeerRegion {
        PeerRegion {
            log_keys: Vec::new(),
            service: format!("https://{service}"),
            nats: "tls://127.0.0.1:1".to_owned(),
            ca: self.file("ca.pem"),
            public: Public { api: "https://127.0.0.1:1".to_owned(), sync: Vec::new() },
        }
    }
}
