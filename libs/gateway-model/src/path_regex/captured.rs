//! What one named group of an expression matches in a path.
//!
//! The group is looked for by an expression of its own, in which it is the only group: most expressions are never asked, and how much memory
//! a search needs does not follow how many groups there are.

use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use super::{InvalidPattern, Parsed, parse, translate};

/// Where a match begins and ends, and where its only group does.
const SLOTS: usize = 4;

/// Finds what one group of an expression matches.
#[derive(Debug)]
pub struct CapturedGroup(meta::Regex);

impl CapturedGroup {
    /// Finds what the group `name` of `pattern` matches; `None` if there is no such group. Costs as much as compiling the expression.
    pub fn compile(pattern: &str, name: &str) -> Result<Option<Self>, InvalidPattern> {
        let Parsed { ast, is_unicode, .. } = parse(pattern)?;
        let (hir, is_there) = with_only(&translate(pattern, &ast, is_unicode)?, name);
        if !is_there {
            return Ok(None);
        }
        // Its size is bounded by the cost that was counted. States that are made while matching would only pay for long texts.
        let config = meta::Config::new().utf8_empty(false).nfa_size_limit(None).hybrid(false);
        let built = meta::Builder::new().configure(config).build_from_hir(&hir);
        built.map(|regex| Some(Self(regex))).map_err(|error| InvalidPattern(error.to_string()))
    }

    /// What the group matches where the expression matches `path` from its beginning; `None` if that does not match, or the group takes no
    /// part in it. `path` is ASCII.
    pub fn find<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut slots = [None; SLOTS];
        self.0.search_slots(&Input::new(path).anchored(Anchored::Yes), &mut slots);
        let [.., begin, end] = slots.map(|slot| slot.map(NonMaxUsize::get));
        path.get(begin?..end?)
    }
}

/// The expression without groups other than `name`, and whether that one is there.
fn with_only(hir: &Hir, name: &str) -> (Hir, bool) {
    let all = |parts: &[Hir]| -> (Vec<Hir>, bool) {
        let (parts, found): (Vec<Hir>, Vec<bool>) = parts.iter().map(|part| with_only(part, name)).unzip();
        (parts, found.contains(&true))
    };
    match hir.kind() {
        HirKind::Capture(capture) => {
            let (sub, is_there) = with_only(&capture.sub, name);
            if capture.name.as_deref() != Some(name) {
                return (sub, is_there);
            }
            (Hir::capture(Capture { index: 1, name: capture.name.clone(), sub: Box::new(sub) }), true)
        }
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            let (sub, is_there) = with_only(sub, name);
            (
                Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub: Box::new(sub) }),
                is_there,
            )
        }
        HirKind::Concat(parts) => {
            let (parts, is_there) = all(parts);
            (Hir::concat(parts), is_there)
        }
        HirKind::Alternation(parts) => {
            let (parts, is_there) = all(parts);
            (Hir::alternation(parts), is_there)
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => (hir.clone(), false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PathRegex;

    fn group(pattern: &str, name: &str) -> CapturedGroup {
        CapturedGroup::compile(pattern, name).unwrap().unwrap()
    }

    #[test]
    fn a_group_is_found_by_its_name_alone() {
        let pattern = "/(?P<space>\\w+)/(\\d+)/(?<id>[^/]+)?(/more)?";
        let (space, id) = (group(pattern, "space"), group(pattern, "id"));
        assert_eq!((space.find("/a/12/x/y"), id.find("/a/12/x/y")), (Some("a"), Some("x")));
        assert_eq!((space.find("/a/12/"), id.find("/a/12/")), (Some("a"), None), "it takes no part");
        assert_eq!((space.find("/a/b/x"), space.find("x/a/12/x")), (None, None), "nothing matches");
        assert_eq!(group("/(?<id>\\d*)x", "id").find("/x"), Some(""), "it takes part");
        for none in ["1", "2", "other", ""] {
            assert!(CapturedGroup::compile(pattern, none).unwrap().is_none(), "{none}");
        }
        assert!(CapturedGroup::compile("/(", "id").is_err());
    }

    #[test]
    fn it_is_read_as_the_expression_is() {
        assert_eq!(group("/(?u:\u{e9})?(?<id>\\w+)", "id").find("/ab%C3"), Some("ab"));
        assert_eq!(group("/(?<id>a|ab)(c|bcd)?", "id").find("/abcd"), Some("a"), "the first choice");
        assert_eq!(group("/((?<id>[ab])-?){1,9}", "id").find("/a-b-a-"), Some("a"), "the last repetition");
        let long = format!("/{}", "(?<n>\\w)".replace("?<n>", "?<id>") + &"(\\w)".repeat(200));
        assert_eq!(group(&long, "id").find(&format!("/{}", "b".repeat(10_000))), Some("b"));
    }

    proptest! {
        /// The crate `regex`, which was written by the same people and shares their parser, but none of the above.
        #[test]
        fn it_finds_what_another_matcher_finds(path in "/[ab1/]{0,12}") {
            for pattern in ["/(?<id>a*)(b|1)?/", "/(a|(?<id>b+))*1?", "/(?:(?<id>[ab]+?)/|1)+", "/(?<other>.)?(?<id>a|)b"] {
                let own = group(pattern, "id");
                let other = regex::Regex::new(&format!("^(?:{pattern})")).unwrap();
                let expected = other.captures(&path).and_then(|found| Some(found.name("id")?.as_str()));
                prop_assert_eq!(own.find(&path), expected, "{} in {}", pattern, path);
                prop_assert_eq!(PathRegex::compile(pattern).unwrap().is_match(&path), other.is_match(&path));
            }
        }
    }
}
