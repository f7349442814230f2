//! Two replicas of config: writers go to whichever answers, and both are killed again and again. No acknowledged write is lost, none is done
//! twice, and gateways hold in the end what both say.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use testbed::{Api, Gateway, ServiceName, api::text, wait};

use crate::{
    fixtures::{ControlPlane, check_plain_file, node_of, plain_file},
    harness::{SOON, run_replicas, unique},
};

/// How often each replica is killed.
const KILLS: usize = 4;
const WRITERS: usize = 6;
/// Acknowledged writes between two kills.
const WRITES_BETWEEN_KILLS: usize = 20;
/// Longest time that a writer goes on trying one request.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Who writes to both, and what was acknowledged: names of consumers.
struct Writers {
    replicas: [Api; 2],
    acknowledged: Mutex<BTreeSet<String>>,
    /// How many requests were sent.
    sent: AtomicUsize,
    stop: AtomicBool,
}

impl Writers {
    fn acknowledged(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a POST to one replica and then the other, with one idempotency key, until it is done.
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let key = unique("replicas");
        wait::until(&format!("POST {path} is done"), RETRY_MAX, async || {
            let turn = self.sent.fetch_add(1, Ordering::Relaxed);
            let answer = self.replicas[turn % 2].post_once(path, body, &key).await;
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            match answer.status {
                201 => Ok(()),
                status => Err(format!("{status} {}", answer.text)),
            }
        })
        .await
    }

    async fn write(&self, path: &str) -> anyhow::Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let name = unique("written");
            self.post(path, &json!({ "username": name })).await?;
            self.acknowledged().insert(name);
        }
        Ok(())
    }

    /// Waits until some more writes are acknowledged.
    async fn until_progress(&self, after: &str) -> anyhow::Result<()> {
        let before = self.acknowledged().len();
        wait::until(&format!("writes go on after {after}"), SOON, async || {
            let now = self.acknowledged().len();
            if now >= before + WRITES_BETWEEN_KILLS { Ok(()) } else { Err(format!("{before}, {now}")) }
        })
        .await
    }
}

/// All usernames that a replica lists, each as often as it does.
async fn usernames(api: &Api, path: &str) -> anyhow::Result<Vec<String>> {
    let (mut names, mut next) = (Vec::new(), Some(format!("{path}?size=1000")));
    while let Some(page) = next {
        let page = api.get(&page).await?.expect(200)?;
        for consumer in page["data"].as_array().context("a list")? {
            names.push(text(consumer, "username")?.to_owned());
        }
        next = page["offset"].as_str().map(|offset| format!("{path}?size=1000&offset={offset}"));
    }
    Ok(names)
}

#[test]
fn no_acknowledged_write_is_lost_when_replicas_of_config_are_killed() {
    run_replicas(async |region| {
        let second = region.replica().context("a second process of config")?;
        let api = |base: String| Api::new(region.http().clone(), base, Some(&region.owner().token));
        let [first_api, second_api] = [region.api_url(ServiceName::Config), second.api_url()].map(api);
        let on = ControlPlane::create(region, "replicas").await?;
        on.apply(&plain_file(region)).await?;
        let gateway = Gateway::enrol(region, &on.id, &unique("replicas")).await?;
        gateway.until_ready().await?;
        check_plain_file(&gateway).await?;

        let writers = Writers {
            replicas: [first_api, second_api.clone()],
            acknowledged: Mutex::default(),
            sent: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        };
        let path = on.entity("consumers");
        let kill = async {
            writers.until_progress("the start").await?;
            for round in 0..KILLS {
                region.process(ServiceName::Config).kill().await?;
                writers.until_progress(&format!("kill {round} of the first")).await?;
                region.start_again(ServiceName::Config).await?;
                second.process().kill().await?;
                writers.until_progress(&format!("kill {round} of the second")).await?;
                second.start_again().await?;
            }
            Ok(())
        };
        let killed = async {
            let killed: anyhow::Result<()> = kill.await;
            writers.stop.store(true, Ordering::Relaxed);
            killed
        };
        let writing = join_all((0..WRITERS).map(|_| writers.write(&path)));
        let (killed, wrote) = tokio::join!(killed, writing);
        killed?;
        wrote.into_iter().collect::<anyhow::Result<()>>()?;

        let mut expected: Vec<String> = writers.acknowledged().iter().cloned().collect();
        println!("{} acknowledged writes, {} requests", expected.len(), writers.sent.load(Ordering::Relaxed));
        expected.push("alice".to_owned());
        expected.sort();
        for api in &writers.replicas {
            let mut listed = usernames(api, &path).await?;
            listed.sort();
            ensure!(listed == expected, "{} listed, {} acknowledged", listed.len(), expected.len());
        }
        // A write through the replica that the node is not connected to reaches it too.
        let put = second_api.put(&on.entity("consumers/last"), &json!({ "username": "last" })).await?;
        put.expect(200)?;
        on.until_in_sync(&node_of(&gateway).await?, on.version().await?).await?;
        Ok(())
    });
}
