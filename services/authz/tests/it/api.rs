//! The public API: every endpoint, every refusal that it documents, and what a repeated request comes to.

use access::OpaqueToken;
use axum::http::StatusCode;
use ids::{AssignmentId, PrincipalId, TeamId};
use proto::identity::v1 as identity;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::{
    service::{Answer, Service, ada, administrators, bot, owner},
    support::region,
};

fn viewer(entity_region: &str) -> Value {
    json!({"role_name": "Viewer", "entity_id": "*", "entity_type_name": "Control Planes", "entity_region": entity_region})
}

fn identity_admin() -> Value {
    json!({"role_name": "Admin", "entity_id": "*", "entity_type_name": "Identity", "entity_region": "*"})
}

async fn team(service: &Service, name: &str) -> String {
    let made = service.post("/v3/teams", &service.token(owner()), json!({"name": name})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    made.id()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, problem: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{answer:?}");
}

#[tokio::test]
async fn teams_are_made_changed_listed_and_removed() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    let made = service.post("/v3/teams", &token, json!({"name": " a ", "description": "first"})).await;
    assert_eq!(
        (made.status, &made.body["name"], &made.body["description"]),
        (StatusCode::CREATED, &json!("a"), &json!("first"))
    );
    assert_eq!(made.body["created_at"], "2030-01-01T00:00:00Z", "by the clock of the service");
    let path = format!("/v3/teams/{}", made.id());
    assert_eq!(service.get(&path, &token).await.body, made.body);
    service.clock.advance(time::Duration::SECOND);
    let changed = service.call("PATCH", &path, &token, json!({"name": "b"})).await;
    assert_eq!(
        (&changed.body["name"], &changed.body["description"]),
        (&json!("b"), &json!("first")),
        "{changed:?}"
    );
    assert_eq!(changed.body["updated_at"], "2030-01-01T00:00:01Z");
    let listed = service.get("/v3/teams?page[size]=1", &token).await;
    assert_eq!(listed.body["data"].as_array().expect("a list").len(), 1, "{listed:?}");
    let all = service.get("/v3/teams", &token).await;
    assert_eq!(all.body["data"].as_array().expect("a list").len(), 2);
    assert_eq!(service.delete(&path, &token).await.status, StatusCode::NO_CONTENT);
    refused(&service.get(&path, &token).await, 404, "not-found");
    refused(&service.delete(&path, &token).await, 404, "not-found");
    refused(&service.call("PATCH", &path, &token, json!({"name": "c"})).await, 404, "not-found");
    assert_eq!(service.count("SELECT count(*) FROM audit WHERE action LIKE 'team.%'").await, 3);
}

#[tokio::test]
async fn a_team_is_read_back_as_it_was_sent() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    // As Kong's Terraform provider sends it.
    let bare = service.post("/v3/teams", &token, json!({"name": "bare", "description": null})).await;
    assert_eq!((&bare.body["description"], &bare.body["labels"]), (&json!(null), &json!({})), "{bare:?}");
    let body = json!({"name": "full", "description": "", "labels": {"env": "prod", "gone": null}});
    let full = service.post("/v3/teams", &token, body).await;
    assert_eq!((&full.body["description"], &full.body["labels"]), (&json!(""), &json!({"env": "prod"})));
    let path = format!("/v3/teams/{}", full.id());
    assert_eq!(service.get(&path, &token).await.body, full.body);
    let listed = service.get("/v3/teams?filter[name][eq]=full", &token).await;
    assert_eq!(listed.body["data"], json!([full.body]));
    assert_eq!(listed.body["meta"]["page"], json!({"number": 1, "size": 20, "total": 1}));
    for (change, description, labels) in [
        (json!({"name": "fuller", "description": null}), json!(""), json!({"env": "prod"})),
        (json!({"labels": {"tier": "1"}}), json!(""), json!({"tier": "1"})),
        (json!({"description": "d"}), json!("d"), json!({"tier": "1"})),
        (json!({"labels": {}}), json!("d"), json!({})),
    ] {
        let changed = service.call("PATCH", &path, &token, change.clone()).await;
        assert_eq!(
            (&changed.body["description"], &changed.body["labels"]),
            (&description, &labels),
            "{change}"
        );
    }
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (labels, field) in [
        (json!({"k": ""}), "labels.k"),
        (json!({"k": "v".repeat(64)}), "labels.k"),
        (json!({"": "v"}), "labels."),
        (Value::Object(many), "labels"),
    ] {
        for answer in [
            service.post("/v3/teams", &token, json!({"name": "n", "labels": labels})).await,
            service.call("PATCH", &path, &token, json!({"labels": labels})).await,
        ] {
            refused(&answer, 400, "invalid-body");
            assert_eq!(answer.body["invalid_parameters"][0]["field"], field);
        }
    }
}

