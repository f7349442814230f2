//! Keeps the addresses of a group's names up to date, for as long as the group is held.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};

use super::{group::Group, names::Names};

/// How many names of one group are asked for at a time.
const CONCURRENCY_MAX: usize = 16;
/// How long a name rests for which there was no answer, at first and at most.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// When a name is asked for next, and how often in turn there was no answer.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    failures: u32,
}

/// Asks for each name of `group` when its answer is over, and for new ones at once.
pub async fn resolve(names: Names, group: Arc<Group>) {
    let (mut changes, mut due) = (group.changes(), BTreeMap::<String, Due>::new());
    loop {
        changes.mark_unchanged();
        let generation = group.generation();
        let held: BTreeSet<String> = group.spread().definition.names().map(str::to_owned).collect();
        due.retain(|name, _| held.contains(name));
        let now = Instant::now();
        let asked = held.into_iter().filter(|name| due.get(name).is_none_or(|due| due.at <= now));
        let asked: Vec<String> = asked.collect();
        let mut answers = stream::iter(asked)
            .map(|name| {
                let failures = due.get(&name).map_or(0, |due| due.failures);
                let (names, group) = (&names, &group);
                async move {
                    let due = ask(names, group, &name, failures).await;
                    (name, due)
                }
            })
            .buffer_unordered(CONCURRENCY_MAX);
        let mut next = Vec::new();
        while let Some(answered) = answers.next().await {
            next.push(answered);
        }
        drop(answers);
        due.extend(next);
        group.note_resolved(generation);
        let wake = due.values().map(|due| due.at).min();
        let woken = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = woken => {}
            // The group is held as long as this runs.
            _ = changes.changed() => {}
        }
    }
}

async fn ask(names: &Names, group: &Group, name: &str, failures: u32) -> Due {
    let before = group.answer(name);
    match names.ask(name, before.as_deref()).await {
        Ok(answer) => {
            if failures > 0 {
                tracing::info!(name, "the name of a target is resolved again");
            }
            let at = answer.until;
            let is_same = before.is_some_and(|before| before.records == answer.records);
            if !is_same {
                tracing::debug!(
                    name,
                    addresses = answer.records.len(),
                    "the name of a target has other addresses"
                );
                if answer.records.is_empty() {
                    tracing::warn!(name, "the name of a target has no address");
                }
            }
            group.resolved(name, Arc::new(answer), is_same);
            Due { at, failures: 0 }
        }
        Err(error) => {
            if failures == 0 {
                let keeps = before.is_some_and(|before| !before.records.is_empty());
                tracing::warn!(name, %error, keeps, "the name of a target cannot be resolved: its last addresses are used");
            }
            let pause = RETRY_MIN.saturating_mul(1 << failures.min(16)).min(RETRY_MAX);
            Due { at: Instant::now() + pause, failures: failures.saturating_add(1) }
        }
    }
}
