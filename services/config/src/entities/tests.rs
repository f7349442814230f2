//! Planning against a model of the database. A batch leads to the same state as its commands one by one. No order of commands leaves a dangling reference, two holders of one
//! key, or more entities than the limit.

use std::collections::{BTreeMap, BTreeSet};

use gateway_model::{Entity, Kind, OnDelete, UniqueKey};
use proptest::prelude::*;
use serde_json::json;
use sync::Digest;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    AcmeOffer,
    known::{EntityId, Known, Referrer, Stored, Undo, Want, Write},
    plan::{Command, Limits, Plan, Refusal, Selector, Stop, plan},
};

/// The database, as far as planning reads it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(BTreeMap<EntityId, Entity>);

/// Few enough that random commands meet the limits.
const FEW: Limits =
    Limits { entities_max: 6, cascade_max: 3, path_cost_max: 150, at_once_max: 0, acme: AcmeOffer::NOTHING };

impl Model {
    /// Every row is at version 1.
    fn stored(entity: &Entity) -> Stored {
        let created_at = OffsetDateTime::UNIX_EPOCH;
        Stored { entity: entity.clone(), version: 1, digest: Digest::default(), created_at }
    }

    fn answer(&self, want: &Want, known: &mut Known) {
        match want {
            Want::Entity(id) => known.learn_entity(*id, self.0.get(id).map(Self::stored)),
            Want::Key(key) => {
                let mut entities = self.0.iter();
                let holder =
                    entities.find(|(id, entity)| id.kind == key.0 && entity.unique_keys().contains(&key.1));
                known.learn_key(key.clone(), holder.map(|(id, _)| id.id));
            }
            Want::Referrers(id) => known.learn_referrers(*id, self.referrers(*id)),
            Want::Count => known.learn_count(self.0.len()),
            Want::PathCost => known.learn_path_cost(self.path_cost()),
        }
    }

    fn path_cost(&self) -> u64 {
        self.0.values().map(Entity::path_cost).sum()
    }

    fn referrers(&self, target: EntityId) -> Vec<Referrer> {
        let all = self
            .0
            .iter()
            .flat_map(|(id, entity)| entity.references().into_iter().map(move |found| (*id, found)));
        all.filter(|(_, found)| found.kind == target.kind && found.target.id() == Some(target.id))
            .map(|(id, found)| Referrer { id, on_delete: found.on_delete })
            .collect()
    }

    /// Plans on knowledge that is read on demand.
    fn plan(&self, command: &Command, known: &mut Known, limits: &Limits) -> Result<Plan, Refusal> {
        loop {
            match plan(command, known, limits) {
                Ok(plan) => return Ok(plan),
                Err(Stop::Want(want)) => self.answer(&want, known),
                Err(Stop::Refused(refusal)) => return Err(refusal),
            }
        }
    }

    /// Plans a command by itself, under limits that it does not meet.
    fn plan_alone(&self, command: &Command) -> Result<Plan, Refusal> {
        self.plan(command, &mut unknown(), &Limits::default())
    }

    fn write(&mut self, writes: impl IntoIterator<Item = Write>) {
        for Write { id, after } in writes {
            match after {
                Some(entity) => self.0.insert(id, entity),
                None => self.0.remove(&id),
            };
        }
    }

    fn check(&self) {
        let mut keys = BTreeSet::new();
        for (id, entity) in &self.0 {
            for key in entity.unique_keys() {
                assert!(keys.insert((id.kind, key.clone())), "two holders of {key:?}");
            }
            for reference in entity.references() {
                let target = EntityId { kind: reference.kind, id: reference.target.id().expect("resolved") };
                assert!(self.0.contains_key(&target), "{id:?} refers to {target:?}, which is gone");
            }
        }
        assert!(self.0.len() <= FEW.entities_max, "more entities than the limit");
        assert!(self.path_cost() <= FEW.path_cost_max, "expressions that cost more than the limit");
    }
}

