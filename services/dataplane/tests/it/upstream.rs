//! Upstreams for tests. They record what they really saw: the requests as parsed, and every byte as it came.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{client::DEADLINE, gateway::any_port};

/// A request as the upstream parsed it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Path and query.
    pub target: String,
    /// What `:authority` says, or `Host`.
    pub host: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// False when the body broke off.
    pub complete: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Record {
    seen: Vec<Seen>,
    raw: Vec<u8>,
    connections: usize,
    /// Requests whose head arrived.
    started: watch::Sender<usize>,
    /// Requests that were dropped before they were answered, or whose body broke off.
    cancelled: watch::Sender<usize>,
}

/// Answers every request according to its path; see [`answer`].
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    record: Arc<Mutex<Record>>,
}

impl Upstream {
    pub async fn echo() -> Upstream {
        Self::start(None).await
    }

    pub async fn start(tls: Option<Arc<ServerConfig>>) -> Upstream {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let upstream = Upstream { address: listener.local_addr().unwrap(), record: Arc::default() };
        let record = upstream.record.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                record.lock().unwrap().connections += 1;
                tokio::spawn(serve(tcp, tls.clone(), record.clone()));
            }
        });
        upstream
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.record.lock().unwrap().seen.clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the upstream saw nothing")
    }

    /// Every byte that came in plain, as text.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.record.lock().unwrap().raw).into_owned()
    }

    pub fn connections(&self) -> usize {
        self.record.lock().unwrap().connections
    }

    pub async fn wait_for_requests(&self, count: usize) {
        let started = self.record.lock().unwrap().started.subscribe();
        wait_for(started, count).await;
    }

    pub async fn wait_for_cancelled(&self, count: usize) {
        let cancelled = self.record.lock().unwrap().cancelled.subscribe();
        wait_for(cancelled, count).await;
    }
}

async fn wait_for(mut value: watch::Receiver<usize>, count: usize) {
    timeout(DEADLINE, value.wait_for(|value| *value >= count))
        .await
        .expect("it did not come so far")
        .unwrap();
}

async fn serve(tcp: TcpStream, tls: Option<Arc<ServerConfig>>, record: Arc<Mutex<Record>>) {
    let service = service_fn(|request| handle(request, record.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    match tls {
        None => {
            let io = TokioIo::new(Tee { inner: tcp, record: record.clone() });
            drop(builder.serve_connection_with_upgrades(io, service).await);
        }
        Some(config) => {
            if let Ok(stream) = TlsAcceptor::from(config).accept(tcp).await {
                drop(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await);
            }
        }
    }
}

struct Unanswered(Arc<Mutex<Record>>, bool);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.1 {
            self.0.lock().unwrap().cancelled.send_modify(|count| *count += 1);
        }
    }
}

type Body = BoxBody<Bytes, io::Error>;

async fn handle(
    request: Request<Incoming>,
    record: Arc<Mutex<Record>>,
) -> Result<Response<Body>, Infallible> {
    record.lock().unwrap().started.send_modify(|count| *count += 1);
    let mut unanswered = Unanswered(record.clone(), false);
    let path = request.uri().path().to_owned();
    let command: Vec<&str> = path.split('/').skip_while(|part| !COMMANDS.contains(part)).collect();
    if let ["upgrade", protocol] = command.as_slice() {
        unanswered.1 = true;
        return Ok(upgrade(request, protocol, &record));
    }
    if command.first() == Some(&"mirror") {
        unanswered.1 = true;
        let body = request.into_body().map_err(io::Error::other).boxed();
        return Ok(Response::new(body));
    }
    let (head, body) = request.into_parts();
    let mut seen = Seen {
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        host: host(&head.uri, &head.headers),
        version: head.version,
        headers: head.headers,
        body: Vec::new(),
        trailers: None,
        complete: true,
    };
    if command.first() != Some(&"early") {
        read(body, &mut seen).await;
    }
    if !seen.complete {
        record.lock().unwrap().cancelled.send_modify(|count| *count += 1);
    }
    record.lock().unwrap().seen.push(seen);
    let response = answer(&command).await;
    unanswered.1 = true;
    Ok(response)
}

fn host(uri: &http::Uri, headers: &HeaderMap) -> String {
    let header = || headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    uri.authority().map_or_else(|| header().to_owned(), ToString::to_string)
}

async fn read(mut body: Incoming, seen: &mut Seen) {
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => seen.body.extend_from_slice(&data),
            Ok(Err(frame)) => seen.trailers = frame.into_trailers().ok(),
            Err(_) => seen.complete = false,
        }
    }
}

const COMMANDS: [&str; 12] = [
    "limit", "status", "delay", "early", "upgrade", "mirror", "big", "stall", "abort", "trailers", "headers",
    "unsized",
];

