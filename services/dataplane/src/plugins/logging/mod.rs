//! The plugins that tell others of each request: entries in Kong's format ([`entry`]), and where each plugin sends them.

mod entry;
mod file_log;
mod http_log;
mod sockets;
mod syslog;

use std::time::Duration;

use gateway_model::plugin::queue::Queue;

pub use self::{
    file_log::FileLog,
    http_log::{HttpLog, headers as http_headers, url as http_url},
    sockets::{TcpLog, UdpLog},
    syslog::SyslogLog,
};
use crate::deliveries::{BYTES_MAX, Options};

/// How long a line or datagram waits for others at most: to wake the thread that sends it costs more than the entry itself.
const COALESCING: Duration = Duration::from_millis(10);
/// Batches that are sent at a time where the settings leave it to the gateway.
const AT_A_TIME_MAX: usize = 16;

/// How a queue is worked off that has no settings: up to `batch_max` entries go together.
fn usual(batch_max: usize) -> Options {
    Options { batch_max, coalescing: COALESCING, ..Options::default() }
}

/// How a queue with these settings is worked off.
pub fn options(queue: &Queue) -> Options {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Options {
        batch_max: queue.max_batch_size as usize,
        coalescing: seconds(queue.max_coalescing_delay),
        entries_max: queue.max_entries as usize,
        bytes_max: queue.max_bytes.map_or(BYTES_MAX, |bytes| bytes as usize),
        retry_for: (queue.max_retry_time >= 0.0).then(|| seconds(queue.max_retry_time)),
        retry_pause: seconds(queue.initial_retry_delay),
        retry_pause_max: seconds(queue.max_retry_delay),
        at_a_time: if queue.concurrency_limit < 0.0 { AT_A_TIME_MAX } else { 1 },
    }
}

/// Milliseconds of a setting.
fn millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or_default()
}
