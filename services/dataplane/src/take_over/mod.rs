//! One process takes the place of another on the same data folder, and no client notices: the new binary, or the new settings, come into
//! service while connections are accepted all the time.
//!
//! The running gateway listens on a socket in its data folder ([`Door`]). A new process asks there ([`Predecessor`]). What they say
//! ([`wire::Message`]), in order:
//!
//! 1. The old one passes its listening sockets on. Both can accept from them now; a connection waits in the kernel for whoever is first.
//! 2. The old one stops to write: it leaves its control plane and takes no document. Then it copies its store for the new one. So the two never
//!    share a store, and never follow the control plane at the same time as one node.
//! 3. The new one opens the copy, applies its file, opens addresses that are new, accepts, and says that it serves.
//! 4. The old one accepts no more, drains as on SIGTERM, and says that it has left.
//! 5. The new one puts its store in the place of the old one's, and follows the control plane.
//!
//! Until 4 the old one can go on as if nothing had been, and does when the new one fails, or takes too long. From 1 on the new one has the
//! sockets: when the old one is killed, those connections that it had not accepted are accepted.
//!
//! Only a process of the same user is heard. What does not pass from one to the other: connections that are open, and counts of telemetry.

mod door;
mod predecessor;
mod wire;

use std::{
    fs::File,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    time::Duration,
};

pub use self::{
    door::{Door, Successor},
    predecessor::Predecessor,
};

/// The socket in the data folder.
const SOCKET: &str = "take-over.sock";
/// Folder in the data folder for the new process's copy of the store.
pub const COPY_FOLDER: &str = "store.next";
/// How long the new process may take to serve once the old one has stopped to write.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A folder whose socket is named by a path of bounded length: addresses of Unix sockets have at most 108 bytes.
struct Folder(File);

impl Folder {
    fn open(path: &Path) -> std::io::Result<Self> {
        File::open(path).map(Self)
    }

    fn path(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()).into()
    }
}
