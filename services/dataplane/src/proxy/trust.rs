//! Proxies that the gateway trusts, such as a load balancer in front of it: what they say of a request's way is believed.
//!
//! The meaning of the settings is Kong's and nginx's. `trusted_ips` are the addresses of the proxies. A request that comes from
//! one of them keeps its forwarding headers. The client's address is read from the header `real_ip_header`: its last
//! address, or, with `real_ip_recursive`, its last address that is not trusted itself.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use settings::AddressRanges;

/// Which proxies are trusted, and how the client's address is read from what they say.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Addresses of the proxies.
    pub proxies: AddressRanges,
    /// The header that holds the client's address, or a list of addresses in which each proxy appended its client.
    pub real_ip_header: HeaderName,
    /// Whether addresses of trusted proxies in that header are skipped.
    pub recursive: bool,
    /// Whether connections of trusted proxies begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

impl Default for Trust {
    /// Nobody is trusted.
    fn default() -> Self {
        Self {
            proxies: AddressRanges::default(),
            real_ip_header: HeaderName::from_static("x-real-ip"),
            recursive: false,
            proxy_protocol: false,
        }
    }
}

impl Trust {
    /// The address of the client of a trusted proxy at `proxy`, as the request's headers say; `proxy` itself if they do not.
    pub fn client(&self, headers: &HeaderMap, proxy: IpAddr) -> IpAddr {
        let mut client = proxy;
        let values = headers.get_all(&self.real_ip_header).into_iter().rev();
        let texts = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit([',', ' ']));
        for text in texts.filter(|text| !text.is_empty()) {
            // What stands before something else than an address was not written by a proxy that is trusted.
            let Some(address) = address(text) else { break };
            client = address;
            if !self.recursive || !self.proxies.contain(client) {
                break;
            }
        }
        client
    }
}

/// The address in `text`, which may have a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(with_port).or_else(bare);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ranges(texts: &[&str]) -> AddressRanges {
        AddressRanges::parse(texts.iter().copied()).unwrap()
    }

    #[test]
    fn the_clients_address_is_read_as_nginx_reads_it() {
        let client = |recursive: bool, values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
            }
            let trust = Trust {
                proxies: ranges(&["10.0.0.0/8"]),
                real_ip_header: HeaderName::from_static("x-forwarded-for"),
                recursive,
                ..Trust::default()
            };
            trust.client(&headers, "10.0.0.1".parse().unwrap()).to_string()
        };
        for (values, last, recursive) in [
            (&[][..], "10.0.0.1", "10.0.0.1"),
            (&["1.1.1.1"], "1.1.1.1", "1.1.1.1"),
            (&["6.6.6.6, 1.1.1.1"], "1.1.1.1", "1.1.1.1"),
            (&["6.6.6.6, 1.1.1.1, 10.0.0.2"], "10.0.0.2", "1.1.1.1"),
            (&["6.6.6.6", "1.1.1.1,10.0.0.2"], "10.0.0.2", "1.1.1.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.2", "10.0.0.3"),
            (&["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2", "10.0.0.2"),
            (&["6.6.6.6, unknown"], "10.0.0.1", "10.0.0.1"),
            (&["1.1.1.1:80"], "1.1.1.1", "1.1.1.1"),
            (&["[2001:db8::1]:80"], "2001:db8::1", "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1", "2001:db8::1"),
            (&["::ffff:1.1.1.1"], "1.1.1.1", "1.1.1.1"),
        ] {
            assert_eq!(client(false, values), last, "{values:?}");
            assert_eq!(client(true, values), recursive, "{values:?}, recursive");
        }
    }
}
