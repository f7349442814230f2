//! The old process: waits for one that asks to take its place, and gives it what it needs.

use std::{
    fs::{self, Permissions},
    future::pending,
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use listener::{OpenPort, Socket};
use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::{
    COPY_FOLDER, Folder, SOCKET,
    wire::{Connection, Message, OfferedSocket, PROTOCOL},
};
use crate::store::{Store, StoreError};

/// How long a process that connects may take to say what it wants.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where another process asks.
pub struct Door(Option<UnixListener>);

/// A process that asks to take this one's place.
pub struct Successor {
    connection: Connection,
    /// Its release.
    pub release: String,
    /// Its process id.
    pub pid: u32,
}

impl Door {
    /// Opens the socket in the data folder, in place of one that an earlier process has left. Without it, as on a file system that has no
    /// sockets, nobody can take over.
    pub fn open(data: &Path) -> Self {
        let opened = listen(data);
        if let Err(error) = &opened {
            tracing::warn!(%error, folder = %data.display(), "no socket can be made in the data folder: no other process can take over");
        }
        Self(opened.ok())
    }

    /// Hears nobody any more. A process that asked meanwhile is told so by the end of its connection.
    pub fn close(&mut self) {
        self.0 = None;
    }

    /// Waits for a process that asks, and may. Others are told why not.
    pub async fn successor(&self) -> Successor {
        let Some(listener) = &self.0 else { return pending().await };
        loop {
            let accepted = match listener.accept().await {
                Ok((stream, _)) => timeout(ASK_TIMEOUT, greet(stream)).await,
                Err(error) => {
                    tracing::warn!(%error, "a process that asks to take over could not be heard");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match accepted {
                Ok(Ok(successor)) => return successor,
                Ok(Err(error)) => tracing::warn!(%error, "a process asked to take over, and was refused"),
                Err(_) => tracing::warn!("a process connected to take over, and asked for nothing"),
            }
        }
    }
}

fn listen(data: &Path) -> io::Result<UnixListener> {
    let folder = Folder::open(data)?;
    let (socket, made) = (folder.path(SOCKET), folder.path("take-over.sock.new"));
    let _ = fs::remove_file(&made);
    let listener = UnixListener::bind(&made)?;
    // Before it has the name by which it is found.
    fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    fs::rename(&made, &socket)?;
    Ok(listener)
}

async fn greet(stream: UnixStream) -> io::Result<Successor> {
    let mut connection = Connection::new(stream)?;
    let refusal = match connection.receive().await {
        Ok(Message::TakeOver { protocol: PROTOCOL, release, pid }) => {
            return Ok(Successor { connection, release, pid });
        }
        Ok(Message::TakeOver { protocol, .. }) => {
            format!("it speaks version {protocol}, and this gateway version {PROTOCOL}")
        }
        Ok(_) => "it did not ask".to_owned(),
        Err(error) => error.to_string(),
    };
    let reason = format!("{refusal}: stop this gateway, then start the other one");
    connection.send(&Message::Refused { reason }).await?;
    Err(io::Error::other(refusal))
}

impl Successor {
    /// Gives it the sockets of `ports`.
    pub async fn offer(&mut self, ports: &[OpenPort]) -> io::Result<()> {
        let of_port = |port: &OpenPort| {
            port.sockets().into_iter().map(|socket| (port.name(), socket)).collect::<Vec<_>>()
        };
        let (names, sockets): (Vec<&str>, Vec<Arc<Socket>>) = ports.iter().flat_map(of_port).unzip();
        let offered = names.iter().zip(&sockets).map(|(name, socket)| OfferedSocket {
            port: (*name).to_owned(),
            stays_open: socket.stays_open(),
        });
        self.connection.send(&Message::Offer { pid: std::process::id(), sockets: offered.collect() }).await?;
        self.connection.send_sockets(&sockets).await
    }

    /// Copies the store for it, in which nothing is written any more, and waits until it serves. Returns at which addresses.
    ///
    /// # Errors
    /// When the store cannot be copied, or the process ends or fails.
    pub async fn serves(&mut self, data: &Path, store: &Store) -> anyhow::Result<Vec<SocketAddr>> {
        if let Err(error) = copy(store.clone(), data.join(COPY_FOLDER)).await {
            let reason = format!("the store cannot be copied: {error}");
            self.connection.send(&Message::Refused { reason }).await?;
            return Err(error.into());
        }
        self.connection.send(&Message::Store).await?;
        match self.connection.receive().await? {
            Message::Serving { addresses } => Ok(addresses),
            Message::Refused { reason } => anyhow::bail!(reason),
            other => anyhow::bail!("it said {other:?} instead of serving"),
        }
    }

    /// Tells it that nothing is accepted or written here any more. It may be gone: then nobody serves, and its error says why.
    pub async fn leave(mut self) {
        let _ = self.connection.send(&Message::Left).await;
    }
}

async fn copy(store: Store, folder: PathBuf) -> Result<(), StoreError> {
    let copied = tokio::task::spawn_blocking(move || store.copy(&folder)).await;
    copied.unwrap_or(Err(StoreError::WriterStopped))
}
