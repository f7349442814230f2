//! Databases of earlier releases (`migrations/dumps`): today's migrations bring them up to date, every entity can be read,
//! its secrets too, and what nodes compare themselves with is unchanged.

use std::collections::BTreeMap;

use gateway_model::Kind;
use ids::ControlPlaneId;
use seal::SealKey;
use serde_json::{Map, Value};
use sync::Digest;
use test_database::Dump;
use uuid::Uuid;

use crate::{
    MIGRATIONS,
    enrolment::tokens,
    entities::{
        secrets::Sealing,
        store::{self, Filter},
    },
    nodes,
};

/// More than any control plane of a dump has of a kind.
const ALL: i64 = 100_000;

fn seal(dump: &Dump) -> SealKey {
    let key = dump.known["seal_keys"][&dump.region]["config"].as_str().expect("a key");
    SealKey::new(&blake3::Hash::from_hex(key).expect("64 hexadecimal digits").into())
}

async fn control_planes(db: &sqlx::PgPool) -> Vec<ControlPlaneId> {
    let ids: Vec<(Uuid,)> =
        sqlx::query_as("SELECT id FROM regional.control_plane").fetch_all(db).await.expect("read");
    ids.into_iter().map(|(id,)| ControlPlaneId::from_uuid(id)).collect()
}

#[tokio::test]
async fn every_entity_can_be_read_and_digests_are_what_they_were() {
    for dump in test_database::dumps("config") {
        let database = dump.migrated(&[&MIGRATIONS]).await;
        let (db, seal) = (database.pool(), seal(&dump));
        let planes = control_planes(&db).await;
        assert!(planes.len() > 1, "{} {}", dump.release, dump.region);
        for plane in planes {
            let mut digest = Digest::default();
            for kind in Kind::ALL {
                let listed =
                    store::list(&db, plane, kind, &Filter::default(), None, ALL).await.expect("read");
                assert!(!listed.more, "they fit on one page");
                for row in listed.rows {
                    row.entity(&Sealing::of(&seal, plane))
                        .unwrap_or_else(|error| panic!("{kind:?} {}: {error}", row.id));
                    digest.add(&row.digest());
                }
            }
            let mut transaction = db.begin().await.expect("begin");
            let head = store::lock(&mut transaction, plane).await.expect("read").expect("it is there");
            assert_eq!(digest, head.digest, "{} {} {plane}", dump.release, dump.region);
        }
    }
}

#[tokio::test]
async fn entities_are_shown_as_they_were() {
    for dump in test_database::dumps("config") {
        let database = dump.migrated(&[&MIGRATIONS]).await;
        let (db, seal) = (database.pool(), seal(&dump));
        let plane = dump.known["control_planes"][&dump.region].as_str().expect("id").parse().expect("id");
        for (collection, shown) in dump.known["entities"][&dump.region].as_object().expect("by collection") {
            let kind = Kind::from_collection(collection).expect("a kind is never taken away");
            let listed = store::list(&db, plane, kind, &Filter::default(), None, ALL).await.expect("read");
            let mut now: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
            for row in listed.rows {
                now.insert(
                    row.id.to_string(),
                    row.entity(&Sealing::of(&seal, plane)).expect("readable").to_api(),
                );
            }
            let shown = shown.as_array().expect("entities");
            assert_eq!(now.len(), shown.len(), "{} {collection}", dump.release);
            for was in shown.iter().filter_map(Value::as_object) {
                let is = &now[was["id"].as_str().expect("id")];
                // A later release may show more, and never something else.
                for (member, value) in was.iter().filter(|(member, _)| !is_of_the_row(member)) {
                    let shown = is.get(member).is_some_and(|is| is_shown(value, is));
                    assert!(shown, "{} {collection}: {member} was {value}, is {is:?}", dump.release);
                }
            }
        }
    }
}

/// Whether all of what `was` shows is in `is`.
fn is_shown(was: &Value, is: &Value) -> bool {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            was.iter().all(|(name, was)| is.get(name).is_some_and(|is| is_shown(was, is)))
        }
        _ => was == is,
    }
}

/// Members that the API adds to what an entity has.
fn is_of_the_row(member: &str) -> bool {
    matches!(member, "id" | "created_at" | "updated_at")
}

/// For as long as that all nodes are listed: the dumps' are old.
const ALWAYS: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 86_400);

#[tokio::test]
async fn nodes_and_enrolment_tokens_are_listed() {
    for dump in test_database::dumps("config") {
        let database = dump.migrated(&[&MIGRATIONS]).await;
        let db = database.pool();
        let (mut listed, mut usable) = (0, 0);
        for plane in control_planes(&db).await {
            listed += nodes::store::list(&db, plane, ALWAYS, None, ALL).await.expect("read").len();
            usable += tokens::list(&db, plane, None, ALL).await.expect("read").len();
        }
        assert!(listed >= 2, "{} {}: {listed} nodes", dump.release, dump.region);
        assert!(usable >= 1, "{} {}: {usable} enrolment tokens", dump.release, dump.region);
    }
}
