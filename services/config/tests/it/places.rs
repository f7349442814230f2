//! What a client may take to a gateway: the answer to a write names the version that the write made.

use access::{Place, Places};
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::{entities::Plane, world::Answer};

impl Plane {
    /// The place of this control plane in an answer's consistency token.
    fn place_in(&self, answer: &Answer) -> Option<Place> {
        let token = answer.header("landbridge-consistency")?;
        let places = sync::split(token).1.map(|places| Places::read(places).expect("places"));
        let id = self.path.split('/').nth(3).expect("the control plane's id");
        places?.of(id.parse().expect("an id"))
    }

    #[track_caller]
    fn names_version(&self, answer: &Answer, version: u64) {
        let place = self.place_in(answer).unwrap_or_else(|| panic!("no place: {:?}", answer.headers));
        assert_eq!((place.incarnation, place.version), (1, version));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_names_the_version_that_it_made() {
    let plane = Plane::new().await;
    let made = plane.post("services", json!({"name": "s", "host": "h"})).await;
    plane.names_version(&made, 1);
    let put = plane.put("services/s", json!({"name": "s", "host": "other"})).await;
    plane.names_version(&put, 2);
    // Nothing changes: what stands was there at this version at the latest.
    let again = plane.put("services/s", json!({"name": "s", "host": "other"})).await;
    plane.names_version(&again, 2);
    let operations = json!([{"op": "create", "kind": "consumer", "body": {"username": "ada"}}]);
    let together =
        plane.world.post(format!("{}/batch", plane.path), &json!({ "operations": operations })).await;
    plane.names_version(&together, 3);
    let document = plane.world.call(Method::PUT, format!("{}/declarative", plane.path));
    let document =
        document.text("application/yaml", "_format_version: '3.0'\nconsumers: [{username: bob}]\n");
    plane.names_version(&document.send().await, 4);
    let gone = plane.delete("consumers/bob").await;
    plane.names_version(&gone, 5);
    gone.expect(StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_given_again_names_the_version_of_the_first() {
    let plane = Plane::new().await;
    let create = async || {
        let call = plane.world.call(Method::POST, format!("{}/core-entities/services", plane.path));
        call.header("idempotency-key", "once").json(&json!({"name": "s", "host": "h"})).send().await
    };
    plane.names_version(&create().await, 1);
    plane.put("services/other", json!({"name": "other", "host": "h"})).await.expect(StatusCode::OK);
    let replayed = create().await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    plane.names_version(&replayed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_names_is_passed_on() {
    let plane = Plane::new().await;
    let made = plane.post("services", json!({"name": "s", "host": "h"})).await;
    let token = made.header("landbridge-consistency").expect("a token").to_owned();
    let read = plane.world.call(Method::GET, "/v2/control-planes").header("landbridge-consistency", &token);
    plane.names_version(&read.send().await, 1);
    let cut = token.get(..token.len() - 1).expect("longer").to_owned();
    let refused = plane.world.call(Method::GET, "/v2/control-planes").header("landbridge-consistency", cut);
    let (_, detail) = refused.send().await.problem(StatusCode::BAD_REQUEST);
    assert!(detail.contains("Landbridge-Consistency"), "{detail}");
    // A read without a token is answered without one.
    assert_eq!(plane.get("services/s").await.header("landbridge-consistency"), None);
}
