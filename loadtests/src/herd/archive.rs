//! Which digest a node has after a delta, without a configuration in each node.
//!
//! A node of this load test holds a version and its digest, and no entities. What each entity adds to the digest, in each of its states, is
//! known here once for all nodes of a control plane. So a delta that lacks an entity, has one too many, or changes a body is found out,
//! whichever node gets it. Bytes that were verified for one node are compared with for the next one in the same place.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use proto::sync::v1::{Delta, Page, Position};
use sync::{Digest, EntityState, decode_batch, unpacked};
use uuid::Uuid;

/// What a node holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The incarnation in which `version` counts.
    pub incarnation: u64,
    /// 0: nothing.
    pub version: u64,
    /// Of all entities at `version`.
    pub digest: Digest,
}

impl From<Held> for Position {
    fn from(held: Held) -> Self {
        let digest = Bytes::copy_from_slice(held.digest.as_bytes());
        Self { incarnation: held.incarnation, version: held.version, digest }
    }
}

/// All states of all entities of a control plane that any node has received.
#[derive(Debug, Default)]
pub struct Archive(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By kind and id, then by version: what the state adds to the digest; nothing for a tombstone.
    states: HashMap<(String, Uuid), BTreeMap<u64, Option<Digest>>>,
    /// The last delta that was verified between two versions.
    verified: HashMap<(u64, u64), Verified>,
}

#[derive(Debug)]
struct Verified {
    before: Held,
    entities: Bytes,
    packed: Bytes,
    after: Held,
}

impl Archive {
    /// What a node that holds `held` holds after `delta`. An error if that is not what the control plane says.
    pub fn after(&self, held: Held, delta: &Delta) -> anyhow::Result<Held> {
        let Delta { incarnation, base, version, .. } = *delta;
        ensure!(
            incarnation == held.incarnation && base <= held.version && held.version <= version,
            "a delta from {base} to {version} of incarnation {incarnation} does not continue {held:?}"
        );
        let digest = Digest::from_slice(&delta.digest).context("a digest of another length")?;
        let mut known = self.lock();
        let verified = known.verified.get(&(held.version, version)).filter(|verified| {
            verified.before == held && verified.entities == delta.entities && verified.packed == delta.packed
        });
        let after = match verified {
            Some(verified) => verified.after,
            None => known.verify(held, delta)?,
        };
        ensure!(after.digest == digest, "a delta to version {version} leads to another digest than it says");
        Ok(after)
    }

    /// Learns the entities of a page of a snapshot; answers what they add to the digest.
    pub fn page(&self, page: &Page) -> anyhow::Result<Digest> {
        let mut known = self.lock();
        let digests = decode_batch(unpacked(page.entities.clone(), &page.packed)?)?.into_iter();
        let digests: Vec<Digest> = digests.filter_map(|state| known.learn(&state)).collect();
        Ok(digests.iter().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn verify(&mut self, held: Held, delta: &Delta) -> anyhow::Result<Held> {
        let mut after = Held { version: delta.version, ..held };
        let states = decode_batch(unpacked(delta.entities.clone(), &delta.packed)?)?;
        for state in states.iter().filter(|state| state.version > held.version) {
            let key = (state.kind.clone(), state.id);
            let before = self.states.get(&key).and_then(|states| states.range(..=held.version).next_back());
            if let Some(Some(before)) = before.map(|(_, digest)| digest) {
                after.digest.sub(before);
            }
            if let Some(now) = self.learn(state) {
                after.digest.add(&now);
            }
        }
        let (entities, packed) = (delta.entities.clone(), delta.packed.clone());
        self.verified
            .insert((held.version, after.version), Verified { before: held, entities, packed, after });
        Ok(after)
    }

    fn learn(&mut self, state: &EntityState) -> Option<Digest> {
        let digest = state.digest();
        self.states.entry((state.kind.clone(), state.id)).or_default().insert(state.version, digest);
        digest
    }
}

#[cfg(test)]
mod tests {
    use sync::encode_batch;

    use super::*;

    fn state(id: u128, version: u64, body: &'static str) -> EntityState {
        let (kind, id, deleted) = ("route".to_owned(), Uuid::from_u128(id), body.is_empty());
        EntityState { kind, id, version, body: Bytes::from_static(body.as_bytes()), deleted }
    }

    fn digest_of(states: &[EntityState]) -> Digest {
        let digests: Vec<Digest> = states.iter().filter_map(EntityState::digest).collect();
        digests.iter().collect()
    }

    fn delta(base: u64, version: u64, carried: &[EntityState], then: &[EntityState]) -> Delta {
        let digest = Bytes::copy_from_slice(digest_of(then).as_bytes());
        let entities = encode_batch(carried.to_vec());
        Delta { incarnation: 1, base, version, digest, entities, ..Delta::default() }
    }

    #[test]
    fn only_the_whole_and_right_delta_is_taken() {
        let (archive, nothing) = (Archive::default(), Held { incarnation: 1, ..Held::default() });
        let (one, two) = (state(1, 1, "a"), state(2, 2, "b"));
        let first =
            archive.after(nothing, &delta(0, 2, &[one.clone(), two.clone()], &[one.clone(), two.clone()]));
        let first = first.expect("whole");
        let (changed, gone) = (state(1, 3, "c"), state(2, 4, ""));
        let only = std::slice::from_ref(&changed);
        let right = delta(2, 4, &[changed.clone(), gone.clone()], only);
        for wrong in [
            delta(2, 4, only, only),
            delta(2, 4, &[state(1, 3, "d"), gone.clone()], only),
            delta(3, 4, &[changed.clone(), gone.clone()], only),
            Delta { incarnation: 2, ..right.clone() },
        ] {
            assert!(archive.after(first, &wrong).is_err(), "{wrong:?}");
        }
        let second = archive.after(first, &right).expect("right");
        assert_eq!((second.version, second.digest), (4, digest_of(only)));
        assert_eq!(archive.after(first, &right).expect("the same bytes again"), second);
        // Another node comes by single steps.
        let third = archive.after(first, &delta(2, 3, only, &[changed.clone(), two]));
        assert_eq!(archive.after(third.expect("right"), &delta(3, 4, &[gone], only)).expect("right"), second);
    }

    #[test]
    fn a_page_adds_what_it_carries() {
        let archive = Archive::default();
        let states = [state(1, 1, "a"), state(2, 7, "b")];
        let page = Page { entities: encode_batch(states.to_vec()), ..Page::default() };
        let digest = archive.page(&page).expect("readable");
        assert_eq!(digest, digest_of(&states));
        let held = Held { incarnation: 1, version: 7, digest };
        let gone = state(2, 8, "");
        archive.after(held, &delta(7, 8, &[gone], &states[..1])).expect("known from the page");
    }
}
