//! Announces to every other region how far each log is applied here, and hears how far it is there: every 250 ms, and at once when
//! somebody asks. It does not depend on NATS, and a round costs the same whatever it finds.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use ids::Region;
use pace::ticks;
use proto::replication::v1::OrganizationDigest;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    known::{HEARD_RECENTLY, Told},
    links::Link,
    metrics,
    shared::{GENERATION, Shared},
};

/// A region is asked this often.
const EVERY: Duration = Duration::from_millis(250);
/// A region is not asked more often than this, however many wait for its answer.
const PAUSE_MIN: Duration = Duration::from_millis(25);

/// Keeps in touch with every region until `drain`.
pub async fn run(shared: Arc<Shared>, drain: CancellationToken) -> anyhow::Result<()> {
    drain.run_until_cancelled(remember_who_signs(&shared)).await;
    let regions = join_all(shared.links.iter().map(|(region, link)| keep_in_touch(&shared, region, link)));
    drain.run_until_cancelled(async { tokio::join!(regions, watch_self(&shared)) }).await;
    Ok(())
}

/// Before anything is heard: which regions were heard to sign before.
async fn remember_who_signs(shared: &Shared) {
    loop {
        match shared.log.signing_regions().await {
            Ok(signing) => return shared.trust.load(signing),
            Err(error) => tracing::warn!(%error, "which regions sign could not be read; trying again"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Remembers how far this region is, also where there is no other region.
async fn watch_self(shared: &Shared) {
    let mut ticks = ticks(EVERY);
    loop {
        ticks.tick().await;
        match shared.tell().await {
            Ok(told) => ::metrics::gauge!(metrics::FENCED).set(f64::from(u8::from(told.fenced))),
            Err(error) => tracing::debug!(%error, "what is held here could not be read"),
        }
        let now = Instant::now();
        let lag = shared.known.lag(shared.region(), now);
        for origin in shared.known.tips().iter().map(|(origin, _)| origin) {
            let behind = lag.iter().find(|lag| lag.origin == *origin).map_or(0, |lag| lag.entries);
            ::metrics::gauge!(metrics::BEHIND, "origin" => origin.to_string()).set(behind as f64);
        }
        for region in shared.peers.regions() {
            let heard = shared.known.of(region);
            let reachable = heard.is_some_and(|heard| now.duration_since(heard.at) <= HEARD_RECENTLY);
            let gauge = ::metrics::gauge!(metrics::REACHABLE, "region" => region.to_string());
            gauge.set(f64::from(u8::from(reachable)));
        }
    }
}

async fn keep_in_touch(shared: &Shared, region: &Region, link: &Link) {
    let mut ticks = ticks(EVERY);
    let slices = shared.slice.subscribe();
    let mut told_slice = 0;
    let mut reachable = None;
    let mut fresh = true;
    loop {
        let began = Instant::now();
        let slice = slices.borrow().clone();
        // A region of another generation computes other digests of the same rows.
        let is_comparable = shared.known.of(region).is_some_and(|heard| heard.told.generation == GENERATION);
        let is_told = slice.round == told_slice || !is_comparable;
        let digests = if is_told { Vec::new() } else { slice.digests };
        let outcome = round(shared, region, digests, fresh, began).await;
        if outcome.is_ok() && is_comparable {
            told_slice = slice.round;
        }
        match &outcome {
            // Said elsewhere, and nothing about that region.
            Err(Failed::Database(_)) => {}
            Ok(_) if reachable != Some(true) => tracing::info!(%region, "that region is heard"),
            Err(error) if reachable != Some(false) => {
                tracing::warn!(%region, %error, "that region is not heard")
            }
            Ok(_) | Err(_) => {}
        }
        if !matches!(outcome, Err(Failed::Database(_))) {
            reachable = Some(outcome.is_ok());
        }
        // Only what was asked for as of now answers those who wait.
        if fresh {
            link.answered(began, outcome.ok());
        }
        sleep_until(began + PAUSE_MIN).await;
        fresh = tokio::select! {
            biased;
            () = link.wanted() => true,
            _ = ticks.tick() => false,
        };
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Database(#[from] postgres::Error),
    #[error(transparent)]
    Unreachable(#[from] crate::peers::Unreachable),
    #[error(transparent)]
    Unusable(#[from] crate::known::Unusable),
    #[error("`{0}` answers at its address")]
    Another(String),
}

async fn round(
    shared: &Shared,
    region: &Region,
    digests: Vec<OrganizationDigest>,
    fresh: bool,
    began: Instant,
) -> Result<Told, Failed> {
    let mut own = shared.told_lately().await?;
    // Whether it is fenced counts from the moment of asking.
    if fresh || own.fenced {
        own = shared.tell().await?;
    }
    let state = own.to_wire(shared.region(), digests);
    let answer = shared.peers.exchange(region, state, fresh).await?;
    if answer.region != region.as_str() {
        return Err(Failed::Another(answer.region));
    }
    let told = Told::from_wire(&answer, shared.own.service())?;
    let told = shared.believe(region, told).await?;
    if own.fenced && !told.not_believed.contains(&shared.own) {
        shared.known.answered_while_fenced(region, told.clone(), began, Instant::now());
    } else {
        shared.known.heard(region, told.clone(), Instant::now());
    }
    Ok(told)
}
