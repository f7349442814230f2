//! Teams and their members. A team is a record of the home region; a membership is an edge that any region may write.

pub mod http;
mod store;

use crate::Answer;
use access::Caller;
use ids::{PrincipalId, TeamId, kinds};
use postgres::SqlId;
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::Problem;

use crate::{app::App, operation::Kind};

#[derive(Debug, Serialize, ToSchema)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
    pub description: String,
    /// A predefined team cannot be renamed, deleted or given other roles.
    pub system_team: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Team>,
    name: String,
    description: String,
    predefined: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for Team {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
            system_team: row.predefined,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl App {
    /// 404 unless the team is the caller's organization's, and it is certain that there is none on its way.
    pub async fn team(&self, caller: &Caller, id: TeamId) -> Answer<Team> {
        if let Some(team) = store::find(&self.db, caller.organization(), id).await? {
            return Ok(team);
        }
        self.settle(&caller.session).await?;
        let found = store::find(&self.db, caller.organization(), id).await?;
        Ok(found.ok_or_else(|| Problem::not_found("team"))?)
    }

    /// 404 unless the caller's organization has this principal of this kind, and it is certain that it is not on its way.
    pub async fn require_principal(&self, caller: &Caller, id: PrincipalId, kind: Kind) -> Answer<()> {
        if store::has_principal(&self.db, caller.organization(), id, kind).await? {
            return Ok(());
        }
        self.settle(&caller.session).await?;
        if store::has_principal(&self.db, caller.organization(), id, kind).await? {
            return Ok(());
        }
        Err(Problem::not_found(match kind {
            Kind::User => "user",
            Kind::SystemAccount => "system account",
        })
        .into())
    }
}
