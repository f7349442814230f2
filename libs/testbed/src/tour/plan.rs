//! What a gateway file promises, as a list of requests with the answer that each must get. Pure.
//!
//! One request is derived for each route. Where several routes match it, it is kept only if they all treat it alike, so the
//! plan does not need to know which of them wins. What cannot be derived is listed with the reason.

use std::collections::{BTreeMap, BTreeSet};

use gateway_model::{
    Entity, HostName, PathPattern, PathRegex, Plugin, PluginConfig, PluginProtocol, Protocol, Route, Secret,
    Service, Target, declarative, plugin::key_auth,
};
use uuid::Uuid;

use super::sample;

/// A request to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As in `GET`.
    pub method: String,
    /// `None`: the gateway's own address.
    pub host: Option<String>,
    /// Path and query.
    pub path: String,
}

/// An API key and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Name of the header or query parameter that carries the key.
    pub name: String,
    /// Otherwise in the query.
    pub in_header: bool,
    /// The key.
    pub key: String,
}

/// The answer that a request must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This status, from the gateway itself.
    Gateway(u16),
    /// The answer of an upstream. If it is the echo upstream, below one of these paths.
    Upstream { echo_below: Option<BTreeSet<String>> },
}

/// A request and the answer that it must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Name of the route.
    pub route: String,
    /// What is sent.
    pub request: Request,
    /// The key that is sent with it; `None` for a request without one.
    pub credential: Option<Credential>,
    /// What the gateway has to answer.
    pub expected: Expected,
}

/// A key of a consumer whom no plugin singles out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainKey {
    /// Name of the consumer that the key belongs to, if it has one.
    pub consumer: Option<String>,
    /// The key.
    pub key: String,
}

/// Everything that is to be checked, and what is not.
#[derive(Debug)]
pub struct Plan {
    /// Routes in the file.
    pub routes: usize,
    /// Every request, with what it has to be answered.
    pub cases: Vec<Case>,
    /// Route and reason.
    pub skipped: Vec<(String, String)>,
    /// A key that the tour can revoke, if the file has one.
    pub plain_key: Option<PlainKey>,
}

impl Plan {
    /// Reads a gateway file. `echo` is the echo upstream's `host:port`.
    pub fn of(text: &str, echo: &str) -> anyhow::Result<Self> {
        let entities = declarative::parse(text)?.entities(Uuid::nil(), &|_, _| None)?;
        Ok(File::of(entities, echo).plan())
    }
}

/// The entities of a file by kind.
struct File {
    echo: String,
    services: BTreeMap<Uuid, Service>,
    routes: Vec<(Uuid, Route)>,
    plugins: Vec<Plugin>,
    consumers: BTreeMap<Uuid, Option<String>>,
    keys: Vec<(Uuid, String)>,
}

/// How a route treats a request of a consumer whom no plugin singles out.
#[derive(Clone, Debug, PartialEq)]
struct Treatment {
    key: Option<key_auth::Config>,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Gateway(u16),
    Upstream(Uuid),
}

impl File {
    fn of(entities: Vec<(Uuid, Entity)>, echo: &str) -> Self {
        let mut file = Self {
            echo: echo.to_owned(),
            services: BTreeMap::new(),
            routes: Vec::new(),
            plugins: Vec::new(),
            consumers: BTreeMap::new(),
            keys: Vec::new(),
        };
        for (id, entity) in entities {
            match entity {
                Entity::Service(service) => drop(file.services.insert(id, service)),
                Entity::Route(route) => file.routes.push((id, route)),
                Entity::Plugin(plugin) => file.plugins.push(plugin),
                Entity::Consumer(consumer) => drop(file.consumers.insert(id, consumer.username)),
                Entity::KeyAuth(credential) => {
                    if let (Some(consumer), Secret::Plain(key)) = (credential.consumer.id(), credential.key) {
                        file.keys.push((consumer, key));
                    }
                }
                // Kinds that no gateway serves yet, and what the tour does not ask for.
                _ => {}
            }
        }
        // A disabled plugin is as good as absent.
        file.plugins.retain(|plugin| plugin.enabled && plugin.protocols.contains(&PluginProtocol::Http));
        file
    }

