//! Entities of any kind, made from the table of kinds: each with its own parents, and with values that no other one has.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::http::{Method, StatusCode};
use gateway_model::{Entity, Kind, OnDelete};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::world::{Answer, World};

/// A control plane of its own, in which entities of one kind are tried.
pub struct Subject<'w> {
    pub kind: Kind,
    world: &'w World,
    base: String,
    made: AtomicUsize,
}

/// A reference of an entity.
pub struct Refers {
    pub field: &'static str,
    pub kind: Kind,
    pub on_delete: OnDelete,
}

impl<'w> Subject<'w> {
    pub async fn new(world: &'w World, kind: Kind) -> Self {
        let plane = world.plane(kind.name()).await;
        Self { kind, world, base: format!("{plane}/core-entities"), made: AtomicUsize::default() }
    }

    /// The path of the collection of all entities of the kind.
    pub fn all(&self) -> String {
        self.collection(self.kind)
    }

    pub fn collection(&self, kind: Kind) -> String {
        format!("{}/{}", self.base, kind.collection())
    }

    /// The path of an entity of the kind.
    pub fn one(&self, entity: &Value) -> String {
        format!("{}/{}", self.all(), id(entity))
    }

    /// What is at a path, without what Kong's clients expect beside the fields of one group of consumers.
    pub async fn get(&self, path: &str) -> Answer {
        let mut answer = self.world.get(path).await;
        if let Some(fields) = answer.body.as_object_mut() {
            for beside in ["consumer_group", "consumers", "plugins"] {
                if self.kind == Kind::ConsumerGroup {
                    fields.remove(beside);
                }
            }
        }
        answer
    }

    pub async fn post(&self, body: &Value) -> Answer {
        self.world.post(self.all(), body).await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.world.call(method, path).json(body).send().await
    }

    /// The version of the control plane: it grows with each write.
    pub async fn version(&self) -> Value {
        let plane = self.base.trim_end_matches("/core-entities");
        self.get(plane).await.expect(StatusCode::OK)["version"].clone()
    }

    /// A body with every field that the example has, as nobody else has it. What it refers to is there.
    pub async fn body(&self) -> Value {
        self.body_of(self.kind).await
    }

    /// An entity of the kind.
    pub async fn make(&self) -> Value {
        let body = self.body().await;
        self.post(&body).await.expect(StatusCode::CREATED)
    }

    fn body_of(&self, kind: Kind) -> Pin<Box<dyn Future<Output = Value> + '_>> {
        Box::pin(async move {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let mut body = kind.example();
            for field in distinct_fields(kind) {
                // A wildcard stays in front.
                let distinct = |text: &str| match text.strip_prefix("*.") {
                    Some(rest) => format!("*.n{number}-{rest}"),
                    None => format!("n{number}-{text}"),
                };
                match body.get_mut(field) {
                    Some(Value::String(text)) => *text = distinct(text),
                    Some(Value::Array(texts)) => {
                        for text in texts {
                            *text = distinct(text.as_str().expect("a text")).into();
                        }
                    }
                    _ => {}
                }
            }
            // A JSON web key holds its id too.
            if let Some(jwk) = body["jwk"].as_str() {
                let mut jwk: Value = serde_json::from_str(jwk).expect("JSON");
                jwk["kid"] = body["kid"].clone();
                body["jwk"] = jwk.to_string().into();
            }
            if kind == Kind::CaCertificate {
                body["cert"] = authority().into();
            }
            for reference in references(kind) {
                let target = self.body_of(reference.kind).await;
                let made = self.world.post(self.collection(reference.kind), &target).await;
                body[reference.field] = json!({ "id": id(&made.expect(StatusCode::CREATED)) });
            }
            body
        })
    }
}

/// The certificate of an authority that nobody else has, as PEM.
fn authority() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem()
}

pub fn id(entity: &Value) -> &str {
    entity["id"].as_str().expect("an id")
}

/// What the example of a kind refers to.
pub fn references(kind: Kind) -> Vec<Refers> {
    let entity = Entity::from_api(kind, &kind.example()).expect("the example is valid");
    let all = entity.references().into_iter();
    all.map(|found| Refers { field: found.field, kind: found.kind, on_delete: found.on_delete }).collect()
}

/// The fields of which each entity has its own value.
pub fn distinct_fields(kind: Kind) -> Vec<&'static str> {
    let entity = Entity::from_api(kind, &kind.example()).expect("the example is valid");
    entity.unique_keys().into_iter().map(|key| key.field).collect()
}
