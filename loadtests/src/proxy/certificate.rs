//! The certificate that every proxy shows, made for one run, and clients that trust it and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, DnType, IsCa, Issuer, KeyPair,
    generate_simple_self_signed,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{cipher_suite, default_provider, kx_group},
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::requests::HOST;

/// Servers that a client remembers sessions of.
const SERVERS_MAX: usize = 8;

/// An ECDSA certificate with its key, as files: `certificate.pem`, `key.pem` and, for HAProxy, `pair.pem` with both.
#[derive(Debug)]
pub struct Certificate {
    folder: PathBuf,
    der: CertificateDer<'static>,
}

/// What a client shows to servers that ask for it: a certificate for its name, by an authority of its own.
#[derive(Debug)]
pub struct Identity {
    authority: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A new one for `name`.
    pub fn create(name: &str) -> anyhow::Result<Self> {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate()?);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate()?);
        params.distinguished_name.push(DnType::CommonName, name);
        let chain = vec![params.signed_by(&key, &issuer)?.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok(Self { authority, chain, key })
    }

    /// The authority's certificate, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// What a client does about sessions that it had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Every connection has a full handshake.
    Forgotten,
    /// A connection goes on from an earlier one's session.
    Resumed,
}

impl Certificate {
    /// Makes one, with its files in `folder`.
    pub fn create(folder: PathBuf) -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        fs::write(folder.join("certificate.pem"), &certificate)?;
        fs::write(folder.join("key.pem"), &key)?;
        fs::write(folder.join("pair.pem"), certificate + &key)?;
        Ok(Self { folder, der: cert.der().clone() })
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A client that trusts it: see [`client`].
    pub fn client(&self, protocols: &[&str], sessions: Sessions) -> anyhow::Result<Arc<ClientConfig>> {
        client(self.roots()?, protocols, sessions, None)
    }

    /// The same, which shows who it is.
    pub fn client_showing(
        &self,
        protocols: &[&str],
        sessions: Sessions,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Arc<ClientConfig>> {
        client(self.roots()?, protocols, sessions, identity)
    }

    fn roots(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        Ok(roots)
    }
}

/// A client of TLS 1.3 that trusts `roots`, asks for `protocols`, as in `h2`, and shows `identity` to servers that want it. It offers one cipher and one key exchange, so that
/// all servers have the same to compute.
pub fn client(
    roots: RootCertStore,
    protocols: &[&str],
    sessions: Sessions,
    identity: Option<&Identity>,
) -> anyhow::Result<Arc<ClientConfig>> {
    let offered = CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        ..default_provider()
    };
    let client = ClientConfig::builder_with_provider(Arc::new(offered));
    let client = client.with_protocol_versions(&[&rustls::version::TLS13])?;
    let client = client.with_root_certificates(roots);
    let mut client = match identity {
        Some(Identity { chain, key, .. }) => client.with_client_auth_cert(chain.clone(), key.clone_key())?,
        None => client.with_no_client_auth(),
    };
    client.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    client.resumption = match sessions {
        Sessions::Forgotten => Resumption::disabled(),
        Sessions::Resumed => Resumption::in_memory_sessions(SERVERS_MAX),
    };
    Ok(Arc::new(client))
}

#[cfg(test)]
pub mod tests {
    use std::{env, net::SocketAddr};

    use rustls::ServerConfig;
    use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use uuid::Uuid;

    use super::*;
    use crate::upstream;

    /// A certificate and an upstream that shows it and speaks HTTP/1.1 only. The test removes the folder.
    pub async fn https_upstream() -> anyhow::Result<(Certificate, SocketAddr)> {
        let folder = env::temp_dir().join(format!("loadtests-{}", Uuid::new_v4()));
        fs::create_dir_all(&folder)?;
        let certificate = Certificate::create(folder)?;
        let chain = vec![CertificateDer::from_pem_file(certificate.folder().join("certificate.pem"))?];
        let key = PrivateKeyDer::from_pem_file(certificate.folder().join("key.pem"))?;
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let accept = acceptor.accept(stream);
                tokio::spawn(
                    async move { upstream::answer_all(accept.await?, upstream::Slow::default()).await },
                );
            }
        });
        Ok((certificate, address))
    }

    #[test]
    fn the_pair_is_the_certificate_and_then_the_key() {
        let folder = env::temp_dir().join(format!("loadtests-{}", Uuid::new_v4()));
        fs::create_dir_all(&folder).expect("made");
        let certificate = Certificate::create(folder).expect("made");
        let read = |name| fs::read_to_string(certificate.folder().join(name)).expect("text");
        assert_eq!(read("pair.pem"), read("certificate.pem") + &read("key.pem"));
        fs::remove_dir_all(certificate.folder()).expect("removed");
    }
}
