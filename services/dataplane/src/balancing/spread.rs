//! How an upstream's requests are spread at a time: its endpoints, and the choice among them. Immutable, but for what is counted of endpoints,
//! which the next spread takes over.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use balancer::{Balancer, Endpoint, Member, Shift};
use http::{HeaderValue, uri::Authority};
use rustls_pki_types::ServerName;

use super::{
    definition::{ByHand, Definition, Host, Target},
    names::{Answer, Record},
};
use crate::view::{Destination, Versions};

/// What the names of targets resolved to last.
pub type Answers = BTreeMap<String, Arc<Answer>>;

/// Most endpoints of one upstream. Where its names have more addresses, each target has an even share of them. Example: of 1,000 targets with 1,000
/// addresses each, 4 addresses of each get requests.
pub const ENDPOINTS_MAX: usize = 4_096;

/// How requests are spread now.
pub struct Spread {
    /// The upstream as it is defined.
    pub definition: Arc<Definition>,
    pub(super) balancer: Balancer,
    /// Beside the balancer's members.
    places: Vec<Arc<Place>>,
    /// Whether there were more than [`ENDPOINTS_MAX`].
    is_cut: bool,
}

/// An address of a target.
#[derive(Debug)]
pub struct Place {
    /// The target.
    pub target: Arc<Target>,
    /// The name in the SRV record that led to it.
    pub srv_name: Option<String>,
    /// The address.
    pub address: SocketAddr,
    /// The address, spoken to in plain.
    pub destination: Destination,
    /// The name that TLS asks for, where nothing else is asked for; `None` if no certificate can be for it.
    pub name: Option<ServerName<'static>>,
    /// The `Host` header for it, where nothing else is asked for: by plain HTTP and by TLS.
    hosts: [HeaderValue; 2],
}

impl Spread {
    /// How requests are spread over what the names of targets resolved to, going on from `before`.
    pub(super) fn new(
        definition: Arc<Definition>,
        answers: &Answers,
        before: Option<&Spread>,
        now: Duration,
    ) -> Self {
        let held: HashMap<_, _> = before.map(Spread::endpoints).into_iter().flatten().collect();
        // Those that all come together share the requests evenly.
        let is_first = held.is_empty();
        let new = || Arc::new(if is_first { Endpoint::default() } else { Endpoint::coming(now) });
        let (mut places, mut members) = (Vec::new(), Vec::new());
        let (all, is_cut) = all_found(&definition, answers);
        if is_cut && before.is_none_or(|before| !before.is_cut) {
            let upstream = definition.name.as_str();
            tracing::warn!(
                upstream,
                "an upstream has too many addresses: {ENDPOINTS_MAX} of them get requests"
            );
        }
        for (target, found) in all {
            for found in found {
                let place = Place::new(&definition, target, found.address, found.srv_name);
                let before = held.get(&place.identity());
                let endpoint = before.map_or_else(new, |(endpoint, _)| Arc::clone(endpoint));
                let is_set = before.is_none_or(|(_, by_hand)| *by_hand != target.by_hand);
                if let Some(by_hand) = target.by_hand.filter(|_| is_set)
                    && endpoint.health().set(by_hand.is_up) == Some(Shift::Up)
                {
                    endpoint.recovered(now);
                }
                let key = balancer::hash(format!("{target} {}", place.address).as_bytes());
                members.push(Member { endpoint, key, weight: found.weight, tier: found.tier });
                places.push(Arc::new(place));
            }
        }
        let balancer = Balancer::new(definition.settings, members, before.map(|before| &before.balancer));
        Self { definition, balancer, places, is_cut }
    }

    /// What is counted of an endpoint.
    pub fn endpoint(&self, index: usize) -> Option<&Arc<Endpoint>> {
        self.balancer.members().get(index).map(|member| &member.endpoint)
    }

    /// Where an endpoint is.
    pub fn place(&self, index: usize) -> Option<&Arc<Place>> {
        self.places.get(index)
    }

    /// Where the endpoints are, and their weights.
    pub fn places(&self) -> impl Iterator<Item = (&Arc<Place>, &Member)> {
        self.places.iter().zip(self.balancer.members())
    }

    /// By what stays of them, with the state that their target was set to.
    fn endpoints(&self) -> impl Iterator<Item = (Identity<'_>, (&Arc<Endpoint>, Option<ByHand>))> {
        self.places().map(|(place, member)| (place.identity(), (&member.endpoint, place.target.by_hand)))
    }
}

/// What stays the same of an endpoint when its upstream changes.
type Identity<'a> = (&'a Host, u16, SocketAddr);

/// An address that a target has.
struct Found {
    address: SocketAddr,
    weight: u32,
    tier: u16,
    srv_name: Option<String>,
}

/// The addresses of each target.
type AllFound<'d> = Vec<(&'d Arc<Target>, Vec<Found>)>;

/// The addresses of each target, and whether there are more.
fn all_found<'d>(definition: &'d Definition, answers: &Answers) -> (AllFound<'d>, bool) {
    let mut all: Vec<_> = definition.targets.iter().map(|target| (target, found(target, answers))).collect();
    let count = |all: &[(_, Vec<Found>)]| all.iter().map(|(_, found)| found.len()).sum::<usize>();
    let is_cut = count(&all) > ENDPOINTS_MAX;
    if is_cut {
        let share = (ENDPOINTS_MAX / all.len().max(1)).max(1);
        all.iter_mut().for_each(|(_, found)| found.truncate(share));
        all.truncate(ENDPOINTS_MAX);
    }
    (all, is_cut)
}

