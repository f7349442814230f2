//! Histories made from a seed, each applied in several orders, with repetitions and early denials.

use std::collections::BTreeSet;

use authz::operation::{HolderId, Kind, Operation, TeamPut, assignment_id, membership_id};
use ids::{AssignmentId, OrganizationId, PrincipalId, Region, TeamId, TokenId};
use policy::{AssignedRole, Role, Scope};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use uuid::Uuid;

use super::{
    history::{History, US},
    replay::Replay,
};
use crate::support::{database, region};

/// Histories of one run.
const HISTORIES: u64 = 8;
/// Orders in which each of them is applied.
const ORDERS: usize = 3;
/// Environment variable with the seed of one history, to see it again.
const SEED: &str = "AUTHZ_HISTORY_SEED";

const PRINCIPALS: u128 = 3;
const TEAMS: u128 = 2;
const SESSIONS: u128 = 3;
const ROLES: usize = 3;

fn principal(number: u128) -> PrincipalId {
    PrincipalId::from_uuid(Uuid::from_u128(0x100 + number))
}

fn team(number: u128) -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(0x200 + number))
}

/// A session that only `region` revokes and forgets.
fn session(region: usize, number: u128) -> TokenId {
    TokenId::from_uuid(Uuid::from_u128(0x300 + SESSIONS * region as u128 + number))
}

fn role(number: usize) -> AssignedRole {
    let scopes = [Scope::AllRegions, Scope::Region(region("eu")), Scope::Region(region("us"))];
    AssignedRole::new(Role::ControlPlaneViewer, &scopes[number])
}

fn kind(id: PrincipalId) -> Kind {
    if id == principal(0) { Kind::User } else { Kind::SystemAccount }
}

/// Makes up operations. What can be made depends on what was made before.
struct Maker {
    rng: StdRng,
    organization: OrganizationId,
    /// Sessions that were revoked and not forgotten since.
    revoked: BTreeSet<(usize, TokenId)>,
}

impl Maker {
    fn principal(&mut self) -> PrincipalId {
        principal(self.rng.random_range(0..PRINCIPALS))
    }

    fn team(&mut self) -> TeamId {
        team(self.rng.random_range(0..TEAMS))
    }

    fn holder(&mut self) -> HolderId {
        if self.rng.random_bool(0.5) {
            HolderId::Team(self.team())
        } else {
            HolderId::Principal(self.principal())
        }
    }

    fn role(&mut self) -> AssignedRole {
        role(self.rng.random_range(0..ROLES))
    }

    fn assignment(&mut self) -> AssignmentId {
        let (holder, role) = (self.holder(), self.role());
        assignment_id(self.organization, holder.into(), &role)
    }

    /// Writers here need not be honest: they use authority that they do not have.
    fn authority(&mut self) -> Vec<Uuid> {
        let count = self.rng.random_range(0..4);
        (0..count)
            .map(|_| match self.rng.random_range(0..6) {
                0 | 1 => self.assignment().uuid(),
                2 | 3 => membership_id(self.organization, self.team(), self.principal()),
                4 => self.principal().uuid(),
                _ => {
                    let (of, number) = (self.rng.random_range(0..3), self.rng.random_range(0..SESSIONS));
                    session(of, number).uuid()
                }
            })
            .collect()
    }

    fn operation(&mut self, writer: usize) -> Operation {
        if writer == US && self.rng.random_bool(0.35) {
            return self.record();
        }
        match self.rng.random_range(0..20) {
            0..7 => Operation::MemberAdded { team_id: self.team(), principal_id: self.principal() },
            7..10 => Operation::MemberRemoved { team_id: self.team(), principal_id: self.principal() },
            10..15 => Operation::AssignmentPut { holder: self.holder(), role: self.role() },
            15..18 => Operation::AssignmentRemoved { id: self.assignment() },
            _ => self.session(writer),
        }
    }