/// Nothing is known yet of a control plane.
fn unknown() -> Known {
    Known::new(OffsetDateTime::UNIX_EPOCH, [0; 32])
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
    let paths = prop::sample::select(vec!["/", "~/a+", "~/\\w{1,5}"]);
    let route = (0..3u8, 0..4u8, any::<bool>(), paths).prop_map(|(name, service, by_name, path)| {
        let service =
            if by_name { json!({"name": format!("s{service}")}) } else { json!({"id": id(service)}) };
        entity(Kind::Route, json!({"name": format!("r{name}"), "paths": [path], "service": service}))
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

/// All that there is, with whoever has each key and refers to each entity.
fn shown(model: &Model, known: &mut Known) -> String {
    let mut text = String::new();
    for (kind, number) in Kind::ALL.into_iter().flat_map(|kind| (0..4).map(move |number| (kind, number))) {
        let entity_id = EntityId { kind, id: id(number) };
        for want in [Want::Entity(entity_id), Want::Referrers(entity_id)] {
            model.answer(&want, known);
        }
        let entity = known.entity(entity_id).expect("known").cloned();
        let keys = entity.iter().flat_map(Entity::unique_keys).collect::<Vec<_>>();
        for key in keys {
            let key = (kind, key);
            model.answer(&Want::Key(key.clone()), known);
            text += &format!("{key:?} {:?} ", known.holder(&key));
        }
        let mut referrers: Vec<_> =
            known.referrers(entity_id).expect("known").iter().map(|referrer| referrer.id).collect();
        referrers.sort();
        text += &format!("{entity_id:?} {entity:?} {referrers:?} {}\n", known.is_pending(entity_id));
    }
    format!("{text}{:?} {:?}", known.count(), known.path_cost())
}

proptest! {
    /// Writes that were taken back leave nothing, whatever was planned before them.
    #[test]
    fn what_is_undone_never_was(before in prop::collection::vec(commands(), 0..20), then in prop::collection::vec(commands(), 1..20)) {
        let (model, mut known) = (Model::default(), unknown());
        [Want::Count, Want::PathCost].iter().for_each(|want| model.answer(want, &mut known));
        let run = |known: &mut Known, commands: &[Command]| -> Vec<Undo> {
            let mut undos = Vec::new();
            for command in commands {
                if let Ok(plan) = model.plan(command, known, &FEW) {
                    undos.push(known.absorb(plan.writes));
                }
            }
            undos
        };
        let _ = run(&mut known, &before);
        let shown_before = shown(&model, &mut known);
        let mut undos = run(&mut known, &then);
        while let Some(undo) = undos.pop() {
            known.undo(undo);
        }
        prop_assert_eq!(shown(&model, &mut known), shown_before);
    }

    #[test]
    fn a_batch_is_its_commands_one_by_one(commands in prop::collection::vec(commands(), 1..40), size in 1..8usize) {
        let (mut one_by_one, mut batched) = (Model::default(), Model::default());
        for batch in commands.chunks(size) {
            let mut known = unknown();
            for command in batch {
                let mut alone = unknown();
                let expected = one_by_one.plan(command, &mut alone, &FEW);
                let in_batch = batched.plan(command, &mut known, &FEW);
                match (expected, in_batch) {
                    (Ok(expected), Ok(in_batch)) => {
                        prop_assert_eq!(&expected.writes, &in_batch.writes);
                        known.absorb(in_batch.writes);
                        one_by_one.write(expected.writes);
                        if let Ok(count) = known.count() {
                            prop_assert_eq!(count, one_by_one.0.len());
                        }
                    }
                    // Which of several referrers is named depends on the order in which they were read.
                    (Err(expected), Err(in_batch)) => {
                        use std::mem::discriminant;
                        prop_assert_eq!(discriminant(&expected), discriminant(&in_batch));
                    }
                    (expected, in_batch) => prop_assert!(false, "{:?} / {:?}", expected, in_batch),
                }
            }
            let pending = known.into_pending().into_iter();
            batched.write(pending.map(|(id, pending)| Write { id, after: pending.after }));
            prop_assert_eq!(&one_by_one, &batched);
            batched.check();
        }
    }
}

fn service(number: u8) -> EntityId {
    EntityId { kind: Kind::Service, id: id(number) }
}

fn consumer(number: u8) -> EntityId {
    EntityId { kind: Kind::Consumer, id: id(number) }
}

fn a_service(name: &str, host: &str) -> Entity {
    entity(Kind::Service, json!({"name": name, "host": host}))
}

fn a_consumer(name: &str) -> Entity {
    entity(Kind::Consumer, json!({"username": name}))
}

fn model(entities: impl IntoIterator<Item = (EntityId, Entity)>) -> Model {
    Model(entities.into_iter().collect())
}

/// A service with a route, a consumer with a credential.
fn a_small_configuration() -> Model {
    model([
        (service(0), a_service("s", "h")),
        (
            EntityId { kind: Kind::Route, id: id(0) },
            entity(Kind::Route, json!({"name": "r", "paths": ["/"], "service": {"id": id(0)}})),
        ),
        (consumer(0), a_consumer("c")),
        (
            EntityId { kind: Kind::KeyAuth, id: id(0) },
            entity(Kind::KeyAuth, json!({"key": "k", "consumer": {"id": id(0)}})),
        ),
    ])
}

fn create(number: u8, entity: Entity) -> Command {
    Command::Create { id: id(number), entity }
}

fn put(number: u8, entity: Entity) -> Command {
    Command::Upsert { selector: Selector::Id(id(number)), new_id: id(99), entity, if_match: None }
}

fn put_named(name: &str, entity: Entity) -> Command {
    Command::Upsert { selector: Selector::Name(name.to_owned()), new_id: id(99), entity, if_match: None }
}

fn delete(id: EntityId) -> Command {
    Command::Delete { kind: id.kind, selector: Selector::Id(id.id), if_match: None }
}

/// Created, updated, deleted.
fn counts(plan: &Plan) -> (usize, usize, usize) {
    (plan.created, plan.updated, plan.deleted)
}

#[test]
fn a_segment_with_the_form_of_an_id_is_one() {
    let text = "0192d3a4-5b6c-7d8e-9f00-112233445566";
    assert_eq!(Selector::parse(text), Selector::Id(text.parse().expect("an id")));
    assert_eq!(Selector::parse("orders"), Selector::Name("orders".to_owned()));
}

#[test]
fn a_new_entity_is_written_and_answered() {
    let plan = Model::default().plan_alone(&create(1, a_service("s", "h"))).expect("allowed");
    assert_eq!(plan.subject, Some(service(1)));
    assert_eq!(plan.entity, Some(a_service("s", "h")));
    assert_eq!(plan.writes, [Write { id: service(1), after: Some(a_service("s", "h")) }]);
    assert_eq!(counts(&plan), (1, 0, 0));
}

#[test]
fn an_id_is_given_once_per_kind() {
    let model = model([(service(0), a_service("s", "h"))]);
    assert_eq!(
        model.plan_alone(&create(0, a_service("other", "h"))).expect_err("taken"),
        Refusal::IdTaken(Kind::Service)
    );
    assert_eq!(counts(&model.plan_alone(&create(0, a_consumer("c"))).expect("another kind")), (1, 0, 0));
}

#[test]
fn a_key_belongs_to_one_entity_of_its_kind() {
    let model = model([(service(0), a_service("s", "h")), (service(1), a_service("t", "h"))]);
    let taken =
        Refusal::KeyTaken { kind: Kind::Service, key: UniqueKey { field: "name", value: "s".to_owned() } };
    assert_eq!(model.plan_alone(&create(2, a_service("s", "h"))).expect_err("taken"), taken);
    assert_eq!(model.plan_alone(&put(1, a_service("s", "h"))).expect_err("taken"), taken);
    assert_eq!(taken.to_string(), "name: another service has this name: `s`");
    // Its holder keeps it.
    assert_eq!(counts(&model.plan_alone(&put(0, a_service("s", "other"))).expect("its own")), (0, 1, 0));
}

#[test]
fn a_name_finds_its_entity_or_makes_one() {
    let model = model([(service(0), a_service("s", "h"))]);
    let found = model.plan_alone(&put_named("s", a_service("s", "other"))).expect("allowed");
    assert_eq!((found.subject, counts(&found)), (Some(service(0)), (0, 1, 0)));
    let made = model.plan_alone(&put_named("t", a_service("t", "h"))).expect("allowed");
    assert_eq!((made.subject, counts(&made)), (Some(service(99)), (1, 0, 0)));
    // An id that is not there is made too.
    let made = model.plan_alone(&put(7, a_service("u", "h"))).expect("allowed");
    assert_eq!((made.subject, counts(&made)), (Some(service(7)), (1, 0, 0)));
}

#[test]
fn the_very_same_again_writes_nothing_and_is_answered() {
    let model = model([(service(0), a_service("s", "h"))]);
    let plan = model.plan_alone(&put(0, a_service("s", "h"))).expect("allowed");
    assert_eq!((plan.writes.len(), counts(&plan)), (0, (0, 0, 0)));
    assert_eq!((plan.subject, plan.entity), (Some(service(0)), Some(a_service("s", "h"))));
}

#[test]
fn a_reference_needs_its_target() {
    let model = model([(service(0), a_service("s", "h"))]);
    let route = |service| entity(Kind::Route, json!({"paths": ["/"], "service": service}));
    let by_name = model.plan_alone(&create(1, route(json!({"name": "s"})))).expect("allowed");
    assert_eq!(by_name.entity, Some(route(json!({"id": id(0)}))), "the name is resolved");
    for missing in [json!({"name": "t"}), json!({"id": id(5)})] {
        assert_eq!(
            model.plan_alone(&create(1, route(missing))).expect_err("missing"),
            Refusal::NoTarget(vec![("service", Kind::Service)])
        );
    }
    // All that are missing are told at once.
    let plugin = json!({"name": "request-termination", "service": {"id": id(5)}, "route": {"id": id(6)}});
    assert_eq!(
        model.plan_alone(&create(1, entity(Kind::Plugin, plugin))).expect_err("missing"),
        Refusal::NoTarget(vec![("service", Kind::Service), ("route", Kind::Route)])
    );
}

#[test]
fn a_used_service_stays_and_a_consumer_takes_its_credentials_along() {
    let model = a_small_configuration();
    assert_eq!(model.referrers(service(0))[0].on_delete, OnDelete::Restrict);
    let refusal = model.plan_alone(&delete(service(0))).expect_err("in use");
    let by = EntityId { kind: Kind::Route, id: id(0) };
    assert_eq!(refusal, Refusal::InUse { kind: Kind::Service, by });
    assert_eq!(refusal.to_string(), format!("the service is in use by route {}; delete that first", id(0)));

    let gone = model.plan_alone(&delete(consumer(0))).expect("allowed");
    let deleted: Vec<EntityId> = gone.writes.iter().map(|write| write.id).collect();
    assert_eq!(deleted, [consumer(0), EntityId { kind: Kind::KeyAuth, id: id(0) }]);
    assert!(gone.writes.iter().all(|write| write.after.is_none()));
    assert_eq!((gone.subject, counts(&gone)), (Some(consumer(0)), (0, 0, 2)));
}

#[test]
fn deleting_what_is_not_there_writes_nothing() {
    let by_name = |kind, name: &str| Command::Delete {
        kind,
        selector: Selector::Name(name.to_owned()),
        if_match: None,
    };
    let model = a_small_configuration();
    for command in [
        delete(service(5)),
        by_name(Kind::Service, "t"),
        // Credentials have no names, and no entity has a name with control characters.
        by_name(Kind::KeyAuth, "k"),
        by_name(Kind::Service, "s\u{0}"),
    ] {
        let plan = model.plan_alone(&command).expect("allowed");
        assert_eq!((plan.writes.len(), plan.subject, counts(&plan)), (0, None, (0, 0, 0)), "{command:?}");
    }
    let named = model.plan_alone(&by_name(Kind::Consumer, "c")).expect("allowed");
    assert_eq!(named.subject, Some(consumer(0)));
}

/// `If-Match` names the stored version: it holds for updates and deletions, and a write of the same batch ends it.
#[test]
fn a_stale_if_match_is_refused() {
    let model = model([(service(0), a_service("s", "h"))]);
    let put = |number, if_match| Command::Upsert {
        selector: Selector::Id(id(number)),
        new_id: id(99),
        entity: a_service("s", "other"),
        if_match: Some(if_match),
    };
    let remove = |if_match| Command::Delete {
        kind: Kind::Service,
        selector: Selector::Id(id(0)),
        if_match: Some(if_match),
    };
    assert_eq!(model.plan_alone(&put(0, 7)).expect_err("stale"), Refusal::OtherVersion);
    assert_eq!(model.plan_alone(&remove(7)).expect_err("stale"), Refusal::OtherVersion);
    assert_eq!(model.plan_alone(&put(5, 1)).expect_err("nothing is there"), Refusal::OtherVersion);
    assert_eq!(counts(&model.plan_alone(&put(0, 1)).expect("current")), (0, 1, 0));
    assert_eq!(counts(&model.plan_alone(&remove(1)).expect("current")), (0, 0, 1));

    let mut known = unknown();
    let first = model.plan(&put(0, 1), &mut known, &FEW).expect("current");
    known.absorb(first.writes);
    assert_eq!(model.plan(&put(0, 1), &mut known, &FEW).expect_err("written since"), Refusal::OtherVersion);
    assert_eq!(model.plan(&remove(1), &mut known, &FEW).expect_err("written since"), Refusal::OtherVersion);
}

#[test]
fn a_control_plane_holds_no_more_than_its_limit() {
    let two = Limits { entities_max: 2, ..FEW };
    let model = model([(consumer(0), a_consumer("a"))]);
    let mut known = unknown();
    let last = model.plan(&create(1, a_consumer("b")), &mut known, &two).expect("the last one");
    known.absorb(last.writes);
    let refusal = Refusal::LimitReached(2);
    assert_eq!(model.plan(&create(2, a_consumer("c")), &mut known, &two).expect_err("full"), refusal);
    assert_eq!(model.plan(&put_named("c", a_consumer("c")), &mut known, &two).expect_err("full"), refusal);
    assert_eq!(refusal.to_string(), "a control plane holds at most 2 entities");
    // What is there may change, and a deletion makes room.
    let changed = entity(Kind::Consumer, json!({"username": "a", "tags": ["x"]}));
    assert_eq!(counts(&model.plan(&put(0, changed), &mut known, &two).expect("an update")), (0, 1, 0));
    let deleted = model.plan(&delete(consumer(0)), &mut known, &two).expect("allowed");
    known.absorb(deleted.writes);
    assert_eq!(counts(&model.plan(&create(2, a_consumer("c")), &mut known, &two).expect("room")), (1, 0, 0));
}

#[test]
fn a_deletion_takes_no_more_along_than_its_limit() {
    let credential = |number: u8| {
        let body = json!({"key": format!("k{number}"), "consumer": {"id": id(0)}});
        (EntityId { kind: Kind::KeyAuth, id: id(number) }, entity(Kind::KeyAuth, body))
    };
    let with =
        |credentials: u8| model((0..credentials).map(credential).chain([(consumer(0), a_consumer("c"))]));
    let command = delete(consumer(0));
    let three = Limits { cascade_max: 3, ..Limits::default() };
    let gone = with(2).plan(&command, &mut unknown(), &three).expect("three in all");
    assert_eq!(counts(&gone), (0, 0, 3));
    assert_eq!(
        with(3).plan(&command, &mut unknown(), &three).expect_err("four"),
        Refusal::CascadeTooLarge(3)
    );
}

/// What planning needs is asked for, never guessed: with nothing known, no command is decided.
#[test]
fn nothing_is_decided_without_knowledge() {
    let nothing = unknown();
    let asks = |command: &Command| match plan(command, &nothing, &FEW) {
        Err(Stop::Want(want)) => want,
        other => panic!("{command:?}: {other:?}"),
    };
    assert_eq!(asks(&create(1, a_consumer("c"))), Want::Entity(consumer(1)));
    assert_eq!(asks(&delete(consumer(1))), Want::Entity(consumer(1)));
    let key = UniqueKey { field: "username", value: "c".to_owned() };
    assert_eq!(asks(&put_named("c", a_consumer("c"))), Want::Key((Kind::Consumer, key)));
}
