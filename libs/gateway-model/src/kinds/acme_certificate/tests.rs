use serde_json::json;

use super::*;
use crate::testing::{at_rest, read, refused};
use crate::{Kind, Treatment};

const KIND: Kind = Kind::AcmeCertificate;
/// For `shop.example` and `www.shop.example`.
const ISSUED: &str = include_str!("issued.crt");

fn issued(cert: &str) -> AcmeState {
    let key = Secret::AtRest("c2VhbGVk".to_owned());
    let issued = AcmeIssued { cert: cert.to_owned(), key, directory: "test".to_owned() };
    AcmeState { issued: Some(issued), challenges: vec!["token.thumb".to_owned()] }
}

fn with_state(fields: serde_json::Value, state: Option<AcmeState>) -> Entity {
    let Entity::AcmeCertificate(certificate) = read(KIND, fields) else { panic!("an ACME certificate") };
    Entity::AcmeCertificate(AcmeCertificate { state, ..certificate })
}

fn example() -> AcmeState {
    issued(ISSUED)
}

#[test]
fn rules_name_the_field_and_the_remedy() {
    for (fields, field, part) in [
        (json!({"domains": []}), "domains", "name the hosts"),
        (json!({"domains": ["localhost"]}), "domains[0]", "with a dot"),
        (json!({"domains": ["10.0.0.1"]}), "domains[0]", "no address"),
        (json!({"domains": ["shop.example", "Shop.example"]}), "domains[1]", "lower case"),
        (json!({"domains": ["shop.example", "shop.example"]}), "domains[1]", "repeat"),
        (json!({"domains": ["shop.*"]}), "domains[0]", "host name"),
        (json!({"domains": ["a.example", "*.a.example"]}), "domains[1]", "`dns-01`"),
        (json!({"tos_accepted": false}), "tos_accepted", "terms of service"),
        (json!({"account_email": "ops"}), "account_email", "ops@example.com"),
        (json!({"account_email": "a@b.example?x=1"}), "account_email", "ops@example.com"),
        (json!({"directory": "https://acme.example"}), "directory", "letters"),
        (json!({"eab_kid": "1"}), "eab_hmac_key", "required"),
        (json!({"eab_hmac_key": "YQ"}), "eab_kid", "required"),
        (json!({"eab_kid": "1", "eab_hmac_key": "Y+=="}), "eab_hmac_key", "base64url"),
        (json!({"rsa_key_size": 1024}), "rsa_key_size", "2048"),
        (json!({"renew_threshold_days": 0}), "renew_threshold_days", "from 1"),
    ] {
        let (at, message) = refused(KIND, fields.clone());
        assert_eq!(at, field, "{fields}");
        assert!(message.contains(part), "{fields}: {message}");
    }
    read(KIND, json!({"domains": ["*.a.example"], "challenge": "dns-01"}));
}

#[test]
fn every_domain_is_a_unique_key() {
    let keys = read(KIND, json!({"domains": ["a.example", "b.example"]})).unique_keys();
    assert_eq!(keys.iter().map(|key| key.value.as_str()).collect::<Vec<_>>(), ["a.example", "b.example"]);
}

#[test]
fn the_state_is_on_the_wire_and_in_no_body() {
    let stored = with_state(json!({}), Some(example()));
    let wire = stored.to_wire().expect("sealed");
    assert_eq!(Entity::from_wire(KIND, &wire), Ok(stored.clone()));
    assert_eq!(stored.to_api(), read(KIND, json!({})).to_api());
    for field in ["state", "cert", "key", "key_sealed", "issued_by", "challenges"] {
        assert_eq!(refused(KIND, json!({ field: "x" })).0, field);
    }
    let half =
        json!({"domains": ["a.example"], "account_email": "a@b.c", "tos_accepted": true, "issued_by": "x"});
    assert!(Entity::from_wire(KIND, half.to_string().as_bytes()).is_err());
    let mut open = stored;
    for secret in open.secrets_mut() {
        *secret.secret = Secret::Plain("in clear".to_owned());
        assert_eq!((secret.field, secret.treatment), ("key", Treatment::Seal));
    }
    assert!(open.to_wire().is_err(), "a key in clear is never stored");
}

#[test]
fn a_body_keeps_the_state_while_the_certificate_is_for_one_of_its_domains() {
    let stored = with_state(json!({}), Some(example()));
    let after = |fields| {
        let mut entity = read(KIND, fields);
        entity.inherit(Some(&stored), 0);
        let Entity::AcmeCertificate(entity) = entity else { panic!("an ACME certificate") };
        entity.state.expect("kept")
    };
    assert_eq!(after(json!({"tags": ["x"]})), example());
    assert_eq!(after(json!({"domains": ["other.example", "shop.example"]})), example());
    let other = after(json!({"domains": ["other.example"]}));
    assert_eq!((other.issued, other.challenges), (None, example().challenges));

    // What is written by whoever orders counts as it is.
    let mut emptied = with_state(json!({}), Some(AcmeState::default()));
    emptied.inherit(Some(&stored), 0);
    assert_eq!(emptied, with_state(json!({}), Some(AcmeState::default())));
}

#[test]
fn the_key_of_an_account_is_withheld_from_nodes() {
    let mut entity = read(KIND, json!({"eab_kid": "1", "eab_hmac_key": "YQ"}));
    let treatments: Vec<_> = entity.secrets_mut().iter().map(|secret| secret.treatment).collect();
    assert_eq!(treatments, [Treatment::Withhold]);
    assert!(!String::from_utf8(at_rest(&entity).to_wire().expect("sealed")).expect("text").contains("YQ"));
}

#[test]
fn a_leaf_tells_what_it_is_for() {
    let leaf = AcmeLeaf::of(ISSUED).expect("readable");
    assert_eq!(leaf.names, ["shop.example", "www.shop.example"]);
    assert!(leaf.not_before < leaf.not_after);
    assert_eq!(leaf.key, Some(AcmeKey::Ecc));
    assert_eq!(AcmeLeaf::of("nothing"), None);
}
