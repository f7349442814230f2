//! Ports for a region that is started, stopped and started again: fixed for its lifetime, free on loopback, and never
//! handed to two regions at once.
//!
//! A port that the kernel chose (port 0) lies in the range that outgoing connections use, so it can be gone when a
//! killed service comes back. These come from below that range, in blocks; a block belongs to the process that locks
//! its file, and is free again when that process ends.

use std::{
    fs::{self, File, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
};

use anyhow::Context;
use random::Random;

/// Ports that regions use: below the kernel's range for outgoing connections (32768 on Linux), above the well-known.
const PORTS: Range<u16> = 12_000..32_000;
/// Ports of one region: about twenty for itself, and three for each data plane.
const BLOCK: u16 = 200;

/// Hands out the ports of one block. Dropping it gives the block back.
#[derive(Debug)]
pub struct Ports {
    left: Range<u16>,
    _lock: File,
}

impl Ports {
    /// Takes a block that no other testbed on this machine uses.
    pub fn reserve() -> anyhow::Result<Self> {
        let user = rustix::process::getuid();
        let locks = std::env::temp_dir().join(format!("landbridge-ports-{user}"));
        fs::create_dir_all(&locks).with_context(|| format!("make {}", locks.display()))?;
        let blocks = (PORTS.end - PORTS.start) / BLOCK;
        let first = u16::try_from(Random::system().number() % u64::from(blocks))?;
        for block in (first..blocks).chain(0..first) {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(locks.join(block.to_string()))?;
            if file.try_lock().is_ok() {
                let start = PORTS.start + block * BLOCK;
                return Ok(Self { left: start..start + BLOCK, _lock: file });
            }
        }
        anyhow::bail!("all {blocks} blocks of ports are in use")
    }

    /// The next free port, as an address on loopback.
    pub fn take(&mut self) -> anyhow::Result<SocketAddr> {
        for port in self.left.by_ref() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            // Something outside the testbed may use it.
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        anyhow::bail!("no free port is left for this region")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_regions_share_no_port() {
        let (mut one, mut two) = (Ports::reserve().expect("a block"), Ports::reserve().expect("a block"));
        let taken: BTreeSet<u16> = (0..20).map(|_| one.take().expect("a port").port()).collect();
        assert_eq!(taken.len(), 20);
        for _ in 0..20 {
            assert!(!taken.contains(&two.take().expect("a port").port()));
        }
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let mut ports = Ports::reserve().expect("a block");
        let busy = ports.left.start;
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, busy));
        assert_ne!(ports.take().expect("a port").port(), busy);
    }

    #[test]
    fn an_exhausted_block_is_an_error() {
        let mut ports = Ports::reserve().expect("a block");
        let error =
            std::iter::repeat_with(|| ports.take()).take(usize::from(BLOCK) + 1).find_map(Result::err);
        assert!(error.expect("runs out").to_string().contains("no free port"));
    }
}
