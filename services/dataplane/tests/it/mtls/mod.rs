//! mtls-auth through the whole gateway, with real handshakes: chains of all sorts, and what upstreams are told.

mod connections;
mod pki;

use dataplane::proxy::ProxyOptions;
use rcgen::{CertifiedKey, KeyPair};
use rustls::{SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use self::pki::{Authority, Clients, Pair, id, self_signed};
use crate::{
    client::{Client, Response},
    gateway::{Gateway, any_port},
    tls::{connect, own_certificate},
    upstream::Upstream,
};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
const MISSING: &str = "No required TLS certificate was sent";
const FAILED: &str = "TLS certificate failed verification";

/// Authorities, and a gateway that trusts them here and there.
struct Site {
    root: Authority,
    /// Below `root`.
    between: Authority,
    other: Authority,
    server: CertifiedKey<KeyPair>,
    upstream: Upstream,
    gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl Site {
    /// A gateway with these routes, each a line of YAML.
    async fn start(routes: &str) -> Site {
        let (root, other) = (Authority::root("root"), Authority::root("other"));
        let between = root.below("between");
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::echo().await);
        let (server, files) = own_certificate(folder.path());
        let (http, https) = (Some(any_port()), Some(any_port()));
        let options = ProxyOptions { http, https, tls: Some(files), ..ProxyOptions::default() };
        let gateway = Gateway::start_with("_format_version: \"3.0\"\n", options).await;
        let site = Site { root, between, other, server, upstream, gateway, _folder: folder };
        site.apply(routes).await;
        assert!(site.gateway.quarantined().is_empty(), "{:?}", site.gateway.quarantined());
        site
    }

    async fn apply(&self, routes: &str) {
        let authorities = [(1, &self.root), (2, &self.between), (3, &self.other)];
        let authorities: String = authorities.iter().map(|(id, authority)| authority.entity(*id)).collect();
        let (other, address) = (id(3), self.upstream.address);
        self.gateway
            .apply(&format!(
                r#"
_format_version: "3.0"
ca_certificates:
{authorities}
services:
- name: s
  url: http://{address}
  routes:
{routes}
consumers:
- username: till.shop.io
  custom_id: t-1
  keyauth_credentials: [{{key: till-key}}]
- username: common
- username: by-id
  custom_id: custom.shop.io
- username: of-other
  mtls_auth_credentials: [{{subject_name: mapped.shop.io, ca_certificate: {{id: {other}}}}}]
- username: of-any
  mtls_auth_credentials: [{{subject_name: mapped.shop.io}}]
- username: nobody
"#
            ))
            .await;
    }

    /// A client of HTTP/1.1 that has opened TLS for `name`.
    async fn open(&self, clients: &Clients, name: &str) -> Client<TlsStream<TcpStream>> {
        Client::over(connect(&self.gateway, name, clients.config.clone()).await.unwrap())
    }

    fn clients(&self, pair: Option<&Pair>) -> Clients {
        Clients::new(&self.server, pair, &VERSIONS, "http/1.1")
    }

    /// What the upstream was told by this header.
    fn told(&self, name: &str) -> Option<String> {
        self.upstream.last().header(name).map(str::to_owned)
    }
}

/// A route `path` with mtls-auth that has these settings, and further plugins.
fn route(path: &str, authorities: &[u32], settings: &str, more: &str) -> String {
    let ids: Vec<String> = authorities.iter().map(|number| id(*number)).collect();
    let ids = ids.join(", ");
    format!(
        "  - {{name: r-{path}, paths: [/{path}], plugins: [{{name: mtls-auth, config: {{ca_certificates: [{ids}], {settings}}}}}{more}]}}\n"
    )
}

fn message(response: &Response) -> String {
    response.json()["message"].as_str().unwrap_or_default().to_owned()
}

/// Who passes where, for both versions of TLS.
#[tokio::test]
async fn a_certificate_counts_where_its_chain_leads_to_an_authority_of_the_route() {
    let site = Site::start(
        &[
            route("root", &[1], "", ""),
            route("all", &[1, 2, 3], "", ""),
            route("between", &[2], "", ""),
            route("partial", &[2], "allow_partial_chain: true", ""),
            route("names", &[1], "consumer_by: []", ""),
            route("by-custom-id", &[1], "consumer_by: [custom_id]", ""),
            route("default", &[1], "default_consumer: nobody", ""),
        ]
        .concat(),
    )
    .await;
    let Site { root, between, other, .. } = &site;
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let expired = root.issue_as("common", &[], |params| params.not_after = year(2020));
    let early = root.issue_as("common", &[], |params| params.not_before = year(2095));
    let for_servers = root.issue_as("common", &[], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let below = between.issue("common", &[]);
    let (till, ok) = (root.issue("x", &["till.shop.io"]), Ok::<_, &str>);
    // The same names and keys of an authority that is another one.
    let forged = Authority::root("root").issue("common", &[]);
    for (pair, path, expected) in [
        (Some(&till), "root", ok("till.shop.io")),
        (Some(&root.issue("common", &[])), "root", ok("common")),
        (Some(&root.issue("common", &["unknown.shop.io"])), "root", Err(FAILED)),
        (Some(&root.issue("x", &["unknown.shop.io", "till.shop.io"])), "root", ok("till.shop.io")),
        (Some(&root.issue("x", &["custom.shop.io"])), "root", ok("by-id")),
        (Some(&root.issue("x", &["custom.shop.io"])), "by-custom-id", ok("by-id")),
        (Some(&till), "by-custom-id", Err(FAILED)),
        (Some(&till), "names", Err(FAILED)),
        (Some(&root.issue("x", &["mapped.shop.io"])), "names", ok("of-any")),
        (Some(&root.issue("x", &["mapped.shop.io"])), "all", ok("of-any")),
        (Some(&other.issue("x", &["mapped.shop.io"])), "all", ok("of-other")),
        (Some(&root.issue("unknown", &[])), "default", ok("nobody")),
        (Some(&till), "default", ok("till.shop.io")),
        (None, "root", Err(MISSING)),
        (None, "default", Err(MISSING)),
        (Some(&other.issue("common", &[])), "root", Err(FAILED)),
        (Some(&forged), "root", Err(FAILED)),
        (Some(&forged.clone().with(root)), "root", Err(FAILED)),
        (Some(&expired), "root", Err(FAILED)),
        (Some(&early), "root", Err(FAILED)),
        (Some(&for_servers), "root", Err(FAILED)),
        (Some(&self_signed("common")), "root", Err(FAILED)),
        (Some(&self_signed("common")), "default", Err(FAILED)),
        // The authority between is shown, known, trusted by itself, or missing.
        (Some(&below), "root", Err(FAILED)),
        (Some(&below.clone().with(between)), "root", ok("common")),
        (Some(&below.clone().with(root).with(between)), "root", ok("common")),
        (Some(&below), "all", ok("common")),
        (Some(&below), "between", Err(FAILED)),
        (Some(&below.clone().with(between).with(root)), "between", Err(FAILED)),
        (Some(&below), "partial", ok("common")),
        (Some(&root.issue("common", &[])), "partial", Err(FAILED)),
    ] {
        for version in VERSIONS {
            let clients = Clients::new(&site.server, pair, &[version], "http/1.1");
            let mut client = site.open(&clients, "shop.io").await;
            // The second time, what was found out is remembered.
            for _ in 0..2 {
                let response = client.get(&format!("/{path}")).await;
                let found = match expected {
                    Ok(username) => (200, username, site.told("x-consumer-username")),
                    Err(text) => (401, text, None),
                };
                let (status, text, told) = found;
                assert_eq!(response.status, status, "{version:?} {path} {expected:?}: {response:?}");
                match told {
                    Some(told) => assert_eq!(told, text, "{version:?} {path}"),
                    None => assert_eq!(message(&response), text, "{version:?} {path}"),
                }
            }
        }
    }
    let plain = Client::connect(site.gateway.http()).await.get("/root").await;
    assert_eq!((plain.status, message(&plain).as_str()), (401, MISSING));
}

#[tokio::test]
async fn the_upstream_is_told_who_it_is_or_what_the_certificate_says() {
    let acl = ", {name: acl, config: {allow: [staff]}}";
    let site = Site::start(
        &[
            route("root", &[1], "", ""),
            route("skip", &[1], "skip_consumer_lookup: true", ""),
            route("cn", &[1], "skip_consumer_lookup: true", acl),
            route(
                "dn",
                &[1],
                "skip_consumer_lookup: true, authenticated_group_by: DN",
                ", {name: acl, config: {allow: ['CN=staff,O=Shop']}}",
            ),
            route("none", &[1], "skip_consumer_lookup: true, authenticated_group_by: null", acl),
            route("observe", &[1], "observe: true", ""),
        ]
        .concat(),
    )
    .await;
    let forged = "x-client-cert-dn: CN=root\r\nx_client_cert_san: root\r\nx-client-cert-san: root\r\nx-consumer-username: root\r\n\
                  x-consumer-id: 1\r\nx-credential-identifier: 1\r\nx-authenticated-groups: staff\r\n";
    let ask = async |client: &mut Client<TlsStream<TcpStream>>, path: &str| {
        client.send(format!("GET /{path} HTTP/1.1\r\nhost: a\r\n{forged}\r\n")).await;
        client.response().await.status
    };
    let told = |names: [&str; 6]| names.map(|name| site.told(name));
    let names = [
        "x-client-cert-dn",
        "x-client-cert-san",
        "x_client_cert_san",
        "x-consumer-username",
        "x-consumer-custom-id",
        "x-authenticated-groups",
    ];
    let some = |text: &str| Some(text.to_owned());
    let till = site.root.issue("till", &["till.shop.io"]);
    let mut client = site.open(&site.clients(Some(&till)), "shop.io").await;
    assert_eq!(ask(&mut client, "root").await, 200);
    assert_eq!(told(names), [None, None, None, some("till.shop.io"), some("t-1"), None]);
    assert_eq!(site.told("x-credential-identifier"), None, "no credential was needed");
    assert_eq!(ask(&mut client, "skip").await, 200);
    assert_eq!(told(names), [some("CN=till,O=Shop"), some("till.shop.io"), None, None, None, None]);
    assert_eq!(ask(&mut client, "cn").await, 403);

    let mut staff = site.open(&site.clients(Some(&site.root.issue("staff", &[]))), "shop.io").await;
    assert_eq!(ask(&mut staff, "cn").await, 200);
    assert_eq!(told(names), [some("CN=staff,O=Shop"), None, None, None, None, some("staff")]);
    assert_eq!(ask(&mut staff, "none").await, 403);
    assert_eq!((ask(&mut staff, "dn").await, ask(&mut client, "dn").await), (200, 403));
    assert_eq!(site.told("x-authenticated-groups"), some("CN=staff,O=Shop"));

    let mapped = site.root.issue("x", &["mapped.shop.io"]);
    let mut mapped = site.open(&site.clients(Some(&mapped)), "shop.io").await;
    assert_eq!(ask(&mut mapped, "root").await, 200);
    let identifier = site.told("x-credential-identifier").unwrap();
    assert!(identifier != "1" && uuid::Uuid::parse_str(&identifier).is_ok(), "{identifier}");

    // Whoever would be refused is told nothing.
    let mut nobody = site.open(&site.clients(None), "shop.io").await;
    assert_eq!(ask(&mut nobody, "observe").await, 200);
    assert_eq!(told(names), [const { None }; 6]);
    assert_eq!(ask(&mut client, "observe").await, 200);
    assert_eq!(site.told("x-consumer-username"), some("till.shop.io"));
}

#[tokio::test]
async fn it_is_one_of_several_ways_or_one_of_several_conditions() {
    let site = Site::start(
        &[
            route("any", &[1], "anonymous: nobody", ", {name: key-auth, config: {anonymous: nobody}}"),
            route("both", &[1], "", ", {name: key-auth}"),
        ]
        .concat(),
    )
    .await;
    let common = site.root.issue("common", &[]);
    let foreign = site.other.issue("common", &[]);
    let (with, without, wrong) = (Some(&common), None, Some(&foreign));
    for (pair, path, key, expected) in [
        (with, "any", "", Some("common")),
        (with, "any", "apikey: till-key\r\n", Some("common")),
        (without, "any", "apikey: till-key\r\n", Some("till.shop.io")),
        (without, "any", "", Some("nobody")),
        (wrong, "any", "", Some("nobody")),
        (with, "both", "", None),
        (with, "both", "apikey: till-key\r\n", Some("till.shop.io")),
        (without, "both", "apikey: till-key\r\n", None),
    ] {
        let mut client = site.open(&site.clients(pair), "shop.io").await;
        client.send(format!("GET /{path} HTTP/1.1\r\nhost: a\r\n{key}\r\n")).await;
        let status = client.response().await.status;
        assert_eq!(status, if expected.is_some() { 200 } else { 401 }, "{path} {key}");
        if let Some(username) = expected {
            assert_eq!(site.told("x-consumer-username").as_deref(), Some(username), "{path} {key}");
            let anonymous = (username == "nobody").then(|| "true".to_owned());
            assert_eq!(site.told("x-anonymous-consumer"), anonymous, "{path} {key}");
        }
    }
}
