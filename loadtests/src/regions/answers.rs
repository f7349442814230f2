//! What a region answered to those who asked it to use a grant or a token: yes, not yet, or no.

use anyhow::Context as _;
use testbed::Answer;

use crate::report::{COUNT, Report};

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200.
    Yes,
    /// 503: the region says that it cannot know now.
    NotYet,
    /// 401, 403 or 404. False where a grant is acknowledged, right where a token is revoked.
    No,
}

impl Verdict {
    /// `None` for a status that means something else.
    fn of(status: u16) -> Option<Self> {
        match status {
            200 => Some(Self::Yes),
            503 => Some(Self::NotYet),
            401 | 403 | 404 => Some(Self::No),
            _ => None,
        }
    }
}

/// How many answers of each kind.
#[derive(Debug, Default)]
pub struct Answers {
    yes: u64,
    not_yet: u64,
    no: u64,
    first_no: Option<String>,
}

impl Answers {
    /// An error for an answer that is neither a yes nor a no.
    pub fn add(&mut self, answer: &Answer) -> anyhow::Result<Verdict> {
        let told = || format!("{} {}", answer.status, answer.text);
        let verdict = Verdict::of(answer.status).with_context(told)?;
        match verdict {
            Verdict::Yes => self.yes += 1,
            Verdict::NotYet => self.not_yet += 1,
            Verdict::No => {
                self.no += 1;
                self.first_no.get_or_insert_with(told);
            }
        }
        Ok(verdict)
    }

    /// Whether at least one answer allowed the request.
    pub fn has_yes(&self) -> bool {
        self.yes > 0
    }

    /// The first no, if there was one.
    pub fn first_no(&self) -> Option<&str> {
        self.first_no.as_deref()
    }
}

/// Records how many answers of each kind there were in a round, as `<key>.200`, `<key>.503` and `<key>.refused`.
pub fn record<'a>(report: &mut Report, key: &str, all: impl Iterator<Item = &'a Answers>) {
    let (mut yes, mut not_yet, mut no) = (0, 0, 0);
    for answers in all {
        yes += answers.yes;
        not_yet += answers.not_yet;
        no += answers.no;
    }
    for (name, count) in [("200", yes), ("503", not_yet), ("refused", no)] {
        report.record(format!("{key}.{name}"), COUNT, count as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Pace;

    #[test]
    fn a_status_is_yes_not_yet_no_or_a_failure() {
        let verdicts = [200, 503, 401, 403, 404].map(Verdict::of);
        let (no, yes, not_yet) = (Some(Verdict::No), Some(Verdict::Yes), Some(Verdict::NotYet));
        assert_eq!(verdicts, [yes, not_yet, no, no, no]);
        assert!([201, 409, 429, 500, 502].into_iter().all(|status| Verdict::of(status).is_none()));
    }

    #[test]
    fn the_answers_of_a_round_are_added_up() {
        let mut report = Report::new("regions", Pace { rounds: 1, round: Duration::from_secs(1) });
        let one = Answers { yes: 1, not_yet: 2, no: 3, first_no: None };
        let other = Answers { yes: 1, ..Answers::default() };
        record(&mut report, "answers", [one, other].iter());
        let counts = ["200", "503", "refused"].map(|name| report.median(&format!("answers.{name}")));
        assert_eq!(counts, [2.0, 2.0, 3.0]);
    }
}
