//! Paths that an upstream may read as one of another route than the gateway does.

use dataplane::{proxy::ProxyOptions, router::readings::AmbiguousPaths};

use crate::{
    client::Client,
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

/// An open `/api`, and in it an `/api/admin` that asks for a key.
async fn start(ambiguous_paths: AmbiguousPaths) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        r#"
_format_version: "3.0"
services:
- name: s
  url: http://{}
  routes:
  - {{name: open, paths: [/api], strip_path: false}}
  - {{name: admin, paths: [/api/admin], strip_path: false, plugins: [{{name: key-auth}}]}}
  - {{name: numbers, paths: ['~/api/\d+$'], strip_path: false, plugins: [{{name: key-auth}}]}}
"#,
        upstream.address
    );
    let options = ProxyOptions { http: Some(any_port()), ambiguous_paths, ..ProxyOptions::default() };
    (Gateway::start_with(&yaml, options).await, upstream)
}

#[tokio::test]
async fn a_path_that_may_be_another_routes_is_refused() {
    let (gateway, upstream) = start(AmbiguousPaths::default()).await;
    for path in [
        "/api;x/admin",
        "/api;x=1;y/admin/users",
        "/api/;x/admin",
        "/api/;/;y/admin;z",
        "/api%2Fadmin",
        "/api%2fadmin/users",
        "/api%5Cadmin",
        "/api%5cadmin",
        "/api\\admin",
        "/api//%2Fadmin",
        "/api%3Bx/admin",
        "/api;x%2Fadmin",
        "/api%252Fadmin",
        "/api%25252fadmin",
        "/api/%2561dmin",
        "/api/x%252F..%252Fadmin",
        "/api/x/%252e%252e/admin",
        "/api/7;v=1",
        "/api/7%3bv=1",
        "/api/%2537",
        // Of the protected route, and for some upstreams not.
        "/api/admin/%252e%252e/x",
    ] {
        let answer = Client::connect(gateway.http()).await.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    for path in ["/api/admin%2F..", "/api/admin/..;/x", "/api%2F..%2Fadmin"] {
        assert_eq!(Client::connect(gateway.http()).await.get(path).await.status, 400, "{path}");
    }
    assert_eq!(
        Client::connect(gateway.http()).await.get("/;x/api/admin").await.status,
        404,
        "no route has it"
    );
    assert_eq!(upstream.seen().len(), 0);
    // The same in the clear is routed where it belongs.
    for path in [
        "/api/admin",
        "/%61pi/admin",
        "//api///admin",
        "/api/./admin",
        "/api/admin;x",
        "/api/admin%2Fx",
        "/api/7",
    ] {
        assert_eq!(Client::connect(gateway.http()).await.get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn harmless_encodings_and_parameters_pass_as_they_are() {
    let (gateway, upstream) = start(AmbiguousPaths::default()).await;
    for path in [
        "/api/groups%2Fproject/files",
        "/api/a%5Cb",
        "/api/matrix;v=1;w=2/x;y",
        "/api/100%25",
        "/api/caf%C3%A9%20au%20lait",
        "/api/x%252Fy",
        "/api;x",
    ] {
        assert_eq!(Client::connect(gateway.http()).await.get(path).await.status, 200, "{path}");
        assert_eq!(upstream.last().target, path);
    }
    // With the setting, what the canonical path says counts alone.
    let (gateway, upstream) = start(AmbiguousPaths::Pass).await;
    assert_eq!(Client::connect(gateway.http()).await.get("/api;x/admin").await.status, 200);
    assert_eq!(upstream.last().target, "/api;x/admin");
}
