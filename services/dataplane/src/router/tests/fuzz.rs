//! The router and the matcher that tries every route find the same, whatever the routes, the requests, and the changes of the routes.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{
    super::{Node, OrdMap, Router},
    naive::{Configured, Naive},
    sample, *,
};

/// Routes of the large test, and how often it asks for one.
const ROUTES: usize = 10_000;
const LOOKUPS: usize = 1000;
/// One of them takes as long as so many cases of other tests.
const LOOKUP_CASES: usize = 50;
/// How likely a route asks for hosts, where routes are many and where they are few: of those that do, each request meets some.
const ASKS_HOST_OF_MANY: f64 = 0.97;
const ASKS_HOST_OF_FEW: f64 = 0.7;
/// Changes of single routes, and how often one is asked for after each.
const CHANGES: usize = 100;
const LOOKUPS_AFTER_CHANGE: usize = 2;
/// Histories of few routes, and changes in each.
const HISTORIES: usize = 60;
const HISTORY_CHANGES: usize = 50;

/// The same routes in the router, in the naive matcher, and as they are configured.
struct Both {
    asks_host: f64,
    router: Router,
    naive: Naive,
    configured: BTreeMap<Uuid, Configured>,
}

impl Both {
    fn new(asks_host: f64) -> Self {
        let (router, naive, configured) = Default::default();
        Self { asks_host, router, naive, configured }
    }

    fn insert(&mut self, route: Configured) {
        self.router = self.router.with(route.rule());
        self.naive.insert(&route);
        self.configured.insert(route.id, route);
    }

    fn remove(&mut self, id: Uuid) {
        self.router = self.router.without(id);
        self.naive.remove(id);
        self.configured.remove(&id);
    }

    fn any_id(&self, random: &mut StdRng) -> Option<Uuid> {
        let from = Uuid::from_u128(random.random());
        let mut behind = self.configured.range(from..).chain(&self.configured);
        behind.next().map(|(id, _)| *id)
    }

    /// Asks both for a request that is like one of the routes. Returns the route that is found.
    fn compare(&self, random: &mut StdRng) -> Option<Uuid> {
        let like = self.any_id(random).map(|id| self.configured[&id].clone()).unwrap_or_default();
        let asked = sample::request(random, &like);
        let (found, due) = (self.router.find(&asked.lookup()), self.naive.find(&asked.lookup()));
        let shown = |found: Option<Match>| found.map(|found| (found, &self.configured[&found.route]));
        assert_eq!(found, due, "{asked:#?}\nrouter: {:#?}\nnaive: {:#?}", shown(found), shown(due));
        found.map(|found| found.route)
    }

    /// The router of the same routes, which came at once and in another order.
    fn rebuilt(&self, random: &mut StdRng) -> Router {
        let mut routes: Vec<_> = self.configured.values().collect();
        routes.shuffle(random);
        let mut router = Router::default();
        routes.iter().for_each(|route| router.insert(route.rule()));
        router
    }

    fn change(&mut self, random: &mut StdRng, new: Uuid) {
        let old = self.any_id(random);
        match (random.random_range(0..3), old) {
            (0, Some(id)) => self.remove(id),
            (1, Some(id)) => self.insert(sample::route(random, id, self.asks_host)),
            _ => self.insert(sample::route(random, new, self.asks_host)),
        }
    }
}

/// Ids as they occur: by time, many of one millisecond, or chosen by a client.
fn id(random: &mut StdRng, number: usize) -> Uuid {
    match random.random_bool(0.5) {
        true => Uuid::from_u128((number as u128 / 100) << 80 | 7 << 76 | u128::from(random.random::<u64>())),
        false => Uuid::from_u128(random.random()),
    }
}

/// A text of a router's whole structure.
fn shape(router: &Router) -> String {
    let map = |map: &OrdMap<String, Arc<Node>>| {
        map.iter().map(|(key, root)| (key.clone(), root.shape())).collect::<BTreeMap<_, _>>()
    };
    let (exact, leading, trailing) = (map(&router.exact), map(&router.leading), map(&router.trailing));
    format!("{exact:?}{leading:?}{trailing:?}{}", router.any.shape())
}

#[test]
fn among_10_000_routes_the_same_one_is_found() {
    let mut random = fuzzing::random();
    let mut both = Both::new(ASKS_HOST_OF_MANY);
    for number in 0..ROUTES {
        let id = id(&mut random, number);
        both.insert(sample::route(&mut random, id, ASKS_HOST_OF_MANY));
    }
    let lookups = fuzzing::cases(LOOKUPS * LOOKUP_CASES) / LOOKUP_CASES;
    let found: BTreeSet<_> = (0..lookups).map(|_| both.compare(&mut random)).collect();
    assert!(found.len() * 5 > lookups.min(ROUTES), "{lookups} requests found only {} routes", found.len());

    let (held, before) = (both.router.clone(), shape(&both.router));
    for number in 0..CHANGES {
        let new = id(&mut random, ROUTES + number);
        both.change(&mut random, new);
        for _ in 0..LOOKUPS_AFTER_CHANGE {
            both.compare(&mut random);
        }
    }
    assert!(shape(&both.router) == shape(&both.rebuilt(&mut random)), "not what is built anew");
    assert!(shape(&held) == before, "a reader's router changed");
}

/// Few routes, so that a route often is the last one of its host or path.
#[test]
fn any_history_ends_in_what_is_built_anew() {
    let mut random = fuzzing::random();
    for _ in 0..HISTORIES {
        let mut both = Both::new(ASKS_HOST_OF_FEW);
        for number in 0..HISTORY_CHANGES {
            let new = id(&mut random, number);
            both.change(&mut random, new);
            for _ in 0..20 {
                both.compare(&mut random);
            }
        }
        assert_eq!(both.router.len(), both.configured.len());
        assert_eq!(shape(&both.router), shape(&both.rebuilt(&mut random)));
        while let Some(id) = both.any_id(&mut random) {
            both.remove(id);
        }
        assert_eq!(shape(&both.router), shape(&Router::default()));
    }
}
