//! Calls to the same service in other regions. Every call has a deadline, so a link on which nothing flows costs a second, and
//! never blocks a task.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ids::{Region, ServiceName};
use proto::replication::v1::{ExchangeRequest, FetchRequest, State, replication_client::ReplicationClient};
use replication::{Entry, Origin};
use service::Identity;
use settings::sections::PeerRegion;
use telemetry::TracedChannel;
use tokio::time::timeout;
use tonic::Status;

use crate::trust::{Refused, Trust};

/// Longest time of an exchange. A region that does not answer in time counts as unreachable.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time to fetch a page.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Another region did not answer, or not what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    #[error("no answer in time")]
    TimedOut,
    #[error("{}: {}", .0.code(), .0.message())]
    Refused(Status),
    #[error("its answer cannot be used: {0}")]
    Unusable(&'static str),
    #[error("its answer is not believed: {0}")]
    NotBelieved(#[from] Refused),
    #[error("no such region is configured")]
    Unknown,
}

/// Clients of the other regions. Cheap to clone.
#[derive(Clone, Default)]
pub struct Peers {
    clients: Arc<BTreeMap<Region, ReplicationClient<TracedChannel>>>,
    /// `None` where there is nobody to call.
    trust: Option<Arc<Trust>>,
}

impl Peers {
    /// Connects at first use.
    pub fn new(
        regions: &BTreeMap<Region, PeerRegion>,
        service: ServiceName,
        identity: &Identity,
        trust: Arc<Trust>,
    ) -> anyhow::Result<Self> {
        let client = |(region, peer): (&Region, &PeerRegion)| {
            let channel = service::peer_channel(peer, region, service, identity)?;
            Ok((region.clone(), ReplicationClient::new(channel)))
        };
        let clients: anyhow::Result<_> = regions.iter().map(client).collect();
        Ok(Self { clients: Arc::new(clients?), trust: Some(trust) })
    }

    /// The other regions of the settings, ordered by name.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.clients.keys()
    }

    /// Whether this region has no other.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Announces to `region` how far each log is applied here; answers how far it is there, `fresh` or as of a moment ago.
    pub async fn exchange(&self, region: &Region, state: State, fresh: bool) -> Result<State, Unreachable> {
        let mut client = self.clients.get(region).ok_or(Unreachable::Unknown)?.clone();
        let call = client.exchange(ExchangeRequest { state: Some(state), fresh });
        let answer = timeout(EXCHANGE_TIMEOUT, call).await.map_err(|_| Unreachable::TimedOut)?;
        let answer = answer.map_err(Unreachable::Refused)?.into_inner();
        answer.state.ok_or(Unreachable::Unusable("it has no state"))
    }

    /// At most `limit` entries of `origin` after `after_seq`, in order, as `region` holds them.
    pub async fn fetch(
        &self,
        region: &Region,
        origin: &Origin,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, Unreachable> {
        let mut client = self.clients.get(region).ok_or(Unreachable::Unknown)?.clone();
        let call = client.fetch(FetchRequest { origin: origin.to_string(), after_seq, limit });
        let answer = timeout(FETCH_TIMEOUT, call).await.map_err(|_| Unreachable::TimedOut)?;
        let answer = answer.map_err(Unreachable::Refused)?.into_inner();
        let trust = self.trust.as_ref().ok_or(Unreachable::Unknown)?;
        read_page(trust.admit_page(answer.operations)?, origin, after_seq)
    }
}

/// A page as it was asked for: of that log, dense, from that place.
fn read_page(page: Vec<Entry>, origin: &Origin, after_seq: u64) -> Result<Vec<Entry>, Unreachable> {
    let mut last_seq = after_seq;
    for entry in &page {
        if entry.origin != *origin || Some(entry.position.seq) != last_seq.checked_add(1) {
            return Err(Unreachable::Unusable("it is another part of the log"));
        }
        last_seq = entry.position.seq;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{chain, origin};

    #[test]
    fn a_page_is_dense_and_of_the_log_that_was_asked_for() {
        let (us, eu) = (origin("authz.us"), origin("authz.eu"));
        let log = chain(&us, 1, 6);
        let part = |range: std::ops::Range<usize>| log[range].to_vec();
        assert_eq!(read_page(part(2..5), &us, 2).expect("readable"), log[2..5]);
        assert_eq!(read_page(Vec::new(), &us, 2).expect("readable"), []);
        assert!(read_page(part(2..5), &us, 1).is_err(), "begins too late");
        assert!(read_page(part(2..5), &eu, 2).is_err(), "another log");
        let mut gap = part(0..4);
        gap.remove(1);
        assert!(read_page(gap, &us, 0).is_err(), "not dense");
    }
}
