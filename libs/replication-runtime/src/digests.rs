//! Finds rows that do not follow from the log. Regions announce digests of a few organizations at a time; at equal vectors they
//! have to be equal. Where they are not, both regions make the organization's rows anew from its entries, since neither knows
//! whose are wrong.
//!
//! Rows follow from the vector alone only while nothing waits: a revocation takes effect before its turn.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ids::OrganizationId;
use pace::ticks;
use proto::replication::v1::OrganizationDigest;
use replication::Vector;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{metrics, shared::Shared};

/// Organizations in a slice.
const SLICE: u32 = 8;
/// A new slice is announced this often.
const SLICE_INTERVAL: Duration = Duration::from_secs(2);
/// An organization is not made anew more often than this.
const REBUILD_INTERVAL: Duration = Duration::from_secs(60);

/// Digests that wait to be compared, a slice of one region each.
pub const TO_COMPARE_MAX: usize = 4;

/// Makes slices and compares those of others, until `stop`.
pub async fn run(
    shared: Arc<Shared>,
    received: &mut mpsc::Receiver<Vec<OrganizationDigest>>,
    stop: CancellationToken,
) {
    let mut last = None;
    let mut rebuilt = Rebuilt::default();
    let mut ticks = ticks(SLICE_INTERVAL);
    loop {
        let outcome = tokio::select! {
            _ = ticks.tick() => next_slice(&shared, &mut last).await,
            Some(theirs) = received.recv() => compare(&shared, theirs, &mut rebuilt).await,
            () = stop.cancelled() => return,
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "digests were not compared");
        }
    }
}

/// Announces the digests of the organizations after `last`; begins again after the end.
async fn next_slice(shared: &Shared, last: &mut Option<OrganizationId>) -> Result<(), oplog::ReceiveError> {
    if shared.peers.is_empty() || !shared.settled.load(Ordering::Acquire) {
        return Ok(());
    }
    let organizations = shared.log.organizations(*last, SLICE).await?;
    let mut digests = Vec::with_capacity(organizations.len());
    for organization in &organizations {
        let (vector, digest) = shared.log.digest(*organization).await?;
        digests.push(OrganizationDigest {
            organization_id: organization.to_string(),
            digest: digest.to_vec().into(),
            vector: vector.to_wire(),
        });
    }
    *last = organizations.last().copied();
    if !digests.is_empty() {
        shared.slice.send_modify(|slice| {
            slice.round += 1;
            slice.digests = digests;
        });
    }
    Ok(())
}

async fn compare(
    shared: &Shared,
    theirs: Vec<OrganizationDigest>,
    rebuilt: &mut Rebuilt,
) -> Result<(), oplog::ReceiveError> {
    for told in theirs {
        let Ok(organization) = told.organization_id.parse::<OrganizationId>() else { continue };
        let Ok(vector) = Vector::from_wire(&told.vector) else { continue };
        // The cheap question first: most organizations are quiet, but not all.
        if shared.log.organization_vector(organization).await? != vector {
            continue;
        }
        let (at, digest) = shared.log.digest(organization).await?;
        if at != vector || digest.as_slice() == told.digest.as_ref() {
            continue;
        }
        // Asked last, while nothing is applied: what was received meanwhile may explain the difference.
        let _applying = shared.hold_applying().await;
        if !shared.settled.load(Ordering::Acquire) || !rebuilt.may(organization, Instant::now()) {
            continue;
        }
        tracing::error!(%organization, "rows differ from another region's at equal vectors; making them anew");
        ::metrics::counter!(metrics::REBUILDS).increment(1);
        shared.log.rebuild(organization).await?;
        // What was denied early is denied again.
        shared.mark_stale();
    }
    Ok(())
}

/// Which organizations were made anew, and when.
#[derive(Default)]
struct Rebuilt(BTreeMap<OrganizationId, Instant>);

impl Rebuilt {
    /// Whether `organization` may be made anew now, which is then noted.
    fn may(&mut self, organization: OrganizationId, now: Instant) -> bool {
        self.0.retain(|_, at| now.saturating_duration_since(*at) < REBUILD_INTERVAL);
        match self.0.contains_key(&organization) {
            true => false,
            false => {
                self.0.insert(organization, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_is_made_anew_once_an_interval() {
        let organization = |n| OrganizationId::from_uuid(uuid::Uuid::from_u128(n));
        let (mut rebuilt, start) = (Rebuilt::default(), Instant::now());
        assert!(rebuilt.may(organization(1), start));
        assert!(!rebuilt.may(organization(1), start + Duration::from_secs(59)));
        assert!(rebuilt.may(organization(2), start + Duration::from_secs(59)));
        assert!(rebuilt.may(organization(1), start + Duration::from_secs(60)));
        assert_eq!(rebuilt.0.len(), 2);
    }
}
