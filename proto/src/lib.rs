//! Messages and services between the parts of a region, generated from the `.proto` files beside this crate.
//!
//! The generated code is committed, so a build needs no `protoc`; the crate's test regenerates it and fails on a
//! difference (`./dev gen` writes it).

#![allow(clippy::all, clippy::pedantic, unused_qualifications, reason = "generated code")]

mod codec;

/// The stream between the config service and a gateway: `landbridge/sync/v1`. The crate `sync` explains the protocol.
pub mod sync {
    /// The package `landbridge.sync.v1`.
    pub mod v1 {
        include!("gen/landbridge.sync.v1.rs");

        /// Leaves out the key, so that no log shows it.
        impl std::fmt::Debug for Welcome {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct("Welcome")
                    .field("lease_seconds", &self.lease_seconds)
                    .field("heartbeat_seconds", &self.heartbeat_seconds)
                    .finish_non_exhaustive()
            }
        }
    }
}

/// Entries of logs between the same service of two regions: `landbridge/replication/v1`.
pub mod replication {
    /// The package `landbridge.replication.v1`.
    pub mod v1 {
        include!("gen/landbridge.replication.v1.rs");
    }
}

/// What other services of the region ask identity for, such as whom a token belongs to: `landbridge/identity/v1`.
pub mod identity {
    /// The package `landbridge.identity.v1`.
    pub mod v1 {
        include!("gen/landbridge.identity.v1.rs");
    }
}

/// What identity tells identity of an organization's home region about its people: `landbridge/residence/v1`.
pub mod residence {
    /// The package `landbridge.residence.v1`.
    pub mod v1 {
        include!("gen/landbridge.residence.v1.rs");
    }
}

/// What other services of the region ask authz for, decisions above all; and how identity tells it of principals: `landbridge/authz/v1`.
pub mod authz {
    /// The package `landbridge.authz.v1`.
    pub mod v1 {
        include!("gen/landbridge.authz.v1.rs");
    }
}

/// The audit log of one service, for the one that answers for all of a region: `landbridge/audit/v1`.
pub mod audit {
    /// The package `landbridge.audit.v1`.
    pub mod v1 {
        include!("gen/landbridge.audit.v1.rs");
    }
}
