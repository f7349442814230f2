//! What plugins cost: a gateway with one beside a gateway without, and the five that most people use together.
//!
//! Every request passes, with the same headers at the gateways that are compared. A plugin that needs to know the consumer is compared with
//! the one that finds it out.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
};

use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

use super::{
    in_turn,
    measure::{Clients, Way},
    peers::Peer,
    site::{Site, Start},
    target::Target,
    warm_up,
};
use crate::{
    Pace,
    documents::{self, Size},
    report::{MICROSECONDS, Report},
    stage::say,
};

/// Small, so that the plugins' share is seen, and not the memory of routes.
const SIZE: Size = Size { services: 10, routes: 1_000, consumers: 1_000 };
/// More than anybody sends.
const LIMIT: u64 = 1_000_000_000_000;

/// HS256 of `{"iss":"bench","sub":"somebody"}` with [`SECRET`].
const TOKEN: &str = "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJiZW5jaCIsInN1YiI6InNvbWVib2R5In0.BJ_BJ6RbiAneZpP3DKWxcgbMty4DApDEhFXXdlpsNEI\r\n";
const SECRET: &str = "secret-of-the-bench";
/// The same of `bench-rsa` by RS256 and of `bench-ec` by ES256, whose private keys nobody has any more.
const TOKEN_RS256: &str = "Authorization: Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJiZW5jaC1yc2EiLCJzdWIiOiJzb21lYm9keSJ9.uA8X85PxyL7tlGX9Y-urOh_s2Qe2TZBu3cZyuhDVSCbrgI3u-WMmW6zczVx_W6sRYV5MmJdk85h8TxgflhlAnCa-In5Fssn9k-EqBJ4rYykB4OySVBByw9pO2F8gvdqhFwFFQVv1w4OnDgTLG9bMfvHGkFtoZ3vOGJMAnuAG7AIESJ0sBuxt4vHS8ecdals4cPQ8j7oB6dSbjvIzTFADVyCmMDKnm76FQBCKfHxek-DzkFh5YPvve7slrC5AW2D6sHGCgBjCw6NESPi2GsbOMe-06BDbA7A0mzYxWp9CQf7oh2XT5BeNTFMMaetz0_l5_j5mG2lYjWviP5OavzCttQ\r\n";
const TOKEN_ES256: &str = "Authorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJiZW5jaC1lYyIsInN1YiI6InNvbWVib2R5In0.ena_o3zo3cVs3lbqO6FctEa-hc398_R7IsaNjiTJ3tesxxceCuOJq0HlVR73kEyxOt1AJMJWzgLSysJdb_Uqbw\r\n";
const KEY_RS256: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0wsilJlbzH0/dlSCURgK\nRB5BWR03IMB0CKtW0zi2pe8/kPhDp7m42jfY4yo3S8bpjPy1+izBX69sN9fQn3Zu\n00KcdQjVY/b4I+kP5YvSQK6gr4E8pIV6VTaYD4ESYQ8/wkMiUzPVx1/FPZvdQPCB\n0nl9W3hTyBKVw2vMLjnuWwRHXXfb0JI8lxN9lG1EL9vA9IYyPeexYFiEwTuFUByq\ney1bA8BzO38Xhi3jgswKM3wETvzcgVLe1NLAiCyNJDu7CNo45rlVSojWX1zalhZ7\nwhw6gCyK/NLpIT8xTN7LsXAfmoTqRO04Dwk5o2QxCBHidVVLUPf1u7upmLZfilBb\nIwIDAQAB\n-----END PUBLIC KEY-----";
const KEY_ES256: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEhUliVhcLfiTLWx/SLG0vX0WCB8p\nVTAWlRiJsqIOC4lCoyoYv1V4w0Byduhvp0dAios2kTc1LdKPOOTVS/mvPw==\n-----END PUBLIC KEY-----";
/// `bench:password-of-the-bench`.
const BASIC: &str = "Authorization: Basic YmVuY2g6cGFzc3dvcmQtb2YtdGhlLWJlbmNo\r\n";
const PASSWORD: &str = "password-of-the-bench";

