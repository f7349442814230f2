//! The audit log of two regions: a write, a refusal and a sign-on are found by their filters, delivered to a webhook that fails at first,
//! and verified, in the databases and in an export; who alters that is named.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};
use testbed::{Deployment, Options, Region, ServiceName, WebhookReceiver, api::text, binaries, wait};
use tokio::process::Command;

use crate::{
    fixtures::{Account, exchange},
    harness::{SOON, run, unique, with_region},
    regions::account,
};

/// Longest wait for the webhook: it fails twice, and each time it is left alone for a moment.
const DELIVERED_DEADLINE: Duration = Duration::from_secs(60);

/// Waits until a list of the log has as many entries.
async fn until_listed(region: &Region, query: &str, count: usize) -> anyhow::Result<Vec<Value>> {
    wait::until(&format!("{query} finds {count} in {}", region.name()), SOON, async || {
        let answer = region.edge_api().get(&format!("/v3/audit-logs?{query}")).await;
        let page = answer.and_then(|answer| answer.expect(200)).map_err(|error| format!("{error:#}"))?;
        let entries = page["data"].as_array().cloned().unwrap_or_default();
        if entries.len() == count { Ok(entries) } else { Err(page.to_string()) }
    })
    .await
}

/// A write, a refusal and a sign-on in `region`, by `nobody`, who may do nothing; and how they are listed.
async fn check_entries(region: &Region, nobody: &Account) -> anyhow::Result<()> {
    let config = region.api(ServiceName::Config);
    let plane =
        config.post("/v2/control-planes", &json!({ "name": unique("audited") })).await?.expect(201)?;
    let plane = text(&plane, "id")?.to_owned();
    let refused = region.edge_api().with_token(&nobody.token).get("/v3/teams").await?;
    refused.expect_problem(403)?;
    exchange(region, &nobody.token).await?;

    let actor = format!("filter[actor]={}", nobody.id);
    let denied = until_listed(region, &format!("filter[type]=authorization&{actor}"), 1).await?;
    assert_eq!((&denied[0]["service"], &denied[0]["action"]), (&json!("authz"), &json!("iam:ReadTeams")));
    assert_eq!((&denied[0]["region"], &denied[0]["outcome"]), (&json!(region.name()), &json!("denied")));
    let signed_on = until_listed(region, &format!("filter[type]=authentication&{actor}"), 1).await?;
    assert_eq!(
        (&signed_on[0]["service"], &signed_on[0]["action"]),
        (&json!("identity"), &json!("token.exchange"))
    );
    let written = until_listed(region, "filter[action]=control-plane.create&page[size]=100", 1).await?;
    assert_eq!((&written[0]["service"], &written[0]["target"]), (&json!("config"), &json!(plane)));
    assert_eq!(written[0]["trace_id"].as_str().map(str::len), Some(32), "{}", written[0]);

    // In pages of two, nothing is missing, and nothing comes twice.
    let all = region.edge_api().get("/v3/audit-logs?page[size]=1000").await?.expect(200)?;
    let of = |page: &Value| -> Vec<(String, u64)> {
        let entries = page["data"].as_array().into_iter().flatten();
        entries
            .map(|entry| {
                (
                    entry["service"].as_str().unwrap_or_default().to_owned(),
                    entry["seq"].as_u64().unwrap_or_default(),
                )
            })
            .collect()
    };
    let (mut query, mut seen) = ("page[size]=2".to_owned(), Vec::new());
    loop {
        let page = region.edge_api().get(&format!("/v3/audit-logs?{query}")).await?.expect(200)?;
        seen.extend(of(&page));
        let Some(next) = page["meta"]["page"]["next"].as_str() else { break };
        query = format!("page[size]=2&page[after]={next}");
    }
    let once: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "an entry came twice: {seen:?}");
    assert!(of(&all).iter().all(|entry| once.contains(entry)), "an entry is missing: {seen:?}");
    Ok(())
}

