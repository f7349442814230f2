//! Whom plugins call besides upstreams, and how: log receivers, identity providers, servers of shared counts, mirrors.
//!
//! All of them are called in one way. A name is resolved as the names of upstreams are. An address that no upstream may have is not
//! called, whatever name leads to it. TLS is spoken as with upstreams. Example: an http-log at `http://127.0.0.1:8001` gives no entry to
//! the gateway's own admin port.
//!
//! [`Calls`] opens connections, and [`Caller`] sends HTTP requests on connections that it keeps. Every call has limits of time and size.
//!
//! Knows nothing of plugins and of requests. Used by plugins, by their deliveries and by their counters.

mod caller;
mod reach;

pub use self::{
    caller::{ANSWER_MAX, Caller, CallerSettings},
    reach::{Calls, TlsWith, Unreachable},
};
