//! `GET /v1/regions`: which regions there are, and how far each is. `GET /v1/consistency/{token}`: where a write has
//! arrived.

use std::{collections::BTreeMap, time::Duration};

use crate::Answer;
use access::Caller;
use axum::{extract::State, http::StatusCode};
use ids::Region;
use proto::identity::v1::{Region as IdentityRegion, RegionsRequest};
use replication::{Token, Vector};
use replication_runtime::RegionStatus;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Path, Problem, Protection};

use crate::app::App;

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
    /// Whether both its identity and its authz were heard within the last second.
    reachable: bool,
    /// Milliseconds since both were last heard; absent if they never were.
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

impl RegionView {
    /// A region as authz and identity know it: as good as the worse of the two.
    fn of(status: RegionStatus, identity: Option<&IdentityRegion>) -> Self {
        let own = status.behind.iter().map(|lag| Behind {
            origin: lag.origin.to_string(),
            operations: lag.entries,
            lasting_ms: milliseconds(lag.lasting),
        });
        let other = identity.into_iter().flat_map(|region| &region.behind).map(|behind| Behind {
            origin: behind.origin.clone(),
            operations: behind.operations,
            lasting_ms: behind.lasting_ms,
        });
        let heard = status.heard_ago.map(milliseconds).zip(identity.and_then(|region| region.heard_ms_ago));
        Self {
            name: status.region.to_string(),
            here: status.here,
            api: status.public.api,
            sync: status.public.sync,
            reachable: status.reachable && identity.is_some_and(|region| region.reachable),
            heard_ms_ago: heard.map(|(authz, identity)| authz.max(identity)),
            fenced: status.fenced || identity.is_some_and(|region| region.fenced),
            behind: own.chain(other).collect(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn list(State(app): State<App>) -> Answer<Json<Regions>> {
    let identity = app.regions_of_identity().await?;
    let view = |status: RegionStatus| {
        let same = identity.iter().find(|region| region.name == status.region.as_str());
        RegionView::of(status, same)
    };
    Ok(Json(Regions { data: app.replication.status().into_iter().map(view).collect() }))
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
    held.entry(app.region.clone()).or_default().merge(&app.log.replica().read_state().await?.vector());
    for region in app.regions_of_identity().await? {
        let name = region.name.parse().map_err(Problem::internal)?;
        let vector = Vector::from_wire(&region.held).map_err(Problem::internal)?;
        held.entry(name).or_default().merge(&vector);
    }
    let regions: Vec<ArrivalIn> = held
        .into_iter()
        .map(|(region, held)| ArrivalIn { region: region.to_string(), arrived: held.covers(&token.vector) })
        .collect();
    Ok(Json(Arrival { everywhere: regions.iter().all(|region| region.arrived), regions }))
}

impl App {
    /// The regions as the region's identity knows them.
    async fn regions_of_identity(&self) -> Answer<Vec<IdentityRegion>> {
        let answer = self.identity.clone().regions(RegionsRequest {}).await.map_err(|status| {
            Problem::unavailable("identity cannot be asked now; try again").because(status)
        });
        Ok(answer?.into_inner().regions)
    }
}
