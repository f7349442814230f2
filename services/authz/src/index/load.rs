//! The index from the rows: at the start, and after rows were made anew.

use ids::{OrganizationId, Region, kinds};
use imbl::OrdMap;
use oplog::{Cursor, columns};
use policy::{AssignedRole, Change, Index};
use postgres::{Error, SqlId};
use replication::Vector;
use sqlx::{FromRow, PgConnection, PgPool};

use super::Snapshot;
use crate::operation::{HolderId, Kind, Operation};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Database(#[from] Error),
    /// A decision made without this row could be wrong.
    #[error("a row cannot be read: {0}")]
    Row(Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlx::Error> for LoadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> LoadError {
    LoadError::Row(Box::new(error))
}

/// Everything as of one moment, and where that moment is in the local order.
pub async fn all(db: &PgPool) -> Result<(Snapshot, Cursor), LoadError> {
    let mut transaction = begin(db).await?;
    let cursor = Cursor::read(&mut transaction).await?;
    let index = read(&mut transaction).await?;
    let vector =
        columns::vector(fetch(&mut transaction, "SELECT origin, epoch, seq FROM log_origin").await?)?;
    let touched: Vec<(SqlId<kinds::Organization>, String, i64, i64)> =
        fetch(&mut transaction, "SELECT organization_id, origin, epoch, seq FROM log_organization").await?;
    let mut organizations = OrdMap::<OrganizationId, Vector>::new();
    for (organization, origin, epoch, seq) in touched {
        let (origin, position) = (columns::origin(&origin)?, columns::position(epoch, seq)?);
        organizations.entry(organization.into()).or_default().advance(&origin, position);
    }
    Ok((Snapshot { index, vector, organizations }, cursor))
}

/// The index of the rows as `connection` sees them.
pub async fn read(connection: &mut PgConnection) -> Result<Index, LoadError> {
    Ok(Index::default().apply(changes(connection).await?))
}

async fn begin(db: &PgPool) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Error> {
    let mut transaction = db.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

#[derive(FromRow)]
struct PrincipalRow {
    organization_id: SqlId<kinds::Organization>,
    id: SqlId<kinds::Principal>,
    kind: String,
    active: bool,
    not_before: Option<i64>,
}

#[derive(FromRow)]
struct TeamRow {
    organization_id: SqlId<kinds::Organization>,
    id: SqlId<kinds::Team>,
    name: String,
    description: String,
    predefined: bool,
}

#[derive(FromRow)]
struct AssignmentRow {
    organization_id: SqlId<kinds::Organization>,
    team_id: Option<SqlId<kinds::Team>>,
    principal_id: Option<SqlId<kinds::Principal>>,
    role_name: String,
    entity_type_name: String,
    entity_id: String,
    entity_region: String,
}

type Of<T> = (SqlId<kinds::Organization>, T);

/// Every row, as the effect that would have made it.
async fn changes(connection: &mut PgConnection) -> Result<Vec<(OrganizationId, Change)>, LoadError> {
    let mut changes: Vec<(OrganizationId, Change)> = Vec::new();
    let mut push = |organization: SqlId<kinds::Organization>, operation: Operation| {
        let organization = OrganizationId::from(organization);
        let change = operation.change(organization).map_err(unreadable);
        change.map(|change| changes.push((organization, change)))
    };

    const ORGANIZATIONS: &str = "SELECT id, status = 'suspended', home_region FROM replicated.organization";
    let organizations: Vec<(SqlId<kinds::Organization>, bool, String)> =
        fetch(connection, ORGANIZATIONS).await?;
    for (id, suspended, home_region) in organizations {
        let home_region: Region = home_region.parse().map_err(unreadable)?;
        push(id, Operation::OrganizationPut { suspended, home_region })?;
    }
    const PRINCIPALS: &str = "SELECT organization_id, id, kind, active, not_before FROM replicated.principal";
    for row in fetch::<PrincipalRow>(connection, PRINCIPALS).await? {
        let kind: Kind = row.kind.parse().map_err(unreadable)?;
        let (id, active, not_before) = (row.id.into(), row.active, row.not_before);
        push(row.organization_id, Operation::PrincipalPut { id, kind, active, not_before })?;
    }
    const REMOVED: &str = "SELECT organization_id, id FROM replicated.removed";
    // Principals and teams share the index's memory of what is gone.
    for (organization, id) in fetch::<Of<SqlId<kinds::Principal>>>(connection, REMOVED).await? {
        push(organization, Operation::PrincipalRemoved { id: id.into() })?;
    }
    const SESSIONS: &str = "SELECT organization_id, id FROM replicated.revoked_session";
    for (organization, id) in fetch::<Of<SqlId<kinds::Token>>>(connection, SESSIONS).await? {
        push(organization, Operation::SessionRevoked { id: id.into(), expires_at: 0 })?;
    }
    const TEAMS: &str = "SELECT organization_id, id, name, description, predefined FROM replicated.team";
    for TeamRow { organization_id, id, name, description, predefined } in
        fetch::<TeamRow>(connection, TEAMS).await?
    {
        push(organization_id, Operation::TeamPut { id: id.into(), name, description, predefined })?;
    }
    const MEMBERS: &str = "SELECT organization_id, team_id, principal_id FROM replicated.membership";
    let members: Vec<(SqlId<kinds::Organization>, SqlId<kinds::Team>, SqlId<kinds::Principal>)> =
        fetch(connection, MEMBERS).await?;
    for (organization, team_id, principal_id) in members {
        let (team_id, principal_id) = (team_id.into(), principal_id.into());
        push(organization, Operation::MemberAdded { team_id, principal_id })?;
    }
    const ASSIGNMENTS: &str = "SELECT * FROM replicated.assignment";
    for row in fetch::<AssignmentRow>(connection, ASSIGNMENTS).await? {
        if let Some((organization, operation)) = row.operation() {
            push(organization, operation)?;
        }
    }
    Ok(changes)
}

async fn fetch<T>(connection: &mut PgConnection, statement: &'static str) -> Result<Vec<T>, Error>
where
    T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    Ok(sqlx::query_as(statement).fetch_all(connection).await?)
}

impl AssignmentRow {
    fn operation(self) -> Option<(SqlId<kinds::Organization>, Operation)> {
        let holder = match (self.team_id, self.principal_id) {
            (Some(team), _) => HolderId::Team(team.into()),
            (None, Some(principal)) => HolderId::Principal(principal.into()),
            // The table's check forbids it.
            (None, None) => return None,
        };
        let role = AssignedRole {
            role_name: self.role_name,
            entity_id: self.entity_id,
            entity_type_name: self.entity_type_name,
            entity_region: self.entity_region,
        };
        Some((self.organization_id, Operation::AssignmentPut { holder, role }))
    }
}
