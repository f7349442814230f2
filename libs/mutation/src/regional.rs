//! A write of rows that stay in this region.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::{Error, Mutation, Written, audit, json_response};

/// The transaction of a write.
pub struct RegionalTx {
    transaction: Transaction<'static, Postgres>,
    mutation: Mutation,
}

impl RegionalTx {
    pub(crate) async fn begin(mutation: Mutation, db: &PgPool) -> Result<Self, Error> {
        let mut transaction = db.begin().await?;
        if let Some(key) = &mutation.key {
            key.claim(&mut transaction).await?;
        }
        Ok(Self { transaction, mutation })
    }

    /// The connection of the transaction, for the handler's statements.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Commits, with an audit entry about `target`, and answers `body` as JSON. The answer is kept for the write's key.
    pub async fn answer<T: Serialize>(
        mut self,
        target: &str,
        status: StatusCode,
        body: &T,
    ) -> Result<Response, Error> {
        let body = serde_json::to_string(body).map_err(|error| Error::Answer(error.to_string()))?;
        if let Some(key) = &self.mutation.key {
            key.keep(&mut self.transaction, status, &body, Written::default()).await?;
        }
        self.commit(target).await?;
        Ok(json_response(status, body))
    }

    /// Commits, with an audit entry about `target`.
    pub async fn commit(mut self, target: &str) -> Result<(), Error> {
        audit::insert(&mut self.transaction, &[self.mutation.audit_entry(target)]).await?;
        self.transaction.commit().await?;
        Ok(())
    }
}
