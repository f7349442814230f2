//! Opens a port, and its connections: a seat, the PROXY protocol, TLS.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use metrics::counter;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use settings::AddressRanges;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Limits, Stream, files, proxy_protocol,
    seats::{Seat, Seats},
};

/// Metric: connections that were refused because the port, or the party that they come from, has no seat left.
const REFUSED: &str = "landbridge_listener_refused_connections_total";
/// Connections that the kernel completes and holds for a listener until they are accepted, at most.
const BACKLOG: u32 = 1024;
/// Pause after a failed accept. Usually the process has no free file descriptor, and some are freed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a port is opened with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port's name in metrics and logs, as in `api`.
    pub name: &'static str,
    /// What its connections may cost.
    pub limits: Limits,
    /// How TLS is spoken; `None`: not at all.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who may stand in front of it.
    pub balancers: Balancers,
}

/// Load balancers in front of a port. They stand for many clients, so their connections are not counted against their address.
#[derive(Clone, Debug, Default)]
pub struct Balancers {
    /// Where they are.
    pub addresses: AddressRanges,
    /// Whether their connections begin with a header of the PROXY protocol. Those are refused without one.
    pub proxy_protocol: bool,
}

/// An open port.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    seats: Seats,
    options: Arc<Options>,
}

/// An open port from which no connection is accepted yet, so that it can be moved to the thread that will.
#[derive(Debug)]
pub struct Bound {
    tcp: std::net::TcpListener,
    address: SocketAddr,
    seats: Seats,
    options: Arc<Options>,
}

/// A connection that has a seat, and of which nothing was read.
pub struct Arrived {
    tcp: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    options: Arc<Options>,
}

/// A connection on which requests can be read.
pub struct Opened {
    /// Its bytes.
    pub stream: Stream,
    /// Its seat; it lasts for as long as this is held.
    pub seat: Seat,
    /// Where it comes from; of a connection that a load balancer passes on by the PROXY protocol, what that one says.
    pub peer: SocketAddr,
    /// The port that the client connected to; `None` if the kernel does not say.
    pub local_port: Option<u16>,
    /// The certificate that the client showed, verified by the TLS configuration.
    pub certificate: Option<CertificateDer<'static>>,
}

impl Bound {
    /// Opens `address` for `threads` threads, at least one: the kernel shares the connections out among them, and all have the same
    /// seats. Port 0 takes a free port. An error if the port is in use, also by a process that would share it.
    ///
    /// Called in a runtime, as everything that makes sockets of tokio.
    pub fn bind(address: SocketAddr, options: Options, threads: usize) -> io::Result<Vec<Self>> {
        // The first is bound like one that does not share its port.
        let socket = socket(address)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        if threads > 1 {
            socket.set_reuseport(true)?;
        }
        let mut sockets = vec![socket];
        for _ in 1..threads {
            let another = self::socket(address)?;
            another.set_reuseport(true)?;
            another.bind(address)?;
            sockets.push(another);
        }
        let connections_max = options.limits.connections_max.min(files::connections_max());
        let seats = Seats::new(&Limits { connections_max, ..options.limits });
        let options = Arc::new(options);
        let listen = |socket: TcpSocket| {
            let tcp = socket.listen(BACKLOG)?.into_std()?;
            Ok(Self { tcp, address, seats: seats.clone(), options: options.clone() })
        };
        sockets.into_iter().map(listen).collect()
    }

