//! The audit log of the region: this service reads its own entries and asks identity and authz for theirs.
//!
//! Each service's entries of an organization are a chain, in which a place is never filled later. So a list goes on from the place in each
//! chain up to which its reader has come ([`Cursor`]), and misses no entry, whatever its time.

pub mod http;

use std::{collections::BTreeMap, sync::Arc};

use access::Unavailable;
use audit_log::{ChainState, Filter, PAGE_MAX, ReadError, Record, Source};
use futures::future::try_join_all;
use ids::{OrganizationId, ServiceName};
use tokio::sync::Semaphore;

/// Exports that are under way at once, in one process.
const EXPORTS_MAX: usize = 4;

/// How far a reader has come in the chain of each service: the sequence number of the last entry that it has.
pub type Cursor = BTreeMap<ServiceName, u64>;

/// Reads the audit log of the region. Cheap to clone.
#[derive(Clone)]
pub struct AuditLogs {
    sources: Arc<[Source]>,
    exports: Arc<Semaphore>,
}

/// Some entries, in the order of their times as far as their chains allow.
#[derive(Debug)]
pub struct Page {
    pub records: Vec<Record>,
    /// How far its reader has come.
    pub cursor: Cursor,
    /// Whether there are more.
    pub more: bool,
}

impl AuditLogs {
    /// Of these services.
    pub fn new(sources: Vec<Source>) -> Self {
        Self { sources: sources.into(), exports: Arc::new(Semaphore::new(EXPORTS_MAX)) }
    }

    /// At most `size` entries of `organization` behind `after` that `filter` lets through. An error if a service cannot be asked: a page
    /// without its entries would pass for the whole.
    pub async fn page(
        &self,
        organization: OrganizationId,
        after: &Cursor,
        filter: &Filter,
        size: u32,
    ) -> Result<Page, ReadError> {
        let limit = size.saturating_add(1).min(PAGE_MAX);
        let read = |source: &Source| {
            let after = after.get(&source.service()).copied().unwrap_or_default();
            let (source, filter) = (source.clone(), Filter { after, limit, ..filter.clone() });
            async move { source.read(organization, &filter).await }
        };
        let chains = try_join_all(self.sources.iter().map(read)).await?;
        Ok(merge(chains, after.clone(), size))
    }

    /// How far the chain of each service goes.
    pub async fn states(&self, organization: OrganizationId) -> Result<Vec<ChainState>, Unavailable> {
        try_join_all(self.sources.iter().map(|source| source.state(organization))).await
    }
}

/// The first `size` entries of `chains`, whose reader has come to `cursor`.
fn merge(chains: Vec<Vec<Record>>, mut cursor: Cursor, size: u32) -> Page {
    let mut chains: Vec<_> = chains.into_iter().map(|chain| chain.into_iter().peekable()).collect();
    let mut records = Vec::new();
    while records.len() < size as usize {
        let first = chains
            .iter_mut()
            .filter_map(|chain| chain.peek().map(|record| (record.time, record.chain.place.service)))
            .min();
        let Some((_, service)) = first else { break };
        let next =
            chains.iter_mut().find_map(|chain| chain.next_if(|record| record.chain.place.service == service));
        let Some(record) = next else { break };
        cursor.insert(service, record.seq);
        records.push(record);
    }
    let more = chains.iter_mut().any(|chain| chain.peek().is_some());
    Page { records, cursor, more }
}