    fn session(&mut self, writer: usize) -> Operation {
        let id = session(writer, self.rng.random_range(0..SESSIONS));
        if self.revoked.remove(&(writer, id)) {
            return Operation::SessionForgotten { id };
        }
        self.revoked.insert((writer, id));
        Operation::SessionRevoked { id, expires_at: 1_000 + id.uuid().as_u128() as i64 }
    }

    /// Records are written in the home region alone.
    fn record(&mut self) -> Operation {
        match self.rng.random_range(0..20) {
            0..2 => {
                let home_region: Region = region(["us", "eu"].choose(&mut self.rng).expect("one"));
                Operation::OrganizationPut { suspended: self.rng.random_bool(0.3), home_region }
            }
            2..12 => {
                let id = self.principal();
                let not_before = self.rng.random_bool(0.3).then(|| self.rng.random_range(1..9));
                Operation::PrincipalPut { id, kind: kind(id), active: self.rng.random_bool(0.6), not_before }
            }
            12..18 => {
                let name = format!("n{}", self.rng.random_range(0..3));
                let description = format!("d{}", self.rng.random_range(0..3));
                let id = self.team();
                Operation::TeamPut(TeamPut {
                    id,
                    name,
                    description: self.rng.random_bool(0.7).then_some(description),
                    predefined: id == team(0),
                    labels: (0..self.rng.random_range(0..3))
                        .map(|n| (format!("k{n}"), format!("v{n}")))
                        .collect(),
                })
            }
            18 => Operation::PrincipalRemoved { id: self.principal() },
            _ => Operation::TeamRemoved { id: self.team() },
        }
    }
}

fn history(seed: u64) -> (History, StdRng) {
    let mut history = History::default();
    let rng = StdRng::seed_from_u64(seed);
    let mut maker = Maker { rng, organization: history.organization, revoked: BTreeSet::new() };
    let length = maker.rng.random_range(8..36);
    while history.made.len() < length {
        let (writer, other) = (maker.rng.random_range(0..3), maker.rng.random_range(0..3));
        if maker.rng.random_bool(0.5) {
            let heard = history.states[other].choose(&mut maker.rng).cloned().unwrap_or_default();
            history.hear(writer, &heard);
        }
        let authority = maker.authority();
        if maker.rng.random_bool(0.06) {
            let seen = history.states[writer].choose(&mut maker.rng).cloned().unwrap_or_default();
            let count = maker.rng.random_range(1..3);
            let operations: Vec<_> =
                (0..count).map(|_| (authority.clone(), maker.operation(writer))).collect();
            history.write_restored(writer, seen, operations);
        } else {
            let operation = maker.operation(writer);
            history.write(writer, &authority, operation);
        }
    }
    (history, maker.rng)
}

/// Applies everything in a causal order made up by `rng`.
async fn replay(replay: &mut Replay<'_>, rng: &mut StdRng) {
    while let Some(place) = replay.next().choose(rng).copied() {
        if rng.random_bool(0.2)
            && let Some(early) = replay.coming_revocations().choose(rng)
        {
            replay.deny(*early).await;
        }
        replay.apply(place).await;
        if rng.random_bool(0.1) {
            replay.repeat(place).await;
        }
    }
}

#[tokio::test]
async fn every_order_ends_with_the_rows_the_digest_and_the_index_of_the_definition() {
    let database = database().await;
    let again = std::env::var(SEED).ok().map(|seed| seed.parse().expect("a seed is a number"));
    let first: u64 =
        again.unwrap_or_else(|| u64::from_le_bytes(Uuid::new_v4().as_bytes()[..8].try_into().expect("8")));
    let count = if again.is_some() { 1 } else { HISTORIES };
    for seed in (0..count).map(|number| first.wrapping_add(number)) {
        println!("to see this history again: {SEED}={seed}");
        let (history, mut rng) = history(seed);
        let mut ends = BTreeSet::new();
        for _ in 0..ORDERS {
            let mut one = Replay::new(&history, &database.pool()).await;
            replay(&mut one, &mut rng).await;
            ends.insert(one.rows().await);
        }
        assert_eq!(ends.len(), 1, "the order made a difference");
    }
}
