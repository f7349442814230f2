//! The tour: a gateway file travels through the API to a gateway, every route of it is checked there, and three changes are
//! timed from the moment the write is sent to the first request that the gateway answers by it.
//!
//! Works with any file that the API takes. With the shop's example, its upstreams are replaced by the echo upstream; with a
//! user's file nothing is, and the tour leaves the configuration as the file has it. With two regions it goes on
//! ([`regions`]): what is granted in the one is used in the other.

mod plan;
mod probe;
pub mod regions;
mod sample;

use std::{
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Answer, Api, Gateway,
    api::{self, text},
    status::{RegionStatus, Status},
};
use plan::{Case, Expected, Plan};
use probe::Probe;

const SHOP: &str = include_str!("../../../../infra/examples/shop.yaml");
/// The upstream that the shop's file names, which the echo upstream takes the place of.
const SHOP_UPSTREAM: &str = "http://127.0.0.1:9000";
/// Longest time from a write to its effect at the gateway.
const EFFECT_DEADLINE: Duration = Duration::from_secs(30);
/// How many failed checks an error lists.
const FAILURES_SHOWN_MAX: usize = 20;

/// Takes the tour of the running deployment once more, the part of two regions included where there are two.
pub async fn again(status: &Status, config: Option<&Path>) -> anyhow::Result<()> {
    of_one_region(status, config).await?;
    match status.regions.get(1) {
        Some(away) => regions::again(status, away).await,
        None => Ok(()),
    }
}

/// Takes the tour of the home region's first control plane and data plane and prints the table.
pub async fn of_one_region(status: &Status, config: Option<&Path>) -> anyhow::Result<()> {
    let stage = Stage::of(status.home()?, &status.tenant()?.token)?;
    let file = match config {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?,
        None => SHOP.replace(SHOP_UPSTREAM, &stage.upstream),
    };
    let name =
        config.map_or_else(|| "infra/examples/shop.yaml".to_owned(), |path| path.display().to_string());
    let report = stage.take(&name, &file).await?;
    print!("\n{}", report.describe());
    Ok(())
}

/// Takes the tour of the first two regions and prints the table. `enrol` starts a data plane in the second one, by its
/// control plane's id and an enrolment command.
pub async fn of_two_regions(
    status: &Status,
    enrol: impl AsyncFnOnce(&str, &str) -> anyhow::Result<Gateway>,
) -> anyhow::Result<Gateway> {
    let (report, gateway) = regions::Stage::of(status)?.take(enrol).await?;
    print!("\n{}", report.describe());
    Ok(gateway)
}

/// Where the tour takes place.
#[derive(Debug)]
pub struct Stage {
    /// The region's public APIs.
    api: Api,
    control_plane: String,
    probe: Probe,
    /// The echo upstream, as in `http://127.0.0.1:12010`.
    upstream: String,
}

/// How long a write took.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// From sending the write to its answer.
    pub answered: Duration,
    /// From sending the write to the first request that the gateway answered by it; `None` when it did before already.
    pub effective: Option<Duration>,
}

/// What the tour found.
#[derive(Debug)]
pub struct Report {
    /// The gateway file that was applied.
    pub file: String,
    /// Routes in the file.
    pub routes: usize,
    /// Requests that the routes were checked with.
    pub requests: usize,
    /// Route and reason.
    pub skipped: Vec<(String, String)>,
    /// What was measured, by what it is called in the report.
    pub measured: Vec<(&'static str, Measured)>,
}

impl Stage {
    /// The region's first data plane and its control plane. `token`: the owner's.
    pub fn of(region: &RegionStatus, token: &str) -> anyhow::Result<Self> {
        let serving = region.serving()?;
        let gateway = serving.gateways.first().context("the region has no data plane")?;
        let api = Api::new(api::https_client(&region.ca_file)?, &region.api, Some(token));
        Ok(Self {
            api,
            control_plane: gateway.control_plane.clone(),
            probe: Probe::new(api::http_client()?, &gateway.http),
            upstream: serving.upstream.clone(),
        })
    }

    /// Applies `file`, checks all of it, and measures changes.
    pub async fn take(&self, name: &str, file: &str) -> anyhow::Result<Report> {
        let echo = self.upstream.strip_prefix("http://").unwrap_or(&self.upstream);
        let plan = Plan::of(file, echo).with_context(|| name.to_owned())?;
        let last = plan.cases.last().context("the file has no route that could be checked")?;

        let path = format!("/v2/control-planes/{}/declarative", self.control_plane);
        let apply = async { require_success(self.api.put_yaml(&path, file).await?) };
        let mut measured = vec![("file applied -> live", self.measure(apply, last).await?.1)];
        self.check_all(&plan.cases).await?;
        measured.extend(self.change_a_route(&plan).await?.map(|change| ("route changed -> served", change)));
        measured.extend(self.create_and_revoke_a_key(&plan).await?.into_iter().flatten());

        let Plan { routes, cases, skipped, .. } = plan;
        Ok(Report { file: name.to_owned(), routes, requests: cases.len(), skipped, measured })
    }

