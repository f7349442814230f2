//! Gateway configurations of a chosen size, as declarative documents.

use serde_json::{Value, json};

/// How many entities of each kind. Each consumer has one key more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Services in the file.
    pub services: usize,
    /// Routes in the file.
    pub routes: usize,
    /// Consumers in the file, each with a key.
    pub consumers: usize,
}

impl Size {
    /// A shape as found in practice for `entities` entities, keys included: fifty entities for a service, a fifth of
    /// them consumers.
    pub fn of_entities(entities: usize) -> Self {
        let (services, consumers) = ((entities / 50).max(1), entities / 5);
        Self { services, consumers, routes: entities.saturating_sub(services + 2 * consumers) }
    }
}

/// Name of a service by its number.
pub fn service_name(service: usize) -> String {
    format!("service-{service:05}")
}

/// Name of a route by its number.
pub fn route_name(route: usize) -> String {
    format!("route-{route:05}")
}

/// The path of a route. No path is a prefix of another one.
pub fn route_path(route: usize) -> String {
    format!("/api/items-{route:05}")
}

/// Name of a consumer by its number.
pub fn consumer_name(consumer: usize) -> String {
    format!("consumer-{consumer:05}")
}

/// The key of a consumer.
pub fn key(consumer: usize) -> String {
    format!("key-of-consumer-{consumer:05}")
}

/// A document whose services all lie at `upstream`, as in `http://127.0.0.1:9000`. Paths arrive there unchanged. With
/// `key_auth`, every route asks for a key.
pub fn document(size: Size, upstream: &str, key_auth: bool) -> Value {
    let routes_of = |service: usize| {
        let routes = (service..size.routes).step_by(size.services.max(1));
        let routes = routes.map(
            |route| json!({ "name": route_name(route), "paths": [route_path(route)], "strip_path": false }),
        );
        routes.collect::<Vec<Value>>()
    };
    let services = (0..size.services).map(
        |service| json!({ "name": service_name(service), "url": upstream, "routes": routes_of(service) }),
    );
    let consumers = (0..size.consumers).map(|consumer| {
        json!({ "username": consumer_name(consumer), "keyauth_credentials": [{ "key": key(consumer) }] })
    });
    let plugins = if key_auth { vec![json!({ "name": "key-auth" })] } else { Vec::new() };
    json!({
        "_format_version": "3.0",
        "services": services.collect::<Vec<Value>>(),
        "consumers": consumers.collect::<Vec<Value>>(),
        "plugins": plugins,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_as_many_entities_as_asked_for() {
        for entities in [1000, 20_000, 1023] {
            let size = Size::of_entities(entities);
            assert_eq!(size.services + size.routes + 2 * size.consumers, entities);
            let document = document(size, "http://127.0.0.1:9000", false);
            let list = |name: &str| document[name].as_array().expect("a list").clone();
            let routes = list("services")
                .iter()
                .map(|service| service["routes"].as_array().expect("routes").len())
                .sum();
            assert_eq!(
                (list("services").len(), routes, list("consumers").len()),
                (size.services, size.routes, size.consumers)
            );
        }
    }
}
