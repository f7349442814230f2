//! Callers of the APIs: strangers with made-up tokens, and bodies that nobody asked for.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use ids::OrganizationId;
use reqwest::header::AUTHORIZATION;
use serde_json::json;
use testbed::{ServiceName, dataplane};

use super::{beside_a_bystander, size};
use crate::{
    fixtures::other_organization,
    harness::{run, shared},
};

/// Requests at a time.
const CONCURRENT: usize = 64;

/// A token of the right form that nobody made.
fn made_up() -> String {
    let secret = OrganizationId::generate().to_string().replace('-', "");
    format!("lbp_us_{secret}{secret}")
}

#[test]
fn made_up_tokens_harm_nobody_else() {
    run(async {
        let region = shared().await?;
        let paths = [
            (ServiceName::Identity, "/v3/users"),
            (ServiceName::Authz, "/v3/teams"),
            (ServiceName::Config, "/v2/control-planes"),
        ];
        for (service, path) in paths {
            let (past, through) = (region.api(service), region.edge_api());
            let attempts = stream::iter(0..size(300, 1500)).map(|number| {
                let api = if number % 2 == 0 { &past } else { &through }.with_token(&made_up());
                async move { anyhow::Ok(api.get(path).await?.status) }
            });
            let attack = attempts.buffer_unordered(CONCURRENT).try_collect::<Vec<_>>();
            let statuses = beside_a_bystander(region, path, attack).await?;
            let others: Vec<_> = statuses.iter().filter(|status| ![401, 429].contains(*status)).collect();
            assert!(others.is_empty(), "{service}: {others:?}");
        }
        Ok(())
    });
}

#[test]
fn a_refusal_before_the_body_is_read_arrives_as_what_it_is() {
    run(async {
        let region = shared().await?;
        let edge = region.edge_api().anonymous();
        let body = vec![b'x'; 900_000];
        let attempts = stream::iter(0..size(30, 150)).map(|_| {
            let request = edge.request(reqwest::Method::POST, "/v3/teams").body(body.clone());
            let request =
                request.header("content-type", "application/json").header(AUTHORIZATION, "Bearer x");
            async { edge.send(request).await }
        });
        let answers: Vec<_> = attempts.buffer_unordered(8).try_collect().await?;
        let others: Vec<_> = answers.iter().filter(|answer| ![401, 429].contains(&answer.status)).collect();
        assert!(others.is_empty(), "{others:?}");
        let too_large = edge.request(reqwest::Method::POST, "/v3/nowhere").body(body);
        assert_eq!(edge.send(too_large).await?.status, 404);
        Ok(())
    });
}

/// A route whose regular expressions are short and cost much.
fn expensive(number: usize) -> serde_json::Value {
    let paths: Vec<_> = (0..128).map(|path| format!("~/\\w{{1,30}}x{number}x{path}")).collect();
    json!({ "name": format!("expensive-{number}"), "paths": paths })
}

#[test]
fn expensive_patterns_delay_nobody_else() {
    run(async {
        let region = shared().await?;
        let attacker = other_organization(region).await?;
        let api = region.api(ServiceName::Config).with_token(&attacker.token);
        let plane = dataplane::create_control_plane(&api, "patterns").await?;
        let attempts = stream::iter(0..size(16, 200)).map(|number| {
            let (path, api) = (format!("/v2/control-planes/{plane}/core-entities/routes"), &api);
            async move { anyhow::Ok(api.post(&path, &expensive(number)).await?.status) }
        });
        let attack = attempts.buffer_unordered(CONCURRENT).try_collect::<Vec<_>>();
        let statuses = beside_a_bystander(region, "/v2/control-planes", attack).await?;
        let others: Vec<_> =
            statuses.iter().filter(|status| ![201, 400, 403, 429].contains(*status)).collect();
        assert!(others.is_empty(), "{others:?}");
        Ok(())
    });
}
