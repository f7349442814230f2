//! The sockets that a port listens on. They are opened here, or were opened by another process: the service manager, or the process
//! whose place this one takes.
//!
//! A socket is closed so that no client loses a connection. The kernel completes connections and queues them until they are accepted;
//! closing the socket resets those. So the socket first takes no new ones ([`Socket::refuse_new`]) while those under way are accepted.
//! A socket that another process goes on accepting from needs none of this: what is queued is that one's.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use socket2::{Domain, SockFilter, SockRef, Type};

/// Connections that the kernel completes and holds for a listener until they are accepted, at most.
const BACKLOG: i32 = 1024;

/// A program of the kernel's packet filter (classic BPF) that drops the first packet of every new connection and lets everything else
/// pass. It sees packets from the TCP header on, whose byte 13 holds the flags. In the words of its manual: load the flags; keep SYN and
/// ACK; if SYN alone is left, drop; else pass the whole packet.
const NO_NEW_CONNECTIONS: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x54, 0, 0, 0x12),
    SockFilter::new(0x15, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// One listening socket.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    address: SocketAddr,
    /// Whether another process goes on accepting from it when this one has ended.
    stays_open: AtomicBool,
}

impl Socket {
    /// A socket that is bound to `address` and does not listen yet.
    fn bind(address: SocketAddr, is_shared: bool) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // Otherwise a port cannot be opened again while connections of an earlier process are being closed.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(is_shared)?;
        socket.bind(&address.into())?;
        Self::new(socket, false)
    }

    fn new(socket: socket2::Socket, stays_open: bool) -> io::Result<Self> {
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { socket, address, stays_open: stays_open.into() })
    }

    /// A second handle to the same socket, which listens.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)?;
        self.socket.set_nonblocking(true)?;
        Ok(self.socket.try_clone()?.into())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether another process goes on accepting from it when this one has ended.
    pub fn stays_open(&self) -> bool {
        self.stays_open.load(Ordering::Acquire)
    }

    /// Takes no new connections from now on; those that have begun still come. Does nothing if the socket stays open.
    pub(crate) fn refuse_new(&self) {
        if !self.stays_open()
            && let Err(error) = self.socket.attach_filter(&NO_NEW_CONNECTIONS)
        {
            tracing::debug!(%error, address = %self.address, "the kernel filters no packets: connections that begin while the port closes may be reset");
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Opens `address` with a socket for each of `threads` threads, at least one. An error if the port is in use, also by a process that
/// would share it.
pub(crate) fn open(address: SocketAddr, threads: usize) -> io::Result<Vec<Arc<Socket>>> {
    // The first is bound like one that does not share its port.
    let first = Socket::bind(address, false)?;
    first.socket.set_reuse_port(threads > 1)?;
    let address = first.address;
    let mut sockets = vec![Arc::new(first)];
    for _ in 1..threads {
        sockets.push(Arc::new(Socket::bind(address, true)?));
    }
    sockets.iter().try_for_each(|socket| socket.socket.listen(BACKLOG))?;
    Ok(sockets)
}

/// Adds to the inherited sockets of a port what is missing for one each of `threads` threads. They do not listen before the port does, so
/// that the process they come from can still get all connections. Where the kernel allows no further ones, threads share.
pub(crate) fn complete(mut sockets: Vec<Arc<Socket>>, threads: usize) -> Vec<Arc<Socket>> {
    let inherited = sockets.clone();
    for shared in inherited.iter().cycle().take(threads.saturating_sub(inherited.len())) {
        let another = shared.socket.set_reuse_port(true).and_then(|()| Socket::bind(shared.address, true));
        sockets.push(another.map_or_else(|_| shared.clone(), Arc::new));
    }
    sockets
}

/// A port that is open, as far as another process can get it. It does not keep the port open.
#[derive(Clone, Debug)]
pub struct OpenPort {
    name: &'static str,
    sockets: Vec<Weak<Socket>>,
}

impl OpenPort {
    pub(crate) fn new<'a>(name: &'static str, sockets: impl Iterator<Item = &'a Arc<Socket>>) -> Self {
        let mut all: Vec<Weak<Socket>> = Vec::new();
        for socket in sockets.map(Arc::downgrade) {
            if !all.iter().any(|held| held.ptr_eq(&socket)) {
                all.push(socket);
            }
        }
        Self { name, sockets: all }
    }

    /// The port's name, as in `http`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Those of its sockets that are still open.
    pub fn sockets(&self) -> Vec<Arc<Socket>> {
        self.sockets.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether it is open at one of `addresses`.
    pub fn is_at(&self, addresses: &[SocketAddr]) -> bool {
        self.sockets().iter().any(|socket| addresses.contains(&socket.address))
    }

    /// Another process accepts from it from now on: when this one stops accepting, it leaves what is queued to that one.
    pub fn leave_open(&self) {
        self.sockets().iter().for_each(|socket| socket.stays_open.store(true, Ordering::Release));
    }
}

/// Listening sockets that another process has opened. Clones are of the same sockets.
#[derive(Clone, Debug, Default)]
pub struct Inherited(Vec<(String, Arc<Socket>)>);

impl Inherited {
    /// The sockets of systemd's socket activation, or of another manager that passes sockets in that way (`LISTEN_FDS`). They stay open
    /// when this process ends.
    ///
    /// # Errors
    /// When one of them does not listen for TCP.
    pub fn from_environment() -> io::Result<Self> {
        let (mut passed, mut inherited) = (listenfd::ListenFd::from_env(), Self::default());
        for index in 0..passed.len() {
            if let Some(socket) = passed.take_tcp_listener(index)? {
                inherited.add(String::new(), socket.into(), true)?;
            }
        }
        Ok(inherited)
    }

    /// Adds one that the port `name` listened on.
    ///
    /// # Errors
    /// When it does not listen for TCP.
    pub fn add(&mut self, name: String, socket: OwnedFd, stays_open: bool) -> io::Result<()> {
        let socket = socket2::Socket::from(socket);
        if !socket.is_listener()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a socket that was passed does not listen",
            ));
        }
        // If the process that it comes from had begun to close it. Fails if not.
        let _ = SockRef::from(&socket).detach_filter();
        self.0.push((name, Arc::new(Socket::new(socket, stays_open)?)));
        Ok(())
    }

    /// Takes those at `address`. Of port 0: those of the port `name` on any port.
    pub(crate) fn take(&mut self, name: &str, address: SocketAddr) -> Vec<Arc<Socket>> {
        let is_wanted = |(of, socket): &mut (String, Arc<Socket>)| match address.port() {
            0 => of == name && socket.address.ip() == address.ip(),
            _ => socket.address == address,
        };
        self.0.extract_if(.., is_wanted).map(|(_, socket)| socket).collect()
    }

    /// The addresses of those that nobody has taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(_, socket)| socket.address).collect()
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}
