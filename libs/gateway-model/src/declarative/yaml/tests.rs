//! What YAML means. The texts are forms that people, decK and other tools write.

use serde_json::{Value, json};

use super::*;
use crate::declarative::write::to_yaml;

#[track_caller]
fn read(text: &str) -> Value {
    let mut json = Vec::new();
    to_json(text.as_bytes(), &mut json).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    serde_json::from_slice(&json)
        .unwrap_or_else(|error| panic!("{error}: {text:?}: {}", String::from_utf8_lossy(&json)))
}

#[track_caller]
fn refusal(text: impl AsRef<[u8]>) -> String {
    match to_json(text.as_ref(), io::sink()) {
        Err(YamlError::Invalid(invalid)) => invalid.to_string(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_refused(text: &str, words: &str) {
    let message = refusal(text);
    assert!(message.contains(words), "{text:?}: {message}");
}

#[test]
fn lists_and_mappings_stand_in_blocks_and_in_flow() {
    let expected = json!({"a": [1, {"b": "c", "d": []}, [2, null]], "e": {}});
    for text in [
        "a:\n- 1\n- b: c\n  d: []\n- - 2\n  -\ne: {}\n",
        "a:\n  - 1\n  - b: c\n    d:\n      []\n  - [2, ~]\ne: {}",
        "---\n{a: [1, {b: c, d: []}, [2, null,],], e: {},}\n...\n",
        "{\"a\":[1,{\"b\":\"c\",\"d\":[]},[2,null]],\"e\":{}}",
        "{a: [\n1,\n{b:\nc, d: []}\n, [2,\n~]\n],\n\"e\": {}}",
        "? a\n: - 1\n  - ? b\n    : c\n    ? d\n    : []\n  - - 2\n    - null\n? e\n: {}\n",
        "# first\na: # behind\n# between\n- 1\n  # within\n- {b: c, # in flow\n   d: []}\n- [2, null]\n\n\ne: {}\n# last",
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
    assert_eq!(read("%YAML 1.2\n---\na: [b, ]\n...\n"), json!({"a": ["b"]}));
}

#[test]
fn a_text_of_nothing_is_null() {
    for text in ["", "\n", "# only\n", "---\n", "--- ~\n...\n", "\u{feff}", "\u{feff}# x\n"] {
        assert_eq!(read(text), Value::Null, "{text:?}");
    }
}

#[test]
fn block_scalars_keep_fold_and_end_as_they_say() {
    for (text, expected) in [
        ("a: |\n  x\n\n   y\n  z\n\n", "x\n\n y\nz\n"),
        ("a: |-\n  x\n  y\n\n", "x\ny"),
        ("a: |+\n  x\n\n\nb: 1", "x\n\n\n"),
        ("a: >\n  x\n  y\n\n  z\n", "x y\nz\n"),
        ("a: >-\n  x\n  y\n   z\n  w\n", "x y\n z\nw"),
        ("a: >+\n  x\n\n", "x\n\n"),
        ("a: |2\n    x\n", "  x\n"),
        ("a: |2-\n   x", " x"),
        ("a: |-1\n  x", " x"),
        ("a: |  # remark\n  # no remark\n", "# no remark\n"),
        ("a: |\n  x", "x"),
        ("a: |\n", ""),
        ("a: |\n  - b: c\n  - [\n", "- b: c\n- [\n"),
        ("a: |\r\n  x\r\n  y\r\n", "x\ny\n"),
    ] {
        assert_eq!(read(text)["a"], expected, "{text:?}");
    }
}

#[test]
fn flow_scalars_span_lines_and_escape() {
    for (text, expected) in [
        ("a: x\n  y\n\n  z\n", "x y\nz"),
        ("a: 'x\n  it''s\n\n  z'\n", "x it's\nz"),
        ("a: \"x\\\n  y\\n\\t\\x41\\u00e9\\U0001F600\\\"\\\\\\/\\0\"\n", "xy\n\tA\u{e9}\u{1f600}\"\\/\0"),
        ("a: \"\\ud83d\\ude00\"", "\u{1f600}"),
        ("a: \"\"", ""),
        ("a: b#c", "b#c"),
        ("a: b:c", "b:c"),
        ("a: http://x:80/?q={1}&r=[2]", "http://x:80/?q={1}&r=[2]"),
        ("a: ~/orders/\\d+", "~/orders/\\d+"),
        ("a: -x", "-x"),
        ("a: ?x", "?x"),
        ("a: \u{1f600} \u{e9}\u{a0}x", "\u{1f600} \u{e9}\u{a0}x"),
        ("{a: x y}", "x y"),
        ("{\"a\":x}", "x"),
    ] {
        assert_eq!(read(text)["a"], expected, "{text:?}");
    }
}

#[test]
fn lines_end_in_any_way() {
    let text = "a:\n- x: 1\n  y: 'b\n\n    c'\nd: |\n  e\n";
    for ends in ["\r\n", "\r"] {
        assert_eq!(read(&text.replace('\n', ends)), read(text));
    }
}

#[test]
fn names_are_texts() {
    assert_eq!(
        read("5: a\ntrue: b\n'q': c\n'~': d\n? e\n: f\n'': g"),
        json!({"5": "a", "true": "b", "q": "c", "~": "d", "e": "f", "": "g"})
    );
    assert_eq!(read("x: &k name\n*k : y"), json!({"x": "name", "name": "y"}));
    for text in
        ["? [a, b]\n: c", "{a: b}: c", "x: &k [1]\n*k : y", "x: &k 5\n*k : y", "~: a", ": a", "?", "- : a"]
    {
        is_refused(text, "a name must be a text");
    }
}

#[test]
fn names_occur_once() {
    for text in
        ["a: 1\na: 2", "{a: 1, 'a': 2}", "- x: {b: 1, c: 2, b: 3}", "{<<: {}, <<: {}}", "5: a\n\"5\": b"]
    {
        is_refused(text, "occurs twice");
    }
    assert_eq!(
        refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n").matches("`c` occurs twice (line 5, column 3)").count(),
        1
    );
    assert_eq!(read("{'<<': {}, <<: {a: 1}}"), json!({"<<": {}, "a": 1}), "a name in quotes merges nothing");
}

#[test]
fn aliases_repeat_what_their_anchors_name() {
    assert_eq!(
        read("a: &x [1, {b: &y c}]\nd: *x\ne: *y\nf: [*y, *x]"),
        json!({"a": [1, {"b": "c"}], "d": [1, {"b": "c"}], "e": "c", "f": ["c", [1, {"b": "c"}]]})
    );
    assert_eq!(
        read("- &a 1\n- &b 2\n- &a 3\n- &c 4\n- *a\n- *b"),
        json!([1, 2, 3, 4, 3, 2]),
        "the last wins"
    );
    assert_eq!(read("- &a\n- *a"), json!([null, null]));
    assert_eq!(read("- &a |\n  x\n- *a"), json!(["x\n", "x\n"]));
    assert_eq!(read("&all {a: b}"), json!({"a": "b"}));
    for text in ["a: *b", "*b", "a: *b\nc: &b 1"] {
        is_refused(text, "unknown anchor");
    }
    for text in ["a: &a [*a]", "&a {b: {c: *a}}", "a: &a {<<: *a}"] {
        is_refused(text, "an alias stands within what it repeats");
    }
}

#[test]
fn merge_keys_fill_what_is_missing() {
    let value = read(
        "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\none: {<<: *a, x: 9}\nboth: {<<: [*a, *b]}\nlate:\n  x: 9\n  <<: *a\n\
         here: {<<: {x: 3}, w: 4}\nempty: {<<: {}}\nnone: {<<: []}\nagain: {<<: &c {<<: *a, v: 5}}\nfar: *c",
    );
    for (name, expected) in [
        ("one", json!({"x": 9, "y": 1})),
        ("both", json!({"x": 1, "y": 1, "z": 2})),
        ("late", json!({"x": 9, "y": 1})),
        ("here", json!({"x": 3, "w": 4})),
        ("empty", json!({})),
        ("none", json!({})),
        ("again", json!({"x": 1, "y": 1, "v": 5})),
        ("far", json!({"x": 1, "y": 1, "v": 5})),
    ] {
        assert_eq!(value[name], expected, "{name}");
    }
    for text in ["{<<: 5}", "{<<: [5]}", "{<<: null}", "{<<: '{}'}", "{<<: [[{}]]}"] {
        is_refused(text, "merge key");
    }
}

#[test]
fn tags_are_refused_but_those_that_say_what_is_there() {
    assert_eq!(
        read("!!map {a: !!seq [!!str 5, !!int 5, !!float 1.5, !!bool true, !!null ~, ! 6, !!int '7']}"),
        json!({"a": ["5", 5, 1.5, true, null, "6", 7]})
    );
    for text in [
        "!secret a",
        "a: !secret b",
        "a: !!python/object:os.system [a]",
        "!!set {a, b}",
        "!!binary aGVsbG8=",
        "!!timestamp 2026-11-28",
        "!!seq {}",
        "!!map []",
        "!<tag:example.com,2026:x> y",
    ] {
        is_refused(text, "tags such as `!name` are not supported");
    }
    is_refused("!!int x", "not what its tag says");
}

#[test]
fn errors_have_line_and_column() {
    for (text, place) in [
        ("a: 1\nb: [1, .inf]", "(line 2, column 8)"),
        ("a: 1\nb: {c: !x d}", "(line 2, column "),
        ("a: 1\n---\nb: 2", "(line 2, column 1)"),
        ("a: 1\n...\nb: 2", "(line 3, column 1)"),
        ("a: [1", "(line 1, column "),
        ("a:\n\t- b", "(line 2, column "),
        ("a: 'b", "(line 1, column "),
        ("a: b\n  c: d", "(line 2, column "),
        ("\u{e9}: \u{1f600}\nb: *c", "(line 2, column 4)"),
        ("a: 1\n  b: 2", "(line 2, column "),
    ] {
        is_refused(text, place);
    }
    is_refused("a: 1\n---\nb: 2", "several documents");
}

#[test]
fn what_is_no_text_is_refused() {
    assert!(refusal(b"a: \xff\xfe").contains("it is not UTF-8: its byte 4 "));
    let message = refusal(b"a: b\nc: \xe2\x82");
    assert!(message.contains("it is not UTF-8: its byte 9 "), "broken off: {message}");
    for text in [
        "a: \0",
        "a: b\0",
        "a: 'b\0'",
        "a\0: b",
        "a: b # c\0",
        "a: b\n\0",
        "a: |\n  b\0\n",
        "\0",
        "a: \u{1}b",
    ] {
        assert!(!refusal(text).is_empty(), "{text:?}");
    }
}

#[test]
fn what_ends_a_line_only_for_some_is_escaped_or_refused() {
    for (text, words) in [
        ("a: \u{85}b", "byte 4 begins the character U+0085"),
        ("a: 'b\u{2028}  c'", "write `\\u2028` in double quotes"),
        ("a: |\n  b\u{2029}  c", "U+2029"),
    ] {
        is_refused(text, words);
    }
    assert_eq!(read("a: \"\\N\\L\\P\\u2028\"")["a"], "\u{85}\u{2028}\u{2029}\u{2028}");
}

#[test]
fn values_stand_on_their_lines() {
    let text = "# x\na: &a\n  - 1\n\n  - b: >\n      x\n      y\nc:\n  d: *a\n  <<: {e:\n    5}\nf: 1\n";
    let mut json = Vec::new();
    to_json(text.as_bytes(), &mut json).expect("YAML");
    let json = String::from_utf8(json).expect("UTF-8");
    let line = |part: &str| json.lines().position(|line| line.contains(part)).map(|place| place + 1);
    let found = ["\"a\"", "1", "\"b\"", "\"c\"", "\"d\"", "\"f\""].map(line);
    assert_eq!(found, [2, 3, 5, 8, 9, 12].map(Some), "{json}");
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (text, is_read) in [
        (nested(DEPTH_MAX), true),
        (nested(DEPTH_MAX + 1), false),
        ("- ".repeat(DEPTH_MAX), true),
        ("- ".repeat(DEPTH_MAX + 1), false),
        (format!("{}{}", "- ".repeat(DEPTH_MAX / 2), nested(DEPTH_MAX / 2 + 1)), true),
        (format!("{}{}", "- ".repeat(DEPTH_MAX / 2), nested(DEPTH_MAX / 2 + 2)), false),
    ] {
        if is_read {
            read(&text);
        } else {
            is_refused(&text, "it is nested more than 127 levels deep (line 1");
        }
    }
}

/// Each limit counts what it is there for: memory, or time.
#[test]
fn what_is_held_and_what_is_expanded_have_limits() {
    let limits = Limits { json_bytes: 1_000_000, held_bytes: 300_000, anchors: 100 };
    let refusal = |text: &str| match Writer::new(text.as_bytes(), io::sink(), limits).text() {
        Err(error) => error.to_string(),
        Ok(()) => "nothing".to_owned(),
    };
    let (large, list) = ("x".repeat(100_000), "yyyyyyy, ".repeat(50_000));
    for (text, words) in [
        (format!("- &a {large}\n- [{}]", vec!["*a"; 20].join(", ")), "aliases expanded"),
        (format!("- &a {{x: {large}}}\n- [{}]", "{x: 1, <<: *a}, ".repeat(20)), "aliases expanded"),
        (format!("- &a {large}\n- &b {large}\n- &c {large}\n- &d {large}"), "anchors and merge keys"),
        (format!("&a {{x: [{list}]}}"), "anchors and merge keys"),
        (format!("{{<<: {{x: [{list}]}}}}"), "anchors and merge keys"),
        ("- &a x\n".repeat(101), "more than 100 anchors"),
        (format!("- [{list}]\n- {large}"), "nothing"),
        (format!("- &a {large}\n- [*a, *a]\n- {{x: 1, <<: {{x: *a}}}}"), "nothing"),
        ("- &a x\n".repeat(100), "nothing"),
    ] {
        let message = refusal(&text);
        assert!(message.contains(words), "{message}: {}", text.get(..40).unwrap_or(&text));
    }
}

/// Takes JSON, and tells how much of it came together at most.
#[derive(Default)]
struct Parts {
    bytes: usize,
    largest: usize,
}

impl Write for Parts {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.bytes += part.len();
        self.largest = self.largest.max(part.len());
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_no_anchor_holds_is_passed_on() {
    let text = format!("tags: &t [a, b]\nservices:\n{}", "- {name: s, tags: *t}\n".repeat(20_000));
    let mut parts = Parts::default();
    to_json(text.as_bytes(), &mut parts).expect("YAML");
    assert!(
        parts.bytes > 8 * PART_BYTES && parts.largest < 2 * PART_BYTES,
        "{} {}",
        parts.bytes,
        parts.largest
    );
}

/// Other readers of YAML take some of these for numbers, times, or ends of lines.
#[test]
fn what_is_written_is_text_for_every_reader() {
    let quoted =
        ["yes", "12:30", "0x1f", "1_000", "2026-11-28", "~", "", "a: b", "a\u{2028}b", "a\u{85}", "\u{feff}"];
    let blocks = ["a\nb\n", "a\nb", "a\n\n", "  a\n b\n"];
    let document =
        json!({"<<": {"x": 1}, "n": quoted, "blocks": blocks, "plain": ["~/a\\d+$", "it's \"b\""]});
    let written = to_yaml(document.as_object().expect("an object"));
    assert_eq!(read(&written), document, "{written}");
    for text in ["- \"yes\"\n", "- \"12:30\"\n", "- \"1_000\"\n", "a\\Lb", "\"<<\":\n", "- |\n  a\n  b\n"] {
        assert!(written.contains(text), "{text:?}: {written}");
    }
}

/// A reader that gives a few bytes at a time, and is interrupted.
struct Drops<'t>(&'t [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let fitting = into.len().min(1 + self.1 % 2);
        self.0.read(into.get_mut(..fitting).unwrap_or_default())
    }
}

#[test]
fn a_text_is_read_in_pieces_of_any_size() {
    let text = "a: \u{1f600}\u{e9}x\u{20ac}\n\u{20ac}: [\u{1f600}, 'b\n  \u{e9}']\n";
    let mut json = Vec::new();
    to_json(Drops(text.as_bytes(), 0), &mut json).expect("YAML");
    let expected = json!({"a": "\u{1f600}\u{e9}x\u{20ac}", "\u{20ac}": ["\u{1f600}", "b \u{e9}"]});
    assert_eq!(serde_json::from_slice::<Value>(&json).expect("JSON"), expected);
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is full"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn failures_of_the_disk_are_no_errors_of_the_text() {
    for (failed, words) in
        [(to_json(Broken, io::sink()), "gone"), (to_json("a: b".as_bytes(), Broken), "full")]
    {
        let Err(YamlError::Io(error)) = failed else { panic!("{failed:?}") };
        assert!(error.to_string().contains(words), "{error}");
    }
}
