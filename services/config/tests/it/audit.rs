//! The audit log over HTTP: in pages, whole, and delivered to a webhook. identity and authz are in memory, so it is config's part only.

use std::{collections::BTreeMap, time::Duration};

use access::Action;
use audit_log::{Recorder, Retention, purge, verify::Whole, verify_lines};
use aws_lc_rs::hmac;
use axum::http::{Method, StatusCode};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use config::WebhookOptions;
use serde_json::{Value, json};
use testbed::WebhookReceiver;
use tokio_util::sync::CancellationToken;

use crate::world::World;

const WEBHOOK: &str = "/v3/audit-log-webhook";
const STATUS: &str = "/v3/audit-log-webhook/status";
/// A secret of the test's own: 32 bytes.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl World {
    /// Writes what requests have told until now, and links all.
    async fn settle_audit(&self) {
        let reports = self.reports.lock().expect("lock").take();
        if let Some(reports) = reports {
            let drain = CancellationToken::new();
            drain.cancel();
            Recorder::new(self.db.clone(), reports).run(drain).await.expect("written");
        }
        while self.service.linker().link_once().await.expect("linked") > 0 {}
    }

    async fn logs(&self, query: &str) -> Value {
        self.get(format!("/v3/audit-logs{query}")).await.expect(StatusCode::OK)
    }

    async fn deliver(&self) {
        self.execute("UPDATE regional.audit_webhook SET next_attempt_at = now()").await;
        self.service.deliver_audit().await.expect("served");
    }
}

fn actions(page: &Value) -> Vec<&str> {
    let entries = page["data"].as_array().expect("entries");
    entries.iter().map(|entry| entry["action"].as_str().expect("an action")).collect()
}

