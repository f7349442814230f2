//! What the tour of two regions found.

use std::{fmt::Write, time::Duration};

use super::super::milliseconds;

/// What the tour of two regions found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The region where grants are made.
    pub home: String,
    /// Name of the other region.
    pub away: String,
    /// One way.
    pub delay_ms: u64,
    /// From sending the first grant, at home, to the answer of its first use in the other region.
    pub granted_to_used: Duration,
    /// What was done, in order.
    pub rows: Vec<Row>,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// The status that a request was answered with.
    pub status: Option<u16>,
    /// How long it took; `None` where that says nothing.
    pub took: Option<Duration>,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, status: u16, took: Duration) -> Self {
        Self { what: what.into(), status: Some(status), took: Some(took) }
    }

    pub(super) fn time(what: impl Into<String>, took: Duration) -> Self {
        Self { what: what.into(), status: None, took: Some(took) }
    }

    pub(super) fn note(what: impl Into<String>) -> Self {
        Self { what: what.into(), status: None, took: None }
    }
}

impl Report {
    /// As `./dev up` prints it.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.describe_into(&mut text);
        text
    }

    fn describe_into(&self, text: &mut String) -> std::fmt::Result {
        let Self { home, away, delay_ms, granted_to_used: _, rows } = self;
        writeln!(text, "Tour of {home} and {away}, {delay_ms} ms apart one way")?;
        writeln!(
            text,
            "  In {home}, a team is given the role Creator for {away} only, and an account joins it; its token is made in {home}."
        )?;
        writeln!(text, "\n  {:<58} {:>6} {:>12}", "with that token", "status", "time")?;
        for Row { what, status, took } in rows {
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            let took = took.map(milliseconds).unwrap_or_default();
            writeln!(text, "  {}", format!("{what:<58} {status:>6} {took:>12}").trim_end())?;
        }
        writeln!(text, "  Times from sending a request to its answer, by way of the edges.\n")
    }
}
