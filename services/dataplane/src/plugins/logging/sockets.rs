//! tcp-log and udp-log: send entries as lines over a connection, and as datagrams.

use std::sync::Arc;

use gateway_model::plugin::{tcp_log, udp_log};

use super::{entry::entry, millis, usual};
use crate::{
    calls::TlsWith,
    deliveries::{Outlet, Tcp, TcpSettings, Udp},
    plugins::{Compiled, Make, NotExecutable, Phases, Plugin, Transaction},
};

/// Entries that are sent at once at most.
const BATCH_MAX: usize = 100;

/// tcp-log, compiled.
#[derive(Debug)]
pub struct TcpLog(Outlet);

/// udp-log, compiled.
#[derive(Debug)]
pub struct UdpLog(Outlet);

impl Compiled for TcpLog {
    type Config = tcp_log::Config;
    const PRIORITY: u32 = 7;
    const PHASES: Phases = Phases::LOG;

    fn new(config: &Self::Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let tcp_log::Config { host, port, timeout, keepalive, tls, tls_sni } = config;
        let settings = TcpSettings {
            host: host.clone(),
            port: *port,
            timeout: millis(*timeout),
            keepalive: millis(*keepalive),
            tls: tls.then(|| TlsWith { name: tls_sni.as_ref().unwrap_or(host).clone(), verify: true }),
        };
        let deliveries = make.tools.deliveries();
        let tcp = Tcp::new(settings, make.tools.calls().clone());
        Ok(Self(deliveries.outlet(("tcp-log", make.id), usual(BATCH_MAX), Arc::new(tcp))))
    }
}

impl Plugin for TcpLog {
    fn log(&self, transaction: &Transaction<'_>) {
        self.0.send(entry(transaction));
    }
}

impl Compiled for UdpLog {
    type Config = udp_log::Config;
    const PRIORITY: u32 = 8;
    const PHASES: Phases = Phases::LOG;

    fn new(config: &Self::Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let deliveries = make.tools.deliveries();
        let to = (config.host.clone(), config.port);
        let udp = Udp::new(to, millis(config.timeout), make.tools.calls().clone());
        Ok(Self(deliveries.outlet(("udp-log", make.id), usual(BATCH_MAX), Arc::new(udp))))
    }
}

impl Plugin for UdpLog {
    fn log(&self, transaction: &Transaction<'_>) {
        self.0.send(entry(transaction));
    }
}
