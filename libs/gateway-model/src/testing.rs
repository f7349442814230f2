//! What the tests of several modules need.

use proptest::prelude::*;
use serde_json::{Value, json};

use uuid::Uuid;

use crate::{Entity, Invalid, Kind, Secret, SecretMut, Treatment, UniqueKey};

/// The smallest valid API body of each kind.
pub(crate) fn smallest(kind: Kind) -> Value {
    match kind {
        Kind::Service => json!({"host": "orders.internal"}),
        Kind::Route => json!({"paths": ["/orders"]}),
        Kind::Consumer => json!({"username": "alice"}),
        Kind::KeyAuth => json!({"consumer": {"id": CONSUMER}, "key": "s3cret"}),
        Kind::Plugin => json!({"name": "key-auth"}),
        Kind::BasicAuth => json!({"consumer": {"id": CONSUMER}, "username": "alice", "password": "pass"}),
        Kind::HmacAuth => json!({"consumer": {"id": CONSUMER}, "username": "alice", "secret": "s3cret"}),
        Kind::Jwt => json!({"consumer": {"id": CONSUMER}, "key": "shop", "secret": "s3cret"}),
        Kind::MtlsAuth => json!({"consumer": {"id": CONSUMER}, "subject_name": "till.shop.example"}),
        Kind::Acl => json!({"consumer": {"id": CONSUMER}, "group": "staff"}),
        Kind::Oauth2Token => json!({"consumer": {"id": CONSUMER}, "access_token": "4f1c"}),
        Kind::ConsumerGroup => json!({"name": "gold"}),
        Kind::ConsumerGroupMember => json!({"consumer": {"id": CONSUMER}, "consumer_group": {"id": SERVICE}}),
        Kind::Upstream => json!({"name": "orders.internal"}),
        Kind::UpstreamTarget => json!({"upstream": {"id": SERVICE}, "target": "10.0.0.1:8000"}),
        Kind::Certificate => {
            let example = kind.example();
            json!({"cert": example["cert"], "key": example["key"]})
        }
        Kind::CaCertificate => json!({"cert": kind.example()["cert"]}),
        Kind::AcmeCertificate => {
            json!({"domains": ["shop.example"], "account_email": "ops@shop.example", "tos_accepted": true})
        }
        Kind::Sni => json!({"name": "shop.example", "certificate": {"id": SERVICE}}),
        Kind::Vault => json!({"name": "env", "prefix": "shop"}),
        Kind::ConfigStore => json!({}),
        Kind::ConfigStoreSecret => json!({"config_store": {"id": SERVICE}, "key": "k", "value": "s3cret"}),
        Kind::KeySet => json!({}),
        Kind::Key => json!({"kid": "1", "jwk": "{\"kty\":\"oct\",\"kid\":\"1\"}"}),
    }
}

/// The entity with its passwords hashed.
pub(crate) fn hashed(entity: &Entity) -> Entity {
    let mut entity = entity.clone();
    for SecretMut { treatment, secret, .. } in entity.secrets_mut() {
        if treatment == Treatment::Password {
            *secret = Secret::AtRest("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned());
        }
    }
    entity
}

/// The entity with its secrets in a form that can be stored.
pub(crate) fn at_rest(entity: &Entity) -> Entity {
    let mut entity = hashed(entity);
    for SecretMut { treatment, secret, .. } in entity.secrets_mut() {
        if matches!(treatment, Treatment::Seal | Treatment::Withhold) {
            *secret = Secret::AtRest("c2VhbGVk".to_owned());
        }
    }
    entity
}

/// The entity read back from its wire form, with the secret of which that has the hash.
pub(crate) fn read_back(entity: &Entity) -> Entity {
    let mut hashed = None;
    for SecretMut { treatment, secret, .. } in entity.clone().secrets_mut() {
        if let (Treatment::Hash, Secret::Plain(text)) = (treatment, &*secret) {
            hashed = Some(text.clone());
        }
    }
    let mut back = Entity::from_wire(entity.kind(), &entity.to_wire().unwrap()).unwrap();
    if let Some(text) = hashed {
        back.join_hashed(&text).unwrap();
    }
    back
}

pub(crate) const CONSUMER: &str = "0192d3a4-5b6c-7d8e-9f00-112233445566";
pub(crate) const SERVICE: &str = "0192d3a4-5b6c-7d8e-9f00-aabbccddeeff";

/// The smallest body with some fields set.
pub(crate) fn with(kind: Kind, fields: Value) -> Value {
    let mut body = smallest(kind);
    let (Value::Object(all), Value::Object(more)) = (&mut body, fields) else { panic!("objects") };
    all.extend(more);
    body
}

/// The entity of the smallest body with some fields set.
pub(crate) fn read(kind: Kind, fields: Value) -> Entity {
    Entity::from_api(kind, &with(kind, fields.clone())).unwrap_or_else(|error| panic!("{fields}: {error}"))
}

/// The single field error of the smallest body with some fields set.
#[track_caller]
pub(crate) fn refused(kind: Kind, fields: Value) -> (String, String) {
    match Entity::from_api(kind, &with(kind, fields.clone())) {
        Ok(entity) => panic!("{fields} is accepted: {entity:?}"),
        Err(invalid) => only(invalid),
    }
}

/// The single field error.
#[track_caller]
pub(crate) fn only(invalid: Invalid) -> (String, String) {
    assert_eq!((invalid.fields.len(), invalid.omitted), (1, 0), "one error: {invalid}");
    let error = invalid.fields.into_iter().next().expect("one error");
    (error.field, error.message)
}

/// Any JSON, with field names that the kinds know among others.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        prop::sample::select(vec![
            "id",
            "name",
            "host",
            "port",
            "path",
            "url",
            "protocol",
            "protocols",
            "paths",
            "hosts",
            "methods",
            "service",
            "route",
            "consumer",
            "username",
            "custom_id",
            "key",
            "key_hash",
            "tags",
            "config",
            "key_names",
            "status_code",
            "body",
            "message",
            "enabled",
            "retries",
            "_format_version",
            "services",
            "routes",
            "consumers",
            "plugins",
            "keyauth_credentials",
            "<<",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let texts = prop_oneof![
        ".{0,12}",
        prop::sample::select(vec![
            "3.0",
            "http",
            "key-auth",
            "request-termination",
            "/a",
            "~/a+",
            "*.a.b",
            CONSUMER
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Which entity of `held` has a unique key, for those kinds whose ids a document does not have.
pub fn joining(held: &[(Uuid, Entity)]) -> impl Fn(Kind, &UniqueKey) -> Option<Uuid> {
    let joining = held.iter().filter(|(_, entity)| entity.kind() == Kind::ConsumerGroupMember);
    let keys: Vec<_> = joining.map(|(id, entity)| (entity.kind(), entity.unique_keys(), *id)).collect();
    move |kind, key| keys.iter().find(|(of, keys, _)| *of == kind && keys.contains(key)).map(|(.., id)| *id)
}
