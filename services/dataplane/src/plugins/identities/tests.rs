use serde_json::{Value, json};

use super::{super::testing::Known, *};

fn consumer(id: u128, name: &str) -> (Kind, u128, Value) {
    (Kind::Consumer, id, json!({ "username": name, "custom_id": format!("c-{name}") }))
}

fn of(id: u128) -> Value {
    json!({ "id": Uuid::from_u128(id) })
}

fn acl(id: u128, consumer: u128, group: &str) -> (Kind, u128, Value) {
    (Kind::Acl, id, json!({ "consumer": of(consumer), "group": group }))
}

#[test]
fn consumers_are_found_by_name_and_id_and_told_as_they_are() {
    let known = Known::new(&[consumer(1, "alice"), consumer(2, "bob")]);
    let found =
        |lookup: Lookup| known.identities.by_name(&lookup).unwrap().map(|found| found.consumer.as_u128());
    assert_eq!(found(Lookup::username("alice")), Some(1));
    assert_eq!(found(Lookup::custom_id("c-bob")), Some(2));
    assert_eq!(found(Lookup::username("c-bob")), None);
    assert_eq!(found(Lookup::username("Alice")), None);
    assert!(known.identities.by_id(Uuid::from_u128(2)).unwrap().is_some());
    assert!(known.identities.by_id(Uuid::from_u128(3)).unwrap().is_none());

    // Names change hands in one change.
    known.put(&[consumer(1, "bob"), consumer(2, "alice")]);
    assert_eq!((found(Lookup::username("alice")), found(Lookup::username("bob"))), (Some(2), Some(1)));
}

#[test]
fn the_anonymous_consumer_is_another_identity_than_the_same_one_identified() {
    let known = Known::new(&[consumer(1, "nobody")]);
    let by_id = known.identities.by_id(Uuid::from_u128(1)).unwrap().unwrap();
    for named in [Named::new("nobody"), Named::new(&Uuid::from_u128(1).to_string())] {
        let anonymous = known.identities.anonymous(&named).unwrap().unwrap();
        assert!(anonymous.is_anonymous && !by_id.is_anonymous);
        assert_eq!(anonymous.consumer, by_id.consumer);
    }
    assert!(known.identities.anonymous(&Named::new("somebody")).unwrap().is_none());
}

#[test]
fn groups_follow_their_entities_and_their_revocation() {
    let group = |id: u128, name: &str| (Kind::ConsumerGroup, id, json!({ "name": name }));
    let member = (Kind::ConsumerGroupMember, 31, json!({ "consumer": of(1), "consumer_group": of(21) }));
    let known = Known::new(&[
        consumer(1, "alice"),
        consumer(2, "bob"),
        group(21, "gold"),
        acl(11, 1, "staff"),
        acl(12, 1, "admin"),
        acl(13, 2, "guest"),
        member,
    ]);
    let groups = |id: u128| {
        let identity = known.identities.by_id(Uuid::from_u128(id)).unwrap().unwrap();
        let groups = known.identities.groups(&identity).unwrap().groups.clone();
        (groups.acl.join(" "), groups.consumer_groups.join(" "))
    };
    assert_eq!(groups(1), ("admin staff".to_owned(), "gold".to_owned()));
    assert_eq!(groups(2), ("guest".to_owned(), String::new()));
    known.put(&[acl(12, 2, "admin"), group(21, "silver")]);
    assert_eq!(groups(1), ("staff".to_owned(), "silver".to_owned()));
    assert_eq!(groups(2), ("admin guest".to_owned(), String::new()));
    let revoked = crate::store::Revocation {
        place: crate::store::Place { incarnation: 1, seq: 1 },
        kind: Kind::Acl.name().to_owned(),
        id: Uuid::from_u128(12),
    };
    known.store.deny(&revoked);
    assert_eq!(groups(2), ("guest".to_owned(), String::new()));
}

#[test]
fn a_password_is_remembered_for_its_credential_and_hash_alone() {
    let Known { identities, .. } = &Known::new(&[]);
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    identities.remember_password(one, "hash", b"secret");
    assert!(identities.knows_password(one, "hash", b"secret"));
    for (credential, hash, password) in [
        (other, "hash", &b"secret"[..]),
        (one, "hash2", b"secret"),
        (one, "hash", b"secre"),
        (one, "hashs", b"ecret"),
        (one, "hash", b""),
    ] {
        assert!(!identities.knows_password(credential, hash, password));
    }
    for number in 0..PASSWORDS_MAX {
        identities.remember_password(other, "hash", &number.to_le_bytes());
    }
    assert!(identities.passwords.borrow().len() <= PASSWORDS_MAX);
}

#[test]
fn a_secret_without_its_key_lets_nobody_in_until_the_key_is_there() {
    let secret = json!({ "consumer": of(1), "username": "alice", "secret": "s" });
    let known = Known::new(&[consumer(1, "alice"), (Kind::HmacAuth, 2, secret)]);
    let locked = Identities::new(known.store.clone(), || None, [0; 32]);
    let lookup = Lookup::hmac_auth("alice");
    let found = locked.by_credential(Kind::HmacAuth, &lookup, 0).unwrap().unwrap();
    assert!(found.lacks_secret());
    assert!(locked.remembered.borrow().by_lookup.is_empty());
    let found = known.identities.by_credential(Kind::HmacAuth, &lookup, 0).unwrap().unwrap();
    assert!(!found.lacks_secret());
    assert!(!format!("{found:?}").contains("\"s\""));
}
