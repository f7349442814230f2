//! Opens a port, accepts its connections while they have seats, and closes it.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use metrics::counter;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Inherited, Limits, OpenPort,
    arrived::Arrived,
    files,
    options::Options,
    seats::Seats,
    sockets::{self, Socket},
};

/// Metric: connections that were refused because the port, or the party that they come from, has no seat left.
const REFUSED: &str = "landbridge_listener_refused_connections_total";
/// Pause after a failed accept. Usually the process has no free file descriptor, and some are freed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A port that closes waits this long for the next connection that a client had begun to open: more than a packet takes to the other side
/// of the world and back, and less than the second after which a client whose first packet was dropped sends it again.
const HANDSHAKE_PAUSE: Duration = Duration::from_millis(500);
/// How long it does so in all, also where the kernel does not keep new connections away.
const CLOSING_MAX: Duration = Duration::from_secs(3);

/// An open port, or one thread's share of its sockets.
pub struct Listener {
    sockets: Vec<(TcpListener, Arc<Socket>)>,
    /// Which socket is asked first.
    turn: AtomicUsize,
    /// Set when the port begins to close: when it is closed at the latest.
    closed_at: OnceLock<Instant>,
    address: SocketAddr,
    seats: Seats,
    options: Arc<Options>,
}

/// An open port from which no connection is accepted yet, so that it can be moved to the thread that will.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<Arc<Socket>>,
    address: SocketAddr,
    seats: Seats,
    options: Arc<Options>,
}

impl Bound {
    /// Opens `address` for `threads` threads, at least one: the kernel shares the connections out among them, and all have the same
    /// seats. Sockets at this address are taken from `inherited`, each for some thread. Port 0 takes a free port. An error if the port is
    /// in use, also by a process that would share it.
    pub fn bind(
        address: SocketAddr,
        options: Options,
        threads: usize,
        inherited: &mut Inherited,
    ) -> io::Result<Vec<Self>> {
        let sockets = match inherited.take(options.name, address) {
            none if none.is_empty() => sockets::open(address, threads)?,
            some => sockets::complete(some, threads),
        };
        let address = sockets.first().map_or(address, |socket| socket.address());
        let connections_max = options.limits.connections_max.min(files::connections_max());
        let seats = Seats::new(&Limits { connections_max, ..options.limits });
        let options = Arc::new(options);
        let share = |thread| Self {
            sockets: sockets.iter().skip(thread).step_by(threads).cloned().collect(),
            address,
            seats: seats.clone(),
            options: options.clone(),
        };
        Ok((0..threads).map(share).collect())
    }

    /// The address, with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port whose shares these are; it has the same name in all of them.
    pub fn port(shares: &[Self]) -> Option<OpenPort> {
        let name = shares.first()?.options.name;
        Some(OpenPort::new(name, shares.iter().flat_map(|share| &share.sockets)))
    }

    /// The port, for connections to be accepted in the present runtime.
    pub fn listen(self) -> io::Result<Listener> {
        let Self { sockets, address, seats, options } = self;
        let listen = |socket: Arc<Socket>| Ok((TcpListener::from_std(socket.listen()?)?, socket));
        let sockets = sockets.into_iter().map(listen).collect::<io::Result<_>>()?;
        let (turn, closed_at) = (AtomicUsize::default(), OnceLock::new());
        Ok(Listener { sockets, turn, closed_at, address, seats, options })
    }
}

impl Listener {
    /// Opens `address` for one thread. Port 0 takes a free port.
    pub async fn bind(address: SocketAddr, options: Options) -> io::Result<Self> {
        let only = Bound::bind(address, options, 1, &mut Inherited::default())?.pop();
        only.ok_or(io::ErrorKind::AddrNotAvailable)?.listen()
    }

    /// The address, with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port, for another process.
    pub fn port(&self) -> OpenPort {
        OpenPort::new(self.options.name, self.sockets.iter().map(|(_, socket)| socket))
    }

