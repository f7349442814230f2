//! How a gateway speaks to the server of shared limits: TLS, who it is there, and in which database.

use std::path::Path;

use dataplane::proxy::ProxyOptions;
use local_redis::{LocalRedis, Options};
use rcgen::{CertifiedKey, KeyPair};

use crate::{
    client::Response,
    gateway::{Gateway, any_port},
    limits::{get, limited},
    tls::certificate,
    upstream::Upstream,
};

/// A gateway that trusts `authority`, and counts in the server that `redis` says.
async fn gateway(upstream: &Upstream, authority: Option<&Path>, redis: &str) -> Gateway {
    let plugin = format!(
        "{{name: rate-limiting, id: 5d2c2a3e-1c3b-4d5f-8e5a-111111111111, config: {{year: 9, limit_by: service, \
         policy: redis, fault_tolerant: false, redis: {{{redis}}}}}}}"
    );
    let options = ProxyOptions {
        http: Some(any_port()),
        upstream_roots: authority.map(Path::to_owned),
        ..ProxyOptions::default()
    };
    let gateway = Gateway::start_with(&limited(upstream.address, &plugin), options).await;
    assert_eq!(gateway.quarantined(), [""; 0]);
    gateway
}

/// What a request is answered at first: whether the server could be asked.
async fn answer(upstream: &Upstream, authority: Option<&Path>, redis: &str) -> Response {
    get(gateway(upstream, authority, redis).await.http(), "a").await
}

fn with_tls(certificate: &CertifiedKey<KeyPair>) -> LocalRedis {
    let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    LocalRedis::start(Options { password: Some("secret"), tls: Some((&chain, &key)), ..Options::default() })
        .unwrap()
}

#[tokio::test]
async fn the_server_is_verified_where_asked() {
    let (upstream, folder) = (Upstream::start(None).await, tempfile::tempdir().unwrap());
    let (its, other) = (certificate(&["localhost"]), certificate(&["localhost"]));
    let [trusted, distrusted] = [("its.pem", &its), ("other.pem", &other)].map(|(name, certificate)| {
        let path = folder.path().join(name);
        std::fs::write(&path, certificate.cert.pem()).unwrap();
        path
    });
    let redis = with_tls(&its);
    let port = redis.address.port();
    for (authority, settings, status) in [
        (&trusted, "host: localhost, ssl: true, ssl_verify: true", 200),
        (&trusted, "host: 127.0.0.1, ssl: true, ssl_verify: true, server_name: localhost", 200),
        // Its certificate is for another name.
        (&trusted, "host: 127.0.0.1, ssl: true, ssl_verify: true", 500),
        (&trusted, "host: localhost, ssl: true, ssl_verify: true, server_name: redis.example", 500),
        // Somebody else has signed it.
        (&distrusted, "host: localhost, ssl: true, ssl_verify: true", 500),
        // Nobody asked to verify it; that is Kong's default.
        (&distrusted, "host: localhost, ssl: true", 200),
        (&trusted, "host: 127.0.0.1, ssl: true, server_name: redis.example", 200),
        // One of the two does not speak TLS.
        (&trusted, "host: localhost", 500),
    ] {
        let settings = format!("{settings}, port: {port}, password: secret");
        let response = answer(&upstream, Some(authority), &settings).await;
        assert_eq!(response.status, status, "{settings}: {}", response.text());
        assert_eq!(response.header("ratelimit-remaining").is_some(), status == 200, "{settings}");
    }
    let plain = LocalRedis::start(Options::default()).unwrap();
    let settings = format!("host: localhost, port: {}, ssl: true", plain.address.port());
    assert_eq!(answer(&upstream, Some(&trusted), &settings).await.status, 500);
}

#[tokio::test]
async fn the_gateway_is_who_the_settings_say() {
    let upstream = Upstream::start(None).await;
    let redis =
        LocalRedis::start(Options { password: Some("secret"), user: Some(("ada", "hers")), tls: None })
            .unwrap();
    for (settings, status) in [
        ("password: secret", 200),
        ("username: default, password: secret", 200),
        ("username: ada, password: hers", 200),
        ("username: ada, password: secret", 500),
        ("username: eve, password: hers", 500),
        ("password: hers", 500),
        ("database: 0", 500),
        // There are 16.
        ("password: secret, database: 15", 200),
        ("password: secret, database: 16", 500),
    ] {
        let settings = format!("host: 127.0.0.1, port: {}, {settings}", redis.address.port());
        assert_eq!(answer(&upstream, None, &settings).await.status, status, "{settings}");
    }
}

#[tokio::test]
async fn each_database_has_counts_of_its_own() {
    let (upstream, redis) = (Upstream::start(None).await, LocalRedis::start(Options::default()).unwrap());
    for (database, left) in [(0, "8"), (0, "7"), (3, "8"), (0, "6"), (3, "7")] {
        let settings = format!("host: 127.0.0.1, port: {}, database: {database}", redis.address.port());
        let response = answer(&upstream, None, &settings).await;
        assert_eq!(response.header("ratelimit-remaining"), Some(left), "{database}");
    }
}
