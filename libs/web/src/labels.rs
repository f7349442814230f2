//! Labels: short texts by name, which people give to control planes and teams.

use std::collections::BTreeMap;

use crate::FieldError;

/// Labels by their keys.
pub type Labels = BTreeMap<String, String>;

/// Most labels of one thing.
const LABELS_MAX: usize = 50;
/// Longest key or value of a label, characters.
const LABEL_CHARS_MAX: usize = 63;

/// The labels of a request's field `labels`. One whose value is `null` is left out, as Terraform writes a label that it has not.
pub fn check(given: BTreeMap<String, Option<String>>) -> Result<Labels, FieldError> {
    let labels: Labels = given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let refusal = |field: &str, reason: String| Err(FieldError { field: field.to_owned(), reason });
    if labels.len() > LABELS_MAX {
        return refusal("labels", format!("at most {LABELS_MAX}"));
    }
    for (key, value) in &labels {
        let fits = |text: &str| {
            !text.is_empty() && text.chars().count() <= LABEL_CHARS_MAX && !text.chars().any(char::is_control)
        };
        if !fits(key) || !fits(value) {
            let reason = format!(
                "keys and values have 1 to {LABEL_CHARS_MAX} characters, none of them control characters"
            );
            return refusal(&format!("labels.{key}"), reason);
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{LABEL_CHARS_MAX, LABELS_MAX, check};

    fn of(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn labels_are_short_and_few() {
        assert_eq!(check(of(&[("a", Some("b")), ("gone", None)])).map(|labels| labels.len()), Ok(1));
        let longest = "é".repeat(LABEL_CHARS_MAX);
        check(of(&[(&longest, Some(&longest))])).expect("as long as it may be");
        let longer = format!("{longest}é");
        for (key, value) in
            [("", "b"), ("a", ""), ("a\n", "b"), ("a", "\u{7}"), (&longer, "b"), ("a", &longer)]
        {
            let refused = check(of(&[(key, Some(value))])).expect_err(key);
            assert_eq!(refused.field, format!("labels.{key}"));
        }
        let many = |count: usize| (0..count).map(|n| (n.to_string(), Some("x".to_owned()))).collect();
        check(many(LABELS_MAX)).expect("as many as there may be");
        assert_eq!(check(many(LABELS_MAX + 1)).expect_err("too many").field, "labels");
    }
}
