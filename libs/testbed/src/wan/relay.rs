//! A relay: listens for one region's connections to one address of another region.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
};

use super::{direction::Direction, pump::pump};

/// Connections of one relay at a time, those included that a cut holds; others wait in the listener's queue.
const CONNECTIONS_MAX: usize = 128;
/// Pause after a failed accept: most likely no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running relay. Dropping it ends all its connections.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Relay {
    /// Listens on a port that the kernel chooses: it stays ours for as long as the relay lives.
    pub async fn start(target: SocketAddr, there: Arc<Direction>, back: Arc<Direction>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, target, there, back)).abort_handle();
        Ok(Self { address, accepting })
    }

    /// Where it takes connections.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, there: Arc<Direction>, back: Arc<Direction>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (there, back) = (Arc::clone(&there), Arc::clone(&back));
        connections.spawn(async move {
            let _place = place;
            // The ends have seen for themselves why a connection ended.
            let _ = carry(client, target, &there, &back).await;
        });
    }
}

async fn carry(client: TcpStream, target: SocketAddr, there: &Direction, back: &Direction) -> io::Result<()> {
    let _counted = there.connection();
    client.set_nodelay(true)?;
    // The first packet has to get there before anybody is dialled.
    there.until(there.arrival(0)).await;
    let server = match TcpStream::connect(target).await {
        Ok(server) => server,
        Err(refused) => {
            back.until(back.arrival(0)).await;
            return Err(refused);
        }
    };
    server.set_nodelay(true)?;
    let ((client_reads, client_writes), (server_reads, server_writes)) =
        (client.into_split(), server.into_split());
    let (there, back) =
        tokio::join!(pump(client_reads, server_writes, there), pump(server_reads, client_writes, back));
    there.and(back)
}
