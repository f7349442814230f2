//! Sends the entries of identity's log of this region to the region's authz, in order, and knows how far authz has applied
//! them: a transactional outbox, whose table is the log itself.
//!
//! authz keeps the cursor, and an outbox that starts asks for it. Every replica sends; authz passes over entries that it has
//! applied. The authz of other regions hears of the same principals from this region's authz.

use std::{sync::Arc, time::Duration};

use access::Caller;
use anyhow::Context as _;
use oplog::Replica;
use pace::Rounds;
use proto::authz::v1::{ApplyPrincipalsRequest, Operation as ProtoOperation, authz_client::AuthzClient};
use replication::{Entry, Vector};
use telemetry::TracedChannel;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The log is looked at this often, and at once after a write here.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Entries in one call.
const BATCH_MAX: u32 = 500;
/// How long a write waits for authz to have applied it.
const APPLIED_TIMEOUT: Duration = Duration::from_secs(2);

/// How far authz has come.
#[derive(Clone, Default)]
struct Reached {
    /// The last entry of identity's log that authz has applied.
    seq: u64,
    /// Where the effects of those entries stand in authz's own log.
    logged: Vector,
}

/// authz has not applied a write in time. It will, once it can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authz has not applied the write in time")]
pub struct NotApplied;

/// Wakes the sender and waits for it. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    wake: Arc<Notify>,
    reached: watch::Receiver<Reached>,
}

/// The part of the outbox that runs.
pub struct Sender {
    log: Replica,
    authz: AuthzClient<TracedChannel>,
    wake: Arc<Notify>,
    reached: watch::Sender<Reached>,
}

/// The outbox of `log`, and the part that has to run.
pub fn start(log: Replica, authz: AuthzClient<TracedChannel>) -> (Outbox, Sender) {
    let wake = Arc::new(Notify::new());
    let (reached, receiver) = watch::channel(Reached::default());
    let outbox = Outbox { wake: wake.clone(), reached: receiver };
    (outbox, Sender { log, authz, wake, reached })
}

impl Outbox {
    /// Waits until authz has applied this region's log up to `seq`, at most two seconds. The consistency token in the answer to
    /// `caller` then covers the effects in authz's log.
    pub async fn wait_applied(&self, caller: &Caller, seq: u64) -> Result<(), NotApplied> {
        caller.wrote(&self.applied(seq).await?);
        Ok(())
    }

    /// The same for a request of somebody without a token; answers where the effects stand in authz's log.
    pub async fn applied(&self, seq: u64) -> Result<Vector, NotApplied> {
        self.wake.notify_one();
        let mut reached = self.reached.clone();
        match timeout(APPLIED_TIMEOUT, reached.wait_for(|reached| reached.seq >= seq)).await {
            Ok(Ok(reached)) => Ok(reached.logged.clone()),
            _ => Err(NotApplied),
        }
    }
}

impl Sender {
    /// Sends until `drain`. What cannot be sent is tried again, a quarter of a second later.
    pub async fn run(mut self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut rounds = Rounds::new(POLL_INTERVAL, drain);
        let mut known = None;
        while rounds.next_or(self.wake.notified()).await {
            if let Err(error) = self.send(&mut known).await {
                tracing::warn!(error = format!("{error:#}"), "the log was not sent to authz; trying again");
                known = None;
            }
        }
        Ok(())
    }

    /// Sends what authz does not have. `known` is authz's cursor; `None` until authz has been asked for it.
    async fn send(&mut self, known: &mut Option<u64>) -> anyhow::Result<()> {
        loop {
            let entries = match *known {
                Some(after) => self.log.entries(self.log.origin(), after, BATCH_MAX).await?,
                None => Vec::new(),
            };
            if known.is_some() && entries.is_empty() {
                return Ok(());
            }
            let sent_any = !entries.is_empty();
            let request = ApplyPrincipalsRequest {
                origin: self.log.origin().to_string(),
                operations: entries.into_iter().map(to_wire).collect(),
            };
            let answer = self.authz.apply_principals(request).await?.into_inner();
            let logged = Vector::from_wire(&answer.logged).context("authz's answer")?;
            anyhow::ensure!(
                !sent_any || *known != Some(answer.applied),
                "authz has applied nothing of what it was sent"
            );
            // It may also be less than before, if authz's database was restored: the outbox goes on from there.
            *known = Some(answer.applied);
            self.reached.send_modify(|reached| {
                reached.seq = answer.applied;
                reached.logged.merge(&logged);
            });
        }
    }
}

fn to_wire(from: Entry) -> ProtoOperation {
    ProtoOperation {
        seq: from.position.seq,
        organization_id: from.organization.to_string(),
        kind: from.kind,
        body: from.body.into_bytes().into(),
        traceparent: from.traceparent,
    }
}
