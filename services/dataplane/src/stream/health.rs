//! Tells the control plane of the health of targets: all that is not well, after its welcome and when that has changed.

use std::{future::pending, time::Duration};

use proto::sync::v1::{Health, UnhealthyTarget, node_message::Message, unhealthy_target};
use sync::limits::{ADDRESSES_LISTED_MAX, TARGETS_LISTED_MAX};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::balancing::{Groups, ShownTarget, State};

/// The time between two reports, at least.
const PAUSE: Duration = Duration::from_secs(1);

/// The reports of one stream.
pub(super) struct Reports {
    groups: Groups,
    news: watch::Receiver<()>,
    /// The next one comes no earlier; `None`: there was no welcome yet.
    from: Option<Instant>,
    told: Option<Health>,
}

impl Reports {
    /// None before [`Reports::begin`].
    pub fn new(groups: &Groups) -> Self {
        Self { groups: groups.clone(), news: groups.news(), from: None, told: None }
    }

    /// Reports from now on.
    pub fn begin(&mut self) {
        self.from = Some(Instant::now());
        self.news.mark_changed();
    }

    /// Waits until something may have changed. Nothing is lost when the caller stops waiting.
    pub async fn due(&mut self) {
        let Some(from) = self.from else { return pending().await };
        sleep_until(from).await;
        // The groups are held as long as this is.
        let _ = self.news.changed().await;
    }

    /// The report, if it differs from the last one.
    pub fn next(&mut self) -> Option<Message> {
        self.from = Some(Instant::now() + PAUSE);
        let health = health(&self.groups);
        if self.told.as_ref() == Some(&health) {
            return None;
        }
        self.told = Some(health.clone());
        Some(Message::Health(health))
    }
}

fn health(groups: &Groups) -> Health {
    let shown = groups.shown().into_iter().flat_map(|upstream| upstream.targets);
    let mut targets: Vec<UnhealthyTarget> = shown.filter_map(|target| unhealthy(&target)).collect();
    let omitted = targets.len().saturating_sub(TARGETS_LISTED_MAX);
    targets.truncate(TARGETS_LISTED_MAX);
    Health { targets, omitted: u32::try_from(omitted).unwrap_or(u32::MAX) }
}

fn unhealthy(target: &ShownTarget) -> Option<UnhealthyTarget> {
    let down = || target.endpoints.iter().filter(|endpoint| endpoint.state == State::Down);
    let state = match (down().count(), target.endpoints.len()) {
        (_, 0) => unhealthy_target::State::DnsError,
        (0, _) => return None,
        (down, all) if down == all => unhealthy_target::State::Unhealthy,
        _ => unhealthy_target::State::Degraded,
    };
    let addresses = down().take(ADDRESSES_LISTED_MAX).map(|endpoint| endpoint.address.to_string());
    Some(UnhealthyTarget {
        id: target.id.as_bytes().to_vec().into(),
        state: state.into(),
        addresses: addresses.collect(),
    })
}
