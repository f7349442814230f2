use super::*;

const ECHO: &str = "127.0.0.1:9000";

fn plan(text: &str) -> Plan {
    Plan::of(&format!("_format_version: \"3.0\"\n{text}"), ECHO).expect("a valid file")
}

fn expected<'a>(plan: &'a Plan, route: &str) -> Vec<(Option<&'a str>, &'a Expected)> {
    let of_route = plan.cases.iter().filter(|case| case.route == route);
    of_route
        .map(|case| (case.credential.as_ref().map(|credential| credential.key.as_str()), &case.expected))
        .collect()
}

fn echo_below(path: &str) -> Expected {
    Expected::Upstream { echo_below: Some(BTreeSet::from([path.to_owned()])) }
}

#[test]
fn a_protected_route_is_asked_with_and_without_key() {
    let plan = plan(
        r#"
services:
- name: a
  url: http://127.0.0.1:9000/a
  plugins: [{name: key-auth, config: {key_names: [x-key], key_in_header: false}}]
  routes: [{name: one, paths: ["~/a/[0-9]+$"], hosts: ["*.shop.example"], methods: [POST]}]
consumers:
- username: blocked
  keyauth_credentials: [{key: first-key}]
  plugins: [{name: request-termination, config: {status_code: 403}}]
- username: plain
  keyauth_credentials: [{key: second-key}]
"#,
    );
    assert_eq!(
        expected(&plan, "one"),
        [
            (None, &Expected::Gateway(401)),
            (Some("second-key"), &echo_below("/a")),
            (Some("first-key"), &Expected::Gateway(403))
        ]
    );
    let request = &plan.cases[0].request;
    let host = Some("tour.shop.example".to_owned());
    assert_eq!(*request, Request { method: "POST".to_owned(), host, path: "/a/0".to_owned() });
    assert!(!plan.cases[1].credential.as_ref().expect("a key").in_header);
    assert_eq!(plan.plain_key.expect("a key").consumer.as_deref(), Some("plain"));
}

#[test]
fn the_closest_plugin_counts_and_a_disabled_one_does_not() {
    let plan = plan(
        r#"
services:
- name: a
  url: http://127.0.0.1:9000/a
  plugins: [{name: request-termination, config: {status_code: 503}}]
  routes:
  - {name: closed, paths: [/closed]}
  - {name: gone, paths: [/gone], plugins: [{name: request-termination, config: {status_code: 410}}]}
- name: b
  url: http://elsewhere.example:80/b
  plugins: [{name: key-auth, enabled: false}]
  routes: [{name: open, paths: [/open]}]
"#,
    );
    assert_eq!(expected(&plan, "closed"), [(None, &Expected::Gateway(503))]);
    assert_eq!(expected(&plan, "gone"), [(None, &Expected::Gateway(410))]);
    assert_eq!(expected(&plan, "open"), [(None, &Expected::Upstream { echo_below: None })]);
}

#[test]
fn routes_that_compete_for_a_request_are_checked_only_if_they_agree() {
    let plan = plan(
        r#"
services:
- name: a
  url: http://127.0.0.1:9000/a
  routes:
  - {name: all, paths: [/]}
  - {name: same, paths: [/same]}
  - {name: other, paths: [/other], plugins: [{name: key-auth}]}
- name: b
  url: http://127.0.0.1:9000/b
  routes: [{name: rival, paths: [/same]}]
"#,
    );
    let either = BTreeSet::from(["/a".to_owned(), "/b".to_owned()]);
    assert_eq!(expected(&plan, "same"), [(None, &Expected::Upstream { echo_below: Some(either) })]);
    assert_eq!(expected(&plan, "all"), [(None, &echo_below("/a"))]);
    let skipped: Vec<&str> = plan.skipped.iter().map(|(route, _)| route.as_str()).collect();
    assert_eq!(skipped, ["other"]);
    assert_eq!((plan.routes, plan.plain_key), (4, None));
}

#[test]
fn https_only_routes_redirect_and_what_cannot_be_derived_is_told() {
    let plan = plan(
        r#"
services:
- name: a
  url: http://127.0.0.1:9000
  routes:
  - {name: secure, paths: [/secure], protocols: [https], https_redirect_status_code: 308}
  - {name: odd, paths: ["~/odd/[^/]+$"]}
- name: off
  url: http://127.0.0.1:9000
  enabled: false
  routes: [{name: off, paths: [/off]}]
routes:
- {name: bare, paths: [/bare]}
"#,
    );
    assert_eq!(expected(&plan, "secure"), [(None, &Expected::Gateway(308))]);
    let skipped: Vec<&str> = plan.skipped.iter().map(|(route, _)| route.as_str()).collect();
    assert_eq!(skipped, ["odd", "off", "bare"]);
}

#[test]
fn every_route_of_the_shop_is_checked() {
    let shop = include_str!("../../../../../infra/examples/shop.yaml");
    let plan = Plan::of(shop, ECHO).expect("a valid file");
    assert_eq!(plan.skipped, []);
    let checked: BTreeSet<&str> = plan.cases.iter().map(|case| case.route.as_str()).collect();
    assert_eq!(checked.len(), plan.routes);
    assert!(plan.routes >= 40 && plan.plain_key.is_some());
}
