use proptest::prelude::*;

use super::*;

fn cost(pattern: &str) -> u64 {
    PathRegex::cost_of(pattern).unwrap()
}

#[test]
fn matches_from_the_beginning() {
    let regex = |pattern| PathRegex::compile(pattern).unwrap();
    assert!(regex("/a|/b").is_match("/b/more") && !regex("/a|/b").is_match("/x/a"));
    assert!(!regex("(?m)/a").is_match("/x\n/a"));
    assert_eq!(regex("/b/\\d+").matched_len("/b/12/c"), Some(5));
    assert_eq!(regex("/b/\\d+?").matched_len("/b/12/c"), Some(4), "the first choice, not the longest");
    assert_eq!(regex("/(a|ab)(c|bcd)?").matched_len("/abcd"), Some(5));
    assert_eq!(regex("/a\\b").matched_len("/ab"), None);
}

#[test]
fn characters_outside_of_ascii_never_match() {
    for pattern in ["/caf\u{e9}", "/[\u{e9}]", "/\\x{e9}", "/(?u:\u{e9})", "/\\p{Greek}", "(?i)/\u{e9}"] {
        let regex = PathRegex::compile(pattern).unwrap();
        assert!(!regex.is_match("/caf%C3%A9") && !regex.is_match("/e"), "{pattern}");
    }
    assert!(PathRegex::compile("/\\pL+\\b$").unwrap().is_match("/abc"));
    assert!(PathRegex::compile("/[^\u{e9}]+$").unwrap().is_match("/abc"));
    assert!(PathRegex::compile("(?u)/\\w+\\b$").unwrap().is_match("/a_1"));
}

#[test]
fn costs_are_known_before_anything_is_compiled() {
    assert!(cost("/users/(?<id>\\d+)$") < 100);
    assert!(cost("/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}") < 500);
    assert!(cost("/[\\w.-]{1,255}/files/.*") < PATTERN_COST_MAX);
    for large in [
        "/\\w{0,9999}",
        "/(a{1000}){1000}",
        "/(((a{0,99}){0,99}){0,99}){0,99}",
        "/((((((x{0,4294967295}){0,4294967295}){0,4294967295}){0,4294967295}){0,4294967295}){0,4294967295})",
        "/(?:){4294967295}",
        "(?i)/[\\x{0}-\\x{10FFFF}]",
        &format!("/{}", "\\pL".repeat(300)),
        &format!("/{}", "(?u:\\w)".repeat(140)),
    ] {
        assert!(cost(large) > PATTERN_COST_MAX, "{large} costs {}", cost(large));
    }
}

#[test]
fn a_wider_expression_is_small_and_matches_no_less() {
    let huge = "/((\\w{1,3000}x){1,3000}y?){2}z{0}";
    assert!(cost(huge) > 1_000_000);
    let wider = PathRegex::compile_wider(huge).unwrap();
    assert!(wider.dfa.get_nfa().states().len() < 30);
    assert!(wider.is_match("/axbx") && !wider.is_match("/-"));
    assert_eq!(wider.literal(), "/");
    let folded = format!("/big/{}", "(?i)[\\x{0}-\\x{10FFFF}]".repeat(30));
    assert_eq!(PathRegex::compile_wider(&folded).unwrap().literal(), "/big/");
}

#[test]
fn what_is_no_expression_says_why() {
    for (pattern, reason) in [
        ("/(a", "unclosed group"),
        ("/a)(b", "unopened group"),
        ("/a(?=b)", "look-around"),
        ("/\\p{Klingon}", "Unicode property not found"),
        ("/\\1", "backreferences"),
    ] {
        let error = PathRegex::cost_of(pattern).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(PathRegex::compile(pattern).unwrap_err(), error);
    }
}

#[test]
fn literal_prefixes_err_on_the_short_side() {
    for (pattern, literal) in [
        ("/users/(?<id>\\d+)$", "/users/"),
        ("^/users/[a-z]", "/users/"),
        ("/colou?r", "/colo"),
        ("/a+b", "/"),
        ("/a{2}", "/"),
        ("/(a)b.", "/ab"),
        ("(?i)/a", "/"),
        ("/v1\\.0/", "/v1.0/"),
        ("/caf\u{e9}/x", "/caf"),
        ("", ""),
    ] {
        assert_eq!(PathRegex::compile(pattern).unwrap().literal(), literal, "{pattern}");
    }
}

/// Expressions of all that there is in them, nested.
fn patterns() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        Just("".to_owned()),
        "[a-c/]{1,3}",
        prop::sample::select(vec![
            ".",
            "\\w",
            "\\W",
            "\\d",
            "\\s",
            "[^a]",
            "[a-c0-9]",
            "[\\w-]",
            "[^\\w]",
            "[a&&b]",
            "[\\w--\\d]",
            "[[:alpha:]_]",
            "\\b",
            "\\B",
            "\\b{start}",
            "^",
            "$",
            "(?i)",
            "(?-i)",
            "(?s)",
            "(?m)",
            "\u{e9}",
            "\\pL",
            "\\x{e9}",
            "\\xFF",
            "(?u)",
            "[\u{e9}a]",
            "(?-u)",
        ])
        .prop_map(str::to_owned),
    ];
    atom.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec!["?", "*", "+", "*?", "{3}", "{0,5}", "{2,}", "{1,7}?", "{0}"])
            )
                .prop_map(|(inner, times)| format!("(?:{inner}){times}")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            inner.prop_map(|inner| format!("(?i:{inner})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_has_a_cost_compiles_within_it(pattern in patterns()) {
        let cost = PathRegex::cost_of(&pattern);
        prop_assume!(cost.as_ref().map_or(true, |cost| *cost <= PATTERN_COST_MAX));
        let regex = PathRegex::compile(&pattern);
        prop_assert_eq!(regex.as_ref().err(), cost.as_ref().err());
        if let (Ok(regex), Ok(cost)) = (regex, cost) {
            prop_assert!(regex.dfa.get_nfa().states().len() as u64 <= cost, "{}", pattern);
        }
    }

    /// The crate `regex` reads expressions in Unicode. On a path, which is ASCII, both come to the same.
    #[test]
    fn matches_as_unicode_does(pattern in patterns(), path in "/[abc_1 /.-]{0,6}") {
        prop_assume!(PathRegex::cost_of(&pattern).is_ok_and(|cost| cost <= PATTERN_COST_MAX));
        let Ok(other) = regex::Regex::new(&format!("\\A(?:{pattern})")) else { return Ok(()) };
        let regex = PathRegex::compile(&pattern).unwrap();
        let found = other.find(&path).map(|found| found.end());
        prop_assert_eq!(regex.matched_len(&path), found, "{} on {}", pattern, path);
        if found.is_some() {
            prop_assert!(path.starts_with(regex.literal()));
            prop_assert!(PathRegex::compile_wider(&pattern).unwrap().is_match(&path));
        }
    }
}
