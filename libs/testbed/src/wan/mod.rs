//! The wide area network: every path between two regions goes through a TCP relay of ours, in this process.
//!
//! A *link* joins two regions and has two *directions*, each with its own delay, jitter, bandwidth and cut switch
//! ([`direction`]). All connections between the two regions share them, whoever dialled. A cut is a black hole: nothing is
//! reset, nothing is lost. What is under way is held, in bounded buffers, as TCP holds what it has to send again; new
//! connections get nowhere; the heal lets everything flow, in order ([`pump`]).
//!
//! Tests hold a [`Wan`]; `./dev wan` speaks to the one of the running deployment through a socket in its folder
//! ([`control`]).

pub mod control;
pub mod direction;
mod pump;
mod relay;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt::Write,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ids::Region;
use serde::{Deserialize, Serialize};

pub use direction::Conditions;
use direction::Direction;
use relay::Relay;

/// The network between the regions of a deployment. Cheap to clone; the relays end with the last clone.
#[derive(Clone, Debug)]
pub struct Wan {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// From and to.
    directions: BTreeMap<(Region, Region), Arc<Direction>>,
    relays: Mutex<Vec<Relay>>,
}

/// Two names that are not two regions of this deployment.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no link between {from} and {to}")]
pub struct NoSuchLink {
    from: String,
    to: String,
}

/// One direction as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The region that sends.
    pub from: String,
    /// The region that receives.
    pub to: String,
    /// Whether nothing is delivered now.
    pub is_cut: bool,
    /// One-way delay, in milliseconds.
    pub delay_ms: u64,
    /// What chance adds to the delay at most.
    pub jitter_ms: u64,
    /// Bytes per second; unlimited when absent.
    pub bandwidth: Option<u64>,
    /// Open connections that were dialled in this direction.
    pub connections: usize,
    /// Bytes under way or held by a cut.
    pub held_bytes: usize,
    /// Bytes that have been delivered since the start.
    pub delivered_bytes: u64,
}

impl Wan {
    /// Links every region with every other one.
    pub fn new(regions: &[Region], conditions: Conditions) -> Self {
        let pairs = regions.iter().flat_map(|from| regions.iter().map(move |to| (from, to)));
        let directions = pairs
            .filter(|(from, to)| from != to)
            .map(|(from, to)| ((from.clone(), to.clone()), Arc::new(Direction::new(conditions))))
            .collect();
        Self { inner: Arc::new(Inner { directions, relays: Mutex::default() }) }
    }

    /// Opens a path on which `from` dials `target` in `to`; returns the address for `from` to dial instead.
    pub async fn path(&self, from: &Region, to: &Region, target: SocketAddr) -> io::Result<SocketAddr> {
        let directions = self.direction(from.as_str(), to.as_str()).and_then(|there| {
            let back = self.direction(to.as_str(), from.as_str())?;
            Ok((Arc::clone(there), Arc::clone(back)))
        });
        let (there, back) = directions.map_err(io::Error::other)?;
        let relay = Relay::start(target, there, back).await?;
        let address = relay.address();
        self.inner.relays.lock().unwrap_or_else(PoisonError::into_inner).push(relay);
        Ok(address)
    }

    /// Cuts the link between two regions, both ways.
    pub fn cut(&self, a: &str, b: &str) -> Result<(), NoSuchLink> {
        self.cut_one_way(a, b)?;
        self.cut_one_way(b, a)
    }

    /// Holds what `from` sends to `to`; the other direction goes on.
    pub fn cut_one_way(&self, from: &str, to: &str) -> Result<(), NoSuchLink> {
        self.direction(from, to)?.change(|conditions| conditions.is_cut = true);
        Ok(())
    }

    /// Ends a cut, both ways. Fine when there is none.
    pub fn heal(&self, a: &str, b: &str) -> Result<(), NoSuchLink> {
        self.heal_one_way(a, b)?;
        self.heal_one_way(b, a)
    }

    /// Heals what `from` sends to `to`. What was held is delivered.
    pub fn heal_one_way(&self, from: &str, to: &str) -> Result<(), NoSuchLink> {
        self.direction(from, to)?.change(|conditions| conditions.is_cut = false);
        Ok(())
    }

    /// Sets the one-way delay of every direction, for what is sent from now on.
    pub fn delay(&self, delay: Duration) {
        for direction in self.inner.directions.values() {
            direction.change(|conditions| conditions.delay = delay);
        }
    }

    /// Changes one direction as a whole.
    pub fn set(&self, from: &str, to: &str, conditions: Conditions) -> Result<(), NoSuchLink> {
        self.direction(from, to)?.change(|current| *current = conditions);
        Ok(())
    }

    /// All directions.
    pub fn status(&self) -> Vec<Status> {
        let status = |((from, to), direction): (&(Region, Region), &Arc<Direction>)| {
            let (conditions, traffic) = (direction.conditions(), direction.traffic());
            Status {
                from: from.to_string(),
                to: to.to_string(),
                is_cut: conditions.is_cut,
                delay_ms: whole_milliseconds(conditions.delay),
                jitter_ms: whole_milliseconds(conditions.jitter),
                bandwidth: conditions.bandwidth.map(Into::into),
                connections: traffic.connections,
                held_bytes: traffic.held_bytes,
                delivered_bytes: traffic.delivered_bytes,
            }
        };
        self.inner.directions.iter().map(status).collect()
    }

    fn direction(&self, from: &str, to: &str) -> Result<&Arc<Direction>, NoSuchLink> {
        let found = self.inner.directions.iter().find(|((a, b), _)| a.as_str() == from && b.as_str() == to);
        found
            .map(|(_, direction)| direction)
            .ok_or_else(|| NoSuchLink { from: from.to_owned(), to: to.to_owned() })
    }
}

fn whole_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The table that `./dev wan` prints.
pub fn describe(directions: &[Status]) -> String {
    if directions.is_empty() {
        return "One region: there is no link.\n".to_owned();
    }
    let mut text = format!(
        "{:<24} {:<5} {:>8} {:>8} {:>12} {:>12} {:>13} {:>16}\n",
        "link", "state", "delay", "jitter", "bandwidth", "connections", "held", "delivered"
    );
    for direction in directions {
        let bandwidth = direction.bandwidth.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes} B/s"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<24} {:<5} {:>8} {:>8} {bandwidth:>12} {:>12} {:>13} {:>16}",
            format!("{} -> {}", direction.from, direction.to),
            if direction.is_cut { "cut" } else { "open" },
            format!("{} ms", direction.delay_ms),
            format!("{} ms", direction.jitter_ms),
            direction.connections,
            format!("{} B", direction.held_bytes),
            format!("{} B", direction.delivered_bytes),
        );
    }
    text
}
