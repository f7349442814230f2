//! One connection of the generator, plain or TLS, that never blocks.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use anyhow::Context as _;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use rustls_pki_types::ServerName;

use super::answer::Answer;
use crate::proxy::requests::{HOST, Requests};

/// How a connection speaks.
#[derive(Clone, Debug)]
pub enum Wire {
    /// Plain TCP.
    Plain,
    /// TLS. The connections take turns as these clients, each of which remembers its own sessions.
    Tls(Arc<[Arc<ClientConfig>]>),
}

/// A connection, with the request that it carries, if any.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    answer: Answer,
    request: Option<Sending>,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    number: usize,
    /// Bytes of head and body that are written.
    sent: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects as the client with this number; the TLS handshake comes with the first request.
    pub fn open(address: SocketAddr, wire: &Wire, client: usize) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let stream = match wire {
            Wire::Plain => Stream::Plain(socket),
            Wire::Tls(clients) => {
                let client = clients.get(client % clients.len().max(1)).context("no TLS client")?;
                let client = ClientConnection::new(Arc::clone(client), ServerName::try_from(HOST)?)?;
                Stream::Tls(Box::new(StreamOwned::new(client, socket)))
            }
        };
        Ok(Self { stream, answer: Answer::default(), request: None })
    }

    /// Sends the next request, as far as that goes without waiting. Its answer comes later: with an event.
    pub fn begin(&mut self, number: usize, requests: &Requests) -> anyhow::Result<()> {
        self.answer.clear();
        self.request = Some(Sending { number, sent: 0 });
        self.send(requests).map(drop)
    }

    /// Goes as far as possible without waiting, after an event; true when the answer has come, complete and right.
    pub fn advance(&mut self, requests: &Requests, buffer: &mut [u8]) -> anyhow::Result<bool> {
        if !self.send(requests)? {
            return Ok(false);
        }
        loop {
            let Some(count) = unless_blocked(self.stream.read(buffer))? else { return Ok(false) };
            anyhow::ensure!(count > 0, "the connection was closed instead of an answer");
            if self.answer.take(buffer.get(..count).unwrap_or_default(), requests.expected())? {
                self.request = None;
                return Ok(true);
            }
        }
    }

    /// Whether nothing follows on it, as its last answer says.
    pub fn is_over(&self) -> bool {
        self.answer.is_last()
    }

    /// True when there is a request and all of it is sent.
    fn send(&mut self, requests: &Requests) -> anyhow::Result<bool> {
        let Some(sending) = &mut self.request else { return Ok(false) };
        let (head, body) = requests.get(sending.number);
        while sending.sent < head.len() + body.len() {
            let rest = head.get(sending.sent..).filter(|rest| !rest.is_empty());
            let rest =
                rest.or_else(|| body.get(sending.sent.saturating_sub(head.len())..)).unwrap_or_default();
            let Some(sent) = unless_blocked(self.stream.write(rest))? else { return Ok(false) };
            sending.sent += sent;
        }
        Ok(true)
    }

    /// Whether its TLS session goes on from an earlier one.
    pub fn is_resumed(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Plain(socket) => socket.as_fd(),
            Stream::Tls(stream) => stream.sock.as_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// `None` where the socket would have to wait.
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
