//! Who is at the other end of a connection between services, as its certificate says.

use ids::{Region, ServiceName};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Start of the SPIFFE id in a service's certificate; `<region>/service/<name>` follows.
const SPIFFE_PREFIX: &str = "spiffe://landbridge/region/";

/// A service of a region: who made a request. An extension of every request that came in through
/// [`Process::peers`](crate::Process::peers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The region that the service is part of.
    pub region: Region,
    /// Which service of that region it is.
    pub service: ServiceName,
}

impl Peer {
    /// The service that `certificate` names. The TLS handshake has verified the certificate before.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::URI(uri) => Self::of_spiffe_id(uri),
            _ => None,
        })
    }

    fn of_spiffe_id(uri: &str) -> Option<Self> {
        let (region, service) = uri.strip_prefix(SPIFFE_PREFIX)?.split_once("/service/")?;
        Some(Self { region: region.parse().ok()?, service: service.parse().ok()? })
    }
}
