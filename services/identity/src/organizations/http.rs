//! Organizations over HTTP, and the directory by which requests are forwarded to an organization's home region.

use access::Caller;
use axum::{extract::State, http::StatusCode};
use futures::future::BoxFuture;
use ids::{OrganizationId, Region};
use service::Homes;
use sqlx::PgPool;
use web::{Api, Endpoint, Json, Problem, Protection};

use super::{Error, Organization, store};
use crate::{app::App, error::Answer};

/// Adds the endpoints of organizations.
pub fn endpoints(api: Api<App>) -> Api<App> {
    // decK asks at the earlier path.
    ["/v3/organizations/me", "/v2/organizations/me"].into_iter().fold(api, |api, path| {
        let me = Endpoint::get(path, "The organization of the caller");
        api.endpoint(me.protection(Protection::Caller).answers::<Organization>(StatusCode::OK), self::me)
    })
}

async fn me(State(app): State<App>, caller: Caller) -> Answer<Json<Organization>> {
    arrived(&app.db, caller.organization()).await.map(Json)
}

/// The organization of somebody whose token was accepted. It exists; where it is not here yet, the answer is 503.
async fn arrived(db: &PgPool, id: OrganizationId) -> Answer<Organization> {
    Ok(store::find(db, id).await?.ok_or(Error::NotArrived)?)
}

/// Tells each organization's home region, from the replicated rows of this database.
pub struct Directory(pub PgPool);

impl Homes for Directory {
    fn home(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Region, Problem>> {
        Box::pin(async move { Ok(arrived(&self.0, organization).await?.home_region) })
    }
}
