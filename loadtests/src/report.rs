//! The figures of a scenario: recorded round by round, shown as a table and written as JSON.
//!
//! Keys are stable and listed in README.md.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use clock::Clock;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::{
    Pace,
    machine::{self, Machine},
    measured::{Samples, median},
};

/// Load per core before a scenario from which on its figures are said to be disturbed.
const BUSY_LOAD_PER_CORE: f64 = 0.25;

/// Unit of times.
pub const MILLISECONDS: &str = "ms";
/// Unit of short times.
pub const MICROSECONDS: &str = "us";
/// Unit of rates.
pub const PER_SECOND: &str = "1/s";
/// Unit of long times.
pub const SECONDS: &str = "s";
/// Unit of memory.
pub const MEBIBYTES: &str = "MiB";
/// Unit of little memory.
pub const BYTES: &str = "bytes";
/// Unit of numbers of things.
pub const COUNT: &str = "count";
/// Unit of one figure over another.
pub const RATIO: &str = "ratio";
/// Hundredths.
pub const PERCENT: &str = "%";

/// Names and thousandths of the percentiles of most times.
const USUAL: [(&str, usize); 2] = [("p50", 500), ("p99", 990)];
/// Of times that are looked at more closely.
const SPREAD: [(&str, usize); 4] = [("p50", 500), ("p90", 900), ("p99", 990), ("max", 1000)];

/// Of times whose distribution is drawn.
pub const DISTRIBUTION: [(&str, usize); 8] = [
    ("p10", 100),
    ("p25", 250),
    ("p50", 500),
    ("p75", 750),
    ("p90", 900),
    ("p95", 950),
    ("p99", 990),
    ("max", 1000),
];

/// What is being found out.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    pace: Pace,
    machine: Machine,
    /// In the order in which they were first recorded.
    series: Vec<Series>,
    notes: Vec<String>,
    /// Wrong answers; they are among the notes too.
    faults: usize,
}

#[derive(Debug)]
struct Series {
    key: String,
    unit: &'static str,
    rounds: Vec<f64>,
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    commit: String,
    measured_at: String,
    rounds: u32,
    round_seconds: u64,
    machine: Machine,
    notes: &'a [String],
    figures: Vec<Figure<'a>>,
}

#[derive(Serialize)]
struct Figure<'a> {
    key: &'a str,
    /// The median of the rounds.
    value: f64,
    unit: &'a str,
    rounds: Vec<f64>,
}

impl Report {
    /// A report of a scenario, without figures yet.
    pub fn new(name: &'static str, pace: Pace) -> Self {
        let machine = Machine::before();
        let busy =
            format!("the machine was busy with other work: load {} before the scenario", machine.load_before);
        let is_busy = machine.load_before > BUSY_LOAD_PER_CORE * machine.cores as f64;
        let notes = if is_busy { vec![busy] } else { Vec::new() };
        Self { name, pace, machine, series: Vec::new(), notes, faults: 0 }
    }

    /// One round's value of a figure.
    pub fn record(&mut self, key: impl Into<String>, unit: &'static str, value: f64) {
        let key = key.into();
        match self.series.iter_mut().find(|series| series.key == key) {
            Some(series) => series.rounds.push(value),
            None => self.series.push(Series { key, unit, rounds: vec![value] }),
        }
    }

    /// One round's 50th and 99th percentile, as `<key>.p50` and `<key>.p99`.
    pub fn record_times(&mut self, key: &str, samples: &Samples) {
        self.record_percentiles(key, samples, &USUAL);
    }

    /// One round's 50th, 90th and 99th percentile and its largest sample, as `<key>.p50` to `<key>.max`.
    pub fn record_spread(&mut self, key: &str, samples: &Samples) {
        self.record_percentiles(key, samples, &SPREAD);
    }

    /// One round's distribution, as `<key>.p10` to `<key>.max`.
    pub fn record_distribution(&mut self, key: &str, samples: &Samples) {
        self.record_percentiles(key, samples, &DISTRIBUTION);
    }

    /// A distribution that was recorded: names of percentiles and values.
    pub fn distribution(&self, key: &str) -> Vec<(String, f64)> {
        let figure = |name: &str| self.figure(&format!("{key}.{name}"));
        DISTRIBUTION.iter().filter_map(|(name, _)| Some(((*name).to_owned(), figure(name)?))).collect()
    }

    fn record_percentiles(&mut self, key: &str, samples: &Samples, percentiles: &[(&str, usize)]) {
        for (name, per_mille) in percentiles {
            self.record(format!("{key}.{name}"), MILLISECONDS, milliseconds(samples.percentile(*per_mille)));
        }
    }

    /// The figure `figure` once more, as `<key>`. Nothing when it is missing.
    pub fn repeat(&mut self, key: &str, figure: &str) {
        let Some(series) = self.series.iter().find(|series| series.key == figure) else { return };
        let (unit, rounds) = (series.unit, series.rounds.clone());
        rounds.into_iter().for_each(|value| self.record(key, unit, value));
    }

    /// The figure `numerator` over the figure `denominator`, round by round, as `<key>`. Nothing when one is missing.
    pub fn record_ratio(&mut self, key: &str, numerator: &str, denominator: &str) {
        let (Some(over), Some(under)) = (self.rounds(numerator), self.rounds(denominator)) else { return };
        let ratios: Vec<f64> =
            over.iter().zip(under).filter(|(_, under)| **under > 0.0).map(|(a, b)| a / b).collect();
        ratios.into_iter().for_each(|ratio| self.record(key, RATIO, ratio));
    }

