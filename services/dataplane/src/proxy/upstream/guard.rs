//! Addresses that no upstream may have, whatever name leads to them: the gateway's own listeners, and addresses that only
//! this machine can reach. Checked for each new connection, after the name was resolved.
//!
//! Example: a route to `http://127.0.0.1:8001` would give the admin port to every client. One to `http://169.254.169.254` would give
//! away the credentials that a cloud has for this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::{Ipv4Net, Ipv6Net};

/// Link-local addresses, and those at which clouds serve metadata and credentials outside of them: Alibaba, Azure.
const LINK_LOCAL_4: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32),
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
];
/// The same in IPv6: AWS, Google, Scaleway.
const LINK_LOCAL_6: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
];
/// NAT64 reaches IPv4 addresses by these (RFC 6052): the address is in the last four bytes.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Why nothing is sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The gateway listens there itself.
    #[error("the upstream's address is one of this gateway's own")]
    Own,
    /// It is link-local, or that of a cloud's metadata service.
    #[error(
        "the upstream's address is link-local, or that of a cloud's metadata service; the setting \
         allow_link_local_upstreams allows it"
    )]
    LinkLocal,
}

/// Decides which addresses upstreams may have.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Where the gateway listens, its admin port included.
    pub own: Vec<SocketAddr>,
    /// Whether link-local addresses may be upstreams.
    pub allows_link_local: bool,
}

impl Guard {
    /// Whether a connection may be opened to `address`.
    pub fn check(&self, address: SocketAddr) -> Result<(), Forbidden> {
        let ip = reached(address.ip());
        if self.own.iter().any(|own| own.port() == address.port() && is_at(own.ip().to_canonical(), ip)) {
            return Err(Forbidden::Own);
        }
        let is_link_local = match ip {
            IpAddr::V4(ip) => LINK_LOCAL_4.iter().any(|range| range.contains(&ip)),
            IpAddr::V6(ip) => LINK_LOCAL_6.iter().any(|range| range.contains(&ip)),
        };
        if is_link_local && !self.allows_link_local { Err(Forbidden::LinkLocal) } else { Ok(()) }
    }
}

/// The address that a connection to `ip` reaches. One to 0.0.0.0 or :: reaches this machine.
fn reached(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if NAT64.contains(&ip) => {
            let [.., a, b, c, d] = ip.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        ip => ip,
    }
}

/// Whether what listens at `own` is reached at `ip`, on the same port.
fn is_at(own: IpAddr, ip: IpAddr) -> bool {
    own == ip || own.is_unspecified() && is_of_this_machine(ip)
}

/// Whether `ip` is an address of this machine: only such a one can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(own: &[&str]) -> Guard {
        let own = own.iter().map(|address| address.parse().unwrap()).collect();
        Guard { own, allows_link_local: false }
    }

    #[test]
    fn no_spelling_of_an_own_address_is_an_upstream() {
        let loopback = guard(&["127.0.0.1:8001", "[::1]:8002"]);
        let everywhere = guard(&["0.0.0.0:8000", "[::]:8001", "[::1]:8002"]);
        for address in ["127.0.0.1:8001", "0.0.0.0:8001", "[::ffff:127.0.0.1]:8001", "[::ffff:0.0.0.0]:8001"]
        {
            let address = address.parse().unwrap();
            assert_eq!(loopback.check(address), Err(Forbidden::Own), "{address}");
            assert_eq!(everywhere.check(address), Err(Forbidden::Own), "{address}");
        }
        for address in ["[::1]:8002", "[::]:8002"] {
            assert_eq!(loopback.check(address.parse().unwrap()), Err(Forbidden::Own), "{address}");
        }
        for address in ["127.0.0.2:8000", "127.1.2.3:8001", "[::1]:8001", "[64:ff9b::7f00:1]:8000"] {
            assert_eq!(everywhere.check(address.parse().unwrap()), Err(Forbidden::Own), "{address}");
        }
        for address in ["127.0.0.1:8003", "203.0.113.1:8001", "[2001:db8::1]:8001"] {
            assert_eq!(everywhere.check(address.parse().unwrap()), Ok(()), "{address}");
            assert_eq!(loopback.check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn link_local_addresses_are_upstreams_only_where_allowed() {
        for address in [
            "169.254.169.254:80",
            "169.254.0.1:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[fe80::1]:80",
            "[febf::1]:80",
            "[fd00:ec2::254]:80",
            "[fd00:ec2::23]:80",
            "[fd20:ce::254]:80",
            "[fd00:42::42]:80",
            "100.100.100.200:80",
            "168.63.129.16:80",
        ] {
            let address = address.parse().unwrap();
            assert_eq!(guard(&[]).check(address), Err(Forbidden::LinkLocal), "{address}");
            let allowing = Guard { allows_link_local: true, ..guard(&[]) };
            assert_eq!(allowing.check(address), Ok(()), "{address}");
        }
        for address in ["169.253.0.1:80", "10.0.0.1:80", "127.0.0.1:80", "[fd00:ec3::1]:80", "[fec0::1]:80"] {
            assert_eq!(guard(&[]).check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }
}