#[tokio::test]
async fn labels_wait_until_every_region_reads_them() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    service.hears_of_generation("eu", 3);
    let labelled = json!({"name": "a", "labels": {"env": "prod"}});
    let early = service.post("/v3/teams", &token, labelled.clone()).await;
    refused(&early, 503, "unavailable");
    // An earlier release knows no team that nobody has described.
    let bare = service.post("/v3/teams", &token, json!({"name": "b"})).await;
    assert_eq!(bare.body["description"], "", "{bare:?}");
    let path = format!("/v3/teams/{}", bare.id());
    refused(&service.call("PATCH", &path, &token, labelled.clone()).await, 503, "unavailable");
    service.hears_of_generation("eu", 4);
    assert_eq!(service.post("/v3/teams", &token, labelled).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_team_is_refused() {
    let (_database, service) = Service::start().await;
    let (token, nobody) = (service.token(owner()), service.token(ada()));
    let (one, two) = (team(&service, "one").await, team(&service, "two").await);
    let predefined = format!("/v3/teams/{}", administrators());
    refused(&service.post("/v3/teams", &token, json!({"name": "one"})).await, 409, "conflict");
    refused(
        &service.call("PATCH", &format!("/v3/teams/{two}"), &token, json!({"name": "one"})).await,
        409,
        "conflict",
    );
    let same = service.call("PATCH", &format!("/v3/teams/{one}"), &token, json!({"name": "one"})).await;
    assert_eq!(same.status, StatusCode::OK, "its own name is not taken");
    for (body, field) in [
        (json!({"name": " "}), "name"),
        (json!({"name": "a\u{7}"}), "name"),
        (json!({"name": "a", "description": "d".repeat(513)}), "description"),
    ] {
        let answer = service.post("/v3/teams", &token, body).await;
        refused(&answer, 400, "invalid-body");
        assert_eq!(answer.body["invalid_parameters"][0]["field"], field);
    }
    refused(
        &service.call("PATCH", &format!("/v3/teams/{one}"), &token, json!({"name": ""})).await,
        400,
        "invalid-body",
    );
    refused(&service.call("PATCH", &predefined, &token, json!({"name": "x"})).await, 403, "forbidden");
    refused(&service.delete(&predefined, &token).await, 403, "forbidden");
    refused(&service.post("/v3/teams", &nobody, json!({"name": "x"})).await, 403, "forbidden");
    refused(&service.delete(&format!("/v3/teams/{one}"), &nobody).await, 403, "forbidden");
    refused(&service.get("/v3/teams?page[size]=0", &token).await, 400, "invalid-parameter");
    assert_eq!(
        service.count("SELECT count(*) FROM replicated.team").await,
        3,
        "a refused name leaves no team"
    );
}

#[tokio::test]
async fn absence_is_told_only_when_it_is_certain() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    service.hears_of("eu", 7);
    let absent = TeamId::generate();
    refused(&service.get(&format!("/v3/teams/{absent}"), &token).await, 503, "not-yet-replicated");
    let one = team(&service, "one").await;
    assert_eq!(service.get(&format!("/v3/teams/{one}"), &token).await.status, StatusCode::OK);
    let stranger = PrincipalId::generate();
    let add = service.post(&format!("/v3/teams/{one}/users"), &token, json!({"id": stranger})).await;
    refused(&add, 503, "not-yet-replicated");
    let gone = format!("/v3/teams/{one}/assigned-roles/{}", AssignmentId::generate());
    refused(&service.delete(&gone, &token).await, 503, "not-yet-replicated");
    refused(
        &service.delete(&format!("/v3/teams/{one}/users/{}", ada()), &token).await,
        503,
        "not-yet-replicated",
    );
    refused(
        &service.post("/v3/teams", &service.token(ada()), json!({"name": "x"})).await,
        503,
        "not-yet-replicated",
    );
}

