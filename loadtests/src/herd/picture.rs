//! The curve: how long it takes, and whose CPU time it is, by the number of nodes.

use super::Arguments;
use crate::{
    plot::{self, Panel},
    report::Report,
};

/// Draws what was measured as SVG.
pub fn draw(report: &Report, arguments: &Arguments) -> String {
    let panel = |title: &str, figure: &str, scale: fn(f64, f64) -> f64| {
        let bars = arguments.nodes.iter().filter_map(|count| {
            let value = report.figure(&format!("nodes_{count}.{figure}"))?;
            Some((format!("{count} nodes"), scale(value, *count as f64)))
        });
        Panel { title: title.to_owned(), bars: bars.collect() }
    };
    let seconds = |value: f64, _: f64| value;
    let of_all = |milliseconds: f64, count: f64| milliseconds * count / 1000.0;
    let panels = [
        panel("Until all nodes are current, s", "all_current_s", seconds),
        panel("Until half of them are, s", "half_current_s", seconds),
        panel("CPU time of the control plane, s", "plane_cpu_ms_per_node", of_all),
        panel("CPU time of its database, s", "postgres_cpu_ms_per_node", of_all),
        panel("CPU time of the nodes, s", "nodes_cpu_ms_per_node", of_all),
    ];
    plot::svg("Nodes come back after their control plane was away for two seconds", &panels)
}
