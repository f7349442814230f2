//! What replication adds to the answer of `/readyz`. None of it makes a service unready: a region whose log is fenced, or
//! that hears nothing of the others, still reads, decides and serves its gateways.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use tokio::time::Instant;

use crate::{fence::Fence, known::HEARD_RECENTLY, shared::Shared};

/// Whether this region's log takes writes.
pub fn log(shared: &Arc<Shared>) -> impl FnMut() -> Ready<Result<(), String>> + Send + use<> {
    let fence = shared.fence.subscribe();
    move || {
        ready(match &*fence.borrow() {
            Fence::Open => Ok(()),
            Fence::Checking => Err("no writes: the log is being compared with other copies of it".to_owned()),
            Fence::Recovering => {
                Err("no writes: the end of the log is being fetched from other copies".to_owned())
            }
            Fence::Closed(reason) => Err(format!("no writes: {reason}")),
        })
    }
}

/// Whether every other region was heard within the last second.
pub fn regions(shared: &Arc<Shared>) -> impl FnMut() -> Ready<Result<(), String>> + Send + use<> {
    let shared = shared.clone();
    move || {
        let now = Instant::now();
        let is_silent = |region: &&ids::Region| {
            let heard = shared.known.of(region);
            heard.is_none_or(|heard| now.saturating_duration_since(heard.at) > HEARD_RECENTLY)
        };
        let silent: Vec<_> = shared.peers.regions().filter(is_silent).map(ids::Region::as_str).collect();
        ready(if silent.is_empty() { Ok(()) } else { Err(format!("not heard: {}", silent.join(", "))) })
    }
}
