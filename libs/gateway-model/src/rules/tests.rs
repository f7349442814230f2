use super::*;

type Rule = fn(&str) -> Result<(), String>;

/// What each rule lets through and what it does not.
#[track_caller]
fn check(rule: Rule, good: &[&str], bad: &[&str]) {
    for text in good {
        assert_eq!(rule(text), Ok(()), "{text:?}");
    }
    for text in bad {
        assert!(rule(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_text_may_be_as_long_as_its_limit_and_is_not_empty() {
    // `é` has two bytes and `𝄞` has four: characters are counted where people write names, bytes where machines do.
    let in_characters: [(Rule, usize); 5] = [
        (name, NAME_CHARS_MAX),
        (username, USERNAME_CHARS_MAX),
        (custom_id, USERNAME_CHARS_MAX),
        (reference_name, USERNAME_CHARS_MAX),
        (tag, TAG_CHARS_MAX),
    ];
    for (rule, max) in in_characters {
        check(
            rule,
            &["x", &"x".repeat(max), &"é".repeat(max)],
            &["", &"x".repeat(max + 1), &"é".repeat(max + 1)],
        );
    }
    check(username, &[&"𝄞".repeat(USERNAME_CHARS_MAX)], &[&"𝄞".repeat(USERNAME_CHARS_MAX + 1)]);
    let in_bytes: [(Rule, usize); 4] = [
        (key, KEY_BYTES_MAX),
        (header_name, HEADER_NAME_BYTES_MAX),
        (header_value, HEADER_VALUE_BYTES_MAX),
        (quotable, HEADER_VALUE_BYTES_MAX),
    ];
    for (rule, max) in in_bytes {
        check(rule, &["x", &"x".repeat(max)], &["", &"x".repeat(max + 1)]);
    }
    let path = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
    for rule in [upstream_path, prefix_path] {
        check(rule, &["/", &path(PATH_BYTES_MAX)], &["", &path(PATH_BYTES_MAX + 1)]);
    }
}

#[test]
fn names_can_stand_in_a_url_and_are_no_ids() {
    let id = "0192d3a4-5b6c-7d8e-9f00-112233445566";
    check(name, &["orders", "Bestellungen-ä.v2_~", &id.replace('-', "")], &["a b", "a/b", "a:b", id]);
    for rule in [username, reference_name] {
        check(rule, &["alice@shop.example", "Ada Lovelace", "a/b"], &[" a", "a ", "a\u{7}", id]);
    }
    check(custom_id, &[id, "a b"], &["a ", "\n"]);
    check(tag, &["a b", "é"], &["a,b", "a/b", "a ", "\t"]);
}

#[test]
fn hosts_follow_dns() {
    let label = "l".repeat(HOST_LABEL_BYTES_MAX);
    let longest =
        [&label[..], &label, &label, &label[..HOST_BYTES_MAX - 3 * (HOST_LABEL_BYTES_MAX + 1)]].join(".");
    assert_eq!(longest.len(), HOST_BYTES_MAX);
    let good = ["a", "API.example.com", "x_y-z.1", &label, &longest];
    let bad = ["", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "a b", "ä", "a:x", "http://a", "a/b"];
    let too_long = [format!("{label}l"), format!("{longest}l")];
    for rule in [upstream_host, host_pattern] {
        check(rule, &good, &bad);
        check(rule, &[], &[&too_long[0], &too_long[1]]);
    }
    check(upstream_host, &["10.0.0.1", "::1"], &["[::1]", "*.a", "a.*", "a:80"]);
    check(
        host_pattern,
        &["*.a.example", "a.*", "[::1]", "a:80", "[::1]:80", "*.a:1"],
        &["*", "*.", "*.a.*", "a.*.b", "::1", "[::1", "[a]"],
    );
}

#[test]
fn paths_are_in_the_form_in_which_requests_are_matched() {
    check(
        upstream_path,
        &["/a%20b", "/a//b/../c", "/-._~!$&'()*+,;=:@/"],
        &["a", "/a b", "/ä", "/?", "/#", "/%2", "/%zz"],
    );
    check(
        prefix_path,
        &["/a.b/..c", "/%2F", "/%c3%a4"],
        &["a", "//", "/a//b", "/.", "/a/..", "/%41", "/%7e", "/a%2Fb%2D", "/%"],
    );
}

#[test]
fn headers_and_keys_are_printable_ascii() {
    check(method, &["GET", "X", &"M".repeat(32)], &["", "get", "GET1", &"M".repeat(33)]);
    check(header_name, &["x-api-key", "X_1"], &["a b", "a:", "é"]);
    for rule in [key, header_value] {
        check(rule, &["a b~!", "\"quoted\\\""], &[" a", "a ", "é", "a\u{7f}", "a\nb"]);
    }
    check(quotable, &["shop's own"], &["a\"b", "a\\b", "é", ""]);
}

#[test]
fn one_form_of_a_uuid_is_an_id() {
    let text = "0192d3a4-5b6c-7d8e-9f00-112233445566";
    assert_eq!(uuid(text).map(|id| id.to_string()).as_deref(), Some(text));
    for other in
        ["", &text.replace('-', ""), &format!("{{{text}}}"), &format!("urn:uuid:{text}"), &"x".repeat(36)]
    {
        assert_eq!(uuid(other), None, "{other}");
    }
}
