//! What the gateway tells its operators of the requests that pass: counters for Prometheus, a line in the access log, and a span.
//!
//! One way: `handler` begins a [`Record`], into which the files on the request's way note what they find out. It ends with the answer's last
//! byte, or when somebody gives the request up; then its thread's [`Recorder`] counts it in a [`Tally`](tally::Tally), and writes a line if one is wanted
//! (`access_log`). Each thread counts for itself. The tallies of all threads are added up when somebody asks for the metrics
//! ([`Counters`]), and lines travel to the file by a thread of their own (`log_file`). Spans (`trace`) go their own way.

mod access_log;
mod counters;
mod line;
mod log_file;
mod record;
mod tally;
pub mod trace;

pub use self::{
    access_log::{AccessLog, AccessLogOptions},
    counters::{Counters, MetricsOptions, broken, failure},
    log_file::LogFile,
    record::{Record, Recorder},
};
