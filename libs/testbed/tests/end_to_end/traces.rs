//! One trace follows a write to everything that comes of it, as an OTLP receiver sees it: through the edge, the service, the
//! stream and the node; and from one region to another.
//!
//! The tests begin each trace themselves. A step is the next one if it comes of the step before, by parents and links.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Api, Deployment, Options, Region, wait};

use crate::{
    fixtures::{Account, served},
    harness::{SOON, run, unique},
    otlp::{Receiver, Span, effect},
    regions::{account, make_team, members},
};

/// A trace that a test begins.
struct Begun {
    trace: String,
    span: String,
}

impl Begun {
    fn new() -> Self {
        let id = uuid::Uuid::new_v4();
        Self { trace: id.simple().to_string(), span: hex::encode(&id.as_bytes()[..8]) }
    }

    /// Sends a request as part of the trace, which its answer must not fail.
    async fn send(&self, api: &Api, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let traceparent = format!("00-{}-{}-01", self.trace, self.span);
        let request = api.request(method, path).header("traceparent", traceparent).json(body);
        let answer = api.send(request).await?;
        anyhow::ensure!(answer.status < 300, "{path}: {} {}", answer.status, answer.text);
        answer.json()
    }

    /// Waits until the receiver has every one of `steps`, each of which comes of the one before.
    async fn until_followed(&self, receiver: &Receiver, steps: &[Step<'_>]) -> anyhow::Result<()> {
        let what = format!("trace {} is followed", self.trace);
        wait::until(&what, SOON, async || {
            let spans = receiver.spans();
            let mut cause = self.span.as_str();
            for step in steps {
                let next = effect(&spans, cause, |span| step.is(span));
                let of_trace = || spans.iter().filter(|span| span.trace == self.trace).collect::<Vec<_>>();
                cause = &next.ok_or_else(|| format!("no {step:?} yet: {:#?}", of_trace()))?.id;
            }
            Ok(())
        })
        .await
    }
}

/// A span that has to be there: region, part of it, and name, or the start of one that ends in `*`.
#[derive(Clone, Copy, Debug)]
struct Step<'a>(&'a str, &'a str, &'a str);

impl Step<'_> {
    fn is(&self, span: &Span) -> bool {
        let is_named = match self.2.strip_suffix('*') {
            Some(start) => span.name.starts_with(start),
            None => span.name == self.2,
        };
        is_named && (span.region.as_str(), span.part.as_str()) == (self.0, self.1)
    }
}

async fn follow_a_write_to_the_node(receiver: &Receiver, us: &Region) -> anyhow::Result<()> {
    let (control_plane, gateway) = served(us, "traced").await?;
    let begun = Begun::new();
    let body = json!({ "paths": ["/traced"], "service": { "name": "echo" } });
    begun.send(&us.edge_api(), Method::PUT, &control_plane.entity("routes/traced"), &body).await?;
    let steps = [
        Step("us", "edge", "PUT *"),
        Step("us", "config", "PUT /v2/control-planes/{control_plane_id}/core-entities/routes/*"),
        Step("us", "config", "commit batch"),
        Step("us", gateway.name(), "apply delta"),
        Step("us", gateway.name(), "swap view"),
    ];
    begun.until_followed(receiver, &steps).await?;
    gateway.process().stop().await?;
    Ok(())
}

/// Grants made at the same time: some of them share a commit.
const GRANTS_AT_ONCE: usize = 8;

/// From grants in us to the index of eu: each of them by its own trace, though they are committed and sent together.
async fn follow_grants_to_another_region(receiver: &Receiver, deployment: &Deployment) -> anyhow::Result<()> {
    let us = deployment.region("us")?;
    let team = make_team(us).await?;
    let mut accounts = Vec::new();
    for _ in 0..GRANTS_AT_ONCE {
        accounts.push(account(deployment, "traced").await?);
    }
    let grant = async |account: &Account| -> anyhow::Result<()> {
        let begun = Begun::new();
        begun
            .send(&us.edge_api(), Method::POST, &members(&team), &json!({ "account_id": account.id }))
            .await?;
        let request =
            [Step("us", "edge", "POST *"), Step("us", "authz", "POST /v3/teams/{team_id}/system-accounts")];
        for effect in [
            Step("us", "authz", "log.commit"),
            Step("us", "authz", "index.follow"),
            Step("eu", "authz", "log.apply"),
            Step("eu", "authz", "index.follow"),
        ] {
            let [at_edge, in_authz] = request;
            begun.until_followed(receiver, &[at_edge, in_authz, effect]).await?;
        }
        Ok(())
    };
    futures::future::try_join_all(accounts.iter().map(grant)).await?;
    Ok(())
}

/// A principal that identity makes in us, known to authz in eu: by way of authz in us.
async fn follow_a_principal_to_another_region(receiver: &Receiver, us: &Region) -> anyhow::Result<()> {
    let begun = Begun::new();
    let body = json!({ "name": unique("traced") });
    begun.send(&us.edge_api(), Method::POST, "/v3/system-accounts", &body).await?;
    let steps = [
        Step("us", "edge", "POST *"),
        Step("us", "identity", "POST /v3/system-accounts"),
        Step("us", "authz", "landbridge.authz.v1.Authz/ApplyPrincipals"),
        Step("eu", "authz", "log.apply"),
    ];
    begun.until_followed(receiver, &steps).await
}

#[test]
fn one_trace_goes_from_a_write_to_all_that_comes_of_it() {
    run(async {
        let receiver = Receiver::start().await?;
        let options = Options { otlp: Some(receiver.url()), ..Options::of_regions(&["us", "eu"])? };
        let deployment = Deployment::start(&options).await?;
        let us = deployment.region("us")?;
        let outcome = async {
            follow_a_write_to_the_node(&receiver, us).await?;
            follow_grants_to_another_region(&receiver, &deployment).await?;
            follow_a_principal_to_another_region(&receiver, us).await
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            deployment.folder().keep()?;
            let path = deployment.folder().path().display().to_string();
            return outcome.with_context(|| format!("the deployment's folder stays: {path}"));
        }
        deployment.stop().await
    });
}
