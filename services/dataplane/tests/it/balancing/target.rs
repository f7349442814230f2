//! A target for tests: it answers with its name, counts what it was asked, and dies, hangs, fails and comes back as it is told.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::gateway::any_port;

/// What a target does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Answers with a status.
    Answers(u16),
    /// Answers 200 after a time.
    Takes(Duration),
    /// Never answers, until it does something else.
    Hangs,
    /// Closes the connection.
    Closes,
}

pub struct Target {
    pub address: SocketAddr,
    state: Arc<State>,
    running: Option<AbortOnDropHandle<()>>,
}

struct State {
    name: &'static str,
    does: watch::Sender<Does>,
    requests: AtomicUsize,
    connections: AtomicUsize,
    /// The heads of the requests.
    heads: Mutex<Vec<String>>,
}

impl Target {
    pub async fn start(name: &'static str) -> Self {
        Self::start_at(name, any_port()).await.expect("a port is free")
    }

    pub async fn start_at(name: &'static str, address: SocketAddr) -> io::Result<Self> {
        let state = State {
            name,
            does: watch::Sender::new(Does::Answers(200)),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            heads: Mutex::default(),
        };
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mut target = Self { address, state: Arc::new(state), running: None };
        target.run(listener);
        Ok(target)
    }

    /// Closes its port and all connections.
    pub async fn die(&mut self) {
        let running = self.running.take().expect("it lives");
        running.abort();
        // Its sockets are closed when it has ended.
        let _ = running.await;
    }

    /// Lives again, at the same address.
    pub fn revive(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.run(socket.listen(64).unwrap());
    }

    pub fn does(&self, does: Does) {
        self.state.does.send_replace(does);
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// The heads of all requests.
    pub fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }

    /// The value of a header in the last request.
    pub fn last_header(&self, name: &str) -> Option<String> {
        let heads = self.state.heads.lock().unwrap();
        let mut fields = heads.last()?.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }

    fn run(&mut self, listener: TcpListener) {
        let state = self.state.clone();
        self.running = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                state.connections.fetch_add(1, SeqCst);
                connections.spawn(serve(state.clone(), tcp));
            }
        })));
    }
}

async fn serve(state: Arc<State>, mut tcp: TcpStream) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !matches!(tcp.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end);
        state.heads.lock().unwrap().push(head);
        state.requests.fetch_add(1, SeqCst);
        let mut does = state.does.subscribe();
        let does = *does.wait_for(|does| *does != Does::Hangs).await.unwrap();
        let status = match does {
            Does::Answers(status) => status,
            Does::Takes(time) => {
                tokio::time::sleep(time).await;
                200
            }
            Does::Closes | Does::Hangs => return,
        };
        let (name, length) = (state.name, state.name.len());
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{name}");
        if tcp.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
