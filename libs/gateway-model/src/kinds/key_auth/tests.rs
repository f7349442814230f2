use serde_json::json;

use super::*;
use crate::testing::{CONSUMER, read, refused};
use crate::{Entity, NotReady};

fn credential(fields: serde_json::Value) -> KeyAuth {
    match read(Kind::KeyAuth, fields) {
        Entity::KeyAuth(credential) => credential,
        other => panic!("{other:?}"),
    }
}

/// Stored hashes depend on it: this value must never change.
#[test]
fn the_hash_is_fixed() {
    let expected = blake3::Hasher::new_derive_key("landbridge gateway-model v1 key-auth credential key")
        .update(b"s3cret")
        .finalize();
    assert_eq!(key_hash("s3cret"), *expected.as_bytes());
    assert_eq!(key_hash_hex(&key_hash("s3cret")), expected.to_hex().as_str());
}

#[test]
fn a_key_may_be_left_to_the_writer() {
    let entity = credential(json!({"key": null}));
    assert_eq!((&entity.key, entity.key_hash()), (&Secret::Missing, None));
    assert_eq!(Entity::KeyAuth(entity.clone()).to_wire(), Err(NotReady::NoSecret { field: "key" }));
    assert!(Entity::KeyAuth(entity).unique_keys().is_empty());
}

#[test]
fn keys_fit_in_headers() {
    for key in ["", " a", "a ", "a\r\nb", "ä", "a\u{7f}", &"x".repeat(513)] {
        assert_eq!(refused(Kind::KeyAuth, json!({"key": key})).0, "key", "{key:?}");
    }
    credential(json!({"key": "a b!~"}));
    // A refusal does not repeat the key.
    assert!(!refused(Kind::KeyAuth, json!({"key": "tell\ttale"})).1.contains("tell"));
}

#[test]
fn needs_a_consumer() {
    assert_eq!(refused(Kind::KeyAuth, json!({"consumer": null})).0, "consumer");
    assert_eq!(refused(Kind::KeyAuth, json!({"ttl": 0})).0, "ttl");
    assert_eq!(credential(json!({"ttl": null})).ttl, Expiry::default());
    assert_eq!(refused(Kind::KeyAuth, json!({"key_hash": "00"})).0, "key_hash");
    let by_name = credential(json!({"consumer": {"username": "alice"}}));
    assert_eq!(by_name.consumer, Target::Name("alice".into()));
    assert_eq!(credential(json!({})).consumer.id().unwrap().to_string(), CONSUMER);
}

#[test]
fn the_wire_holds_a_well_formed_hash() {
    let hash = key_hash_hex(&key_hash("a"));
    for bad in ["", "00", &hash.to_uppercase(), &format!("{}g", &hash[1..])] {
        let wire = json!({"consumer": {"id": CONSUMER}, "key_hash": bad}).to_string();
        assert!(Entity::from_wire(Kind::KeyAuth, wire.as_bytes()).is_err(), "{bad}");
    }
}
