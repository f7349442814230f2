//! Single rules of the router, and what it costs. `fuzz` holds it against a matcher that tries every route (`naive`).

mod fuzz;
mod naive;
mod sample;

use std::{collections::BTreeMap, sync::Mutex, time::Instant};

use gateway_model::{PathRegex, path_regex::InvalidPattern};
use proptest::prelude::*;

use super::{host, path, *};

/// Each expression is compiled once, as by the view.
fn compile(pattern: &str) -> Result<Arc<PathRegex>, InvalidPattern> {
    static COMPILED: Mutex<BTreeMap<String, Arc<PathRegex>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap();
    if let Some(held) = compiled.get(pattern) {
        return Ok(held.clone());
    }
    let new = Arc::new(PathRegex::compile(pattern)?);
    compiled.insert(pattern.to_owned(), new.clone());
    Ok(new)
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
