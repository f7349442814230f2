//! Every plugin, while the configuration changes a hundred times a second; and every combination of plugins, whatever the client says of itself.
//! A plugin that is new has to be added to [`plugins`]: until then a test fails.

use std::{collections::BTreeSet, path::Path, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use dataplane::seams::Seams;
use futures::future::join_all;
use gateway_model::Plugin;
use jsonwebtoken::{EncodingKey, Header, encode};
use random::Random;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

use crate::{
    client::{Client, Response},
    gateway::Gateway,
    load::LOADED,
    upstream::{Seen, Upstream},
};

/// How often the configuration changes in a test.
const CHANGES: usize = 150;
/// A hundred changes a second, where the machine keeps up.
const PACE: Duration = Duration::from_millis(10);
/// Combinations of plugins that are tried.
const COMBINATIONS: usize = 60;

/// A plugin, and a request that it has something to do for.
struct Row {
    name: &'static str,
    config: String,
    /// Headers of the request.
    headers: String,
    status: u16,
    /// Whether an answer is right; the second number says how many came before.
    is_right: fn(&Response, u64) -> bool,
    /// Settings with which a request passes that shows no credential.
    open: &'static str,
}

fn row(name: &'static str, config: impl Into<String>) -> Row {
    Row { name, config: config.into(), headers: String::new(), status: 200, is_right: |_, _| true, open: "" }
}

impl Row {
    fn asked_with(self, headers: impl Into<String>) -> Self {
        Self { headers: headers.into(), ..self }
    }

    fn answers(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn with(self, is_right: fn(&Response, u64) -> bool) -> Self {
        Self { is_right, ..self }
    }

    fn open(self, open: &'static str) -> Self {
        Self { open, ..self }
    }

    fn open_settings(&self) -> &str {
        if self.open.is_empty() { &self.config } else { self.open }
    }
}

fn bearer() -> String {
    let claims = json!({ "iss": "ada-jwt", "exp": 4_000_000_000_u64 });
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"hush")).unwrap();
    format!("authorization: Bearer {token}\r\n")
}

fn signed() -> String {
    let date = httpdate::fmt_http_date(Seams::system().clock.now().into());
    let signature =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"hush"), format!("date: {date}").as_bytes());
    let signature = BASE64_STANDARD.encode(signature);
    format!(
        "date: {date}\r\nauthorization: hmac username=\"ada\", algorithm=\"hmac-sha256\", headers=\"date\", \
         signature=\"{signature}\"\r\n"
    )
}

/// Each plugin. `elsewhere` takes whatever is sent to it, and `file` can be written.
fn plugins(elsewhere: &Upstream, file: &Path) -> Vec<Row> {
    let (at, port) = (elsewhere.address, elsewhere.address.port());
    let basic = format!("authorization: Basic {}\r\n", BASE64_STANDARD.encode("ada:pass word"));
    vec![
        row("acl", "{allow: [staff], always_use_authenticated_groups: false, observe: true}"),
        row("basic-auth", "{}").asked_with(basic).open("{anonymous: nobody}"),
        row("bot-detection", "{}").asked_with(
            "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n",
        ),
        row("canary", "{percentage: 0, upstream_host: nowhere.invalid}"),
        row("correlation-id", "{header_name: x-number, generator: uuid, echo_downstream: true}")
            .with(|answer, _| answer.header("x-number").is_some_and(|id| id.len() == 36)),
        row("cors", "{origins: ['https://a.example']}")
            .asked_with("origin: https://a.example\r\n")
            .with(|answer, _| answer.header("access-control-allow-origin") == Some("https://a.example")),
        row("file-log", format!("{{path: '{}'}}", file.display())),
        row("hmac-auth", "{}").asked_with(signed()).open("{anonymous: nobody}"),
        row("http-log", format!("{{http_endpoint: 'http://{at}/'}}")),
        row("ip-restriction", "{deny: [127.0.0.0/8]}").answers(403).open("{deny: [192.0.2.1]}"),
        row("jwt", "{claims_to_verify: [exp]}").asked_with(bearer()).open("{anonymous: nobody}"),
        row("key-auth", "{}").asked_with("apikey: hers\r\n").open("{anonymous: nobody}"),
        row("mtls-auth", format!("{{ca_certificates: [{AUTHORITY}]}}"))
            .answers(401)
            .open("{ca_certificates: [00000000-0000-0000-0000-00000000000c], anonymous: nobody}"),
        row("opentelemetry", format!("{{traces_endpoint: 'http://{at}/'}}")),
        row("prometheus", "{per_consumer: true}"),
        row("proxy-cache", "{strategy: memory, content_type: [text/plain], response_code: [418]}")
            .with(|answer, _| answer.header("x-cache-status") == Some("Bypass")),
        row("rate-limiting", "{year: 1000000, limit_by: ip}").with(|answer, before| {
            answer.header("ratelimit-remaining").is_some_and(|left| left == (999_999 - before).to_string())
        }),
        row("request-mirror", format!("{{url: 'http://{at}/'}}")),
        row("request-size-limiting", "{allowed_payload_size: 1}"),
        row("oauth2", "{scopes: [read], mandatory_scope: true}")
            .asked_with("authorization: Bearer her-token\r\n")
            .open("{anonymous: nobody}"),
        row(
            "oauth2-introspection",
            "{introspection_url: 'http://127.0.0.1:9', authorization_value: Basic YTpi}",
        )
        .answers(401)
        .open(
            "{introspection_url: 'http://127.0.0.1:9', authorization_value: Basic YTpi, anonymous: nobody}",
        ),
        row("openid-connect", "{issuer: 'http://127.0.0.1:9', auth_methods: [bearer]}")
            .answers(401)
            .open("{issuer: 'http://127.0.0.1:9', auth_methods: [bearer], anonymous: nobody}"),
        row("request-termination", "{status_code: 418, message: tea}")
            .answers(418)
            .open("{trigger: x-never}"),
        row("request-transformer", "{add: {headers: ['x-added:1']}, remove: {headers: [x-gone]}}"),
        row("response-ratelimiting", "{limits: {sms: {year: 1000000}}, limit_by: ip}")
            .with(|answer, _| answer.header("x-ratelimit-remaining-sms-year") == Some("1000000")),
        row("response-transformer", "{add: {headers: ['x-told:1']}}")
            .with(|answer, _| answer.header("x-told") == Some("1")),
        row("syslog", "{}"),
        row("tcp-log", format!("{{host: 127.0.0.1, port: {port}}}")),
        row("traffic-split", "{splits: [{weight: 1, service: s}]}"),
        row("udp-log", "{host: 127.0.0.1, port: 9}"),
    ]
}

