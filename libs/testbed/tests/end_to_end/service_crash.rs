//! Services, Postgres and NATS are killed under writes. No acknowledged write is lost, none is done twice, and callers
//! meet nothing but lost connections, 429 and 503 meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{Answer, Api, Region, ServiceName, api::text, wait};

use crate::{
    fixtures::{ControlPlane, exchange, role},
    harness::{SOON, run_alone, unique},
};

/// Acknowledged writes of each writer between two kills.
const WRITES_BETWEEN_KILLS: usize = 5;
/// Longest time that a caller goes on trying one request.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// A write that was acknowledged.
struct Acknowledged {
    api: Api,
    path: String,
    /// What a GET of the path must answer.
    shown: Value,
}

/// What callers saw.
#[derive(Default)]
struct Record {
    /// By writer.
    acknowledged: Mutex<BTreeMap<&'static str, Vec<Acknowledged>>>,
    /// Tokens of system accounts.
    tokens: Mutex<Vec<String>>,
    /// Answers that must not be.
    wrong: Mutex<Vec<String>>,
    stop: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Record {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn acknowledge(&self, writer: &'static str, api: &Api, path: String, shown: Value) {
        lock(&self.acknowledged).entry(writer).or_default().push(Acknowledged {
            api: api.clone(),
            path,
            shown,
        });
    }

    fn count(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.acknowledged).iter().map(|(writer, writes)| (*writer, writes.len())).collect()
    }

    /// Waits until every writer has some more writes acknowledged.
    async fn until_progress(&self, after: &str) -> anyhow::Result<()> {
        let before = self.count();
        wait::until(&format!("writes go on after {after}"), SOON, async || {
            let now = self.count();
            let goes_on = |writer: &&str| {
                let old = before.get(writer).copied().unwrap_or_default();
                now.get(writer).copied().unwrap_or_default() >= old + WRITES_BETWEEN_KILLS
            };
            if ["identity", "authz", "config"].iter().all(goes_on) {
                Ok(())
            } else {
                Err(format!("{before:?} {now:?}"))
            }
        })
        .await
    }

    /// POSTs with one idempotency key until it is done. What may come before: nothing, 429, 503, or that it still runs.
    async fn post(&self, api: &Api, path: &str, body: &Value) -> anyhow::Result<Value> {
        let key = unique("crash");
        let mut seen = Vec::new();
        wait::until(&format!("POST {path} is done"), RETRY_MAX, async || {
            let answer = match api.post_once(path, body, &key).await {
                Ok(answer) => answer,
                Err(error) => return Err(format!("{error:#}")),
            };
            let in_use = answer.status == 409 && answer.text.contains("idempotency-key-in-use");
            match answer.status {
                201 => Ok(answer.json().map_err(|error| format!("{error:#}"))?),
                429 | 503 if answer.header("retry-after").is_some() => Err(answer.text),
                _ if in_use => Err(answer.text),
                status => {
                    let wrong = format!("POST {path} {body}: {status} {} after {seen:?}", answer.text);
                    lock(&self.wrong).push(wrong.clone());
                    seen.push(status);
                    Err(wrong)
                }
            }
        })
        .await
    }

    /// Asks once; anything but 200, 429, 503 and a lost connection is wrong.
    async fn look(&self, api: &Api, path: &str) {
        match api.get(path).await {
            Ok(Answer { status: 200 | 429 | 503, .. }) | Err(_) => {}
            Ok(answer) => lock(&self.wrong).push(format!("GET {path}: {} {}", answer.status, answer.text)),
        }
    }
}

/// System accounts with a token each, used at once.
async fn write_identity(record: &Record, api: &Api, config: &Api) -> anyhow::Result<()> {
    while !record.is_stopped() {
        let made = record.post(api, "/v3/system-accounts", &json!({ "name": unique("crash") })).await?;
        let path = format!("/v3/system-accounts/{}", text(&made, "id")?);
        let token = record.post(api, &format!("{path}/access-tokens"), &json!({ "name": "first" })).await?;
        let token = text(&token, "token")?.to_owned();
        record.look(&config.with_token(&token), "/v2/control-planes").await;
        lock(&record.tokens).push(token);
        record.acknowledge("identity", api, path, made);
    }
    Ok(())
}

/// Teams with a role each.
async fn write_authz(record: &Record, api: &Api) -> anyhow::Result<()> {
    while !record.is_stopped() {
        let made = record.post(api, "/v3/teams", &json!({ "name": unique("crash") })).await?;
        let path = format!("/v3/teams/{}", text(&made, "id")?);
        let roles = format!("{path}/assigned-roles");
        let role = record.post(api, &roles, &role("Viewer", "*")).await?;
        record.acknowledge("authz", api, path, made);
        let page = json!({ "number": 1, "size": 20, "total": 1 });
        let list = json!({ "data": [role], "meta": { "page": page } });
        record.acknowledge("authz", api, roles, list);
    }
    Ok(())
}