    /// The address, with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port, for connections to be accepted in the present runtime.
    pub fn listen(self) -> io::Result<Listener> {
        let Self { tcp, address, seats, options } = self;
        Ok(Listener { tcp: TcpListener::from_std(tcp)?, address, seats, options })
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Otherwise a port cannot be opened again while connections of an earlier process are being closed.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

impl Listener {
    /// Opens `address` for one thread. Port 0 takes a free port.
    pub async fn bind(address: SocketAddr, options: Options) -> io::Result<Self> {
        let only = Bound::bind(address, options, 1)?.pop();
        only.ok_or(io::ErrorKind::AddrNotAvailable)?.listen()
    }

    /// The address, with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was opened with.
    pub fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// The next connection that gets a seat.
    pub async fn accept(&self) -> Arrived {
        loop {
            let (tcp, peer) = match self.tcp.accept().await {
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

impl Arrived {
    /// Where it comes from, as TCP says.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Learns whose connection it is, and opens TLS if the port speaks it. An error if that fails, takes too long, or the seat is
    /// needed for another connection meanwhile.
    pub async fn open(self) -> io::Result<Opened> {
        let Self { tcp, peer, seat, options } = self;
        tcp.set_nodelay(true)?;
        let limit = options.limits.handshake_timeout;
        let Balancers { addresses, proxy_protocol } = &options.balancers;
        let (tcp, seat, peer, local_port) = match *proxy_protocol && addresses.contain(peer.ip()) {
            true => timeout(limit, passed_on(tcp, seat, peer)).await??,
            false => {
                let local_port = tcp.local_addr().ok().map(|address| address.port());
                (tcp, seat, peer, local_port)
            }
        };
        let Some(tls) = &options.tls else {
            let stream = Stream::Plain(tcp);
            return Ok(Opened { stream, seat, peer, local_port, certificate: None });
        };
        let handshake = timeout(limit, TlsAcceptor::from(tls.clone()).accept(tcp));
        let stream = tokio::select! {
            stream = handshake => stream??,
            () = seat.lost() => return Err(displaced()),
        };
        let chain = stream.get_ref().1.peer_certificates();
        let certificate = chain.and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned());
        let seat = match &certificate {
            Some(certificate) => seat.with_certificate(certificate).ok_or_else(displaced)?,
            None => seat,
        };
        Ok(Opened { stream: Stream::Tls(Box::new(stream)), seat, peer, local_port, certificate })
    }
}

/// Reads whose connection a load balancer passes on. The connection is then counted against that one's address.
async fn passed_on(
    mut tcp: TcpStream,
    seat: Seat,
    balancer: SocketAddr,
) -> io::Result<(TcpStream, Seat, SocketAddr, Option<u16>)> {
    let Some(passed) = proxy_protocol::read(&mut tcp).await? else {
        let local_port = tcp.local_addr().ok().map(|address| address.port());
        return Ok((tcp, seat, balancer, local_port));
    };
    let seat = seat.at_address(passed.source.ip()).ok_or_else(displaced)?;
    Ok((tcp, seat, passed.source, Some(passed.destination.port())))
}

fn displaced() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the limit of connections is reached")
}

impl Opened {
    /// The server name that the client asked for in TLS.
    pub fn server_name(&self) -> Option<&str> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.get_ref().1.server_name(),
        }
    }

    /// The protocol that the TLS handshake agreed on, as in `h2`.
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{io::AsyncReadExt as _, time::timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn options(connections_max: usize) -> Options {
        let limits = Limits { connections_max, ..Limits::default() };
        Options { name: "test", limits, ..Options::default() }
    }

    #[tokio::test]
    async fn a_port_is_shared_by_threads_and_with_nobody_else() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = Bound::bind(any, options(100), 4).expect("a port");
        let address = bound[0].address();
        assert!(bound.iter().all(|one| one.address() == address));
        for threads in [1, 4] {
            let again = Bound::bind(address, options(100), threads).expect_err("the port is in use");
            assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        }
        let listeners: Vec<_> = bound.into_iter().map(|one| one.listen().expect("a listener")).collect();
        let clients: Vec<_> = futures::future::join_all((0..64).map(|_| TcpStream::connect(address))).await;
        assert!(clients.iter().all(Result::is_ok));
        let mut accepted = 0;
        let accepting = listeners.iter().map(|listener| async {
            let mut count = 0;
            while timeout(Duration::from_millis(300), listener.accept()).await.is_ok() {
                count += 1;
            }
            count
        });
        for count in futures::future::join_all(accepting).await {
            assert!(count > 0, "each has its share");
            accepted += count;
        }
        assert_eq!(accepted, 64);
    }

    #[tokio::test]
    async fn the_limits_of_a_port_hold_for_all_its_threads_together() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = Bound::bind(any, options(1), 2).expect("a port");
        let address = bound[0].address();
        let listeners: Vec<_> = bound.into_iter().map(|one| one.listen().expect("a listener")).collect();
        let accept = || async {
            let arrived = futures::future::select_all(listeners.iter().map(|one| Box::pin(one.accept())));
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
