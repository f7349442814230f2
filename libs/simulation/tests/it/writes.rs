//! What clients of the API write: a few entities, again and again.

use axum::http::Method;
use rand::{Rng as _, rngs::StdRng, seq::IteratorRandom as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    checker::Asked,
    plane::{Model, Name},
};

const CONSUMERS: u32 = 4;
const SERVICES: u32 = 2;
const ROUTES: u32 = 3;
/// Consumers of a document, each with a key or without.
const LISTED_MAX: u32 = 12;
/// What a document owns has this tag.
const TAG: &str = "listed";
/// A few keys end by themselves after so many seconds.
const TTL: u32 = 20;

/// A request, and what it makes true if it succeeds.
pub struct Write {
    pub method: Method,
    /// Below the control plane.
    pub path: String,
    pub body: Value,
    pub effects: Vec<(Name, Option<String>)>,
    /// A key that it makes ends by itself.
    pub ends: bool,
}

/// Draws writes. Numbers are never used again.
pub struct Writes {
    number: u64,
}

impl Writes {
    pub fn new() -> Self {
        Self { number: 0 }
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// The next write; what it may ask for later is added to `asked`.
    pub fn draw(&mut self, rng: &mut StdRng, model: &Model, asked: &mut Asked) -> Write {
        let number = self.next();
        let consumer = format!("c{}", rng.random_range(0..CONSUMERS));
        let has_consumer = model.contains_key(&Name::Consumer(consumer.clone()));
        match rng.random_range(0..20) {
            0..5 if has_consumer => self.make_key(rng, &consumer, asked),
            5..8 => delete_key(rng, model).unwrap_or_else(|| put_consumer(&consumer, number)),
            8 if has_consumer => delete_consumer(&consumer, model),
            9 | 10 => make_again(rng, model, asked).unwrap_or_else(|| put_consumer(&consumer, number)),
            11 | 12 => {
                let (name, host) = (format!("s{}", rng.random_range(0..SERVICES)), format!("h{number}"));
                let effects = vec![(Name::Service(name.clone()), Some(host.clone()))];
                Write {
                    effects,
                    ..Write::put(format!("core-entities/services/{name}"), json!({ "host": host }))
                }
            }
            13..17 => put_route(rng, model, number, asked).unwrap_or_else(|| put_consumer(&consumer, number)),
            17 => {
                let name = format!("r{}", rng.random_range(0..ROUTES));
                let effects = vec![(Name::Route(name.clone()), None)];
                Write { effects, ..Write::delete(format!("core-entities/routes/{name}")) }
            }
            _ => put_consumer(&consumer, number),
        }
    }

    fn make_key(&mut self, rng: &mut StdRng, consumer: &str, asked: &mut Asked) -> Write {
        let (id, key) = (Uuid::from_u128(rng.random()), format!("key-{}", self.next()));
        asked.keys.insert(key.clone(), id);
        let ends = rng.random_range(0..4) == 0;
        let body = if ends { json!({ "key": key, "ttl": TTL }) } else { json!({ "key": key }) };
        let effects = vec![(Name::Key(id), Some(consumer.to_owned()))];
        Write {
            effects,
            ends,
            ..Write::put(format!("core-entities/consumers/{consumer}/key-auth/{id}"), body)
        }
    }

    /// A document that owns what has the tag: some of its consumers stay, some change, some go, with their keys.
    pub fn document(&mut self, rng: &mut StdRng, model: &Model, asked: &mut Asked) -> Write {
        let owned = |name: &Name, value: &String| match name {
            Name::Consumer(username) => username.starts_with('d'),
            Name::Key(_) => value.starts_with('d'),
            _ => false,
        };
        let mut effects: Vec<_> = model
            .iter()
            .filter(|(name, value)| owned(name, value))
            .map(|(name, _)| (name.clone(), None))
            .collect();
        let mut consumers = Vec::new();
        for at in 0..rng.random_range(0..LISTED_MAX) {
            let (username, value) = (format!("d{at}"), format!("v{}", self.next()));
            let stays = model.get(&Name::Consumer(username.clone())).filter(|_| rng.random());
            let value = stays.cloned().unwrap_or(value);
            let mut keys = Vec::new();
            if rng.random() {
                let held = asked.keys.iter().find(|(_, id)| model.get(&Name::Key(**id)) == Some(&username));
                let (key, id) = match held {
                    Some((key, id)) if rng.random() => (key.clone(), *id),
                    _ => (format!("key-{}", self.next()), Uuid::from_u128(rng.random())),
                };
                keys.push(json!({ "id": id, "key": key, "tags": [TAG] }));
                asked.keys.insert(key, id);
                effects.push((Name::Key(id), Some(username.clone())));
            }
            consumers.push(json!({
                "username": username, "custom_id": value, "tags": [TAG], "keyauth_credentials": keys,
            }));
            effects.push((Name::Consumer(username), Some(value)));
        }
        let body = json!({
            "_format_version": "3.0", "_info": { "select_tags": [TAG] }, "consumers": consumers,
        });
        Write { effects, ..Write::put("declarative".to_owned(), body) }
    }
}

impl Write {
    fn put(path: String, body: Value) -> Self {
        Self { method: Method::PUT, path, body, effects: Vec::new(), ends: false }
    }