    /// What it was opened with.
    pub fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// The next connection that gets a seat. `None` after `drain` was cancelled, once every connection has been accepted that a client had
    /// begun to open by then: the port can be dropped, and no client loses a connection. It takes no new ones meanwhile.
    pub async fn next(&self, drain: &CancellationToken) -> Option<Arrived> {
        if let Some(arrived) = drain.run_until_cancelled(self.accept(|_| true)).await {
            return Some(arrived);
        }
        let now = Instant::now();
        let closed_at = *self.closed_at.get_or_init(|| {
            self.sockets.iter().for_each(|(_, socket)| socket.refuse_new());
            now + CLOSING_MAX
        });
        if now >= closed_at || self.sockets.iter().all(|(_, socket)| socket.stays_open()) {
            return None;
        }
        let last = self.accept(|socket| !socket.stays_open());
        timeout_at(closed_at.min(now + HANDSHAKE_PAUSE), last).await.ok()
    }

    /// The next connection that gets a seat, of those that come to some of the sockets.
    async fn accept(&self, comes_to: impl Fn(&Socket) -> bool) -> Arrived {
        loop {
            let accepted = poll_fn(|cx| {
                let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.sockets.len().max(1);
                let (before, from) = self.sockets.split_at(first);
                let mut asked = from.iter().chain(before).filter(|(_, socket)| comes_to(socket));
                asked
                    .find_map(|(tcp, _)| Some(tcp.poll_accept(cx)).filter(Poll::is_ready))
                    .unwrap_or(Poll::Pending)
            });
            let (tcp, peer) = match accepted.await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, listener = self.options.name, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let is_balancer = self.options.balancers.addresses.contain(peer.ip());
            match self.seats.take((!is_balancer).then(|| peer.ip())) {
                Some(seat) => return Arrived { tcp, peer, seat, options: self.options.clone() },
                None => counter!(REFUSED, "listener" => self.options.name).increment(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, os::fd::AsFd as _};

    use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn options(connections_max: usize) -> Options {
        let limits = Limits { connections_max, ..Limits::default() };
        Options { name: "test", limits, ..Options::default() }
    }

    fn any() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    fn bind(address: SocketAddr, connections_max: usize, threads: usize) -> io::Result<Vec<Bound>> {
        Bound::bind(address, options(connections_max), threads, &mut Inherited::default())
    }

    fn listeners(bound: Vec<Bound>) -> Vec<Listener> {
        bound.into_iter().map(|one| one.listen().expect("a listener")).collect()
    }

    /// How many connections each takes before it closes.
    async fn drained(listeners: Vec<Listener>) -> Vec<usize> {
        let drain = CancellationToken::new();
        drain.cancel();
        let drained = listeners.into_iter().map(async |listener| {
            let mut count = 0;
            while listener.next(&drain).await.is_some() {
                count += 1;
            }
            count
        });
        futures::future::join_all(drained).await
    }

    #[tokio::test]
    async fn a_port_is_shared_by_threads_and_with_nobody_else() {
        let bound = bind(any(), 100, 4).expect("a port");
        let address = bound[0].address();
        assert!(bound.iter().all(|one| one.address() == address));
        for threads in [1, 4] {
            let again = bind(address, 100, threads).expect_err("the port is in use");
            assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        }
        let listeners = listeners(bound);
        let clients: Vec<_> = futures::future::join_all((0..64).map(|_| TcpStream::connect(address))).await;
        assert!(clients.iter().all(Result::is_ok));
        let counts = drained(listeners).await;
        assert!(counts.iter().all(|count| *count > 0), "each has its share");
        assert_eq!(counts.iter().sum::<usize>(), 64, "a port that closes accepts what is queued");
        assert!(TcpStream::connect(address).await.is_err(), "and then it is closed");
    }

    #[tokio::test]
    async fn a_port_that_closes_takes_no_new_connections() {
        let listener = Listener::bind(any(), options(100)).await.expect("a port");
        let (address, drain) = (listener.address(), CancellationToken::new());
        drain.cancel();
        let _first = TcpStream::connect(address).await.expect("queued");
        assert!(listener.next(&drain).await.is_some());
        let late = tokio::spawn(TcpStream::connect(address));
        assert!(listener.next(&drain).await.is_none(), "it was not let in");
        drop(listener);
        let late = timeout(DEADLINE, late).await.expect("told in time").expect("no panic");
        assert_eq!(late.expect_err("refused").kind(), io::ErrorKind::ConnectionRefused);
    }

    /// Passes the sockets of `bound` on, as between processes.
    fn passed(bound: &[Bound]) -> Inherited {
        let mut inherited = Inherited::default();
        for socket in Bound::port(bound).expect("a port").sockets() {
            let copy = socket.as_fd().try_clone_to_owned().expect("a copy");
            inherited.add("test".to_owned(), copy, false).expect("it listens");
        }
        inherited
    }

    #[tokio::test]
    async fn every_inherited_socket_is_accepted_from_whatever_the_number_of_threads() {
        for (before, after) in [(4, 1), (4, 3), (1, 4), (2, 2)] {
            let bound = bind(any(), 100, before).expect("a port");
            let address = bound[0].address();
            let queued = futures::future::join_all((0..40).map(|_| TcpStream::connect(address))).await;
            let (port, mut inherited) = (Bound::port(&bound).expect("a port"), passed(&bound));
            let next = Bound::bind(address, options(100), after, &mut inherited).expect("the port goes on");
            assert!(inherited.addresses().is_empty());
            let next = listeners(next);
            port.leave_open();
            assert_eq!(drained(listeners(bound)).await, vec![0; before], "all are left to the next");
            let later = futures::future::join_all((0..40).map(|_| TcpStream::connect(address))).await;
            assert_eq!(drained(next).await.iter().sum::<usize>(), 80, "{before} {after}");
            assert!(queued.iter().chain(&later).all(Result::is_ok));
            assert!(TcpStream::connect(address).await.is_err(), "closed at last");
        }
    }

    #[tokio::test]
    async fn a_port_that_had_begun_to_close_opens_again_for_who_inherits_it() {
        let bound = bind(any(), 100, 1).expect("a port");
        let (address, port) = (bound[0].address(), Bound::port(&bound).expect("a port"));
        port.sockets().iter().for_each(|socket| socket.refuse_new());
        let mut inherited = passed(&bound);
        let other = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port() ^ 1));
        assert!(inherited.take("test", other).is_empty());
        assert_eq!(inherited.take("other", any()).len(), 0);
        assert_eq!(inherited.take("test", any()).len(), 1, "port 0 is the same port again");
        assert!(timeout(DEADLINE, TcpStream::connect(address)).await.expect("in time").is_ok());
        let no_listener = tokio::net::TcpSocket::new_v4().expect("a socket");
        let copy = no_listener.as_fd().try_clone_to_owned().expect("a copy");
        assert!(inherited.add(String::new(), copy, false).is_err());
    }

    #[tokio::test]
    async fn the_limits_of_a_port_hold_for_all_its_threads_together() {
        let bound = bind(any(), 1, 2).expect("a port");
        let (address, listeners, drain) = (bound[0].address(), listeners(bound), CancellationToken::new());
        let accept = || async {
            let next = async |one: &Listener| one.next(&drain).await.expect("no drain");
            let arrived = futures::future::select_all(listeners.iter().map(|one| Box::pin(next(one))));
            timeout(DEADLINE, arrived).await.expect("a connection").0.open().await.expect("no handshake")
        };
        let mut first = TcpStream::connect(address).await.expect("a connection");
        let seat = accept().await;
        for _ in 0..8 {
            let _next = TcpStream::connect(address).await.expect("a connection");
            drop(accept().await);
        }
        timeout(DEADLINE, seat.seat.lost()).await.expect("the seat went to the second");
        drop(seat);
        assert_eq!(timeout(DEADLINE, first.read(&mut [0; 1])).await.expect("closed").expect("an end"), 0);
    }
}
