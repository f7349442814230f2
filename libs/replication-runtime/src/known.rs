//! What the regions have announced: how far each has applied every log. The exchange writes it; it is read to know what is missing
//! here, where it can be had, and how far another region is.
//!
//! An announced position is kept, however old: it stays true while a link is cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ids::{Region, ServiceName};
use proto::replication::v1 as wire;
use replication::{
    ORIGINS_MAX, Origin, Position, Signature, Tip, Vector, signature_from_wire, signature_to_wire,
};
use tokio::{sync::watch, time::Instant};

use crate::trust::NotBelieved;

/// A region counts as reachable for so long after it was last heard: four exchanges.
pub const HEARD_RECENTLY: Duration = Duration::from_secs(1);

/// What a region says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The end of each log of this service, as far as it is applied there.
    pub held: BTreeMap<Origin, Tip>,
    /// The origins' signatures of these ends.
    pub signatures: BTreeMap<Origin, Signature>,
    /// Logs of which it told something that it did not prove. They are missing in [`Told::held`].
    pub not_believed: NotBelieved,
    /// Newest generation of entries that it can read.
    pub generation: u32,
    /// Its own log takes no writes now: it may have lost its end.
    pub fenced: bool,
}

/// Its message cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of the region cannot be used: {0}")]
pub struct Unusable(pub &'static str);

impl Told {
    /// What `state` says of `service`'s logs.
    pub fn from_wire(state: &wire::State, service: ServiceName) -> Result<Self, Unusable> {
        if state.held.len() > ORIGINS_MAX {
            return Err(Unusable("too many logs"));
        }
        let (mut held, mut signatures) = (BTreeMap::new(), BTreeMap::new());
        for entry in &state.held {
            let origin: Origin = entry.origin.parse().map_err(|_| Unusable("origin"))?;
            if origin.service() != service {
                return Err(Unusable("a log of another service"));
            }
            let hash = entry.hash.as_ref().try_into().map_err(|_| Unusable("hash"))?;
            if let Some(signature) =
                signature_from_wire(&entry.signature).map_err(|_| Unusable("signature"))?
            {
                signatures.insert(origin.clone(), signature);
            }
            held.insert(origin, Tip { position: Position { epoch: entry.epoch, seq: entry.seq }, hash });
        }
        let (generation, fenced) = (state.generation, state.fenced);
        Ok(Self { held, signatures, generation, fenced, ..Self::default() })
    }

    /// The message that announces this to another region. `region` is this region; `digests` are those of the
    /// organizations whose turn it is.
    pub fn to_wire(&self, region: &Region, digests: Vec<wire::OrganizationDigest>) -> wire::State {
        let held = |(origin, tip): (&Origin, &Tip)| wire::Held {
            origin: origin.to_string(),
            epoch: tip.position.epoch,
            seq: tip.position.seq,
            hash: tip.hash.to_vec().into(),
            signature: signature_to_wire(self.signatures.get(origin)),
        };
        wire::State {
            region: region.to_string(),
            held: self.held.iter().map(held).collect(),
            digests,
            generation: self.generation,
            fenced: self.fenced,
        }
    }

    /// The positions of [`Told::held`], without the hashes.
    pub fn vector(&self) -> Vector {
        self.held.iter().map(|(origin, tip)| (origin.clone(), tip.position)).collect()
    }
}

/// What a region answered while this region's own log was fenced: from then on it applies nothing of that log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it was asked.
    pub asked_at: Instant,
    /// The end of each log, as far as it is applied there.
    pub held: BTreeMap<Origin, Tip>,
}

/// What is remembered of one region.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When it was last heard.
    pub at: Instant,
    /// What it said then.
    pub told: Told,
    /// The last answer to a question that was asked while this region's own log was fenced.
    pub while_fenced: Option<Answer>,
    /// Since when it has been behind the furthest position known of a log.
    behind: BTreeMap<Origin, Instant>,
}

/// How far a region is behind in one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The log in which it is behind.
    pub origin: Origin,
    /// How many entries of it are missing there.
    pub entries: u64,
    /// How long it has been behind, without having caught up once.
    pub lasting: Duration,
}