    fn plan(&self) -> Plan {
        let plain = self.keys.iter().find(|(consumer, _)| self.plugin_of_consumer(*consumer).is_none());
        let plain_key = plain.map(|(consumer, key)| PlainKey {
            consumer: self.consumers.get(consumer).cloned().flatten(),
            key: key.clone(),
        });
        let mut plan = Plan { routes: self.routes.len(), cases: Vec::new(), skipped: Vec::new(), plain_key };
        for (id, route) in &self.routes {
            let name = route.name.clone().unwrap_or_else(|| id.to_string());
            match self.cases(*id, route, &name, plan.plain_key.as_ref()) {
                Ok(cases) => plan.cases.extend(cases),
                Err(reason) => plan.skipped.push((name, reason)),
            }
        }
        let terminated: Vec<Case> = self.cases_of_terminated_consumers(&plan.cases).collect();
        plan.cases.extend(terminated);
        plan
    }

    fn cases(
        &self,
        id: Uuid,
        route: &Route,
        name: &str,
        plain: Option<&PlainKey>,
    ) -> Result<Vec<Case>, String> {
        let request = request_for(route)?;
        let treatment = self.treatment(id, route)?;
        let mut services = BTreeSet::new();
        for (other_id, other) in self.routes.iter().filter(|(_, other)| matches(other, &request)) {
            let theirs = self.treatment(*other_id, other)?;
            let is_alike =
                matches!((&theirs.outcome, &treatment.outcome), (Outcome::Upstream(_), Outcome::Upstream(_)))
                    || theirs.outcome == treatment.outcome;
            if theirs.key != treatment.key || !is_alike {
                let other = other.name.clone().unwrap_or_else(|| other_id.to_string());
                return Err(format!("route {other} matches the same request, with other plugins"));
            }
            services.extend(match theirs.outcome {
                Outcome::Upstream(service) => Some(service),
                Outcome::Gateway(_) => None,
            });
        }
        let expected = match treatment.outcome {
            Outcome::Gateway(status) => Expected::Gateway(status),
            Outcome::Upstream(_) => Expected::Upstream { echo_below: self.echo_paths(&services) },
        };
        let case = |credential, expected| Case {
            route: name.to_owned(),
            request: request.clone(),
            credential,
            expected,
        };
        let Some(config) = treatment.key else { return Ok(vec![case(None, expected)]) };
        let refused = case(None, Expected::Gateway(401));
        let credential = plain.and_then(|plain| credential(&config, &plain.key));
        Ok([Some(refused), credential.map(|key| case(Some(key), expected))].into_iter().flatten().collect())
    }

    /// A consumer whose requests a plugin answers gets that answer on a route that takes its key.
    fn cases_of_terminated_consumers(&self, cases: &[Case]) -> impl Iterator<Item = Case> {
        let open = cases
            .iter()
            .find(|case| case.credential.is_some() && matches!(case.expected, Expected::Upstream { .. }));
        self.keys.iter().filter_map(move |(consumer, key)| {
            let case = open?.clone();
            let PluginConfig::RequestTermination(config) = &self.plugin_of_consumer(*consumer)?.config else {
                return None;
            };
            let credential = case.credential.map(|credential| Credential { key: key.clone(), ..credential });
            Some(Case { credential, expected: Expected::Gateway(config.status_code), ..case })
        })
    }

