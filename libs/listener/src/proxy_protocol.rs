//! The header of the PROXY protocol, versions 1 and 2, by which a load balancer says whose connection it passes on
//! (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>).
//!
//! Exactly the header is read, and no byte behind it. Whoever calls this has checked that the sender is trusted, and limits
//! the time.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What every header of version 2 begins with.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What every header of version 1 begins with.
const V1_START: &[u8] = b"PROXY ";
/// The longest header of version 1, in bytes, with its CRLF (section 2.1).
const V1_MAX: usize = 107;
/// Most bytes of addresses and extensions in a header of version 2. Load balancers send a few hundred.
const V2_BLOCK_MAX: usize = 4096;

/// The connection that the load balancer passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The client's address.
    pub source: SocketAddr,
    /// The address that the client connected to.
    pub destination: SocketAddr,
}

/// The bytes are no header of the PROXY protocol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a trusted proxy sent no valid PROXY protocol header: {0}")]
pub struct Malformed(&'static str);

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// Reads the header. `None` if the load balancer speaks for itself, as in a health check, or does not know the client.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Passed>> {
    let mut start = [0; V2_SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == *V2_SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [command, family, length @ ..] = fixed;
        let length = usize::from(u16::from_be_bytes(length));
        if length > V2_BLOCK_MAX {
            return Err(Malformed("it is too long").into());
        }
        let mut block = vec![0; length];
        stream.read_exact(&mut block).await?;
        return Ok(version_2(command, family, &block)?);
    }
    if !start.starts_with(V1_START) {
        return Err(Malformed("it begins otherwise").into());
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == V1_MAX {
            return Err(Malformed("the line is too long").into());
        }
        line.push(stream.read_u8().await?);
    }
    Ok(version_1(&line)?)
}

/// Reads `PROXY TCP4 source destination source-port destination-port`, with its CRLF.
fn version_1(line: &[u8]) -> Result<Option<Passed>, Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed("it is not ASCII"))?;
    let text = text.strip_suffix("\r\n").ok_or(Malformed("the line does not end"))?;
    let fields: Vec<&str> = text.split(' ').collect();
    let (family, source, destination, source_port, destination_port) = match fields.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", family, source, destination, from, to] => (*family, source, destination, from, to),
        _ => return Err(Malformed("it has not six fields")),
    };
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(Into::into),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(Into::into),
        _ => None,
    };
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let socket = |ip: &str, number: &str| Some(SocketAddr::new(address(ip)?, port(number)?));
    let passed = || {
        let (source, destination) = (socket(source, source_port)?, socket(destination, destination_port)?);
        Some(Passed { source, destination })
    };
    passed().map(Some).ok_or(Malformed("an address or port is not valid"))
}

/// Reads the part behind the signature and the length. Extensions behind the addresses are skipped.
fn version_2(command: u8, family: u8, block: &[u8]) -> Result<Option<Passed>, Malformed> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const UNSPECIFIED: u8 = 0x00;
    const TCP_4: u8 = 0x11;
    const TCP_6: u8 = 0x21;
    match (command, family) {
        (LOCAL, _) | (PROXY, UNSPECIFIED) => Ok(None),
        (PROXY, TCP_4) => addresses::<4, Ipv4Addr>(block).map(Some),
        (PROXY, TCP_6) => addresses::<16, Ipv6Addr>(block).map(Some),
        (PROXY, _) => Err(Malformed("it is not about a TCP connection")),
        _ => Err(Malformed("its version or command is not known")),
    }
}

fn addresses<const N: usize, A>(block: &[u8]) -> Result<Passed, Malformed>
where
    A: From<[u8; N]> + Into<std::net::IpAddr>,
{
    let read = || {
        let (source, rest) = block.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (source_port, rest) = rest.split_first_chunk::<2>()?;
        let (destination_port, _) = rest.split_first_chunk::<2>()?;
        let socket = |address: &[u8; N], port: &[u8; 2]| {
            SocketAddr::new(A::from(*address).into(), u16::from_be_bytes(*port))
        };
        let (source, destination) = (socket(source, source_port), socket(destination, destination_port));
        Some(Passed { source, destination })
    };
    read().ok_or(Malformed("its addresses are cut off"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read_all(bytes: &[u8]) -> io::Result<(Option<Passed>, Vec<u8>)> {
        let mut rest = bytes;
        let passed = read(&mut rest).await?;
        Ok((passed, rest.to_vec()))
    }

    fn passed(source: &str, destination: &str) -> Option<Passed> {
        Some(Passed { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE.as_slice(), &[command, family], &length, block].concat()
    }

    const BLOCK_4: [u8; 12] = [1, 2, 3, 4, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_behind_them() {
        let block_6 = [[0; 15].as_slice(), &[1], &[0; 15], &[2], &[0, 1, 1, 187]].concat();
        let extended = [BLOCK_4.as_slice(), &[4, 0, 1, 9]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 1.2.3.4 10.0.0.1 4660 80\r\n".to_vec(), passed("1.2.3.4:4660", "10.0.0.1:80")),
            (b"PROXY TCP6 ::1 ::2 1 443\r\n".to_vec(), passed("[::1]:1", "[::2]:443")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2(0x21, 0x11, &BLOCK_4), passed("1.2.3.4:4660", "10.0.0.1:80")),
            (v2(0x21, 0x11, &extended), passed("1.2.3.4:4660", "10.0.0.1:80")),
            (v2(0x21, 0x21, &block_6), passed("[::1]:1", "[::2]:443")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &BLOCK_4), None),
            (v2(0x21, 0x00, &[1, 2, 3]), None),
        ] {
            let read = read_all(&[&header, b"GET /".as_slice()].concat()).await.unwrap();
            assert_eq!(read, (expected, b"GET /".to_vec()), "{header:?}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200], b"\r\n".to_vec()].concat();
        let too_long = v2(0x21, 0x11, &[0; V2_BLOCK_MAX + 1]);
        for header in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 4660\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 4660 80 9\r\n".to_vec(),
            b"PROXY TCP4 ::1 10.0.0.1 4660 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 +1 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 65536 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4  10.0.0.1 1 80\r\n".to_vec(),
            b"PROXY UDP4 1.2.3.4 10.0.0.1 1 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 1 80\n\n\n".to_vec(),
            b"PROXY TCP4 1.2".to_vec(),
            long,
            too_long,
            v2(0x21, 0x11, &BLOCK_4[..11]),
            v2(0x21, 0x12, &BLOCK_4),
            v2(0x21, 0x31, &[0; 216]),
            v2(0x11, 0x11, &BLOCK_4),
            v2(0x22, 0x11, &BLOCK_4),
        ] {
            assert!(read_all(&header).await.is_err(), "{:?}", String::from_utf8_lossy(&header));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..80), v1 in any::<bool>()) {
            let start = if v1 { b"PROXY TCP4 1".as_slice() } else { V2_SIGNATURE };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&[start, &tail].concat()));
        }
    }
}
