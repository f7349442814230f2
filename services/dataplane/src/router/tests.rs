//! The router against a matcher that tries every rule, on seeded random rules and requests.

use std::{collections::BTreeMap, time::Instant};

use gateway_model::{PathRegex, path_regex::InvalidPattern};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    host::{self, HostName, HostPattern},
    path,
    rule::Rank,
    *,
};

fn compile(pattern: &str) -> Result<Arc<PathRegex>, InvalidPattern> {
    PathRegex::compile(pattern).map(Arc::new)
}

/// Tries every rule, host and path. Knows nothing of tries or buckets.
fn naive(rules: &BTreeMap<Uuid, Arc<Rule>>, request: &Lookup<'_>) -> Option<Match> {
    let mut best: Option<(Rank, Match)> = None;
    for rule in rules.values().filter(|rule| rule.accepts(request)) {
        let hosts: Vec<Option<&HostPattern>> = match rule.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().filter(|host| naive_host(host, request)).map(Some).collect(),
        };
        let paths: Vec<(Option<usize>, usize)> = match rule.paths.as_slice() {
            [] => vec![(None, 0)],
            paths => {
                let matched = paths.iter().map(|path| path.matched_len(request.path)).enumerate();
                matched.filter_map(|(index, len)| Some((Some(index), len?))).collect()
            }
        };
        for host in &hosts {
            for (path, prefix_len) in &paths {
                let rank = rule.rank(*host, *path);
                if best.as_ref().is_none_or(|(held, _)| rank > *held) {
                    best = Some((rank, Match { route: rule.id, prefix_len: *prefix_len }));
                }
            }
        }
    }
    best.map(|(_, found)| found)
}

fn naive_host(pattern: &HostPattern, request: &Lookup<'_>) -> bool {
    if pattern.port.is_some_and(|port| port != request.port) {
        return false;
    }
    match &pattern.name {
        HostName::Exact(exact) => exact == request.host,
        HostName::Leading(rest) => {
            request.host.strip_suffix(rest.as_str()).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
        }
        HostName::Trailing(rest) => request
            .host
            .strip_prefix(rest.as_str())
            .is_some_and(|tail| tail.len() > 1 && tail.starts_with('.')),
    }
}

const HOSTS: [&str; 12] = [
    "a.example.com:8443",
    "*.example.com:8443",
    "a.example.com",
    "b.example.com",
    "example.com",
    "*.example.com",
    "*.a.example.com",
    "*.com",
    "example.*",
    "a.example.*",
    "a.*",
    "shop.io",
];
const PATHS: [&str; 18] = [
    "/",
    "/a",
    "/ab",
    "/a/b",
    "/a/b/c",
    "/b",
    "/users",
    "/users/",
    "/users/me",
    "/us",
    "~/users/\\d+",
    "~/users/[a-z]+$",
    "~/a/.*",
    "~/(a|b)/c",
    "~(?i)/USERS",
    "~/users/?$",
    "/a/bc",
    "~/a/b?c",
];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];

fn some(rng: &mut StdRng, of: &[&str], most: usize) -> Vec<String> {
    let count = rng.random_range(0..=most);
    (0..count).filter_map(|_| of.choose(rng)).map(|text| (*text).to_owned()).collect()
}

fn random_rule(rng: &mut StdRng, id: u128) -> Arc<Rule> {
    let (hosts, paths, methods) = (some(rng, &HOSTS, 2), some(rng, &PATHS, 3), some(rng, &METHODS, 2));
    let headers = match rng.random_range(0..4) {
        0 => BTreeMap::from([("x-version".to_owned(), vec!["1".to_owned(), "2".to_owned()])]),
        _ => BTreeMap::new(),
    };
    let criteria = Criteria {
        hosts: &hosts,
        paths: &paths,
        methods: &methods,
        headers: &headers,
        snis: &[],
        accepts_https: rng.random_bool(0.9),
        regex_priority: rng.random_range(0..3),
    };
    let rule = Rule::new(Uuid::from_u128(id), criteria, &compile);
    Arc::new(rule.unwrap())
}

