//! Whom a certificate is about, as consumers are found by it and upstreams are told.

use rustls_pki_types::CertificateDer;
use std::{fmt::Write as _, net::IpAddr, ops::RangeInclusive};
use x509_parser::{
    asn1_rs::ToDer as _,
    extensions::GeneralName,
    oid_registry::{
        OID_DOMAIN_COMPONENT, OID_PKCS9_EMAIL_ADDRESS, OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME,
        OID_X509_LOCALITY_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
        OID_X509_SERIALNUMBER, OID_X509_STATE_OR_PROVINCE_NAME, OID_X509_STREET_ADDRESS, Oid,
    },
    prelude::{FromDer as _, X509Certificate},
    x509::{AttributeTypeAndValue, X509Name},
};

use crate::authority::validity;

/// Names of a certificate that consumers are found by. Further ones do not count.
const NAMES_MAX: usize = 16;

/// Short names of attributes, as in RFC 4514, and those of OpenSSL's that are usual in certificates.
const SHORT: [(Oid<'static>, &str); 10] = [
    (OID_X509_COMMON_NAME, "CN"),
    (OID_X509_LOCALITY_NAME, "L"),
    (OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
    (OID_X509_ORGANIZATION_NAME, "O"),
    (OID_X509_ORGANIZATIONAL_UNIT, "OU"),
    (OID_X509_COUNTRY_NAME, "C"),
    (OID_X509_STREET_ADDRESS, "street"),
    (OID_DOMAIN_COMPONENT, "DC"),
    (OID_PKCS9_EMAIL_ADDRESS, "emailAddress"),
    (OID_X509_SERIALNUMBER, "serialNumber"),
];

/// What a certificate says of its owner.
#[derive(Debug)]
pub struct Subject {
    /// The names that consumers are found by, in the certificate's order: its subject alternative names, or the common name where it has no
    /// such names at all, as in Kong.
    pub names: Vec<String>,
    /// The first common name.
    pub common_name: Option<String>,
    /// The subject as in RFC 4514, in visible ASCII.
    pub distinguished_name: String,
    /// The subject alternative names, separated by commas, in visible ASCII.
    pub alternative_names: String,
    /// Unix seconds at which the certificate counts.
    pub valid: RangeInclusive<u64>,
}

impl Subject {
    /// Reads a certificate; `None` if that is not possible.
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().next();
        let common_name = common_name.and_then(|name| name.as_str().ok()).map(str::to_owned);
        let stated = certificate.subject_alternative_name().ok()?;
        let names: Vec<String> = match &stated {
            Some(stated) => {
                let names = stated.value.general_names.iter().filter_map(alternative);
                names.filter(|name| !name.is_empty()).take(NAMES_MAX).collect()
            }
            None => common_name.iter().cloned().collect(),
        };
        let alternative_names = match &stated {
            Some(_) => names.iter().map(|name| visible(name)).collect::<Vec<_>>().join(","),
            None => String::new(),
        };
        Some(Self {
            names,
            common_name,
            distinguished_name: distinguished(subject),
            alternative_names,
            valid: validity(&certificate),
        })
    }
}

/// An alternative name as text; `None` for kinds that name no consumer.
fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            let four = || <[u8; 4]>::try_from(*bytes).map(IpAddr::from).ok();
            let sixteen = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from).ok();
            four().or_else(sixteen).map(|address| address.to_string())
        }
        _ => None,
    }
}

/// A name in visible ASCII without a comma: whatever else is in it is percent-encoded.
fn visible(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b',' | b'%' | 0..=b' ' | 0x7f.. => _ = write!(text, "%{byte:02X}"),
            byte => text.push(char::from(byte)),
        }
    }
    text
}

/// The name as RFC 4514 writes it: the last part first.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let short = SHORT.iter().find(|(oid, _)| oid == attribute.attr_type()).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
        (short, _) => {
            let value = attribute.attr_value().to_der_vec().unwrap_or_default();
            let name = short.map_or_else(|| attribute.attr_type().to_id_string(), str::to_owned);
            format!("{name}=#{}", hex::encode(value))
        }
    }
}

/// A value as in RFC 4514, section 2.4. What is not visible ASCII is written by its bytes.
fn escaped(value: &str) -> String {
    let (mut text, last) = (String::with_capacity(value.len()), value.len().saturating_sub(1));
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => _ = write!(text, "\\{}", char::from(byte)),
            b'#' if at == 0 => text.push_str("\\#"),
            b' ' if at == 0 || at == last => text.push_str("\\ "),
            0..0x20 | 0x7f.. => _ = write!(text, "\\{byte:02X}"),
            byte => text.push(char::from(byte)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn subject(parts: &[(DnType, &str)], names: Vec<SanType>) -> Subject {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = names;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Subject::read(certificate.der()).unwrap()
    }

    #[test]
    fn a_subject_is_written_backwards_and_escaped() {
        let parts = [
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, " Shop, \"Inc.\" + <Sons>; \\ "),
            (DnType::CommonName, "#Zoë\r\nX-Admin: 1"),
            (DnType::CustomDnType(vec![1, 2, 3, 4]), "a"),
        ];
        let subject = subject(&parts, vec![]);
        let expected = concat!(
            "1.2.3.4=#0c0161,CN=\\#Zo\\C3\\AB\\0D\\0AX-Admin: 1,",
            "O=\\ Shop\\, \\\"Inc.\\\" \\+ \\<Sons\\>\\; \\\\\\ ,C=US",
        );
        assert_eq!(subject.distinguished_name, expected);
        assert_eq!(subject.names, ["#Zoë\r\nX-Admin: 1"]);
        assert_eq!(subject.alternative_names, "");
    }

    #[test]
    fn the_common_name_counts_only_where_there_are_no_alternative_names() {
        let names = vec![
            SanType::DnsName("a.example".try_into().unwrap()),
            SanType::Rfc822Name("o,p%@a.example".try_into().unwrap()),
            SanType::URI("spiffe://a/b".try_into().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
        let subject = subject(&[(DnType::CommonName, "common")], names);
        assert_eq!(subject.names, ["a.example", "o,p%@a.example", "spiffe://a/b", "2001:db8::1"]);
        assert_eq!(subject.alternative_names, "a.example,o%2Cp%25@a.example,spiffe://a/b,2001:db8::1");
        assert_eq!(subject.common_name.as_deref(), Some("common"));
        let many = (0..100).map(|n| SanType::DnsName(format!("n{n}.example").try_into().unwrap())).collect();
        assert_eq!(self::subject(&[], many).names.len(), NAMES_MAX);
    }

    #[test]
    fn what_is_no_certificate_is_about_nobody() {
        assert!(Subject::read(&CertificateDer::from(vec![0x30, 3, 1, 2, 3])).is_none());
    }
}
