//! An upstream that reads what the gateway sends as the reference does (`reference`), and remembers who sent it.
//!
//! It knows the clients of a test by their addresses, which the gateway says in `X-Real-IP`. So a test gives each of its clients an address
//! of its own, in 127.0.0.0/8.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::{
    gateway::any_port,
    reference::{
        Stop,
        request::{self, Request},
    },
};

/// The header of the recorder's answers that says which one it is.
pub const ANSWER: &str = "x-answer";

/// Each request gets an answer with a number of its own, in `X-Answer` and in the body.
#[derive(Clone)]
pub struct Recorder {
    pub address: SocketAddr,
    record: Arc<Mutex<Record>>,
}

#[derive(Default)]
struct Record {
    next: usize,
    seen: HashMap<Ipv4Addr, Vec<Seen>>,
    faults: Vec<String>,
}

/// A whole request that came, and the number of its answer.
#[derive(Clone, Debug)]
pub struct Seen {
    pub request: Request,
    pub answer: usize,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let recorder = Self { address: listener.local_addr().unwrap(), record: Arc::default() };
        let serving = recorder.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(tcp));
            }
        });
        recorder
    }

    /// What came from the client at `address`, which is forgotten.
    pub fn take(&self, address: Ipv4Addr) -> Vec<Seen> {
        self.record.lock().unwrap().seen.remove(&address).unwrap_or_default()
    }

    /// What came that is not a request.
    pub fn faults(&self) -> Vec<String> {
        self.record.lock().unwrap().faults.clone()
    }

    async fn serve(self, mut tcp: TcpStream) {
        let (mut bytes, mut is_asked_for) = (Vec::new(), false);
        loop {
            let mut rest = bytes.as_slice();
            let answer = match request::next(&mut rest) {
                Ok(request) => self.answer(&request),
                Err(Stop::Partial) if !is_asked_for && request::waits(&bytes) => {
                    is_asked_for = true;
                    "HTTP/1.1 100 Continue\r\n\r\n".to_owned()
                }
                Err(Stop::Partial) => match tcp.read_buf(&mut bytes).await {
                    Ok(1..) => continue,
                    _ => return,
                },
                Err(Stop::Invalid(fault)) => {
                    self.record.lock().unwrap().faults.push(format!("{fault}: {}", bytes.escape_ascii()));
                    return;
                }
            };
            if rest.len() < bytes.len() {
                (bytes, is_asked_for) = (rest.to_vec(), false);
            }
            if tcp.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Notes `request`, and answers it.
    fn answer(&self, request: &Request) -> String {
        let mut record = self.record.lock().unwrap();
        let number = record.next;
        record.next += 1;
        match sender(request) {
            Some(client) => {
                record
                    .seen
                    .entry(client)
                    .or_default()
                    .push(Seen { request: request.clone(), answer: number });
            }
            None => record.faults.push(format!("nobody sent {request:?}")),
        }
        let text = format!("answer {number}");
        let (length, head_only) = (text.len(), request.head.method == "HEAD");
        match (head_only, number % 3) {
            (true, _) => format!("HTTP/1.1 200 OK\r\n{ANSWER}: {number}\r\ncontent-length: {length}\r\n\r\n"),
            (false, 0) => format!(
                "HTTP/1.1 200 OK\r\n{ANSWER}: {number}\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{text}\r\n0\r\n\r\n"
            ),
            (false, _) => {
                format!("HTTP/1.1 200 OK\r\n{ANSWER}: {number}\r\ncontent-length: {length}\r\n\r\n{text}")
            }
        }
    }
}

/// The address of the client that sent `request`, as the gateway says.
pub fn sender(request: &Request) -> Option<Ipv4Addr> {
    let address = request.head.fields.all("x-real-ip").next()?;
    std::str::from_utf8(address).ok()?.parse().ok()
}

/// A connection to `server` from the address `own`.
pub async fn connect_from(own: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((own, 0).into()).unwrap();
    let tcp = socket.connect(server).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

/// The address of the client with this number, below 65,536.
pub fn client_address(number: usize) -> Ipv4Addr {
    let [.., high, low] = u32::try_from(number).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}
