//! Regular expressions of paths: what they may cost, alone and together, and that reading them holds up nobody.

use std::time::Instant;

use axum::http::StatusCode;
use config::Limits;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::entities::Plane;

/// A route with `count` paths such as `~/3/\w{1,30}x1`.
fn route(count: usize, repetition: &str) -> Value {
    let paths: Vec<String> = (0..count).map(|n| format!("~/{n}/\\w{repetition}x1")).collect();
    json!({ "paths": paths })
}

/// What the row says that all expressions cost, if it says so.
async fn counted(plane: &Plane) -> Option<i64> {
    let (cost,): (Option<i64>,) = sqlx::query_as(
        "SELECT CASE WHEN path_cost_version = version THEN path_cost END FROM regional.control_plane",
    )
    .fetch_one(&plane.world.db)
    .await
    .expect("one control plane");
    cost
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_costs_too_much_names_its_field_and_the_remedy() {
    let plane = Plane::new().await;
    let alone = plane.put("routes/x", json!({"paths": ["/ok", "~/\\w{1,9999}"]})).await;
    let alone = alone.expect(StatusCode::BAD_REQUEST);
    assert_eq!(alone["invalid_parameters"][0]["field"], "paths[1]");
    let reason = alone["invalid_parameters"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("steps to compile") && reason.contains("use `+`"), "{reason}");
    let together = plane.put("routes/x", route(128, "{1,200}")).await.expect(StatusCode::BAD_REQUEST);
    let field = together["invalid_parameters"][0]["field"].as_str().expect("a field");
    assert!(field.starts_with("paths["), "{field}");
    let routes = |n: usize| format!("- {{name: r{n}, paths: {}}}\n", route(128, "{1,30}")["paths"]);
    let document = format!("routes:\n{}", (0..300).map(routes).collect::<String>());
    let document = plane.apply("", &document).await.expect(StatusCode::BAD_REQUEST);
    let field = document["invalid_parameters"][0]["field"].as_str().expect("a field");
    assert!(field.starts_with("routes[") && field.ends_with("].paths"), "{field}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expressions_of_a_control_plane_have_a_limit_together() {
    let plane = Plane::with_limits(Limits { path_cost_max: 250, ..Limits::default() }).await;
    plane.put("routes/a", route(1, "{1,9}")).await.expect(StatusCode::OK);
    plane.put("routes/b", route(1, "{1,9}")).await.expect(StatusCode::OK);
    let count = counted(&plane).await.expect("counted");
    assert!((200..=250).contains(&count), "{count}");
    let refused = plane.put("routes/c", route(1, "{1,9}")).await.expect(StatusCode::BAD_REQUEST);
    assert_eq!(refused["invalid_parameters"][0]["field"], "paths");
    let document = plane.apply("", &format!("routes: [{}]", route(4, "{1,9}"))).await;
    assert_eq!(document.expect(StatusCode::BAD_REQUEST)["invalid_parameters"][0]["field"], "paths");
    // What is there can be made cheaper and be removed, and what is freed can be used.
    plane.put("routes/b", route(1, "{1,8}")).await.expect(StatusCode::OK);
    plane.delete("routes/a").await.expect(StatusCode::NO_CONTENT);
    plane.put("routes/c", route(1, "{1,9}")).await.expect(StatusCode::OK);
    assert!(counted(&plane).await.is_some_and(|now| now < count));
    // A release that does not know the column moves the version alone: then the routes are counted anew.
    plane.world.execute("UPDATE regional.control_plane SET version = version + 1").await;
    assert_eq!(counted(&plane).await, None);
    plane.put("routes/d", route(1, "{1,9}")).await.expect(StatusCode::BAD_REQUEST);
    plane.put("routes/d", json!({"paths": ["/d"]})).await.expect(StatusCode::OK);
    plane.apply("", "routes: [{paths: [/]}]").await.expect(StatusCode::OK);
    assert_eq!(counted(&plane).await, Some(0));
}

/// 1,000 large routes in one answer would be 128 MiB, made on a thread that serves others.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_entities_is_cut_and_goes_on() {
    let plane = Plane::new().await;
    let large = |name: usize| {
        let paths: Vec<String> = (0..128).map(|n| format!("/{n}/{}", "x".repeat(900))).collect();
        json!({ "name": format!("r{name}"), "paths": paths })
    };
    for name in 0..40 {
        plane.post("routes", large(name)).await.expect(StatusCode::CREATED);
    }
    let (mut seen, mut pages, mut offset) = (Vec::new(), 0, String::new());
    loop {
        let page = plane.get(&format!("routes?size=1000{offset}")).await.expect(StatusCode::OK);
        let data = page["data"].as_array().expect("a list");
        assert!(!data.is_empty() && data.len() < 20, "{} on one page", data.len());
        seen.extend(data.iter().map(|route| route["name"].as_str().expect("a name").to_owned()));
        pages += 1;
        match page["offset"].as_str() {
            Some(next) => offset = format!("&offset={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 3, "2 MiB each");
    assert_eq!(seen, (0..40).map(|name| format!("r{name}")).collect::<Vec<_>>());
    let two = plane.get("routes?size=2").await.expect(StatusCode::OK);
    assert!(two["data"].as_array().is_some_and(|data| data.len() == 2) && two["offset"].is_string());
}

/// 128 paths like `~/\w{1,30}x1` held every request for 13.5 seconds. The bound is loose: a debug build on a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn many_expressions_hold_up_nobody() {
    let plane = Plane::new().await;
    plane.put("routes/bystander", json!({"paths": ["/"]})).await.expect(StatusCode::OK);
    let started = Instant::now();
    let bodies = join_all((0..40).map(|n| plane.put(["routes/x", "routes/y"][n % 2], route(128, "{1,30}"))));
    let bystander = async {
        let answer = plane.get("routes/bystander").await;
        answer.expect(StatusCode::OK);
        started.elapsed()
    };
    let (answers, waited) = tokio::join!(bodies, bystander);
    println!("40 bodies took {:?}, a bystander {waited:?}", started.elapsed());
    for answer in answers {
        answer.expect(StatusCode::OK);
    }
    assert!(waited.as_secs() < 2, "a bystander waited {waited:?}");
    // Reading what is stored compiles nothing.
    let started = Instant::now();
    plane.get("routes?size=1000").await.expect(StatusCode::OK);
    assert!(started.elapsed().as_secs() < 2, "a list took {:?}", started.elapsed());
}
