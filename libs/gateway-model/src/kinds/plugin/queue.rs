//! How plugins that send log entries elsewhere keep them until they are delivered. The fields of Kong's queues.

use crate::record::{Fields, Rules, decimal, integer, optional_integer, record};

/// Kong's "unlimited".
const SECONDS_MAX: f64 = 1_000_000.0;
/// Bytes that a queue may hold at most.
const BYTES_MAX: u32 = 64 << 20;

/// Makes a record of a queue whose batches have this size unless something else is said.
macro_rules! queue {
    ($Queue:ident, $batch:literal) => {
        record! {
            /// How entries are kept until they are delivered.
            pub struct $Queue {
                /// Entries that are sent together at most.
                pub max_batch_size: u32 = integer($batch, 1..=1_000_000),
                /// Seconds that the first entry of a batch waits for others, if the batch is not full.
                pub max_coalescing_delay: f64 = decimal(1.0, 0.0..=3600.0),
                /// Entries that wait at most. Beyond, the oldest is lost.
                pub max_entries: u32 = integer(10_000, 1..=1_000_000),
                /// Bytes of entries that wait at most; 64 MiB where nothing is said.
                pub max_bytes: Option<u32> = optional_integer(1..=BYTES_MAX),
                /// Seconds for which a batch that cannot be delivered is tried again; -1: it is not.
                pub max_retry_time: f64 = decimal(60.0, -1.0..=SECONDS_MAX),
                /// Seconds before the first further attempt, at most. It doubles with each.
                pub initial_retry_delay: f64 = decimal(0.01, 0.001..=SECONDS_MAX),
                /// Seconds between attempts, at most.
                pub max_retry_delay: f64 = decimal(60.0, 0.001..=SECONDS_MAX),
                /// Batches that are sent at a time: 1, or -1 for as many as the gateway finds good.
                pub concurrency_limit: f64 = decimal(1.0, -1.0..=1.0),
            }
        }

        impl Rules for $Queue {
            fn check(&self, fields: &mut Fields<'_>) {
                if self.concurrency_limit.abs() != 1.0 {
                    fields.fail("concurrency_limit", "must be 1 or -1");
                }
            }
        }
    };
}

queue!(Queue, 1);
queue!(SpanQueue, 200);

impl From<&SpanQueue> for Queue {
    fn from(queue: &SpanQueue) -> Self {
        let SpanQueue {
            max_batch_size,
            max_coalescing_delay,
            max_entries,
            max_bytes,
            max_retry_time,
            initial_retry_delay,
            max_retry_delay,
            concurrency_limit,
        } = *queue;
        Self {
            max_batch_size,
            max_coalescing_delay,
            max_entries,
            max_bytes,
            max_retry_time,
            initial_retry_delay,
            max_retry_delay,
            concurrency_limit,
        }
    }
}
