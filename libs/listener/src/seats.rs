//! The connections of one port, and where each comes from.
//!
//! A new connection takes a seat, which counts against its party: the address that it comes from, and once TLS is open, the
//! certificate that the client showed. Where the party has none left, that one of its connections which has been without a
//! request for longest loses its own: it is closed. Where the port has none left, the same holds for the party with most
//! connections, those of certificates last. Only where every one is busy is the new one refused.

use std::{
    collections::{HashMap, hash_map::RandomState},
    future::poll_fn,
    hash::BuildHasher as _,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;

use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, sleep_until};

use crate::Limits;

/// The seats of a port.
#[derive(Clone, Debug)]
pub struct Seats(Arc<Hall>);

#[derive(Debug)]
struct Hall {
    connections_max: usize,
    per_address_max: usize,
    per_certificate_max: usize,
    hashing: RandomState,
    opened: Instant,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    count: usize,
    /// Those that are counted against somebody.
    parties: HashMap<Party, HashMap<u64, Arc<State>>>,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Party {
    /// One IPv4 address, or the /64 of IPv6 that networks give out.
    Address(IpAddr),
    /// A hash of the certificate that the client showed.
    Certificate(u64),
}

#[derive(Debug)]
struct State {
    /// How many requests have begun.
    begun: AtomicU64,
    in_flight: AtomicUsize,
    /// When the last request ended, or the connection began; in milliseconds since the port was opened.
    idle_since: AtomicU64,
    lost: AtomicBool,
    /// Of the one task that serves the connection.
    waker: AtomicWaker,
}

/// The seat of one connection, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    hall: Arc<Hall>,
    number: u64,
    /// Whom it is counted against; `None`: nobody.
    party: Option<Party>,
    state: Arc<State>,
}

/// A request that is under way on a connection, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct InFlight {
    hall: Arc<Hall>,
    state: Arc<State>,
}

impl Seats {
    /// As many as the limits say.
    pub fn new(limits: &Limits) -> Self {
        Self(Arc::new(Hall {
            connections_max: limits.connections_max,
            per_address_max: limits.per_address_max,
            per_certificate_max: limits.per_certificate_max,
            hashing: RandomState::new(),
            opened: Instant::now(),
            taken: Mutex::default(),
        }))
    }

    /// A seat for a connection from `address`, or `None` if there is none and no connection can be closed for it. Without an
    /// address it is counted against nobody, as that of a trusted load balancer.
    pub fn take(&self, address: Option<IpAddr>) -> Option<Seat> {
        Hall::take(&self.0, address.map(Party::at))
    }
}

impl Hall {
    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, party: Option<Party>) -> Option<Seat> {
        let state = Arc::new(State {
            begun: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.now()),
            lost: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let number = self.lock().take(self, party, &state)?;
        Some(Seat { hall: self.clone(), number, party, state })
    }
}

impl Party {
    fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }

    fn max(self, hall: &Hall) -> usize {
        match self {
            Self::Address(_) => hall.per_address_max,
            Self::Certificate(_) => hall.per_certificate_max,
        }
    }
}

impl Taken {
    fn take(&mut self, hall: &Hall, party: Option<Party>, state: &Arc<State>) -> Option<u64> {
        let full = party.filter(|party| self.of(*party) >= party.max(hall));
        if let Some(party) = full {
            self.close_one(party)?;
        } else if self.count >= hall.connections_max {
            let rank = |party: &&Party| (matches!(party, Party::Address(_)), self.of(**party));
            let largest = *self.parties.keys().max_by_key(rank)?;
            self.close_one(largest)?;
        }
        let number = self.next;
        self.next += 1;
        self.count += 1;
        if let Some(party) = party {
            self.parties.entry(party).or_default().insert(number, state.clone());
        }
        Some(number)
    }

    fn of(&self, party: Party) -> usize {
        self.parties.get(&party).map_or(0, HashMap::len)
    }

    /// Closes the connection of `party` that has been without a request for longest.
    fn close_one(&mut self, party: Party) -> Option<()> {
        let seats = self.parties.get(&party)?;
        let idle = seats.iter().filter(|(_, state)| state.in_flight.load(Ordering::Acquire) == 0);
        let (number, state) =
            idle.min_by_key(|(number, state)| (state.idle_since.load(Ordering::Acquire), **number))?;
        let (number, state) = (*number, state.clone());
        self.leave(number, party);
        state.lost.store(true, Ordering::Release);
        state.waker.wake();
        Some(())
    }

    /// Frees a seat that is counted against `party`, unless it is free already.
    fn leave(&mut self, number: u64, party: Party) {
        let Some(seats) = self.parties.get_mut(&party) else { return };
        if seats.remove(&number).is_some() {
            self.count -= 1;
        }
        if seats.is_empty() {
            self.parties.remove(&party);
        }
    }
}

impl Seat {
    /// The seat of the same connection, which comes from `address`, as a trusted load balancer says. `None` if there is none left.
    pub(crate) fn at_address(self, address: IpAddr) -> Option<Seat> {
        self.moved_to(Party::at(address))
    }

    /// The seat of the same connection, whose client has shown a certificate. It counts against its address no more. `None` if
    /// there is none left.
    pub(crate) fn with_certificate(self, certificate: &CertificateDer<'_>) -> Option<Seat> {
        let hash = self.hall.hashing.hash_one(certificate.as_ref());
        self.moved_to(Party::Certificate(hash))
    }

    fn moved_to(self, party: Party) -> Option<Seat> {
        let hall = self.hall.clone();
        drop(self);
        Hall::take(&hall, Some(party))
    }

