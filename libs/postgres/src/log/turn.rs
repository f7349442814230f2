//! A writer's turn in the group commit: its checks, its operations, its answer.

use std::sync::Arc;

use access::{Caller, Session};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use ids::{OrganizationId, PrincipalId, TokenId};
use replication::{Operation, Origin, Position};
use serde::Serialize;
use sqlx::{PgConnection, Postgres, Transaction, types::Uuid};
use time::OffsetDateTime;
use web::{Answer, Problem};

use super::{Apply, ApplyError, head::Head, head::Mark};
use crate::{Error, SqlId, idempotency::Idempotency};

/// Who writes.
#[derive(Clone)]
pub struct Actor {
    organization: OrganizationId,
    /// Principal and session.
    who: Option<(PrincipalId, TokenId)>,
    /// What allows it, as far as that can be revoked.
    authority: Vec<Uuid>,
    /// Told where the write stands.
    caller: Option<Caller>,
}

impl Actor {
    pub fn of(caller: &Caller) -> Self {
        Self { caller: Some(caller.clone()), ..Self::in_session(&caller.session, caller.authority()) }
    }

    /// Somebody for whom another service asks, with what allows it.
    pub fn in_session(session: &Session, authority: Vec<Uuid>) -> Self {
        let who = Some((session.principal, session.id));
        Self { organization: session.organization, who, authority, caller: None }
    }

    /// The operator or another service, in `organization`.
    pub fn operator(organization: OrganizationId) -> Self {
        Self { organization, who: None, authority: Vec::new(), caller: None }
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    fn principal(&self) -> Option<PrincipalId> {
        self.who.map(|(principal, _)| principal)
    }

    fn session(&self) -> Option<TokenId> {
        self.who.map(|(_, session)| session)
    }
}

/// One writer's part of the transaction that the committer runs. What it wrote is kept only if its work succeeds.
pub struct Turn {
    pub(super) transaction: Transaction<'static, Postgres>,
    pub(super) head: Head,
    apply: Arc<dyn Apply>,
    origin: Origin,
    at: OffsetDateTime,
    writer: Writer,
    /// Where this origin's log ended before the writer's turn.
    began_after: u64,
    audit: Vec<AuditEntry>,
}

/// Whose turn it is.
pub(super) struct Writer {
    pub actor: Actor,
    /// As in `team.create`, for the audit log.
    pub action: &'static str,
    pub idempotency: Idempotency,
}

struct AuditEntry {
    organization: OrganizationId,
    actor: Option<PrincipalId>,
    session: Option<TokenId>,
    action: &'static str,
    target: String,
}

impl Turn {
    pub(super) fn new(
        transaction: Transaction<'static, Postgres>,
        head: Head,
        apply: Arc<dyn Apply>,
        origin: Origin,
        at: OffsetDateTime,
    ) -> Self {
        let nobody = OrganizationId::from_uuid(Uuid::nil());
        let writer =
            Writer { actor: Actor::operator(nobody), action: "", idempotency: Idempotency::default() };
        Self { transaction, head, apply, origin, at, writer, began_after: 0, audit: Vec::new() }
    }

    /// Begins another writer's turn; answers what [`Turn::undo`] needs.
    pub(super) fn begin(&mut self, writer: Writer) -> (Mark, usize) {
        self.writer = writer;
        self.began_after = self.head.tip(&self.origin).position.seq;
        (self.head.mark(), self.audit.len())
    }

    /// Forgets what the writer did. The caller takes the transaction back as well.
    pub(super) fn undo(&mut self, (mark, audited): (Mark, usize)) {
        self.head.return_to(mark);
        self.audit.truncate(audited);
    }

