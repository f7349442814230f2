//! Certificates of a region: two authorities, and what they sign.
//!
//! * The *internal* authority signs the services, Postgres, NATS and the operator's client. It is trusted on internal
//!   connections only, in both directions.
//! * The *region* authority signs what the region presents to the outside: the HTTPS certificate of the APIs. Its key
//!   goes to `config`, which signs the data planes' certificates with it.
//!
//! Certificates of services carry the service's name as common name (Postgres reads its role there), as SPIFFE id, by which
//! NATS and other regions know them, and as DNS name `<service>.<region>.landbridge.internal`, which other regions verify.
//! Each region has the internal authorities of the others, one file each; what trusts them says so.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use ids::Region;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// How long the authorities are valid.
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);
/// How long what they sign is valid.
const LEAF_LIFETIME: Duration = Duration::days(365);
/// Certificates are valid a little before they are made, for clocks that are behind.
const BACKDATED: Duration = Duration::hours(1);
/// Private keys are for the owner alone.
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// For certificates that are shown by servers and by clients.
const BOTH_ENDS: [ExtendedKeyUsagePurpose; 2] =
    [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

/// The client certificate for a person who looks into Postgres or NATS.
pub const OPERATOR: &str = "operator";

/// PEM files of a certificate (leaf first) and its private key (PKCS #8).
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key (PKCS #8).
    pub key: PathBuf,
}

impl Pair {
    fn in_folder(folder: &Path, name: &str) -> Self {
        Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
    }
}

/// The certificates of a region, in one folder.
#[derive(Debug)]
pub struct Ca {
    folder: PathBuf,
    region: Region,
    now: OffsetDateTime,
    internal: Authority,
    outside: Authority,
}

#[derive(Debug)]
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    /// Makes both authorities; `now` is when their validity starts.
    pub fn create(folder: PathBuf, region: Region, now: OffsetDateTime) -> anyhow::Result<Self> {
        let internal = Authority::create(&format!("Landbridge {region} internal CA"), now)?;
        let outside = Authority::create(&format!("Landbridge {region} region CA"), now)?;
        let ca = Self { folder, region, now, internal, outside };
        ca.write(&ca.internal_ca(), &ca.internal.pem, ca.internal.issuer.key())?;
        ca.write(&ca.region_ca(), &ca.outside.pem, ca.outside.issuer.key())?;
        Ok(ca)
    }

    /// Trust anchor and key of the internal authority.
    pub fn internal_ca(&self) -> Pair {
        Pair::in_folder(&self.folder, "internal-ca")
    }

    /// Trust anchor and key of the region authority.
    pub fn region_ca(&self) -> Pair {
        Pair::in_folder(&self.folder, "region-ca")
    }

    /// Keeps another region's internal authority and returns its file.
    pub fn other(&self, region: &Region, pem: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("internal-ca-{region}.pem"));
        write_with_mode(&path, pem, CERTIFICATE_MODE)?;
        Ok(path)
    }

    /// One file with this region's internal authority and those in `others`, for NATS, which takes one file.
    pub fn bundle<'a>(&self, others: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<PathBuf> {
        let mut bundle = self.internal.pem.clone();
        for other in others {
            bundle += &fs::read_to_string(other).with_context(|| format!("read {}", other.display()))?;
        }
        let path = self.folder.join("internal-cas.pem");
        write_with_mode(&path, &bundle, CERTIFICATE_MODE)?;
        Ok(path)
    }

    /// The internal authority's certificate, for the other regions.
    pub fn internal_pem(&self) -> &str {
        &self.internal.pem
    }

    fn host(&self, name: &str) -> String {
        format!("{name}.{}.landbridge.internal", self.region)
    }

    /// A certificate for internal connections, as server and as client. `name` is its common name.
    pub fn internal(&self, name: &str) -> anyhow::Result<Pair> {
        let spiffe = format!("spiffe://landbridge/region/{}/service/{name}", self.region);
        let names = [SanType::URI(spiffe.try_into()?), SanType::DnsName(self.host(name).try_into()?)];
        self.sign(&self.internal, name, &BOTH_ENDS, names.into_iter().chain(loopback()?).collect())
    }

    /// The certificate that the region's HTTPS APIs present.
    pub fn api(&self) -> anyhow::Result<Pair> {
        self.outside("api")
    }

    /// The certificate that data planes of the testbed present to their clients.
    pub fn gateway(&self) -> anyhow::Result<Pair> {
        self.outside("gateway")
    }

    /// A server certificate of the region authority, no client's, since that authority signs gateways too. It is for `<name>.<region>.landbridge.internal` and loopback; its file
    /// holds the authority's certificate too.
    fn outside(&self, name: &str) -> anyhow::Result<Pair> {
        let names = [SanType::DnsName(self.host(name).try_into()?)];
        let names = names.into_iter().chain(loopback()?).collect();
        let pair = self.sign(&self.outside, name, &[ExtendedKeyUsagePurpose::ServerAuth], names)?;
        let chain = fs::read_to_string(&pair.certificate)? + &self.outside.pem;
        fs::write(&pair.certificate, chain)?;
        Ok(pair)
    }

    /// A certificate that this region's nodes and services must refuse: right names, but nobody's authority.
    pub fn stranger(&self, name: &str) -> anyhow::Result<Pair> {
        let nobody = Authority::create("A stranger's CA", self.now)?;
        self.sign(&nobody, &format!("stranger-{name}"), &BOTH_ENDS, loopback()?.to_vec())
    }

    fn sign(
        &self,
        by: &Authority,
        name: &str,
        ends: &[ExtendedKeyUsagePurpose],
        names: Vec<SanType>,
    ) -> anyhow::Result<Pair> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        parameters.not_before = self.now - BACKDATED;
        parameters.not_after = self.now + LEAF_LIFETIME;
        parameters.distinguished_name = common_name(name);
        parameters.subject_alt_names = names;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = ends.to_vec();
        let certificate = parameters.signed_by(&key, &by.issuer).with_context(|| format!("sign {name}"))?;
        let pair = Pair::in_folder(&self.folder, name);
        self.write(&pair, &certificate.pem(), &key)?;
        Ok(pair)
    }

    fn write(&self, pair: &Pair, certificate: &str, key: &KeyPair) -> anyhow::Result<()> {
        write_with_mode(&pair.certificate, certificate, CERTIFICATE_MODE)?;
        write_with_mode(&pair.key, &key.serialize_pem(), KEY_MODE)
    }
}

impl Authority {
    fn create(name: &str, now: OffsetDateTime) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        parameters.not_before = now - BACKDATED;
        parameters.not_after = now + AUTHORITY_LIFETIME;
        parameters.distinguished_name = common_name(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let pem = parameters.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(parameters, key), pem })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn loopback() -> anyhow::Result<[SanType; 2]> {
    Ok([SanType::DnsName("localhost".try_into()?), SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))])
}

/// Writes a file that never exists with a wider mode than `mode`.
pub(crate) fn write_with_mode(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests;
