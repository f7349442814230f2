//! What hyper spawns runs on the thread of its connection.

use hyper::rt::Executor;

/// Spawns on the present thread, which must be one of the proxy's.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
