//! The new process: asks the running one for its place.

use std::{
    fs,
    io::{
        self,
        ErrorKind::{ConnectionRefused, ConnectionReset, NotFound},
    },
    net::SocketAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use listener::Inherited;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::{net::UnixStream, time::timeout};

use super::{
    COPY_FOLDER, Folder, READY_TIMEOUT, SOCKET,
    wire::{Connection, Message, OfferedSocket, PROTOCOL},
};
use crate::store;

/// A process that ends closes its connections a moment before it unlocks its store. How long it may take, and how often that is looked at.
const END_TIMEOUT: Duration = Duration::from_secs(5);
const END_POLL: Duration = Duration::from_millis(10);

/// The gateway whose place this process takes.
pub struct Predecessor {
    connection: Connection,
    /// Its process id.
    pub pid: u32,
    /// Where its sockets listen.
    addresses: Vec<SocketAddr>,
    data: PathBuf,
    /// Its store.
    store: PathBuf,
    /// Whether it has ended by itself.
    is_gone: bool,
}

impl Predecessor {
    /// Asks the gateway that runs on the data folder, and adds its sockets to `inherited`. `store`: the folder of its store. `None` if
    /// none runs.
    ///
    /// # Errors
    /// When it refuses, or cannot be understood.
    pub async fn ask(data: &Path, store: PathBuf, inherited: &mut Inherited) -> anyhow::Result<Option<Self>> {
        let asking = async {
            let Ok(folder) = Folder::open(data) else { return Ok(None) };
            let stream = match UnixStream::connect(folder.path(SOCKET)).await {
                Ok(stream) => stream,
                // Reset: it was killed while this connection waited to be accepted.
                Err(error) if matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset) => {
                    // One that was killed just now may have its store a moment longer. If it goes on, opening the store says so.
                    has_ended(&store).await;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            let mut connection = Connection::new(stream)?;
            let (pid, offered, sockets) = match offer(&mut connection).await {
                Ok(offer) => offer,
                Err(error) if error.kind() != io::ErrorKind::Other && has_ended(&store).await => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            let mut its_own = Inherited::default();
            for (offered, socket) in offered.into_iter().zip(sockets) {
                its_own.add(offered.port, socket, offered.stays_open)?;
            }
            let addresses = its_own.addresses();
            inherited.extend(its_own);
            Ok(Some(Self { connection, pid, addresses, data: data.to_owned(), store, is_gone: false }))
        };
        let asked = timeout(READY_TIMEOUT, asking).await.context("it does not answer").flatten();
        asked.with_context(|| format!("the gateway that runs on {} cannot be taken over", data.display()))
    }

    /// The folder with the store for this process: the copy, which nobody else has open; or, if the other process has ended, its store.
    ///
    /// # Errors
    /// When the other process goes on instead.
    pub async fn store(&mut self) -> anyhow::Result<PathBuf> {
        let heard = timeout(READY_TIMEOUT, self.connection.receive())
            .await
            .context("the running gateway does not copy its store")?;
        match heard {
            Ok(Message::Store) => Ok(self.data.join(COPY_FOLDER)),
            Ok(Message::Refused { reason }) => bail!("the running gateway goes on: {reason}"),
            Ok(other) => bail!("the running gateway said {other:?} instead of giving its store"),
            Err(error) => {
                self.require_end(&error).await?;
                self.is_gone = true;
                Ok(self.store.clone())
            }
        }
    }

    /// Tells it that this process serves, and waits until it has left. `unused` are addresses whose sockets this process does not use.
    /// Then this process's store takes the place of the other's.
    ///
    /// # Errors
    /// When the other process goes on instead: then this one must not.
    pub async fn succeed(mut self, unused: &[SocketAddr]) -> anyhow::Result<()> {
        if self.is_gone {
            return Ok(());
        }
        let addresses = self.addresses.iter().filter(|address| !unused.contains(address)).copied().collect();
        let left = async {
            self.connection.send(&Message::Serving { addresses }).await?;
            self.connection.receive().await
        };
        match timeout(READY_TIMEOUT, left).await.context("the running gateway does not leave")? {
            Ok(Message::Left) => {}
            Ok(other) => bail!("the running gateway said {other:?} instead of leaving"),
            Err(error) => self.require_end(&error).await?,
        }
        let copy = self.data.join(COPY_FOLDER);
        if let Err(error) = renameat_with(CWD, &copy, CWD, &self.store, RenameFlags::EXCHANGE) {
            tracing::error!(%error, "the store could not be put in its place: the next start begins with the configuration of this moment");
            return Ok(());
        }
        // The other process has its files open until it has drained, and needs no names for them.
        if let Err(error) = fs::remove_dir_all(&copy) {
            tracing::warn!(%error, folder = %copy.display(), "the store of the gateway before could not be removed");
        }
        Ok(())
    }

    /// The other process is not heard any more. An error if it goes on all the same.
    async fn require_end(&self, error: &io::Error) -> anyhow::Result<()> {
        if !has_ended(&self.store).await {
            bail!(
                "the running gateway goes on ({error}): this process may take {} s to serve",
                READY_TIMEOUT.as_secs()
            );
        }
        tracing::warn!(pid = self.pid, "the gateway whose place this process takes has ended by itself");
        Ok(())
    }
}

/// What the running gateway offers: its process id and its sockets.
async fn offer(connection: &mut Connection) -> io::Result<(u32, Vec<OfferedSocket>, Vec<OwnedFd>)> {
    let release = env!("CARGO_PKG_VERSION").to_owned();
    connection.send(&Message::TakeOver { protocol: PROTOCOL, release, pid: std::process::id() }).await?;
    match connection.receive().await? {
        Message::Offer { pid, sockets: offered } => {
            let sockets = connection.receive_sockets(offered.len()).await?;
            Ok((pid, offered, sockets))
        }
        Message::Refused { reason } => Err(io::Error::other(format!("it refuses: {reason}"))),
        other => Err(io::Error::other(format!("it answered {other:?}"))),
    }
}

/// Whether nobody has the store open, now or in a moment.
async fn has_ended(store: &Path) -> bool {
    let ended = async {
        let mut ticks = pace::ticks(END_POLL);
        while store::is_open(store) {
            ticks.tick().await;
        }
    };
    timeout(END_TIMEOUT, ended).await.is_ok()
}
