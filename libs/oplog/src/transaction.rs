//! A writer's part of a group commit: its checks and its entries.

use std::sync::Arc;

use ids::{OrganizationId, PrincipalId};
use replication::{Entry, Origin, Position, Vector};
use sqlx::{PgConnection, Postgres, Transaction, types::Uuid};
use time::OffsetDateTime;

use crate::{
    Apply, ApplyError, Replica,
    locked::{LockedLog, Mark},
    stored,
};

/// Who makes entries, and what allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// `None` for the operator and for services.
    pub principal: Option<PrincipalId>,
    /// Ids of what allows the write and can be revoked: assignments, memberships, principals, sessions. A write whose authority
    /// is revoked concurrently is void in every region.
    pub authority: Vec<Uuid>,
}

impl Author {
    /// The operator or a service: nothing that could be revoked allows it.
    pub fn operator() -> Self {
        Self::default()
    }
}

/// The transaction that the committer runs, as one writer has it. What the writer did is kept only if it succeeds.
pub struct LogTx<A: Apply> {
    transaction: Transaction<'static, Postgres>,
    locked: LockedLog,
    apply: Arc<A>,
    replica: Replica,
    at: OffsetDateTime,
    author: Author,
    /// The end of this log before the writer.
    began_after: Position,
}

impl<A: Apply> LogTx<A> {
    pub(crate) fn new(
        transaction: Transaction<'static, Postgres>,
        locked: LockedLog,
        apply: Arc<A>,
        replica: Replica,
        at: OffsetDateTime,
    ) -> Self {
        let began_after = locked.tip(replica.origin()).position;
        Self { transaction, locked, apply, replica, at, author: Author::operator(), began_after }
    }

    /// Begins another writer's part; answers what [`LogTx::undo`] needs.
    pub(crate) fn begin(&mut self, author: Author) -> Mark {
        self.author = author;
        self.began_after = self.locked.tip(self.origin()).position;
        self.locked.mark()
    }

    /// Forgets the entries of the writer. The caller takes the transaction back as well.
    pub(crate) fn undo(&mut self, mark: Mark) {
        self.locked.return_to(mark);
    }

    /// Writes the log and commits; answers the vector after it.
    pub(crate) async fn commit(mut self) -> Result<Vector, postgres::Error> {
        let Replica { origin, signer, .. } = &self.replica;
        let vector = self.locked.store(&mut self.transaction, origin, signer).await?;
        self.transaction.commit().await?;
        Ok(vector)
    }

    /// The connection of the transaction, for the writer's own statements.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// When this write happens: the time that its entries and rows carry.
    pub fn at(&self) -> OffsetDateTime {
        self.at
    }

    /// Who writes this log.
    pub fn origin(&self) -> &Origin {
        self.replica.origin()
    }

    /// The position that the next entry will have.
    pub fn next_position(&self) -> Position {
        let tip = self.locked.tip(self.origin()).position;
        Position { epoch: self.locked.epoch, seq: tip.seq.saturating_add(1) }
    }

    /// The position of the last entry that this writer appended; `None` if it has appended none.
    pub fn written(&self) -> Option<Position> {
        let tip = self.locked.tip(self.origin()).position;
        (tip.seq > self.began_after.seq).then_some(tip)
    }

    /// Applies an operation in `organization` and appends it to the log; answers its position.
    pub async fn append(
        &mut self,
        organization: OrganizationId,
        operation: A::Operation,
    ) -> Result<Position, ApplyError> {
        let (kind, body) = stored::kind_and_body(&operation)?;
        let position = self.next_position();
        let entry = Entry {
            id: Uuid::now_v7(),
            origin: self.origin().clone(),
            position,
            prev_hash: self.locked.tip(self.origin()).hash,
            deps: self.locked.vector_without(self.origin()),
            organization,
            actor: self.author.principal,
            authority: self.author.authority.clone(),
            kind,
            body,
            at: clock::microseconds(self.at),
            traceparent: telemetry::traceparent(),
            // Once it is known that the writer succeeds: see `LockedLog::store`.
            signature: None,
        };
        let effects = self.apply.apply(&mut self.transaction, &entry, operation).await?;
        self.locked.take(entry, stored::effects(&effects)?);
        Ok(position)
    }
}
