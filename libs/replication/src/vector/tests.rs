use proptest::prelude::*;

use super::*;

fn origins() -> impl Strategy<Value = Origin> {
    prop::sample::select(vec!["authz.us", "authz.eu", "authz.ap", "identity.us"])
        .prop_map(|name| name.parse().expect("an origin"))
}

fn positions() -> impl Strategy<Value = Position> {
    (0..3u32, 0..6u64).prop_map(|(epoch, seq)| Position { epoch, seq })
}

fn vectors() -> impl Strategy<Value = Vector> {
    prop::collection::vec((origins(), positions()), 0..6).prop_map(|entries| entries.into_iter().collect())
}

fn merged(left: &Vector, right: &Vector) -> Vector {
    let mut merged = left.clone();
    merged.merge(right);
    merged
}

proptest! {
    #[test]
    fn merging_is_the_least_upper_bound(a in vectors(), b in vectors(), c in vectors()) {
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        let both = merged(&a, &b);
        prop_assert!(both.covers(&a) && both.covers(&b));
        prop_assert!(!(c.covers(&a) && c.covers(&b)) || c.covers(&both));
    }

    #[test]
    fn missing_is_what_covering_lacks(a in vectors(), b in vectors()) {
        let missing = a.missing(&b);
        prop_assert_eq!(missing.is_empty(), a.covers(&b));
        prop_assert!(merged(&a, &missing).covers(&b));
        for (origin, position) in &b {
            prop_assert_eq!(missing.get(origin).is_some(), !a.reaches(origin, *position));
        }
    }

    #[test]
    fn advancing_never_goes_back(start in vectors(), origin in origins(), position in positions()) {
        let mut vector = start.clone();
        vector.advance(&origin, position);
        prop_assert!(vector.covers(&start));
        prop_assert!(vector.reaches(&origin, position));
        let dot = Dot { origin, position };
        prop_assert!(vector.contains(&dot));
    }
}

fn dot(origin: &str, epoch: u32, seq: u64) -> Dot {
    Dot { origin: origin.parse().expect("an origin"), position: Position { epoch, seq } }
}

fn vector(dots: &[Dot]) -> Vector {
    dots.iter().map(|dot| (dot.origin.clone(), dot.position)).collect()
}

#[test]
fn a_part_holds_the_logs_of_one_service() {
    let (us, eu, identity) = (dot("authz.us", 1, 4), dot("authz.eu", 1, 2), dot("identity.us", 1, 9));
    let all = vector(&[us.clone(), eu.clone(), identity.clone()]);
    assert_eq!(all.len(), 3);
    assert_eq!(all.of_service(ServiceName::Authz), vector(&[us, eu]));
    assert_eq!(all.of_service(ServiceName::Identity), vector(&[identity]));
    assert!(vector(&[]).of_service(ServiceName::Authz).is_empty());
}

#[test]
fn an_entry_follows_its_dependencies_and_its_own_log() {
    let deps = vector(&[dot("authz.eu", 1, 4)]);
    let own = dot("authz.us", 2, 9);
    for earlier in
        [dot("authz.us", 2, 9), dot("authz.us", 2, 1), dot("authz.us", 1, 8), dot("authz.eu", 1, 4)]
    {
        assert!(own.follows(&deps, &earlier), "{earlier:?}");
    }
    for other in
        [dot("authz.us", 2, 10), dot("authz.us", 3, 10), dot("authz.eu", 1, 5), dot("authz.ap", 1, 1)]
    {
        assert!(!own.follows(&deps, &other), "{other:?}");
    }
}

#[test]
fn an_entry_appended_again_follows_what_its_writer_saw() {
    let deps = vector(&[dot("authz.us", 1, 5)]);
    let again = dot("authz.us", 2, 9);
    for earlier in [dot("authz.us", 1, 5), dot("authz.us", 2, 8), again.clone()] {
        assert!(again.follows(&deps, &earlier), "{earlier:?}");
    }
    assert!(!again.follows(&deps, &dot("authz.us", 1, 6)));
    // It had seen nothing of its own log.
    let nothing = vector(&[dot("authz.us", 0, 0)]);
    assert!(!again.follows(&nothing, &dot("authz.us", 1, 1)));
}
