//! Clients of a gateway, who say of themselves what they like, and go where they should not.

use reqwest::{Method, header::HOST};
use serde_json::json;
use testbed::{Api, api::https_client, upstream::Echo};

use crate::{
    fixtures::{KEY, served},
    harness::{run, shared},
};

/// Headers by which a client could pass for somebody, or for somewhere else.
const CLAIMS: [&str; 14] = [
    "x-consumer-id",
    "x-consumer-custom-id",
    "x-credential-identifier",
    "x-credential-username",
    "x-authenticated-userid",
    "x-authenticated-scope",
    "x-anonymous-consumer",
    "forwarded",
    "x-forwarded-scheme",
    "x-forwarded-by",
    "x-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-rewrite-url",
];

#[test]
fn what_the_gateway_says_can_be_neither_taken_away_nor_forged() {
    run(async {
        let region = shared().await?;
        let (plane, gateway) = served(region, "claims").await?;
        let nominations = [
            "close, X-Consumer-Id, X-Consumer-Username, X-Credential-Identifier",
            "x-consumer-username",
            "X-CONSUMER-USERNAME , keep-alive",
            "x_consumer_username",
            "x-forwarded-for, x-real-ip, via, host",
        ];
        for nominated in nominations {
            for spelling in [|name: &str| name.to_owned(), |name: &str| name.replace('-', "_")] {
                let api = Api::new(https_client(&region.ca_file())?, gateway.url(), None);
                let mut request = api.request(Method::GET, "/keyed");
                request = request.header("apikey", KEY).header("connection", nominated);
                for name in CLAIMS {
                    request = request.header(spelling(name), "forged");
                }
                request = request.header(spelling("x-consumer-username"), "root");
                let answer = api.send(request).await?.expect(200)?;
                let echo: Echo = serde_json::from_value(answer)?;
                let said = |name: &str| echo.headers.get(name).cloned().unwrap_or_default();
                assert_eq!(said("x-consumer-username"), ["alice"], "{nominated}");
                assert!(!said("x-real-ip").is_empty() && !said("via").is_empty(), "{nominated}");
                let forged: Vec<_> = echo
                    .headers
                    .iter()
                    .filter(|(_, values)| {
                        values.iter().any(|value| value.contains("forged") || value == "root")
                    })
                    .collect();
                assert!(forged.is_empty(), "{nominated}: {forged:?}");
            }
        }

        // No route leads to the gateway's own admin port, and no page of another origin uses it.
        let admin = gateway.admin_url();
        let service = json!({ "name": "inside", "url": admin });
        plane.api.post(&plane.entity("services"), &service).await?.expect(201)?;
        let route = json!({ "name": "inside", "paths": ["/inside"], "service": { "name": "inside" } });
        let made = plane.api.post(&plane.entity("routes"), &route).await?;
        made.expect(201)?;
        let inside = gateway.until_answers("/inside/status", None, 502).await?;
        assert_eq!(inside.json()?["reason"], "upstream-forbidden", "{}", inside.text);
        let port = gateway.admin();
        for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
            let request = port.request(Method::GET, "/status");
            let request =
                if name == "host" { request.header(HOST, value) } else { request.header(name, value) };
            port.send(request).await?.expect(403)?;
        }
        let replace = port.request(Method::POST, "/config").header("content-type", "text/plain").body("{}");
        assert_eq!(port.send(replace).await?.status, 404, "it is not there unless asked for");
        gateway.process().stop().await?;
        Ok(())
    });
}

/// Paths that some upstreams read as `/api/admin`, or as something below it.
const READINGS: [&str; 12] = [
    "/api;x/admin",
    "/api/;x/admin",
    "/api;/admin",
    "/api%2Fadmin",
    "/api%2fadmin/users",
    "/api%5Cadmin",
    "/api%3Bx/admin",
    "/api//admin",
    "/api/%61dmin",
    "/api/x/%2e%2e/admin",
    "/api/x;y/%2e%2e;z/admin",
    "/api/admin;x=1/users",
];

#[test]
fn no_reading_of_a_path_opens_another_route() {
    run(async {
        let region = shared().await?;
        let (plane, gateway) = served(region, "readings").await?;
        for (name, path) in [("public", "/api"), ("guarded", "/api/admin")] {
            let route =
                json!({ "name": name, "paths": [path], "strip_path": false, "service": { "name": "echo" } });
            plane.api.post(&plane.entity("routes"), &route).await?.expect(201)?;
        }
        let guard = json!({ "name": "key-auth", "route": { "name": "guarded" } });
        plane.api.post(&plane.entity("plugins"), &guard).await?.expect(201)?;
        gateway.until_answers("/api/admin", None, 401).await?;
        gateway.until_answers("/api", None, 200).await?;
        for path in READINGS {
            let answer = gateway.get(path, None).await?;
            assert!([400, 401, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
        }
        // What means the same to everybody is served.
        for path in ["/api/orders;v=1", "/api/a%2Fb", "/api/x"] {
            gateway.get(path, None).await?.expect(200)?;
        }
        gateway.process().stop().await?;
        Ok(())
    });
}
