//! Planning against a model of the database: what is read on demand leads to the same plans as knowing everything, a
//! batch leads to the same state as its commands one by one, and no order of commands leaves a dangling reference or two
//! holders of one key.

use std::collections::{BTreeMap, BTreeSet};

use gateway_model::{Entity, Kind, OnDelete};
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;
use web::ProblemType;

use super::{
    known::{Known, Name, Referrer, Stored, Want},
    plan::{Command, Plan, Selector, Stop, plan},
};

/// The database, as far as planning reads it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(BTreeMap<Name, Entity>);

impl Model {
    fn stored(entity: &Entity) -> Stored {
        let wire = entity.to_wire().expect("a stored entity is resolved");
        Stored { entity: entity.clone(), wire, version: 1, created_at: OffsetDateTime::UNIX_EPOCH }
    }

    fn answer(&self, want: &Want, known: &mut Known) {
        match want {
            Want::Entity(name) => known.learn_entity(*name, self.0.get(name).map(Self::stored)),
            Want::Key(key) => {
                let holder = self
                    .0
                    .iter()
                    .find(|((kind, _), entity)| *kind == key.0 && entity.unique_keys().contains(&key.1));
                known.learn_key(key.clone(), holder.map(|((_, id), _)| *id));
            }
            Want::Referrers(name) => known.learn_referrers(*name, self.referrers(*name)),
            Want::Everything => {
                known.learn_everything(
                    self.0.iter().map(|(name, entity)| (*name, Self::stored(entity))).collect(),
                );
            }
        }
    }

    fn referrers(&self, target: Name) -> Vec<Referrer> {
        let all = self
            .0
            .iter()
            .flat_map(|(name, entity)| entity.references().into_iter().map(move |found| (*name, found)));
        all.filter(|(_, found)| (Some(found.kind), found.target.id()) == (Some(target.0), Some(target.1)))
            .map(|(name, found)| Referrer { name, on_delete: found.on_delete })
            .collect()
    }

    /// Plans on demand-read knowledge; the outer error is a refusal.
    fn plan(&self, command: &Command, known: &mut Known) -> Result<Plan, ProblemType> {
        loop {
            match plan(command, known) {
                Ok(plan) => return Ok(plan),
                Err(Stop::Want(want)) => self.answer(&want, known),
                Err(Stop::Refused(problem)) => return Err(problem.kind),
            }
        }
    }

    fn write(&mut self, pending: impl IntoIterator<Item = (Name, Option<Entity>)>) {
        for (name, after) in pending {
            match after {
                Some(entity) => self.0.insert(name, entity),
                None => self.0.remove(&name),
            };
        }
    }

    fn check(&self) {
        let mut keys = BTreeSet::new();
        for ((kind, id), entity) in &self.0 {
            for key in entity.unique_keys() {
                assert!(keys.insert((*kind, key.clone())), "two holders of {key:?}");
            }
            for reference in entity.references() {
                let target = (reference.kind, reference.target.id().expect("resolved"));
                assert!(self.0.contains_key(&target), "{kind:?} {id} refers to {target:?}, which is gone");
            }
        }
    }
}

fn id(number: u8) -> Uuid {
    Uuid::from_u128(number.into())
}

fn entity(kind: Kind, body: serde_json::Value) -> Entity {
    Entity::from_api(kind, &body).unwrap_or_else(|invalid| panic!("{kind:?}: {invalid}"))
}

/// Few names and ids, so that commands meet.
fn commands() -> impl Strategy<Value = Command> {
    let service =
        (0..3u8).prop_map(|name| entity(Kind::Service, json!({"name": format!("s{name}"), "host": "h"})));
    let route = (0..3u8, 0..4u8, any::<bool>()).prop_map(|(name, service, by_name)| {
        let service =
            if by_name { json!({"name": format!("s{service}")}) } else { json!({"id": id(service)}) };
        entity(Kind::Route, json!({"name": format!("r{name}"), "paths": ["/"], "service": service}))
    });
    let consumer = (0..3u8).prop_map(|name| entity(Kind::Consumer, json!({"username": format!("c{name}")})));
    let credential = (0..3u8, 0..3u8).prop_map(|(key, consumer)| {
        entity(Kind::KeyAuth, json!({"key": format!("key-{key}"), "consumer": {"id": id(consumer)}}))
    });
    let plugin = (0..4u8).prop_map(|route| {
        entity(Kind::Plugin, json!({"name": "request-termination", "route": {"name": format!("r{route}")}}))
    });
    let any_entity = prop_oneof![service, route, consumer, credential, plugin];
    let kind = prop::sample::select(Kind::ALL.to_vec());
    let selector = prop_oneof![
        (0..3u8).prop_map(|number| Selector::Id(id(number))),
        (prop::sample::select(vec!["s", "r", "c"]), 0..3u8)
            .prop_map(|(letter, n)| Selector::Name(format!("{letter}{n}"))),
    ];
    prop_oneof![
        (any_entity.clone(), 0..3u8).prop_map(|(entity, number)| Command::Create { id: id(number), entity }),
        (any_entity, 0..3u8).prop_map(|(entity, number)| Command::Upsert {
            selector: Selector::Id(id(number)),
            new_id: id(number),
            entity,
            if_match: None,
        }),
        (kind, selector).prop_map(|(kind, selector)| Command::Delete { kind, selector, if_match: None }),
    ]
}

