//! The thread that writes. LMDB ties a write transaction to its thread, and a commit waits for the disk. The threads of the
//! async runtime must do neither.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use super::{Shared, StoreError};

/// Jobs in the queue at most; further callers wait for room.
const QUEUE_JOBS: usize = 16;

type Job = Box<dyn FnOnce(&Shared) + Send>;

pub(super) struct Writer {
    /// `None` once the writer is being dropped: the thread then ends.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the one thread that writes to the store. Fails if no thread can be started.
    pub fn start(shared: Arc<Shared>) -> Result<Writer, StoreError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_JOBS);
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&shared);
            }
        })?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job` on the writer thread, after the jobs that were queued before it. Once queued, a job runs to its end, also
    /// when the caller stops waiting. The caller's span is the job's too.
    ///
    /// [`StoreError::WriterStopped`] if this job, or an earlier one, panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let span = tracing::Span::current();
        let job: Job = Box::new(move |shared| {
            // Fails when the caller has stopped waiting; the job is done all the same.
            let _ = answer.send(span.in_scope(|| job(shared)));
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::WriterStopped)?;
        jobs.send(job).await.map_err(|_| StoreError::WriterStopped)?;
        outcome.await.map_err(|_| StoreError::WriterStopped)?
    }
}

/// Waits until the queue is empty, so that the store is closed when its last handle is dropped.
impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
