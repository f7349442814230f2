//! A port over TLS with a router behind it, and clients for it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    http::StatusCode,
    routing::{get, post},
};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use listener::{Client, Limits, Listener, Options, Protocols};
use rcgen::{CertifiedKey, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest time that a test waits for something to happen.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// A limit that a test waits for.
pub const SHORT: Duration = Duration::from_millis(300);
/// Bytes of the answer to `GET /large`.
pub const LARGE: usize = 2 << 20;

/// A port that is served until this is dropped.
pub struct Port {
    pub address: SocketAddr,
    certificate: CertifiedKey<KeyPair>,
    _drain: DropGuard,
}

impl Port {
    pub async fn open(limits: Limits, protocols: Protocols) -> Self {
        Self::open_with(Options { limits, ..Options::default() }, protocols).await
    }

    pub async fn open_with(options: Options, protocols: Protocols) -> Self {
        let certificate =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).expect("a key");
        let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key)
            .expect("a pair");
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options { name: "test", tls: Some(Arc::new(tls).into()), ..options };
        let listener = Listener::bind(any, options).await.expect("a port");
        let (address, drain) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router(), protocols, drain.clone()));
        Self { address, certificate, _drain: drain.drop_guard() }
    }

    /// A connection that offers `protocol` in its TLS handshake.
    pub async fn connect(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(TcpStream::connect(self.address).await?, protocol).await
    }

    pub async fn handshake(&self, tcp: TcpStream, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).expect("a root");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    }

    /// An HTTP/2 client that lets each answer have `window` bytes at first, and takes nothing of its own.
    pub async fn http2(&self, window: u32) -> http2::SendRequest<Empty<Bytes>> {
        let stream = self.connect("h2").await.expect("a connection");
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let builder = builder.initial_stream_window_size(window);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }

    /// What `GET path` answers on a connection of its own.
    pub async fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = self.connect("http/1.1").await?;
        ask(&mut stream, path).await?;
        answer(&mut stream).await
    }
}

fn router() -> Router {
    let address = async |Extension(client): Extension<Client>| client.address.to_string();
    Router::new()
        .route("/", get(async || "hello"))
        .route("/address", get(address))
        .route("/large", get(async || Body::from(vec![b'x'; LARGE])))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/refused", post(async || StatusCode::UNAUTHORIZED))
}

pub async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> std::io::Result<()> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await
}

/// One answer with a `Content-Length`: its first line and its body.
pub async fn answer(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).await?;
    let first = head.lines().next().unwrap_or_default();
    Ok(format!("{first} {}", String::from_utf8_lossy(&body)))
}

/// Waits until the other side has closed the connection; what it sent meanwhile.
pub async fn closed(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut rest = Vec::new();
    // A connection may end with a reset.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("closed in time");
    rest
}

pub async fn answers(
    sender: &mut http2::SendRequest<Empty<Bytes>>,
    path: &str,
) -> hyper::Result<hyper::Response<Incoming>> {
    sender.ready().await?;
    let request = hyper::Request::get(format!("https://localhost{path}")).body(Empty::new());
    sender.send_request(request.expect("a request")).await
}

pub fn local() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}
