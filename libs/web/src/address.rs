//! Whose request it is, as far as the network knows.

use std::net::IpAddr;

/// The address that a request came from: an extension of the request, set by the listener. Behind an edge it is the address of the
/// edge's client, if the edge's certificate vouches for it. A request that another region forwards has none: that region has judged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// The address of the client of a request that another region has forwarded, as that region says: an extension of such a request. It is
/// noted, and nothing is limited by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ForwardedFor(pub IpAddr);
