//! `/v3/teams`, and members under it.

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{PrincipalId, TeamId};
use policy::Holder;
use postgres::{Write, idempotency::Idempotency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Answer, Api, Cursor, Cursored, Endpoint, Json, Path, Problem, ProblemType, Query, text};

use super::{Team, store};
use crate::{
    App,
    check::policy_caller,
    operation::{Kind, Operation},
};

pub fn endpoints(api: Api<App>) -> Api<App> {
    let api = api
        .endpoint(Endpoint::get("/v3/teams", "List teams").answers::<Cursored<Team>>(StatusCode::OK), list)
        .endpoint(
            Endpoint::post("/v3/teams", "Create a team")
                .body::<CreateTeam>()
                .answers::<Team>(StatusCode::CREATED),
            create,
        )
        .endpoint(Endpoint::get("/v3/teams/{team_id}", "One team").answers::<Team>(StatusCode::OK), get)
        .endpoint(
            Endpoint::patch("/v3/teams/{team_id}", "Change a team")
                .body::<UpdateTeam>()
                .answers::<Team>(StatusCode::OK),
            update,
        )
        .endpoint(
            Endpoint::delete("/v3/teams/{team_id}", "Delete a team, its memberships and its assignments"),
            delete,
        );
    members(api)
}

fn members(api: Api<App>) -> Api<App> {
    const USERS: &str = "/v3/teams/{team_id}/users";
    const ACCOUNTS: &str = "/v3/teams/{team_id}/system-accounts";
    api.endpoint(
        Endpoint::get(USERS, "List the people of a team").answers::<Cursored<Member>>(StatusCode::OK),
        list_users,
    )
    .endpoint(Endpoint::post(USERS, "Add a person to a team").body::<AddUser>(), add_user)
    .endpoint(Endpoint::delete(format!("{USERS}/{{user_id}}"), "Remove a person from a team"), remove_member)
    .endpoint(
        Endpoint::get(ACCOUNTS, "List the system accounts of a team")
            .answers::<Cursored<Member>>(StatusCode::OK),
        list_accounts,
    )
    .endpoint(Endpoint::post(ACCOUNTS, "Add a system account to a team").body::<AddAccount>(), add_account)
    .endpoint(
        Endpoint::delete(format!("{ACCOUNTS}/{{account_id}}"), "Remove a system account from a team"),
        remove_member,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateTeam {
    /// Unique in the organization.
    name: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateTeam {
    name: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddUser {
    /// The person's id.
    id: PrincipalId,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddAccount {
    account_id: PrincipalId,
}

/// A member, by id. Names are identity's to tell.
#[derive(Serialize, ToSchema)]
struct Member {
    id: PrincipalId,
}

fn require_custom(team: &Team) -> Answer<()> {
    if team.system_team {
        Err(Problem::new(
            ProblemType::Forbidden,
            "a predefined team cannot be changed or deleted; only its members can",
        ))
    } else {
        Ok(())
    }
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<Team>>> {
    caller.may(Action::IamReadTeams, &Resource::Iam).await?;
    let limit = i64::from(cursor.size()?) + 1;
    let teams = store::list(&app.db, caller.organization(), cursor.after()?, limit).await?;
    cursor.page(teams, |team| team.id).map(Json)
}

async fn get(State(app): State<App>, caller: Caller, Path(id): Path<TeamId>) -> Answer<Json<Team>> {
    caller.may(Action::IamReadTeams, &Resource::Iam).await?;
    store::find(&app.db, caller.organization(), id).await.map(Json)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    idempotency: Idempotency,
    Json(body): Json<CreateTeam>,
) -> Answer<Response> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    let name = text::name("name", &body.name)?;
    let description = text::description("description", &body.description)?;
    let (id, organization) = (TeamId::generate(), caller.organization());

    let mut write = Write::begin(&app.db, &caller.session, "team.create", idempotency).await?;
    let team = store::insert(write.connection(), organization, id, &name, &description).await?;
    let seq = Operation::TeamPut { id, predefined: false }.append(write.connection(), organization).await?;
    let response = write.answer(&id.to_string(), StatusCode::CREATED, &team).await?;
    app.index.visible(seq).await;
    Ok(response)
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TeamId>,
    Json(body): Json<UpdateTeam>,
) -> Answer<Json<Team>> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    let name = body.name.map(|name| text::name("name", &name)).transpose()?;
    let description = body.description.map(|words| text::description("description", &words)).transpose()?;
    require_custom(&store::find(&app.db, caller.organization(), id).await?)?;

    let mut write = Write::begin(&app.db, &caller.session, "team.update", Idempotency::default()).await?;
    let team = store::update(write.connection(), id, name.as_deref(), description.as_deref()).await?;
    write.commit(&id.to_string()).await?;
    Ok(Json(team))
}

async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<TeamId>) -> Answer<StatusCode> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    require_custom(&store::find(&app.db, caller.organization(), id).await?)?;

    let mut write = Write::begin(&app.db, &caller.session, "team.delete", Idempotency::default()).await?;
    store::delete(write.connection(), id).await?;
    let seq = Operation::TeamRemoved { id }.append(write.connection(), caller.organization()).await?;
    write.commit(&id.to_string()).await?;
    app.index.visible(seq).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_users(
    state: State<App>,
    caller: Caller,
    team: Path<TeamId>,
    cursor: Query<Cursor>,
) -> Answer<Json<Cursored<Member>>> {
    list_members(state, caller, team, cursor, Kind::User).await
}

async fn list_accounts(
    state: State<App>,
    caller: Caller,
    team: Path<TeamId>,
    cursor: Query<Cursor>,
) -> Answer<Json<Cursored<Member>>> {
    list_members(state, caller, team, cursor, Kind::SystemAccount).await
}

async fn list_members(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<TeamId>,
    Query(cursor): Query<Cursor>,
    kind: Kind,
) -> Answer<Json<Cursored<Member>>> {
    caller.may(Action::IamReadTeams, &Resource::Iam).await?;
    store::find(&app.db, caller.organization(), team).await?;
    let limit = i64::from(cursor.size()?) + 1;
    let members = store::members(&app.db, team, kind, cursor.after()?, limit).await?;
    cursor.page(members.into_iter().map(|id| Member { id }).collect(), |member| member.id).map(Json)
}

async fn add_user(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<TeamId>,
    idempotency: Idempotency,
    Json(body): Json<AddUser>,
) -> Answer<Response> {
    add_member(&app, &caller, team, body.id, Kind::User, idempotency).await
}

async fn add_account(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<TeamId>,
    idempotency: Idempotency,
    Json(body): Json<AddAccount>,
) -> Answer<Response> {
    add_member(&app, &caller, team, body.account_id, Kind::SystemAccount, idempotency).await
}

/// A new member receives all that the team holds, so the caller must hold it too.
async fn add_member(
    app: &App,
    caller: &Caller,
    team: TeamId,
    principal: PrincipalId,
    kind: Kind,
    idempotency: Idempotency,
) -> Answer<Response> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    let organization = caller.organization();
    store::find(&app.db, organization, team).await?;
    if !app.index.load().may_confer(&policy_caller(&caller.session), Holder::Team(team)) {
        return Err(Problem::forbidden(
            "the team holds roles that you do not; only somebody who holds them can add members",
        ));
    }
    let mut write = Write::begin(&app.db, &caller.session, "team.add-member", idempotency).await?;
    store::require_principal(write.connection(), organization, principal, kind).await?;
    if !store::add_member(write.connection(), organization, team, principal).await? {
        return Err(Problem::conflict("it is a member of the team already"));
    }
    let added = Operation::MemberAdded { team_id: team, principal_id: principal };
    let seq = added.append(write.connection(), organization).await?;
    let response = write.answer(&team.to_string(), StatusCode::CREATED, &Member { id: principal }).await?;
    app.index.visible(seq).await;
    Ok(response)
}

async fn remove_member(
    State(app): State<App>,
    caller: Caller,
    Path((team, principal)): Path<(TeamId, PrincipalId)>,
) -> Answer<StatusCode> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    let organization = caller.organization();
    let found = store::find(&app.db, organization, team).await?;
    let mut write =
        Write::begin(&app.db, &caller.session, "team.remove-member", Idempotency::default()).await?;
    if found.system_team {
        keep_an_administrator(&mut write, team).await?;
    }
    store::remove_member(write.connection(), team, principal).await?;
    let removed = Operation::MemberRemoved { team_id: team, principal_id: principal };
    let seq = removed.append(write.connection(), organization).await?;
    write.commit(&team.to_string()).await?;
    app.index.visible(seq).await;
    Ok(StatusCode::NO_CONTENT)
}

/// An organization that nobody administers could never be administered again.
async fn keep_an_administrator(write: &mut Write, team: TeamId) -> Answer<()> {
    if store::count_members_locked(write.connection(), team).await? <= 1 {
        return Err(Problem::conflict(
            "the last member of Organization Admin cannot be removed; add another one first",
        ));
    }
    Ok(())
}
