//! Fetches what is missing of a log: from its own region, or from any other that holds it.

use std::{cmp::Reverse, time::Duration};

use ids::Region;
use replication::{Entry, Gap, Origin};

use crate::{
    known::HEARD_RECENTLY,
    peers::{Peers, Unreachable},
    server::PAGE_OPERATIONS_MAX,
};

/// A region that failed is not asked again for so long.
const FAILED_PAUSE: Duration = Duration::from_millis(250);
/// A region that failed within this time is asked when no other holds what is missing.
pub const FAILED_MEMORY: Duration = Duration::from_secs(5);

/// A region that may be asked for entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The region to ask.
    pub region: Region,
    /// How far it holds the log.
    pub seq: u64,
    /// Since the region last told how far it holds its logs.
    pub heard_ago: Duration,
    /// Since it last failed to give what it was asked for.
    pub failed_ago: Option<Duration>,
}

/// Whom to ask for what comes after `after_seq`: of the regions that are heard and hold it, one that has not failed lately,
/// the log's own before others, then the one that holds most.
pub fn choose<'a>(origin: &Origin, after_seq: u64, holders: &'a [Holder]) -> Option<&'a Region> {
    let may_be_asked = |holder: &&Holder| {
        holder.seq > after_seq
            && holder.heard_ago <= HEARD_RECENTLY
            && holder.failed_ago.is_none_or(|ago| ago >= FAILED_PAUSE)
    };
    let preference = |holder: &&Holder| {
        let failed_lately = holder.failed_ago.is_some_and(|ago| ago < FAILED_MEMORY);
        (failed_lately, holder.region != *origin.region(), Reverse(holder.seq), holder.region.clone())
    };
    holders.iter().filter(may_be_asked).min_by_key(preference).map(|holder| &holder.region)
}

/// What came of a fetch.
pub struct Fetched {
    /// The log that lacked entries.
    pub origin: Origin,
    /// The region that was asked.
    pub region: Region,
    /// Never empty.
    pub page: Result<Vec<Entry>, Unreachable>,
}

/// Fetches the first page of `gap` from `region`.
pub async fn fetch(peers: Peers, region: Region, gap: Gap) -> Fetched {
    let wanted = gap.up_to.saturating_sub(gap.after_seq);
    let limit = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, PAGE_OPERATIONS_MAX);
    let page = match peers.fetch(&region, &gap.origin, gap.after_seq, limit).await {
        Ok(page) if page.is_empty() => Err(Unreachable::Unusable("it does not hold what it told of")),
        page => page,
    };
    Fetched { origin: gap.origin, region, page }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;

    fn holder(region: &str, seq: u64) -> Holder {
        let region = region.parse().expect("a region");
        Holder { region, seq, heard_ago: Duration::from_millis(100), failed_ago: None }
    }

    fn chosen(holders: &[Holder]) -> Option<&str> {
        choose(&origin("authz.us"), 10, holders).map(Region::as_str)
    }

    #[test]
    fn the_logs_own_region_comes_first_then_whoever_holds_most() {
        assert_eq!(chosen(&[holder("ap", 30), holder("us", 11), holder("eu", 40)]), Some("us"));
        assert_eq!(chosen(&[holder("ap", 30), holder("eu", 40)]), Some("eu"));
        assert_eq!(chosen(&[holder("eu", 40), holder("ap", 40)]), Some("ap"), "always the same of equals");
    }

    #[test]
    fn a_cut_link_is_bridged_by_a_third_region() {
        let mut us = holder("us", 50);
        us.heard_ago = HEARD_RECENTLY + Duration::from_millis(1);
        assert_eq!(chosen(&[us.clone(), holder("ap", 12)]), Some("ap"));
        assert_eq!(chosen(&[us]), None, "nobody who is heard holds it");
    }

    #[test]
    fn nobody_is_asked_for_what_he_does_not_hold() {
        assert_eq!(chosen(&[holder("us", 10), holder("eu", 3)]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn who_failed_is_asked_last_and_not_at_once() {
        let failed =
            |region, millis| Holder { failed_ago: Some(Duration::from_millis(millis)), ..holder(region, 20) };
        assert_eq!(chosen(&[failed("us", 1000), holder("ap", 12)]), Some("ap"));
        assert_eq!(chosen(&[failed("us", 1000), failed("ap", 300)]), Some("us"));
        assert_eq!(chosen(&[failed("us", 100)]), None);
        assert_eq!(chosen(&[failed("us", 100), failed("ap", 300)]), Some("ap"));
        let long_ago = failed("us", 5000);
        assert_eq!(chosen(&[long_ago, holder("ap", 99)]), Some("us"), "forgotten");
    }
}