    /// By how many percent the figure `more` is above the figure `less`, round by round, as `<key>`. Nothing when one is missing.
    pub fn record_excess(&mut self, key: &str, more: &str, less: &str) {
        let (Some(over), Some(under)) = (self.rounds(more), self.rounds(less)) else { return };
        let pairs = over.iter().zip(under).filter(|(_, under)| **under > 0.0);
        let excess: Vec<f64> = pairs.map(|(a, b)| (a / b - 1.0) * 100.0).collect();
        excess.into_iter().for_each(|percent| self.record(key, PERCENT, percent));
    }

    /// The figure `minuend` less the figure `subtrahend`, round by round, as `<key>`. Nothing when one is missing.
    pub fn record_difference(&mut self, key: &str, unit: &'static str, minuend: &str, subtrahend: &str) {
        let (Some(from), Some(less)) = (self.rounds(minuend), self.rounds(subtrahend)) else { return };
        let differences: Vec<f64> = from.iter().zip(less).map(|(a, b)| a - b).collect();
        differences.into_iter().for_each(|difference| self.record(key, unit, difference));
    }

    /// The figure so far; `None` when nothing was recorded.
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.rounds(key).map(median)
    }

    /// The figure so far; 0 when nothing was recorded.
    pub fn median(&self, key: &str) -> f64 {
        self.rounds(key).map(median).unwrap_or_default()
    }

    /// Something that a reader of the figures has to know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// An answer that must not be. The figures are shown all the same, then the scenario fails.
    pub fn fault(&mut self, text: impl Into<String>) {
        self.faults += 1;
        self.note(text);
    }

    /// An error if any answer was wrong.
    pub fn require_no_fault(&self) -> anyhow::Result<()> {
        ensure!(self.faults == 0, "{}: wrong answers; see the notes", self.name);
        Ok(())
    }

    fn rounds(&self, key: &str) -> Option<&[f64]> {
        self.series.iter().find(|series| series.key == key).map(|series| series.rounds.as_slice())
    }

    /// For people: each figure with the smallest and largest of its rounds.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}: medians of {} rounds of {} s\n",
            self.name,
            self.pace.rounds,
            self.pace.round.as_secs()
        );
        for Series { key, unit, rounds } in &self.series {
            let (low, high) =
                rounds.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
            // Writing to a string cannot fail.
            let _ = write!(text, "  {key:<44} {:>12.3} {unit:<6}", median(rounds));
            let _ = if rounds.len() > 1 { writeln!(text, " {low:.3} to {high:.3}") } else { writeln!(text) };
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        text
    }

    /// Writes the report as JSON.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let figures = self.series.iter().map(|Series { key, unit, rounds }| {
            let rounds: Vec<f64> = rounds.iter().copied().map(short).collect();
            Figure { key, value: short(median(&rounds)), unit, rounds }
        });
        let document = Document {
            name: self.name,
            commit: machine::commit(),
            measured_at: Clock::system().now().format(&Rfc3339)?,
            rounds: self.pace.rounds,
            round_seconds: self.pace.round.as_secs(),
            machine: self.machine.after(),
            notes: &self.notes,
            figures: figures.collect(),
        };
        let text = serde_json::to_string_pretty(&document)? + "\n";
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// A time in milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// With three decimals, as written to JSON.
fn short(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_and_ratios_are_taken_round_by_round() {
        let mut report = Report::new("writes", Pace { rounds: 3, round: Duration::from_secs(1) });
        // The machine is slow in the second round, for both.
        for (one, many) in [(10.0, 40.0), (1.0, 5.0), (12.0, 36.0)] {
            report.record("one", PER_SECOND, one);
            report.record("many", PER_SECOND, many);
        }
        report.record_ratio("gain", "many", "one");
        report.record_ratio("nothing", "many", "absent");
        report.record_difference("more", PER_SECOND, "many", "one");
        assert_eq!((report.figure("more"), report.figure("nothing")), (Some(24.0), None));
        assert_eq!((report.median("one"), report.median("gain"), report.median("nothing")), (10.0, 4.0, 0.0));

        let folder = std::env::temp_dir().join(format!("loadtests-{}", uuid::Uuid::new_v4()));
        let path = folder.join("writes.json");
        report.write(&path).expect("written");
        let text = fs::read_to_string(&path).expect("readable");
        fs::remove_dir_all(&folder).expect("removed");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["name"], "writes");
        assert!(document["commit"].is_string() && document["machine"]["cores"].as_u64() > Some(0));
        let keys: Vec<_> =
            document["figures"].as_array().expect("a list").iter().map(|figure| &figure["key"]).collect();
        assert_eq!(keys, ["one", "many", "gain", "more"]);
        assert_eq!(document["figures"][2]["value"], 4.0);
    }

    #[test]
    fn a_fault_is_shown_and_fails_the_scenario() {
        let mut report = Report::new("regions", Pace { rounds: 1, round: Duration::from_secs(1) });
        report.note("only to be known");
        report.require_no_fault().expect("a note is no fault");
        let times = (1..=200).map(Duration::from_millis).collect();
        report.record_spread("used", &Samples::new(times).expect("not empty"));
        report.fault("refused: 403");
        let error = report.require_no_fault().expect_err("a fault").to_string();
        assert!(error.contains("regions"), "{error}");
        let table = report.table();
        assert!(table.contains("refused: 403") && table.contains("used.max"), "{table}");
        let spread = ["p50", "p90", "p99", "max"].map(|name| report.median(&format!("used.{name}")));
        assert_eq!(spread, [100.0, 180.0, 198.0, 200.0]);
    }
}
