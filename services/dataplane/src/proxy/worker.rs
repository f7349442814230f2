//! The threads that serve requests, one per core. Each has a runtime, listeners, connections to upstreams and counters of its own: a
//! request stays on the thread that its connection came to, and takes no lock.

use std::{io, pin::pin, rc::Rc, sync::Arc, thread, time::Duration};

use anyhow::Context as _;
use listener::{Bound, Listener};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::oneshot,
    task::{JoinSet, spawn_local},
    time::timeout,
};

use super::{
    accept,
    open::Phase,
    state::{Shared, Worker},
    telemetry::Recorder,
};

/// How often free connections to upstreams are looked through for those to be closed, and lines of the access log leave.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Starts a thread that serves what comes to `ports`, until the drain. Returns once it accepts connections; what is returned is dropped
/// when it has drained.
pub async fn start(
    number: usize,
    ports: Vec<Bound>,
    shared: Arc<Shared>,
    recorder: Recorder,
) -> anyhow::Result<oneshot::Receiver<()>> {
    let (accepts, accepting) = oneshot::channel();
    let (ended, ending) = oneshot::channel();
    let thread = thread::Builder::new().name(format!("proxy-{number}")).spawn(move || {
        let _ended: oneshot::Sender<()> = ended;
        let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => return drop(accepts.send(Err(error))),
        };
        runtime.block_on(async move {
            // In this runtime, to which their sockets belong from then on.
            let listeners: io::Result<Vec<Listener>> = ports.into_iter().map(Bound::listen).collect();
            match listeners {
                Ok(listeners) => {
                    // Nobody waits for it only if the start was given up.
                    let _ = accepts.send(Ok(()));
                    serve(Rc::new(Worker::new(shared, recorder)), listeners).await;
                }
                Err(error) => drop(accepts.send(Err(error))),
            }
        });
    });
    thread.context("cannot start a thread of the proxy")?;
    accepting.await.context("a thread of the proxy ended early")?.context("cannot listen")?;
    Ok(ending)
}

async fn serve(worker: Rc<Worker>, listeners: Vec<Listener>) {
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn_local(accept::accept(listener, worker.clone()));
    }
    let swept = worker.clone();
    let sweeping = spawn_local(async move {
        let mut ticks = pace::ticks(SWEEP_INTERVAL);
        loop {
            ticks.tick().await;
            swept.pool.sweep();
            swept.recorder.flush();
        }
    });
    worker.shared.drain.cancelled().await;
    drain(&worker, async { while accepting.join_next().await.is_some() {} }).await;
    sweeping.abort();
}

/// Ends the connections, phase by phase, those that are still accepted included.
async fn drain(worker: &Worker, accepting: impl Future<Output = ()>) {
    let (open, shared) = (&worker.open, &worker.shared);
    let mut ended = pin!(async {
        accepting.await;
        open.empty().await;
    });
    open.set(Phase::LastRequests);
    let in_order = async {
        if timeout(shared.limits.last_request_timeout, ended.as_mut()).await.is_err() {
            open.set(Phase::Finishing);
            ended.as_mut().await;
        }
    };
    if shared.cut.run_until_cancelled(in_order).await.is_none() {
        tracing::warn!(
            connections = open.len(),
            "the time for draining is over: the remaining connections are closed"
        );
        open.set(Phase::Closing);
        ended.await;
    }
}