/// Memory of all regions, this region's included. Cheap to clone.
#[derive(Clone)]
pub struct Known(watch::Sender<BTreeMap<Region, Heard>>);

impl Known {
    /// No region was heard yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }

    /// `region` tells what it holds.
    pub fn heard(&self, region: &Region, told: Told, now: Instant) {
        self.note(region, told, None, now);
    }

    /// `region` answers what it holds to a question that was asked at `asked_at`, while this region's log was fenced.
    pub fn answered_while_fenced(&self, region: &Region, told: Told, asked_at: Instant, now: Instant) {
        let answer = Answer { asked_at, held: told.held.clone() };
        self.note(region, told, Some(answer), now);
    }

    fn note(&self, region: &Region, told: Told, answer: Option<Answer>, now: Instant) {
        self.0.send_modify(|regions| {
            let before = regions.remove(region);
            let while_fenced = answer.or(before.as_ref().and_then(|heard| heard.while_fenced.clone()));
            let behind = before.map(|heard| heard.behind).unwrap_or_default();
            regions.insert(region.clone(), Heard { at: now, told, while_fenced, behind });
            mark_behind(regions, now);
        });
    }

    /// Wakes when any region was heard.
    pub fn changes(&self) -> watch::Receiver<BTreeMap<Region, Heard>> {
        self.0.subscribe()
    }

    /// What is remembered of `region`.
    pub fn of(&self, region: &Region) -> Option<Heard> {
        self.0.borrow().get(region).cloned()
    }

    /// The furthest position of each log that any region has announced.
    pub fn tips(&self) -> Vector {
        tips(&self.0.borrow())
    }

    /// Logs whose own region says that they may have lost their end.
    pub fn fenced(&self, service: ServiceName) -> BTreeSet<Origin> {
        let regions = self.0.borrow();
        let fenced = regions.iter().filter(|(_, heard)| heard.told.fenced);
        fenced.map(|(region, _)| Origin::new(service, region)).collect()
    }

    /// Whether any region, this one included, has told that the log of `origin` ends with this very entry there.
    pub fn has_tip(&self, origin: &Origin, tip: &Tip) -> bool {
        self.0.borrow().values().any(|heard| heard.told.held.get(origin) == Some(tip))
    }

    /// How much of `origin` each region holds, and how long ago it said so.
    pub fn holders(&self, origin: &Origin, now: Instant) -> Vec<(Region, u64, Duration)> {
        let regions = self.0.borrow();
        let holder = |(region, heard): (&Region, &Heard)| {
            let tip = heard.told.held.get(origin)?;
            Some((region.clone(), tip.position.seq, now.saturating_duration_since(heard.at)))
        };
        regions.iter().filter_map(holder).collect()
    }

    /// In which logs `region` is behind the furthest position known.
    pub fn lag(&self, region: &Region, now: Instant) -> Vec<Lag> {
        let regions = self.0.borrow();
        let Some(heard) = regions.get(region) else { return Vec::new() };
        let tips = tips(&regions);
        let lag = |(origin, since): (&Origin, &Instant)| {
            let held = heard.told.held.get(origin).map_or(0, |tip| tip.position.seq);
            let entries = tips.get(origin)?.seq.checked_sub(held).filter(|entries| *entries > 0)?;
            let lasting = now.saturating_duration_since(*since);
            Some(Lag { origin: origin.clone(), entries, lasting })
        };
        heard.behind.iter().filter_map(lag).collect()
    }
}

fn tips(regions: &BTreeMap<Region, Heard>) -> Vector {
    let mut tips = Vector::default();
    for heard in regions.values() {
        tips.merge(&heard.told.vector());
    }
    tips
}

