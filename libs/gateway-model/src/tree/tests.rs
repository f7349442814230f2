use super::*;

#[test]
fn numbers_out_of_range_are_refused() {
    assert!(from_json(b"1e999").is_err());
}

#[test]
fn a_budget_ends() {
    let mut budget = Budget { nodes: 3, text_bytes: 4, refusal: "too much" };
    let mut read = |text: &'static str| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Tree { budget: &mut budget }.deserialize(&mut deserializer)
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
