//! Runs replication between regions: does what `libs/replication` decides, over Postgres, NATS and gRPC.
//!
//! A service starts it once ([`start`]) and keeps the [`Replication`] handle. What runs then:
//!
//! * in every replica: [`exchange`], which tells each other region what is held here and hears what is held there, and the
//!   [`server`] for the same question from there;
//! * in the replica that holds the lease ([`leader`]): the [`publisher`] (this region's log → this region's NATS), a [`puller`] for each
//!   other region (its NATS → here), the [`inbox`] that applies what comes in and fetches what does not, the [`fence`]
//!   before this region's log after a restart of its database, the [`digests`] that prove that rows follow from the log, and the
//!   [`signatures`] of old entries.
//!
//! Whatever comes in passes [`trust`]: an entry counts only if its origin signed it.
//!
//! Postgres is the truth. NATS may lose everything; a region may be away; both cost time only. Every wait and every queue
//! is bounded by a named constant, and everything ends with the process's drain.

mod branch;
mod digests;
mod exchange;
mod fence;
mod fetch;
mod handle;
mod inbox;
mod known;
mod leader;
mod links;
mod metrics;
mod peers;
mod publisher;
mod puller;
mod readiness;
mod recovery;
mod server;
mod shared;
mod signatures;
mod stream;
#[cfg(test)]
mod testing;
mod trust;

use std::{collections::BTreeMap, sync::Arc};

use clock::Clock;
pub use fence::Fence;
pub use handle::{Fenced, RegionStatus, Replication};
use ids::Region;
pub use known::Lag;
use oplog::Replica;
use proto::replication::v1::replication_server::ReplicationServer;
use random::Random;
use replication::Keyring;
pub use server::Server;
use service::{Identity, Process, Weight};
use settings::sections::{PeerRegion, Public};
pub use shared::GENERATION;
use tokio::sync::mpsc;

use crate::{leader::Leader, peers::Peers, puller::Puller, shared::Shared, stream::OwnStream, trust::Trust};

/// What replication is started with.
pub struct Options {
    /// The log of this service in this region; its origin names both.
    pub log: Replica,
    /// The public keys of every log of this service, this region's included.
    pub keys: Keyring,
    /// The other regions.
    pub regions: BTreeMap<Region, PeerRegion>,
    /// This service's certificate and key for calls to other regions.
    pub identity: Identity,
    /// Of this region's NATS.
    pub nats: async_nats::Client,
    /// This region's addresses, as it announces them.
    pub public: Public,
    /// By which the delay of entries is measured.
    pub clock: Clock,
    /// Jitter of pauses, and names of consumers.
    pub random: Random,
}

/// Adds the running parts to `process`. The server goes behind the listener for the same service of other regions.
pub fn start(
    process: &mut Process,
    options: Options,
) -> anyhow::Result<(Replication, ReplicationServer<Server>)> {
    let Options { log, keys, regions, identity, nats, public, clock, random } = options;
    let own = log.origin().clone();
    anyhow::ensure!(!regions.contains_key(own.region()), "regions: `{}` is this region itself", own.region());

    let trust = Arc::new(Trust::new(keys, own.region().clone()));
    let peers = Peers::new(&regions, own.service(), &identity, trust.clone())?;
    let puller = |(region, peer)| Puller::new(&own, region, peer, &identity).map(Arc::new);
    let pullers = regions.iter().map(puller).collect::<anyhow::Result<_>>()?;
    let (compare, to_compare) = mpsc::channel(digests::TO_COMPARE_MAX);
    let shared =
        Arc::new(Shared::new(log, peers, trust.clone(), Fence::Checking, compare, (clock, random.clone())));

    process.check("log", Weight::Shown, readiness::log(&shared));
    process.check("regions", Weight::Shown, readiness::regions(&shared));
    let stream = OwnStream::new(nats, own.clone(), random, trust);
    let leader = Leader { shared: shared.clone(), stream, pullers, to_compare };
    process.task("exchange", exchange::run(shared.clone(), process.drain.clone()));
    process.task("replication", leader.run(process.drain.clone()));

    let others = regions.into_iter().map(|(region, peer)| (region, peer.public));
    let public = others.chain([(own.region().clone(), public)]).collect();
    let replication = Replication { shared: shared.clone(), public: Arc::new(public) };
    Ok((replication, ReplicationServer::new(Server(shared))))
}
