//! syslog: sends a message for each request to the syslog of this machine.

use std::sync::Arc;

use bytes::Bytes;
use gateway_model::plugin::syslog::{Config, Severity};
use http::StatusCode;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{entry::entry, usual};
use crate::{
    deliveries::{DEV_LOG, Outlet, Syslog},
    plugins::{Compiled, Make, NotExecutable, Phases, Plugin, Transaction},
};

/// How RFC 3164 writes the time.
const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second]");
/// Messages that are sent at once at most.
const BATCH_MAX: usize = 100;

/// The compiled plugin.
#[derive(Debug)]
pub struct SyslogLog {
    outlet: Outlet,
    config: Config,
}

impl Compiled for SyslogLog {
    type Config = Config;
    const PRIORITY: u32 = 4;
    const PHASES: Phases = Phases::LOG;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let (deliveries, syslog) = (make.tools.deliveries(), Arc::new(Syslog::at(DEV_LOG)));
        let outlet = deliveries.outlet(("syslog", make.id), usual(BATCH_MAX), syslog);
        Ok(Self { outlet, config: config.clone() })
    }
}

impl Plugin for SyslogLog {
    fn log(&self, transaction: &Transaction<'_>) {
        let severity = severity(&self.config, transaction.answer.map(|(status, _)| *status));
        // The lower number is the worse.
        if severity.number() <= self.config.log_level.number() {
            let began = OffsetDateTime::from(transaction.began);
            self.outlet.send(message(&self.config, severity, began, &entry(transaction)));
        }
    }
}

/// How bad an answer is; `None`: the client went away before.
fn severity(config: &Config, status: Option<StatusCode>) -> Severity {
    match status.map_or(499, |status| status.as_u16()) {
        ..400 => config.successful_severity,
        400..500 => config.client_errors_severity,
        _ => config.server_errors_severity,
    }
}

/// The datagram, as the C library writes it.
fn message(config: &Config, severity: Severity, at: OffsetDateTime, text: &[u8]) -> Bytes {
    let priority = config.facility.number() * 8 + severity.number();
    let time = at.format(TIME).unwrap_or_default();
    let head = format!("<{priority}>{time} landbridge[{}]: ", std::process::id());
    [head.as_bytes(), text].concat().into()
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::plugins::testing::settings;

    #[test]
    fn messages_have_their_severity_and_facility() {
        let config = json!({
            "facility": "local3", "successful_severity": "debug", "client_errors_severity": "notice", "server_errors_severity": "crit",
        });
        let PluginConfig::Syslog(config) = settings("syslog", config) else {
            panic!("a syslog was asked for")
        };
        for (status, priority) in
            [(Some(200), 159), (Some(302), 159), (Some(404), 157), (Some(503), 154), (None, 157)]
        {
            let status = status.map(|status| StatusCode::from_u16(status).unwrap());
            let severity = severity(&config, status);
            let sent = message(&config, severity, datetime!(2026-03-04 05:06:07 UTC), b"{}");
            let expected = format!("<{priority}>Mar  4 05:06:07 landbridge[{}]: {{}}", std::process::id());
            assert_eq!(sent, expected);
        }
    }
}
