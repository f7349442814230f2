//! Health of an upstream's targets, as each node sees it, and targets that are set to a state by hand. Paths are those of Kong's Admin API,
//! where they reach the node that is asked; here they reach all nodes of the control plane.

use access::Caller;
use axum::{extract::State, http::StatusCode};
use gateway_model::{ByHand, Entity, Kind, UpstreamTarget};
use ids::NodeId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Api, Endpoint, Given, Json, Path, Problem, ProblemType};

use super::{AtAll, AtOne, BASE, Collection, handlers::Place, output, query::ListQuery};
use crate::{
    app::App,
    control_planes::ControlPlanes,
    entities::{
        Entities,
        committer::Actor,
        known::EntityId,
        plan::Selector,
        rewrite::Rewritten,
        store::{self, EntityRow, Filter, Listed},
    },
    error::{Answer, Error},
    nodes::health::{self, Health, View},
};

/// How the nodes see a target, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Together {
    /// All nodes send requests there.
    Healthy,
    /// No node does.
    Unhealthy,
    /// For no node has the target's name an address.
    DnsError,
    /// For all nodes some of its addresses are not healthy.
    Degraded,
    /// Nodes differ.
    Mixed,
    /// The upstream has no checks that could find it unhealthy, and all nodes send requests there.
    HealthchecksOff,
    /// No connected node has told yet.
    Unknown,
}

/// The targets of an upstream with their health.
#[derive(Serialize, ToSchema)]
struct UpstreamHealth {
    data: Vec<TargetHealth>,
    /// `offset` of the next page; null on the last one.
    offset: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TargetHealth {
    /// The target as the API shows it.
    #[serde(flatten)]
    target: Value,
    health: Together,
    /// How each connected node sees it.
    nodes: Vec<NodeHealth>,
}

#[derive(Serialize, ToSchema)]
struct NodeHealth {
    id: NodeId,
    hostname: String,
    #[schema(value_type = Together)]
    health: Health,
    /// `address:port` of those that are not healthy.
    unhealthy_addresses: Vec<String>,
}

/// Adds the endpoints.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let below_upstreams = |one: &Collection| one.parent.is_some_and(|parent| parent.kind == Kind::Upstream);
    let targets = super::collections().find(|one| one.kind == Kind::UpstreamTarget && below_upstreams(one));
    let Some(targets) = targets else { return api };
    let health = Endpoint::get(
        format!("{BASE}/upstreams/{{entity}}/health"),
        "Health of an upstream's targets, as each connected node sees it",
    )
    .query_parameters(ListQuery::parameters(Kind::UpstreamTarget))
    .answers::<UpstreamHealth>(StatusCode::OK);
    let api = api.endpoint(
        health,
        async move |State(planes): State<ControlPlanes>,
                    State(entities): State<Entities>,
                    caller: Caller,
                    Path(at): Path<AtAll>,
                    given: Given| {
            let query = ListQuery::read(Kind::UpstreamTarget, &given)?;
            planes.authorize(&caller, at.control_plane_id, targets.read).await?;
            Ok::<_, Error>(Json(health_of(&entities, targets, &at, query).await?))
        },
    );
    [("healthy", true), ("unhealthy", false)].into_iter().fold(api, |api, (word, is_healthy)| {
        let set = Endpoint::put(
            format!("{BASE}/upstreams/{{entity}}/targets/{{child}}/{word}"),
            format!(
                "Set a target to {word} on all nodes; checks that the upstream has decide again from then on"
            ),
        )
        .refuses(ProblemType::TooManyRequests, super::TOO_MANY_WAIT);
        api.endpoint(
            set,
            async move |State(planes): State<ControlPlanes>,
                        State(entities): State<Entities>,
                        caller: Caller,
                        Path(at): Path<AtOne>| {
                planes.authorize(&caller, at.control_plane_id, targets.write).await?;
                set_by_hand(&entities, &caller, targets, at, is_healthy).await
            },
        )
    })
}

