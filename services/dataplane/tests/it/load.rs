//! Clients of every kind that ask on a schedule, whatever happens to the gateway meanwhile, and count what they lose. A client loses a
//! request when its connection was open, it did everything right, and no whole answer came.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header::CONNECTION};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{Interval, interval, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, DEADLINE};

/// Waits end here where many clients and processes share the machine.
pub const LOADED: Duration = Duration::from_secs(30);
/// Pause between the requests of one client.
const PACE: Duration = Duration::from_millis(2);
/// Requests that a client sends at once where it does not wait for answers.
const PIPELINED: usize = 4;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1, one request after the other on a connection.
    Kept,
    /// HTTP/1.1, several requests before the first answer.
    Pipelined,
    /// HTTP/1.1, a connection for each request.
    Fresh,
    Http2,
    /// Messages that the upstream sends back in capitals.
    WebSocket,
}

/// Where clients ask.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// For the name `shop.io`; `None`: plain.
    pub tls: Option<Arc<ClientConfig>>,
}

/// What clients have asked and got.
#[derive(Debug, Default)]
pub struct Tally {
    /// Paths that were answered.
    pub answered: BTreeSet<String>,
    /// What was lost, in words.
    pub lost: Vec<String>,
}

/// Clients that are running.
pub struct Load {
    clients: JoinSet<Tally>,
    count: watch::Sender<usize>,
    stop: CancellationToken,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One client.
struct Asking {
    kind: Kind,
    target: Target,
    name: String,
    next: usize,
    pace: Interval,
    tally: Tally,
    count: watch::Sender<usize>,
    stop: CancellationToken,
}

/// Why a client stops.
enum End {
    /// It was asked to, or the port is closed.
    Over,
    /// It lost this.
    Lost(String),
}

impl Load {
    /// Starts `clients` of `kind`. They end when they are told to, or when the port is closed.
    pub fn start(&mut self, kind: Kind, target: &Target, clients: usize) {
        for number in 0..clients {
            let tls = if target.tls.is_some() { "tls" } else { "plain" };
            let asking = Asking {
                kind,
                target: target.clone(),
                name: format!("/{kind:?}/{tls}/{number}"),
                next: 0,
                pace: interval(PACE),
                tally: Tally::default(),
                count: self.count.clone(),
                stop: self.stop.clone(),
            };
            self.clients.spawn(asking.run());
        }
    }

    pub fn new() -> Self {
        Self { clients: JoinSet::new(), count: watch::Sender::new(0), stop: CancellationToken::new() }
    }

    /// Waits until that many more were answered.
    pub async fn answers(&self, more: usize) {
        let mut count = self.count.subscribe();
        let wanted = *count.borrow() + more;
        let reached = timeout(LOADED, count.wait_for(|count| *count >= wanted)).await;
        reached.expect("the gateway answers").expect("clients run");
    }

    /// What all of them asked, once they have ended.
    pub async fn ended(mut self) -> Tally {
        let mut all = Tally::default();
        while let Some(one) = timeout(LOADED, self.clients.join_next()).await.expect("clients end") {
            let one = one.expect("no panic");
            all.answered.extend(one.answered);
            all.lost.extend(one.lost);
        }
        all
    }

    /// Tells them to end.
    pub async fn stop(self) -> Tally {
        self.stop.cancel();
        self.ended().await
    }
}

impl Asking {
    async fn run(mut self) -> Tally {
        loop {
            match self.connection().await {
                Ok(()) => {}
                Err(End::Over) => return self.tally,
                Err(End::Lost(what)) => self.tally.lost.push(format!("{}: {what}", self.name)),
            }
        }
    }

    /// Asks on one connection until that ends.
    async fn connection(&mut self) -> Result<(), End> {
        self.turn().await?;
        let stream = self.connect().await?;
        if self.kind == Kind::Http2 {
            return self.http2(stream).await;
        }
        let mut client = Client::over(stream);
        if self.kind == Kind::WebSocket {
            return self.websocket(&mut client).await;
        }
        let batch = if self.kind == Kind::Pipelined { PIPELINED } else { 1 };
        loop {
            let paths: Vec<_> = (0..batch).map(|_| self.path()).collect();
            let asked: String =
                paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nhost: shop.io\r\n\r\n")).collect();
            self.send(&mut client, &asked).await?;
            let mut is_last = self.kind == Kind::Fresh;
            for path in paths {
                let answer = client.try_response().await;
                let answer = answer.ok_or_else(|| End::Lost(format!("no answer to {path}")))?;
                self.answered(path, answer.status)?;
                is_last |= answer.header("connection") == Some("close");
            }
            if is_last {
                return Ok(());
            }
            self.turn().await?;
        }
    }

