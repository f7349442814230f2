//! What becomes of a file that was written for another gateway: what is served, and what is not, entity by entity.

use std::fmt;

use gateway_model::{FieldError, Invalid, Kind};

/// What a gateway makes of a file.
#[derive(Debug)]
pub struct Report {
    /// How many entities the file has of each kind, if it can be read.
    counts: Vec<(Kind, usize)>,
    /// What keeps the file from being applied.
    wrong: Invalid,
    /// What is read and not executed.
    unsupported: Vec<FieldError>,
}

impl Report {
    /// Looks through `document`.
    pub fn of(document: &str) -> Report {
        let document = match super::read(document) {
            Ok(document) => document,
            Err(wrong) => return Report { counts: Vec::new(), wrong, unsupported: Vec::new() },
        };
        let wrong = document.entities(super::NAMESPACE, &|_, _| None).err().unwrap_or_default();
        Report { counts: document.counts(), wrong, unsupported: super::unsupported(&document) }
    }

    /// Whether the whole file is served.
    pub fn is_clean(&self) -> bool {
        self.wrong.is_empty() && self.unsupported.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.counts.iter().map(|(kind, count)| format!("{count} {}", kind.section())).collect();
        if !counts.is_empty() {
            writeln!(f, "entities: {}", counts.join(", "))?;
        }
        for fault in &self.wrong.fields {
            writeln!(f, "wrong: {fault}")?;
        }
        if self.wrong.omitted > 0 {
            writeln!(f, "wrong: and {} more", self.wrong.omitted)?;
        }
        for fault in &self.unsupported {
            writeln!(f, "not executed: {fault}")?;
        }
        f.write_str(match (self.wrong.is_empty(), self.unsupported.is_empty()) {
            (true, true) => "everything in the file is served",
            (true, false) => "the file can be served, but for the requests that these plugins are for: they are answered 503",
            (false, _) => "the file cannot be applied until this is mended",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shaped as the file that a self-hosted backend comes with.
    const BACKEND: &str = include_str!("backend.yml");

    #[test]
    fn what_is_not_executed_is_named_by_entity() {
        let report = Report::of(BACKEND);
        assert!(!report.is_clean());
        let text = report.to_string();
        assert!(!text.contains("wrong: "), "{text}");
        let named: Vec<&str> = text.lines().filter(|line| line.starts_with("not executed: ")).collect();
        assert_eq!(named.len(), 1, "{text}");
        assert!(
            named[0].contains("services[4].plugins[2].name") && named[0].contains("`post-function`"),
            "{text}"
        );
        assert!(named[0].contains("line "), "{text}");
        assert!(text.ends_with("they are answered 503"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_named_too_and_a_good_file_is_clean() {
        let text = Report::of("_format_version: '3.0'\nservices: [{name: a}]").to_string();
        assert!(text.contains("wrong: services[0]") && text.ends_with("until this is mended"), "{text}");
        let clean = Report::of("_format_version: '3.0'\nservices: [{name: a, url: 'http://a'}]");
        assert!(clean.is_clean());
        assert_eq!(clean.to_string(), "entities: 1 services\neverything in the file is served");
        assert!(!Report::of("a: [").is_clean());
    }
}