/// A gateway that is measured.
#[derive(Clone)]
struct Case {
    name: &'static str,
    /// Further lines of every request's head.
    headers: &'static str,
    /// What runs, for all requests.
    plugins: Vec<Value>,
    /// The case that it is compared with, and the key of the difference.
    over: Option<(&'static str, &'static str)>,
}

/// Whoever takes what plugins send beside requests.
struct Receivers {
    http: SocketAddr,
    tcp: SocketAddr,
    udp: SocketAddr,
    _udp: UdpSocket,
}

impl Receivers {
    /// Receivers that do nothing with what they get. That over HTTP is the upstream.
    async fn start(http: SocketAddr) -> anyhow::Result<Self> {
        let (listener, udp) = (
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        );
        let addresses = (listener.local_addr()?, udp.local_addr()?);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
            }
        });
        Ok(Self { http, tcp: addresses.0, udp: addresses.1, _udp: udp })
    }

    /// The cases of plugins that send something beside requests.
    fn cases(&self) -> Vec<Case> {
        let Self { http, tcp, udp, .. } = self;
        let (tcp, udp) = (tcp.port(), udp.port());
        // Batches as somebody sets them who has many requests.
        let queue = json!({ "max_batch_size": 200, "max_entries": 100_000 });
        [
            (
                "http_log",
                "http_log_cost_us",
                "http-log",
                json!({ "http_endpoint": format!("http://{http}/"), "queue": queue }),
            ),
            ("tcp_log", "tcp_log_cost_us", "tcp-log", json!({ "host": "127.0.0.1", "port": tcp })),
            ("udp_log", "udp_log_cost_us", "udp-log", json!({ "host": "127.0.0.1", "port": udp })),
            ("syslog", "syslog_cost_us", "syslog", json!({})),
            (
                "opentelemetry",
                "opentelemetry_cost_us",
                "opentelemetry",
                json!({ "traces_endpoint": format!("http://{http}/") }),
            ),
            (
                "request_mirror",
                "request_mirror_cost_us",
                "request-mirror",
                json!({ "url": format!("http://{http}/") }),
            ),
        ]
        .into_iter()
        .map(|(name, key, plugin, config)| Case {
            name,
            headers: "",
            plugins: vec![json!({ "name": plugin, "config": config })],
            over: Some(("none", key)),
        })
        .collect()
    }
}

