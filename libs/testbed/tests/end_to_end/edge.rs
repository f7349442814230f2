//! The edge: all public APIs at one address, as if the services were one.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testbed::{ServiceName, api::text};

use crate::{
    as_written,
    fixtures::{ControlPlane, node_of, served},
    harness::{run, shared, unique},
    operations::{self, Things},
    regions::{get_when_known, make_team},
};

/// Bytes of a document that is large and still taken.
const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

#[test]
fn every_read_is_answered_by_the_edge_as_by_its_service() {
    run(async {
        let (region, things) = (shared().await?, Things::shared().await?);
        let edge = region.edge_api();
        let mut wrong = Vec::new();
        for operation in operations::all(region).await?.iter().filter(|one| one.method == Method::GET) {
            let through = operation.send(&edge, things).await?;
            let past = operation.send(&region.api(operation.service), things).await?;
            // What changes by itself, such as a node's last contact, is not compared.
            let same_kind = through.header("content-type") == past.header("content-type");
            if through.status != past.status || !same_kind {
                wrong.push(format!("{}: {} {}", operation.describe(), through.status, through.text));
            }
        }
        assert!(wrong.is_empty(), "the edge answers otherwise:\n{}", wrong.join("\n"));
        // Another service's own words, and nothing between them.
        edge.anonymous().get("/v3/teams").await?.expect_problem(401)?;
        assert_eq!(edge.get("/livez").await?.status, 404, "what is no public API is not there");
        Ok(())
    });
}

#[test]
fn the_edge_shows_one_document_of_all_services_and_a_page() {
    run(async {
        let region = shared().await?;
        let edge = region.edge_api().anonymous();
        let document = edge.get("/openapi.json").await?.expect(200)?;
        for operation in operations::all(region).await? {
            let shown = &document["paths"][&operation.path][operation.method.as_str().to_lowercase()];
            assert_eq!(shown["tags"], json!([operation.service.as_str()]), "{}", operation.describe());
        }
        for (path, media_type) in
            [("/docs", "text/html"), ("/docs/page.js", "text/javascript"), ("/docs/page.css", "text/css")]
        {
            let answer = edge.get(path).await?;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("content-type").is_some_and(|found| found.starts_with(media_type)));
            assert!(answer.header("content-security-policy").is_some(), "{path}");
        }
        for path in ["/docs/", "/docs/openapi.json", "/documentation/docs", "/openapi.json/x"] {
            assert_eq!(edge.get(path).await?.status, 404, "{path}");
        }
        Ok(())
    });
}

