//! Where a request comes from.

use std::net::IpAddr;

/// The address of the client that a request is made for. An extension of requests; those that come from another region have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);
