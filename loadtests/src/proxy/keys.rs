//! The figures that tell whether the gateway is as good as it has to be, from those of the single measurements.

use super::{measure::Way, peers::Peer};
use crate::report::{MICROSECONDS, Report};

/// Records them, as far as there is something to compare with.
pub fn record(report: &mut Report) {
    for peer in Peer::ALL {
        let peer = peer.name();
        let mut over = |key: String, figure: &str| {
            report.record_ratio(&key, &format!("gateway.{figure}"), &format!("{peer}.{figure}"));
        };
        over(format!("gateway_over_{peer}_cpu"), "closed.cpu_per_request");
        for way in Way::OTHERS {
            over(format!("{}_over_{peer}_cpu", way.name()), &format!("{}.cpu_per_request", way.name()));
        }
        over(format!("open_p99_over_{peer}"), "open.latency.p99");
        for figure in ["closed.requests", "closed.cpu_per_request", "open.latency.p50", "open.latency.p99"] {
            over(format!("gateway_over_{peer}.{figure}"), figure);
        }
    }
    let cpu = |name: &str| format!("{name}.closed.cpu_per_request");
    report.record_difference("key_auth_cost_us", MICROSECONDS, &cpu("gateway"), &cpu("gateway_without_keys"));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Pace;

    #[test]
    fn the_keys_are_those_that_are_documented() {
        let mut report = Report::new("proxy", Pace { rounds: 2, round: Duration::from_secs(1) });
        let ways = [Way::Closed].into_iter().chain(Way::OTHERS).map(Way::name);
        for figure in ways.map(|way| format!("{way}.cpu_per_request")).chain(["open.latency.p99".to_owned()])
        {
            for (name, rounds) in
                [("gateway", [30.0, 50.0]), ("nginx", [40.0, 40.0]), ("envoy", [90.0, 100.0])]
            {
                for value in rounds {
                    report.record(format!("{name}.{figure}"), MICROSECONDS, value);
                }
            }
        }
        for value in [29.0, 47.0] {
            report.record("gateway_without_keys.closed.cpu_per_request", MICROSECONDS, value);
        }
        record(&mut report);
        for key in [
            "gateway_over_nginx_cpu",
            "open_p99_over_nginx",
            "https_over_nginx_cpu",
            "https_handshake_over_nginx_cpu",
            "https_resumed_over_nginx_cpu",
            "h2_over_nginx_cpu",
            "body_over_nginx_cpu",
        ] {
            assert_eq!(report.figure(key), Some(1.0), "{key}");
        }
        assert_eq!(report.figure("gateway_over_envoy_cpu"), Some((30.0 / 90.0 + 0.5) / 2.0));
        assert_eq!(report.figure("key_auth_cost_us"), Some(2.0));
        assert_eq!(report.figure("gateway_over_haproxy_cpu"), None, "it was not measured");
    }
}
