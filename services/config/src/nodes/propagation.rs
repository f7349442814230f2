//! How many nodes have applied a version, with an optional wait. Scripts use it in place of a sleep.

use std::time::Duration;

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use ids::ControlPlaneId;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use web::{
    Api, Endpoint, Given, Json, Parameter, Path, Problem, ProblemType, Query, QueryParameters, Values,
};

use super::{Nodes, store};
use crate::{app::App, control_planes::ControlPlanes, error::Answer};

/// Longest wait that a request may ask for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// When somebody comes back where very many wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Adds the endpoints that tell how far the nodes have come.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const PATH: &str = "/v2/control-planes/{control_plane_id}/propagation";
    const EXPECTED: &str = "/v2/control-planes/{control_plane_id}/expected-config-version";
    const HASH: &str = "/v2/control-planes/{control_plane_id}/expected-config-hash";
    api.endpoint(
        Endpoint::get(PATH, "Which connected nodes have applied a version (`?version=7&wait=5s`)")
            .query::<Asked>()
            .refuses(ProblemType::TooManyRequests, "very many requests wait for versions already")
            .answers::<Propagation>(StatusCode::OK),
        propagation,
    )
    .endpoint(
        Endpoint::get(HASH, "The digest that nodes in sync show as `config_hash`")
            .answers::<ExpectedHash>(StatusCode::OK),
        expected_hash,
    )
    .endpoint(
        Endpoint::get(EXPECTED, "The version that nodes should have").answers::<Expected>(StatusCode::OK),
        expected,
    )
}

struct Asked {
    /// `None` asks about the newest one.
    version: Option<u64>,
    wait: Duration,
}

impl QueryParameters for Asked {
    fn parameters() -> Vec<Parameter> {
        let versions = Values::Number { min: 0, max: i64::MAX.unsigned_abs() };
        let waits =
            "How long to wait until all connected nodes have applied it, at most 30s, as in `5s` or `500ms`.";
        vec![
            Parameter::new("version", versions, "The version asked about; the newest one if absent.", "7"),
            Parameter::text("wait", waits, "5s").default("0s"),
        ]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        let wait = given.text("wait").map_or(Ok(Duration::ZERO), parse_wait)?;
        Ok(Self { version: given.number("version"), wait })
    }
}

#[derive(Serialize, ToSchema)]
struct Propagation {
    version: u64,
    /// How many nodes are connected.
    nodes: u64,
    /// How many of them have applied `version` or a newer one.
    applied: u64,
    /// Whether at least one node is connected, and all connected nodes have applied `version`.
    complete: bool,
}

#[derive(Serialize, ToSchema)]
struct Expected {
    expected_config_version: u64,
}

#[derive(Serialize, ToSchema)]
struct ExpectedHash {
    /// Digest of the control plane's entities, in hexadecimal.
    expected_hash: String,
    /// When the control plane was created, in seconds since 1970.
    created_at: i64,
    /// When its configuration last changed, in seconds since 1970.
    updated_at: i64,
}

async fn expected_hash(
    State(planes): State<ControlPlanes>,
    State(nodes): State<Nodes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<Json<ExpectedHash>> {
    let found = planes.authorize(&caller, id, Action::CpRetrieve).await?;
    let (digest, changed_at) = store::expected(&nodes.db, id).await?;
    Ok(Json(ExpectedHash {
        expected_hash: digest.to_string(),
        created_at: found.created_at.unix_timestamp(),
        updated_at: changed_at.unix_timestamp(),
    }))
}

async fn expected(
    State(planes): State<ControlPlanes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<Json<Expected>> {
    let found = planes.authorize(&caller, id, Action::CpRetrieve).await?;
    Ok(Json(Expected { expected_config_version: found.version }))
}

async fn propagation(
    State(planes): State<ControlPlanes>,
    State(nodes): State<Nodes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(asked): Query<Asked>,
) -> Answer<Json<Propagation>> {
    let found = planes.authorize(&caller, id, Action::NodeList).await?;
    let version = asked.version.unwrap_or(found.version);
    let mut spread = store::spread(&nodes.db, id).await?;
    if !spread.is_complete(version) && !asked.wait.is_zero() {
        caller.gives_up_turn();
        let waited = nodes.progress.wait(id, version, Instant::now() + asked.wait).await;
        waited.map_err(|error| Problem::too_many_requests(error.to_string(), RETRY_AFTER))?;
        spread = store::spread(&nodes.db, id).await?;
    }
    let (connected, applied) = (spread.nodes(), spread.applied(version));
    Ok(Json(Propagation { version, nodes: connected, applied, complete: spread.is_complete(version) }))
}

fn parse_wait(text: &str) -> Result<Duration, Problem> {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(|number| number.parse().ok()).map(Duration::from_secs),
    };
    parsed.filter(|wait| *wait <= WAIT_MAX).ok_or_else(|| {
        let reason = format!("a duration of at most {}s, as in `5s` or `500ms`", WAIT_MAX.as_secs());
        Problem::invalid_parameter("wait", &reason)
    })
}
