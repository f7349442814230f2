//! Which known name somebody meant who wrote another one.

/// Most edits between what was written and what is proposed, for a name of this many characters.
const fn edits_max(chars: usize) -> usize {
    if chars < 6 { 1 } else { chars / 3 }
}

/// The name in `known` that `written` was probably meant to be. Case, spaces and punctuation count for nothing: `dry-run` and
/// `dryRun` are `dry_run`.
pub(super) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |name: &str| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(64).collect()
    };
    let written = bare(written);
    if written.is_empty() {
        return None;
    }
    let distance = |name: &'a str| (strsim::damerau_levenshtein(&written, &bare(name)), name);
    let (edits, name) = known.map(distance).min_by_key(|(edits, _)| *edits)?;
    (edits <= edits_max(written.len())).then_some(name)
}