proptest! {
    #[test]
    fn a_batch_is_its_commands_one_by_one(commands in prop::collection::vec(commands(), 1..40), size in 1..8usize) {
        let (mut one_by_one, mut batched) = (Model::default(), Model::default());
        for batch in commands.chunks(size) {
            let mut known = Known::default();
            let mut everything = Known::default();
            batched.answer(&Want::Everything, &mut everything);
            for command in batch {
                let mut alone = Known::default();
                let expected = one_by_one.plan(command, &mut alone);
                let in_batch = batched.plan(command, &mut known);
                let informed = batched.plan(command, &mut everything);
                match (expected, in_batch, informed) {
                    (Ok(expected), Ok(in_batch), Ok(informed)) => {
                        prop_assert_eq!(&expected.writes, &in_batch.writes);
                        prop_assert_eq!(&expected.writes, &informed.writes);
                        known.absorb(in_batch.writes);
                        everything.absorb(informed.writes);
                        one_by_one.write(expected.writes);
                    }
                    (Err(expected), Err(in_batch), Err(informed)) => {
                        prop_assert_eq!(expected, in_batch);
                        prop_assert_eq!(expected, informed);
                    }
                    (expected, in_batch, informed) => {
                        prop_assert!(false, "{:?} / {:?} / {:?}", expected, in_batch, informed);
                    }
                }
            }
            batched.write(known.into_pending().into_iter().map(|(name, pending)| (name, pending.after)));
            prop_assert_eq!(&one_by_one, &batched);
            batched.check();
        }
    }
}

#[test]
fn deleting_a_consumer_takes_its_credentials_along_and_a_used_service_stays() {
    let mut model = Model::default();
    model.write([
        ((Kind::Service, id(0)), Some(entity(Kind::Service, json!({"name": "s", "host": "h"})))),
        ((Kind::Route, id(0)), Some(entity(Kind::Route, json!({"paths": ["/"], "service": {"id": id(0)}})))),
        ((Kind::Consumer, id(0)), Some(entity(Kind::Consumer, json!({"username": "c"})))),
        ((Kind::KeyAuth, id(0)), Some(entity(Kind::KeyAuth, json!({"key": "k", "consumer": {"id": id(0)}})))),
    ]);
    let delete = |kind| Command::Delete { kind, selector: Selector::Id(id(0)), if_match: None };
    assert_eq!(model.referrers((Kind::Service, id(0)))[0].on_delete, OnDelete::Restrict);
    assert_eq!(
        model.plan(&delete(Kind::Service), &mut Known::default()).expect_err("in use"),
        ProblemType::InUse
    );

    let gone = model.plan(&delete(Kind::Consumer), &mut Known::default()).expect("allowed");
    let names: BTreeSet<Name> = gone.writes.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, BTreeSet::from([(Kind::Consumer, id(0)), (Kind::KeyAuth, id(0))]));
}

#[test]
fn a_stale_if_match_is_refused() {
    let mut model = Model::default();
    let service = entity(Kind::Service, json!({"name": "s", "host": "h"}));
    model.write([((Kind::Service, id(0)), Some(service.clone()))]);
    let put = |version| Command::Upsert {
        selector: Selector::Id(id(0)),
        new_id: id(0),
        entity: entity(Kind::Service, json!({"name": "s", "host": "other"})),
        if_match: Some(version),
    };
    let refused = model.plan(&put(7), &mut Known::default());
    assert_eq!(refused.expect_err("stale"), ProblemType::PreconditionFailed);
    assert_eq!(model.plan(&put(1), &mut Known::default()).expect("current").updated, 1);
}

#[test]
fn the_same_document_twice_changes_nothing() {
    let text =
        "_format_version: '3.0'\nservices:\n- name: s\n  host: h\n  routes:\n  - name: r\n    paths: [/]\n";
    let document = std::sync::Arc::new(gateway_model::declarative::parse(text).expect("valid"));
    let command = Command::Apply { document, namespace: id(9) };
    let mut model = Model::default();
    model.write([((Kind::Consumer, id(5)), Some(entity(Kind::Consumer, json!({"username": "old"}))))]);

    let first = model.plan(&command, &mut Known::default()).expect("valid");
    assert_eq!((first.created, first.updated, first.deleted), (2, 0, 1));
    model.write(first.writes);
    model.check();
    let second = model.plan(&command, &mut Known::default()).expect("valid");
    assert!(second.writes.is_empty(), "{:?}", second.writes);
}
