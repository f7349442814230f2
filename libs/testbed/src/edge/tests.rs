//! Every operation of the three services is routed to its own service, by the gateway's own router.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use dataplane::router::{Lookup, Match, Router, Rule};
use gateway_model::{Entity, PathRegex, declarative::parse};
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;
use uuid::Uuid;

use super::{ROUTES, SETTINGS, targets, template};

const IDENTITY: &str = include_str!("../../../../services/identity/openapi.json");
const AUTHZ: &str = include_str!("../../../../services/authz/openapi.json");
const CONFIG: &str = include_str!("../../../../services/config/openapi.json");
const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];
/// Fewer operations than these services have: a document that was not read whole would show.
const OPERATIONS_MIN: usize = 90;

struct Edge {
    router: Router,
    /// Name of the service by route.
    services: BTreeMap<Uuid, String>,
}

impl Edge {
    fn read() -> Self {
        let config = targets([3, 4].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).into_iter());
        let places =
            [("identity", "https://127.0.0.1:1"), ("authz", "https://127.0.0.1:2"), ("config", &config)];
        let document = template::fill(ROUTES, &places).expect("the template fits");
        let entities = parse(&document).expect("YAML").entities(Uuid::nil(), &|_, _| None).expect("valid");
        let names: BTreeMap<Uuid, String> = entities
            .iter()
            .filter_map(|(id, entity)| match entity {
                Entity::Service(service) => Some((*id, service.name.clone().expect("a name"))),
                _ => None,
            })
            .collect();
        let (mut router, mut services) = (Router::default(), BTreeMap::new());
        for (id, entity) in &entities {
            let Entity::Route(route) = entity else { continue };
            assert!(!route.strip_path && route.preserve_host, "{:?} changes requests", route.name);
            let compile = |pattern: &str| PathRegex::compile(pattern).map(Arc::new);
            let rule = Rule::new(*id, route.into(), &compile);
            router.insert(Arc::new(rule.expect("a rule")));
            let target = route.service.as_ref().and_then(|service| service.id()).expect("a service");
            services.insert(*id, names[&target].clone());
        }
        Self { router, services }
    }

    fn service(&self, method: &Method, path: &str) -> Option<&str> {
        let headers = HeaderMap::new();
        let request =
            Lookup { host: "127.0.0.1", path, method, port: 443, https: true, sni: None, headers: &headers };
        let Match { route, .. } = self.router.find(&request)?;
        Some(&self.services[&route])
    }
}

/// The path with an id, a name and a token in place of each parameter.
fn examples(path: &str) -> Vec<String> {
    let fill = |value: &str| {
        let part = |part: &str| if part.starts_with('{') { value.to_owned() } else { part.to_owned() };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    };
    ["0190c6e2-6d6e-7c5e-9d3c-2f1f0a1b2c3d", "a.name", "me", "AbC_-09", "assigned-roles", "a%2Fb"]
        .map(fill)
        .to_vec()
}

#[test]
fn every_operation_reaches_its_own_service() {
    let edge = Edge::read();
    let (mut operations, mut wrong) = (0, Vec::new());
    for (service, document) in [("identity", IDENTITY), ("authz", AUTHZ), ("config", CONFIG)] {
        let document: Value = serde_json::from_str(document).expect("JSON");
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for method in METHODS.iter().filter(|method| methods.get(method).is_some()) {
                operations += 1;
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
                for example in examples(path) {
                    let found = edge.service(&method, &example);
                    if found != Some(service) {
                        wrong.push(format!("{method} {example}: {found:?}, not {service}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "routed otherwise:\n{}", wrong.join("\n"));
    assert!(operations >= OPERATIONS_MIN, "only {operations} operations");
}

#[test]
fn what_belongs_to_nobody_is_not_routed() {
    let edge = Edge::read();
    for path in
        ["/", "/v1", "/v3", "/v9/teams", "/livez", "/metrics", "/v1/tokens", "/x/v3/teams", "/V3/teams"]
    {
        assert_eq!(edge.service(&Method::GET, path), None, "{path}");
        assert_eq!(edge.service(&Method::POST, path), None, "{path}");
    }
    assert_eq!(edge.service(&Method::GET, "/v1/token"), None, "a token is made, not read");
    assert_eq!(edge.service(&Method::DELETE, "/v1/jwks.json"), None);
}

#[test]
fn the_edge_takes_no_documents_and_no_dot_segments() {
    let sets = |name: &str| SETTINGS.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(sets("config_token_file"), None, "a new file would see every bearer token");
    assert_eq!(sets("dot_segments"), Some("= \"refuse\""));
}
