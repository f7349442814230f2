//! Is it live yet? How many nodes have applied a version, with an optional wait: what scripts use in place of a sleep.

use std::time::Duration;

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use ids::ControlPlaneId;
use postgres::{Error, SqlId};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use web::{Answer, Api, Endpoint, Json, Path, Problem, Query};

use crate::App;

/// Longest wait that a request may ask for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks while waiting.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub fn endpoints(api: Api<App>) -> Api<App> {
    const PATH: &str = "/v2/control-planes/{control_plane_id}/propagation";
    const EXPECTED: &str = "/v2/control-planes/{control_plane_id}/expected-config-version";
    api.endpoint(
        Endpoint::get(PATH, "Which connected nodes have applied a version (`?version=7&wait=5s`)")
            .answers::<Propagation>(StatusCode::OK),
        propagation,
    )
    .endpoint(
        Endpoint::get(EXPECTED, "The version that nodes should have").answers::<Expected>(StatusCode::OK),
        expected,
    )
}

#[derive(Deserialize)]
struct Asked {
    version: Option<u64>,
    /// As in `5s` or `500ms`.
    wait: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Propagation {
    version: u64,
    /// Connected nodes.
    nodes: u64,
    /// Connected nodes that have applied `version` or a newer one.
    applied: u64,
    /// Whether all connected nodes have, and there is one.
    complete: bool,
}

#[derive(Serialize, ToSchema)]
struct Expected {
    expected_config_version: u64,
}

async fn expected(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<Json<Expected>> {
    let found = app.control_plane(&caller, id, Action::CpRetrieve).await?;
    Ok(Json(Expected { expected_config_version: found.version }))
}

async fn propagation(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(asked): Query<Asked>,
) -> Answer<Json<Propagation>> {
    let found = app.control_plane(&caller, id, Action::NodeList).await?;
    let version = asked.version.unwrap_or(found.version);
    if i64::try_from(version).is_err() {
        return Err(Problem::invalid_parameter("version", &format!("at most {}", i64::MAX)));
    }
    let wait = asked.wait.as_deref().map_or(Ok(Duration::ZERO), parse_wait)?;
    let deadline = Instant::now() + wait;
    loop {
        let (nodes, applied) = count(&app, id, version).await?;
        let complete = nodes > 0 && applied == nodes;
        if complete || Instant::now() >= deadline {
            return Ok(Json(Propagation { version, nodes, applied, complete }));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

async fn count(app: &App, id: ControlPlaneId, version: u64) -> Result<(u64, u64), Error> {
    let (nodes, applied): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE digest_matches AND applied_epoch = c.epoch AND applied_version >= $2)
         FROM regional.node JOIN regional.control_plane AS c ON c.id = control_plane_id
         WHERE control_plane_id = $1 AND removed_at IS NULL AND left_at IS NULL
           AND last_seen_at > now() - make_interval(secs => $3)",
    )
    .bind(SqlId(id))
    .bind(version.cast_signed())
    .bind(sync::limits::LEASE.as_secs_f64())
    .fetch_one(&app.db)
    .await?;
    Ok((nodes.cast_unsigned(), applied.cast_unsigned()))
}

fn parse_wait(text: &str) -> Answer<Duration> {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(|number| number.parse().ok()).map(Duration::from_secs),
    };
    parsed.filter(|wait| *wait <= WAIT_MAX).ok_or_else(|| {
        let reason = format!("a duration of at most {}s, as in `5s` or `500ms`", WAIT_MAX.as_secs());
        Problem::invalid_parameter("wait", &reason)
    })
}
