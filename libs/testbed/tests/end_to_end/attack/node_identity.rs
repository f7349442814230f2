//! A certificate opens the stream of its own node, for as long as the node is wanted, and nothing else.

use std::{fs, path::PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use serde_json::{Value, json};
use testbed::{Gateway, Region, api::https_client, dataplane, process::Exit, wait};

use crate::{
    fixtures::{ControlPlane, check_plain_file, is_in_sync, node_of, served},
    harness::{SOON, run, shared, unique},
};

/// Where a data plane keeps its key and certificates.
fn node_folder(gateway: &Gateway) -> PathBuf {
    gateway.folder().join("landbridge-data/node")
}

/// Deletes all enrolment tokens, so that nothing can enrol any more.
async fn delete_enrolment_tokens(on: &ControlPlane) -> anyhow::Result<()> {
    let tokens = on.api.get(&on.path("enrolment-tokens")).await?.expect(200)?;
    for token in tokens["data"].as_array().context("a list")? {
        let id = testbed::api::text(token, "id")?;
        on.api.delete(&on.path(&format!("enrolment-tokens/{id}"))).await?.expect(204)?;
    }
    Ok(())
}

/// Waits until the data plane says that it does not follow its control plane, and why.
async fn until_turned_away(gateway: &Gateway, before: &Value) -> anyhow::Result<String> {
    wait::until("the data plane is turned away", SOON, async || {
        let status = gateway.status().await.map_err(|error| format!("{error:#}"))?;
        let source = &status["source"];
        match source["last_error"].as_str() {
            Some(error) if source["connection"]["state"] == "waiting" && source["last_error"] != *before => {
                Ok(error.to_owned())
            }
            _ => Err(source.to_string()),
        }
    })
    .await
}

async fn shown(on: &ControlPlane, node: &str) -> anyhow::Result<Value> {
    let nodes = on.nodes().await?;
    nodes.into_iter().find(|shown| shown["id"] == node).with_context(|| format!("node {node} is not listed"))
}

/// The control plane shows that a node is gone a moment after its process has ended.
async fn until_shown_as_gone(on: &ControlPlane, node: &str, version: u64) -> anyhow::Result<()> {
    wait::until("the control plane shows that the node is gone", SOON, async || {
        let shown = shown(on, node).await.map_err(|error| format!("{error:#}"))?;
        if is_in_sync(&shown, version) { Err(shown.to_string()) } else { Ok(()) }
    })
    .await
}

#[test]
fn a_certificate_of_another_control_planes_node_is_refused() {
    run(async {
        let region = shared().await?;
        let (ours, our_gateway) = served(region, "own").await?;
        let (theirs, their_gateway) = served(region, "foreign").await?;
        let (our_node, their_node) = (node_of(&our_gateway).await?, node_of(&their_gateway).await?);
        for (on, gateway) in [(&ours, &our_gateway), (&theirs, &their_gateway)] {
            delete_enrolment_tokens(on).await?;
            gateway.process().stop().await?;
        }
        let own: Vec<(PathBuf, Vec<u8>)> = ["key.pem", "certificate.pem"]
            .into_iter()
            .map(|file| {
                let path = node_folder(&our_gateway).join(file);
                let content = fs::read(&path)?;
                fs::copy(node_folder(&their_gateway).join(file), &path)?;
                Ok((path, content))
            })
            .collect::<std::io::Result<_>>()?;
        // What each of them would follow, if it did.
        for on in [&ours, &theirs] {
            let body = json!({ "paths": ["/new"], "service": { "name": "echo" } });
            on.api.put(&on.entity("routes/new"), &body).await?.expect(200)?;
        }

        // It gives up, since nothing can mend this: by itself it must not even begin to follow the other control plane.
        our_gateway.process().start_again().await?;
        assert_eq!(our_gateway.process().wait(SOON).await?, Exit::Code(1));
        let said = our_gateway.process().failure("has ended").to_string();
        assert!(said.contains("it is for") || said.contains("refuses the enrolment"), "{said}");
        let versions = (ours.version().await?, theirs.version().await?);
        until_shown_as_gone(&ours, &our_node, versions.0).await?;
        until_shown_as_gone(&theirs, &their_node, versions.1).await?;

        // With its own files back, it serves on; and the rightful node is not harmed.
        for (path, content) in own {
            fs::write(path, content)?;
        }
        for (on, gateway, node, version) in
            [(&ours, &our_gateway, &our_node, versions.0), (&theirs, &their_gateway, &their_node, versions.1)]
        {
            gateway.start_again().await?;
            gateway.until_answers("/new", None, 200).await?;
            on.until_in_sync(node, version).await?;
        }
        our_gateway.process().stop().await?;
        their_gateway.process().stop().await?;
        Ok(())
    });
}

/// A certificate with everything that the node's own has, but signed by a CA of the same name that the region does not
/// know.
fn forged(certificate: &str, key: &str) -> anyhow::Result<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes())?;
    let certificate = pem.parse_x509()?;
    let names = certificate.subject_alternative_name()?.context("no names")?;
    let spiffe = names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let mut authority = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, "Landbridge us region CA");
    authority.distinguished_name = name;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = Issuer::new(authority, KeyPair::generate()?);
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = vec![SanType::URI(spiffe.context("no SPIFFE id")?.try_into()?)];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(parameters.signed_by(&KeyPair::from_pem(key)?, &authority)?.pem())
}

