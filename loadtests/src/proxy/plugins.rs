//! What plugins cost: a gateway with one beside a gateway without, and the five that most people use together.
//!
//! Every request passes, with the same headers at the gateways that are compared. A plugin that needs to know the consumer is compared with
//! the one that finds it out.

use std::num::NonZeroUsize;

use serde_json::{Value, json};

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
/// `bench:password-of-the-bench`.
const BASIC: &str = "Authorization: Basic YmVuY2g6cGFzc3dvcmQtb2YtdGhlLWJlbmNo\r\n";
const PASSWORD: &str = "password-of-the-bench";

/// A gateway that is measured.
struct Case {
    name: &'static str,
    /// Further lines of every request's head.
    headers: &'static str,
    /// What runs, for all requests.
    plugins: Vec<Value>,
    /// The case that it is compared with, and the key of the difference.
    over: Option<(&'static str, &'static str)>,
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
    let cases = cases();
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
    limits_of_nginx(pace, &mut site, report).await?;
    for gateway in &gateways {
        gateway.process.stop().await?;
    }
    site.close().await
}

/// What nginx's own limit of requests costs it.
async fn limits_of_nginx(pace: Pace, site: &mut Site, report: &mut Report) -> anyhow::Result<()> {
    let limited = |text: &str| {
        let zone = "http {\n  limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s;\n  limit_req zone=all burst=1000000 nodelay;";
        text.replacen("http {", zone, 1)
    };
    let plain = site.peer_with(Peer::Nginx, "nginx", str::to_owned).await?;
    let limiting = site.peer_with(Peer::Nginx, "nginx-limiting", limited).await?;
    let (Some(plain), Some(limiting)) = (plain, limiting) else {
        report.note("nginx is not installed: not compared");
        return Ok(());
    };
    let limiting = Target { name: "nginx_limiting", ..limiting };
    let clients = Clients::new(SIZE, &site.certificate)?;
    let all = [&plain, &limiting];
    warm_up(&all, &clients, report).await?;
    for round in 1..=pace.rounds {
        for target in in_turn(&all, round) {
            clients.record(target, Way::Closed, pace.round, report).await?;
        }
    }
    let cpu = |name: &str| format!("{name}.closed.cpu_per_request");
    report.record_difference("nginx_limit_req_cost_us", MICROSECONDS, &cpu("nginx_limiting"), &cpu("nginx"));
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
    document["consumers"][0]["jwt_secrets"] = json!([{ "key": "bench", "secret": SECRET }]);
    document["consumers"][0]["basicauth_credentials"] =
        json!([{ "username": "bench", "password": PASSWORD }]);
    document
}
