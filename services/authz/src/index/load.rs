//! Reads the index from the rows: at the start, and after rows were made anew.

use ids::{OrganizationId, Region, kinds};
use imbl::OrdMap;
use oplog::{Cursor, columns};
use policy::{AssignedRole, Change, Index};
use postgres::{Error, SqlId};
use replication::Vector;
use sqlx::{FromRow, PgConnection, PgPool};
use web::labels::Labels;

use super::Snapshot;
use crate::operation::{HolderId, Kind, Operation, Status, TeamPut};

/// The index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database cannot be asked.
    #[error(transparent)]
    Database(#[from] Error),
    /// A row has a form that this release does not know. A decision made without it could be wrong.
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

/// The index and how far it goes, as of one moment, and where that moment is in the local order.
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
    Ok((Snapshot { index, vector, organizations, ..Snapshot::default() }, cursor))
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

    const ORGANIZATIONS: &str = "SELECT id, status, home_region FROM replicated.organization";
    let organizations: Vec<(SqlId<kinds::Organization>, String, String)> =
        fetch(connection, ORGANIZATIONS).await?;
    for (id, status, home_region) in organizations {
        let home_region: Region = home_region.parse().map_err(unreadable)?;
        let put = match status.parse::<Status>().map_err(unreadable)? {
            Status::Removed => Operation::OrganizationRemoved {},
            status => Operation::OrganizationPut { suspended: status.is_suspended(), home_region },
        };
        push(id, put)?;
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
    const SESSIONS: &str = "SELECT organization_id, id, expires_at FROM replicated.revoked_session";
    let sessions: Vec<(SqlId<kinds::Organization>, SqlId<kinds::Token>, i64)> =
        fetch(connection, SESSIONS).await?;
    for (organization, id, expires_at) in sessions {
        // The index does not look at when it would have expired.
        push(organization, Operation::SessionRevoked { id: id.into(), expires_at })?;
    }
    const TEAMS: &str = "SELECT organization_id, id, name, predefined FROM replicated.team";
    for TeamRow { organization_id, id, name, predefined } in fetch::<TeamRow>(connection, TEAMS).await? {
        // The index looks at neither.
        let (description, labels) = (None, Labels::new());
        let team = TeamPut { id: id.into(), name, description, predefined, labels };
        push(organization_id, Operation::TeamPut(team))?;
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
        let (organization, operation) = row.operation()?;
        push(organization, operation)?;
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
    fn operation(self) -> Result<(SqlId<kinds::Organization>, Operation), LoadError> {
        let holder = match (self.team_id, self.principal_id) {
            (Some(team), None) => HolderId::Team(team.into()),
            (None, Some(principal)) => HolderId::Principal(principal.into()),
            // The table's check forbids both.
            (None, None) | (Some(_), Some(_)) => return Err(LoadError::Row("no single holder".into())),
        };
        let role = AssignedRole {
            role_name: self.role_name,
            entity_id: self.entity_id,
            entity_type_name: self.entity_type_name,
            entity_region: self.entity_region,
        };
        Ok((self.organization_id, Operation::AssignmentPut { holder, role }))
    }
}
