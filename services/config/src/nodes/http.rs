//! `/v2/control-planes/{id}/nodes`.

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use ids::{ControlPlaneId, NodeId};
use mutation::Mutation;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Answer, Api, Cursor, Endpoint, Json, Path, Problem, Query};

use super::{Node, store};
use crate::App;

pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v2/control-planes/{control_plane_id}/nodes";
    const ONE: &str = "/v2/control-planes/{control_plane_id}/nodes/{node_id}";
    api.endpoint(
        Endpoint::get(ALL, "List nodes, with what each of them holds").answers::<Nodes>(StatusCode::OK),
        list,
    )
    .endpoint(Endpoint::get(ONE, "One node").answers::<Item>(StatusCode::OK), get)
    .endpoint(
        Endpoint::delete(ONE, "Remove a node: it is cut off, and its certificate opens nothing any more"),
        remove,
    )
}

#[derive(Serialize, ToSchema)]
struct Nodes {
    items: Vec<Node>,
    page: NodesPage,
}

#[derive(Serialize, ToSchema)]
struct NodesPage {
    total_count: u64,
    /// `page[after]` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Item {
    item: Node,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Nodes>> {
    app.control_plane(&caller, id, Action::NodeList).await?;
    let limit = i64::from(cursor.size()?) + 1;
    let nodes = store::list(&app.db, id, cursor.after()?, limit).await?;
    let page = cursor.page(nodes, |node| node.id)?;
    let total_count = store::count(&app.db, id).await?;
    Ok(Json(Nodes { items: page.data, page: NodesPage { total_count, next: page.meta.page.next } }))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((id, node)): Path<(ControlPlaneId, NodeId)>,
) -> Answer<Json<Item>> {
    app.control_plane(&caller, id, Action::NodeList).await?;
    let found = store::find(&app.db, id, node).await?.ok_or_else(|| Problem::not_found("node"))?;
    Ok(Json(Item { item: found }))
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path((id, node)): Path<(ControlPlaneId, NodeId)>,
) -> Answer<StatusCode> {
    app.control_plane(&caller, id, Action::NodeRemove).await?;
    let mut write = Mutation::by(&caller, "node.remove").begin(&app.db).await?;
    if !store::remove(write.connection(), id, node).await? {
        return Err(Problem::not_found("node"));
    }
    write.commit(&format!("{id}/{node}")).await?;
    app.feed.changed(id).await;
    Ok(StatusCode::NO_CONTENT)
}
