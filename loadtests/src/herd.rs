//! Many nodes come back at once after their control plane was away: how soon all of them are current, what they cost it, and how soon those
//! that are back have a change that is made meanwhile.
//!
//! Nodes are real streams over mTLS, each with a certificate of its own, without a store behind them. They dial as gateways do, with the
//! same waits. Their control plane is killed and started again two seconds later; time runs from when it listens again. A node is current
//! once it has acknowledged, on its new stream, the version that was the newest one then.

mod archive;
mod changes;
mod fleet;
mod identity;
mod node;
mod picture;
mod site;

use anyhow::ensure;
use clap::Args;

pub use self::picture::draw;
use self::site::Site;
use crate::{
    Pace, machine,
    report::{BYTES, COUNT, Report},
    stage::say,
};

/// Entities of the control plane.
const ENTITIES: usize = 10_000;
/// Nodes that miss changes meanwhile, and how many.
const BEHIND: (usize, usize) = (1_000, 2_000);
/// Files that this process needs beside one for each node.
const OTHER_FILES: usize = 500;

/// How many nodes there are.
#[derive(Args)]
pub struct Arguments {
    /// Numbers of nodes, one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 2_000, 5_000, 10_000])]
    nodes: Vec<usize>,
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    let most = arguments.nodes.iter().copied().chain([BEHIND.0]).max().unwrap_or_default();
    let files = machine::raise_open_files()?;
    ensure!(
        (most + OTHER_FILES) as u64 <= files,
        "{most} nodes are as many open files, and the system allows {files}: raise its limit (`ulimit -n`), or ask for fewer (`--nodes`)"
    );
    let mut site = Site::start(ENTITIES, most).await?;
    report.record("entities", COUNT, ENTITIES as f64);
    for count in &arguments.nodes {
        let fleet = site.fleet(*count);
        say(&format!("{count} nodes connect"));
        let bytes = site.bytes_per_node(&fleet, *count).await?;
        report.record(format!("nodes_{count}.plane_bytes_per_node"), BYTES, bytes);
        for round in 1..=pace.rounds {
            say(&format!("{count} nodes with nothing missed, round {round} of {}", pace.rounds));
            site.away(&fleet, 0).await?.record(&format!("nodes_{count}"), report)?;
        }
        site.held = fleet.held();
    }
    let fleet = site.fleet(BEHIND.0);
    site.connect(&fleet).await?;
    for round in 1..=pace.rounds {
        say(&format!("{} nodes {} changes behind, round {round} of {}", BEHIND.0, BEHIND.1, pace.rounds));
        site.away(&fleet, BEHIND.1).await?.record("behind", report)?;
    }
    drop(fleet);
    headlines(most, report);
    site.stop().await
}

/// The figures that tell whether the control plane is as good as it has to be.
fn headlines(most: usize, report: &mut Report) {
    for (key, figure) in [
        (format!("all_current_{}_s", short(most)), format!("nodes_{most}.all_current_s")),
        (format!("all_current_{}_behind_s", short(BEHIND.0)), "behind.all_current_s".to_owned()),
    ] {
        report.repeat(&key, &figure);
    }
    for figure in ["plane_bytes_per_node", "fresh_change_p99_ms"] {
        report.repeat(figure, &format!("nodes_{most}.{figure}"));
    }
}

/// As in `10k`.
fn short(count: usize) -> String {
    if count.is_multiple_of(1000) { format!("{}k", count / 1000) } else { count.to_string() }
}
