//! The listener for the same service of other regions: mTLS, HTTP/1.1 and HTTP/2.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    serve::IncomingStream,
};
use ids::{Region, ServiceName};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};
use settings::sections::PeerRegion;
use tokio_util::sync::CancellationToken;
use web::Problem;

use crate::{Identity, Peer, listen::TlsListener, regions::roots};

/// A listener that lets in only `service` of the configured regions.
pub(crate) struct PeersListener(TlsListener);

impl PeersListener {
    /// Listens on `address` and shows the certificate of `identity`. Only certificates of `service` in one of `regions`
    /// are let in, each verified by the CA of its own region. Fails if the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        identity: &Identity,
        regions: &BTreeMap<Region, PeerRegion>,
        service: ServiceName,
    ) -> anyhow::Result<Self> {
        let config = identity.server_config(verifier(service, regions)?)?;
        let listener = TlsListener::bind(address, config).await;
        Ok(Self(listener.with_context(|| format!("listen.peers: {address}"))?))
    }

    /// The bound address. Tests bind port 0.
    #[cfg(test)]
    pub fn address(&self) -> SocketAddr {
        use axum::serve::Listener as _;

        self.0.local_addr().expect("a bound listener has an address")
    }

    /// Serves `router` until the drain.
    pub async fn serve(self, router: Router, drain: CancellationToken) -> anyhow::Result<()> {
        let router = router.layer(from_fn(introduce)).into_make_service_with_connect_info::<Dialled>();
        axum::serve(self.0, router).with_graceful_shutdown(drain.cancelled_owned()).await?;
        Ok(())
    }
}

/// Who made a connection.
#[derive(Clone)]
struct Dialled(Option<Peer>);

impl Connected<IncomingStream<'_, TlsListener>> for Dialled {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let chain = connection.peer_certificates();
        Self(chain.and_then(|chain| chain.first()).and_then(Peer::of))
    }
}

/// Tells handlers who makes a request.
async fn introduce(
    ConnectInfo(Dialled(peer)): ConnectInfo<Dialled>,
    mut request: Request,
    next: Next,
) -> Response {
    match peer {
        Some(peer) => {
            request.extensions_mut().insert(peer);
            next.run(request).await
        }
        // The handshake lets in no such certificate.
        None => Problem::forbidden("this certificate names no service").into_response(),
    }
}

/// Believes a client's certificate when the CA of the region that it names signed it, and it names `service` there.
#[derive(Debug)]
struct PeerVerifier {
    service: ServiceName,
    regions: BTreeMap<Region, Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

pub(super) fn verifier(
    service: ServiceName,
    regions: &BTreeMap<Region, PeerRegion>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let of_region = |(region, peer): (&Region, &PeerRegion)| {
        let builder = WebPkiClientVerifier::builder_with_provider(roots(peer)?.into(), provider.clone());
        let verifier = builder.build().with_context(|| format!("regions.{region}.ca"))?;
        anyhow::Ok((region.clone(), verifier))
    };
    let regions = regions.iter().map(of_region).collect::<anyhow::Result<_>>()?;
    Ok(Arc::new(PeerVerifier { service, regions, algorithms }))
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Peer::of(end_entity)
            .filter(|peer| peer.service == self.service)
            .and_then(|peer| self.regions.get(&peer.region))
            .ok_or(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))?
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
