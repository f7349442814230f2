//! A write of what is replicated: the log's committer runs it in its turn.

use access::Vector;
use axum::{http::StatusCode, response::Response};
use futures::future::BoxFuture;
use ids::OrganizationId;
use oplog::{Apply, Log, LogTx, NotWritten};
use replication::Position;
use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{Error, Mutation, Written, audit, json_response};

/// The log's transaction, as the work of a [`Mutation`] has it.
pub struct LoggedTx<'t, A: Apply> {
    tx: &'t mut LogTx<A>,
    mutation: Mutation,
}

impl Mutation {
    /// Runs `work` in the next group commit of `log`; what it did is kept if it succeeds. The answer to the caller's request
    /// then names where the write stands.
    pub async fn write_log<A, T, E, W>(self, log: &Log<A>, work: W) -> Result<T, E>
    where
        A: Apply,
        T: Send + 'static,
        E: From<Error> + From<NotWritten> + Send + 'static,
        W: for<'w, 't> FnOnce(&'w mut LoggedTx<'t, A>) -> BoxFuture<'w, Result<T, E>> + Send + 'static,
    {
        let caller = self.caller.clone();
        let author = self.author.clone();
        let written = log.write(author, move |tx| {
            Box::pin(async move {
                if let Some(key) = &self.key {
                    key.claim(tx.connection()).await.map_err(E::from)?;
                }
                work(&mut LoggedTx { tx, mutation: self }).await
            })
        });
        let written = written.await?;
        if let (Some(caller), Some(position)) = (caller, written.position) {
            caller.wrote(&Vector::from_iter([(log.origin().clone(), position)]));
        }
        Ok(written.value)
    }
}

impl<A: Apply> LoggedTx<'_, A> {
    /// The connection of the transaction, for the handler's statements.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.tx.connection()
    }

    /// When this write happens: the time that its entries and rows carry.
    pub fn at(&self) -> OffsetDateTime {
        self.tx.at()
    }

    /// The organization that is written to.
    pub fn organization(&self) -> OrganizationId {
        self.mutation.organization
    }

    /// The position that the next entry will have.
    pub fn next_position(&self) -> Position {
        self.tx.next_position()
    }

    /// Applies an operation in the write's organization and appends it to the log; answers its position.
    pub async fn append(&mut self, operation: A::Operation) -> Result<Position, Error> {
        Ok(self.tx.append(self.mutation.organization, operation).await?)
    }

    /// Writes an audit entry about `target`.
    pub async fn audit(&mut self, target: &str) -> Result<(), Error> {
        let entry = self.mutation.audit_entry(target);
        Ok(audit::insert(self.tx.connection(), &[entry]).await?)
    }

    /// The answer `body`, as JSON, with an audit entry about `target`. It is kept for the write's key.
    pub async fn answer<T: Serialize>(
        &mut self,
        target: &str,
        status: StatusCode,
        body: &T,
    ) -> Result<Response, Error> {
        let body = serde_json::to_string(body).map_err(|error| Error::Answer(error.to_string()))?;
        let log = self.tx.written().map(|position| (self.tx.origin().clone(), position));
        let written = Written { log: log.into_iter().collect(), ..Written::default() };
        if let Some(key) = &self.mutation.key {
            key.keep(self.tx.connection(), status, &body, written).await?;
        }
        self.audit(target).await?;
        Ok(json_response(status, body))
    }
}