/// The id of an authority of clients.
const AUTHORITY: &str = "00000000-0000-0000-0000-00000000000c";

fn authority() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// Consumers, an authority, and routes to `upstream`.
fn yaml(upstream: &Upstream, authority: &str, routes: &str) -> String {
    format!(
        "_format_version: '3.0'\n\
         ca_certificates: [{{id: {AUTHORITY}, cert: {authority:?}}}]\n\
         consumers:\n\
         - {{username: nobody}}\n\
         - username: ada\n  keyauth_credentials: [{{key: hers}}]\n  basicauth_credentials: [{{username: ada, password: pass word}}]\n  \
         jwt_secrets: [{{key: ada-jwt, secret: hush, algorithm: HS256}}]\n  hmacauth_credentials: [{{username: ada, secret: hush}}]\n  \
         oauth2_tokens: [{{access_token: her-token, scope: read}}]\n\
         services:\n- name: s\n  url: http://{}\n  routes:\n{routes}",
        upstream.address
    )
}

/// Every plugin has a path of its own. `version` is in each of them, and in all routes.
fn all_apart(upstream: &Upstream, authority: &str, rows: &[Row], version: usize) -> String {
    let route = |Row { name, config, .. }: &Row| {
        format!(
            "  - {{name: {name}, paths: [/{name}], tags: [v{version}], plugins: [{{name: {name}, tags: [v{version}], config: {config}}}]}}\n"
        )
    };
    yaml(upstream, authority, &rows.iter().map(route).collect::<String>())
}

