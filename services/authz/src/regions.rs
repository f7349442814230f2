//! `GET /v1/regions`: which regions there are, and how far each is. `GET /v1/consistency/{token}`: where a write has
//! arrived.

use std::{collections::BTreeMap, time::Duration};

use access::Caller;
use axum::{extract::State, http::StatusCode};
use ids::Region;
use proto::identity::v1::HeldRequest;
use replication::{Token, Vector};
use replicator::RegionStatus;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Answer, Api, Endpoint, Json, Path, Problem, Protection};

use crate::App;

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get("/v1/regions", "The regions: addresses, reachability, lag")
            .protection(Protection::Caller)
            .answers::<Regions>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::get("/v1/consistency/{token}", "Where the writes behind a consistency token have arrived")
            .protection(Protection::Caller)
            .answers::<Arrival>(StatusCode::OK),
        arrival,
    )
}

#[derive(Serialize, ToSchema)]
struct Regions {
    data: Vec<RegionView>,
}

#[derive(Serialize, ToSchema)]
struct RegionView {
    name: String,
    /// Whether it is the region that answers.
    here: bool,
    /// Where all its APIs and enrolment are.
    api: String,
    /// Where nodes connect to, `host:port` each.
    sync: Vec<String>,
    /// Whether it was heard within the last second.
    reachable: bool,
    /// Milliseconds since it was last heard; absent if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_ms_ago: Option<u64>,
    /// Whether it takes no writes of replicated data: its database was started anew, and nobody has confirmed yet that it is
    /// whole.
    fenced: bool,
    /// What of the other regions' writes it has not applied, as far as this region knows.
    behind: Vec<Behind>,
}

/// How far a region is behind one log.
#[derive(Serialize, ToSchema)]
struct Behind {
    /// `<service>.<region>`.
    origin: String,
    operations: u64,
    /// How long it has been behind, milliseconds.
    lasting_ms: u64,
}

impl From<RegionStatus> for RegionView {
    fn from(status: RegionStatus) -> Self {
        let behind = status.behind.into_iter().map(|lag| Behind {
            origin: lag.origin.to_string(),
            operations: lag.operations,
            lasting_ms: milliseconds(lag.lasting),
        });
        Self {
            name: status.region.to_string(),
            here: status.here,
            api: status.public.api,
            sync: status.public.sync,
            reachable: status.reachable,
            heard_ms_ago: status.heard_ago.map(milliseconds),
            fenced: status.fenced,
            behind: behind.collect(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn list(State(app): State<App>) -> Json<Regions> {
    Json(Regions { data: app.replication.status().into_iter().map(RegionView::from).collect() })
}

#[derive(Serialize, ToSchema)]
struct Arrival {
    /// Whether every region has everything.
    everywhere: bool,
    regions: Vec<ArrivalIn>,
}

#[derive(Serialize, ToSchema)]
struct ArrivalIn {
    region: String,
    /// As far as this region knows; a region that cannot be reached may be further.
    arrived: bool,
}

async fn arrival(State(app): State<App>, caller: Caller, Path(token): Path<String>) -> Answer<Json<Arrival>> {
    let token = Token::open(&token, &app.key).ok();
    let token = token.filter(|token| token.organization == caller.organization());
    let token = token.ok_or_else(|| Problem::not_found("consistency token"))?;
    let mut held: BTreeMap<Region, Vector> = BTreeMap::new();
    for status in app.replication.status() {
        held.entry(status.region).or_default().merge(&status.held);
    }
    // What other regions hold is known as of their last word; what is held here, as of now.
    held.entry(app.region.clone()).or_default().merge(&app.log.refresh().await?);
    for (region, vector) in app.held_by_identity().await? {
        held.entry(region).or_default().merge(&vector);
    }
    let regions: Vec<ArrivalIn> = held
        .into_iter()
        .map(|(region, held)| ArrivalIn { region: region.to_string(), arrived: held.covers(&token.vector) })
        .collect();
    Ok(Json(Arrival { everywhere: regions.iter().all(|region| region.arrived), regions }))
}

impl App {
    /// What each region holds of identity's logs.
    async fn held_by_identity(&self) -> Answer<Vec<(Region, Vector)>> {
        let unavailable = |cause: &dyn std::fmt::Display| {
            tracing::warn!(%cause, "identity could not be asked what regions hold");
            Problem::unavailable("identity cannot be asked now; try again")
        };
        let answer =
            self.identity.clone().held(HeldRequest {}).await.map_err(|status| unavailable(&status))?;
        let regions = answer.into_inner().regions.into_iter().map(|held| {
            let region = held.region.parse().map_err(|error| unavailable(&error))?;
            Ok((region, Vector::from_wire(&held.held).map_err(|error| unavailable(&error))?))
        });
        regions.collect()
    }
}
