//! HTTPS to endpoints that organizations name: where an audit log is delivered, and who signs people on.
//!
//! A region calls them from inside its network, so only addresses of the public internet are called, unless a setting says otherwise. A name
//! is looked at when it is resolved, for each connection: whatever it says later, a connection goes to what was checked. Every exchange has a
//! time and a size; redirections are not followed.

#![warn(missing_docs)]

mod address;
mod client;

pub use address::is_public;
pub use client::{Answer, Client, Unreachable};
