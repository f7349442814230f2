//! `TCP_NODELAY` on the connections to Postgres.
//!
//! sqlx 0.9.0 leaves Nagle's algorithm on, a fault that is mended in its source and not yet released (its issue 4335). The end of a statement
//! of more than one TLS record then waits until Postgres' kernel acknowledges the beginning, which it does after 40 ms: more than half of the
//! time of a large import. sqlx keeps its sockets to itself, so they are looked for among all of this process. This file goes with
//! the release.

use std::{
    fs,
    os::fd::{BorrowedFd, RawFd},
};

use socket2::SockRef;

/// The open descriptors of this process, one entry each.
const DESCRIPTORS: &str = "/proc/self/fd";

/// Turns Nagle's algorithm off on every connection of this process to a port of this number. Where that cannot be done, all works, slower.
pub(crate) fn set(port: u16) {
    let descriptors = fs::read_dir(DESCRIPTORS).into_iter().flatten();
    for descriptor in descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()) {
        set_one(descriptor, port);
    }
}

/// The same for one descriptor, if it is such a connection. Of any other, or of one that has been closed since, nothing is touched.
fn set_one(descriptor: RawFd, port: u16) {
    #[expect(
        unsafe_code,
        reason = "if it is closed or used anew meanwhile, the calls fail or set what every socket here may have"
    )]
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let socket = SockRef::from(&descriptor);
    let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
    if peer.is_some_and(|peer| peer.port() == port) {
        let _ = socket.set_tcp_nodelay(true);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::set;

    #[test]
    fn only_connections_to_the_port_are_touched() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("listen"));
        let [database, other] = listeners.each_ref().map(|one| one.local_addr().expect("address"));
        let [to_database, again, to_other] =
            [database, database, other].map(|address| TcpStream::connect(address).expect("connect"));
        set(database.port());
        assert!(to_database.nodelay().expect("option") && again.nodelay().expect("option"));
        assert!(!to_other.nodelay().expect("option"));
    }
}
