//! `assigned-roles` of teams, users and system accounts: one set of handlers for the three holders.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{AssignmentId, PrincipalId, TeamId};
use mutation::{Key, Mutation};
use policy::{AssignedRole, Holder, InvalidAssignment, Role, Scope};
use uuid::Uuid;
use web::{Api, Endpoint, Json, Listed, Paging, Path, ProblemType, Query};

use super::{Assignment, Error, store};
use crate::{
    Answer,
    app::App,
    decisions::Asker,
    operation::{Kind, Operation, assignment_id},
};

/// Adds the endpoints.
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
        Endpoint::get(&all, "List assigned roles")
            .query::<Paging>()
            .answers::<Listed<Assignment>>(StatusCode::OK),
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(id): Path<PrincipalId>,
                    Query(paging): Query<Paging>| {
            list(&app, &caller, named(id.uuid()), &paging).await
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
        Endpoint::get(&one, "One assigned role").answers::<Assignment>(StatusCode::OK),
        async move |State(app): State<App>,
                    caller: Caller,
                    Path((id, assignment)): Path<(PrincipalId, AssignmentId)>| {
            get(&app, &caller, named(id.uuid()), assignment).await
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

/// The holder that a path names.
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

    /// The action that lets somebody see what the holder holds. Everybody in the organization may see their own roles.
    fn read_action(self, caller: &Caller) -> Action {
        match self {
            Self::Principal(id, _) if id == caller.principal() => Action::IamReadRoles,
            Self::Principal(_, Kind::User) => Action::IamReadUsers,
            Self::Principal(_, Kind::SystemAccount) => Action::IamReadSystemAccounts,
            Self::Team(_) => Action::IamReadTeams,
        }
    }

    /// Goes on if the caller's organization has the holder. `writing` also refuses the predefined team.
    async fn require(self, app: &App, caller: &Caller, writing: bool) -> Answer<()> {
        match self {
            Self::Team(id) => {
                let team = app.team(caller, id).await?;
                if writing && team.system_team {
                    return Err(Error::OfPredefinedTeam.into());
                }
                Ok(())
            }
            Self::Principal(id, kind) => app.require_principal(caller, id, kind).await,
        }
    }
}

async fn list(app: &App, caller: &Caller, named: Named, paging: &Paging) -> Answer<Json<Listed<Assignment>>> {
    caller.may(named.read_action(caller), &Resource::Iam).await?;
    named.require(app, caller, false).await?;
    let (organization, holder) = (caller.organization(), named.holder());
    let assignments = store::list(&app.db, organization, holder, &paging.span()?).await?;
    let total = paging.total(store::count(&app.db, organization, holder)).await?;
    Ok(Json(paging.page(assignments, total, |assignment| assignment.id)))
}

async fn get(app: &App, caller: &Caller, named: Named, id: AssignmentId) -> Answer<Json<Assignment>> {
    caller.may(named.read_action(caller), &Resource::Iam).await?;
    named.require(app, caller, false).await?;
    existing(app, caller, named, id).await.map(Json)
}

/// The holder's assignment; 404 only if it is certain that it is not on its way from another region.
async fn existing(app: &App, caller: &Caller, named: Named, id: AssignmentId) -> Answer<Assignment> {
    let find = async || store::find(&app.db, caller.organization(), named.holder(), id).await;
    if let Some(found) = find().await? {
        return Ok(found);
    }
    app.decider.settle(&caller.session.vector).await?;
    Ok(find().await?.ok_or(Error::NotFound)?)
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
    let (parsed, scope) = role.parse().map_err(Error::Invalid)?;
    if let Scope::Region(region) | Scope::ControlPlane { region, .. } = &scope
        && !app.decider.replication.knows(region)
    {
        return Err(Error::Invalid(InvalidAssignment::UnknownRegion(region.clone())).into());
    }
    require_may_grant(app, caller, parsed, &scope).await?;
    // A UUID can be written in several ways; the id of the assignment is made from one of them.
    let role = AssignedRole::new(parsed, &scope);

    let organization = caller.organization();
    let id = assignment_id(organization, named.holder(), &role);
    let put = Operation::AssignmentPut { holder: named.holder().into(), role: role.clone() };
    let response = app
        .write(Mutation::by(caller, "role.assign").under(key), move |tx| {
            Box::pin(async move {
                if store::exists(tx.connection(), organization, id).await? {
                    return Err(Error::AssignedAlready.into());
                }
                tx.append(put).await?;
                if !store::exists(tx.connection(), organization, id).await? {
                    return Err(Error::AuthorityRevoked.into());
                }
                Ok(tx.answer(&id.to_string(), StatusCode::CREATED, &Assignment { id, role }).await?)
            })
        })
        .await?;
    app.wait_visible_to(caller).await;
    Ok(response)
}

/// Whoever may assign roles may take any of them back, also a role that they could not give.
async fn remove(app: &App, caller: &Caller, named: Named, id: AssignmentId) -> Answer<StatusCode> {
    caller.may(Action::IamAssignRoles, &Resource::Iam).await?;
    named.require(app, caller, true).await?;
    existing(app, caller, named, id).await?;
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
    let (seen, asker) = (caller.seen(), Asker::from(&caller.session));
    let given =
        app.decider.check_giving(&asker, &seen, |index, asking| index.grant_rests_on(asking, role, scope));
    if caller.learns(&given.await?)? { Ok(()) } else { Err(Error::HoldsLess.into()) }
}