    /// Takes the writer's idempotency key: 409 if another holds it or has just used it.
    pub(super) async fn claim(&mut self) -> Answer<()> {
        let idempotency = self.writer.idempotency.clone();
        idempotency.claim(&mut self.transaction).await
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// When this write happens: what its rows say.
    pub fn at(&self) -> OffsetDateTime {
        self.at
    }

    pub fn organization(&self) -> OrganizationId {
        self.writer.actor.organization
    }

    /// The place that the next operation will have in this origin's log.
    pub fn next_position(&self) -> Position {
        let tip = self.head.tip(&self.origin).position;
        Position { epoch: self.head.epoch, seq: tip.seq.saturating_add(1) }
    }

    /// Applies an operation of the writer's organization and appends it to the log.
    pub async fn append(&mut self, kind: &str, body: &impl Serialize) -> Result<Position, ApplyError> {
        self.append_in(self.organization(), kind, body).await
    }

    /// As [`Turn::append`], for an enum of operations that serialises as `{"kind": …, "body": …}`.
    pub async fn append_tagged(&mut self, operation: &impl Serialize) -> Result<Position, ApplyError> {
        self.append_tagged_in(self.organization(), operation).await
    }

    /// As [`Turn::append_tagged`], in an organization that may be another than the writer's.
    pub async fn append_tagged_in(
        &mut self,
        organization: OrganizationId,
        operation: &impl Serialize,
    ) -> Result<Position, ApplyError> {
        let tagged = serde_json::to_value(operation).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let kind = tagged["kind"].as_str().unwrap_or_default().to_owned();
        self.append_in(organization, &kind, &tagged["body"]).await
    }

    async fn append_in(
        &mut self,
        organization: OrganizationId,
        kind: &str,
        body: &impl Serialize,
    ) -> Result<Position, ApplyError> {
        let body = serde_json::to_string(body).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let position = self.next_position();
        let operation = Operation {
            id: Uuid::now_v7(),
            origin: self.origin.clone(),
            position,
            prev_hash: self.head.tip(&self.origin).hash,
            deps: self.head.vector_without(&self.origin),
            organization,
            actor: self.writer.actor.principal(),
            authority: self.writer.actor.authority.clone(),
            kind: kind.to_owned(),
            body,
            at: super::microseconds(self.at),
            traceparent: telemetry::traceparent(),
        };
        let effects = self.apply.apply(&mut self.transaction, &operation).await?;
        self.head.take(operation, effects);
        Ok(position)
    }

    /// The answer, kept for a request that comes again with the same idempotency key; audited as being about `target`.
    pub async fn answer<T: Serialize>(
        &mut self,
        target: &str,
        status: StatusCode,
        body: &T,
    ) -> Answer<Response> {
        let body = serde_json::to_string(body).map_err(Problem::internal)?;
        let idempotency = self.writer.idempotency.clone();
        let last = self.head.tip(&self.origin).position;
        let written = (last.seq > self.began_after).then(|| (self.origin.clone(), last));
        let written = written.into_iter().collect();
        idempotency.keep(&mut self.transaction, status, None, &body, written).await?;
        self.audit(target);
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Ok((status, json, body).into_response())
    }

    /// Notes for the audit log what the write was about.
    pub fn audit(&mut self, target: &str) {
        let Writer { actor, action, .. } = &self.writer;
        self.audit.push(AuditEntry {
            organization: actor.organization,
            actor: actor.principal(),
            session: actor.session(),
            action,
            target: target.to_owned(),
        });
    }

    /// Writes the log and the audit entries, and commits; answers the vector after it.
    pub(super) async fn commit(mut self) -> Result<replication::Vector, Error> {
        if !self.audit.is_empty() {
            store_audit(&mut self.transaction, &self.audit).await?;
        }
        let vector = self.head.store(&mut self.transaction).await?;
        self.transaction.commit().await?;
        Ok(vector)
    }
}

async fn store_audit(connection: &mut PgConnection, entries: &[AuditEntry]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO audit (organization_id, actor_id, session_id, action, target)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])",
    )
    .bind(entries.iter().map(|entry| SqlId(entry.organization)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.actor.map(SqlId)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.session.map(SqlId)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.action).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.target.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