/// Services with a route each.
async fn write_config(record: &Record, on: &ControlPlane) -> anyhow::Result<()> {
    while !record.is_stopped() {
        let name = unique("crash");
        let body = json!({ "name": name, "host": "crash.example" });
        let service = record.post(&on.api, &on.entity("services"), &body).await?;
        let routes = on.entity(&format!("services/{name}/routes"));
        let route =
            record.post(&on.api, &routes, &json!({ "name": name, "paths": [format!("/{name}")] })).await?;
        record.acknowledge("config", &on.api, on.entity(&format!("services/{name}")), service);
        record.acknowledge("config", &on.api, on.entity(&format!("routes/{name}")), route);
    }
    Ok(())
}

/// Reads of each service with each kind of token.
async fn read(record: &Record, apis: &[(Api, &str)]) {
    while !record.is_stopped() {
        for (api, path) in apis {
            record.look(api, path).await;
        }
    }
}

/// Kills each part in turn and starts it again, while writes go on before and after.
async fn kill_everything(region: &Region, record: &Record) -> anyhow::Result<()> {
    record.until_progress("the start").await?;
    for service in ServiceName::ALL.into_iter().chain([ServiceName::Config]) {
        region.process(service).kill().await?;
        region.start_again(service).await?;
        record.until_progress(&format!("a kill of {service}")).await?;
    }
    let infrastructure = region.infrastructure();
    infrastructure.postgres.process().kill().await?;
    infrastructure.postgres.start_again().await?;
    record.until_progress("a kill of Postgres").await?;
    infrastructure.nats.process().kill().await?;
    record.until_progress("NATS is gone").await?;
    infrastructure.nats.start_again().await?;
    record.until_progress("a kill of NATS").await?;
    for service in ServiceName::ALL {
        anyhow::ensure!(
            region.process(service).is_running(),
            "{}",
            region.process(service).failure("has ended")
        );
    }
    Ok(())
}

async fn check_acknowledged(record: &Record) -> anyhow::Result<()> {
    let all = std::mem::take(&mut *lock(&record.acknowledged));
    for (writer, writes) in all {
        println!("{writer}: {} acknowledged writes", writes.len());
        for Acknowledged { api, path, shown } in writes {
            let now =
                api.get(&path).await?.expect(200).with_context(|| format!("{writer} has lost a write"))?;
            anyhow::ensure!(now == shown, "{path}: acknowledged {shown}, now {now}");
        }
    }
    Ok(())
}

/// No name comes twice in a list, whatever was sent again.
async fn check_unique(api: &Api, path: &str, paging: &str) -> anyhow::Result<()> {
    let mut names = BTreeMap::<String, u32>::new();
    let mut next = Some(String::new());
    while let Some(after) = next {
        let page = api.get(&format!("{path}?{paging}{after}")).await?.expect(200)?;
        for item in page["data"].as_array().context("a list")? {
            *names.entry(item["name"].to_string()).or_default() += 1;
        }
        next = page["meta"]["page"]["next"].as_str().map(|next| format!("&page[after]={next}"));
    }
    let twice: Vec<_> = names.iter().filter(|(_, count)| **count > 1).collect();
    anyhow::ensure!(twice.is_empty() && !names.is_empty(), "{path}: {twice:?}");
    Ok(())
}

#[test]
fn no_acknowledged_write_is_lost_when_parts_are_killed() {
    run_alone(async |region| {
        let on = ControlPlane::create(region, "crash").await?;
        let [identity, authz, config] = ServiceName::ALL.map(|service| region.api(service));
        let record = Record::default();
        let signed = exchange(region, &region.owner().token).await?;
        let mut reads = Vec::new();
        for (api, path) in
            [(&identity, "/v3/users/me"), (&authz, "/v3/teams"), (&config, "/v2/control-planes?page[size]=1")]
        {
            reads.extend([(api.clone(), path), (api.with_token(&signed), path)]);
        }
        let kill = async {
            let killed = kill_everything(region, &record).await;
            record.stop.store(true, Ordering::Relaxed);
            killed
        };
        let (killed, wrote_identity, wrote_authz, wrote_config, ()) = tokio::join!(
            kill,
            write_identity(&record, &identity, &config),
            write_authz(&record, &authz),
            write_config(&record, &on),
            read(&record, &reads),
        );

        let wrong = std::mem::take(&mut *lock(&record.wrong));
        anyhow::ensure!(wrong.is_empty(), "{} answers must not be:\n{}", wrong.len(), wrong.join("\n"));
        killed?;
        wrote_identity.and(wrote_authz).and(wrote_config)?;
        check_acknowledged(&record).await?;
        check_unique(&identity, "/v3/system-accounts", "page[size]=100").await?;
        check_unique(&authz, "/v3/teams", "page[size]=100").await?;
        let tokens = std::mem::take(&mut *lock(&record.tokens));
        for token in tokens {
            config.with_token(&token).get("/v2/control-planes").await?.expect(200)?;
        }
        Ok(())
    });
}
