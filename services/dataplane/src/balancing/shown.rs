//! What the groups of a gateway are like at the moment, for its operator.

use std::{collections::HashMap, net::SocketAddr};

use serde::Serialize;
use uuid::Uuid;

use super::{Groups, group::Group};

/// An upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownUpstream {
    /// Id of the entity.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its targets, by host and port.
    pub targets: Vec<ShownTarget>,
}

/// A target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownTarget {
    /// Id of the entity.
    pub id: Uuid,
    /// Host and port.
    pub target: String,
    /// Its addresses; none if its name has none.
    pub endpoints: Vec<ShownEndpoint>,
}

/// An address of a target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownEndpoint {
    /// The address.
    pub address: SocketAddr,
    /// Whether it takes requests.
    pub state: State,
    /// Its share of the requests.
    pub weight: u32,
    /// Those of a later tier get requests when none of an earlier one takes them.
    pub tier: u16,
    /// Requests that it has not answered to the end.
    pub in_flight: usize,
    /// How long it takes to answer, in milliseconds; absent where that is not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

/// Whether an endpoint takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It takes requests.
    Up,
    /// It takes none.
    Down,
}

impl Groups {
    /// All upstreams, by id.
    pub fn shown(&self) -> Vec<ShownUpstream> {
        self.all().iter().map(|group| shown(group)).collect()
    }
}

fn shown(group: &Group) -> ShownUpstream {
    let spread = group.spread();
    let mut endpoints: HashMap<Uuid, Vec<ShownEndpoint>> = HashMap::new();
    for (place, member) in spread.places() {
        let endpoint = &member.endpoint;
        endpoints.entry(place.target.id).or_default().push(ShownEndpoint {
            address: place.address,
            state: if endpoint.health().is_up() { State::Up } else { State::Down },
            weight: member.weight,
            tier: member.tier,
            in_flight: endpoint.in_flight(),
            latency_ms: endpoint.latency().map(|latency| latency.as_secs_f64() * 1_000.0),
        });
    }
    let target = |target: &super::Target| ShownTarget {
        id: target.id,
        target: target.to_string(),
        endpoints: endpoints.remove(&target.id).unwrap_or_default(),
    };
    let definition = &spread.definition;
    let targets = definition.targets.iter().map(|held| &**held).map(target).collect();
    ShownUpstream { id: group.id, name: definition.name.clone(), targets }
}
