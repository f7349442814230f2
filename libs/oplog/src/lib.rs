//! The logs of one service in one database: that of this region, which this process may write, and those that other regions
//! wrote. Everything that changes replicated rows passes here.
//!
//! * [`Log`] writes: a handler appends typed operations in a [`LogTx`], and the [`Committer`] commits writers that wait
//!   together in one transaction.
//! * [`Replica`] reads, and takes in the entries of other regions. It is the log without the service's types: what
//!   replication needs.
//! * [`Follower`] yields what entries changed in this database, in the order in which they were applied.
//!
//! A service says what its operations mean by [`Apply`]: it turns an operation into rows, in the transaction that stores the
//! entry. Own operations and those of other regions take the same path, so a log never says more or less than the rows do.
//!
//! Tables: `log_head` (one row; its lock orders all writers), `log_origin` (how far each log is applied), `log_operation` (the
//! entries, kept to serve them to other regions), `log_applied` (what each entry changed, in the local order),
//! `log_organization` (the last entry of each log that touched an organization), `log_signing_region` (which regions
//! sign their logs).
//!
//! Knows nothing of HTTP, tokens or what any service stores. Uses NATS nowhere: that is `libs/replication-runtime`.

mod apply;
pub mod columns;
mod committer;
mod follower;
mod lease;
mod locked;
mod log;
mod migrations;
mod rebuild;
mod receive;
mod replica;
mod restore;
mod signatures;
mod stored;
mod transaction;

pub use apply::{Apply, ApplyError, Operation};
pub use committer::Committer;
pub use follower::{Applied, Batch, Cursor, FollowError, Follower};
pub use lease::Lease;
pub use log::{Log, NotWritten, Written};
pub use migrations::{MIGRATIONS, migrate};
pub use receive::ReceiveError;
pub use replica::{Replica, State};
pub use stored::operation as read_operation;
pub use transaction::{Author, LogTx};
