use std::os::unix::fs::PermissionsExt;

use clock::Clock;
use x509_parser::{extensions::GeneralName, pem::Pem, prelude::X509Certificate};

use super::*;

fn make(folder: &Path) -> Ca {
    let region = "us".parse().expect("a region");
    Ca::create(folder.to_owned(), region, Clock::system().now()).expect("authorities")
}

fn pems(path: &Path) -> Vec<Pem> {
    let text = fs::read(path).expect("file");
    Pem::iter_from_buffer(&text).collect::<Result<_, _>>().expect("PEM")
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().expect("readable").expect("present");
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => format!("{bytes:?}"),
        other => panic!("unexpected name {other:?}"),
    };
    extension.value.general_names.iter().map(name).collect()
}

#[test]
fn a_service_is_named_for_postgres_and_for_its_peers() {
    let folder = tempfile::tempdir().expect("folder");
    let ca = make(folder.path());
    let pair = ca.internal("identity").expect("signs");
    let (leaf, authority) = (pems(&pair.certificate), pems(&ca.internal_ca().certificate));
    let (leaf, authority) = (leaf[0].parse_x509().expect("leaf"), authority[0].parse_x509().expect("CA"));

    assert_eq!(leaf.subject().to_string(), "CN=identity");
    assert_eq!(
        names(&leaf),
        [
            "spiffe://landbridge/region/us/service/identity",
            "identity.us.landbridge.internal",
            "localhost",
            "[127, 0, 0, 1]"
        ]
    );
    let usage = leaf.extended_key_usage().expect("readable").expect("present").value;
    assert!(usage.server_auth && usage.client_auth);
    assert!(authority.is_ca() && !leaf.is_ca());
    assert_eq!(leaf.issuer(), authority.subject());
}

#[test]
fn the_api_certificate_comes_with_its_authority() {
    let folder = tempfile::tempdir().expect("folder");
    let ca = make(folder.path());
    let chain = pems(&ca.api().expect("signs").certificate);
    assert_eq!(chain.len(), 2);
    let (leaf, authority) = (chain[0].parse_x509().expect("leaf"), chain[1].parse_x509().expect("CA"));
    assert_eq!(names(&leaf), ["api.us.landbridge.internal", "localhost", "[127, 0, 0, 1]"]);
    assert_eq!(leaf.issuer(), authority.subject());
    assert_eq!(chain[1].contents, pems(&ca.region_ca().certificate)[0].contents);
}

#[test]
fn other_regions_authorities_are_kept_apart_and_bundled_for_nats() {
    let (here, there) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
    let (us, eu) = (make(here.path()), make(there.path()));
    let file = us.other(&"eu".parse().expect("a region"), eu.internal_pem()).expect("kept");
    assert_eq!(pems(&file)[0].contents, pems(&eu.internal_ca().certificate)[0].contents);
    assert_ne!(pems(&file)[0].contents, pems(&us.internal_ca().certificate)[0].contents);

    let bundle = pems(&us.bundle([file.as_path()]).expect("bundled"));
    let own = pems(&us.internal_ca().certificate).remove(0).contents;
    assert_eq!(bundle.len(), 2);
    assert_eq!(bundle[0].contents, own);
    assert_eq!(bundle[1].contents, pems(&file)[0].contents);
    assert_eq!(pems(&us.internal_ca().certificate).len(), 1, "the own authority's file names nobody else");
}

#[test]
fn keys_are_for_the_owner_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let ca = make(folder.path());
    for pair in
        [ca.internal_ca(), ca.region_ca(), ca.internal("config").expect("signs"), ca.api().expect("signs")]
    {
        let mode = fs::metadata(&pair.key).expect("key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", pair.key.display());
    }
}
