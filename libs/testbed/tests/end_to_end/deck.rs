//! Entities in the bodies in which decK 1.65.1 writes them: with the id, and all the fields that it fills in.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::fixtures::ControlPlane;

/// Writes an entity.
pub async fn put(plane: &ControlPlane, path: &str, body: Value) -> anyhow::Result<()> {
    let answer = plane.api.put(&plane.entity(path), &body).await?;
    answer.expect(200).map(drop).with_context(|| path.to_owned())
}

/// Writes a route of a service.
pub async fn put_route(plane: &ControlPlane, id: &str, path: &str, service: &str) -> anyhow::Result<()> {
    let body = json!({
        "https_redirect_status_code": 426, "id": id, "path_handling": "v0", "paths": [path], "preserve_host": false,
        "protocols": ["http", "https"], "regex_priority": 0, "request_buffering": true, "response_buffering": true,
        "service": { "id": service }, "strip_path": true
    });
    put(plane, &format!("routes/{id}"), body).await
}

/// A service.
pub fn service(id: &str, protocol: &str, host: &str, port: u16) -> Value {
    json!({
        "connect_timeout": 60000, "enabled": true, "host": host, "id": id, "name": format!("at-{host}"), "port": port, "protocol": protocol,
        "read_timeout": 60000, "retries": 5, "write_timeout": 60000
    })
}

/// An upstream. One failed connection takes a target down.
pub fn upstream(id: &str) -> Value {
    json!({
        "algorithm": "round-robin", "hash_fallback": "none", "hash_on": "none", "hash_on_cookie_path": "/",
        "healthchecks": {
            "active": {
                "concurrency": 10, "http_path": "/", "https_verify_certificate": true, "timeout": 1, "type": "http",
                "healthy": { "http_statuses": [200, 302], "interval": 0, "successes": 0 },
                "unhealthy": {
                    "http_failures": 0, "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505], "interval": 0,
                    "tcp_failures": 0, "timeouts": 0
                }
            },
            "passive": {
                "healthy": { "http_statuses": [200, 201, 202], "successes": 0 }, "type": "http",
                "unhealthy": { "http_failures": 0, "http_statuses": [429, 500, 503], "tcp_failures": 1, "timeouts": 0 }
            },
            "threshold": 0
        },
        "id": id, "name": "orders.internal", "slots": 10000, "sticky_sessions_cookie_path": "/",
        "use_srv_name": false
    })
}