fn cases() -> Vec<Case> {
    let one = |name, config: Value| json!({ "name": name, "config": config });
    let key_auth = || one("key-auth", json!({}));
    let acl = || one("acl", json!({ "allow": ["everybody"] }));
    let rate_limiting = || one("rate-limiting", json!({ "minute": LIMIT, "policy": "local" }));
    let cors = || one("cors", json!({ "origins": ["https://example.com"] }));
    let prometheus = || one("prometheus", json!({}));
    let alone =
        |name, key, plugin| Case { name, headers: "", plugins: vec![plugin], over: Some(("none", key)) };
    let headers = json!({ "headers": ["x-added:1"] });
    let transformed = json!({ "add": headers, "remove": { "headers": ["x-gone"] } });
    let mut cases = vec![
        Case { name: "none", headers: "", plugins: vec![], over: None },
        Case { name: "none_with_token", headers: TOKEN, plugins: vec![], over: None },
        Case { name: "none_with_rs256", headers: TOKEN_RS256, plugins: vec![], over: None },
        Case { name: "none_with_es256", headers: TOKEN_ES256, plugins: vec![], over: None },
        Case { name: "none_with_password", headers: BASIC, plugins: vec![], over: None },
        alone("key_auth", "key_auth_cost_us", key_auth()),
        Case {
            name: "acl",
            headers: "",
            plugins: vec![key_auth(), acl()],
            over: Some(("key_auth", "acl_cost_us")),
        },
        Case {
            name: "jwt_hs256",
            headers: TOKEN,
            plugins: vec![one("jwt", json!({}))],
            over: Some(("none_with_token", "jwt_hs256_cost_us")),
        },
        Case {
            name: "jwt_rs256",
            headers: TOKEN_RS256,
            plugins: vec![one("jwt", json!({}))],
            over: Some(("none_with_rs256", "jwt_rs256_cost_us")),
        },
        Case {
            name: "jwt_es256",
            headers: TOKEN_ES256,
            plugins: vec![one("jwt", json!({}))],
            over: Some(("none_with_es256", "jwt_es256_cost_us")),
        },
        Case {
            name: "basic_auth",
            headers: BASIC,
            plugins: vec![one("basic-auth", json!({}))],
            over: Some(("none_with_password", "basic_auth_cost_us")),
        },
        alone("rate_limiting", "rate_limiting_cost_us", rate_limiting()),
        alone("cors", "cors_cost_us", cors()),
        alone("prometheus", "prometheus_cost_us", prometheus()),
        alone(
            "ip_restriction",
            "ip_restriction_cost_us",
            one("ip-restriction", json!({ "allow": ["127.0.0.0/8"] })),
        ),
        alone("bot_detection", "bot_detection_cost_us", one("bot-detection", json!({}))),
        alone("correlation_id", "correlation_id_cost_us", one("correlation-id", json!({}))),
        alone(
            "request_size_limiting",
            "request_size_limiting_cost_us",
            one("request-size-limiting", json!({})),
        ),
        alone(
            "request_transformer",
            "request_transformer_cost_us",
            one("request-transformer", transformed.clone()),
        ),
        alone(
            "response_transformer",
            "response_transformer_cost_us",
            one("response-transformer", transformed),
        ),
        alone("file_log", "file_log_cost_us", one("file-log", json!({ "path": "/dev/null" }))),
    ];
    // The upstream says no type. What costs less than the upstream's answer is below zero.
    let typed = one("response-transformer", json!({ "add": { "headers": ["content-type:text/plain"] } }));
    let cache = one(
        "proxy-cache",
        json!({ "strategy": "memory", "content_type": ["text/plain"], "cache_ttl": 86_400 }),
    );
    cases.push(alone("typed", "response_transformer_one_header_cost_us", typed.clone()));
    cases.push(Case {
        name: "proxy_cache_hit",
        headers: "",
        plugins: vec![typed, cache],
        over: Some(("typed", "proxy_cache_hit_cost_us")),
    });
    cases.push(Case {
        name: "five_plugins",
        headers: "",
        plugins: vec![key_auth(), acl(), rate_limiting(), cors(), prometheus()],
        over: Some(("none", "five_plugins_cost_us")),
    });
    cases
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let mut site = Site::start(SIZE).await?;
    let receivers = Receivers::start(site.upstream.plain).await?;
    let cases = [cases(), receivers.cases()].concat();
    let mut gateways = Vec::new();
    for case in &cases {
        let (cores, threads) = (site.cores.proxy, NonZeroUsize::MIN);
        let start =
            Start { name: case.name, label: case.name, key_auth: false, cores, threads, environment: &[] };
        let document = document(&format!("http://{}", site.upstream.plain), &case.plugins);
        gateways.push(site.place_with(start, &document)?.start(&site.folder, case.name).await?);
    }
    {
        let clients: Vec<Clients<'_>> = cases
            .iter()
            .map(|case| Clients::with_headers(SIZE, &site.certificate, case.headers))
            .collect::<Result<_, _>>()?;
        for (gateway, clients) in gateways.iter().zip(&clients) {
            warm_up(&[gateway], clients, report).await?;
        }
        let all: Vec<(&Target, &Clients<'_>)> = gateways.iter().zip(&clients).collect();
        for round in 1..=pace.rounds {
            say(&format!("Round {round} of {}", pace.rounds));
            for &(target, clients) in in_turn(&all, round) {
                clients.record(target, Way::Closed, pace.round, report).await?;
            }
        }
    }
    let cpu = |name: &str| format!("{name}.closed.cpu_per_request");
    for case in &cases {
        if let Some((over, key)) = case.over {
            report.record_difference(key, MICROSECONDS, &cpu(case.name), &cpu(over));
        }
        if report.median(&format!("{}.closed.failed", case.name)) > 0.0 {
            report.fault(format!("{}: requests did not pass", case.name));
        }
    }
    plugins_of_nginx(pace, &mut site, report).await?;
    for gateway in &gateways {
        gateway.process.stop().await?;
    }
    site.close().await
}

/// What nginx does that is like a plugin: the name of the measurement, the key of its cost, and what its configuration has for it.
const OF_NGINX: [(&str, &str, &str); 4] = [
    (
        "nginx_limiting",
        "nginx_limit_req_cost_us",
        "limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s;\n  limit_req zone=all burst=1000000 nodelay;",
    ),
    ("nginx_access", "nginx_access_cost_us", "allow 127.0.0.0/8;\n  deny all;"),
    ("nginx_header", "nginx_add_header_cost_us", "add_header X-Added 1;"),
    ("nginx_syslog", "nginx_access_log_syslog_cost_us", "access_log syslog:server=127.0.0.1:9;"),
];

/// What nginx's likes of plugins cost it.
async fn plugins_of_nginx(pace: Pace, site: &mut Site, report: &mut Report) -> anyhow::Result<()> {
    let Some(plain) = site.peer_with(Peer::Nginx, "nginx", str::to_owned).await? else {
        report.note("nginx is not installed: not compared");
        return Ok(());
    };
    let mut all = vec![plain];
    for (name, _, lines) in OF_NGINX {
        let edited = |text: &str| {
            // It may be said once.
            let text = if lines.starts_with("access_log") {
                text.replace("access_log off;", "")
            } else {
                text.to_owned()
            };
            text.replacen("http {", &format!("http {{\n  {lines}"), 1)
        };
        let target = site.peer_with(Peer::Nginx, name, edited).await?;
        all.extend(target.map(|target| Target { name, ..target }));
    }
    let clients = Clients::new(SIZE, &site.certificate)?;
    let all: Vec<&Target> = all.iter().collect();
    warm_up(&all, &clients, report).await?;
    for round in 1..=pace.rounds {
        for target in in_turn(&all, round) {
            clients.record(target, Way::Closed, pace.round, report).await?;
        }
    }
    let cpu = |name: &str| format!("{name}.closed.cpu_per_request");
    for (name, key, _) in OF_NGINX {
        report.record_difference(key, MICROSECONDS, &cpu(name), &cpu("nginx"));
    }
    for target in all {
        target.process.stop().await?;
    }
    Ok(())
}

/// The usual document, where every consumer is in one group, and the first has a token and a password.
fn document(upstream: &str, plugins: &[Value]) -> Value {
    let mut document = documents::document(SIZE, upstream, false);
    document["plugins"] = plugins.into();
    for consumer in document["consumers"].as_array_mut().into_iter().flatten() {
        consumer["acls"] = json!([{ "group": "everybody" }]);
    }
    document["consumers"][0]["jwt_secrets"] = json!([
        { "key": "bench", "secret": SECRET },
        { "key": "bench-rsa", "algorithm": "RS256", "rsa_public_key": KEY_RS256 },
        { "key": "bench-ec", "algorithm": "ES256", "rsa_public_key": KEY_ES256 },
    ]);
    document["consumers"][0]["basicauth_credentials"] =
        json!([{ "username": "bench", "password": PASSWORD }]);
    document
}
