//! Names of what this crate measures.

/// From the write at its origin to its commit here, by `origin`. Two regions' clocks: good to their difference.
pub const LAG_SECONDS: &str = "landbridge_replication_lag_seconds";
/// Entries that other regions have announced and that are not applied here, by `origin`.
pub const BEHIND: &str = "landbridge_replication_behind_operations";
/// 1 while a log is stopped, by `origin`: by an entry that cannot be read or
/// by a fork.
pub const STOPPED: &str = "landbridge_replication_stopped";
/// Entries applied, by `origin`.
pub const APPLIED: &str = "landbridge_replication_applied_total";
/// Pages fetched from another region, by `region`.
pub const FETCHES: &str = "landbridge_replication_fetches_total";
/// Messages and positions of a log that were not believed because their origin's signature was missing or wrong, by `region`: the
/// one that gave them.
pub const NOT_BELIEVED: &str = "landbridge_replication_not_believed_total";
/// Connections to another region's NATS begun anew, by `region`.
pub const REDIALS: &str = "landbridge_replication_redials_total";
/// Entries published to this region's stream.
pub const PUBLISHED: &str = "landbridge_replication_published_total";
/// Organizations whose rows were made anew because their digest was not another region's.
pub const REBUILDS: &str = "landbridge_replication_rebuilds_total";
/// Recoveries of this region's log after a restore.
pub const RECOVERIES: &str = "landbridge_replication_recoveries_total";
/// 1 while this region's log takes no writes.
pub const FENCED: &str = "landbridge_replication_fenced";
/// 1 while another region is heard, by `region`.
pub const REACHABLE: &str = "landbridge_replication_region_reachable";
