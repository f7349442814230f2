//! `assigned-roles` of teams, users and system accounts: one set of handlers for the three holders.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{AssignmentId, PrincipalId, TeamId};
use policy::{AssignedRole, Holder, Role, Scope};
use postgres::{Write, idempotency::Idempotency};
use web::{Answer, Api, Cursor, Cursored, Endpoint, Json, Path, Problem, ProblemType, Query};

use super::{Assignment, store};
use crate::{
    App,
    check::policy_caller,
    operation::Kind,
    teams::{self, require_principal},
};

pub fn endpoints(api: Api<App>) -> Api<App> {
    const TEAM: &str = "/v3/teams/{team_id}/assigned-roles";
    const USER: &str = "/v3/users/{user_id}/assigned-roles";
    const ACCOUNT: &str = "/v3/system-accounts/{account_id}/assigned-roles";
    let list =
        |path| Endpoint::get(path, "List assigned roles").answers::<Cursored<Assignment>>(StatusCode::OK);
    let assign = |path| {
        Endpoint::post(path, "Assign a role")
            .body::<AssignedRole>()
            .answers::<Assignment>(StatusCode::CREATED)
    };
    let remove =
        |path: &str| Endpoint::delete(format!("{path}/{{assignment_id}}"), "Take an assigned role back");
    api.endpoint(list(TEAM), list_of_team)
        .endpoint(assign(TEAM), assign_to_team)
        .endpoint(remove(TEAM), remove_from_team)
        .endpoint(list(USER), list_of_user)
        .endpoint(assign(USER), assign_to_user)
        .endpoint(remove(USER), remove_from_user)
        .endpoint(list(ACCOUNT), list_of_account)
        .endpoint(assign(ACCOUNT), assign_to_account)
        .endpoint(remove(ACCOUNT), remove_from_account)
}

/// Somebody that roles are assigned to, as the path names it.
#[derive(Clone, Copy)]
enum Named {
    Team(TeamId),
    Principal(PrincipalId, Kind),
}

impl Named {
    const fn holder(self) -> Holder {
        match self {
            Self::Team(id) => Holder::Team(id),
            Self::Principal(id, _) => Holder::Principal(id),
        }
    }

    /// 404 unless the caller's organization has it. `writing` also refuses the predefined team.
    async fn require(self, app: &App, caller: &Caller, writing: bool) -> Answer<()> {
        match self {
            Self::Team(id) => {
                let team = teams::find(&app.db, caller.organization(), id).await?;
                if writing && team.system_team {
                    return Err(Problem::new(
                        ProblemType::Forbidden,
                        "a predefined team's roles cannot be changed",
                    ));
                }
                Ok(())
            }
            Self::Principal(id, kind) => {
                let mut connection = app.db.acquire().await.map_err(postgres::Error::from)?;
                require_principal(&mut connection, caller.organization(), id, kind).await
            }
        }
    }
}

async fn list(
    app: &App,
    caller: &Caller,
    named: Named,
    cursor: &Cursor,
) -> Answer<Json<Cursored<Assignment>>> {
    caller.may(Action::IamReadRoles, &Resource::Iam).await?;
    named.require(app, caller, false).await?;
    let limit = i64::from(cursor.size()?) + 1;
    let assignments =
        store::list(&app.db, caller.organization(), named.holder(), cursor.after()?, limit).await?;
    cursor.page(assignments, |assignment| assignment.id).map(Json)
}

async fn assign(
    app: &App,
    caller: &Caller,
    named: Named,
    idempotency: Idempotency,
    role: AssignedRole,
) -> Answer<Response> {
    caller.may(Action::IamAssignRoles, &Resource::Iam).await?;
    named.require(app, caller, true).await?;
    let (parsed, scope) =
        role.parse().map_err(|error| Problem::invalid_field(error.field(), error.to_string()))?;
    may_grant(app, caller, parsed, &scope)?;

    let (id, organization) = (AssignmentId::generate(), caller.organization());
    let mut write = Write::begin(&app.db, &caller.session, "role.assign", idempotency).await?;
    let seq = store::insert(write.connection(), organization, id, named.holder(), &role).await?;
    let response = write.answer(&id.to_string(), StatusCode::CREATED, &Assignment { id, role }).await?;
    app.index.visible(seq).await;
    Ok(response)
}

async fn remove(app: &App, caller: &Caller, named: Named, id: AssignmentId) -> Answer<StatusCode> {
    caller.may(Action::IamAssignRoles, &Resource::Iam).await?;
    named.require(app, caller, true).await?;
    let organization = caller.organization();
    let not_found = || Problem::not_found("assigned role");
    let found = store::find(&app.db, organization, named.holder(), id).await?.ok_or_else(not_found)?;
    let (role, scope) = found.role.parse().map_err(Problem::internal)?;
    may_grant(app, caller, role, &scope)?;

    let mut write = Write::begin(&app.db, &caller.session, "role.take-back", Idempotency::default()).await?;
    let seq = store::delete(write.connection(), organization, id).await?.ok_or_else(not_found)?;
    write.commit(&id.to_string()).await?;
    app.index.visible(seq).await;
    Ok(StatusCode::NO_CONTENT)
}

fn may_grant(app: &App, caller: &Caller, role: Role, scope: &Scope) -> Answer<()> {
    if app.index.load().may_grant(&policy_caller(&caller.session), role, scope) {
        Ok(())
    } else {
        Err(Problem::forbidden(
            "you can assign and take back only roles that you hold yourself, there or more widely",
        ))
    }
}

async fn list_of_team(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TeamId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<Assignment>>> {
    list(&app, &caller, Named::Team(id), &cursor).await
}

async fn assign_to_team(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TeamId>,
    idempotency: Idempotency,
    Json(role): Json<AssignedRole>,
) -> Answer<Response> {
    assign(&app, &caller, Named::Team(id), idempotency, role).await
}

async fn remove_from_team(
    State(app): State<App>,
    caller: Caller,
    Path((id, assignment)): Path<(TeamId, AssignmentId)>,
) -> Answer<StatusCode> {
    remove(&app, &caller, Named::Team(id), assignment).await
}

async fn list_of_user(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PrincipalId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<Assignment>>> {
    list(&app, &caller, Named::Principal(id, Kind::User), &cursor).await
}

async fn assign_to_user(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PrincipalId>,
    idempotency: Idempotency,
    Json(role): Json<AssignedRole>,
) -> Answer<Response> {
    assign(&app, &caller, Named::Principal(id, Kind::User), idempotency, role).await
}

async fn remove_from_user(
    State(app): State<App>,
    caller: Caller,
    Path((id, assignment)): Path<(PrincipalId, AssignmentId)>,
) -> Answer<StatusCode> {
    remove(&app, &caller, Named::Principal(id, Kind::User), assignment).await
}

async fn list_of_account(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PrincipalId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<Assignment>>> {
    list(&app, &caller, Named::Principal(id, Kind::SystemAccount), &cursor).await
}

async fn assign_to_account(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PrincipalId>,
    idempotency: Idempotency,
    Json(role): Json<AssignedRole>,
) -> Answer<Response> {
    assign(&app, &caller, Named::Principal(id, Kind::SystemAccount), idempotency, role).await
}

async fn remove_from_account(
    State(app): State<App>,
    caller: Caller,
    Path((id, assignment)): Path<(PrincipalId, AssignmentId)>,
) -> Answer<StatusCode> {
    remove(&app, &caller, Named::Principal(id, Kind::SystemAccount), assignment).await
}
