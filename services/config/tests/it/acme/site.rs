//! A region with an ACME server, and what stands for gateways and for the hook of DNS.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use config::Limits;
use pebble::{Options, Pebble};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::world::{World, acme, within};

/// As with Let's Encrypt.
pub const NINETY_DAYS: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// A version beyond any that a configuration has.
pub const ALL: &str = "9000000000000000000";

/// A region with a control plane, an ACME server, and what stands for gateways.
pub struct Site {
    pub world: World,
    pub pebble: Arc<Pebble>,
    pub plane: String,
    pub gateways: Gateways,
    pub hook: Hook,
}

/// Answers as gateways do.
#[derive(Clone, Default)]
pub struct Gateways {
    db: Arc<Mutex<Option<PgPool>>>,
    /// Hosts that lead elsewhere.
    pub elsewhere: Arc<Mutex<Vec<String>>>,
}

/// What the hook was asked for.
#[derive(Clone, Default)]
pub struct Hook {
    pebble: Arc<Mutex<Option<Arc<Pebble>>>>,
    pub asked: Arc<Mutex<Vec<Value>>>,
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(
    State(gateways): State<Gateways>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let leads_elsewhere =
        gateways.elsewhere.lock().expect("lock").iter().any(|name| host.starts_with(name.as_str()));
    let db = gateways.db.lock().expect("lock").clone().expect("a database");
    let bodies = bodies(&db).await;
    let challenges =
        bodies.iter().flat_map(|body| body["challenges"].as_array().cloned().unwrap_or_default());
    let mut challenges = challenges.map(|challenge| challenge.as_str().expect("a text").to_owned());
    let found = challenges.find(|challenge| challenge.starts_with(&format!("{token}.")));
    found.filter(|_| !leads_elsewhere).ok_or(StatusCode::NOT_FOUND)
}

async fn asked(State(hook): State<Hook>, Json(body): Json<Value>) -> Json<Value> {
    hook.asked.lock().expect("lock").push(body.clone());
    let pebble = hook.pebble.lock().expect("lock").clone().expect("a server");
    let text = |name: &str| body[name].as_str().expect("a text").to_owned();
    let done = match body["action"].as_str() {
        Some("present") => pebble.set_txt(&text("record"), &text("value")).await,
        _ => pebble.clear_txt(&text("record")).await,
    };
    done.expect("changed");
    Json(json!({ "wait_seconds": 0 }))
}

/// What nodes have of all ACME certificates.
pub async fn bodies(db: &PgPool) -> Vec<Value> {
    let bodies: Vec<(String,)> =
        sqlx::query_as("SELECT body FROM regional.entity WHERE kind = 'acme_certificate' AND NOT deleted")
            .fetch_all(db)
            .await
            .expect("read");
    bodies.into_iter().map(|(body,)| serde_json::from_str(&body).expect("JSON")).collect()
}

impl Site {
    pub async fn new() -> Self {
        Self::with(NINETY_DAYS, None).await
    }

    pub async fn with(validity: Duration, external_account: Option<(String, String)>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (gateways, hook) = (Gateways::default(), Hook::default());
        let answers = get(answer).with_state(gateways.clone());
        let http = serve(Router::new().route("/.well-known/acme-challenge/{token}", answers)).await;
        let options = Options { http_port: http.port(), validity, external_account };
        let pebble = Arc::new(Pebble::start(&options).await.expect("pebble"));
        *hook.pebble.lock().expect("lock") = Some(pebble.clone());
        let hook_url = serve(Router::new().route("/", post(asked).with_state(hook.clone()))).await;
        let (url, ca) = (pebble.directory(), pebble.ca());
        let servers = [("pebble", url.as_str(), Some(ca.as_path()))];
        let world =
            World::with(Limits::default(), acme(&servers, Some(&format!("http://{hook_url}/")))).await;
        *gateways.db.lock().expect("lock") = Some(world.db.clone());
        let plane = world.plane("edge").await;
        Self { world, pebble, plane, gateways, hook }
    }

    /// From now on a node is connected that has applied `version`.
    pub async fn node(&self, version: &str) {
        sqlx::query("DELETE FROM regional.node").execute(&self.world.db).await.expect("deleted");
        sqlx::query(
            "INSERT INTO regional.node (control_plane_id, id, hostname, certificate_expires_at, last_seen_at, applied_epoch,
                                        applied_version, digest_matches)
             SELECT id, gen_random_uuid(), 'gw-1', now() + interval '1 day', now() + interval '1 day', epoch, $1::bigint, true
             FROM regional.control_plane",
        )
        .bind(version.parse::<i64>().expect("a number"))
        .execute(&self.world.db)
        .await
        .expect("inserted");
    }

    /// A replica that orders, until it is told to stop, or aborted.
    pub fn replica(&self) -> (CancellationToken, JoinHandle<anyhow::Result<()>>) {
        let drain = CancellationToken::new();
        let replica = tokio::spawn(self.world.service.order_certificates(drain.clone()));
        (drain, replica)
    }

    pub async fn order(&self, body: Value) -> String {
        let mut whole =
            json!({"domains": ["shop.example"], "account_email": "ops@shop.example", "tos_accepted": true});
        whole.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        let made = self.world.post(format!("{}/core-entities/acme_certificates", self.plane), &whole).await;
        let made = made.expect(StatusCode::CREATED);
        format!("{}/core-entities/acme_certificates/{}", self.plane, made["id"].as_str().expect("an id"))
    }

    pub async fn status(&self, path: &str) -> Value {
        self.world.get(format!("{path}/order")).await.expect(StatusCode::OK)
    }

    /// The status once it is like this.
    pub async fn until(&self, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        // More than the pause after a failure: the ACME server refuses good nonces now and then.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(150);
        loop {
            let status = self.status(path).await;
            if is_so(&status) {
                return status;
            }
            let log = || self.pebble.log().expect("a log");
            assert!(tokio::time::Instant::now() < deadline, "{what}: {status}\n{}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn until_valid(&self, path: &str) -> Value {
        self.until(path, "it is valid", |status| status["state"] == "valid").await
    }

    /// Waits until gateways have a challenge to answer.
    pub async fn until_challenged(&self) {
        within("a challenge", async {
            loop {
                if bodies(&self.world.db).await.iter().any(|body| body["challenges"].is_array()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    pub async fn hurry(&self) {
        self.world.execute("UPDATE regional.acme_order SET due_at = now()").await;
    }
}