fn mark_behind(regions: &mut BTreeMap<Region, Heard>, now: Instant) {
    let tips = tips(regions);
    for heard in regions.values_mut() {
        let missing = heard.told.vector().missing(&tips);
        heard.behind.retain(|origin, _| missing.get(origin).is_some());
        for (origin, _) in &missing {
            heard.behind.entry(origin.clone()).or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;

    fn told(entries: &[(&str, u32, u64)]) -> Told {
        let tip = |&(name, epoch, seq): &(&str, u32, u64)| {
            (origin(name), Tip { position: Position { epoch, seq }, hash: [9; 32] })
        };
        Told { held: entries.iter().map(tip).collect(), generation: 2, ..Told::default() }
    }

    fn region(name: &str) -> Region {
        name.parse().expect("a region")
    }

    #[test]
    fn a_state_survives_the_wire_and_foreign_logs_are_refused() {
        let state = told(&[("authz.us", 1, 4), ("authz.eu", 2, 9)]).to_wire(&region("us"), Vec::new());
        let read = Told::from_wire(&state, ServiceName::Authz).expect("readable");
        assert_eq!(read, told(&[("authz.us", 1, 4), ("authz.eu", 2, 9)]));
        assert!(Told::from_wire(&state, ServiceName::Identity).is_err());
        let mut garbled = state;
        garbled.held[0].hash = vec![1].into();
        assert_eq!(Told::from_wire(&garbled, ServiceName::Authz), Err(Unusable("hash")));
    }

    #[test]
    fn the_furthest_position_is_remembered_of_regions_that_have_gone_silent() {
        let (known, start) = (Known::new(), Instant::now());
        known.heard(&region("eu"), told(&[("authz.us", 1, 9)]), start);
        known.heard(&region("ap"), told(&[("authz.us", 1, 7), ("authz.ap", 1, 2)]), start);
        let tips = known.tips();
        assert_eq!(tips.get(&origin("authz.us")).map(|position| position.seq), Some(9));
        assert_eq!(tips.get(&origin("authz.ap")).map(|position| position.seq), Some(2));
        let later = start + Duration::from_secs(60);
        let holders = known.holders(&origin("authz.us"), later);
        assert_eq!(holders.iter().map(|(_, seq, _)| *seq).collect::<Vec<_>>(), [7, 9]);
        assert!(holders.iter().all(|(_, _, ago)| *ago > HEARD_RECENTLY));
    }

    #[test]
    fn lag_lasts_from_falling_behind_to_catching_up() {
        let (known, start) = (Known::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (us, eu) = (region("us"), region("eu"));
        known.heard(&us, told(&[("authz.us", 1, 5)]), at(0));
        known.heard(&eu, told(&[("authz.us", 1, 5)]), at(0));
        assert_eq!(known.lag(&eu, at(1)), []);
        known.heard(&us, told(&[("authz.us", 1, 8)]), at(2));
        known.heard(&eu, told(&[("authz.us", 1, 6)]), at(3));
        let lag = known.lag(&eu, at(4));
        assert_eq!(lag.len(), 1);
        assert_eq!((lag[0].entries, lag[0].lasting), (2, Duration::from_secs(2)));
        assert_eq!(known.lag(&us, at(4)), []);
        known.heard(&eu, told(&[("authz.us", 1, 8)]), at(5));
        assert_eq!(known.lag(&eu, at(6)), []);
    }

    #[test]
    fn an_answer_given_while_fenced_is_kept_until_a_newer_one() {
        let (known, start) = (Known::new(), Instant::now());
        let eu = region("eu");
        let held = |seq| told(&[("authz.us", 1, seq)]).held;
        known.answered_while_fenced(&eu, told(&[("authz.us", 1, 9)]), start, start);
        known.heard(&eu, told(&[("authz.us", 1, 11)]), start + Duration::from_secs(1));
        let kept = known.of(&eu).and_then(|heard| heard.while_fenced);
        assert_eq!(kept, Some(Answer { asked_at: start, held: held(9) }));
        let later = start + Duration::from_secs(2);
        known.answered_while_fenced(&eu, told(&[("authz.us", 1, 12)]), later, later);
        let kept = known.of(&eu).and_then(|heard| heard.while_fenced);
        assert_eq!(kept, Some(Answer { asked_at: later, held: held(12) }));
    }
}
