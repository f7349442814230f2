//! A gateway that is known by a pinned certificate.

use std::{fs, path::Path};

use super::*;
use crate::settings::Pinned;

/// Writes another key and a certificate for it, which are answered as the plane sees them.
fn replace(folder: &Path, region: &TestRegion) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().expect("key");
    let csr = rcgen::CertificateParams::default().serialize_request(&key).expect("request");
    let pem = region.sign(csr.der(), &region.identity, time::Duration::ZERO, time::Duration::days(6));
    fs::write(folder.join("key"), key.serialize_pem()).expect("written");
    fs::write(folder.join("certificate"), &pem).expect("written");
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    pem.contents
}

#[tokio::test(flavor = "multi_thread")]
async fn it_names_itself_and_dials_again_when_its_files_are_replaced() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("ca"), &region.ca_pem).expect("written");
    let first = replace(folder.path(), &region);
    let applier = start(folder.path()).await;
    let pinned = Pinned {
        certificate: path("certificate"),
        key: path("key"),
        ca: path("ca"),
        sync: serde_json::from_value(json!(plane.address.to_string())).expect("names"),
        region: region.identity.region.clone(),
        control_plane: region.identity.control_plane,
    };
    let node = applier.store().node();
    let files = NodeFiles::new(path("node")).with_pinned(Some(pinned), node);
    let mut node = Node::of(folder, files, applier);
    node.run();
    let (connection, hello) = plane.greeted().await;
    assert_eq!(hello.node_id[..], node.applier.store().node().as_bytes()[..]);
    assert_eq!(hello.control_plane_id, region.identity.control_plane.to_string());
    assert_eq!(connection.certificate, first);
    let next = replace(node.folder.path(), &region);
    let (again, _) = plane.greeted().await;
    assert_eq!(again.certificate, next, "a few seconds later, without a restart");
    node.stop().await;
}