/// Compares router and naive matcher on `count` random requests.
fn compare(rng: &mut StdRng, router: &Router, rules: &BTreeMap<Uuid, Arc<Rule>>, count: usize) {
    let hosts = [
        "a.example.com",
        "b.example.com",
        "x.a.example.com",
        "example.com",
        "example.org",
        "a.b",
        "shop.io",
        "",
    ];
    let tails = ["", "/", "/a", "b", "/c", "users", "/users/12", "/users/me", "/me", "c", "/x"];
    let (plain, mut versioned) = (HeaderMap::new(), HeaderMap::new());
    versioned.insert("x-version", "2".parse().unwrap());
    for _ in 0..count {
        let raw = format!("/{}{}", tails.choose(rng).unwrap(), tails.choose(rng).unwrap());
        let request = Lookup {
            host: hosts.choose(rng).unwrap(),
            path: &path::normalise(&raw).unwrap(),
            method: &Method::from_bytes(METHODS.choose(rng).unwrap().as_bytes()).unwrap(),
            port: *[80, 8443].choose(rng).unwrap(),
            https: rng.random_bool(0.5),
            sni: None,
            headers: if rng.random_bool(0.5) { &plain } else { &versioned },
        };
        assert_eq!(router.find(&request), naive(rules, &request), "{request:?}\n{rules:#?}");
    }
}

fn shape(router: &Router) -> String {
    let map = |map: &HashMap<String, Arc<Node>>| {
        map.iter().map(|(key, root)| (key.clone(), root.shape())).collect::<BTreeMap<_, _>>()
    };
    format!(
        "{:?}{:?}{:?}{}",
        map(&router.exact),
        map(&router.leading),
        map(&router.trailing),
        router.any.shape()
    )
}

fn rebuilt(rules: &BTreeMap<Uuid, Arc<Rule>>) -> Router {
    let mut router = Router::default();
    rules.values().for_each(|rule| router.insert(rule.clone()));
    router
}

/// 60 histories of inserts, updates and removals; after each step the router agrees with the naive matcher, and at the end
/// it is node for node the router built from nothing. More than 60,000 comparisons.
#[test]
fn agrees_with_naive_through_any_history() {
    let seed = random::Random::system().number();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..60 {
        let (mut router, mut rules) = (Router::default(), BTreeMap::new());
        for _ in 0..50 {
            let id = rng.random_range(0..25);
            if rng.random_bool(0.3) {
                rules.remove(&Uuid::from_u128(id));
                router = router.without(Uuid::from_u128(id));
            } else {
                let rule = random_rule(&mut rng, id);
                rules.insert(rule.id, rule.clone());
                router = router.with(rule);
            }
            compare(&mut rng, &router, &rules, 20);
        }
        assert_eq!(router.len(), rules.len());
        assert_eq!(shape(&router), shape(&rebuilt(&rules)));
        for id in rules.keys() {
            router.remove(*id);
        }
        assert_eq!(shape(&router), shape(&Router::default()));
    }
}

#[test]
fn readers_keep_the_version_they_hold() {
    let mut rng = StdRng::seed_from_u64(1);
    let rules: BTreeMap<_, _> =
        (0..40).map(|id| random_rule(&mut rng, id)).map(|rule| (rule.id, rule)).collect();
    let held = rebuilt(&rules);
    let before = shape(&held);
    let mut other = held.clone();
    for id in 0..40 {
        other = other.without(Uuid::from_u128(id)).with(random_rule(&mut rng, 100 + id));
    }
    assert_eq!(shape(&held), before);
    compare(&mut rng, &held, &rules, 500);
}

