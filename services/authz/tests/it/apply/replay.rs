//! Applies a history to a database in one order, and compares after every entry: the rows with the definition, the index
//! that follows the effects with the one that is read from the rows, and the digest with the rows.

use std::collections::BTreeMap;

use authz::{apply, index, operation::Operation};
use oplog::Apply as _;
use policy::{Change, Index};
use replication::{Entry, Vector};
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::{
    definition::{Definition, Rows},
    history::History,
};

/// A database in a transaction that is never committed, and an index that follows it.
pub struct Replay<'h> {
    history: &'h History,
    connection: sqlx::Transaction<'static, sqlx::Postgres>,
    index: Index,
    applied: Vec<usize>,
    vector: Vector,
    /// Whether the rows are ahead of the entries: a revocation was applied before its turn.
    ahead: bool,
    digests: BTreeMap<Rows, [u8; 32]>,
}

impl<'h> Replay<'h> {
    pub async fn new(history: &'h History, pool: &PgPool) -> Self {
        Self {
            history,
            connection: pool.begin().await.expect("begin"),
            index: Index::default(),
            applied: Vec::new(),
            vector: Vector::default(),
            ahead: false,
            digests: BTreeMap::new(),
        }
    }

    /// The entries that may be applied now.
    pub fn next(&self) -> Vec<usize> {
        let is_next = |place: &usize| self.history.is_next(*place, &self.vector);
        (0..self.history.made.len()).filter(is_next).collect()
    }

    /// The revocations whose turn is still to come.
    pub fn coming_revocations(&self) -> Vec<usize> {
        let is_coming = |place: &usize| {
            let dot = self.history.made[*place].entry.dot();
            self.history.is_revocation(*place) && !self.vector.contains(&dot)
        };
        (0..self.history.made.len()).filter(is_coming).collect()
    }

    /// Applies the entry at `place` in its turn.
    pub async fn apply(&mut self, place: usize) {
        assert!(self.history.is_next(place, &self.vector), "the order is not causal");
        let (entry, operation) = self.at(place);
        let effects = apply::Rows.apply(&mut self.connection, &entry, operation).await.expect("apply");
        self.follow(effects);
        self.vector.advance(&entry.origin, entry.position);
        self.applied.push(place);
        // What was taken early is known to be in the rows only when all of it has had its turn.
        self.ahead &= self.applied.len() < self.history.made.len();
        self.compare().await;
    }

    /// Applies an entry once more, as after a repeated delivery.
    pub async fn repeat(&mut self, place: usize) {
        let (entry, operation) = self.at(place);
        let effects = apply::Rows.apply(&mut self.connection, &entry, operation).await.expect("apply");
        self.follow(effects);
        self.compare().await;
    }

    /// Applies the revocation at `place` before its turn.
    pub async fn deny(&mut self, place: usize) {
        let (entry, operation) = self.at(place);
        let effects = apply::Rows.deny(&mut self.connection, &entry, operation).await.expect("deny");
        self.follow(effects);
        self.ahead = true;
        self.compare().await;
    }

    fn at(&self, place: usize) -> (Entry, Operation) {
        let made = &self.history.made[place];
        let read: Operation = oplog::read_operation(&made.entry).expect("a readable operation");
        assert_eq!(read, made.operation);
        (made.entry.clone(), read)
    }

    fn follow(&mut self, effects: Vec<Operation>) {
        let organization = self.history.organization;
        let change = |effect: Operation| (organization, effect.change(organization).expect("a change"));
        self.index = self.index.apply(effects.into_iter().map(change));
    }

    pub async fn rows(&mut self) -> Rows {
        rows(&mut self.connection).await
    }

    async fn compare(&mut self) {
        let read = index::read(&mut self.connection).await.expect("read the index");
        // An organization of which nothing is known is the same as none.
        let touch = [(self.history.organization, Change::Forgotten { id: Uuid::nil() })];
        let (followed, read) = (self.index.apply(touch.clone()), read.apply(touch));
        assert_eq!(followed, read, "the effects lead to another index than the rows");
        let rows = rows(&mut self.connection).await;
        if !self.ahead {
            let expected = Definition::of(self.history, self.applied.iter().copied()).rows();
            assert_eq!(rows, expected, "after {:?}", self.applied);
        }
        let organization = self.history.organization;
        let digest = apply::Rows.digest(&mut self.connection, organization).await.expect("digest");
        let digested: Rows = rows.into_iter().filter(|(table, _)| DIGESTED.contains(table)).collect();
        let other = self.digests.iter().find(|(known, of)| (*known == &digested) != (*of == &digest));
        assert_eq!(other, None, "equal rows have equal digests, and others have others: {digested:?}");
        self.digests.insert(digested, digest);
    }
}

const DIGESTED: [&str; 5] = ["organization", "principal", "team", "membership", "assignment"];

const ROWS: &str = "
    SELECT 'organization', concat_ws(' ', status, home_region) FROM replicated.organization
    UNION ALL SELECT 'principal', format('%s %s %s %s', id, kind, active::text, not_before)
    FROM replicated.principal
    UNION ALL SELECT 'team', concat_ws(' ', id, name,
        CASE WHEN described THEN description ELSE '(none)' END, predefined::text, labels::text,
        extract(epoch FROM created_at)::bigint, extract(epoch FROM updated_at)::bigint) FROM replicated.team
    UNION ALL SELECT 'revoked_session', concat_ws(' ', id, expires_at, region) FROM replicated.revoked_session
    UNION ALL SELECT 'membership', concat_ws(' ', id, team_id, principal_id) FROM replicated.membership
    UNION ALL SELECT 'assignment', concat_ws(' ', id,
        CASE WHEN team_id IS NULL THEN 'principal' ELSE 'team' END, team_id, principal_id,
        role_name, entity_type_name, entity_id, entity_region) FROM replicated.assignment
    UNION ALL SELECT 'removed', id::text FROM replicated.removed
    UNION ALL SELECT 'edge_grant', concat_ws(' ', edge_id, origin, epoch, seq, ended::text, void::text)
    FROM replicated.edge_grant
    UNION ALL SELECT 'revocation', concat_ws(' ', subject_id, origin, epoch, seq) FROM replicated.revocation";

/// All rows of the database.
pub async fn rows(connection: &mut PgConnection) -> Rows {
    let mut rows = Rows::new();
    for row in sqlx::query(ROWS).fetch_all(connection).await.expect("read rows") {
        let (table, text): (String, String) = (row.get(0), row.get(1));
        let table = TABLES.into_iter().find(|name| *name == table).expect("a known table");
        rows.entry(table).or_default().insert(text);
    }
    rows
}

const TABLES: [&str; 9] = [
    "organization",
    "principal",
    "team",
    "revoked_session",
    "membership",
    "assignment",
    "removed",
    "edge_grant",
    "revocation",
];
