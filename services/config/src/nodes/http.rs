//! `/v2/control-planes/{id}/nodes`.

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use ids::{ControlPlaneId, NodeId};
use mutation::Mutation;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Api, Cursor, Endpoint, Json, Path, Problem, Query};

use super::{Node, Nodes, store};
use crate::{app::App, control_planes::ControlPlanes, error::Answer};

/// Adds the endpoints that list and remove nodes.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v2/control-planes/{control_plane_id}/nodes";
    const ONE: &str = "/v2/control-planes/{control_plane_id}/nodes/{node_id}";
    api.endpoint(
        Endpoint::get(ALL, "List nodes, with what each of them holds")
            .query::<Cursor>()
            .answers::<NodesPage>(StatusCode::OK),
        list,
    )
    .endpoint(Endpoint::get(ONE, "One node").answers::<Item>(StatusCode::OK), get)
    .endpoint(
        Endpoint::delete(
            ONE,
            "Remove a node: its stream ends, and its certificate is no longer accepted. A pinned certificate stays: only this node is kept out, and whoever holds the key may come as another one; to keep the key out, delete the certificate",
        ),
        remove,
    )
}

#[derive(Serialize, ToSchema)]
#[schema(as = Nodes)]
struct NodesPage {
    items: Vec<Node>,
    page: PageInfo,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NodesPage)]
struct PageInfo {
    total_count: u64,
    /// The same, as Konnect's description has it.
    total: u64,
    /// `page[after]` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Item {
    item: Node,
}

async fn list(
    State(planes): State<ControlPlanes>,
    State(nodes): State<Nodes>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<NodesPage>> {
    planes.authorize(&caller, id, Action::NodeList).await?;
    let limit = cursor.limit();
    let mut found =
        store::list(&nodes.db, id, nodes.retention.nodes_listed(), cursor.after()?, limit).await?;
    let in_use = store::kinds_in_use(&nodes.db, id).await?;
    found.iter_mut().for_each(|node| node.judge(&in_use));
    let page = cursor.page(found, |node| node.id);
    let total_count = store::count(&nodes.db, id, nodes.retention.nodes_listed()).await?;
    Ok(Json(NodesPage {
        items: page.data,
        page: PageInfo { total_count, total: total_count, next: page.meta.page.next },
    }))
}

async fn get(
    State(planes): State<ControlPlanes>,
    State(nodes): State<Nodes>,
    caller: Caller,
    Path((id, node)): Path<(ControlPlaneId, NodeId)>,
) -> Answer<Json<Item>> {
    planes.authorize(&caller, id, Action::NodeList).await?;
    let found = store::find(&nodes.db, id, nodes.retention.nodes_listed(), node).await?;
    let mut found = found.ok_or_else(|| Problem::not_found("node"))?;
    found.judge(&store::kinds_in_use(&nodes.db, id).await?);
    Ok(Json(Item { item: found }))
}

async fn remove(
    State(planes): State<ControlPlanes>,
    State(nodes): State<Nodes>,
    caller: Caller,
    Path((id, node)): Path<(ControlPlaneId, NodeId)>,
) -> Answer<StatusCode> {
    planes.authorize(&caller, id, Action::NodeRemove).await?;
    let mut write = Mutation::by(&caller, "node.remove").begin(&nodes.db).await?;
    if !store::remove(write.connection(), id, node).await? {
        return Err(Problem::not_found("node").into());
    }
    write.commit(&format!("{id}/{node}")).await?;
    nodes.feed.notice(id).await;
    Ok(StatusCode::NO_CONTENT)
}
