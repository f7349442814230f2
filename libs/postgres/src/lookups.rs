//! Rows that requests look up by key: lookups that come together are one statement.
//!
//! Most of what it costs to read a row is the way to the database and back, which the pool takes twice: it asks a connection that is given
//! back whether it is whole. Here one connection is kept as long as lookups come. While a statement is under way the next lookups wait, and
//! are the next statement. So whoever asks is answered by rows as they were after it asked; nothing is remembered.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt as _;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::Error;

/// Lookups in one statement.
const TOGETHER_MAX: usize = 256;
/// Lookups that wait for their statement. Whoever comes then waits for room.
const WAITING_MAX: usize = 1024;
/// How long a connection is kept without a lookup.
const KEPT_FOR: Duration = Duration::from_millis(100);
/// Longest time that a statement may take: it looks at a few pages.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

/// Rows that are found by a key.
pub trait Row: Clone + Send + Sync + 'static {
    /// What one is found by.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// Why rows cannot be read.
    type Error: From<Error> + Send + Sync + 'static;

    /// Those of the rows `keys` that there are.
    fn read(
        connection: &mut PgConnection,
        keys: Vec<Self::Key>,
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self>, Self::Error>> + Send;
}

type Found<R> = Result<Option<R>, Arc<<R as Row>::Error>>;

struct Lookup<R: Row> {
    key: R::Key,
    found: oneshot::Sender<Found<R>>,
}

/// Looks up rows of one sort. Cheap to clone; clones share statements.
pub struct Lookups<R: Row>(mpsc::Sender<Lookup<R>>);

impl<R: Row> Clone for Lookups<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Row> Lookups<R> {
    /// Lookups in `db`. Called in a runtime; whatever reads ends with the last clone.
    pub fn new(db: PgPool) -> Self {
        let (sender, wanted) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Reader { db, wanted, connection: None }.run());
        Self(sender)
    }

    /// The row of `key` as it is now, if there is one. Those whose lookups were one statement share its error.
    pub async fn find(&self, key: R::Key) -> Found<R> {
        let (found, answer) = oneshot::channel();
        let lost = || Arc::new(R::Error::from(Error::from(sqlx::Error::WorkerCrashed)));
        self.0.send(Lookup { key, found }).await.map_err(|_| lost())?;
        answer.await.map_err(|_| lost())?
    }
}

struct Reader<R: Row> {
    db: PgPool,
    wanted: mpsc::Receiver<Lookup<R>>,
    connection: Option<PoolConnection<Postgres>>,
}

impl<R: Row> Reader<R> {
    async fn run(mut self) {
        let mut lookups = Vec::with_capacity(TOGETHER_MAX);
        loop {
            let next = self.wanted.recv_many(&mut lookups, TOGETHER_MAX);
            let came = match self.connection.is_some() {
                true => timeout(KEPT_FOR, next).await,
                false => Ok(next.await),
            };
            match came {
                Ok(0) => return,
                Ok(_) => self.answer(&mut lookups).await,
                Err(_) => self.connection = None,
            }
        }
    }

    async fn answer(&mut self, lookups: &mut Vec<Lookup<R>>) {
        // Whoever has given up meanwhile is not asked about.
        lookups.retain(|lookup| !lookup.found.is_closed());
        let keys: HashSet<R::Key> = lookups.iter().map(|lookup| lookup.key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        let rows = self.read(keys.into_iter().collect()).await.map_err(Arc::new);
        for Lookup { key, found } in lookups.drain(..) {
            let row = rows.as_ref().map(|rows| rows.get(&key).cloned());
            // It may have given up just now.
            let _ = found.send(row.map_err(Clone::clone));
        }
    }

    /// Reads by the connection that was kept, and once more by another one if that is of no use any more.
    async fn read(&mut self, keys: Vec<R::Key>) -> Result<HashMap<R::Key, R>, R::Error> {
        if let Some(kept) = self.connection.take()
            && let Ok(rows) = self.read_by(kept, keys.clone()).await
        {
            return Ok(rows);
        }
        let connection = self.db.acquire().await.map_err(Error::from)?;
        self.read_by(connection, keys).await
    }

    async fn read_by(
        &mut self,
        mut connection: PoolConnection<Postgres>,
        keys: Vec<R::Key>,
    ) -> Result<HashMap<R::Key, R>, R::Error> {
        // A panic is the fault of one statement, and must not end all that come after it.
        let read = AssertUnwindSafe(R::read(&mut connection, keys)).catch_unwind();
        let lost = match timeout(STATEMENT_TIMEOUT, read).await {
            Ok(Ok(Ok(rows))) => {
                self.connection = Some(connection);
                return Ok(rows);
            }
            // The pool looks at what is given back, and closes it if it is broken.
            Ok(Ok(Err(error))) => return Err(error),
            Ok(Err(_panic)) => sqlx::Error::WorkerCrashed,
            Err(_late) => sqlx::Error::PoolTimedOut,
        };
        // Somewhere within a statement.
        connection.close_on_drop();
        Err(Error::from(lost).into())
    }
}

#[cfg(test)]
mod tests;
