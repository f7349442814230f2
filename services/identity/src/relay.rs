//! Sends this service's log to authz, in order, and knows how far authz has applied it.
//!
//! authz keeps the cursor; a relay that starts asks for it. Every replica relays: what authz has, it passes over.

use std::time::Duration;

use proto::authz::v1::{ApplyPrincipalsRequest, Operation as ProtoOperation, authz_client::AuthzClient};
use sqlx::PgPool;
use telemetry::TracedChannel;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The log is looked at this often, and at once after a write here.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Operations in one call.
const BATCH_MAX: u32 = 500;
/// How long a write waits for authz to have applied it.
const APPLIED_TIMEOUT: Duration = Duration::from_secs(2);

/// Wakes the relay and waits for it. Cheap to clone.
#[derive(Clone)]
pub struct Relay {
    wake: std::sync::Arc<Notify>,
    applied: watch::Receiver<u64>,
}

/// The running part.
pub struct Relaying {
    db: PgPool,
    origin: String,
    authz: AuthzClient<TracedChannel>,
    wake: std::sync::Arc<Notify>,
    applied: watch::Sender<u64>,
}

pub fn start(db: PgPool, origin: String, authz: AuthzClient<TracedChannel>) -> (Relay, Relaying) {
    let wake = std::sync::Arc::new(Notify::new());
    let (sender, receiver) = watch::channel(0);
    let relay = Relay { wake: wake.clone(), applied: receiver };
    (relay, Relaying { db, origin, authz, wake, applied: sender })
}

impl Relay {
    /// Waits until authz has applied the log up to `seq`; `false` if it has not in time.
    pub async fn applied(&self, seq: u64) -> bool {
        self.wake.notify_one();
        let mut applied = self.applied.clone();
        matches!(timeout(APPLIED_TIMEOUT, applied.wait_for(|applied| *applied >= seq)).await, Ok(Ok(_)))
    }
}

impl Relaying {
    pub async fn run(mut self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.wake.notified() => {}
                () = drain.cancelled() => return Ok(()),
            }
            if let Err(error) = self.send(&mut known).await {
                tracing::warn!(error = format!("{error:#}"), "the log was not relayed; trying again");
                known = None;
            }
        }
    }

    /// Sends what authz does not have. `known` is its cursor, where that has been learned.
    async fn send(&mut self, known: &mut Option<u64>) -> anyhow::Result<()> {
        loop {
            let operations = match *known {
                Some(after) => postgres::operations_after(&self.db, after, BATCH_MAX).await?,
                None => Vec::new(),
            };
            if known.is_some() && operations.is_empty() {
                return Ok(());
            }
            let operations = operations.into_iter().map(|operation| ProtoOperation {
                seq: operation.seq.cast_unsigned(),
                organization_id: operation.organization_id.to_string(),
                kind: operation.kind,
                body: operation.body.into_bytes().into(),
                traceparent: operation.traceparent,
            });
            let request =
                ApplyPrincipalsRequest { origin: self.origin.clone(), operations: operations.collect() };
            let applied = self.authz.apply_principals(request).await?.into_inner().applied;
            *known = Some(applied);
            self.applied.send_replace(applied);
        }
    }
}
