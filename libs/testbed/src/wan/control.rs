//! How `./dev wan` and the tour reach the network of a running deployment: a Unix socket in its folder.
//!
//! One line of JSON each way: a [`Command`], then all directions or why it could not be done. Whoever may write into the
//! socket may cut links, so only the owner can.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    task::AbortHandle,
};

use super::{NoSuchLink, Status, Wan};

const SOCKET: &str = "wan.sock";
const SOCKET_MODE: u32 = 0o600;
/// Longest command, in bytes.
const COMMAND_BYTES_MAX: u64 = 4096;
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Longest wait for the other end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What `./dev wan` can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Status,
    /// Sets the one-way delay of every direction.
    Delay {
        milliseconds: u64,
    },
    /// Cuts the link between two regions, or only what `a` sends to `b`.
    Cut {
        a: String,
        b: String,
        one_way: bool,
    },
    /// Ends a cut, of both directions or of one.
    Heal {
        a: String,
        b: String,
        one_way: bool,
    },
}

impl Wan {
    /// Does what is asked for and tells how things are then.
    pub fn obey(&self, command: &Command) -> Result<Vec<Status>, NoSuchLink> {
        match command {
            Command::Status => {}
            Command::Delay { milliseconds } => self.delay(Duration::from_millis(*milliseconds)),
            Command::Cut { a, b, one_way: false } => self.cut(a, b)?,
            Command::Cut { a, b, one_way: true } => self.cut_one_way(a, b)?,
            Command::Heal { a, b, one_way: false } => self.heal(a, b)?,
            Command::Heal { a, b, one_way: true } => self.heal_one_way(a, b)?,
        }
        Ok(self.status())
    }
}

/// The socket of a running deployment. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Control {
    serving: AbortHandle,
}

impl Control {
    /// Opens the socket in a deployment's folder.
    pub fn open(folder: &Path, wan: Wan) -> anyhow::Result<Self> {
        let listener = in_folder(folder, |path| UnixListener::bind(path)).context("open the WAN's socket")?;
        fs::set_permissions(folder.join(SOCKET), Permissions::from_mode(SOCKET_MODE))?;
        let serving = tokio::spawn(serve(listener, wan)).abort_handle();
        Ok(Self { serving })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: UnixListener, wan: Wan) {
    loop {
        // One at a time is enough: each has little to say, in bounded time. Who fails at it sees that at the other end.
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::time::timeout(ANSWER_TIMEOUT, answer(stream, &wan)).await),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(mut stream: UnixStream, wan: &Wan) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut stream).take(COMMAND_BYTES_MAX).read_line(&mut line).await?;
    let answer: Result<Vec<Status>, String> = match serde_json::from_str::<Command>(&line) {
        Ok(command) => wan.obey(&command).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    stream.write_all((serde_json::to_string(&answer)? + "\n").as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// Gives a command to the network of the deployment that runs in `folder`; all directions as they are then.
pub async fn ask(folder: &Path, command: &Command) -> anyhow::Result<Vec<Status>> {
    let asked = async {
        let connecting = in_folder(folder, std::os::unix::net::UnixStream::connect);
        let stream =
            connecting.with_context(|| format!("reach the WAN of the deployment in {}", folder.display()))?;
        stream.set_nonblocking(true)?;
        let mut stream = UnixStream::from_std(stream)?;
        stream.write_all((serde_json::to_string(command)? + "\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        let answer: Result<Vec<Status>, String> =
            serde_json::from_str(&answer).context("the WAN's answer")?;
        answer.map_err(|refusal| anyhow::anyhow!("{refusal}"))
    };
    tokio::time::timeout(ANSWER_TIMEOUT, asked).await.context("the WAN does not answer")?
}

/// Uses the socket's path by way of the open folder: the kernel takes 108 bytes, and folders may lie deep.
fn in_folder<T>(folder: &Path, open: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let folder = File::open(folder)?;
    open(PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(SOCKET))
}