#[test]
fn a_certificate_of_a_strangers_ca_is_refused_by_tls() {
    run(async {
        let region = shared().await?;
        let (control_plane, gateway) = served(region, "stranger").await?;
        let node = node_of(&gateway).await?;
        delete_enrolment_tokens(&control_plane).await?;
        gateway.process().stop().await?;

        let folder = node_folder(&gateway);
        let genuine = fs::read_to_string(folder.join("certificate.pem"))?;
        let false_one = forged(&genuine, &fs::read_to_string(folder.join("key.pem"))?)?;
        fs::write(folder.join("certificate.pem"), false_one)?;
        gateway.start_again().await?;
        let reason = until_turned_away(&gateway, &Value::Null).await?;
        println!("refused: {reason}");
        let version = control_plane.version().await?;
        until_shown_as_gone(&control_plane, &node, version).await?;
        check_plain_file(&gateway).await?;

        gateway.process().stop().await?;
        fs::write(folder.join("certificate.pem"), genuine)?;
        gateway.start_again().await?;
        control_plane.until_in_sync(&node, version).await?;
        gateway.process().stop().await?;
        Ok(())
    });
}

#[test]
fn without_a_certificate_the_sync_listener_answers_nothing() {
    run(async {
        let region = shared().await?;
        let sync = region.infrastructure().addresses.sync;
        let name = "sync.us.landbridge.internal";
        // The same request to an API of the region is answered: the client is not at fault.
        let url = region.api_url(testbed::ServiceName::Config);
        assert!(https_client(&region.ca_file())?.get(url).send().await.is_ok());

        let ca = reqwest::Certificate::from_pem_bundle(&fs::read(region.ca_file())?)?;
        let client = reqwest::Client::builder().no_proxy().tls_certs_only(ca).resolve(name, sync).build()?;
        let answer = client.get(format!("https://{name}:{}/", sync.port())).send().await;
        assert!(answer.is_err(), "it answered {answer:?}");
        Ok(())
    });
}

#[test]
fn a_removed_node_is_cut_off_and_refused_when_it_returns() {
    run(async {
        let region = shared().await?;
        let (control_plane, gateway) = served(region, "removed").await?;
        let node = node_of(&gateway).await?;
        control_plane.until_in_sync(&node, control_plane.version().await?).await?;
        let last_error = gateway.status().await?["source"]["last_error"].clone();

        let path = control_plane.path(&format!("nodes/{node}"));
        control_plane.api.delete(&path).await?.expect(204)?;
        until_turned_away(&gateway, &last_error).await?;
        let body = json!({ "paths": ["/after"], "service": { "name": "echo" } });
        control_plane.api.put(&control_plane.entity("routes/after"), &body).await?.expect(200)?;
        control_plane.api.delete(&path).await?.expect_problem(404)?;

        gateway.process().kill().await?;
        gateway.start_again().await?;
        let reason = until_turned_away(&gateway, &Value::Null).await?;
        assert!(reason.contains("removed"), "{reason}");
        assert_eq!(gateway.get("/after", None).await?.status, 404, "it still follows");
        check_plain_file(&gateway).await?;
        assert_eq!(control_plane.nodes().await?, Vec::<Value>::new());

        // Neither can it come back with a new token: its data folder must go first.
        gateway.process().stop().await?;
        enrol_again(region, &control_plane, &gateway).await
    });
}

/// A new token in the old folder is refused; in an empty one it makes another node.
async fn enrol_again(region: &Region, on: &ControlPlane, removed: &Gateway) -> anyhow::Result<()> {
    let enrolment = dataplane::create_enrolment(&on.api, &on.id).await?;
    let again = Gateway::start(region, &on.id, &unique("again"), &enrolment.command).await?;
    again.until_ready().await?;
    let node = node_of(&again).await?;
    on.until_in_sync(&node, on.version().await?).await?;
    assert_ne!(node, {
        removed.start_again().await?;
        node_of(removed).await?
    });
    assert_eq!(on.nodes().await?.len(), 1);
    removed.process().stop().await?;
    again.process().stop().await?;
    Ok(())
}
