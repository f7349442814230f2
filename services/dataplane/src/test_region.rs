//! For tests: a region's CA, and entities as a control plane sends them.

use std::sync::Arc;

use bytes::Bytes;
use clock::Clock;
use gateway_model::{Entity, Kind};
use ids::{ControlPlaneId, NodeId, Region};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, IsCa, Issuer,
    KeyPair, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use sync::{
    EntityState,
    identity::{NodeIdentity, plane_name},
};
use time::Duration;
use uuid::Uuid;

use crate::enrol::pinned::fingerprint;

/// The CA of one region, and a node that it knows.
pub struct TestRegion {
    issuer: Issuer<'static, KeyPair>,
    /// The CA's certificate, DER.
    pub ca: CertificateDer<'static>,
    /// The same as PEM.
    pub ca_pem: String,
    /// The node that [`TestRegion`] issues certificates for.
    pub identity: NodeIdentity,
}

/// A server's certificate and key.
pub struct ServerPair {
    /// DER.
    pub certificate: CertificateDer<'static>,
    /// The same certificate as PEM.
    pub certificate_pem: String,
    /// The private key as PEM.
    pub key_pem: String,
    /// The same private key, DER.
    pub key: PrivateKeyDer<'static>,
}

impl TestRegion {
    /// A region `eu` with a new CA key, and a node with random ids.
    pub fn new() -> Arc<TestRegion> {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("CA");
        let identity = NodeIdentity {
            region: "eu".parse::<Region>().expect("region"),
            control_plane: ControlPlaneId::generate(),
            node: NodeId::generate(),
        };
        let (ca, ca_pem) = (certificate.der().clone(), certificate.pem());
        Arc::new(TestRegion { issuer: Issuer::new(params, key), ca, ca_pem, identity })
    }

    /// SHA-256 of the CA's certificate: what an enrolment token carries.
    pub fn ca_sha256(&self) -> [u8; 32] {
        fingerprint(&self.ca)
    }

    /// A certificate for the region's servers: for the names that they are dialled by in tests, and for the region's name.
    pub fn server(&self) -> ServerPair {
        let key = KeyPair::generate().expect("key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), plane_name(&self.identity.region)];
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate");
        ServerPair {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }

    /// Answers a node's request with a certificate for `identity`, valid from `age` ago for `life`.
    pub fn sign(&self, csr_der: &[u8], identity: &NodeIdentity, age: Duration, life: Duration) -> String {
        let mut csr = CertificateSigningRequestParams::from_der(&csr_der.to_vec().into()).expect("request");
        csr.params.distinguished_name = DistinguishedName::new();
        let uri = identity.to_string().try_into().expect("ASCII");
        csr.params.subject_alt_names = vec![SanType::URI(uri)];
        csr.params.not_before = Clock::system().now() - age;
        csr.params.not_after = csr.params.not_before + life;
        csr.signed_by(&self.issuer).expect("certificate").pem()
    }
}

/// A live entity, its body in wire form, from an entity as users write it.
pub fn entity(kind: Kind, id: u128, version: u64, api: &Value) -> EntityState {
    let entity = Entity::from_api(kind, api).expect("valid");
    let body = Bytes::from(entity.to_wire().expect("complete"));
    EntityState { kind: kind.name().to_owned(), id: Uuid::from_u128(id), version, body, deleted: false }
}

/// The tombstone of an entity.
pub fn tombstone(kind: Kind, id: u128, version: u64) -> EntityState {
    let id = Uuid::from_u128(id);
    EntityState { kind: kind.name().to_owned(), id, version, body: Bytes::new(), deleted: true }
}
