//! Which endpoint gets the next request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    endpoint::Endpoint,
    health::Rules,
    latency::nanoseconds,
    schedule::schedule,
    table::{Candidate, Table},
};

/// How many turns of members that take no request are passed over. Where it is more, hardly any member takes requests, and one of those that
/// do is drawn: a request costs no more when nearly all are down.
const PASSED_TURNS_MAX: usize = 64;
/// How long nobody looks for a member that may be tried, at most, after one has looked in vain.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How requests are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// One endpoint after the other, by weight.
    #[default]
    RoundRobin,
    /// The endpoint with the fewest requests in flight, by weight. Those that have as few take turns.
    LeastConnections,
    /// The same endpoint for the same key. Requests without a key take turns.
    Hashing,
    /// Of two that are drawn, the one that answers faster and has fewer requests in flight.
    Latency,
}

/// How a balancer works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How requests are spread.
    pub policy: Policy,
    /// Slots of the table for [`Policy::Hashing`], and about the longest round.
    pub slots: usize,
    /// Least share of the weight that must be up, in percent. If less is, no endpoint takes requests.
    pub threshold: f64,
    /// Over how long an endpoint that has come or recovered gets more and more of its share; zero: it gets it at once.
    pub slow_start: Duration,
    /// How endpoints go up and down.
    pub rules: Rules,
}

/// An endpoint in a balancer.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// What it is told from others by in the balancer: a hash of its name.
    pub key: u64,
    /// Its share of the requests; 0: none.
    pub weight: u32,
    /// Members of a tier get requests when no member of an earlier one can.
    pub tier: u16,
}

/// A request that an endpoint is asked for.
pub struct Draw<'a> {
    /// The time.
    pub now: Duration,
    /// The hash of the request's key; `None`: it has none.
    pub key: Option<u64>,
    /// The members that this request was sent to already. It goes to none of them again.
    pub tried: &'a [usize],
    /// Draws a number, evenly spread over all of `u64`.
    pub random: &'a dyn Fn() -> u64,
}

/// What was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The member, by its place.
    pub member: usize,
    /// Whether it is down, and this request tries it.
    pub is_trial: bool,
}

/// A choice among endpoints. Immutable, but for what is counted.
#[derive(Debug)]
pub struct Balancer {
    settings: Settings,
    members: Vec<Member>,
    tiers: Vec<Tier>,
    /// Whether some member is down, and whether too many are.
    some_down: AtomicBool,
    too_few_up: AtomicBool,
    /// When it is worth to look for a member that may be tried, in nanoseconds.
    look_at: AtomicU64,
}

/// The members that are asked together.
#[derive(Debug)]
struct Tier {
    number: u16,
    members: Vec<usize>,
    /// How many turns were taken. Shared with the balancers before and after.
    turn: Arc<AtomicUsize>,
    /// As places in `members`, as is the table.
    turns: Vec<u32>,
    table: Option<Table>,
}

impl Balancer {
    /// A balancer of `members`, which goes on where `before` is.
    pub fn new(settings: Settings, members: Vec<Member>, before: Option<&Balancer>) -> Self {
        let mut numbers: Vec<u16> = members.iter().map(|member| member.tier).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let tiers = numbers.into_iter().map(|number| {
            let before = before.and_then(|before| before.tiers.iter().find(|tier| tier.number == number));
            let places: Vec<usize> = (0..members.len())
                .filter(|place| members.get(*place).is_some_and(|member| member.tier == number))
                .collect();
            let of_tier = || places.iter().filter_map(|place| members.get(*place));
            let weights: Vec<u32> = of_tier().map(|member| member.weight).collect();
            let table = (settings.policy == Policy::Hashing).then(|| {
                let before = before.and_then(|before| before.table.as_ref());
                let candidate = |member: &Member| Candidate { key: member.key, weight: member.weight };
                Table::new(settings.slots, of_tier().map(candidate).collect(), before)
            });
            let turn = before.map(|before| before.turn.clone()).unwrap_or_default();
            Tier { number, turns: schedule(&weights, settings.slots), members: places, turn, table }
        });
        let balancer = Self {
            tiers: tiers.collect(),
            settings,
            members,
            some_down: AtomicBool::new(false),
            too_few_up: AtomicBool::new(false),
            look_at: AtomicU64::new(0),
        };
        balancer.settle();
        balancer
    }

