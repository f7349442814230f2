//! The port for the same service of other regions: whose certificates open it.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
};
use ids::{Region, ServiceName};
use listener::Client;
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
use web::Problem;

use crate::{Peer, client::forwarded_for, regions::roots};

/// `router`, in which requests carry their [`Peer`].
pub(crate) fn introduced(router: Router) -> Router {
    router.layer(from_fn(introduce))
}

/// Tells handlers who makes a request.
async fn introduce(mut request: Request, next: Next) -> Response {
    let certificate = request.extensions().get::<Client>().and_then(|client| client.certificate.as_ref());
    match certificate.and_then(Peer::of) {
        Some(peer) => {
            if let Some(address) = forwarded_for(request.headers()) {
                request.extensions_mut().insert(address);
            }
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

/// Lets in only `service` of `regions`, each verified by the CA of its own region.
pub(crate) fn verifier(
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
