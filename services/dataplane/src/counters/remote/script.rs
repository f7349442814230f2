//! What is asked of a server.
//!
//! A count is a number under a key of its subject, its period and the start of its window; those of a subject are in one slot of a cluster. It
//! goes when the window after its own is over.

use std::{fmt::Write as _, sync::LazyLock};

use redis::{RedisResult, Script, aio::MultiplexedConnection};

use crate::counters::{Change, Limit, PERIODS, Period, Subject, Sum, Taken, Windows};

/// Counts if all limits allow it. Keys: for each limit, that of its window and that of the window before. Arguments: the amount; for each limit,
/// its maximum, the share of the window before that still counts, and after how many seconds a count goes. Answers whether it counted; for each
/// limit, both counts as they were before.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local amount, within, answer = tonumber(ARGV[1]), 1, {}
        for i = 1, #KEYS / 2 do
            local most, share = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
            local count, before = tonumber(redis.call('GET', KEYS[2 * i - 1]) or 0), 0
            if share > 0 then
                before = tonumber(redis.call('GET', KEYS[2 * i]) or 0)
            end
            if count + math.floor(before * share) + amount > most then
                within = 0
            end
            answer[2 * i], answer[2 * i + 1] = count, before
        end
        if within == 1 and amount > 0 then
            for i = 1, #KEYS / 2 do
                redis.call('INCRBY', KEYS[2 * i - 1], ARGV[1])
                redis.call('EXPIRE', KEYS[2 * i - 1], ARGV[3 * i + 1])
            end
        end
        answer[1] = within
        return answer",
    )
});

/// See [`crate::counters::Table::take`].
pub(super) async fn take(
    connection: &mut MultiplexedConnection,
    subject: Subject,
    limits: &[Limit],
    windows: Windows,
    now_ms: u64,
    amount: u64,
) -> RedisResult<Taken> {
    let mut asked = TAKE.prepare_invoke();
    asked.arg(amount);
    for limit in limits {
        let window = limit.period.window(now_ms / 1000);
        asked.key(key(subject, limit.period, window.start));
        asked.key(key(subject, limit.period, limit.period.before(window.start)));
        let share = match windows {
            Windows::Fixed => 0.0,
            Windows::Sliding => window.left_ms(now_ms) as f64 / window.length_ms() as f64,
        };
        asked.arg(limit.max).arg(share).arg(lasts(limit.period, window.start, now_ms));
    }
    let answer: Vec<u64> = asked.invoke_async(connection).await?;
    let mut counts = [(0, 0); PERIODS];
    for (count, pair) in counts.iter_mut().zip(answer.get(1..).unwrap_or_default().chunks_exact(2)) {
        *count = (pair[0], pair[1]);
    }
    Ok(Taken::of(answer.first() == Some(&1), limits, &counts, windows, now_ms))
}

/// Something that is counted whatever the limits are.
pub(super) struct Addition {
    key: String,
    amount: u64,
    lasts: u64,
}

impl Addition {
    pub(super) fn new(subject: Subject, period: Period, now_ms: u64, amount: u64) -> Self {
        let start = period.window(now_ms / 1000).start;
        Self { key: key(subject, period, start), amount, lasts: lasts(period, start, now_ms) }
    }
}

/// Counts all of it. Returns what the counts are then.
pub(super) async fn add(
    connection: &mut MultiplexedConnection,
    additions: &[Addition],
) -> RedisResult<Vec<u64>> {
    let mut pipeline = redis::pipe();
    for Addition { key, amount, lasts } in additions {
        pipeline.cmd("INCRBY").arg(key).arg(amount).cmd("EXPIRE").arg(key).arg(lasts).ignore();
    }
    pipeline.query_async(connection).await
}

/// Brings changes to the server. Returns what the counts are then.
pub(super) async fn bring(
    connection: &mut MultiplexedConnection,
    changes: &[Change],
    now_ms: u64,
) -> RedisResult<Vec<Sum>> {
    let addition = |change: &Change| Addition {
        key: key(change.subject, change.period, change.start),
        amount: change.added,
        lasts: lasts(change.period, change.start, now_ms),
    };
    let additions: Vec<_> = changes.iter().map(addition).collect();
    let counts = add(connection, &additions).await?;
    let sum = |(change, count): (&Change, u64)| {
        let Change { subject, period, start, previous, .. } = *change;
        Sum { subject, period, start, count, previous }
    };
    Ok(changes.iter().zip(counts).map(sum).collect())
}

fn key(subject: Subject, period: Period, start: u64) -> String {
    let Subject { scope, kind, who } = subject;
    let mut key = String::with_capacity(112);
    // Writing to a text does not fail.
    let _ = write!(key, "landbridge:count:{{{scope:032x}:{kind}:{who:032x}}}:{}:{start}", period.name());
    key
}

/// Seconds until the window after the one that begins at `start` is over.
fn lasts(period: Period, start: u64, now_ms: u64) -> u64 {
    let next = period.window(period.window(start).end);
    next.end.saturating_sub(now_ms / 1000).max(1)
}
