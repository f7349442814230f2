//! CPU time per request of the gateway and its peers, as a picture.

use super::{measure::Way, peers::Peer};
use crate::{
    plot::{Panel, svg},
    report::Report,
};

/// What is shown, from the most usual to the rarest.
const PANELS: [(Way, &str); 6] = [
    (Way::Closed, "HTTP/1.1, kept alive"),
    (Way::Https, "HTTPS (TLS 1.3), kept alive"),
    (Way::Http2, "HTTP/2 over TLS"),
    (Way::Body, "HTTP/1.1, 64 KiB in both directions"),
    (Way::HttpsResumed, "HTTPS, a resumed connection for each request"),
    (Way::HttpsHandshake, "HTTPS, a new connection for each request"),
];

/// A chart of what the report has; shorter is better.
pub fn draw(report: &Report) -> String {
    let names: Vec<_> = ["gateway"].into_iter().chain(Peer::ALL.map(Peer::name)).collect();
    let panels = PANELS.map(|(way, title)| {
        let value = |name: &&str| report.figure(&format!("{name}.{}.cpu_per_request", way.name()));
        let bars = names.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?)));
        Panel { title: title.to_owned(), bars: bars.collect() }
    });
    svg("CPU time per request, µs, on one core: shorter is better", &panels)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Pace, report::MICROSECONDS};

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let mut report = Report::new("proxy", Pace { rounds: 1, round: Duration::from_secs(1) });
        for (key, value) in [("gateway.closed", 20.0), ("nginx.closed", 25.5), ("gateway.h2", 30.0)] {
            report.record(format!("{key}.cpu_per_request"), MICROSECONDS, value);
        }
        let picture = draw(&report);
        for there in ["HTTP/1.1, kept alive", "HTTP/2 over TLS", ">gateway<", ">nginx<", ">25.5<"] {
            assert!(picture.contains(there), "{there}: {picture}");
        }
        for absent in ["envoy", "64 KiB", "HTTPS"] {
            assert!(!picture.contains(absent), "{absent}: {picture}");
        }
    }
}