#[tokio::test]
async fn nothing_is_absent_or_forbidden_while_the_database_may_be_a_copy_from_the_past() {
    let (_database, service) = Service::start().await;
    let (token, one) = (service.token(owner()), team(&service, "one").await);
    let absent = format!("/v3/teams/{}", TeamId::generate());
    let members = format!("/v3/teams/{one}/users");
    let (stranger, create) = (json!({"id": PrincipalId::generate()}), json!({"name": "x"}));
    let denials = async || {
        [
            service.get(&absent, &token).await,
            service.post(&members, &token, stranger.clone()).await,
            service.post("/v3/teams", &service.token(ada()), create.clone()).await,
        ]
    };
    let statuses = |answers: [Answer; 3]| answers.map(|answer| answer.status.as_u16());
    assert_eq!(statuses(denials().await), [404, 404, 403]);
    service.suspect().await;
    for denial in denials().await {
        refused(&denial, 503, "unavailable");
    }
    // What is known is answered and allowed all the same.
    assert_eq!(service.get(&format!("/v3/teams/{one}"), &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn members_come_and_go() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    let one = team(&service, "one").await;
    let (users, accounts) = (format!("/v3/teams/{one}/users"), format!("/v3/teams/{one}/system-accounts"));
    assert_eq!(service.post(&users, &token, json!({"id": ada()})).await.status, StatusCode::CREATED);
    assert_eq!(
        service.post(&accounts, &token, json!({"account_id": bot()})).await.status,
        StatusCode::CREATED
    );
    refused(&service.post(&users, &token, json!({"id": ada()})).await, 409, "conflict");
    refused(&service.post(&users, &token, json!({"id": bot()})).await, 404, "not-found");
    refused(&service.post(&accounts, &token, json!({"account_id": ada()})).await, 404, "not-found");
    // As Kong's Terraform provider calls it.
    refused(&service.post(&accounts, &token, json!({"id": bot()})).await, 409, "conflict");
    refused(
        &service.post(&accounts, &token, json!({"id": bot(), "account_id": bot()})).await,
        400,
        "invalid-body",
    );
    refused(
        &service.post(&format!("/v3/teams/{}/users", TeamId::generate()), &token, json!({"id": ada()})).await,
        404,
        "not-found",
    );
    refused(&service.post(&users, &service.token(bot()), json!({"id": ada()})).await, 403, "forbidden");
    assert_eq!(service.get(&users, &token).await.body["data"], json!([{"id": ada()}]));
    assert_eq!(service.get(&accounts, &token).await.body["data"], json!([{"id": bot()}]));
    // The team holds a role: its members hold it, from the next request on.
    let role = service.post(&format!("/v3/teams/{one}/assigned-roles"), &token, identity_admin()).await;
    assert_eq!(role.status, StatusCode::CREATED, "{role:?}");
    let member = service.token(ada());
    assert_eq!(service.get("/v3/teams", &member).await.status, StatusCode::OK);
    // Who administers identity only cannot hand over more.
    refused(
        &service.post(&format!("/v3/teams/{}/users", administrators()), &member, json!({"id": ada()})).await,
        403,
        "forbidden",
    );
    let leave = format!("{users}/{}", ada());
    assert_eq!(service.delete(&leave, &token).await.status, StatusCode::NO_CONTENT);
    refused(&service.delete(&leave, &token).await, 404, "not-found");
    refused(&service.delete(&format!("{users}/{}", owner()), &member).await, 403, "forbidden");
    assert_eq!(service.delete(&format!("{accounts}/{}", bot()), &token).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    let members = format!("/v3/teams/{}/users", administrators());
    refused(&service.delete(&format!("{members}/{}", owner()), &token).await, 409, "conflict");
    assert_eq!(service.post(&members, &token, json!({"id": ada()})).await.status, StatusCode::CREATED);
    assert_eq!(
        service.delete(&format!("{members}/{}", owner()), &token).await.status,
        StatusCode::NO_CONTENT
    );
    let other = service.token(ada());
    refused(&service.delete(&format!("{members}/{}", ada()), &other).await, 409, "conflict");
}

#[tokio::test]
async fn roles_are_assigned_and_taken_back() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    let one = team(&service, "one").await;
    for holder in
        [format!("/v3/teams/{one}"), format!("/v3/users/{}", ada()), format!("/v3/system-accounts/{}", bot())]
    {
        let path = format!("{holder}/assigned-roles");
        let made = service.post(&path, &token, viewer("*")).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        refused(&service.post(&path, &token, viewer("*")).await, 409, "conflict");
        let listed = service.get(&path, &token).await;
        assert_eq!(listed.body["data"], json!([made.body]), "{listed:?}");
        for (field, body) in [
            (
                "role_name",
                json!({"role_name": "x", "entity_id": "*", "entity_type_name": "Control Planes", "entity_region": "*"}),
            ),
            (
                "entity_id",
                json!({"role_name": "Viewer", "entity_id": "x", "entity_type_name": "Control Planes", "entity_region": "us"}),
            ),
            ("entity_region", viewer("?")),
            ("entity_region", viewer("atlantis")),
        ] {
            let answer = service.post(&path, &token, body).await;
            refused(&answer, 400, "invalid-body");
            assert_eq!(answer.body["invalid_parameters"][0]["field"], field);
        }
        let mine = format!("{path}/{}", made.id());
        let one = service.get(&mine, &token).await;
        assert_eq!((one.status, &one.body), (200.try_into().expect("a status"), &made.body));
        refused(
            &service.delete(&mine, &service.token(PrincipalId::from_uuid(bot().uuid()))).await,
            403,
            "forbidden",
        );
        assert_eq!(service.delete(&mine, &token).await.status, StatusCode::NO_CONTENT);
        refused(&service.delete(&mine, &token).await, 404, "not-found");
        assert_eq!(service.get(&path, &token).await.body["data"], json!([]));
    }
    let own = service.get(&format!("/v3/users/{}/assigned-roles", ada()), &service.token(ada())).await;
    assert_eq!(own.status, StatusCode::OK, "everybody sees their own roles");
    refused(&service.get(&format!("/v3/users/{}/assigned-roles", bot()), &token).await, 404, "not-found");
    refused(
        &service.post(&format!("/v3/users/{}/assigned-roles", bot()), &token, viewer("*")).await,
        404,
        "not-found",
    );
    refused(
        &service.post(&format!("/v3/teams/{}/assigned-roles", administrators()), &token, viewer("*")).await,
        403,
        "forbidden",
    );
    // Nobody gives more than they hold.
    let given = service.post(&format!("/v3/users/{}/assigned-roles", ada()), &token, identity_admin()).await;
    assert_eq!(given.status, StatusCode::CREATED, "{given:?}");
    let (admin, path) = (service.token(ada()), format!("/v3/system-accounts/{}/assigned-roles", bot()));
    refused(&service.post(&path, &admin, viewer("*")).await, 403, "forbidden");
    assert_eq!(service.post(&path, &admin, identity_admin()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn questions_are_answered_in_their_order() {
    let (_database, service) = Service::start().await;
    let ask = async |principal, checks: Value| {
        service.post("/v1/authz/check", &service.token(principal), json!({"checks": checks})).await
    };
    let plane = uuid::Uuid::now_v7().to_string();
    let role = json!({"role_name": "Viewer", "entity_type_name": "Control Planes", "entity_id": plane, "entity_region": "us"});
    let path = format!("/v3/system-accounts/{}/assigned-roles", bot());
    let given = service.post(&path, &service.token(owner()), role).await;
    assert_eq!(given.status, StatusCode::CREATED, "{given:?}");
    let questions = json!([
        {"action": "iam:ManageTeams"},
        {"action": "cp:Create", "on": {"region": "us"}},
        {"action": "cp:Update", "on": {"region": "us", "control_plane_id": plane}},
    ]);
    for (principal, expected) in [(owner(), true), (ada(), false)] {
        let answer = ask(principal, questions.clone()).await;
        let allowed: Vec<&Value> =
            answer.body["answers"].as_array().expect("answers").iter().map(|one| &one["allowed"]).collect();
        assert_eq!(allowed, [&json!(expected); 3], "{answer:?}");
    }
    // A control plane that the organization is not known to have, such as another organization's. Once known, it stays so.
    let stranger = uuid::Uuid::now_v7();
    let taken_back = format!("{path}/{}", given.body["id"].as_str().expect("an id"));
    assert_eq!(service.delete(&taken_back, &service.token(owner())).await.status, StatusCode::NO_CONTENT);
    for (id, expected) in [(plane.as_str(), true), (&stranger.to_string(), false)] {
        let on = json!({"region": "us", "control_plane_id": id});
        let answer = ask(owner(), json!([{"action": "cp:Update", "on": on}])).await;
        let one = &answer.body["answers"][0];
        assert_eq!((&one["known"], &one["allowed"]), (&json!(expected), &json!(expected)), "{answer:?}");
    }
    assert_eq!(ask(owner(), json!([])).await.body["answers"], json!([]));
    for (checks, field) in [
        (vec![json!({"action": "org:Read"}); 101].into(), "checks"),
        (json!([{"action": "org:Read"}, {"action": "x"}]), "checks[1].action"),
        (json!([{"action": "cp:Update", "on": {"control_plane_id": plane}}]), "checks[0].on.region"),
    ] {
        let answer = ask(owner(), checks).await;
        refused(&answer, 400, "invalid-body");
        assert_eq!(answer.body["invalid_parameters"][0]["field"], field);
    }
    assert_eq!(ask(owner(), vec![json!({"action": "org:Read"}); 100].into()).await.status, StatusCode::OK);
    let roles = service.get("/v3/roles", &service.token(ada())).await;
    assert_eq!(roles.body["control_planes"]["roles"]["viewer"]["name"], "Viewer", "{roles:?}");
}

#[tokio::test]
async fn regions_are_as_good_as_the_worse_of_authz_and_identity() {
    let (_database, service) = Service::start().await;
    let token = service.token(ada());
    let known = |name: &str, heard_ms_ago, fenced| identity::Region {
        name: name.to_owned(),
        reachable: true,
        heard_ms_ago,
        fenced,
        held: Vec::new(),
        behind: vec![identity::Behind { origin: "identity.eu".to_owned(), operations: 4, lasting_ms: 9 }],
    };
    *service.identity.regions.lock().expect("lock") = vec![known("eu", Some(70_000), true)];
    let regions = service.get("/v1/regions", &token).await;
    let [eu, us] = &regions.body["data"].as_array().expect("regions")[..] else { panic!("{regions:?}") };
    assert_eq!((&eu["name"], &eu["here"], &eu["reachable"]), (&json!("eu"), &json!(false), &json!(false)));
    assert_eq!((&eu["fenced"], &eu["heard_ms_ago"]), (&json!(true), &Value::Null));
    assert_eq!(eu["behind"][0], json!({"origin": "identity.eu", "operations": 4, "lasting_ms": 9}));
    assert_eq!(
        (&us["here"], &us["reachable"], &us["api"]),
        (&json!(true), &json!(false), &json!("https://us.example"))
    );
    service.hears_of("eu", 1);
    *service.identity.regions.lock().expect("lock") =
        vec![known("eu", Some(70_000), false), known("us", None, false)];
    let regions = service.get("/v1/regions", &token).await;
    let [eu, us] = &regions.body["data"].as_array().expect("regions")[..] else { panic!("{regions:?}") };
    assert_eq!(
        (&eu["reachable"], &eu["heard_ms_ago"], &eu["fenced"]),
        (&json!(true), &json!(70_000), &json!(false))
    );
    assert_eq!(us["reachable"], true);
    *service.identity.away.lock().expect("lock") = true;
    refused(&service.get("/v1/regions", &token).await, 503, "unavailable");
}

#[tokio::test]
async fn a_consistency_token_tells_where_a_write_has_arrived() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    let made = service.post("/v3/teams", &token, json!({"name": "a"})).await;
    let written = made.headers["landbridge-consistency"].to_str().expect("text").to_owned();
    let path = format!("/v1/consistency/{written}");
    let here = service.get(&path, &token).await;
    assert_eq!(
        here.body,
        json!({"everywhere": false, "regions": [
            {"region": "eu", "arrived": false}, {"region": "us", "arrived": true},
        ]})
    );
    refused(&service.get("/v1/consistency/x", &token).await, 404, "not-found");
    *service.identity.regions.lock().expect("lock") =
        vec![identity::Region { name: "?".to_owned(), ..Default::default() }];
    refused(&service.get(&path, &token).await, 500, "internal");
    *service.identity.away.lock().expect("lock") = true;
    refused(&service.get(&path, &token).await, 503, "unavailable");
}

#[tokio::test]
async fn a_request_that_is_sent_twice_has_one_effect_also_over_a_restart() {
    let (database, service) = Service::start().await;
    let (session, key) = (service.session(owner()), [("idempotency-key", "one")]);
    let token = service.token_of(session.clone());
    let first = service.call_with("POST", "/v3/teams", &token, json!({"name": "a"}), &key).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    // The process ended after the commit; whoever asked tries again.
    drop(service);
    let service = Service::open(&database).await;
    let token = service.token_of(session);
    let again = service.call_with("POST", "/v3/teams", &token, json!({"name": "a"}), &key).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert!(again.headers.contains_key("landbridge-consistency"));
    assert_eq!(service.count("SELECT count(*) FROM replicated.team WHERE name = 'a'").await, 1);
    assert_eq!(service.count("SELECT count(*) FROM audit WHERE action = 'team.create'").await, 1);
    let other = service.call_with("POST", "/v3/teams", &token, json!({"name": "b"}), &key).await;
    refused(&other, 422, "idempotency-key-reused");
    let long = "k".repeat(256);
    let refusal = service
        .call_with("POST", "/v3/teams", &token, json!({"name": "b"}), &[("idempotency-key", &long)])
        .await;
    refused(&refusal, 400, "invalid-parameter");
    // A refused request leaves its key free.
    let taken = [("idempotency-key", "two")];
    refused(
        &service.call_with("POST", "/v3/teams", &token, json!({"name": "a"}), &taken).await,
        409,
        "conflict",
    );
    let free = service.call_with("POST", "/v3/teams", &token, json!({"name": "b"}), &taken).await;
    assert_eq!(free.status, StatusCode::CREATED, "{free:?}");
}

#[tokio::test]
async fn a_key_in_use_is_refused_and_a_crash_before_the_commit_leaves_it_free() {
    let (database, service) = Service::start().await;
    let (token, key) = (service.token(owner()), [("idempotency-key", "one")]);
    // Another process holds the log, so that both requests pass the look at known keys before either writes.
    let mut lock = database.pool().begin().await.expect("begin");
    lock.execute("SELECT FROM log_head FOR UPDATE").await.expect("lock");
    let send = || service.call_with("POST", "/v3/teams", &token, json!({"name": "a"}), &key);
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        lock.rollback().await.expect("rollback");
    };
    let (one, two, ()) = tokio::join!(send(), send(), release);
    let (made, in_use) = if one.status == StatusCode::CREATED { (one, two) } else { (two, one) };
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    refused(&in_use, 409, "idempotency-key-in-use");
    assert!(in_use.headers.contains_key("retry-after"));

    // The process loses its database before the commit, and whoever asked has gone.
    let mut lock = database.pool().begin().await.expect("begin");
    lock.execute("SELECT FROM log_head FOR UPDATE").await.expect("lock");
    let key = [("idempotency-key", "two")];
    let lost = service.call_with("POST", "/v3/teams", &token, json!({"name": "b"}), &key);
    tokio::time::timeout(std::time::Duration::from_millis(500), lost)
        .await
        .expect_err("it waits for the log");
    let waiting = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_eq!(lock.execute(waiting).await.expect("terminate").rows_affected(), 1);
    lock.rollback().await.expect("rollback");
    let done = service.call_with("POST", "/v3/teams", &token, json!({"name": "b"}), &key).await;
    assert_eq!(done.status, StatusCode::CREATED, "{done:?}");
    assert!(!done.headers.contains_key("idempotent-replayed"));
    assert_eq!(service.count("SELECT count(*) FROM replicated.team WHERE name = 'b'").await, 1);
}

#[tokio::test]
async fn a_grant_on_an_authority_that_was_revoked_meanwhile_is_refused() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    let given = service.post(&format!("/v3/users/{}/assigned-roles", ada()), &token, identity_admin()).await;
    let one = team(&service, "one").await;
    // Another region's revocation is in the rows, and not in the index that the decision reads.
    sqlx::query(
        "INSERT INTO replicated.revocation (origin, seq, epoch, organization_id, subject_id, deps)
         SELECT 'authz.eu', 1, 1, organization_id, id, '{}' FROM replicated.assignment WHERE id = $1",
    )
    .bind(given.id().parse::<uuid::Uuid>().expect("a UUID"))
    .execute(&service.app.db)
    .await
    .expect("execute");
    let admin = service.token(ada());
    for (path, body) in [
        (format!("/v3/system-accounts/{}/assigned-roles", bot()), identity_admin()),
        (format!("/v3/teams/{one}/users"), json!({"id": ada()})),
    ] {
        let answer = service.post(&path, &admin, body).await;
        refused(&answer, 403, "forbidden");
        assert_eq!(answer.body["detail"], "what allowed this was taken back in the same moment");
    }
    assert_eq!(service.count("SELECT count(*) FROM replicated.edge_grant WHERE void").await, 0, "undone");
}

#[tokio::test]
async fn without_a_token_there_is_nothing() {
    let (_database, service) = Service::start().await;
    let unknown = OpaqueToken::plain(access::TokenKind::Personal, &region("us"), 0, [9; 24]);
    for path in ["/v3/teams", "/v3/roles", "/v1/regions", "/v1/consistency/x"] {
        refused(&service.get(path, "lbp_x").await, 401, "unauthenticated");
        refused(&service.get(path, unknown.expose()).await, 401, "unauthenticated");
    }
}
