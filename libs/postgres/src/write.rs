//! The write transaction of an API request that changes regional rows only. Dropped without an answer, it leaves nothing
//! behind. What is replicated is written through the log ([`crate::Log`]).

use access::{Session, Vector};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use ids::OrganizationId;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use web::{Answer, Problem};

use crate::{Error, SqlId, idempotency::Idempotency};

pub struct Write {
    transaction: Transaction<'static, Postgres>,
    idempotency: Idempotency,
    audit: Audit,
}

/// Who does what, for the audit log.
struct Audit {
    organization: OrganizationId,
    actor: Option<Session>,
    /// As in `team.create`.
    action: &'static str,
}

impl Write {
    /// Opens a transaction for `action` by `actor`, and claims its idempotency key.
    pub async fn begin(
        pool: &PgPool,
        actor: &Session,
        action: &'static str,
        idempotency: Idempotency,
    ) -> Answer<Self> {
        let audit = Audit { organization: actor.organization, actor: Some(actor.clone()), action };
        Self::open(pool, audit, idempotency).await
    }

    /// Opens a transaction for `action` by the operator or by another service, in `organization`.
    pub async fn begin_internal(
        pool: &PgPool,
        organization: OrganizationId,
        action: &'static str,
    ) -> Answer<Self> {
        Self::open(pool, Audit { organization, actor: None, action }, Idempotency::default()).await
    }

    async fn open(pool: &PgPool, audit: Audit, idempotency: Idempotency) -> Answer<Self> {
        let mut transaction = pool.begin().await.map_err(Error::from)?;
        idempotency.claim(&mut transaction).await?;
        Ok(Self { transaction, idempotency, audit })
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Commits, with an audit entry about `target`, and answers `body`.
    pub async fn answer<T: Serialize>(
        mut self,
        target: &str,
        status: StatusCode,
        body: &T,
    ) -> Answer<Response> {
        let body = serde_json::to_string(body).map_err(Problem::internal)?;
        self.idempotency.keep(&mut self.transaction, status, None, &body, Vector::default()).await?;
        self.commit(target).await?;
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Ok((status, json, body).into_response())
    }

    /// Commits, with an audit entry about `target`.
    pub async fn commit(mut self, target: &str) -> Answer<()> {
        let actor = self.audit.actor.as_ref();
        sqlx::query("INSERT INTO audit (organization_id, actor_id, session_id, action, target) VALUES ($1, $2, $3, $4, $5)")
            .bind(SqlId(self.audit.organization))
            .bind(actor.map(|session| SqlId(session.principal)))
            .bind(actor.map(|session| SqlId(session.id)))
            .bind(self.audit.action)
            .bind(target)
            .execute(&mut *self.transaction)
            .await
            .map_err(Error::from)?;
        self.transaction.commit().await.map_err(Error::from)?;
        Ok(())
    }
}