/// Criteria that every request meets.
fn everything(headers: &BTreeMap<String, Vec<String>>) -> Criteria<'_> {
    Criteria {
        hosts: &[],
        paths: &[],
        methods: &[],
        headers,
        snis: &[],
        accepts_https: true,
        regex_priority: 0,
    }
}

/// Id, hosts, paths, methods, regex priority.
type Sketch<'a> = (u128, &'a [&'a str], &'a [&'a str], &'a [&'a str], u32);

/// The rule among `rules` that a GET of `raw` on `host` meets.
fn find(rules: &[Sketch<'_>], host: &str, raw: &str) -> Option<u128> {
    let (mut router, none) = (Router::default(), BTreeMap::new());
    for (id, hosts, paths, methods, priority) in rules {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let criteria = Criteria {
            hosts: &own(hosts),
            paths: &own(paths),
            methods: &own(methods),
            regex_priority: *priority,
            ..everything(&none)
        };
        let rule = Rule::new(Uuid::from_u128(*id), criteria, &compile);
        router.insert(Arc::new(rule.unwrap()));
    }
    let path = path::normalise(raw).unwrap();
    router.find(&Lookup::get(host, &path)).map(|found| found.route.as_u128())
}

#[test]
fn ranks_as_documented() {
    // More criteria beat a longer path; hosts beat paths beat methods.
    assert_eq!(
        find(&[(1, &[], &["/long/path"], &[], 0), (2, &[], &["/"], &["GET"], 0)], "h", "/long/path"),
        Some(2)
    );
    assert_eq!(find(&[(1, &[], &["/"], &[], 0), (2, &["h"], &[], &[], 0)], "h", "/"), Some(2));
    assert_eq!(find(&[(1, &[], &[], &["GET"], 0), (2, &[], &["/"], &[], 0)], "h", "/"), Some(2));
    // Exact host before wildcard, longer wildcard before shorter, whatever the path.
    assert_eq!(
        find(&[(1, &["*.b.c"], &["/x"], &[], 0), (2, &["a.b.c"], &["/"], &[], 0)], "a.b.c", "/x"),
        Some(2)
    );
    assert_eq!(
        find(&[(1, &["*.c"], &["/x"], &[], 0), (2, &["*.b.c"], &["/"], &[], 0)], "a.b.c", "/x"),
        Some(2)
    );
    // Regex before prefix; regex priority; longer prefix; age.
    assert_eq!(find(&[(1, &[], &["/abc"], &[], 0), (2, &[], &["~/a"], &[], 0)], "", "/abc"), Some(2));
    assert_eq!(find(&[(1, &[], &["~/ab"], &[], 1), (2, &[], &["~/a"], &[], 2)], "", "/abc"), Some(2));
    assert_eq!(find(&[(1, &[], &["/a"], &[], 9), (2, &[], &["/ab"], &[], 0)], "", "/abc"), Some(2));
    assert_eq!(find(&[(2, &[], &["/a"], &[], 0), (1, &[], &["/a"], &[], 0)], "", "/abc"), Some(1));
    // A prefix may end inside a segment; a wildcard needs a label.
    assert_eq!(find(&[(1, &[], &["/foo"], &[], 0)], "", "/foobar"), Some(1));
    assert_eq!(find(&[(1, &["*.b"], &[], &[], 0)], "b", "/"), None);
}

#[test]
fn patterns_are_matched_in_canonical_form() {
    assert_eq!(find(&[(1, &[], &["/caf\u{e9}/%7Ea"], &[], 0)], "", "/caf%c3%a9/~a"), Some(1));
    assert_eq!(find(&[(1, &["Example.COM"], &[], &[], 0)], "example.com", "/"), Some(1));
    assert_eq!(find(&[(1, &[], &["/admin"], &[], 0)], "", "/x/%2e%2e//%61dmin"), Some(1));
}

/// The point of the structure: one change among 100,000 rules touches a few nodes, not the whole. The bound is loose
/// (a rebuild takes about a second here), so that a busy machine does not fail it.
#[test]
fn one_change_among_100_000_rules_is_cheap() {
    let none = BTreeMap::new();
    let rule = |id: u128, path: String| {
        Arc::new(
            Rule::new(
                Uuid::from_u128(id),
                Criteria { hosts: &["one.host".to_owned()], paths: &[path], ..everything(&none) },
                &compile,
            )
            .unwrap(),
        )
    };
    let mut router = Router::default();
    for id in 0..100_000 {
        router.insert(rule(id, format!("/service-{}/v{}", id / 10, id % 10)));
    }
    let held = router.clone();
    let started = Instant::now();
    for id in 0..1000 {
        router = router.with(rule(id, format!("/moved-{id}")));
    }
    let each = started.elapsed() / 1000;
    println!("one change: {each:?}");
    assert!(each.as_millis() < 5, "one change took {each:?}");
    assert_eq!(held.len(), router.len());
    let request = Lookup::get("one.host", "/service-7/v7");
    assert_eq!(held.find(&request).map(|found| found.route), Some(Uuid::from_u128(77)));
    assert_eq!(router.find(&request), None);
}

proptest! {
    /// Whatever a pattern's text, filing it under its literal prefix never hides a match.
    #[test]
    fn literal_prefix_never_hides_a_match(pattern in "/[a-c/.*+?()|\\[\\]^$\\\\{}0-9]{0,10}", raw in "/[a-c/.]{0,8}") {
        prop_assume!(PathRegex::cost_of(&pattern).is_ok_and(|cost| cost < 10_000));
        let regex = PathRegex::compile(&pattern).unwrap();
        let path = path::normalise(&raw).unwrap();
        if regex.is_match(&path) {
            prop_assert!(path.starts_with(regex.literal()), "{pattern} {path}");
        }
    }

    #[test]
    fn host_lookup_never_panics(host in "\\PC{0,20}") {
        let rests = host::leading_rests(&host).chain(host::trailing_rests(&host)).count();
        prop_assert!(rests <= 2 * host.len());
    }
}

#[test]
fn ports_headers_and_server_names_are_asked_for() {
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (hosts, snis) = (text(&["shop.test", "shop.test:8443"]), text(&["*.shop.test"]));
    let none = BTreeMap::new();
    let versions = BTreeMap::from([("x-version".to_owned(), text(&["1", "Two"]))]);
    let rules = [
        (1, Criteria { hosts: &hosts[..1], ..everything(&none) }),
        (2, Criteria { hosts: &hosts[1..], ..everything(&none) }),
        (3, Criteria { hosts: &hosts[..1], ..everything(&versions) }),
        (4, Criteria { snis: &snis, ..everything(&none) }),
    ];
    let mut router = Router::default();
    for (id, criteria) in rules {
        router.insert(Arc::new(Rule::new(Uuid::from_u128(id), criteria, &compile).unwrap()));
    }
    let find = |lookup: Lookup<'_>| router.find(&lookup).map(|found| found.route.as_u128());
    let plain = Lookup::get("shop.test", "/");
    assert_eq!(find(plain), Some(1));
    assert_eq!(find(Lookup { port: 8443, ..plain }), Some(2));
    let mut headers = HeaderMap::new();
    headers.append("x-version", "other".parse().unwrap());
    assert_eq!(find(Lookup { headers: &headers, ..plain }), Some(1));
    headers.append("x-version", "TWO".parse().unwrap());
    assert_eq!(find(Lookup { headers: &headers, ..plain }), Some(3));
    let tls = Lookup { host: "elsewhere.test", https: true, port: 443, ..plain };
    assert_eq!(find(tls), None);
    assert_eq!(find(Lookup { sni: Some("shop.test"), ..tls }), None);
    assert_eq!(find(Lookup { sni: Some("a.shop.test"), ..tls }), Some(4));
}
