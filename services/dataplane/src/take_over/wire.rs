//! What the two processes say to each other, and the sockets that they pass: messages in JSON, each behind its length.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use listener::Socket;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::UnixStream,
};

/// The version of these messages. It grows with each change that an earlier release would misunderstand.
pub const PROTOCOL: u32 = 1;

/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Sockets in one packet; the kernel allows 253.
const PACKET_SOCKETS_MAX: usize = 64;

/// A message. The process that takes over is the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// New: asks for the ports. Every version of the protocol begins with these fields.
    TakeOver {
        /// [`PROTOCOL`] of the new process.
        protocol: u32,
        /// Its release, for logs.
        release: String,
        /// Its process id, for logs.
        pid: u32,
    },
    /// Old: nothing will be taken over.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// Old: the sockets follow.
    Offer {
        /// Its process id, for logs.
        pid: u32,
        /// One for each socket.
        sockets: Vec<OfferedSocket>,
    },
    /// Old: nothing is written any more, and the copy of the store is complete.
    Store,
    /// New: it accepts connections.
    Serving {
        /// At these addresses; what else was offered is the old one's to close.
        addresses: Vec<SocketAddr>,
    },
    /// Old: it accepts none any more, and will never write again.
    Left,
}

/// A socket on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedSocket {
    /// The name of its port, as in `http`.
    pub port: String,
    /// Whether it belongs to a service manager, which keeps it open.
    pub stays_open: bool,
}

/// One end of a connection between the two.
pub struct Connection(UnixStream);

impl Connection {
    /// `stream`, if the process at its other end runs as the same user.
    ///
    /// # Errors
    /// When it does not.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let (own, peer) = (rustix::process::geteuid().as_raw(), stream.peer_cred()?.uid());
        if own != peer {
            let text = format!("the other process runs as user {peer}, and this one as user {own}");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Self(stream))
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Message) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.0.write_all(&[&length.to_be_bytes()[..], &text].concat()).await
    }

    /// The next message. Reads no byte of what follows it: sockets come with those.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the other process has ended or closed the connection.
    pub async fn receive(&mut self) -> io::Result<Message> {
        let length = self.0.read_u32().await? as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(invalid(format!("a message has more than {MESSAGE_BYTES_MAX} bytes")));
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).await?;
        serde_json::from_slice(&text)
            .map_err(|error| invalid(format!("a message that this release does not know: {error}")))
    }

    /// Passes `sockets` on, in order.
    pub async fn send_sockets(&mut self, sockets: &[Arc<Socket>]) -> io::Result<()> {
        for packet in sockets.chunks(PACKET_SOCKETS_MAX) {
            let packet: Vec<BorrowedFd<'_>> = packet.iter().map(|socket| socket.as_fd()).collect();
            let send = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_SOCKETS_MAX))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(&packet));
                // Sockets travel with at least one byte.
                let sent = sendmsg(
                    &self.0,
                    &[IoSlice::new(&[0])],
                    &mut control,
                    SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
                );
                Ok(sent?)
            };
            self.0.async_io(Interest::WRITABLE, send).await?;
        }
        Ok(())
    }

    /// Takes `count` sockets, in the order in which they were sent.
    pub async fn receive_sockets(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        let mut sockets = Vec::new();
        while sockets.len() < count {
            let receive = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_SOCKETS_MAX))];
                let (mut control, mut byte) = (RecvAncillaryBuffer::new(&mut space), [0]);
                let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
                let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
                let packet = control.drain().filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
                    _ => None,
                });
                let packet: Vec<OwnedFd> = packet.flatten().collect();
                match received.bytes {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    _ if packet.is_empty() || received.flags.contains(ReturnFlags::CTRUNC) => Err(invalid(
                        "sockets were lost on their way: are too few open files allowed?".to_owned(),
                    )),
                    _ => Ok(packet),
                }
            };
            sockets.extend(self.0.async_io(Interest::READABLE, receive).await?);
        }
        Ok(sockets)
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
