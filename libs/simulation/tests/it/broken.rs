//! The checker finds what is broken on purpose: in the network, which hides what it does from the digests, and in gateways.

use std::collections::BTreeMap;

use bytes::Bytes;
use dataplane::store::{Scan, Store};
use proto::sync::v1::{Delta, node_message::Message as FromNode, plane_message::Message as FromPlane};
use sync::{EntityState, decode_batch, encode_batch, unpacked};
use uuid::Uuid;

use crate::{
    checker::Violation,
    network::On,
    plane::digest,
    schedule::{GATEWAYS, Seen, run},
    world::{Fault, Stores, World},
};

/// A schedule may have no occasion for what is broken: then the next one is tried.
const SCHEDULES: u64 = 12;

/// Whether one of some schedules, from that of `first` on, fails as `is_expected` says. None may fail in another way.
fn is_found(first: u64, breaks: impl Fn(&mut World), is_expected: fn(&Violation) -> bool) -> bool {
    let mut seen = Seen::default();
    (first..first + SCHEDULES).any(|seed| match run((seed, GATEWAYS), &mut seen, &breaks) {
        Ok(()) => false,
        Err(failure) if is_expected(&failure.violation) => {
            println!("found: {}", failure.violation);
            true
        }
        Err(failure) => panic!("{}\n{}", failure.violation, failure.trace),
    })
}

/// A delta without one of its entities, whose digest is that of what the node then holds. So the node cannot know.
fn forged(delta: &Delta, store: &Store, drops: fn(&EntityState) -> bool) -> Option<Delta> {
    let position = store.position().filter(|held| held.version == delta.base)?;
    let mut entities = decode_batch(unpacked(delta.entities.clone(), &delta.packed).ok()?).ok()?;
    let dropped = entities.iter().position(drops)?;
    entities.remove(dropped);
    let mut after: BTreeMap<(String, Uuid), EntityState> = BTreeMap::new();
    let name = |entity: &EntityState| (entity.kind.clone(), entity.id);
    let held = |all: Vec<EntityState>| after.extend(all.into_iter().map(|entity| (name(&entity), entity)));
    store.scan(Scan::Serving, held).ok()?;
    after.extend(entities.iter().map(|entity| (name(entity), entity.clone())));
    let after: Vec<EntityState> = after.into_values().collect();
    let digest = Bytes::copy_from_slice(digest(&after).as_bytes());
    let is_whole = position.incarnation.get() == delta.incarnation;
    let (entities, packed) = (encode_batch(entities), Bytes::new());
    is_whole.then(|| Delta { entities, packed, digest, ..delta.clone() })
}

fn forge(world: &mut World, drops: fn(&EntityState) -> bool) {
    let stores: Stores = world.stores.clone();
    world.network.tamper(Box::new(move |node, message| {
        if let On::ToNode(FromPlane::Delta(delta)) = message
            && let Some(store) = &stores.lock().expect("lock")[node]
            && let Some(forged) = forged(delta, store, drops)
        {
            *delta = forged;
        }
    }));
}

#[test]
fn a_delta_that_lacks_an_entity_is_found() {
    let lacks = |world: &mut World| forge(world, |entity| !entity.deleted);
    assert!(is_found(1000, lacks, |found| matches!(found, Violation::NeverHad { .. })));
}

#[test]
fn a_delta_that_lacks_a_tombstone_is_found() {
    let lacks = |world: &mut World| forge(world, |entity| entity.deleted);
    assert!(is_found(1000, lacks, |found| matches!(found, Violation::NeverHad { .. })));
}

#[test]
fn a_node_that_lies_about_what_it_has_applied_is_found() {
    let lies = |world: &mut World| {
        let mut sent = BTreeMap::new();
        world.network.tamper(Box::new(move |node, message| match message {
            On::ToNode(FromPlane::Delta(delta)) => {
                sent.insert(node, (delta.version, delta.digest.clone()));
                // Of every other delta the node gets nothing that it can apply.
                if delta.version % 2 == 0 {
                    delta.base = delta.version;
                }
            }
            On::ToPlane(FromNode::Applied(applied)) => {
                if let (Some((version, digest)), Some(position)) = (sent.get(&node), &mut applied.position) {
                    (position.version, position.digest) = (*version, digest.clone());
                    (applied.digest_matches, applied.error) = (true, String::new());
                }
            }
            _ => {}
        }));
    };
    assert!(is_found(1000, lies, |found| matches!(found, Violation::Registry { .. })));
}

#[test]
fn a_revocation_that_is_acknowledged_and_not_denied_is_found() {
    let loses = |world: &mut World| {
        world.network.tamper(Box::new(|_, message| {
            if let On::ToNode(FromPlane::Revocation(revocation)) = message {
                revocation.id = Bytes::copy_from_slice(Uuid::from_u128(1).as_bytes());
            }
        }));
    };
    assert!(is_found(1002, loses, |found| matches!(found, Violation::Revoked { .. })));
}

#[test]
fn a_node_that_forgets_at_a_restart_what_it_denied_is_found() {
    let forgets = |world: &mut World| world.fault = Some(Fault::ForgetsDenied);
    assert!(is_found(1011, forgets, |found| matches!(found, Violation::Revoked { .. })));
}

#[test]
fn a_node_that_goes_back_to_an_old_disk_is_found() {
    let goes_back = |world: &mut World| world.fault = Some(Fault::OldDisk);
    assert!(is_found(1000, goes_back, |found| matches!(found, Violation::WentBack { .. })));
}