    async fn check_all(&self, cases: &[Case]) -> anyhow::Result<()> {
        let mut failures = Vec::new();
        for case in cases {
            if let Err(error) = self.probe.check(case).await {
                failures.push(format!("  {error:#}"));
            }
        }
        let shown =
            failures.iter().take(FAILURES_SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
        anyhow::ensure!(
            failures.is_empty(),
            "{} of {} requests failed:\n{shown}",
            failures.len(),
            cases.len()
        );
        Ok(())
    }

    /// Gives a route one more path, and takes it away again.
    async fn change_a_route(&self, plan: &Plan) -> anyhow::Result<Option<Measured>> {
        let routes = format!("/v2/control-planes/{}/core-entities/routes", self.control_plane);
        // The plan does not know the ids that the control plane gives to nameless routes.
        let is_named = |case: &&Case| Uuid::parse_str(&case.route).is_err();
        for case in plan.cases.iter().filter(|case| is_served(case)).filter(is_named) {
            let path = format!("{routes}/{}", case.route);
            let original = require_success(self.api.get(&path).await?)?;
            let mut changed = original.clone();
            // A route without paths matches all of them: one more would take the others away.
            let Some(paths) = changed["paths"].as_array_mut().filter(|paths| !paths.is_empty()) else {
                continue;
            };
            let added = format!("/landbridge-tour/{}", Uuid::new_v4().simple());
            paths.push(json!(added));

            let mut on_new_path = case.clone();
            on_new_path.request.path = added;
            let put = async { require_success(self.api.put(&path, &changed).await?) };
            let (_, measured) = self.measure(put, &on_new_path).await?;
            require_success(self.api.put(&path, &original).await?)?;
            return Ok(Some(measured));
        }
        Ok(None)
    }

    /// Makes a key for a consumer, and revokes it.
    async fn create_and_revoke_a_key(
        &self,
        plan: &Plan,
    ) -> anyhow::Result<Option<[(&'static str, Measured); 2]>> {
        let accepted = plan.cases.iter().find(|case| is_served(case) && case.credential.is_some());
        let consumer = plan.plain_key.as_ref().and_then(|key| key.consumer.as_ref());
        let (Some(case), Some(consumer)) = (accepted, consumer) else { return Ok(None) };
        let path =
            format!("/v2/control-planes/{}/core-entities/consumers/{consumer}/key-auth", self.control_plane);

        let key = format!("tour-{}", Uuid::new_v4().simple());
        let with_key = |expected: Expected| {
            let mut case = case.clone();
            case.credential.iter_mut().for_each(|credential| credential.key.clone_from(&key));
            Case { expected, ..case }
        };
        let create = async { require_success(self.api.post(&path, &json!({ "key": key })).await?) };
        let (created, accepted) = self.measure(create, &with_key(case.expected.clone())).await?;
        let path = format!("{path}/{}", text(&created, "id")?);
        let revoke = async { require_success(self.api.delete(&path).await?) };
        let (_, refused) = self.measure(revoke, &with_key(Expected::Gateway(401))).await?;
        Ok(Some([("key created -> accepted", accepted), ("key revoked -> refused", refused)]))
    }

    /// Sends a write while asking the gateway every millisecond whether `case` holds.
    async fn measure(
        &self,
        write: impl Future<Output = anyhow::Result<Value>>,
        case: &Case,
    ) -> anyhow::Result<(Value, Measured)> {
        let held_before = self.probe.holds(case).await?;
        let started = Instant::now();
        let write = async { anyhow::Ok((write.await?, started.elapsed())) };
        if held_before {
            let (answer, answered) = write.await?;
            return Ok((answer, Measured { answered, effective: None }));
        }
        let effect = self.probe.until_holds(case, started, EFFECT_DEADLINE);
        let ((answer, answered), effective) = tokio::try_join!(write, effect)?;
        Ok((answer, Measured { answered, effective: Some(effective) }))
    }
}

fn is_served(case: &Case) -> bool {
    matches!(case.expected, Expected::Upstream { .. })
}

/// The body of a 2xx; any other status is an error that shows the answer.
fn require_success(answer: Answer) -> anyhow::Result<Value> {
    let status = if (200..300).contains(&answer.status) { answer.status } else { 200 };
    answer.expect(status)
}

impl Report {
    /// As `./dev up` prints it.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.describe_into(&mut text);
        text
    }

    fn describe_into(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "Tour of {}", self.file)?;
        let checked = self.routes - self.skipped.len();
        writeln!(
            text,
            "  {checked} of {} routes checked with {} requests: all answered as the file says",
            self.routes, self.requests
        )?;
        for (route, reason) in &self.skipped {
            writeln!(text, "  not checked: {route}: {reason}")?;
        }
        writeln!(text, "\n  {:<26} {:>12} {:>14}", "measured", "answered", "in effect")?;
        for (what, Measured { answered, effective }) in &self.measured {
            let effective = effective.map_or_else(|| "already".to_owned(), milliseconds);
            writeln!(text, "  {what:<26} {:>12} {effective:>14}", milliseconds(*answered))?;
        }
        writeln!(
            text,
            "  Both from sending the write; in effect: first request that the gateway answers by it.\n"
        )
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
