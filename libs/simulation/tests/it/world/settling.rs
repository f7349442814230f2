//! Waiting until nothing moves any more. Simulated time stands still meanwhile; what is waited for is outside of it: Postgres, the disk, and
//! threads.

use std::{fs, time::Duration};

use tokio::task::{spawn_blocking, yield_now};

use super::World;

/// Between two looks whether anything moves.
const LOOK: Duration = Duration::from_micros(300);
/// Looks in a row at which nothing has moved, before nothing counts as moving any more; and while a node has not answered yet, which
/// may be because its disk is full.
const STILL: usize = 2;
const STILL_WITHOUT_ANSWER: usize = 100;
/// Who waits for simulated time has it pass after this many looks.
const LOOKS_BEFORE_TIME: u32 = 100;

impl World {
    /// Returns once nothing moves: no query runs, no message is made, no node works.
    pub async fn settle(&self) {
        let (mut still, mut before) = (0, self.network.activity().0);
        loop {
            for _ in 0..20 {
                yield_now().await;
            }
            pause().await;
            let (moves, works) = self.network.activity();
            if moves != before || !self.database.is_at_rest() || threads_run() {
                (still, before) = (0, moves);
                continue;
            }
            still += 1;
            if still >= if works { STILL_WITHOUT_ANSWER } else { STILL } {
                return;
            }
        }
    }
}

/// Whether another thread of this process runs, or waits for a processor or the disk. One schedule is run at a time, so all that run are its.
fn threads_run() -> bool {
    let own = fs::read_link("/proc/thread-self").expect("a thread");
    let others = fs::read_dir("/proc/self/task").expect("threads").filter_map(|thread| {
        let thread = thread.ok().filter(|thread| Some(&*thread.file_name()) != own.file_name())?;
        fs::read_to_string(thread.path().join("stat")).ok()
    });
    // The state stands behind the name, which is in parentheses.
    others
        .filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with(['R', 'D'])))
        .any(|runs| runs)
}

/// A moment of the machine's time.
async fn pause() {
    #[expect(
        clippy::disallowed_methods,
        reason = "simulated time stands still, and what is waited for is outside of it"
    )]
    let slept = spawn_blocking(|| std::thread::sleep(LOOK));
    slept.await.expect("slept");
}

/// Awaits what needs no message of a node. If it waits for time, time passes.
pub(super) async fn drive<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = pause() => {
                looks += 1;
                if looks.is_multiple_of(LOOKS_BEFORE_TIME) {
                    tokio::time::advance(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