    /// How it works.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its endpoints.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Counts anew which members are up. To be called when one has gone up or down, and when one was tried.
    pub fn settle(&self) {
        let weight = |up: bool| -> u64 {
            let members = self.members.iter().filter(|member| !up || member.endpoint.health().is_up());
            members.map(|member| u64::from(member.weight)).sum()
        };
        let (all, up) = (weight(false), weight(true));
        self.some_down.store(self.members.iter().any(|member| !member.endpoint.health().is_up()), Relaxed);
        self.too_few_up.store(up == 0 || (up as f64) * 100.0 < self.settings.threshold * all as f64, Relaxed);
        self.look_at.store(0, Relaxed);
    }

    /// The member for a request; `None`: none takes it.
    pub fn pick(&self, draw: &Draw<'_>) -> Option<Pick> {
        if self.some_down.load(Relaxed) {
            if draw.tried.is_empty()
                && let Some(member) = self.trial(draw)
            {
                return Some(Pick { member, is_trial: true });
            }
            if self.too_few_up.load(Relaxed) {
                return None;
            }
        }
        let member = self.tiers.iter().find_map(|tier| self.of_tier(tier, draw))?;
        Some(Pick { member, is_trial: false })
    }

    /// A member that is down and may be tried. A request with a key tries none but the one that it belongs to.
    fn trial(&self, draw: &Draw<'_>) -> Option<usize> {
        let takes = |place: &usize| {
            let member = self.members.get(*place)?;
            (member.weight > 0 && member.endpoint.health().takes_trial(draw.now)).then_some(*place)
        };
        if let (Policy::Hashing, Some(key)) = (self.settings.policy, draw.key) {
            return self.tiers.iter().find_map(|tier| {
                let table = tier.table.as_ref()?;
                takes(tier.members.get(table.owner(table.slot(key))?)?)
            });
        }
        let now = nanoseconds(draw.now);
        if now < self.look_at.load(Relaxed) {
            return None;
        }
        let found = self.tiers.iter().flat_map(|tier| &tier.members).find_map(takes);
        if found.is_none() {
            let may_be = self.members.iter().filter(|member| member.weight > 0);
            let next = may_be.map(|member| member.endpoint.health().trial_at()).min();
            let latest = now.saturating_add(nanoseconds(LOOK_PAUSE));
            self.look_at.store(next.map_or(latest, |next| next.min(latest)), Relaxed);
        }
        found
    }

    fn of_tier(&self, tier: &Tier, draw: &Draw<'_>) -> Option<usize> {
        match (self.settings.policy, &tier.table, draw.key) {
            (Policy::Hashing, Some(table), Some(key)) => self.by_key(tier, table, key, draw),
            (Policy::RoundRobin | Policy::Hashing, ..) => self.in_turn(tier, draw),
            (Policy::LeastConnections, ..) => {
                let least = |member: &Member| {
                    (member.endpoint.in_flight() as f64 + 1.0) / self.weight_now(member, draw.now)
                };
                self.least(tier, draw, least)
            }
            (Policy::Latency, ..) => self.faster_of_two(tier, draw),
        }
    }

    /// The member at a place of a tier, if it takes this request.
    fn takes(&self, tier: &Tier, at: usize, draw: &Draw<'_>) -> Option<(usize, &Member)> {
        let place = *tier.members.get(at)?;
        let member = self.members.get(place)?;
        let takes = member.weight > 0 && member.endpoint.health().is_up() && !draw.tried.contains(&place);
        takes.then_some((place, member))
    }

    /// Whether a member takes this request in spite of its slow start.
    fn is_warm(&self, member: &Member, draw: &Draw<'_>) -> bool {
        let share = member.endpoint.share(draw.now, self.settings.slow_start);
        share >= 1.0 || (draw.random)() as f64 / u64::MAX as f64 <= share
    }