async fn health_of(
    entities: &Entities,
    targets: Collection,
    at: &AtAll,
    query: ListQuery,
) -> Answer<UpstreamHealth> {
    let (id, place) = (at.control_plane_id, targets.place(at));
    let named = Selector::parse(at.entity.as_deref().unwrap_or_default());
    let upstream = entities.find(id, Kind::Upstream, &named).await?;
    let upstream = upstream.ok_or_else(|| Problem::not_found(Kind::Upstream.label()))?;
    let sealing = entities.sealing(id);
    let are_off = match upstream.entity(&sealing)? {
        Entity::Upstream(upstream) => upstream.healthchecks.are_off(),
        _ => false,
    };
    let ListQuery { size, after, filter, .. } = query;
    let filter = Filter { parent: entities.parent(&place).await?, ..filter };
    let Listed { rows, more } =
        store::list(&entities.db, id, Kind::UpstreamTarget, &filter, after, i64::from(size)).await?;
    let views = health::views(&entities.db, id).await?;
    let offset = rows.last().filter(|_| more).map(|row| super::handlers::offset(row.id));
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        let nodes = views.iter().map(|view| of_node(view, row.id)).collect::<Vec<_>>();
        let health = together(&nodes, are_off);
        data.push(TargetHealth { target: output::show(&row.shown(&sealing)?), health, nodes });
    }
    Ok(UpstreamHealth { data, offset })
}

impl Entities {
    /// The target that the path names: by its id, or as Kong has it by host and port.
    async fn target(&self, place: &Place, selector: &Selector) -> Answer<Option<EntityRow>> {
        let Selector::Name(text) = selector else { return self.row(place, selector).await };
        let Some((_, upstream)) = self.parent(place).await? else { return Ok(None) };
        let Some(key) = UpstreamTarget::key(upstream, text) else { return Ok(None) };
        let (id, kind) = (place.control_plane, Kind::UpstreamTarget);
        match store::holder(&self.db, id, kind, &key).await? {
            Some(target) => Ok(store::get(&self.db, id, kind, target).await?),
            None => Ok(None),
        }
    }
}

fn of_node(view: &View, target: Uuid) -> NodeHealth {
    let (health, addresses) = view.of(target);
    NodeHealth {
        id: view.node,
        hostname: view.hostname.clone(),
        health,
        unhealthy_addresses: addresses.to_vec(),
    }
}

fn together(nodes: &[NodeHealth], are_off: bool) -> Together {
    let Some((first, others)) = nodes.split_first() else { return Together::Unknown };
    match first.health {
        _ if others.iter().any(|other| other.health != first.health) => Together::Mixed,
        Health::Healthy if are_off => Together::HealthchecksOff,
        Health::Healthy => Together::Healthy,
        Health::Unhealthy => Together::Unhealthy,
        Health::DnsError => Together::DnsError,
        Health::Degraded => Together::Degraded,
    }
}

/// Writes the state into the target, by which it reaches all nodes like any other change.
async fn set_by_hand(
    entities: &Entities,
    caller: &Caller,
    targets: Collection,
    at: AtOne,
    is_healthy: bool,
) -> Answer<StatusCode> {
    let id = at.control_plane_id;
    let (place, selector) = targets.place_of_one(at);
    let not_found = || Problem::not_found(Kind::UpstreamTarget.label());
    let row = entities.target(&place, &selector).await?.ok_or_else(not_found)?;
    let target = EntityId { kind: Kind::UpstreamTarget, id: row.id };
    let set = |entity: &mut Entity| {
        let Entity::UpstreamTarget(target) = entity else { return false };
        let at = entities.clock.now().unix_timestamp_nanos() / 1_000_000;
        target.by_hand = Some(ByHand { is_healthy, at: u64::try_from(at).unwrap_or_default() });
        true
    };
    match entities.rewrite(&Actor::Person(caller.clone()), id, target, set).await? {
        Rewritten::Stands(_) => Ok(StatusCode::NO_CONTENT),
        Rewritten::Left | Rewritten::Gone => Err(not_found().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_is_taken_together() {
        let node = |health| NodeHealth {
            id: NodeId::from_uuid(Uuid::from_u128(1)),
            hostname: String::new(),
            health,
            unhealthy_addresses: Vec::new(),
        };
        use Health::{Degraded, DnsError, Healthy, Unhealthy};
        for (said, are_off, expected) in [
            (vec![], false, Together::Unknown),
            (vec![Healthy, Healthy], false, Together::Healthy),
            (vec![Healthy], true, Together::HealthchecksOff),
            (vec![Unhealthy], true, Together::Unhealthy),
            (vec![Unhealthy, Healthy], false, Together::Mixed),
            (vec![DnsError, DnsError], false, Together::DnsError),
            (vec![Degraded], false, Together::Degraded),
        ] {
            let nodes: Vec<NodeHealth> = said.iter().map(|health| node(*health)).collect();
            assert_eq!(together(&nodes, are_off), expected, "{said:?}");
        }
    }
}
