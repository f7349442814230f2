//! The thread that writes. LMDB binds a write transaction to its thread, and commits wait for the disk; neither belongs
//! on the runtime's threads.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use super::{Shared, StoreError};

/// Jobs that wait for the writer; whoever comes later waits for a place.
const QUEUE_JOBS: usize = 16;

type Job = Box<dyn FnOnce(&Shared) + Send>;

pub(super) struct Writer {
    /// Present until dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(shared: Arc<Shared>) -> Result<Writer, StoreError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_JOBS);
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&shared);
            }
        })?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job` on the writer thread, after all that were queued before. Once queued it runs to its end, also when
    /// the caller stops waiting.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |shared| {
            // Nobody waits for the outcome any more: the work is done all the same.
            let _ = answer.send(job(shared));
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::WriterStopped)?;
        jobs.send(job).await.map_err(|_| StoreError::WriterStopped)?;
        outcome.await.map_err(|_| StoreError::WriterStopped)?
    }
}

/// Waits for the jobs in the queue, so that the store is closed when its last handle is gone.
impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
