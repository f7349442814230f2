//! Messages and services between the parts of a region, generated from the `.proto` files beside this crate.
//!
//! The generated code is committed, so a build needs no `protoc`; the crate's test regenerates it and fails on a
//! difference (`./dev gen` writes it).

#![allow(clippy::all, clippy::pedantic, unused_qualifications, reason = "generated code")]

pub mod sync {
    pub mod v1 {
        include!("gen/landbridge.sync.v1.rs");
    }
}

pub mod replication {
    pub mod v1 {
        include!("gen/landbridge.replication.v1.rs");
    }
}

pub mod identity {
    pub mod v1 {
        include!("gen/landbridge.identity.v1.rs");
    }
}

pub mod authz {
    pub mod v1 {
        include!("gen/landbridge.authz.v1.rs");
    }
}