    fn weight_now(&self, member: &Member, now: Duration) -> f64 {
        f64::from(member.weight) * member.endpoint.share(now, self.settings.slow_start)
    }

    /// The turns of members that do not take the request are used up. So the others keep the shares that they have among each other.
    fn in_turn(&self, tier: &Tier, draw: &Draw<'_>) -> Option<usize> {
        let mut cold = None;
        for _ in 0..tier.turns.len().min(PASSED_TURNS_MAX) {
            let turn = tier.turn.fetch_add(1, Relaxed).checked_rem(tier.turns.len())?;
            let at = *tier.turns.get(turn)? as usize;
            let Some((place, member)) = self.takes(tier, at, draw) else { continue };
            if self.is_warm(member, draw) {
                return Some(place);
            }
            cold.get_or_insert(place);
        }
        // Other threads may have had the turns of the only one that takes it.
        cold.or_else(|| self.drawn_by_weight(tier, draw))
    }

    fn drawn_by_weight(&self, tier: &Tier, draw: &Draw<'_>) -> Option<usize> {
        let takes = || (0..tier.members.len()).filter_map(|at| self.takes(tier, at, draw));
        let total: u64 = takes().map(|(_, member)| u64::from(member.weight)).sum();
        let mut left = ((u128::from((draw.random)()) * u128::from(total)) >> 64) as u64;
        let mut last = None;
        for (place, member) in takes() {
            last = Some(place);
            match left.checked_sub(u64::from(member.weight)) {
                Some(less) => left = less,
                None => break,
            }
        }
        last
    }

    fn by_key(&self, tier: &Tier, table: &Table, key: u64, draw: &Draw<'_>) -> Option<usize> {
        let slot = table.slot(key);
        let takes = |at: usize| self.takes(tier, at, draw);
        if let Some((place, member)) = takes(table.owner(slot)?)
            && self.is_warm(member, draw)
        {
            return Some(place);
        }
        let warm = |at| takes(at).is_some_and(|(_, member)| self.is_warm(member, draw));
        let next =
            table.owner_among(slot, warm).or_else(|| table.owner_among(slot, |at| takes(at).is_some()));
        takes(next?).map(|(place, _)| place)
    }

    /// The one with the least cost. Those that cost as little take turns.
    fn least(&self, tier: &Tier, draw: &Draw<'_>, cost: impl Fn(&Member) -> f64) -> Option<usize> {
        let costs = || {
            let takes = (0..tier.members.len()).filter_map(|at| self.takes(tier, at, draw));
            takes.map(|(place, member)| (place, cost(member)))
        };
        let mut best: Option<(usize, f64)> = None;
        let mut equals = 0;
        for (place, cost) in costs() {
            match best {
                Some((_, least)) if cost > least => continue,
                Some((_, least)) if cost == least => equals += 1,
                _ => (best, equals) = (Some((place, cost)), 1),
            }
        }
        let (place, least) = best?;
        if equals == 1 {
            return Some(place);
        }
        let turn = tier.turn.fetch_add(1, Relaxed).checked_rem(equals)?;
        // Other threads change the costs meanwhile.
        costs().filter(|(_, cost)| *cost <= least).nth(turn).map_or(Some(place), |(place, _)| Some(place))
    }

    fn faster_of_two(&self, tier: &Tier, draw: &Draw<'_>) -> Option<usize> {
        let cost = |member: &Member| member.endpoint.cost(draw.now) / self.weight_now(member, draw.now);
        let drawn = |among: usize| ((u128::from((draw.random)()) * among as u128) >> 64) as usize;
        let count = tier.members.len();
        let one = drawn(count);
        let other = if count > 1 { (one + 1 + drawn(count - 1)) % count } else { one };
        match (self.takes(tier, one, draw), self.takes(tier, other, draw)) {
            (Some((place, one)), Some((other_place, other))) => {
                Some(if cost(other) < cost(one) { other_place } else { place })
            }
            // One that is drawn does not take it: the best of all, since it may be the only one.
            _ => self.least(tier, draw, cost),
        }
    }
}

#[cfg(test)]
mod tests;
