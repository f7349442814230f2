//! A gateway from its first request to its last: it serves until a signal, until another process has taken its place, or until it can follow
//! its control plane no more. Then it drains.

use anyhow::Context as _;
use listener::OpenPort;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::{
    notify,
    take_over::{READY_TIMEOUT, Successor},
};

/// What tells the parts of a gateway to end.
#[derive(Default)]
pub(super) struct Ends {
    /// The proxy, which finishes the requests that are under way.
    pub proxy: CancellationToken,
    /// The admin port, where a drain can be watched.
    pub admin: CancellationToken,
}

/// Why a gateway ends.
enum End {
    /// It was told to.
    Signal,
    /// Another process accepts its connections from now on.
    TakenOver,
    /// It cannot follow its control plane.
    Failed(anyhow::Error),
}

impl Gateway {
    /// Runs to the end of the drain. An error if enrolment fails for good.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let end = self.serve().await;
        self.door.close();
        // Not ready from now on: load balancers send new connections elsewhere. Until they do, those are served.
        self.status.send_modify(|status| status.draining = true);
        let Self { proxy, admin_port, mut following, deliveries, drain, settings, ends, .. } = self;
        let times = settings.drain;
        if matches!(end, End::TakenOver) {
            tracing::info!("another process serves in this one's place; draining");
            ends.admin.cancel();
        } else {
            tracing::info!("draining");
            notify::stopping();
        }
        if matches!(end, End::Signal) {
            sleep(times.delay()).await;
        }
        ends.proxy.cancel();
        proxy
            .ended(async {
                if matches!(end, End::TakenOver) {
                    // Nobody waits for this process, unless the other one is to end too.
                    let _ = timeout(times.after_take_over(), drain.cancelled()).await;
                }
                sleep(times.timeout()).await;
            })
            .await;
        // The last requests have ended, and with them the last entries came.
        deliveries.ended().await;
        let left = following.pause().await;
        ends.admin.cancel();
        admin_port.ended().await;
        match end {
            End::Failed(error) => Err(error),
            End::Signal | End::TakenOver => left,
        }
    }

    /// Serves until it has to end.
    async fn serve(&mut self) -> End {
        loop {
            let successor = tokio::select! {
                () = self.drain.cancelled() => return End::Signal,
                error = self.following.failed() => return End::Failed(error),
                successor = self.door.successor() => successor,
            };
            let (pid, release) = (successor.pid, successor.release.clone());
            tracing::info!(pid, release, "another process asks to take over");
            match self.hand_over(successor).await {
                Ok(()) => return End::TakenOver,
                Err(error) => {
                    tracing::warn!(pid, "the other process did not take over, this one goes on: {error:#}")
                }
            }
        }
    }

    /// Gives the other process the ports and the store. On an error everything is as before.
    async fn hand_over(&mut self, mut successor: Successor) -> anyhow::Result<()> {
        successor.offer(&self.ports).await.context("passing the ports on")?;
        if let Err(error) = self.following.pause().await {
            // It fails again, and this time it ends the gateway.
            self.following.resume();
            return Err(error);
        }
        let paused = self.applier.pause().await;
        let serves = successor.serves(&self.settings.data_dir, self.applier.store());
        let serves = timeout(READY_TIMEOUT, serves).await.context("it took too long").flatten();
        let addresses = match serves {
            Ok(addresses) => addresses,
            Err(error) => {
                drop(paused);
                self.following.resume();
                return Err(error);
            }
        };
        paused.for_good();
        // Whoever asks from now on asks the other process.
        self.door.close();
        self.ports.iter().filter(|port| port.is_at(&addresses)).for_each(OpenPort::leave_open);
        successor.leave().await;
        Ok(())
    }
}
