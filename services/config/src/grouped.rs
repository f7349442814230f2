//! Writes that many tasks ask for at the same time, done together: what has come in while one statement ran is done by the next one. So the
//! number of statements per second is bounded by how long one takes, however many tasks there are; and a task that is alone does not wait.
//! (Reads by key are [`postgres::Lookups`].)
//!
//! Called when streams begin and when nodes report: ten thousand nodes may come back at once.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::rows::RowError;

/// Most requests of one statement.
const BATCH_MAX: usize = 1000;
/// Requests that wait; whoever has the next one waits until there is room.
const QUEUE_MAX: usize = 4000;

type Answered<A> = Result<A, Arc<RowError>>;

/// Takes requests, and answers each. Cheap to clone; the task behind it ends with the last clone.
pub struct Grouped<T, A>(mpsc::Sender<(T, oneshot::Sender<Answered<A>>)>);

impl<T: Send + 'static, A: Send + 'static> Grouped<T, A> {
    /// Starts the task. `run` answers several requests at once, in their order.
    pub fn start<F>(run: impl Fn(Vec<T>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Vec<A>, RowError>> + Send,
    {
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
                let (requests, asking): (Vec<T>, Vec<_>) = batch.drain(..).unzip();
                answer(asking, run(requests).await);
            }
        });
        Self(queue)
    }

    /// Waits until a statement that began after this call has done what `request` asks for. Its error is that of all that it was for.
    pub async fn ask(&self, request: T) -> Result<A, RowError> {
        let ended = || RowError::from(sqlx::Error::WorkerCrashed);
        let (answer, answered) = oneshot::channel();
        self.0.send((request, answer)).await.map_err(|_| ended())?;
        Ok(answered.await.map_err(|_| ended())??)
    }
}

/// Whoever has stopped waiting is told nothing.
fn answer<A>(asking: Vec<oneshot::Sender<Answered<A>>>, answers: Result<Vec<A>, RowError>) {
    match answers {
        Ok(answers) => {
            asking.into_iter().zip(answers).for_each(|(asking, answer)| drop(asking.send(Ok(answer))));
        }
        Err(error) => {
            let error = Arc::new(error);
            asking.into_iter().for_each(|asking| drop(asking.send(Err(error.clone()))));
        }
    }
}

impl<T, A> Clone for Grouped<T, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_comes_while_one_statement_runs_is_done_by_the_next() {
        let (turns, sizes) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
        let grouped = {
            let (turns, sizes) = (Arc::clone(&turns), Arc::clone(&sizes));
            Grouped::start(move |batch: Vec<u64>| {
                let (turns, sizes) = (Arc::clone(&turns), Arc::clone(&sizes));
                async move {
                    sizes.lock().expect("lock").push(batch.len());
                    turns.acquire().await.expect("open").forget();
                    if batch.contains(&13) {
                        return Err(RowError::unreadable("a table", "13"));
                    }
                    Ok(batch.into_iter().map(|number| number * 2).collect())
                }
            })
        };
        let first = tokio::spawn({
            let grouped = grouped.clone();
            async move { grouped.ask(1).await }
        });
        while sizes.lock().expect("lock").is_empty() {
            tokio::task::yield_now().await;
        }
        let others = join_all((2..102).map(|number| grouped.ask(number)));
        let others = async {
            turns.add_permits(2);
            others.await
        };
        let others = others.await;
        assert_eq!(first.await.expect("no panic").expect("done"), 2);
        assert!(others.iter().all(Result::is_err), "13 is among them: the statement failed for all");
        turns.add_permits(1);
        assert_eq!(grouped.ask(21).await.expect("the next is not concerned"), 42);
        let sizes = sizes.lock().expect("lock").clone();
        assert_eq!((sizes.first(), sizes.iter().sum::<usize>()), (Some(&1), 102), "{sizes:?}");
        assert!(sizes.len() <= 4, "{sizes:?}");
    }
}
