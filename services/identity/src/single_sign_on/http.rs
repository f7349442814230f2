//! Sign-on by OpenID Connect over HTTP. Browsers come here, by way of links and redirections.

use std::time::Duration;

use access::Makers;
use axum::{extract::State, response::Response};
use web::{Api, Endpoint, Given, Parameter, Path, Problem, ProblemType, Query, QueryParameters, Values};

use super::{CALLBACK, callback, start};
use crate::{app::App, error::Answer, home::Navigation};

/// Longest wait for a provider in one request: less than a region waits for an organization's home.
pub(super) const PROVIDER_WAIT: Duration = Duration::from_secs(8);
/// Longest code, state and issuer of a provider, characters.
const PARAMETER_CHARS_MAX: usize = 4096;
/// Examples of refusals.
const NOBODY: &str =
    "nobody signs on here; check organization and login path, and whether single sign-on is on";
const NO_CONSOLE: &str = "there is no console to sign on to; set console.origins in the settings of identity";
const UNKNOWN: &str = "the sign-on is unknown, over, used, or was begun in another browser; begin again";
const REFUSED: &str =
    "your e-mail address is in no domain that the organization has verified; ask an administrator";
const NOT_HERE_YET: &str = "authz has not applied yet who the person is; try again";

/// Adds the endpoints.
pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get(
            "/v3/authenticate/{organization}/{login_path}",
            "Sign on by an identity provider: sends a browser there; no second factor is asked for here",
        )
        .bounded()
        .query::<Start>()
        .redirects()
        .refuses(ProblemType::Unauthenticated, UNKNOWN)
        .refuses(ProblemType::NotFound, NOBODY)
        .refuses(ProblemType::Conflict, NO_CONSOLE)
        .refuses(ProblemType::NotYetReplicated, NOT_HERE_YET),
        begin,
    )
    .endpoint(
        Endpoint::get(CALLBACK, "Where an identity provider sends a browser back to; goes on to the console")
            .with_credential(UNKNOWN)
            .query::<Callback>()
            .ignores_other_parameters()
            .redirects()
            .refuses(ProblemType::NotFound, NOBODY)
            .refuses(ProblemType::Conflict, NO_CONSOLE)
            .refuses(ProblemType::Forbidden, REFUSED)
            .refuses(ProblemType::NotYetReplicated, NOT_HERE_YET),
        come_back,
    )
}

/// Where to go afterwards.
pub struct Start {
    /// A path of the console.
    pub return_to: Option<String>,
}

impl QueryParameters for Start {
    fn parameters() -> Vec<Parameter> {
        let meaning = "The path of the console's page that comes afterwards; `/` unless given.";
        vec![Parameter::text("return_to", meaning, "/teams")]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { return_to: given.text("return_to").map(str::to_owned) })
    }
}

/// What a provider sends a browser back with (OpenID Connect Core 1.0, section 3.1.2.5; RFC 9207). It may send more, which says nothing here.
pub struct Callback {
    /// What becomes tokens.
    pub code: Option<String>,
    /// Which sign-on it is.
    pub state: Option<String>,
    /// Who sends it back.
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

impl QueryParameters for Callback {
    fn parameters() -> Vec<Parameter> {
        let values = Values::Text { chars_max: PARAMETER_CHARS_MAX };
        let parameter = |name, meaning, example| Parameter::new(name, values, meaning, example);
        vec![
            parameter("code", "What the provider gives tokens for.", "SplxlOBeZQQYbYS6WxSbIA"),
            parameter("state", "Which sign-on it is.", "lbf_0198_af"),
            parameter("iss", "The provider, as it names itself.", "https://id.example.com"),
            parameter("error", "Why there is no code.", "access_denied"),
        ]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        let text = |name| given.text(name).map(str::to_owned);
        Ok(Self { code: text("code"), state: text("state"), iss: text("iss"), error: text("error") })
    }
}

async fn begin(
    State(app): State<App>,
    Path((organization, login_path)): Path<(String, String)>,
    Query(query): Query<Start>,
    Navigation(arrived): Navigation,
) -> Answer<Response> {
    start::start(&app, (&organization, &login_path), &query, &arrived).await
}

async fn come_back(
    State(app): State<App>,
    makers: Makers,
    Query(query): Query<Callback>,
    Navigation(arrived): Navigation,
) -> Answer<Response> {
    callback::come_back(&app, &makers, &query, arrived).await
}