fn found(target: &Target, answers: &Answers) -> Vec<Found> {
    let at = |ip: IpAddr, port: Option<u16>| SocketAddr::new(ip, port.unwrap_or(target.port));
    let name = match &target.host {
        Host::Address(ip) => {
            let weight = u32::from(target.weight);
            return vec![Found { address: at(*ip, None), weight, tier: 0, srv_name: None }];
        }
        Host::Name(name) => name,
    };
    let records = answers.get(name).map(|answer| answer.records.as_slice()).unwrap_or_default();
    let record = |record: &Record| Found {
        address: at(record.ip, record.port),
        // A target that should get nothing gets nothing, whatever its records say.
        weight: if target.weight == 0 { 0 } else { record.weight.unwrap_or(target.weight).into() },
        tier: record.tier,
        srv_name: record.srv_name.clone(),
    };
    records.iter().map(record).collect()
}

impl Place {
    fn new(
        definition: &Definition,
        target: &Arc<Target>,
        address: SocketAddr,
        srv_name: Option<String>,
    ) -> Self {
        let srv_name = srv_name.filter(|_| definition.use_srv_name);
        let named = match (&srv_name, &target.host) {
            (Some(name), _) | (None, Host::Name(name)) => name.clone(),
            (None, Host::Address(IpAddr::V4(ip))) => ip.to_string(),
            (None, Host::Address(IpAddr::V6(ip))) => format!("[{ip}]"),
        };
        let port = if srv_name.is_some() { address.port() } else { target.port };
        let hosts = [80, 443].map(|default_port| {
            if let Some(host) = &definition.host_header {
                return host.clone();
            }
            let host = if port == default_port { named.clone() } else { format!("{named}:{port}") };
            // The model lets only names and addresses pass.
            HeaderValue::try_from(host).unwrap_or_else(|_| HeaderValue::from_static(""))
        });
        let authority = Authority::try_from(address.to_string()).expect("an address is an authority");
        let name = Authority::try_from(hosts[0].as_bytes()).ok();
        let name =
            name.and_then(|name| ServerName::try_from(name.host().trim_matches(['[', ']']).to_owned()).ok());
        Self {
            target: target.clone(),
            srv_name,
            address,
            destination: Destination::new(authority, None, Versions::Http1),
            name,
            hosts,
        }
    }

    /// The `Host` header for it, unless the client's is preserved.
    pub fn host(&self, over_tls: bool) -> &HeaderValue {
        let [plain, secured] = &self.hosts;
        if over_tls { secured } else { plain }
    }

    fn identity(&self) -> Identity<'_> {
        (&self.target.host, self.target.port, self.address)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Instant};

    use gateway_model::{Entity, Kind};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn read(kind: Kind, body: &Value) -> Entity {
        Entity::from_wire(kind, body.to_string().as_bytes()).expect("valid")
    }

    /// An upstream with `targets` by name, each of which has so many addresses.
    fn spread(fields: &Value, targets: u32, addresses: u32) -> Spread {
        let mut body = json!({ "name": "many.test" });
        body.as_object_mut().expect("an object").extend(fields.as_object().cloned().unwrap_or_default());
        let Entity::Upstream(upstream) = read(Kind::Upstream, &body) else { panic!("an upstream") };
        let target = |n: u32| {
            let body = json!({ "target": format!("t{n}.test:80"), "upstream": { "id": Uuid::nil() } });
            let Entity::UpstreamTarget(target) = read(Kind::UpstreamTarget, &body) else {
                panic!("a target")
            };
            Arc::new(Target::new(Uuid::from_u128(n.into()), &target).expect("a host and port"))
        };
        let answer = |n: u32| {
            let ips = (0..addresses).map(|k| IpAddr::from((n * addresses + k).to_be_bytes()));
            Arc::new(Answer { records: ips.map(Record::of).collect(), until: Instant::now(), is_srv: false })
        };
        let answers = (0..targets).map(|n| (format!("t{n}.test"), answer(n))).collect();
        let tls = |_| -> Result<_, crate::view::Unusable> { panic!("no check over TLS") };
        let definition = Definition::new(Uuid::nil(), &upstream, (0..targets).map(target).collect(), &tls);
        Spread::new(Arc::new(definition.expect("usable")), &answers, None, Duration::ZERO)
    }

    #[test]
    fn where_there_are_too_many_addresses_each_target_has_a_share() {
        for (targets, addresses, each) in
            [(4, 1_024, 1_024), (5, 1_024, 819), (1_000, 1_000, 4), (5_000, 2, 1)]
        {
            let spread = spread(&json!({}), targets, addresses);
            let count = (targets * each).min(4_096) as usize;
            assert_eq!(spread.places().count(), count, "{targets} targets");
            let served: BTreeSet<Uuid> = spread.places().map(|(place, _)| place.target.id).collect();
            assert_eq!(served.len(), count.min(targets as usize));
            assert_eq!(spread.is_cut, targets * addresses > 4_096);
        }
        let hashing = json!({ "algorithm": "consistent-hashing", "hash_on": "ip", "slots": 100 });
        assert_eq!(spread(&hashing, 1_000, 1_000).places().count(), 4_000);
    }
}
