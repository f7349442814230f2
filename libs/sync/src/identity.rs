//! Who a node is (the SPIFFE id in its certificate), and the name that it expects in the config service's certificate.
//!
//! The config service learns a node's region, control plane and id from the certificate only, never from a message.

use std::{fmt, str::FromStr};

use ids::{ControlPlaneId, NodeId, Region};

/// A node of one control plane in one region.
/// Written as `spiffe://landbridge/region/<region>/control-plane/<uuid>/node/<uuid>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeIdentity {
    /// The region that issued the certificate. It opens streams nowhere else.
    pub region: Region,
    /// The control plane whose configuration the node may read.
    pub control_plane: ControlPlaneId,
    /// The node's own id. It stays when the certificate is renewed.
    pub node: NodeId,
}

/// The text is not exactly what [`NodeIdentity`] is written as.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not the SPIFFE id of a node: spiffe://landbridge/region/<region>/control-plane/<uuid>/node/<uuid>")]
pub struct InvalidIdentity;

impl fmt::Display for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, control_plane, node } = self;
        write!(f, "spiffe://landbridge/region/{region}/control-plane/{control_plane}/node/{node}")
    }
}

impl FromStr for NodeIdentity {
    type Err = InvalidIdentity;

    /// Accepts only the exact text that [`fmt::Display`] writes. Example: a UUID in upper case is an error.
    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let path = text.strip_prefix("spiffe://landbridge/").ok_or(InvalidIdentity)?;
        let mut parts = path.split('/');
        let mut after = |name| {
            let named = parts.next() == Some(name);
            parts.next().filter(|_| named).ok_or(InvalidIdentity)
        };
        let identity = Self {
            region: after("region")?.parse().map_err(|_| InvalidIdentity)?,
            control_plane: after("control-plane")?.parse().map_err(|_| InvalidIdentity)?,
            node: after("node")?.parse().map_err(|_| InvalidIdentity)?,
        };
        // A UUID in upper case parses; it would be a second spelling of the same node.
        if parts.next().is_some() || identity.to_string() != text {
            return Err(InvalidIdentity);
        }
        Ok(identity)
    }
}

/// The DNS name in the certificate of the config service of `region`, as in `sync.eu.landbridge.internal`. A node verifies this name,
/// whatever address it connects to.
#[must_use]
pub fn plane_name(region: &Region) -> String {
    format!("sync.{region}.landbridge.internal")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "spiffe://landbridge/region/eu/control-plane/\
                        0190a2b4-0000-7000-8000-00000000000a/node/0190a2b4-0000-7000-8000-00000000000b";

    #[test]
    fn one_identity_has_one_spelling() {
        let identity: NodeIdentity = TEXT.parse().expect("valid");
        assert_eq!(identity.region.as_str(), "eu");
        assert_eq!(identity.to_string(), TEXT);
        assert_eq!(plane_name(&identity.region), "sync.eu.landbridge.internal");

        let spellings = [
            "",
            "spiffe://landbridge/",
            &TEXT.to_uppercase(),
            &TEXT.replace("00000a", "00000A"),
            &TEXT.replace("landbridge", "elsewhere"),
            &TEXT.replace("/eu/", "/EU/"),
            &TEXT.replace("/node/", "/gateway/"),
            &TEXT.replace("control-plane/", ""),
            &format!("{TEXT}/"),
            &format!("{TEXT}/node/x"),
            &TEXT[..TEXT.len() - 1],
        ];
        for bad in spellings {
            assert_eq!(bad.parse::<NodeIdentity>(), Err(InvalidIdentity), "{bad}");
        }
    }
}