#[test]
fn every_plugin_is_in_the_table() {
    // Building the table needs a runtime, its names do not.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(async { plugins(&Upstream::echo().await, Path::new("/f")) });
    let here: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
    let all: BTreeSet<_> = Plugin::supported().collect();
    assert_eq!(here, all, "each plugin needs a row in the table of this file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_answered_wrongly_while_the_configuration_changes() {
    let (upstream, elsewhere) = (Upstream::echo().await, Upstream::echo().await);
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let file = folder.path().join("requests.log");
    let rows = plugins(&elsewhere, &file);
    let gateway = Gateway::start(&all_apart(&upstream, &authority, &rows, 0)).await;
    assert_eq!(gateway.quarantined(), [""; 0]);
    let (address, (changing, ended)) = (gateway.http(), watch::channel(false));
    let traffic = rows.iter().map(|row| {
        let mut client_headers = row.headers.clone();
        client_headers.insert_str(0, &format!("GET /{}/x HTTP/1.1\r\nhost: a\r\n", row.name));
        client_headers.push_str("\r\n");
        let (name, status, is_right, ended) = (row.name, row.status, row.is_right, ended.clone());
        tokio::spawn(async move {
            let (mut client, mut count) = (Client::connect(address).await, 0);
            // At least one after the last change.
            loop {
                let is_last = *ended.borrow();
                client.send(&client_headers).await;
                let answer = client.response().await;
                assert_eq!(answer.status, status, "{name}: {}", answer.text());
                assert!(is_right(&answer, count), "{name}, after {count}: {:?}", answer.headers);
                count += 1;
                if is_last {
                    return (name, count);
                }
            }
        })
    });
    let traffic: Vec<_> = traffic.collect();
    let mut pace = interval(PACE);
    for version in 1..=CHANGES {
        pace.tick().await;
        gateway.apply(&all_apart(&upstream, &authority, &rows, version)).await;
    }
    changing.send_replace(true);
    let counts: Vec<_> = join_all(traffic).await.into_iter().map(Result::unwrap).collect();
    // Nothing is lost of what waits while its plugin is replaced.
    let logged = counts.iter().find(|(name, _)| *name == "file-log").map(|(_, count)| *count).unwrap();
    let lines = || std::fs::read_to_string(&file).unwrap_or_default().lines().count() as u64;
    let written = async {
        while lines() < logged {
            tokio::time::sleep(PACE).await;
        }
    };
    timeout(LOADED, written).await.unwrap_or_else(|_| panic!("{} of {logged} entries are written", lines()));
    assert_eq!(lines(), logged);
}

/// What a client may say of itself, or of its connection.
const CLAIMS: [&str; 16] = [
    "connection: x-secret, x-consumer-id",
    "x-secret: 1",
    "x-consumer-id: 7",
    "X-Consumer-Username: root",
    "x_consumer_username: root",
    "x-consumer-custom-id: root",
    "x-credential-identifier: root",
    "x-anonymous-consumer: false",
    "x-authenticated-groups: admin",
    "x-consumer-groups: admin",
    "keep-alive: timeout=9",
    "proxy-connection: keep-alive",
    "te: gzip",
    "proxy-authorization: Basic YTpi",
    "trailer: x-consumer-id",
    "x-authenticated-userid: root",
];
/// Headers of one connection, which no upstream gets.
const HOP_BY_HOP: [&str; 5] = ["keep-alive", "proxy-connection", "te", "x-secret", "proxy-authorization"];
/// Nobody but the gateway says these.
const OF_IDENTITY: [&str; 8] = [
    "x-consumer-id",
    "x-consumer-username",
    "x-consumer-custom-id",
    "x-credential-identifier",
    "x-anonymous-consumer",
    "x-authenticated-groups",
    "x-consumer-groups",
    "x-authenticated-userid",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_plugins_run_no_client_says_who_it_is() {
    let (upstream, elsewhere) = (Upstream::echo().await, Upstream::echo().await);
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let rows = plugins(&elsewhere, &folder.path().join("requests.log"));
    let random = Random::seeded(12);
    let is_drawn = |one_in: u64| random.number().is_multiple_of(one_in);
    let gateway = Gateway::start(&yaml(&upstream, &authority, "  - {name: r, paths: [/]}\n")).await;
    for number in 0..COMBINATIONS {
        let drawn: Vec<&Row> = rows.iter().filter(|_| is_drawn(3)).collect();
        let plugin = |row: &&Row| format!("{{name: {}, config: {}}}", row.name, row.open_settings());
        let plugins = drawn.iter().map(plugin).collect::<Vec<_>>().join(", ");
        gateway
            .apply(&yaml(
                &upstream,
                &authority,
                &format!("  - {{name: r, paths: [/], plugins: [{plugins}]}}\n"),
            ))
            .await;
        assert_eq!(gateway.quarantined(), [""; 0], "{plugins}");
        let nominates = is_drawn(2);
        let claims: Vec<&str> = CLAIMS
            .into_iter()
            .enumerate()
            .filter(|(at, _)| (*at < 2 && nominates) || (*at > 1 && is_drawn(2)))
            .map(|(_, claim)| claim)
            .collect();
        let mut client = Client::connect(gateway.http()).await;
        client.send(format!("GET /{number} HTTP/1.1\r\nhost: a\r\n{}\r\n\r\n", claims.join("\r\n"))).await;
        let answer = client.response().await;
        let seen = upstream.last();
        let context = format!("combination {number}: {plugins}; {claims:?}; {seen:?}");
        assert_eq!((answer.status, seen.target.as_str()), (200, format!("/{number}").as_str()), "{context}");
        check(&seen, drawn.iter().any(|row| row.open.contains("anonymous")), &context);
    }
}

/// That the upstream hears nothing of the connection, and of the client only what the gateway says.
fn check(seen: &Seen, is_anonymous: bool, context: &str) {
    for name in HOP_BY_HOP {
        assert_eq!(seen.header(name), None, "{name}: {context}");
    }
    for (name, value) in &seen.headers {
        let spelt = name.as_str().replace('_', "-");
        if !OF_IDENTITY.contains(&&*spelt) {
            continue;
        }
        let said = match &*spelt {
            "x-consumer-username" => "nobody".to_owned(),
            "x-anonymous-consumer" => "true".to_owned(),
            "x-consumer-id" => {
                uuid::Uuid::try_parse(value.to_str().unwrap()).expect(context);
                value.to_str().unwrap().to_owned()
            }
            _ => panic!("{name}: {context}"),
        };
        assert!(is_anonymous && *value == *said, "{name}: {context}");
    }
    assert_eq!(seen.headers.contains_key("x-consumer-username"), is_anonymous, "{context}");
}