    async fn http2(&mut self, stream: Box<dyn Stream>) -> Result<(), End> {
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let opened = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|error| End::Lost(format!("HTTP/2: {error}")))?;
        let connection = tokio::spawn(connection);
        loop {
            if sender.ready().await.is_err() {
                // The gateway has said which requests were the last. It closes when they are answered.
                let ended = connection.await.expect("no panic");
                return ended.map_err(|error| End::Lost(format!("HTTP/2 ended: {error}")));
            }
            let path = self.path();
            let request =
                Request::get(format!("http://shop.io{path}")).body(Empty::<Bytes>::new()).expect("valid");
            let answer = match sender.try_send_request(request).await {
                Ok(answer) => answer,
                // It was not sent.
                Err(error) if error.message().is_some() => continue,
                // Nor was this one, if the gateway has said meanwhile which requests were the last, and the connection ends in order. Were it
                // sent all the same, the upstream would have seen what nobody has an answer to.
                Err(error) => {
                    let ended = connection.await.expect("no panic");
                    return ended
                        .map_err(|ended| End::Lost(format!("{path}: {}, {ended}", error.into_error())));
                }
            };
            let (head, body) = answer.into_parts();
            body.collect().await.map_err(|error| End::Lost(format!("{path}: {error}")))?;
            assert!(!head.headers.contains_key(CONNECTION));
            self.answered(path, head.status.as_u16())?;
            self.turn().await?;
        }
    }

    async fn websocket(&mut self, client: &mut Client<Box<dyn Stream>>) -> Result<(), End> {
        let path = format!("{}/upgrade/websocket", self.path());
        let open = format!(
            "GET {path} HTTP/1.1\r\nhost: shop.io\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        );
        self.send(client, &open).await?;
        let head = client.head().await.ok_or_else(|| End::Lost(format!("no answer to {path}")))?;
        assert_eq!(head.status, 101);
        self.tally.answered.insert(path);
        loop {
            let message = format!("<{}>", self.path());
            self.send(client, &message).await?;
            let echo = client.take(message.len()).await;
            let echo = echo.ok_or_else(|| End::Lost(format!("the message {message}")))?;
            assert_eq!(echo, message.to_ascii_uppercase().as_bytes());
            self.count.send_modify(|count| *count += 1);
            self.turn().await?;
        }
    }

    async fn send(&self, client: &mut Client<Box<dyn Stream>>, text: &str) -> Result<(), End> {
        client.try_send(text).await.map_err(|error| End::Lost(format!("sending: {error}")))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, End> {
        let tcp = match timeout(DEADLINE, TcpStream::connect(self.target.address)).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(End::Over),
            Ok(Err(error)) => return Err(End::Lost(format!("connecting: {error}"))),
            Err(_) => return Err(End::Lost("connecting takes too long".to_owned())),
        };
        let Some(tls) = &self.target.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from("shop.io").expect("a name");
        let shaken = TlsConnector::from(tls.clone()).connect(name, tcp).await;
        Ok(Box::new(shaken.map_err(|error| End::Lost(format!("TLS: {error}")))?))
    }

    fn answered(&mut self, path: String, status: u16) -> Result<(), End> {
        if status != 200 {
            return Err(End::Lost(format!("{path}: answered {status}")));
        }
        self.tally.answered.insert(path);
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }

    fn path(&mut self) -> String {
        self.next += 1;
        format!("{}/{}", self.name, self.next)
    }

    /// Waits until it is time for the next request.
    async fn turn(&mut self) -> Result<(), End> {
        let next = self.stop.run_until_cancelled(self.pace.tick()).await;
        next.map(drop).ok_or(End::Over)
    }
}