    /// A plugin that applies to all requests of this consumer.
    fn plugin_of_consumer(&self, consumer: Uuid) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| plugin.consumer.as_ref().and_then(Target::id) == Some(consumer))
    }

    fn treatment(&self, id: Uuid, route: &Route) -> Result<Treatment, String> {
        if !route.protocols.contains(&Protocol::Http) {
            let outcome = Outcome::Gateway(route.https_redirect_status_code);
            return Ok(Treatment { key: None, outcome });
        }
        let service = route.service.as_ref().and_then(Target::id);
        if service.and_then(|service| self.services.get(&service)).is_some_and(|service| !service.enabled) {
            return Err("its service is disabled".to_owned());
        }
        let key = match self.plugin("key-auth", id, service) {
            Some(PluginConfig::KeyAuth(config)) => Some(config.clone()),
            _ => None,
        };
        let outcome = match (self.plugin("request-termination", id, service), service) {
            (Some(PluginConfig::RequestTermination(config)), _) => Outcome::Gateway(config.status_code),
            (_, Some(service)) => Outcome::Upstream(service),
            (_, None) => return Err("it has no service and nothing that answers instead".to_owned()),
        };
        Ok(Treatment { key, outcome })
    }

    /// The plugin called `name` that applies to a route, whoever asks: the one with the closest scope.
    fn plugin(&self, name: &str, route: Uuid, service: Option<Uuid>) -> Option<&PluginConfig> {
        let candidates =
            self.plugins.iter().filter(|plugin| plugin.consumer.is_none() && plugin.config.name() == name);
        let closest = candidates.filter_map(|plugin| {
            let of_route = plugin.route.as_ref().and_then(Target::id);
            let of_service = plugin.service.as_ref().and_then(Target::id);
            let applies =
                of_route.is_none_or(|id| id == route) && of_service.is_none_or(|id| Some(id) == service);
            applies.then_some(((of_route.is_some(), of_service.is_some()), &plugin.config))
        });
        closest.max_by_key(|(closeness, _)| *closeness).map(|(_, config)| config)
    }

    /// Paths of these services, if all of them are the echo upstream.
    fn echo_paths(&self, services: &BTreeSet<Uuid>) -> Option<BTreeSet<String>> {
        let path = |id| {
            let service = self.services.get(id)?;
            let is_echo = format!("{}:{}", service.host, service.port) == self.echo;
            is_echo.then(|| service.path.clone().unwrap_or_default())
        };
        services.iter().map(path).collect()
    }
}

fn request_for(route: &Route) -> Result<Request, String> {
    let path = match route.path_patterns().next() {
        Some(PathPattern::Prefix(prefix)) => prefix.to_owned(),
        Some(PathPattern::Regex(pattern)) => {
            sample::path_for(pattern).ok_or_else(|| format!("no path was found that matches ~{pattern}"))?
        }
        None => "/".to_owned(),
    };
    let host = route.host_patterns().next().map(|host| {
        let name = match host.name {
            HostName::Exact(host) => host,
            HostName::Leading(rest) => format!("tour.{rest}"),
            HostName::Trailing(rest) => format!("{rest}.example"),
        };
        host.port.map_or(name.clone(), |port| format!("{name}:{port}"))
    });
    Ok(Request { method: route.methods.first().map_or("GET", String::as_str).to_owned(), host, path })
}

fn matches(route: &Route, request: &Request) -> bool {
    let method = route.methods.is_empty() || route.methods.contains(&request.method);
    let host = route.hosts.is_empty()
        || request.host.as_ref().is_some_and(|host| {
            let (name, port) = match host.rsplit_once(':') {
                Some((name, port)) => (name, port.parse().ok()),
                None => (host.as_str(), None),
            };
            route.host_patterns().any(|pattern| {
                pattern.name.is_met_by(name) && (pattern.port.is_none() || pattern.port == port)
            })
        });
    let path = route.paths.is_empty()
        || route.path_patterns().any(|pattern| match pattern {
            PathPattern::Prefix(prefix) => request.path.starts_with(prefix),
            PathPattern::Regex(regex) => {
                PathRegex::compile(regex).is_ok_and(|regex| regex.is_match(&request.path))
            }
        });
    method && host && path
}

fn credential(config: &key_auth::Config, key: &str) -> Option<Credential> {
    let name = config.key_names.first()?.clone();
    Some(Credential { name, in_header: config.key_in_header, key: key.to_owned() })
}

#[cfg(test)]
mod tests;