/// What the end of the path asks for: `status/404`, `delay/300` (ms), `early` (an answer before the body is read),
/// `big/N` (bytes), `unsized/N` (without length), `stall` and `abort` (within the body), `trailers`, `headers`,
/// `limit/sms=2` (what `X-Kong-Limit` says).
async fn answer(command: &[&str]) -> Response<Body> {
    let number = |text: &&str| text.parse::<usize>().unwrap_or_default();
    let mut response = Response::new(full("ok"));
    match command {
        ["status", code] => {
            *response.status_mut() = StatusCode::from_u16(u16::try_from(number(code)).unwrap()).unwrap();
        }
        ["delay", millis] => tokio::time::sleep(Duration::from_millis(number(millis) as u64)).await,
        ["early"] => *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE,
        ["big", size] => response = Response::new(full("x".repeat(number(size)))),
        ["unsized", size] => response = Response::new(frames(vec![Ok("x".repeat(number(size)))], false)),
        ["stall"] => response = Response::new(frames(vec![Ok("part".to_owned())], true)),
        ["abort"] => {
            response =
                Response::new(frames(vec![Ok("part".to_owned()), Err(io::ErrorKind::Other.into())], false));
        }
        ["trailers"] => {
            let trailers = HeaderMap::from_iter([
                (http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0")),
                (http::HeaderName::from_static("set-cookie"), HeaderValue::from_static("late=1")),
            ]);
            // A body of unknown length: one with a length has no place for trailers in HTTP/1.1.
            let frames = [Ok(Frame::data(Bytes::from_static(b"ok"))), Ok(Frame::trailers(trailers))];
            response = Response::new(StreamBody::new(futures::stream::iter(frames)).boxed());
            response.headers_mut().insert("trailer", HeaderValue::from_static("grpc-status, set-cookie"));
        }
        ["limit", used] => {
            response.headers_mut().insert("x-kong-limit", HeaderValue::from_str(used).unwrap());
        }
        ["headers"] => {
            let headers = response.headers_mut();
            headers.insert("connection", HeaderValue::from_static("keep-alive, x-private"));
            headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
            headers.insert("x-private", HeaderValue::from_static("1"));
            headers.append("set-cookie", HeaderValue::from_static("a=1"));
            headers.append("set-cookie", HeaderValue::from_static("b=2"));
        }
        _ => {}
    }
    response
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// `parts`, each a moment after the other; then the end, or nothing more at all.
fn frames(parts: Vec<io::Result<String>>, stalls: bool) -> Body {
    let stream = futures::stream::unfold(parts.into_iter(), move |mut parts| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match parts.next() {
            Some(part) => Some((part.map(|text| Frame::data(Bytes::from(text))), parts)),
            None if stalls => std::future::pending().await,
            None => None,
        }
    });
    StreamBody::new(std::pin::Pin::from(Box::new(stream) as Box<dyn futures::Stream<Item = _> + Send + Sync>))
        .boxed()
}

/// Switches to `protocol`, then sends back in capitals what it reads.
fn upgrade(request: Request<Incoming>, protocol: &str, record: &Mutex<Record>) -> Response<Body> {
    record.lock().unwrap().seen.push(Seen {
        target: request.uri().to_string(),
        host: host(request.uri(), request.headers()),
        version: request.version(),
        headers: request.headers().clone(),
        body: Vec::new(),
        trailers: None,
        complete: true,
    });
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let mut io = TokioIo::new(upgraded);
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = io.read(&mut buffer).await {
            buffer[..read].make_ascii_uppercase();
            if io.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    response.headers_mut().insert("upgrade", HeaderValue::from_str(protocol).unwrap());
    response.headers_mut().insert("sec-websocket-accept", HeaderValue::from_static("checked-by-clients"));
    response
}

/// Records every byte that is read.
struct Tee {
    inner: TcpStream,
    record: Arc<Mutex<Record>>,
}

impl AsyncRead for Tee {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.record.lock().unwrap().raw.extend_from_slice(&buf.filled()[before..]);
        poll
    }
}

impl AsyncWrite for Tee {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// An upstream whose answers are given byte by byte: accepts connections one after the other, reads a request's head on
/// each, writes the next of `answers`, and closes.
pub async fn scripted(
    answers: Vec<impl AsRef<[u8]> + Send + Sync + 'static>,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let record = heads.clone();
    tokio::spawn(async move {
        for answer in answers {
            let Ok((mut tcp, _)) = listener.accept().await else { return };
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                if matches!(tcp.read_buf(&mut head).await, Ok(0) | Err(_)) {
                    break;
                }
            }
            record.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
            let _ = tcp.write_all(answer.as_ref()).await;
            let _ = tcp.shutdown().await;
        }
    });
    (address, heads)
}