    /// A request begins.
    pub fn begin(&self) -> InFlight {
        self.state.begun.fetch_add(1, Ordering::AcqRel);
        self.state.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight { hall: self.hall.clone(), state: self.state.clone() }
    }

    /// For the connection's bytes.
    pub(crate) fn progress(&self) -> Progress {
        Progress(self.state.clone())
    }

    fn is_idle(&self) -> bool {
        self.state.in_flight.load(Ordering::Acquire) == 0
    }

    /// Waits until the seat is needed for another connection: this one is to be closed. One task at a time can wait.
    pub async fn lost(&self) {
        poll_fn(|cx| self.poll_lost(cx)).await;
    }

    /// Ready when the seat is needed for another connection. The task that asked last is woken then.
    pub fn poll_lost(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.waker.register(cx.waker());
        if self.state.lost.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until no request has been under way for `limit`.
    pub async fn idle(&self, limit: Duration) {
        loop {
            let deadline = self.idle_until(limit);
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    /// When no request will have been under way for `limit`, if none begins before. While one is under way: the earliest such time.
    pub fn idle_until(&self, limit: Duration) -> Instant {
        let since = || Duration::from_millis(self.state.idle_since.load(Ordering::Acquire));
        let from = if self.is_idle() { self.hall.opened + since() } else { Instant::now() };
        from + limit
    }
}

/// How far a connection's requests have come.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<State>);

impl Progress {
    /// How many requests have begun, if none is under way.
    pub fn begun_if_idle(&self) -> Option<u64> {
        let is_idle = self.0.in_flight.load(Ordering::Acquire) == 0;
        is_idle.then(|| self.0.begun.load(Ordering::Acquire))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.hall.lock();
        match self.party {
            Some(party) => taken.leave(self.number, party),
            None => taken.count -= 1,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.idle_since.store(self.hall.now(), Ordering::Release);
        self.state.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn is_lost(seat: &Seat) -> bool {
        seat.state.lost.load(Ordering::Acquire)
    }

    fn seats(connections_max: usize, per_address_max: usize) -> Seats {
        Seats::new(&Limits { connections_max, per_address_max, per_certificate_max: 2, ..Limits::default() })
    }

    fn certificate(name: &'static str) -> CertificateDer<'static> {
        CertificateDer::from(name.as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_said_nothing_for_longest_makes_room() {
        let seats = seats(10, 3);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(seats.take(address("10.0.0.1")).expect("a seat"));
            advance(Duration::from_millis(5)).await;
        }
        drop(taken[0].begin());
        let busy = taken[1].begin();
        let elsewhere = seats.take(address("10.0.0.2")).expect("another address has seats of its own");
        advance(Duration::from_millis(5)).await;
        taken.push(seats.take(address("10.0.0.1")).expect("room is made"));
        assert_eq!(taken.iter().map(is_lost).collect::<Vec<_>>(), [false, false, true, false]);
        taken.push(seats.take(address("::ffff:10.0.0.1")).expect("the same address, and room again"));
        assert_eq!(taken.iter().map(is_lost).collect::<Vec<_>>(), [true, false, true, false, false]);
        let _all: Vec<_> = taken.iter().map(Seat::begin).collect();
        assert!(seats.take(address("10.0.0.1")).is_none(), "all of this address are busy");
        drop((busy, elsewhere));
    }

    #[tokio::test]
    async fn the_address_with_most_connections_makes_room_for_others() {
        let seats = seats(4, 4);
        let first = seats.take(address("2001:db8::1")).expect("a seat");
        let attacker: Vec<_> =
            (1..4).map(|host| seats.take(address(&format!("2001:db8:0:1::{host}")))).collect();
        let newcomer = seats.take(address("10.0.0.3"));
        assert!(newcomer.is_some() && !is_lost(&first));
        assert_eq!(attacker.iter().flatten().filter(|seat| is_lost(seat)).count(), 1, "one /64 is one party");
    }

    #[tokio::test]
    async fn whoever_shows_a_certificate_is_counted_by_it() {
        let seats = seats(4, 1);
        let of =
            |name| seats.take(address("10.0.0.1")).and_then(|seat| seat.with_certificate(&certificate(name)));
        let edge = [of("edge"), of("edge")].map(|seat| seat.expect("a seat"));
        let stranger = seats.take(address("10.0.0.1")).expect("the address has seats again");
        let node = of("node").expect("room is made");
        assert!(is_lost(&stranger) && !edge.iter().any(is_lost), "those without a certificate go first");
        let third = of("edge").expect("room is made");
        assert_eq!(edge.iter().filter(|seat| is_lost(seat)).count(), 1, "among its own");
        assert!(!is_lost(&node) && !is_lost(&third));
    }

    #[tokio::test]
    async fn seats_are_free_again() {
        let seats = seats(2, 1);
        for _ in 0..5 {
            let first = seats.take(None).expect("a seat");
            let moved = first.at_address("10.0.0.1".parse().expect("an address")).expect("a seat");
            let lost = seats.take(address("10.0.0.1")).expect("a seat");
            assert!(is_lost(&moved));
            drop((moved, lost));
        }
        let taken = seats.0.lock();
        assert_eq!((taken.count, taken.parties.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_ends_only_without_a_request() {
        let seat = seats(1, 1).take(None).expect("a seat");
        let begun = Instant::now();
        let request = seat.begin();
        let ends = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            drop(request);
        };
        tokio::join!(seat.idle(Duration::from_secs(2)), ends);
        assert!(begun.elapsed() >= Duration::from_secs(11), "{:?}", begun.elapsed());
    }
}
