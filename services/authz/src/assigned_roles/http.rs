//! `assigned-roles` of teams, users and system accounts: one set of handlers for the three holders.

use crate::Answer;
use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{AssignmentId, PrincipalId, TeamId};
use mutation::{Key, Mutation};
use policy::{AssignedRole, Holder, Role, Scope};
use uuid::Uuid;
use web::{Api, Cursor, Cursored, Endpoint, Json, Path, Problem, ProblemType, Query};

use super::{Assignment, store};
use crate::{
    app::App,
    operation::{Kind, Operation, assignment_id},
    teams,
};

pub fn endpoints(api: Api<App>) -> Api<App> {
    let api = of(api, "/v3/teams/{team_id}", |id| Named::Team(TeamId::from_uuid(id)));
    let api = of(api, "/v3/users/{user_id}", |id| Named::Principal(PrincipalId::from_uuid(id), Kind::User));
    of(api, "/v3/system-accounts/{account_id}", |id| {
        Named::Principal(PrincipalId::from_uuid(id), Kind::SystemAccount)
    })
}

/// The endpoints of one kind of holder, which `named` makes of the id in the path.
fn of(api: Api<App>, holder: &str, named: fn(Uuid) -> Named) -> Api<App> {
    let all = format!("{holder}/assigned-roles");
    let one = format!("{all}/{{assignment_id}}");
    api.endpoint(
        Endpoint::get(&all, "List assigned roles").answers::<Cursored<Assignment>>(StatusCode::OK),
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(id): Path<PrincipalId>,
                    Query(cursor): Query<Cursor>| {
            list(&app, &caller, named(id.uuid()), &cursor).await
        },
    )
    .endpoint(
        Endpoint::post(&all, "Assign a role")
            .refuses(ProblemType::Conflict, "this role is assigned already")
            .body::<AssignedRole>()
            .answers::<Assignment>(StatusCode::CREATED),
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(id): Path<PrincipalId>,
                    key: Option<Key>,
                    Json(role): Json<AssignedRole>| {
            assign(&app, &caller, named(id.uuid()), key, role).await
        },
    )
    .endpoint(
        Endpoint::delete(one, "Take an assigned role back"),
        async move |State(app): State<App>,
                    caller: Caller,
                    Path((id, assignment)): Path<(PrincipalId, AssignmentId)>| {
            remove(&app, &caller, named(id.uuid()), assignment).await
        },
    )
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

    /// What it takes to see what the holder holds: one's own is for every member of the organization.
    fn read_action(self, caller: &Caller) -> Action {
        match self {
            Self::Principal(id, _) if id == caller.principal() => Action::IamReadRoles,
            Self::Principal(_, Kind::User) => Action::IamReadUsers,
            Self::Principal(_, Kind::SystemAccount) => Action::IamReadSystemAccounts,
            Self::Team(_) => Action::IamReadTeams,
        }
    }

    /// 404 unless the caller's organization has it. `writing` also refuses the predefined team.
    async fn require(self, app: &App, caller: &Caller, writing: bool) -> Answer<()> {
        match self {
            Self::Team(id) => {
                let team = app.team(caller, id).await?;
                if writing && team.system_team {
                    return Err(Problem::new(
                        ProblemType::Forbidden,
                        "a predefined team's roles cannot be changed",
                    )
                    .into());
                }
                Ok(())
            }
            Self::Principal(id, kind) => app.require_principal(caller, id, kind).await,
        }
    }
}

async fn list(
    app: &App,
    caller: &Caller,
    named: Named,
    cursor: &Cursor,
) -> Answer<Json<Cursored<Assignment>>> {
    caller.may(named.read_action(caller), &Resource::Iam).await?;
    named.require(app, caller, false).await?;
    let limit = i64::from(cursor.size()?) + 1;
    let assignments =
        store::list(&app.db, caller.organization(), named.holder(), cursor.after()?, limit).await?;
    Ok(Json(cursor.page(assignments, |assignment| assignment.id)?))
}

async fn assign(
    app: &App,
    caller: &Caller,
    named: Named,
    key: Option<Key>,
    role: AssignedRole,
) -> Answer<Response> {
    caller.may(Action::IamAssignRoles, &Resource::Iam).await?;
    named.require(app, caller, true).await?;
    let (parsed, scope) =
        role.parse().map_err(|error| Problem::invalid_field(error.field(), error.to_string()))?;
    require_may_grant(app, caller, parsed, &scope).await?;
    // As it is spelt everywhere: a UUID can be written in several ways.
    let role = AssignedRole::new(parsed, &scope);

    let organization = caller.organization();
    let id = assignment_id(organization, named.holder(), &role);
    let put = Operation::AssignmentPut { holder: named.holder().into(), role: role.clone() };
    let response = app
        .write(Mutation::by(caller, "role.assign").under(key), move |tx| {
            Box::pin(async move {
                if store::exists(tx.connection(), organization, id).await? {
                    return Err(Problem::conflict("this role is assigned already").into());
                }
                tx.append(put).await?;
                if !store::exists(tx.connection(), organization, id).await? {
                    return Err(teams::http::void());
                }
                Ok(tx.answer(&id.to_string(), StatusCode::CREATED, &Assignment { id, role }).await?)
            })
        })
        .await?;
    app.wait_visible_to(caller).await;
    Ok(response)
}

/// Whoever may assign roles may take any of them back, also one that it could not give: taking away must be easy.
async fn remove(app: &App, caller: &Caller, named: Named, id: AssignmentId) -> Answer<StatusCode> {
    caller.may(Action::IamAssignRoles, &Resource::Iam).await?;
    named.require(app, caller, true).await?;
    let organization = caller.organization();
    let find = async || store::find(&app.db, organization, named.holder(), id).await;
    if find().await?.is_none() {
        app.settle(&caller.session).await?;
        find().await?.ok_or_else(|| Problem::not_found("assigned role"))?;
    }
    app.write(Mutation::by(caller, "role.take-back"), move |tx| {
        Box::pin(async move {
            tx.append(Operation::AssignmentRemoved { id }).await?;
            tx.audit(&id.to_string()).await?;
            Ok(())
        })
    })
    .await?;
    app.wait_visible_to(caller).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn require_may_grant(app: &App, caller: &Caller, role: Role, scope: &Scope) -> Answer<()> {
    let seen = caller.seen();
    let given =
        app.check_giving(&caller.session, &seen, |index, asking| index.grant_rests_on(asking, role, scope));
    if caller.learns(&given.await?)? {
        Ok(())
    } else {
        Err(Problem::forbidden("you can assign only roles that you hold yourself, there or more widely")
            .into())
    }
}
