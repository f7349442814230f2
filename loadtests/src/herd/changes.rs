//! Changes of the control plane's entities: at a fixed rate while nodes come back, and many at once while they are away.

use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ids::ControlPlaneId;
use serde_json::json;
use sync::{Places, split};
use testbed::{Api, wait};
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};

use crate::documents::consumer_name;

/// Between two changes while nodes come back.
const EVERY: Duration = Duration::from_secs(1);
/// Longest time until the API answers.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Callers of many changes.
const CALLERS: usize = 16;

/// An acknowledged change.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Which version it made.
    pub version: u64,
    pub acknowledged: Instant,
}

/// Changes consumers.
#[derive(Clone, Debug)]
pub struct Changes {
    api: Api,
    control_plane: ControlPlaneId,
    /// How many there are to change.
    consumers: usize,
}

impl Changes {
    /// Of a control plane with so many consumers.
    pub fn new(api: Api, control_plane: ControlPlaneId, consumers: usize) -> Self {
        Self { api, control_plane, consumers }
    }

    /// Changes `count` entities, each once; answers the newest version.
    pub async fn many(&self, count: usize) -> anyhow::Result<u64> {
        let changes = stream::iter(0..count).map(|number| self.one(number)).buffer_unordered(CALLERS);
        let versions: Vec<Change> = changes.try_collect().await?;
        versions.iter().map(|change| change.version).max().context("nothing was changed")
    }

    /// Changes one entity after the other at fixed times, from when the API answers until `over`. Answers what `over` does, and the changes.
    pub async fn until<T>(
        &self,
        over: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, Vec<Change>)> {
        let (mut ticks, mut running, mut number) = (None, JoinSet::new(), 0);
        let ready = self.until_ready();
        tokio::pin!(over, ready);
        let outcome = loop {
            tokio::select! {
                outcome = &mut over => break outcome?,
                is_ready = &mut ready, if ticks.is_none() => {
                    is_ready?;
                    ticks = Some(interval(EVERY));
                }
                () = next(&mut ticks) => {
                    let changes = self.clone();
                    running.spawn(async move { changes.one(number).await });
                    number += 1;
                }
            }
        };
        let changes = running.join_all().await.into_iter().collect::<anyhow::Result<Vec<Change>>>()?;
        Ok((outcome, changes))
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let path = format!("/v2/control-planes/{}", self.control_plane);
        wait::until("the API answers", READY_DEADLINE, async || {
            let answer = self.api.get(&path).await.map_err(|error| format!("{error:#}"))?;
            answer.expect(200).map(drop).map_err(|error| format!("{error:#}"))
        })
        .await
    }

    async fn one(&self, number: usize) -> anyhow::Result<Change> {
        let name = consumer_name(number % self.consumers);
        let path = format!("/v2/control-planes/{}/core-entities/consumers/{name}", self.control_plane);
        let body = json!({ "username": name, "tags": [format!("change-{}", uuid::Uuid::new_v4().simple())] });
        let answer = self.api.put(&path, &body).await?;
        let acknowledged = Instant::now();
        answer.expect(200)?;
        let (_, places) = split(answer.consistency().context("a write without a token")?);
        let places = Places::read(places.context("a token without a place")?)?;
        let place = places.of(self.control_plane).context("a token of another control plane")?;
        Ok(Change { version: place.version, acknowledged })
    }
}

async fn next(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}
