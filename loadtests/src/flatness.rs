//! What a change of one entity costs both ends, and how long it takes, where the configuration has 1,000, 10,000, 100,000 and 1,000,000
//! entities. A change costs what it changes, so that the largest should cost what the smallest costs.
//!
//! Each size has a control plane and a gateway of its own, in one region. In each round they take turns: first routes are changed and watched,
//! which tells the time, then they are changed and nobody asks the gateway, which tells the cost. Changes come at a fixed rate at which none
//! travels together with another one; `commits` shows that.

use crate::{
    Pace,
    changes::{self, Subject},
    ends::Ends,
    plot::{Chart, chart},
    report::{PER_SECOND, Report},
    stage,
};
use std::time::Duration;

const CHANGES_PER_SECOND: f64 = 40.0;
const WARM_UP: Duration = Duration::from_secs(3);
/// What is compared: the key of the ratio, and that of the figure of each size.
const COMPARED: [(&str, &str); 9] = [
    ("bytes_ratio", "bytes"),
    ("plane_cpu_ratio", "plane_cpu"),
    ("gateway_cpu_ratio", "gateway_cpu"),
    ("time_ratio", "served.p50"),
    ("wire_bytes_ratio", "wire_bytes"),
    ("config_cpu_ratio", "config_cpu"),
    ("postgres_cpu_ratio", "postgres_cpu"),
    ("acknowledged_ratio", "acknowledged.p50"),
    ("served_after_acknowledged_ratio", "served_after_acknowledged.p50"),
];

/// The sizes of the configurations.
#[derive(Debug, clap::Args)]
pub struct Sizes {
    /// Entities of each configuration, the smallest one first. The import of a million takes minutes.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000], value_parser = clap::value_parser!(u32).range(100..=2_000_000))]
    sizes: Vec<u32>,
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, sizes: &Sizes, report: &mut Report) -> anyhow::Result<()> {
    let region = stage::start_region().await?;
    let mut subjects = Vec::new();
    for entities in &sizes.sizes {
        let (label, entities) = (label(*entities), usize::try_from(*entities)?);
        let subject = Subject::prepare(&region, (&format!("{label}."), entities), 1, report).await?;
        subjects.push((label, subject));
    }
    report.record("rate", PER_SECOND, CHANGES_PER_SECOND);
    for (_, subject) in &subjects {
        subject.watched(CHANGES_PER_SECOND, WARM_UP).await?;
    }
    stage::until_quiet(&region, report).await;
    for round in 1..=pace.rounds {
        stage::say(&format!("Round {round} of {}", pace.rounds));
        for (label, subject) in &subjects {
            let outcome = subject.watched(CHANGES_PER_SECOND, pace.round).await?;
            let after = changes::record(report, &format!("{label}."), outcome)?;
            report.record_times(&format!("{label}.served_after_acknowledged"), &after);
            for gateway in subject.gateways() {
                let ends = Ends { region: &region, gateway };
                let idle = ends.idle(pace.round / 2).await?;
                let costing = ends.begin().await?;
                let changes = subject.unwatched(&region, CHANGES_PER_SECOND, pace.round).await?;
                costing.record(label, changes, &idle, report).await?;
            }
        }
    }
    compare(&sizes.sizes, report);
    for (_, subject) in &subjects {
        subject.stop().await?;
    }
    region.stop().await
}

/// The largest over the smallest.
fn compare(sizes: &[u32], report: &mut Report) {
    let (Some(smallest), Some(largest)) = (sizes.first(), sizes.last()) else { return };
    let (smallest, largest) = (label(*smallest), label(*largest));
    report.note(format!("ratios are {largest} entities over {smallest}"));
    for (ratio, figure) in COMPARED {
        report.record_ratio(ratio, &format!("{largest}.{figure}"), &format!("{smallest}.{figure}"));
    }
}

/// As in `10k` and `1m`.
fn label(entities: u32) -> String {
    match entities {
        1_000_000.. if entities.is_multiple_of(1_000_000) => format!("{}m", entities / 1_000_000),
        1_000.. if entities.is_multiple_of(1_000) => format!("{}k", entities / 1_000),
        _ => entities.to_string(),
    }
}

/// Each figure over that of the smallest size.
pub fn draw(sizes: &Sizes, report: &Report) -> String {
    let places: Vec<String> = sizes.sizes.iter().copied().map(label).collect();
    let line = |name: &str, figure: &str| {
        let figure = |label: &String| report.figure(&format!("{label}.{figure}"));
        let first = places.first().and_then(figure).filter(|first| *first > 0.0);
        let points = places.iter().filter_map(|label| Some((label.clone(), figure(label)? / first?)));
        (name.to_owned(), points.collect())
    };
    let lines = [
        ("bytes", "bytes"),
        ("time", "served.p50"),
        ("CPU, plane", "plane_cpu"),
        ("CPU, gateway", "gateway_cpu"),
    ];
    chart(&Chart {
        title: "One entity is changed: cost over that with the fewest entities".to_owned(),
        lines: lines.map(|(name, figure)| line(name, figure)).to_vec(),
        places,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::BYTES;

    #[test]
    fn the_largest_is_compared_with_the_smallest() {
        let sizes = Sizes { sizes: vec![1_000, 100_000, 1_500] };
        let mut report = Report::new("flatness", Pace { rounds: 1, round: Duration::from_secs(1) });
        for (label, bytes) in [("1k", 400.0), ("100k", 500.0), ("1500", 600.0)] {
            report.record(format!("{label}.bytes"), BYTES, bytes);
        }
        compare(&sizes.sizes, &mut report);
        assert_eq!((report.figure("bytes_ratio"), report.figure("time_ratio")), (Some(1.5), None));
        let picture = draw(&sizes, &report);
        assert!(picture.contains(">100k<") && picture.contains(">1.5"), "{picture}");
        assert_eq!(label(1_000_000), "1m");
    }
}
