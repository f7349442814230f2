//! `/config-stores`: config stores and their secrets in the paths and forms of Konnect's API. They are entities like every other; only their
//! values are never shown here, and a secret is found by its key.

mod secrets;
mod stores;

use access::Action;
use axum::extract::State;
use gateway_model::Kind;
use ids::ControlPlaneId;
use serde::Deserialize;
use uuid::Uuid;
use web::{Api, Cursor, Endpoint, Problem, ProblemType};

use super::{KEY_TAKEN, TOO_MANY, TOO_MANY_WAIT};
use crate::{
    app::App,
    control_planes::ControlPlanes,
    entities::{
        Entities,
        committer::{Outcome, Shown},
        plan::Selector,
        store::{self, EntityRow, Filter},
    },
    error::Answer,
};

const READ: Action = Action::ConfigStoreRead;
const WRITE: Action = Action::ConfigStoreWrite;

#[derive(Deserialize)]
struct AtStore {
    control_plane_id: ControlPlaneId,
    config_store_id: Uuid,
}

type Planes = State<ControlPlanes>;
type All = State<Entities>;

/// Adds the endpoints of config stores and of their secrets.
pub fn endpoints(api: Api<App>) -> Api<App> {
    secrets::endpoints(stores::endpoints(api))
}

/// An endpoint that may find a name taken, or no room.
fn makes(endpoint: Endpoint) -> Endpoint {
    endpoint
        .refuses(ProblemType::Conflict, KEY_TAKEN)
        .refuses(ProblemType::LimitReached, TOO_MANY)
        .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
}

/// What a write left, which is there.
fn left<T: From<Shown>>(outcome: Outcome) -> Answer<T> {
    match outcome {
        Outcome::Stands(shown) => Ok((*shown).into()),
        _ => Err(Problem::internal("a write that makes an entity left none").into()),
    }
}

impl Entities {
    /// The config store that a path names; 404 if it is not there.
    async fn config_store(&self, at: &AtStore) -> Answer<EntityRow> {
        let selector = Selector::Id(at.config_store_id);
        let row = self.find(at.control_plane_id, Kind::ConfigStore, &selector).await?;
        Ok(row.ok_or_else(|| Problem::not_found(Kind::ConfigStore.label()))?)
    }

    /// One more entity than a page has, as they are shown.
    async fn page(
        &self,
        id: ControlPlaneId,
        kind: Kind,
        filter: Filter,
        cursor: &Cursor,
    ) -> Answer<Vec<Shown>> {
        let listed = store::list(&self.db, id, kind, &filter, cursor.after()?, cursor.limit()).await?;
        let sealing = self.sealing(id);
        let shown = listed.rows.iter().map(|row| row.shown(&sealing));
        Ok(shown.collect::<Result<Vec<_>, _>>()?)
    }
}