#[test]
fn an_unusual_path_is_read_once_and_by_one_service() {
    run(async {
        let region = shared().await?;
        let (edge, token) = (region.edge_url(), &region.owner().token);
        // A region that has just started may not know the organization yet.
        get_when_known(&region.edge_api(), "/v3/teams").await?;
        let team = make_team(region).await?;
        let (first, rest) = team.split_at(1);
        let first = first.as_bytes().first().copied().unwrap_or_default();
        let ask = async |path: &str| as_written::get(&edge, &region.ca_file(), token, path).await;

        // The team tells by its body that authz has answered, and about which.
        let canonical = ask(&format!("/v3/teams/{team}")).await?;
        assert_eq!((canonical.0, canonical.1.contains(&team)), (200, true), "{canonical:?}");
        let same = [
            format!("//v3/teams/{team}"),
            format!("/v3//teams/{team}"),
            format!("/v3/%74eams/{team}"),
            format!("/%763/teams/{team}"),
            format!("/v3/teams/%{first:02x}{rest}"),
        ];
        for path in same {
            assert_eq!(ask(&path).await?, canonical, "{path}");
        }
        // None of them is a way to another service, or past the public paths.
        let refused = [
            ("/v3/teams/..%2f..%2fmetrics", 400),
            ("/v3/teams/..%2F..%2Fv3%2Fusers", 400),
            ("/v3/teams/%00", 400),
            ("/v3/teams/%zz", 400),
            ("/v3/teams/../../metrics", 400),
            ("/v3/teams/%2e%2e/%2e%2e/metrics", 400),
            ("/v3/users/../teams", 400),
            ("/v3/users/%2e%2E/teams", 400),
            ("/v3/./teams", 400),
            ("/v3/teams/..;/users", 400),
            ("/v3/teams/.%5c..%5cusers", 400),
            ("/v2/control-planes/x/core-entities/consumers/../plugins", 400),
            ("/v2/control-planes/x/core-entities/consumers/%2e%2e/plugins", 400),
            // A person's name to identity; to an upstream that decodes slashes, authz's list of somebody's roles.
            ("/v3/users/a%2Fassigned-roles", 400),
            ("/v3/users%2Fme%2Faccess-tokens", 404),
            ("/v3/teams%2F", 404),
        ];
        for (path, status) in refused {
            let (found, text) = ask(path).await?;
            assert_eq!(found, status, "{path}: {text}");
        }
        // An encoded slash is a part of a name: identity's answer about a person, not authz's about roles.
        let path = "/v3/users/a%2Fb";
        let identity = region.api_url(ServiceName::Identity);
        let without_instance = |(status, text): (u16, String)| {
            let mut problem: Value = serde_json::from_str(&text)?;
            let instance = problem.as_object_mut().and_then(|problem| problem.remove("instance"));
            anyhow::ensure!(instance.is_some(), "no instance: {text}");
            anyhow::Ok((status, problem))
        };
        let past = as_written::get(&identity, &region.ca_file(), token, path).await?;
        assert_eq!(without_instance(ask(path).await?)?, without_instance(past)?);
        Ok(())
    });
}

#[test]
fn a_write_and_its_propagation_are_waited_for_through_the_edge() {
    run(async {
        let region = shared().await?;
        let (control_plane, gateway) = served(region, "edge").await?;
        let edge = region.edge_api();
        let node = node_of(&gateway).await?;
        let path = control_plane.path("propagation?wait=20s");
        let body = json!({ "paths": ["/through"], "service": { "name": "echo" } });
        edge.put(&control_plane.entity("routes/through"), &body).await?.expect(200)?;
        let started = std::time::Instant::now();
        edge.get(&path).await?.expect(200)?;
        assert!(started.elapsed() < Duration::from_secs(20), "it waited for nothing");
        gateway.until_answers("/through", None, 200).await?;
        control_plane.until_in_sync(&node, control_plane.version().await?).await?;
        gateway.process().stop().await?;
        Ok(())
    });
}

#[test]
fn a_large_document_passes_the_edge() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "large").await?;
        // One entity, and a comment that makes the document large.
        let document = format!(
            "_format_version: \"3.0\"\nservices:\n- name: {}\n  host: large.example\n#{}\n",
            unique("large"),
            "x".repeat(DOCUMENT_BYTES)
        );
        let edge = region.edge_api();
        let applied = edge.put_yaml(&control_plane.path("declarative"), &document).await?;
        applied.expect(200)?;
        let shown = edge.get(&control_plane.entity("services")).await?.expect(200)?;
        assert_eq!(text(&shown["data"][0], "host")?, "large.example");
        Ok(())
    });
}

#[test]
fn an_enrolment_goes_by_the_edge() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "enrolled").await?;
        let edge = region.edge_api();
        let enrolment = testbed::dataplane::create_enrolment(&edge, &control_plane.id).await?;
        let gateway =
            testbed::Gateway::start(region, &control_plane.id, &unique("edge"), &enrolment.command).await?;
        gateway.until_ready().await?;
        let settings =
            std::fs::read_to_string(region.infrastructure().service(ServiceName::Config).settings())?;
        assert!(settings.contains(&format!("api = \"{}\"", region.edge_url())), "the only address it knows");
        gateway.process().stop().await?;
        Ok(())
    });
}
