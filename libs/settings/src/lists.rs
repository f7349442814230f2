//! Values that are lists. In a file they are usually written as one, in an environment variable usually as a text with commas.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Deserialize;

/// A list as it may be written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    /// `"a, b"`.
    Text(String),
    /// `["a", "b"]`.
    List(Vec<String>),
}

impl Written {
    /// The items, without spaces around them.
    fn into_items(self) -> Vec<String> {
        let list = match self {
            Written::Text(text) if text.trim().is_empty() => Vec::new(),
            Written::Text(text) => text.split(',').map(str::to_owned).collect(),
            Written::List(list) => list,
        };
        list.iter().map(|item| item.trim().to_owned()).collect()
    }
}

/// Names: a list, or a text with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct Names(Vec<String>);

impl Names {
    /// The names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl From<Written> for Names {
    fn from(written: Written) -> Self {
        Self(written.into_items())
    }
}

/// Addresses with ports: a list, or a text with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Addresses(Vec<SocketAddr>);

impl Addresses {
    /// The addresses.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }
}

/// A text is not an address with a port.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an address with a port such as 10.0.0.2:53")]
pub struct InvalidAddress(String);

impl TryFrom<Written> for Addresses {
    type Error = InvalidAddress;

    fn try_from(written: Written) -> Result<Self, InvalidAddress> {
        let address = |text: String| text.parse().map_err(|_| InvalidAddress(text));
        written.into_items().into_iter().map(address).collect::<Result<_, _>>().map(Self)
    }
}

/// Ranges of addresses: a list, or a text with commas, of ranges such as `10.0.0.0/8` and single addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct AddressRanges(Vec<IpNet>);

impl AddressRanges {
    /// The ranges that `texts` write.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidRange> {
        let range = |text: &str| {
            let single = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
            text.parse().ok().or_else(single).ok_or_else(|| InvalidRange(text.to_owned()))
        };
        texts.into_iter().map(range).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `address` is in one of the ranges. An IPv4 address counts as one also in its IPv6 form.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Whether there is no range.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A text is neither an address nor a range.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an address, and not a range such as 10.0.0.0/8")]
pub struct InvalidRange(String);

impl TryFrom<Written> for AddressRanges {
    type Error = InvalidRange;

    fn try_from(written: Written) -> Result<Self, InvalidRange> {
        Self::parse(written.into_items().iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> AddressRanges {
        AddressRanges::parse(texts.iter().copied()).expect("ranges")
    }

    #[test]
    fn ranges_are_lists_or_texts() {
        let read = |json: &str| serde_json::from_str::<AddressRanges>(json);
        let both = ranges(&["10.0.0.0/8", "::1"]);
        assert_eq!(read(r#"["10.0.0.0/8", "::1"]"#).unwrap(), both);
        assert_eq!(read(r#""10.0.0.0/8, ::1""#).unwrap(), both);
        assert!(read(r#""""#).unwrap().is_empty());
        for wrong in [r#""10.0.0.0/33""#, r#""all""#, r#"["10.0.0.0/8", ""]"#, "1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let all = |texts: &[&str], address: &str| ranges(texts).contain(address.parse().unwrap());
        assert!(all(&["10.0.0.0/8"], "10.1.2.3") && all(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(!all(&["10.0.0.0/8"], "11.0.0.1") && !all(&["0.0.0.0/0"], "::2") && all(&["::/0"], "::2"));
        assert!(all(&["::ffff:10.0.0.1"], "10.0.0.1"));
    }
}
