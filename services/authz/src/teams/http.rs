//! `/v3/teams`, and members under it. Teams are records: they are written at the organization's home. Memberships are
//! written anywhere, except those of the administrators.

use std::collections::BTreeMap;

use access::{Action, Caller, Resource};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{OrganizationId, PrincipalId, TeamId};
use mutation::{Key, Mutation};
use policy::Holder;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{
    Api, Endpoint, Json, Listed, NameFilter, Paging, Path, ProblemType, Query,
    labels::{self, Labels},
    text,
};

use super::{Error, LAST_ADMINISTRATOR, Team, mapped, store};
use crate::{
    Answer,
    app::{App, Tx},
    decisions::Asker,
    operation::{Kind, LABELS_GENERATION, Operation, TeamPut, administrators_id},
};

/// Adds the endpoints.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let api = api
        .endpoint(
            Endpoint::get("/v3/teams", "List teams")
                .query::<(Paging, NameFilter)>()
                .answers::<Listed<Team>>(StatusCode::OK),
            list,
        )
        .endpoint(
            Endpoint::post("/v3/teams", "Create a team")
                .refuses(ProblemType::Conflict, "name: the organization has a team with this name")
                .home()
                .body::<CreateTeam>()
                .answers::<Team>(StatusCode::CREATED),
            create,
        )
        .endpoint(Endpoint::get("/v3/teams/{team_id}", "One team").answers::<Team>(StatusCode::OK), get)
        .endpoint(
            Endpoint::patch("/v3/teams/{team_id}", "Change a team")
                .refuses(ProblemType::Conflict, "name: the organization has a team with this name")
                .home()
                .body::<UpdateTeam>()
                .answers::<Team>(StatusCode::OK),
            update,
        )
        .endpoint(
            Endpoint::delete("/v3/teams/{team_id}", "Delete a team, its memberships and its assignments")
                .home(),
            delete,
        );
    members(api)
}

fn members(api: Api<App>) -> Api<App> {
    const USERS: &str = "/v3/teams/{team_id}/users";
    const ACCOUNTS: &str = "/v3/teams/{team_id}/system-accounts";
    api.endpoint(
        Endpoint::get(USERS, "List the people of a team")
            .query::<Paging>()
            .answers::<Listed<Member>>(StatusCode::OK),
        list_users,
    )
    .endpoint(
        Endpoint::post(USERS, "Add a person to a team")
            .refuses(ProblemType::Conflict, "it is a member of the team already")
            .home_when(is_about_administrators)
            .body::<AddUser>()
            .answers::<Member>(StatusCode::CREATED),
        add_user,
    )
    .endpoint(
        Endpoint::delete(format!("{USERS}/{{user_id}}"), "Remove a person from a team")
            .refuses(ProblemType::Conflict, LAST_ADMINISTRATOR)
            .home_when(is_about_administrators),
        remove_member,
    )
    .endpoint(
        Endpoint::get(ACCOUNTS, "List the system accounts of a team")
            .query::<Paging>()
            .answers::<Listed<Member>>(StatusCode::OK),
        list_accounts,
    )
    .endpoint(
        Endpoint::post(ACCOUNTS, "Add a system account to a team")
            .refuses(ProblemType::Conflict, "it is a member of the team already")
            .home_when(is_about_administrators)
            .body::<AddAccount>()
            .answers::<Member>(StatusCode::CREATED),
        add_account,
    )
    .endpoint(
        Endpoint::delete(format!("{ACCOUNTS}/{{account_id}}"), "Remove a system account from a team")
            .refuses(ProblemType::Conflict, LAST_ADMINISTRATOR)
            .home_when(is_about_administrators),
        remove_member,
    )
}