    fn delete(path: String) -> Self {
        Self { method: Method::DELETE, ..Self::put(path, Value::Null) }
    }

    /// Makes it so.
    pub fn apply(&self, model: &mut Model) {
        for (name, value) in &self.effects {
            match value {
                Some(value) => drop(model.insert(name.clone(), value.clone())),
                None => drop(model.remove(name)),
            }
        }
    }

    /// Whether both may be done at the same time, in either order.
    pub fn is_apart_from(&self, other: &Self) -> bool {
        self.effects.iter().all(|(name, _)| other.effects.iter().all(|(named, _)| named != name))
    }
}

fn put_consumer(username: &str, number: u64) -> Write {
    let value = format!("v{number}");
    let effects = vec![(Name::Consumer(username.to_owned()), Some(value.clone()))];
    Write {
        effects,
        ..Write::put(format!("core-entities/consumers/{username}"), json!({ "custom_id": value }))
    }
}

fn delete_consumer(username: &str, model: &Model) -> Write {
    let keys = model.iter().filter(|(name, value)| matches!(name, Name::Key(_)) && *value == username);
    let names = keys.map(|(name, _)| name.clone()).chain([Name::Consumer(username.to_owned())]);
    let effects = names.map(|name| (name, None)).collect();
    Write { effects, ..Write::delete(format!("core-entities/consumers/{username}")) }
}

fn delete_key(rng: &mut StdRng, model: &Model) -> Option<Write> {
    let single = model.iter().filter_map(|(name, value)| match name {
        Name::Key(id) if value.starts_with('c') => Some((id, value)),
        _ => None,
    });
    let (id, consumer) = single.choose(rng)?;
    let effects = vec![(Name::Key(*id), None)];
    Some(Write { effects, ..Write::delete(format!("core-entities/consumers/{consumer}/key-auth/{id}")) })
}

/// A key that was deleted is made again, under its old id.
fn make_again(rng: &mut StdRng, model: &Model, asked: &Asked) -> Option<Write> {
    let gone = asked.keys.iter().filter(|(_, id)| !model.contains_key(&Name::Key(**id)));
    let (key, id) = gone.choose(rng)?;
    let consumers = model.keys().filter_map(|name| match name {
        Name::Consumer(username) if username.starts_with('c') => Some(username),
        _ => None,
    });
    let consumer = consumers.choose(rng)?;
    let effects = vec![(Name::Key(*id), Some(consumer.clone()))];
    let path = format!("core-entities/consumers/{consumer}/key-auth/{id}");
    Some(Write { effects, ..Write::put(path, json!({ "key": key })) })
}

fn put_route(rng: &mut StdRng, model: &Model, number: u64, asked: &mut Asked) -> Option<Write> {
    let services = model.keys().filter_map(|name| match name {
        Name::Service(name) => Some(name),
        _ => None,
    });
    let service = services.choose(rng)?;
    let name = format!("r{}", rng.random_range(0..ROUTES));
    // With a slash at its end, so that none is the beginning of another.
    let path = format!("/{name}/{number}/");
    asked.paths.insert(path.clone());
    let effects = vec![(Name::Route(name.clone()), Some(path.clone()))];
    let body = json!({ "paths": [path], "service": { "name": service } });
    Some(Write { effects, ..Write::put(format!("core-entities/routes/{name}"), body) })
}
