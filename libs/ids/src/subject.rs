//! The subjects and streams of a region's NATS, all in one place. What services tell each other there is a hint or can be
//! fetched elsewhere; the permissions in `infra/nats` name the same subjects.

use crate::{Region, ServiceName};

/// Entries of a service's log, as its region publishes them.
pub fn log(service: ServiceName, region: &Region) -> String {
    format!("landbridge.log.{service}.{region}")
}

/// The JetStream stream that keeps the entries of a log for other regions.
pub fn log_stream(service: ServiceName, region: &Region) -> String {
    format!("LOG-{service}-{region}")
}

/// A session of the region has ended: services forget what they know of its token.
pub fn session_revoked(region: &Region) -> String {
    format!("landbridge.{region}.identity.session-revoked")
}

/// A control plane of the region has changed: other replicas of config look at the database.
pub fn config_changed(region: &Region) -> String {
    format!("landbridge.{region}.config.changed")
}

/// Where NATS sends answers to a service of the region: nobody else sees them.
pub fn inbox(service: ServiceName, region: &Region) -> String {
    format!("_INBOX.{region}.{service}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_what_running_deployments_use() {
        let us: Region = "us".parse().expect("a region");
        assert_eq!(log(ServiceName::Authz, &us), "landbridge.log.authz.us");
        assert_eq!(log_stream(ServiceName::Identity, &us), "LOG-identity-us");
        assert_eq!(session_revoked(&us), "landbridge.us.identity.session-revoked");
        assert_eq!(inbox(ServiceName::Authz, &us), "_INBOX.us.authz");
        assert_eq!(config_changed(&us), "landbridge.us.config.changed");
    }
}
