//! Who is at the other end of a connection between services, as its certificate says.

use ids::{Region, ServiceName};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Start of the SPIFFE id in a service's certificate; `<region>/service/<name>` follows.
const SPIFFE_PREFIX: &str = "spiffe://landbridge/region/";

/// The name of a region's edge in its certificate, in the place of a service's.
const EDGE: &str = "edge";

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
        named(certificate, |region, name| {
            Some(Self { region: region.parse().ok()?, service: name.parse().ok()? })
        })
    }
}

/// Whether `certificate`, which the TLS handshake has verified, is that of the edge of `region`.
pub(crate) fn is_edge(certificate: &CertificateDer<'_>, region: &Region) -> bool {
    let of_region = |named: &str, name: &str| (named == region.as_str() && name == EDGE).then_some(());
    named(certificate, of_region).is_some()
}

/// What `read` makes of the region and the name in a SPIFFE id of `certificate`.
fn named<T>(certificate: &CertificateDer<'_>, read: impl Fn(&str, &str) -> Option<T>) -> Option<T> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| {
        let GeneralName::URI(uri) = name else { return None };
        let (region, name) = uri.strip_prefix(SPIFFE_PREFIX)?.split_once("/service/")?;
        read(region, name)
    })
}
