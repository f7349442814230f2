//! Certificates that are ordered from a real ACME server (pebble), over a real database. A small server stands for the gateways here: it answers
//! what their configuration says. With real ones this is told in the end-to-end tests.

mod site;

use std::time::Duration;

use axum::http::StatusCode;
use clock::Clock;
use config::Limits;
use gateway_model::AcmeLeaf;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::site::{ALL, NINETY_DAYS, Site, bodies};
use crate::world::{World, acme, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_ordered_once_all_nodes_have_the_challenge() {
    let site = Site::new().await;
    site.node("0").await;
    let path = site.order(json!({"domains": ["shop.example", "www.shop.example"]})).await;
    assert_eq!(site.status(&path).await["state"], "pending");
    let (drain, replica) = site.replica();
    site.until_challenged().await;
    let status = site.status(&path).await;
    assert_eq!((&status["ordering"], &status["attempts"]), (&json!(true), &json!(1)));
    // Ten times as long as between two looks at the nodes.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!site.pebble.log().expect("a log").contains("Attempting to validate"), "it looked too early");
    site.node(ALL).await;
    let status = site.until_valid(&path).await;
    assert_eq!((&status["directory"], &status["attempts"]), (&json!("pebble"), &json!(0)));
    assert!(status["last_error"].is_null() && status["serial"].is_string(), "{status}");

    let [body] = <[Value; 1]>::try_from(bodies(&site.world.db).await).expect("one");
    let leaf = AcmeLeaf::of(body["cert"].as_str().expect("a chain")).expect("readable");
    assert_eq!(leaf.names, ["shop.example", "www.shop.example"]);
    assert!(!body.to_string().contains("PRIVATE KEY") && body["key_sealed"].is_string());
    assert!(body.get("challenges").is_none(), "no gateway answers any more");
    let shown = site.world.get(&path).await.expect(StatusCode::OK);
    for hidden in ["state", "cert", "key", "challenges"] {
        assert!(shown.get(hidden).is_none(), "{shown}");
    }
    let audit = site.world.audit().await;
    assert!(audit.contains(&("acme_certificate.create".to_owned(), true)), "{audit:?}");
    assert!(audit.contains(&("acme_certificate.put".to_owned(), false)), "{audit:?}");
    let accounts: Vec<(Vec<u8>,)> = sqlx::query_as("SELECT credentials FROM regional.acme_account")
        .fetch_all(&site.world.db)
        .await
        .expect("read");
    assert_eq!(accounts.len(), 1);
    assert!(!String::from_utf8_lossy(&accounts[0].0).contains("key_pkcs8"), "sealed");
    drain.cancel();
    within("the replica ends", replica).await.expect("no panic").expect("no error");
    assert_eq!(site.pebble.counts().expect("a log"), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_order_each_certificate_once_with_one_account() {
    let site = Site::new().await;
    site.node(ALL).await;
    let mut paths = Vec::new();
    for number in 0..6 {
        paths.push(site.order(json!({"domains": [format!("n{number}.example")]})).await);
    }
    let replicas = [site.replica(), site.replica()];
    for path in &paths {
        site.until_valid(path).await;
    }
    for (drain, replica) in replicas {
        drain.cancel();
        within("the replica ends", replica).await.expect("no panic").expect("no error");
    }
    let (orders, issued) = site.pebble.counts().expect("a log");
    assert_eq!(issued, paths.len());
    // One whose nonces were refused thrice is made again.
    assert!(orders <= paths.len() + 1, "{orders} orders");
    let (accounts,): (i64,) = sqlx::query_as("SELECT count(*) FROM regional.acme_account")
        .fetch_one(&site.world.db)
        .await
        .expect("read");
    assert_eq!(accounts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_on_after_its_process_has_died() {
    let site = Site::new().await;
    site.node("0").await;
    let path = site.order(json!({})).await;
    let (_drain, replica) = site.replica();
    site.until_challenged().await;
    // Nothing is tidied up.
    replica.abort();
    let _ = replica.await;
    let status = site.status(&path).await;
    assert_eq!((&status["ordering"], &status["attempts"]), (&json!(true), &json!(1)));
    site.node(ALL).await;
    let (_drain, second) = site.replica();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(site.status(&path).await["attempts"], json!(1), "the claim still stands");
    site.hurry().await;
    site.until_valid(&path).await;
    assert_eq!(site.pebble.counts().expect("a log"), (1, 1), "the same order");
    second.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_proved_is_told_and_tried_again_later() {
    let site = Site::new().await;
    site.node(ALL).await;
    site.gateways.elsewhere.lock().expect("lock").push("shop.example".to_owned());
    let path = site.order(json!({})).await;
    let (_drain, replica) = site.replica();
    let told = |status: &Value| status["last_error"]["message"].as_str().unwrap_or_default().to_owned();
    let failed = site.until(&path, "it fails", |status| told(status).contains("shop.example: ")).await;
    assert_eq!((&failed["state"], &failed["ordering"]), (&json!("failed"), &json!(false)), "{failed}");
    assert!(told(&failed).contains("404"), "{failed}");
    within("gateways answer no more", async {
        while bodies(&site.world.db).await.iter().any(|body| body["challenges"].is_array()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let attempts = failed["attempts"].as_u64().expect("a number");
    // Nobody is in a hurry who only changes tags.
    site.world.patch(&path, &json!({"tags": ["x"]})).await.expect(StatusCode::OK);
    site.world.put(format!("{path}/order"), &json!({})).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let later = site.status(&path).await;
    assert_eq!((later["attempts"].as_u64(), &later["ordering"]), (Some(attempts), &json!(false)), "{later}");
    site.gateways.elsewhere.lock().expect("lock").clear();
    site.hurry().await;
    let valid = site.until_valid(&path).await;
    assert!(valid["last_error"].is_null(), "{valid}");

    // Other names are another request, and the certificate stays until there is one for them.
    let serial = valid["serial"].clone();
    site.gateways.elsewhere.lock().expect("lock").push("new.example".to_owned());
    site.world
        .patch(&path, &json!({"domains": ["shop.example", "new.example"]}))
        .await
        .expect(StatusCode::OK);
    let failed = site.until(&path, "it fails", |status| told(status).contains("new.example: ")).await;
    assert_eq!((&failed["state"], &failed["serial"]), (&json!("failed"), &serial));
    assert!(bodies(&site.world.db).await[0]["cert"].is_string(), "what there is stays in service");
    // Back to what there is: nothing is ordered.
    site.world.patch(&path, &json!({"domains": ["shop.example"]})).await.expect(StatusCode::OK);
    let back = site.until(&path, "it is valid and was looked at", |status| {
        status["state"] == "valid" && status["attempts"] == 0
    });
    assert_eq!(back.await["serial"], serial);

    site.world.delete(&path).await.expect(StatusCode::NO_CONTENT);
    site.world.get(format!("{path}/order")).await.problem(StatusCode::NOT_FOUND);
    site.world.put(format!("{path}/order"), &json!({})).await.problem(StatusCode::NOT_FOUND);
    let nobody = format!("{}/core-entities/acme_certificates/shop/order", site.plane);
    site.world.get(nobody).await.problem(StatusCode::NOT_FOUND);
    replica.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_a_wildcard_are_proved_by_the_hook_for_dns() {
    let site = Site::new().await;
    let names = ["shop.example", "*.shop.example"];
    let body = json!({"domains": names, "challenge": "dns-01", "cert_type": "rsa", "rsa_key_size": 2048});
    let path = site.order(body).await;
    let (_drain, replica) = site.replica();
    site.until_valid(&path).await;
    let asked = site.hook.asked.lock().expect("lock").clone();
    let said: Vec<_> =
        asked.iter().map(|asked| (&asked["action"], &asked["domain"], &asked["record"])).collect();
    let (domain, record) = (json!("shop.example"), json!("_acme-challenge.shop.example"));
    assert_eq!(said.first(), Some(&(&json!("present"), &domain, &record)));
    assert_eq!(said.last(), Some(&(&json!("cleanup"), &domain, &record)));
    let values: Vec<_> = asked.iter().take(2).map(|asked| &asked["value"]).collect();
    assert_ne!(values[0], values[1], "both names are proved by records of one name");
    let is_told =
        |asked: &Value| asked["organization_id"].is_string() && asked["control_plane_id"].is_string();
    assert!(asked.iter().all(is_told), "{asked:?}");
    assert!(
        bodies(&site.world.db).await[0].get("challenges").is_none(),
        "gateways have nothing to do with it"
    );
    replica.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_and_stays_while_that_fails() {
    // Renewed after half of it; the other half is there for an attempt that fails.
    let site = Site::with(Duration::from_secs(90), None).await;
    site.node(ALL).await;
    let path = site.order(json!({})).await;
    let (_drain, replica) = site.replica();
    let first = site.until_valid(&path).await;
    let renewed = site.until(&path, "it is renewed", |status| {
        status["state"] == "valid" && status["serial"] != first["serial"]
    });
    let second = renewed.await;
    site.gateways.elsewhere.lock().expect("lock").push("shop.example".to_owned());
    let failed = site.until(&path, "the renewal fails", |status| !status["last_error"].is_null()).await;
    assert_eq!((&failed["state"], &failed["serial"]), (&json!("valid"), &second["serial"]), "{failed}");
    assert!(bodies(&site.world.db).await[0]["cert"].is_string());
    replica.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_bound_to_one_elsewhere_where_the_server_demands_it() {
    let (id, key) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");
    let site = Site::with(NINETY_DAYS, Some((id.to_owned(), key.to_owned()))).await;
    site.node(ALL).await;
    let (_drain, replica) = site.replica();
    let unbound = site.order(json!({})).await;
    let told = |status: &Value| status["last_error"]["message"].as_str().unwrap_or_default().to_owned();
    site.until(&unbound, "it fails", |status| told(status).contains("externalAccountRequired")).await;
    let bound = site.order(json!({"domains": ["b.example"], "eab_kid": id, "eab_hmac_key": key})).await;
    site.until_valid(&bound).await;
    assert!(
        bodies(&site.world.db).await.iter().all(|body| !body.to_string().contains(key)),
        "nodes do not get it"
    );
    assert_eq!(site.world.get(&bound).await.expect(StatusCode::OK)["eab_hmac_key"], key);
    replica.abort();
}

/// A row that a fault has damaged, say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_read_holds_up_no_other() {
    let site = Site::new().await;
    site.node(ALL).await;
    site.order(json!({"domains": ["damaged.example"]})).await;
    site.world.execute("UPDATE regional.entity SET body = '{}'").await;
    let path = site.order(json!({})).await;
    let (_drain, replica) = site.replica();
    site.until_valid(&path).await;
    let looked_at: Vec<(bool,)> = sqlx::query_as("SELECT due_at > now() FROM regional.acme_order")
        .fetch_all(&site.world.db)
        .await
        .expect("read");
    assert_eq!(looked_at, [(true,), (true,)], "it is not looked at each second");
    replica.abort();
}

/// ACME servers count the accounts that are made from one address, and that is the region's: one organization must not use them up for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_makes_few_accounts_in_a_day() {
    let site = Site::new().await;
    site.node(ALL).await;
    let made = "INSERT INTO regional.acme_account
                SELECT gen_random_uuid(), organization_id, 'https://127.0.0.1/', 'a@b.example', '', ''
                FROM regional.control_plane, generate_series(1, 10)";
    site.world.execute(made).await;
    let path = site.order(json!({})).await;
    let (_drain, replica) = site.replica();
    let told = |status: &Value| status["last_error"]["message"].as_str().unwrap_or_default().to_owned();
    let failed = site.until(&path, "it fails", |status| told(status).contains("`account_email`")).await;
    assert_eq!(site.pebble.counts().expect("a log"), (0, 0));
    let next = failed["next_attempt_at"].as_str().and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
    let pause = next.expect("a time") - Clock::system().now();
    assert!(pause > time::Duration::minutes(40), "{failed}");
    site.world.execute("UPDATE regional.acme_account SET created_at = now() - interval '2 days'").await;
    site.hurry().await;
    site.until_valid(&path).await;
    let (accounts,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM regional.acme_account WHERE credentials <> ''")
            .fetch_one(&site.world.db)
            .await
            .expect("read");
    assert_eq!(accounts, 1);
    replica.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_region_does_not_offer_is_refused_with_the_setting() {
    let world = World::with(Limits::default(), acme(&[("one", "https://127.0.0.1:1/", None)], None)).await;
    let plane = world.plane("edge").await;
    let all = format!("{plane}/core-entities/acme_certificates");
    let body = |more: Value| {
        let mut body =
            json!({"domains": ["a.example"], "account_email": "a@b.example", "tos_accepted": true});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for (more, part) in [
        (json!({"directory": "two"}), "must be one of one"),
        (json!({"challenge": "dns-01"}), "`acme.dns_hook`"),
    ] {
        let (kind, detail) = world.post(&all, &body(more.clone())).await.problem(StatusCode::BAD_REQUEST);
        assert!(kind == "invalid-body" && detail.contains(part), "{more}: {kind}: {detail}");
        let document = json!({"_format_version": "3.0", "acme_certificates": [body(more.clone())]});
        let (_, detail) =
            world.put(format!("{plane}/declarative"), &document).await.problem(StatusCode::BAD_REQUEST);
        assert!(detail.contains(part), "{more}: {detail}");
    }
    let made = world.post(&all, &body(json!({}))).await.expect(StatusCode::CREATED);
    let (_, detail) = world.post(&all, &body(json!({}))).await.problem(StatusCode::CONFLICT);
    assert!(detail.contains("one of these names"), "{detail}");
    // Applied again, nothing changes; a document without it deletes it.
    let document = json!({"_format_version": "3.0", "acme_certificates": [body(json!({"id": made["id"]}))]});
    let applied = world.put(format!("{plane}/declarative"), &document).await.expect(StatusCode::OK);
    assert_eq!(
        (&applied["created"], &applied["updated"], &applied["deleted"]),
        (&json!(0), &json!(0), &json!(0))
    );
}
