//! The connections of one thread that no request is using, and those of HTTP/2, which any number of requests use.
//!
//! They are limited by address. A client that is let choose the name in TLS (`preserve_host`) makes destinations, and no room: of one
//! address, those that were used last are kept.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    task::Context,
};

use hyper::client::conn::http2;

use super::Http1;
use crate::{
    proxy::request_body::AttemptBody,
    view::{Address, Destination},
};

/// Free connections of HTTP/1.1 that a thread keeps at most, and of those to one address.
const FREE_MAX: usize = 4096;
const FREE_PER_ADDRESS_MAX: usize = 256;
/// Connections of HTTP/2 to one address that a thread keeps at most.
const SHARED_PER_ADDRESS_MAX: usize = 32;
/// Sweeps that a connection stays for when no request uses it: about as many seconds.
const IDLE_SWEEPS_MAX: u8 = 60;

/// A connection for a request.
pub enum Connection {
    /// Of HTTP/1.1: for this request alone.
    Http1(Box<Http1>),
    /// Of HTTP/2.
    Http2(http2::SendRequest<AttemptBody>),
}

/// The connections of one thread.
#[derive(Default)]
pub struct Pool {
    buckets: RefCell<HashMap<Address, Rc<Bucket>, BuildHasherDefault<Given>>>,
    /// How many of HTTP/1.1 there are in all buckets.
    count: Rc<Cell<usize>>,
}

/// Takes an address' own hash for its hash: addresses come from the configuration.
#[derive(Default)]
struct Given(u64);

impl Hasher for Given {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The connections of one thread to one address.
#[derive(Default)]
pub struct Bucket {
    /// The one that was used last comes last.
    #[expect(
        clippy::vec_box,
        reason = "each request moves one out and in: a pointer, not some hundred bytes"
    )]
    free: RefCell<Vec<Box<Http1>>>,
    /// The one that was opened last comes last.
    shared: RefCell<Vec<Shared>>,
    count: Rc<Cell<usize>>,
}

/// A connection of HTTP/2.
struct Shared {
    destination: Destination,
    sender: http2::SendRequest<AttemptBody>,
    /// Sweeps since it was used last.
    idle: u8,
}

impl Pool {
    /// The connections to the address of `destination`.
    pub fn bucket(&self, destination: &Destination) -> Rc<Bucket> {
        let new = || Rc::new(Bucket { count: self.count.clone(), ..Bucket::default() });
        self.buckets.borrow_mut().entry(destination.into()).or_insert_with(new).clone()
    }

    /// Closes what was not used for too long, or was closed by the upstream. To be called each second.
    pub fn sweep(&self) {
        self.buckets.borrow_mut().retain(|_, bucket| {
            bucket.sweep();
            Rc::strong_count(bucket) > 1 || !bucket.is_empty()
        });
    }
}

impl Bucket {
    /// A connection for `to` that is open already; `None` if there is none.
    pub fn take(&self, to: &Destination, cx: &mut Context<'_>) -> Option<Connection> {
        let mut shared = self.shared.borrow_mut();
        let mut open = shared.iter_mut().filter(|shared| !shared.sender.is_closed());
        if let Some(shared) = open.find(|shared| shared.destination == *to) {
            shared.idle = 0;
            return Some(Connection::Http2(shared.sender.clone()));
        }
        let mut free = self.free.borrow_mut();
        while let Some(at) = free.iter().rposition(|one| one.destination == *to) {
            let mut one = free.remove(at);
            self.count.set(self.count.get() - 1);
            if !one.is_stale(cx) {
                return Some(Connection::Http1(one));
            }
        }
        None
    }

    /// Lets other requests use a connection of HTTP/2 too.
    pub fn share(&self, destination: &Destination, sender: &http2::SendRequest<AttemptBody>) {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|other| other.destination != *destination);
        if shared.len() >= SHARED_PER_ADDRESS_MAX {
            shared.remove(0);
        }
        let (destination, sender) = (destination.clone(), sender.clone());
        shared.push(Shared { destination, sender, idle: 0 });
    }

    /// Keeps a connection for further requests, if it can take any. Where there is no room, the one that was used longest ago goes.
    pub fn put(&self, mut connection: Box<Http1>) {
        if !connection.is_free() {
            return;
        }
        let mut free = self.free.borrow_mut();
        if free.len() >= FREE_PER_ADDRESS_MAX || self.count.get() >= FREE_MAX {
            if free.is_empty() {
                return;
            }
            free.remove(0);
            self.count.set(self.count.get() - 1);
        }
        connection.idle = 0;
        free.push(connection);
        self.count.set(self.count.get() + 1);
    }

    fn sweep(&self) {
        let stays = |idle: &mut u8| {
            *idle = idle.saturating_add(1);
            *idle <= IDLE_SWEEPS_MAX
        };
        let mut free = self.free.borrow_mut();
        let before = free.len();
        free.retain_mut(|one| {
            one.give_room_back();
            stays(&mut one.idle) && !one.is_stale_now()
        });
        self.count.set(self.count.get() - (before - free.len()));
        self.shared.borrow_mut().retain_mut(|shared| stays(&mut shared.idle) && !shared.sender.is_closed());
    }

    fn is_empty(&self) -> bool {
        self.free.borrow().is_empty() && self.shared.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, task::Waker, time::Duration};

    use rustls_pki_types::ServerName;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::either::Either;

    use super::{super::reads_on::ReadsOn, *};
    use crate::view::{Secured, TlsProfile, Versions};

    fn named(name: &str) -> Destination {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let tls = Secured { name, profile: TlsProfile::usual(true) };
        let authority = "upstream.test:443".parse().expect("an authority");
        Destination::new(authority, Some(tls), Versions::Negotiated)
    }

    /// Clients that name another host each time take the room of each other, and of nobody who comes after them.
    #[tokio::test]
    async fn names_that_clients_choose_make_no_room() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let (pool, mut accepted) = (Pool::default(), Vec::new());
        let mut cx = Context::from_waker(Waker::noop());
        for n in 0..FREE_PER_ADDRESS_MAX + 20 {
            let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
            accepted.push(listener.accept().await.expect("a connection"));
            let destination = named(&format!("host-{n}.test"));
            let connection = Http1::new(ReadsOn::new(Either::Left(stream)), destination.clone());
            pool.bucket(&destination).put(Box::new(connection));
        }
        assert_eq!((pool.count.get(), pool.buckets.borrow().len()), (FREE_PER_ADDRESS_MAX, 1));
        let mut taken = |name: &str| pool.bucket(&named(name)).take(&named(name), &mut cx).is_some();
        assert!(!taken("host-19.test") && taken("host-20.test") && taken("host-275.test"));
        assert!(!taken("host-275.test"), "it is in use");
        // Those that the upstream has closed are gone, and with the last one the bucket.
        drop(accepted);
        let swept = async {
            while !pool.buckets.borrow().is_empty() {
                tokio::task::yield_now().await;
                pool.sweep();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), swept).await.expect("all are closed");
        assert_eq!(pool.count.get(), 0);
    }
}
