//! `GET /v1/regions`: which regions there are, and how far each one is. `GET /v1/consistency/{token}`: where the writes behind a
//! token have arrived.

use std::collections::BTreeMap;

use access::Caller;
use axum::{extract::State, http::StatusCode};
use ids::Region;
use proto::identity::v1::identity_client::IdentityClient;
use replication::{Token, Vector};
use replication_runtime::RegionStatus;
use telemetry::TracedChannel;
use web::{Api, Endpoint, Json, Path, Protection};

use super::{Arrival, Error, RegionView, Regions, held_there, known_to_identity};
use crate::{Answer, app::App, decisions::Decider};

/// Adds the endpoints.
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

async fn list(
    State(decider): State<Decider>,
    State(identity): State<IdentityClient<TracedChannel>>,
) -> Answer<Json<Regions>> {
    let known = known_to_identity(&identity).await?;
    let view = |status: RegionStatus| {
        let same = known.iter().find(|region| region.name == status.region.as_str());
        RegionView::of(status, same)
    };
    Ok(Json(Regions { data: decider.replication.status().into_iter().map(view).collect() }))
}

async fn arrival(State(app): State<App>, caller: Caller, Path(token): Path<String>) -> Answer<Json<Arrival>> {
    let token = Token::open(&token, &app.key).ok();
    let token = token.filter(|token| token.organization == caller.organization());
    let token = token.ok_or(Error::TokenNotFound)?;
    let mut held: BTreeMap<Region, Vector> = BTreeMap::new();
    for status in app.decider.replication.status() {
        held.entry(status.region).or_default().merge(&status.held);
    }
    // What other regions hold is known as of their last message; what is held here, as of now.
    let here = app.log.replica().read_state().await?.vector();
    held.entry(app.region).or_default().merge(&here);
    for region in known_to_identity(&app.identity).await? {
        let (name, vector) = held_there(&region)?;
        held.entry(name).or_default().merge(&vector);
    }
    Ok(Json(Arrival::of(&token.vector, held)))
}