#[tokio::test]
async fn the_log_is_read_by_cursor_and_by_filter() {
    let world = World::new().await;
    let plane = world.plane("one").await;
    for name in ["a", "b", "c"] {
        let body = json!({ "host": "h.example", "name": name });
        world.post(format!("{plane}/core-entities/services"), &body).await.expect(StatusCode::CREATED);
    }
    world.peers.deny(Action::RouteWrite);
    for _ in 0..3 {
        let refused = world.post(format!("{plane}/core-entities/routes"), &json!({ "paths": ["/x"] })).await;
        refused.problem(StatusCode::FORBIDDEN);
    }
    world.settle_audit().await;

    let all = world.logs("").await;
    assert_eq!(
        actions(&all),
        ["control-plane.create", "service.create", "service.create", "service.create", "route:Write"]
    );
    let denied = &all["data"][4];
    assert_eq!(
        (&denied["type"], &denied["outcome"], &denied["problem"], &denied["count"]),
        (&json!("authorization"), &json!("denied"), &json!("forbidden"), &json!(3))
    );
    assert_eq!(denied["route"], "/v2/control-planes/{control_plane_id}/core-entities/routes");
    let written = &all["data"][1];
    assert_eq!(
        (&written["service"], &written["region"], &written["seq"]),
        (&json!("config"), &json!("us"), &json!(2))
    );
    assert_eq!((&written["method"], &written["actor_type"]), (&json!("POST"), &json!("system_account")));
    assert!(written["request_id"].is_string(), "{written}");
    assert!(all["meta"]["page"]["next"].is_null());

    let mut seen = Vec::new();
    let mut query = "?page[size]=2".to_owned();
    loop {
        let page = world.logs(&query).await;
        seen.extend(actions(&page).into_iter().map(str::to_owned));
        let Some(next) = page["meta"]["page"]["next"].as_str() else { break };
        query = format!("?page[size]=2&page[after]={next}");
    }
    assert_eq!(seen, actions(&all));
    // What comes later is found from where the last page ended.
    let resume = all["meta"]["page"]["resume"].as_str().expect("a cursor").to_owned();
    assert_eq!(actions(&world.logs(&format!("?page[after]={resume}")).await), [""; 0]);
    world.plane("two").await;
    world.settle_audit().await;
    assert_eq!(actions(&world.logs(&format!("?page[after]={resume}")).await), ["control-plane.create"]);

    let count = async |query: &str| actions(&world.logs(query).await).len();
    assert_eq!(count("?filter[type]=authorization").await, 1);
    assert_eq!(count("?filter[outcome]=allowed").await, 5);
    assert_eq!(count("?filter[action]=service.create").await, 3);
    assert_eq!(count("?filter[ts][gte]=2020-01-01T00:00:00Z").await, 6);
    assert_eq!(count("?filter[ts][lte]=2020-01-01T00:00:00Z").await, 0);
    let actor = written["actor_id"].as_str().expect("an actor");
    assert_eq!(count(&format!("?filter[actor]={actor}")).await, 6);
    assert_eq!(count("?filter[actor]=0192d3a4-5b6c-7d8e-9f00-112233445566").await, 0);
    for wrong in [
        "?filter[ts][gte]=yesterday",
        "?filter[type]=x",
        "?filter[actor]=x",
        "?page[after]=x",
        "?page[size]=1001",
    ] {
        world.get(format!("/v3/audit-logs{wrong}")).await.problem(StatusCode::BAD_REQUEST);
    }
    world.peers.deny(Action::AuditRead);
    for path in ["/v3/audit-logs", "/v3/audit-logs/export", WEBHOOK, STATUS] {
        world.get(path).await.problem(StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn an_export_is_whole_and_an_altered_one_is_not() {
    let world = World::new().await;
    for number in 0..5 {
        world.plane(&format!("plane-{number}")).await;
    }
    world.settle_audit().await;
    let (headers, text) = world.call(Method::GET, "/v3/audit-logs/export").send_for_text().await;
    assert_eq!(headers["content-type"], "application/x-ndjson");
    let linker = world.service.linker();
    let keys = BTreeMap::from([(linker.linking().place.clone(), linker.linking().keys.clone())]);
    let verified = verify_lines(&mut text.as_bytes(), &keys).expect("an export");
    assert_eq!(verified, Ok(Whole { entries: 5, chains: 1 }));
    let altered = text.replacen("control-plane.create", "control-plane.delete", 1);
    let broken = verify_lines(&mut altered.as_bytes(), &keys).expect("an export").expect_err("found");
    assert_eq!(broken.seq, 1);

    // What is left when old entries are gone is whole as well.
    world.execute("UPDATE audit SET at = now()").await;
    assert_eq!(purge(&linker, Retention { days: 1 }).await.expect("purged"), 0);
    let (_, text) = world.call(Method::GET, "/v3/audit-logs/export").send_for_text().await;
    let broken = verify_lines(&mut text.as_bytes(), &keys).expect("an export");
    assert!(broken.is_err(), "the times were changed");
}

#[tokio::test]
async fn a_webhook_leads_to_https_at_a_public_address() {
    let world = World::new().await;
    world.get(WEBHOOK).await.problem(StatusCode::NOT_FOUND);
    world.get(STATUS).await.problem(StatusCode::NOT_FOUND);
    world.delete(WEBHOOK).await.problem(StatusCode::NOT_FOUND);
    for (body, field) in [
        (json!({}), "endpoint"),
        (json!({ "endpoint": "http://siem.example/" }), "endpoint"),
        (json!({ "endpoint": "https://127.0.0.1/" }), "endpoint"),
        (json!({ "endpoint": "https://[::1]/" }), "endpoint"),
        (json!({ "endpoint": "https://169.254.169.254/" }), "endpoint"),
        (json!({ "endpoint": "https://siem.example/", "secret": "short" }), "secret"),
    ] {
        let refused = world.patch(WEBHOOK, &body).await.expect(StatusCode::BAD_REQUEST);
        assert_eq!(refused["invalid_parameters"][0]["field"], field, "{body}");
    }
    let made = world.patch(WEBHOOK, &json!({ "endpoint": "https://siem.example/?key=secret" })).await;
    let made = made.expect(StatusCode::OK);
    assert!(made["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{made}");
    let read = world.get(WEBHOOK).await.expect(StatusCode::OK);
    assert!(read.get("secret").is_none() && read["enabled"] == json!(true), "{read}");
    world.settle_audit().await;
    let log = world.logs("?filter[action]=audit-webhook.put").await;
    assert_eq!(log["data"][0]["target"], "siem.example", "a path or a query may be secret");
    world.peers.deny(Action::AuditManage);
    world.delete(WEBHOOK).await.problem(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn entries_are_delivered_once_the_endpoint_takes_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = WebhookReceiver::start(folder.path()).await.expect("a receiver");
    let options = WebhookOptions::load(Some(receiver.ca()), true).expect("usable");
    let world = World::with_webhooks(options).await;
    world.plane("before").await;
    world.settle_audit().await;
    let hook = json!({ "endpoint": receiver.url(), "secret": SECRET });
    world.patch(WEBHOOK, &hook).await.expect(StatusCode::OK);
    world.plane("after").await;
    world.settle_audit().await;

    receiver.answer_next(&[500, 0]);
    world.deliver().await;
    let status = world.get(STATUS).await.expect(StatusCode::OK);
    assert_eq!(
        (&status["failures"], &status["pending"], &status["delivered"]),
        (&json!(1), &json!(2), &json!(0))
    );
    assert!(status["last_error"].as_str().is_some_and(|error| error.contains("500")), "{status}");
    world.deliver().await;
    let status = world.get(STATUS).await.expect(StatusCode::OK);
    assert_eq!((&status["failures"], &status["pending"]), (&json!(2), &json!(2)), "{status}");
    // It is left alone until the next attempt is due.
    world.service.deliver_audit().await.expect("served");
    assert_eq!(receiver.deliveries().len(), 2);
    world.deliver().await;
    let status = world.get(STATUS).await.expect(StatusCode::OK);
    assert_eq!(
        (&status["failures"], &status["pending"], &status["delivered"]),
        (&json!(0), &json!(0), &json!(2))
    );
    assert!(status["last_success_at"].is_string());
    world.deliver().await;

    let deliveries = receiver.deliveries();
    assert_eq!(deliveries.iter().map(|delivery| delivery.answered).collect::<Vec<_>>(), [500, 0, 200]);
    assert!(deliveries.windows(2).all(|pair| pair[0].headers["webhook-id"] == pair[1].headers["webhook-id"]));
    let taken = &deliveries[2];
    let body: Value = serde_json::from_slice(&taken.body).expect("JSON");
    assert_eq!(body["type"], "audit_log.entries");
    // From the webhook on: what was before is not delivered.
    assert_eq!(actions(&body), ["audit-webhook.put", "control-plane.create"]);
    let header = |name: &str| taken.headers[name].as_str();
    let key = BASE64_STANDARD.decode(SECRET.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed =
        [header("webhook-id").as_bytes(), b".", header("webhook-timestamp").as_bytes(), b".", &taken.body]
            .concat();
    let signature = header("webhook-signature").strip_prefix("v1,").expect("version 1");
    let signature = BASE64_STANDARD.decode(signature).expect("base64");
    hmac::verify(&key, &signed, &signature).expect("its signature");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_given_up_until_somebody_changes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = WebhookReceiver::start(folder.path()).await.expect("a receiver");
    let options = WebhookOptions::load(Some(receiver.ca()), true).expect("usable");
    let world = World::with_webhooks(options).await;
    world.patch(WEBHOOK, &json!({ "endpoint": receiver.url() })).await.expect(StatusCode::OK);
    world.settle_audit().await;
    // Every attempt has failed for long.
    receiver.answer_next(&[503, 503, 410]);
    world.deliver().await;
    world.execute("UPDATE regional.audit_webhook SET failing_since = now() - interval '73 hours'").await;
    world.deliver().await;
    let status = world.get(STATUS).await.expect(StatusCode::OK);
    assert_eq!(status["enabled"], json!(false));
    assert!(status["given_up"].as_str().is_some_and(|reason| reason.contains("3 days")), "{status}");
    world.deliver().await;
    assert_eq!(receiver.deliveries().len(), 2, "nothing is tried any more");

    let again = world.patch(WEBHOOK, &json!({})).await.expect(StatusCode::OK);
    assert_eq!(again["enabled"], json!(true));
    world.deliver().await;
    let status = world.get(STATUS).await.expect(StatusCode::OK);
    assert!(status["given_up"].as_str().is_some_and(|reason| reason.contains("410")), "{status}");
    world.patch(WEBHOOK, &json!({ "enabled": true })).await.expect(StatusCode::OK);
    world.settle_audit().await;
    world.deliver().await;
    let status = world.get(STATUS).await.expect(StatusCode::OK);
    assert_eq!((&status["pending"], &status["failures"]), (&json!(0), &json!(0)), "{status}");
    assert!(status.get("given_up").is_none());

    world.delete(WEBHOOK).await.expect(StatusCode::NO_CONTENT);
    world.get(WEBHOOK).await.problem(StatusCode::NOT_FOUND);
}

/// Two replicas, one webhook: each entry comes once where nothing fails.
#[tokio::test]
async fn replicas_do_not_deliver_the_same_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = WebhookReceiver::start(folder.path()).await.expect("a receiver");
    let options = WebhookOptions::load(Some(receiver.ca()), true).expect("usable");
    let world = World::with_webhooks(options).await;
    world.patch(WEBHOOK, &json!({ "endpoint": receiver.url() })).await.expect(StatusCode::OK);
    world.settle_audit().await;
    world.execute("UPDATE regional.audit_webhook SET next_attempt_at = now()").await;
    let both = tokio::join!(world.service.deliver_audit(), world.service.deliver_audit());
    both.0.and(both.1).expect("served");
    assert_eq!(receiver.deliveries().len(), 1);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(receiver.deliveries().len(), 1);
}
