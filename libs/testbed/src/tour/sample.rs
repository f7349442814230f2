//! A path that a route's regular expression matches.
//!
//! Knows the forms that route paths are written in: literal text, classes, groups (also named), alternatives and the usual
//! repetitions. Whatever it makes is tried against the real expression, so the answer is right or there is none.

use std::{iter::Peekable, str::Chars};

use gateway_model::PathRegex;

/// Deepest nesting of groups.
const DEPTH_MAX: usize = 8;
/// Most characters that `{n}` is written out to.
const REPEAT_MAX: usize = 64;

/// A path that `pattern` (without the `~`) matches and that needs no escaping in a URL; `None` when there is none that
/// this module could make.
pub fn path_for(pattern: &str) -> Option<String> {
    let mut rest = pattern.chars().peekable();
    let path = alternatives(&mut rest, 0)?;
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    let matches = PathRegex::compile(pattern).ok()?.is_match(&path);
    // A path such as `/..` is normalised away before it is matched.
    (rest.next().is_none() && is_plain && matches && !path.contains("..") && !path.contains("//"))
        .then_some(path)
}

type Rest<'a> = Peekable<Chars<'a>>;

/// `a|b`: the first one that is made counts; the others are read all the same.
fn alternatives(rest: &mut Rest<'_>, depth: usize) -> Option<String> {
    let first = sequence(rest, depth)?;
    while rest.next_if_eq(&'|').is_some() {
        sequence(rest, depth)?;
    }
    Some(first)
}

fn sequence(rest: &mut Rest<'_>, depth: usize) -> Option<String> {
    let mut made = String::new();
    while let Some(next) = rest.peek().filter(|next| !"|)".contains(**next)) {
        let atom = match next {
            '^' | '$' => {
                rest.next();
                continue;
            }
            '(' => group(rest, depth)?,
            '[' => class(rest)?.to_string(),
            '\\' => escape(rest)?.to_string(),
            '.' => {
                rest.next();
                "a".to_owned()
            }
            '*' | '+' | '?' | '{' => return None,
            _ => rest.next()?.to_string(),
        };
        made += &atom.repeat(repetitions(rest)?);
    }
    Some(made)
}

fn group(rest: &mut Rest<'_>, depth: usize) -> Option<String> {
    if depth == DEPTH_MAX {
        return None;
    }
    rest.next_if_eq(&'(')?;
    if rest.next_if_eq(&'?').is_some() {
        rest.next_if_eq(&'P');
        match rest.next()? {
            ':' => {}
            // A name: up to the closing bracket.
            '<' => drop(rest.find(|next| *next == '>')?),
            _ => return None,
        }
    }
    let inside = alternatives(rest, depth + 1)?;
    rest.next_if_eq(&')')?;
    Some(inside)
}

/// The first character that a class names.
fn class(rest: &mut Rest<'_>) -> Option<char> {
    rest.next_if_eq(&'[')?;
    let first = match rest.peek()? {
        '^' | '[' => return None,
        '\\' => escape(rest)?,
        _ => rest.next()?,
    };
    loop {
        match rest.next()? {
            ']' => return Some(first),
            '\\' => drop(rest.next()?),
            '[' => return None,
            _ => {}
        }
    }
}

fn escape(rest: &mut Rest<'_>) -> Option<char> {
    rest.next_if_eq(&'\\')?;
    match rest.next()? {
        'd' => Some('1'),
        'w' => Some('a'),
        letter if letter.is_ascii_alphanumeric() => None,
        literal => Some(literal),
    }
}

/// How often the atom before is written: once, unless `{n}` asks for more.
fn repetitions(rest: &mut Rest<'_>) -> Option<usize> {
    let times = if rest.next_if(|next| "+*?".contains(*next)).is_some() {
        1
    } else if rest.next_if_eq(&'{').is_some() {
        let inside: String = std::iter::from_fn(|| rest.next_if(|next| *next != '}')).collect();
        rest.next_if_eq(&'}')?;
        inside.split(',').next()?.parse::<usize>().ok().filter(|least| *least <= REPEAT_MAX)?
    } else {
        return Some(1);
    };
    // Lazy repetition.
    rest.next_if_eq(&'?');
    Some(times)
}

#[cfg(test)]
mod tests {
    use super::path_for;

    #[test]
    fn makes_paths_for_the_usual_forms() {
        for (pattern, path) in [
            ("/orders/(?<id>[0-9]+)/invoice$", "/orders/0/invoice"),
            ("/products/(?P<sku>[A-Z0-9-]+)$", "/products/A"),
            ("/v(?:1|2)/users/\\d+", "/v1/users/1"),
            ("/files/\\w{3}\\.json$", "/files/aaa.json"),
            ("/a(/b(/c)?)*$", "/a/b/c"),
            ("/.+?/end$", "/a/end"),
            ("/[a-f0-9]{8,}$", "/aaaaaaaa"),
        ] {
            assert_eq!(path_for(pattern).as_deref(), Some(path), "{pattern}");
        }
    }

    #[test]
    fn says_so_when_it_cannot() {
        for pattern in
            ["/[^/]+", "/\\p{L}+", "/a{1000}", "/(?i)a", "/a)", "/(a", "/[a", "/a b", "/\\.\\./x", "\\", "{"]
        {
            assert_eq!(path_for(pattern), None, "{pattern}");
        }
        let deep = format!("/{}a{}", "(".repeat(100), ")".repeat(100));
        assert_eq!(path_for(&deep), None);
    }
}
