use serde_json::json;

use super::*;

fn yaml(text: &str) -> Result<Value, serde_norway::Error> {
    let mut budget = Budget::new();
    Tree { budget: &mut budget, merge: true }.deserialize(serde_norway::Deserializer::from_str(text))
}

#[test]
fn merge_keys_fill_what_is_missing() {
    let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\none: {<<: *a, x: 9}\nboth: {<<: [*a, *b]}\n";
    let value = yaml(text).unwrap();
    assert_eq!(value["one"], json!({"x": 9, "y": 1}));
    assert_eq!(value["both"], json!({"x": 1, "y": 1, "z": 2}));
    assert!(yaml("{<<: 5}").unwrap_err().to_string().contains("merge key"));
    assert_eq!(from_json(br#"{"<<": {"x": 1}}"#).unwrap(), json!({"<<": {"x": 1}}));
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert!(from_json(b"1e999").is_err());
    for text in ["123456789012345678901234567890", "-99999999999999999999", ".inf", ".nan"] {
        assert!(yaml(text).is_err(), "{text}");
    }
    // No number in YAML, so a text.
    assert_eq!(yaml("1e999").unwrap(), json!("1e999"));
    assert_eq!(yaml("[0x10, 0o17, 1.5]").unwrap(), json!([16, 15, 1.5]));
}

#[test]
fn a_budget_ends() {
    let mut budget = Budget { nodes: 3, text_bytes: 4, refusal: "too much" };
    let mut read = |text: &'static str| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Tree { budget: &mut budget, merge: false }.deserialize(&mut deserializer)
    };
    assert!(read("[1]").is_ok());
    assert!(read("\"12345\"").is_err());
    assert!(read("[1]").is_err());
}

#[test]
fn foreign_text_is_escaped_and_shortened() {
    assert_eq!(shown("a\u{1b}[31m"), "`a\\u{1b}[31m`");
    assert_eq!(shown(&"é".repeat(100)).chars().count(), SHOWN_CHARS_MAX + 3);
}