/// Runs `landbridge audit verify`; what it prints, and whether it found all whole.
async fn verify(arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    let output =
        Command::new(binaries::services()?).args(["audit", "verify"]).args(arguments).output().await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(text)?))
}

async fn check_verification(region: &Region, folder: &Path) -> anyhow::Result<()> {
    let mut keys = Vec::new();
    for service in ServiceName::ALL {
        let settled = region.infrastructure().service(service);
        let settings = settled.settings().to_str().context("a path")?;
        let (whole, said) = verify(&["--service", service.as_str(), "--config", settings]).await?;
        anyhow::ensure!(whole && said.starts_with("whole: "), "{service}: {said}");
        let key = settled.command(&["log-key"]).await?;
        keys.push(format!("--key={}.{}={}", service.as_str(), region.name(), key.trim()));
    }
    let export = region.edge_api().get("/v3/audit-logs/export").await?;
    anyhow::ensure!(export.status == 200, "{}", export.text);
    let file = folder.join(format!("{}.jsonl", region.name()));
    let check = async |text: &str| {
        fs::write(&file, text)?;
        let path = file.to_str().context("a path")?;
        let mut arguments = vec!["--file", path];
        arguments.extend(keys.iter().map(String::as_str));
        verify(&arguments).await
    };
    let (whole, said) = check(&export.text).await?;
    anyhow::ensure!(whole && said.contains("in 3 chains"), "{said}");
    let altered = export.text.replacen("token.exchange", "token.xchange", 1);
    let (whole, said) = check(&altered).await?;
    anyhow::ensure!(!whole && said.contains("the entry was altered"), "{said}");
    anyhow::ensure!(said.contains(&format!("identity.{}/", region.name())), "it names the chain: {said}");
    if export.text.contains("client_ip") {
        let altered = export.text.replacen(r#""client_ip":"127.0.0.1""#, r#""client_ip":"127.0.0.2""#, 1);
        let (whole, said) = check(&altered).await?;
        anyhow::ensure!(!whole && said.contains("the address or the user agent"), "{said}");
    } else {
        anyhow::ensure!(region.name() != "us", "the log at home has addresses");
    }
    let mut lines: Vec<&str> = export.text.lines().collect();
    lines.pop();
    let (whole, said) = check(&lines.join("\n")).await?;
    anyhow::ensure!(!whole && said.contains("the entry is missing"), "{said}");
    Ok(())
}

#[test]
fn what_happens_in_two_regions_is_listed_delivered_and_verified() {
    run(async {
        let folder = tempfile::tempdir()?;
        let receiver = WebhookReceiver::start(folder.path()).await?;
        let config = receiver.settings()?;
        let options = Options { config, ..Options::of_regions(&["us", "eu"])? };
        let deployment = Deployment::start(&options).await?;
        let outcome = check(&deployment, &receiver, folder.path()).await;
        if outcome.is_err() {
            deployment.folder().keep()?;
        }
        outcome?;
        deployment.stop().await
    });
}

async fn check(deployment: &Deployment, receiver: &WebhookReceiver, folder: &Path) -> anyhow::Result<()> {
    receiver.answer_next(&[500, 0]);
    for region in deployment.regions() {
        let hook = json!({ "endpoint": receiver.url() });
        region.edge_api().patch("/v3/audit-log-webhook", &hook).await?.expect(200)?;
    }
    let nobody = account(deployment, "nobody").await?;
    for region in deployment.regions() {
        check_entries(region, &nobody).await?;
    }
    let wanted: Vec<(&str, &str)> = ["us", "eu"]
        .into_iter()
        .flat_map(|region| {
            ["control-plane.create", "iam:ReadTeams", "token.exchange"].map(|action| (region, action))
        })
        .collect();
    wait::until("the webhook has taken all", DELIVERED_DEADLINE, async || {
        let taken = receiver.deliveries().into_iter().filter(|delivery| delivery.answered == 200);
        let bodies: Vec<Value> =
            taken.filter_map(|delivery| serde_json::from_slice(&delivery.body).ok()).collect();
        let has = |(region, action): &(&str, &str)| {
            let mut entries = bodies.iter().filter_map(|body| body["data"].as_array()).flatten();
            entries.any(|entry| entry["region"] == *region && entry["action"] == *action)
        };
        let missing: Vec<_> = wanted.iter().filter(|wanted| !has(wanted)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {} batches", bodies.len())) }
    })
    .await?;
    assert!(receiver.deliveries().iter().filter(|delivery| delivery.answered != 200).count() == 2);
    for region in deployment.regions() {
        let status = region.edge_api().get("/v3/audit-log-webhook/status").await?.expect(200)?;
        assert_eq!((&status["enabled"], status.get("given_up")), (&json!(true), None), "{status}");
        check_verification(region, folder).await?;
    }
    Ok(())
}

/// identity and config are killed again and again while entries are written, linked and delivered.
#[test]
fn chains_and_deliveries_go_on_whole_when_services_are_killed() {
    run(async {
        let folder = tempfile::tempdir()?;
        let receiver = WebhookReceiver::start(folder.path()).await?;
        let config = receiver.settings()?;
        let options = Options { config, ..Options::temporary()? };
        with_region(&options, async |region| check_kills(region, &receiver).await).await
    });
}

async fn check_kills(region: &Region, receiver: &WebhookReceiver) -> anyhow::Result<()> {
    let hook = json!({ "endpoint": receiver.url() });
    region.edge_api().patch("/v3/audit-log-webhook", &hook).await?.expect(200)?;
    let (identity, config) = (region.api(ServiceName::Identity), region.api(ServiceName::Config));
    let mut made = BTreeSet::new();
    for round in 0..4 {
        for _ in 0..5 {
            let plane =
                config.post("/v2/control-planes", &json!({ "name": unique("killed") })).await?.expect(201)?;
            made.insert(text(&plane, "id")?.to_owned());
            let account = identity.post("/v3/system-accounts", &json!({ "name": unique("killed") })).await?;
            made.insert(text(&account.expect(201)?, "id")?.to_owned());
        }
        // The last entries wait to be linked, which takes a quarter of a second, and to be delivered.
        let killed = [ServiceName::Config, ServiceName::Identity];
        for service in &killed[..1 + round % 2] {
            region.process(*service).kill().await?;
        }
        for service in &killed[..1 + round % 2] {
            region.start_again(*service).await?;
        }
    }
    let delivered = || -> Vec<Value> {
        let taken = receiver.deliveries().into_iter().filter(|delivery| delivery.answered == 200);
        let bodies = taken.filter_map(|delivery| serde_json::from_slice::<Value>(&delivery.body).ok());
        bodies.flat_map(|body| body["data"].as_array().cloned().unwrap_or_default()).collect()
    };
    wait::until("the webhook has taken all", DELIVERED_DEADLINE, async || {
        let targets: BTreeSet<String> =
            delivered().iter().filter_map(|entry| entry["target"].as_str().map(str::to_owned)).collect();
        let missing: Vec<_> = made.difference(&targets).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{} are missing", missing.len())) }
    })
    .await?;
    // Of each chain, every number from the first that was delivered to the last.
    for service in ["identity", "config"] {
        let entries = delivered();
        let of_service = entries.iter().filter(|entry| entry["service"] == service);
        let numbers: BTreeSet<u64> = of_service.filter_map(|entry| entry["seq"].as_u64()).collect();
        let (first, last) = (numbers.first().context("an entry")?, numbers.last().context("an entry")?);
        anyhow::ensure!(numbers.len() as u64 == last - first + 1, "{service}: some are missing: {numbers:?}");
    }
    for service in ServiceName::ALL {
        let settled = region.infrastructure().service(service);
        let settings = settled.settings().to_str().context("a path")?;
        let (whole, said) = verify(&["--service", service.as_str(), "--config", settings]).await?;
        anyhow::ensure!(whole && said.starts_with("whole: "), "{service}: {said}");
    }
    Ok(())
}
