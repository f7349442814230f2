use super::{arguments::ARGUMENTS_MAX, *};

fn changed(text: &str, change: impl FnOnce(&mut Object)) -> String {
    let mut object = Object::parse(text.as_bytes()).unwrap();
    change(&mut object);
    String::from_utf8(object.to_bytes()).unwrap()
}

#[test]
fn json_is_changed_as_kong_does_and_the_rest_stays_as_it_came() {
    let number = "123456789012345678901234567890.10";
    let text =
        format!(r#"{{"n": {number}, "t":"a\u00e9","f":false, "l":[1, 2],"e":[ ], "o":{{"x":1}},"z":null}}"#);
    let same =
        format!(r#"{{"e":[ ],"f":false,"l":[1, 2],"n":{number},"o":{{"x":1}},"t":"a\u00e9","z":null}}"#);
    assert_eq!(changed(&text, |_| {}), same);
    assert_eq!(changed(r#"{"a":1,"a":2}"#, |object| object.remove("b")), r#"{"a":2}"#);
    assert_eq!(changed(r#"{"a":1}"#, |object| object.rename("a", "b")), r#"{"b":1}"#);
    assert_eq!(changed(r#"{"b":1}"#, |object| object.rename("a", "b")), r#"{"b":1}"#);
    let v = || Object::text("v\"");
    for (before, replaced, added, appended) in [
        (r#"{}"#, r#"{}"#, r#"{"k":"v\""}"#, r#"{"k":["v\""]}"#),
        (r#"{"k":"x"}"#, r#"{"k":"v\""}"#, r#"{"k":"x"}"#, r#"{"k":["x","v\""]}"#),
        (r#"{"k":false}"#, r#"{"k":false}"#, r#"{"k":"v\""}"#, r#"{"k":["v\""]}"#),
        (r#"{"k":null}"#, r#"{"k":"v\""}"#, r#"{"k":null}"#, r#"{"k":["v\""]}"#),
        (r#"{"k":[1]}"#, r#"{"k":"v\""}"#, r#"{"k":[1]}"#, r#"{"k":[1,"v\""]}"#),
        (r#"{"k":[ ]}"#, r#"{"k":"v\""}"#, r#"{"k":[ ]}"#, r#"{"k":["v\""]}"#),
        (r#"{"k":{}}"#, r#"{"k":"v\""}"#, r#"{"k":{}}"#, r#"{"k":{}}"#),
    ] {
        assert_eq!(changed(before, |object| object.replace("k", v())), replaced, "{before}");
        assert_eq!(changed(before, |object| object.add("k", v())), added, "{before}");
        assert_eq!(changed(before, |object| object.append("k", v())), appended, "{before}");
    }
    for none in ["", "[]", "1", "{", "{\"a\":1} x", "{a:1}", "\"{}\""] {
        assert!(Object::parse(none.as_bytes()).is_none(), "{none}");
    }
}

#[test]
fn arguments_keep_their_order() {
    let changed = |text: &str, change: &dyn Fn(&mut Arguments)| {
        let mut arguments = Arguments::parse(text.as_bytes()).unwrap();
        change(&mut arguments);
        arguments.to_text()
    };
    let text = "a=1&b&a=2&%63=x+y%26&&d=";
    assert_eq!(changed(text, &|_| {}), "a=1&b&a=2&c=x%20y%26&d=");
    assert_eq!(changed(text, &|all| all.remove("a")), "b&c=x%20y%26&d=");
    assert_eq!(changed(text, &|all| all.rename("c", "a")), "b&a=x%20y%26&d=");
    assert_eq!(changed(text, &|all| all.rename("a", "z")), "z=1&b&z=2&c=x%20y%26&d=");
    assert_eq!(changed("b=1", &|all| all.rename("a", "b")), "b=1");
    assert_eq!(changed(text, &|all| all.replace("a", "9".into())), "a=9&b&c=x%20y%26&d=");
    assert_eq!(changed(text, &|all| all.replace("b", "".into())), "a=1&b=&a=2&c=x%20y%26&d=");
    assert_eq!(changed("a=1", &|all| all.replace("b", "9".into())), "a=1");
    assert_eq!(changed("a", &|all| all.add("a", "9".into())), "a");
    assert_eq!(changed("", &|all| all.add("é", "=".into())), "%C3%A9=%3D");
    assert_eq!(changed("a=1", &|all| all.append("a", "9".into())), "a=1&a=9");
    assert!(Arguments::parse("a&".repeat(ARGUMENTS_MAX + 1).as_bytes()).is_none());
}

#[test]
fn headers_are_changed_by_name_whatever_its_case() {
    let headers = |pairs: &[(&str, &str)]| {
        let mut headers = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| Fields::append(&mut headers, name, value.parse().unwrap()));
        headers
    };
    let list = |headers: &HeaderMap| -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    };
    let before = [("X-A", "1"), ("x-a", "2"), ("x-b", "3")];
    let changed = |change: &dyn Fn(&mut HeaderMap)| {
        let mut headers = headers(&before);
        change(&mut headers);
        list(&headers)
    };
    assert_eq!(changed(&|all| Fields::remove(all, "X-a")), ["x-b: 3"]);
    assert_eq!(changed(&|all| all.rename("x-A", "X-B")), ["x-b: 1", "x-b: 2"]);
    assert_eq!(changed(&|all| all.rename("x-c", "x-b")), list(&headers(&before)));
    assert_eq!(changed(&|all| all.rename("x-b", "x-b")), list(&headers(&before)));
    assert_eq!(changed(&|all| all.replace("X-A", "9".parse().unwrap())), ["x-a: 9", "x-b: 3"]);
    assert_eq!(changed(&|all| all.replace("x-c", "9".parse().unwrap())), list(&headers(&before)));
    assert_eq!(changed(&|all| all.add("x-B", "9".parse().unwrap())), list(&headers(&before)));
}
