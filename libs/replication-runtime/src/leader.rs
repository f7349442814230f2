//! Of the replicas of a service, one receives and publishes: the one that holds the database's lease. Should two believe so
//! for a moment, nothing breaks: the log takes every entry once and in order.

use std::{sync::Arc, time::Duration};

use oplog::Lease;
use proto::replication::v1::OrganizationDigest;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    branch, digests, fence, inbox, publisher, puller::Puller, shared::Shared, signatures, stream::OwnStream,
};

/// The lease is tried for, and looked after, this often.
const LEASE_INTERVAL: Duration = Duration::from_millis(500);
/// How long the parts may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What the replica that leads runs.
pub struct Leader {
    /// What all parts of replication in this process share.
    pub shared: Arc<Shared>,
    /// Where this region's entries are published.
    pub stream: OwnStream,
    /// One per other region.
    pub pullers: Vec<Arc<Puller>>,
    /// Digests that other regions sent, for comparison with this database.
    pub to_compare: mpsc::Receiver<Vec<OrganizationDigest>>,
}

impl Leader {
    /// Leads whenever the lease can be had, until `drain`.
    pub async fn run(mut self, drain: CancellationToken) -> anyhow::Result<()> {
        while !drain.is_cancelled() {
            match drain.run_until_cancelled(self.shared.log.try_lease()).await {
                Some(Ok(Some(lease))) => self.lead(lease, &drain).await,
                Some(Ok(None)) | None => {}
                Some(Err(error)) => tracing::debug!(%error, "the lease could not be asked for"),
            }
            drain.run_until_cancelled(sleep(LEASE_INTERVAL)).await;
        }
        Ok(())
    }

    /// Runs all parts while the lease lasts. One that ends by itself ends all: they are begun anew together.
    async fn lead(&mut self, mut lease: Lease, drain: &CancellationToken) {
        tracing::info!("this replica receives from other regions");
        let stop = drain.child_token();
        let mut parts = JoinSet::new();
        let (sender, receiver) = mpsc::channel(inbox::RECEIVED_MAX);
        for puller in &self.pullers {
            parts.spawn(puller.clone().run(self.shared.clone(), sender.clone(), stop.clone()));
        }
        parts.spawn(publisher::run(self.shared.clone(), self.stream.clone(), stop.clone()));
        parts.spawn(inbox::run(self.shared.clone(), receiver, stop.clone()));
        parts.spawn(fence::watch(self.shared.clone(), self.stream.clone(), sender, stop.clone()));
        parts.spawn(branch::run(self.shared.clone(), stop.clone()));
        parts.spawn(signatures::run(self.shared.clone(), stop.clone()));
        tokio::select! {
            () = digests::run(self.shared.clone(), &mut self.to_compare, stop.clone()) => {}
            () = lost(&mut lease) => tracing::warn!("the lease is lost; another replica may receive"),
            Some(ended) = parts.join_next() => match ended {
                Ok(()) if drain.is_cancelled() => {}
                Ok(()) => tracing::error!("a part of replication ended by itself; beginning anew"),
                Err(error) => tracing::error!(%error, "a part of replication panicked; beginning anew"),
            },
        }
        stop.cancel();
        let ended = timeout(STOP_TIMEOUT, async { while parts.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            parts.shutdown().await;
        }
        drop(lease);
    }
}

/// Ends when the lease no longer holds.
async fn lost(lease: &mut Lease) {
    while lease.is_held().await {
        sleep(LEASE_INTERVAL).await;
    }
}