/// Whether a request is about the members of the predefined team. They are changed in the organization's home region only. Otherwise
/// two regions could each remove one of the last two administrators.
fn is_about_administrators(organization: OrganizationId, path: &str) -> bool {
    let team = path.split('/').nth(3).unwrap_or_default();
    // An id with percent escapes may be that of the predefined team; the home region reads it like any other.
    team.contains('%') || team.parse::<TeamId>().is_ok_and(|id| id == administrators_id(organization))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateTeam {
    /// Unique in the organization.
    name: String,
    description: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateTeam {
    name: Option<String>,
    description: Option<String>,
    /// All labels from now on.
    labels: Option<BTreeMap<String, Option<String>>>,
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
    /// The account's id. `id` is another name of this field.
    #[serde(alias = "id")]
    account_id: PrincipalId,
}

/// A member, by id. identity knows the names.
#[derive(Serialize, ToSchema)]
struct Member {
    id: PrincipalId,
}

fn require_custom(team: &Team) -> Answer<()> {
    if team.system_team { Err(Error::Predefined.into()) } else { Ok(()) }
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query((paging, NameFilter(name))): Query<(Paging, NameFilter)>,
) -> Answer<Json<Listed<Team>>> {
    caller.may(Action::IamReadTeams, &Resource::Iam).await?;
    let organization = caller.organization();
    let teams = store::list(&app.db, organization, &name, &paging.span()?).await?;
    let total = paging.total(store::count(&app.db, organization, &name)).await?;
    Ok(Json(paging.page(teams, total, |team| team.id)))
}

async fn get(State(app): State<App>, caller: Caller, Path(id): Path<TeamId>) -> Answer<Json<Team>> {
    caller.may(Action::IamReadTeams, &Resource::Iam).await?;
    app.team(&caller, id).await.map(Json)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateTeam>,
) -> Answer<Response> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    let name = text::name("name", &body.name).map_err(Error::Text)?;
    let description = describe(body.description)?;
    let labels = label(&app, body.labels)?.unwrap_or_default();
    // Earlier releases do not know a team that nobody has described.
    let description = description.or_else(|| (!reads_labels(&app)).then(String::new));
    let id = key.as_ref().map_or_else(TeamId::generate, |key| TeamId::from_uuid(key.derived_id("team")));
    let put = TeamPut { id, name, description, predefined: false, labels };
    let response = app
        .write(Mutation::by(&caller, "team.create").under(key), move |tx| {
            Box::pin(async move {
                let team = put_team(tx, put).await?;
                Ok(tx.answer(&id.to_string(), StatusCode::CREATED, &team).await?)
            })
        })
        .await?;
    app.wait_visible_to(&caller).await;
    Ok(response)
}

/// Whether every region keeps what [`TeamPut`] says since [`LABELS_GENERATION`].
fn reads_labels(app: &App) -> bool {
    app.decider.replication.all_read(LABELS_GENERATION)
}

fn describe(given: Option<String>) -> Result<Option<String>, Error> {
    given.map(|words| text::description("description", &words)).transpose().map_err(Error::Text)
}

/// The labels of a request, if it has any.
fn label(app: &App, given: Option<BTreeMap<String, Option<String>>>) -> Result<Option<Labels>, Error> {
    let labels = given.map(labels::check).transpose().map_err(Error::Text)?;
    match &labels {
        Some(labels) if !labels.is_empty() && !reads_labels(app) => Err(Error::LabelsTooEarly),
        _ => Ok(labels),
    }
}

/// Writes a team and reads it back.
async fn put_team(tx: &mut Tx<'_>, put: TeamPut) -> Answer<Team> {
    let (organization, id) = (tx.organization(), put.id);
    tx.append(Operation::TeamPut(put)).await?;
    if store::shares_name(tx.connection(), organization, id).await? {
        return Err(Error::NameTaken.into());
    }
    let team = store::find(tx.connection(), organization, id).await?;
    Ok(team.ok_or(Error::NotFound)?)
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TeamId>,
    Json(body): Json<UpdateTeam>,
) -> Answer<Json<Team>> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    let name = body.name.map(|name| text::name("name", &name)).transpose().map_err(Error::Text)?;
    let description = describe(body.description)?;
    let labels = label(&app, body.labels)?;
    require_custom(&app.team(&caller, id).await?)?;

    app.write(Mutation::by(&caller, "team.update"), move |tx| {
        Box::pin(async move {
            let organization = tx.organization();
            let before = store::find(tx.connection(), organization, id).await?;
            let before = before.ok_or(Error::NotFound)?;
            let put = TeamPut {
                id,
                name: name.unwrap_or(before.name),
                description: description.or(before.description),
                predefined: false,
                labels: labels.unwrap_or(before.labels),
            };
            tx.audit(&id.to_string()).await?;
            put_team(tx, put).await
        })
    })
    .await
    .map(Json)
}

