//! Sessions over HTTP: signing on, going on, and ending.

use access::{Caller, Makers, Unavailable, Vector};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use ids::{TokenId, UserId};
use mutation::{Mutation, audit::Outcome};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Listed, Paging, Path, ProblemType, Protection, Query};

use super::{
    Error, SignedOn, cookie, refresh, sign_on,
    store::{self, ConsoleSession},
};
use crate::{
    app::App,
    arrivals::WAIT_MAX,
    error::Answer,
    home::Arrived,
    revocations::Ended,
    tokens::{
        self,
        http::{end, oneself},
        store::Root,
    },
};

/// Examples of refusals.
const NOT_SIGNED_ON: &str = "organization, address or password is wrong";
const ENDED: &str = "the session has ended; sign on again";
const NO_CONSOLE: &str = "a cookie counts only from an origin in `console.origins`";
const NOT_HERE_YET: &str = "authz has not applied yet who the person is; try again";

/// Adds the endpoints of sessions.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v3/users/{user_id}/sessions";
    const ONE: &str = "/v3/users/{user_id}/sessions/{session_id}";
    api.endpoint(
        Endpoint::post("/v3/authenticate", "Sign on with a password")
            .with_credential(NOT_SIGNED_ON)
            .refuses(ProblemType::Forbidden, NO_CONSOLE)
            .refuses(ProblemType::NotYetReplicated, NOT_HERE_YET)
            .body::<SignOn>()
            .answers::<SignedOn>(StatusCode::OK),
        post_sign_on,
    )
    .endpoint(
        Endpoint::post(
            "/v3/authenticate/refresh",
            "Go on with a session: a new signed token, and the next refresh token",
        )
        .with_credential(ENDED)
        .refuses(ProblemType::Forbidden, NO_CONSOLE)
        .refuses(ProblemType::NotYetReplicated, NOT_HERE_YET)
        .body::<Refresh>()
        .answers::<SignedOn>(StatusCode::OK),
        post_refresh,
    )
    .endpoint(
        Endpoint::get(ALL, "List your sessions (`me` stands for your id)")
            .home()
            .protection(Protection::Caller)
            .query::<Paging>()
            .answers::<Listed<ConsoleSession>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::delete(ALL, "Sign out everywhere: end all your sessions; your access tokens go on")
            .home()
            .protection(Protection::Caller),
        end_all,
    )
    .endpoint(
        Endpoint::delete(
            ONE,
            "Sign out: end one of your sessions (`current` stands for the one of this request)",
        )
        .protection(Protection::Caller),
        end_one,
    )
}

/// The body of a request that signs on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignOn {
    /// The organization's id or name.
    pub organization: String,
    /// The person's address.
    pub email: String,
    /// The person's password.
    pub password: String,
    /// A code of the person's second factor, or a recovery code. Without it, whoever has one is answered 400 with the field `totp`.
    pub totp: Option<String>,
    /// Whether a browser keeps the refresh token, in a cookie. For pages of an origin in `console.origins`, with the header
    /// `Landbridge-Console`.
    #[serde(default)]
    pub cookie: bool,
}

/// The body of a request that goes on with a session.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token of the answer before. Not needed where it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Whether it is in a cookie, and the next one is to be.
    #[serde(default)]
    pub cookie: bool,
}

async fn post_sign_on(State(app): State<App>, makers: Makers, arrived: Arrived<SignOn>) -> Answer<Response> {
    sign_on::sign_on(&app, &makers, &arrived).await
}

async fn post_refresh(State(app): State<App>, makers: Makers, arrived: Arrived<Refresh>) -> Answer<Response> {
    refresh::go_on(&app, &makers, &arrived).await
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<ConsoleSession>>> {
    let person: UserId = oneself(&caller, &user)?.cast();
    let now = app.clock.now();
    let sessions = store::list(&app.db, person, &paging.span()?, now).await?;
    let total = paging.total(store::count(&app.db, person, now)).await?;
    Ok(Json(paging.page(sessions, total, |session| session.id)))
}

async fn end_one(
    State(app): State<App>,
    caller: Caller,
    Path((user, session)): Path<(String, String)>,
) -> Answer<Response> {
    let principal = oneself(&caller, &user)?;
    let id: TokenId = match session.as_str() {
        "current" => caller.session.id,
        id => id.parse().map_err(|_| Error::Absent)?,
    };
    let root = async || tokens::store::root(&app.db, caller.organization(), id).await;
    let found = match root().await? {
        Some(found) => Some(found),
        // Home has signed the caller's token, so its entry is on its way.
        None if id == caller.session.id => Some(arrival(&app, &caller).await?),
        None => {
            app.settle().await?;
            root().await?
        }
    };
    if !found.is_some_and(|found| found.is_session) {
        return Err(Error::Absent.into());
    }
    let mutation = Mutation::by(&caller, "sign-out").authenticates(Outcome::Allowed);
    let status = end(&app, &caller, mutation, principal, id).await?;
    Ok(forgotten(status))
}

/// The session or token of the caller, once it has arrived from the region where it began. Waits two seconds at most, then says 503.
async fn arrival(app: &App, caller: &Caller) -> Answer<Root> {
    let mut applied = app.log.replica().watch_applied();
    let arrived = async {
        loop {
            applied.borrow_and_update();
            let root = tokens::store::root(&app.db, caller.organization(), caller.session.id).await?;
            if let Some(root) = root {
                return Answer::Ok(root);
            }
            if applied.changed().await.is_err() {
                return Err(Unavailable::not_yet(Vector::default()).into());
            }
        }
    };
    let late = |_| Err(Unavailable::not_yet(Vector::default()).into());
    timeout(WAIT_MAX, arrived).await.unwrap_or_else(late)
}

async fn end_all(State(app): State<App>, caller: Caller, Path(user): Path<String>) -> Answer<Response> {
    let principal = oneself(&caller, &user)?;
    let mutation = Mutation::by(&caller, "sign-out.all").authenticates(Outcome::Allowed);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            let now = tx.at();
            for (id, ends_at) in tokens::store::usable_sessions(tx.connection(), principal, now).await? {
                tokens::revoke_session(tx, id, ends_at).await?;
            }
            tx.audit(&principal.to_string()).await?;
            Answer::Ok(())
        })
    });
    work.await?;
    app.announcer.announce(Ended::Any).await;
    // Sessions that an earlier request has ended count too: it may have been told to try again.
    let written = app.log.replica().organization_vector(caller.organization()).await?;
    let seq = written.get(app.log.origin()).map_or(0, |position| position.seq);
    app.outbox.wait_applied(&caller, seq).await.map_err(|_| tokens::Error::StillHonoured)?;
    Ok(forgotten(StatusCode::NO_CONTENT))
}

/// The answer after which a browser has no cookie any more.
fn forgotten(status: StatusCode) -> Response {
    (status, [(header::SET_COOKIE, cookie::clear())]).into_response()
}
