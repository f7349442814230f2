//! What documents of earlier format versions mean in today's: each rule says which version it ends with.
//!
//! Version 1.1 is that of Kong 1, 2.1 that of Kong 2, and 3.0 today's. Sources: the changes that Kong names for its releases 2.0, 2.1 and 3.0.

use serde_json::{Map, Value};

use crate::Kind;

/// A version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V1_1,
    V2_1,
    #[default]
    V3_0,
}

/// Settings that have had another name since Kong 2.1: plugin, earlier name, name.
const RENAMED: [(&str, &str, &str); 8] = [
    ("acl", "whitelist", "allow"),
    ("acl", "blacklist", "deny"),
    ("bot-detection", "whitelist", "allow"),
    ("bot-detection", "blacklist", "deny"),
    ("ip-restriction", "whitelist", "allow"),
    ("ip-restriction", "blacklist", "deny"),
    ("pre-function", "functions", "access"),
    ("post-function", "functions", "access"),
];

impl Version {
    pub(super) const ALL: [Self; 3] = [Self::V1_1, Self::V2_1, Self::V3_0];

    /// As `_format_version` says it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V1_1 => "1.1",
            Self::V2_1 => "2.1",
            Self::V3_0 => super::FORMAT_VERSION,
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// Makes the fields of an entity what they would be in the newest version. What has an unknown form stays as it is.
    pub(super) fn upgrade(self, kind: Kind, map: &mut Map<String, Value>) {
        if self < Self::V2_1 && kind == Kind::Plugin {
            // Kong 1 ran plugins on one of two gateways of a mesh. Without one there is only the first.
            if map.get("run_on").is_some_and(|run_on| run_on.is_null() || run_on == "first") {
                map.remove("run_on");
            }
        }
        if self < Self::V3_0 && kind == Kind::Route {
            upgrade_paths(map);
        }
        if self < Self::V3_0 && kind == Kind::Plugin {
            rename_settings(map);
        }
    }
}

fn rename_settings(map: &mut Map<String, Value>) {
    let renamed: Vec<_> = match map.get("name").and_then(Value::as_str) {
        Some(plugin) => RENAMED.iter().filter(|(of, ..)| *of == plugin).collect(),
        None => return,
    };
    let Some(Value::Object(config)) = map.get_mut("config") else { return };
    for (_, before, now) in renamed {
        if !config.contains_key(*now)
            && let Some(value) = config.remove(*before)
        {
            config.insert((*now).to_owned(), value);
        }
    }
}

fn upgrade_paths(map: &mut Map<String, Value>) {
    let Some(Value::Array(paths)) = map.get_mut("paths") else { return };
    for path in paths {
        if let Value::String(path) = path {
            *path = upgraded_path(path);
        }
    }
}

/// Before version 3.0 nothing marked a regular expression: a path was one if it had a character that a plain path has not. Paths were
/// percent-decoded then before they were compared, and are not since.
fn upgraded_path(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~/%".contains(&byte);
    if path.starts_with("~/") {
        path.to_owned()
    } else if path.bytes().all(is_plain) {
        resolved(&decoded(path, |byte| match byte {
            b'-' | b'.' | b'_' | b'~' => Some(vec![byte]),
            byte if byte.is_ascii_alphanumeric() => Some(vec![byte]),
            _ => None,
        }))
    } else {
        let decoded = decoded(path, |byte| match byte {
            b'!' | b'#'..=b'\'' | b'('..=b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' | b'[' | b']' => None,
            b'.' | b'^' | b'-' | b'{' | b'}' | b'\\' | b'|' => Some(vec![b'\\', byte]),
            _ => Some(vec![byte]),
        });
        format!("~{decoded}")
    }
}

/// Replaces each percent-encoded byte by what `becomes` says. Those that stay, or that make no text, are written with capital letters.
fn decoded(text: &str, becomes: impl Fn(u8) -> Option<Vec<u8>>) -> String {
    let mut parts = text.split('%');
    let mut bytes: Vec<u8> = parts.next().unwrap_or_default().into();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some((digits, byte)) =
            digits.and_then(|digits| Some((digits, u8::from_str_radix(digits, 16).ok()?)))
        else {
            bytes.push(b'%');
            bytes.extend(part.bytes());
            continue;
        };
        match becomes(byte) {
            Some(becomes) => bytes.extend(becomes),
            None => {
                bytes.push(b'%');
                bytes.extend(digits.bytes().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        bytes.extend(part.bytes().skip(2));
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The path without empty and dot segments, as it was compared.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let last = segments.len().saturating_sub(1);
    for (place, segment) in segments.into_iter().enumerate() {
        match segment {
            "" | "." if place < last => {}
            "" | "." => kept.push(""),
            ".." => {
                kept.pop();
                if place == last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    if path.starts_with('/') { format!("/{}", kept.join("/")) } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Version, upgraded_path};
    use crate::Kind;

    #[test]
    fn a_path_of_an_earlier_version_is_an_expression_by_its_characters() {
        for (before, after) in [
            ("/orders", "/orders"),
            ("/a-b_c.d~e/", "/a-b_c.d~e/"),
            ("/", "/"),
            ("/a//b/./c/../d", "/a/b/d"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/%7euser%2Fx%2fy", "/~user%2Fx%2Fy"),
            ("/100%", "/100%"),
            ("/orders/\\d+$", "~/orders/\\d+$"),
            ("/(?<id>[^/]+)/x", "~/(?<id>[^/]+)/x"),
            ("/a|/b", "~/a|/b"),
            ("/caf\u{e9}", "~/caf\u{e9}"),
            ("/a%20b$", "~/a b$"),
            ("/a%2eb%2Fc$", "~/a\\.b%2Fc$"),
            ("/caf%C3%A9$", "~/caf\u{e9}$"),
            ("/%ff$", "~/%ff$"),
            ("~/new/\\d+$", "~/new/\\d+$"),
        ] {
            assert_eq!(upgraded_path(before), after, "{before}");
        }
    }

    #[test]
    fn what_is_upgraded_once_is_not_upgraded_again() {
        for path in ["/a", "/a/\\d+$", "/%7e%2f", "/a%2eb$", "/a//b/../c"] {
            let once = upgraded_path(path);
            assert_eq!(upgraded_path(&once), once, "{path}");
        }
    }

    #[test]
    fn settings_take_their_names_of_today() {
        let upgraded = |version: Version, plugin: Value| {
            let mut plugin = plugin;
            version.upgrade(Kind::Plugin, plugin.as_object_mut().expect("a mapping"));
            plugin
        };
        let before = json!({"name": "acl", "run_on": "first", "config": {"whitelist": ["a"]}});
        let of_two = json!({"name": "acl", "run_on": "first", "config": {"allow": ["a"]}});
        let of_one = json!({"name": "acl", "config": {"allow": ["a"]}});
        assert_eq!(upgraded(Version::V3_0, before.clone()), before);
        assert_eq!(upgraded(Version::V2_1, before.clone()), of_two);
        assert_eq!(upgraded(Version::V1_1, before), of_one);
        let second = json!({"name": "acl", "run_on": "second"});
        assert_eq!(upgraded(Version::V1_1, second.clone()), second, "which would lose what it means");
        let other = json!({"name": "cors", "config": {"whitelist": ["a"]}});
        assert_eq!(upgraded(Version::V1_1, other.clone()), other);
        let both = json!({"name": "acl", "config": {"whitelist": ["a"], "allow": ["b"]}});
        assert_eq!(upgraded(Version::V2_1, both.clone()), both, "the reader refuses the earlier name");
    }
}