async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<TeamId>) -> Answer<StatusCode> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    require_custom(&app.team(&caller, id).await?)?;

    app.write(Mutation::by(&caller, "team.delete"), move |tx| {
        Box::pin(async move {
            tx.append(Operation::TeamRemoved { id }).await?;
            tx.audit(&id.to_string()).await?;
            Ok(())
        })
    })
    .await?;
    app.wait_visible_to(&caller).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_users(
    state: State<App>,
    caller: Caller,
    team: Path<TeamId>,
    paging: Query<Paging>,
) -> Answer<Json<Listed<Member>>> {
    list_members(state, caller, team, paging, Kind::User).await
}

async fn list_accounts(
    state: State<App>,
    caller: Caller,
    team: Path<TeamId>,
    paging: Query<Paging>,
) -> Answer<Json<Listed<Member>>> {
    list_members(state, caller, team, paging, Kind::SystemAccount).await
}

async fn list_members(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<TeamId>,
    Query(paging): Query<Paging>,
    kind: Kind,
) -> Answer<Json<Listed<Member>>> {
    caller.may(Action::IamReadTeams, &Resource::Iam).await?;
    app.team(&caller, team).await?;
    let members = store::members(&app.db, team, kind, &paging.span()?).await?;
    let members = members.into_iter().map(|id| Member { id }).collect();
    let total = paging.total(store::count_members_of(&app.db, team, kind)).await?;
    Ok(Json(paging.page(members, total, |member: &Member| member.id)))
}

async fn add_user(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<TeamId>,
    key: Option<Key>,
    Json(body): Json<AddUser>,
) -> Answer<Response> {
    add_member(&app, &caller, team, body.id, Kind::User, key).await
}

async fn add_account(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<TeamId>,
    key: Option<Key>,
    Json(body): Json<AddAccount>,
) -> Answer<Response> {
    add_member(&app, &caller, team, body.account_id, Kind::SystemAccount, key).await
}

/// A new member receives everything that the team holds, so the caller has to hold all of that too.
async fn add_member(
    app: &App,
    caller: &Caller,
    team: TeamId,
    principal: PrincipalId,
    kind: Kind,
    key: Option<Key>,
) -> Answer<Response> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    app.team(caller, team).await?;
    app.require_principal(caller, principal, kind).await?;
    let (holder, seen, asker) = (Holder::Team(team), caller.seen(), Asker::from(&caller.session));
    let given =
        app.decider.check_giving(&asker, &seen, |index, asking| index.confer_rests_on(asking, holder));
    if !caller.learns(&given.await?)? {
        return Err(Error::HoldsMore.into());
    }
    let response = app
        .write(Mutation::by(caller, "team.add-member").under(key), move |tx| {
            Box::pin(async move {
                if store::is_member(tx.connection(), team, principal).await? {
                    return Err(Error::MemberAlready.into());
                }
                tx.append(Operation::MemberAdded { team_id: team, principal_id: principal }).await?;
                if !store::is_member(tx.connection(), team, principal).await? {
                    return Err(Error::AuthorityRevoked.into());
                }
                Ok(tx.answer(&team.to_string(), StatusCode::CREATED, &Member { id: principal }).await?)
            })
        })
        .await?;
    app.wait_visible_to(caller).await;
    Ok(response)
}

async fn remove_member(
    State(app): State<App>,
    caller: Caller,
    Path((team, principal)): Path<(TeamId, PrincipalId)>,
) -> Answer<StatusCode> {
    caller.may(Action::IamManageTeams, &Resource::Iam).await?;
    let found = app.team(&caller, team).await?;
    if !store::is_member(&app.db, team, principal).await? {
        app.decider.settle(&caller.session.vector).await?;
    }
    app.write(Mutation::by(&caller, "team.remove-member"), move |tx| {
        Box::pin(async move {
            if !store::is_member(tx.connection(), team, principal).await? {
                return Err(Error::MemberNotFound.into());
            }
            if found.system_team {
                keep_an_administrator(tx, team).await?;
            }
            tx.append(Operation::MemberRemoved { team_id: team, principal_id: principal }).await?;
            mapped::forget(tx, team, principal).await?;
            tx.audit(&team.to_string()).await?;
            Ok(())
        })
    })
    .await?;
    app.wait_visible_to(&caller).await;
    Ok(StatusCode::NO_CONTENT)
}

/// An organization that nobody administers could never be administered again.
async fn keep_an_administrator(tx: &mut Tx<'_>, team: TeamId) -> Answer<()> {
    if store::count_members(tx.connection(), team).await? <= 1 {
        return Err(Error::LastAdministrator.into());
    }
    Ok(())
}
