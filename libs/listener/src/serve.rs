//! Serves HTTP on the connections of a port with an axum router, until the drain.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::CertificateDer;
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    BUFFER_MAX, HEAD_MAX, HEADERS_MAX, Io, Limits, Seat,
    accept::Listener,
    answers::{AnswerBody, Answers, PortAnswers},
    arrived::{Arrived, Opened},
    request_body::RequestBody,
};

/// Pause after which an HTTP/2 client is pinged, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection that was idle may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection of HTTP/1 may be without a request in a drain. One that comes meanwhile is answered, and its client is told that
/// the connection ends. (Closing it at once would lose a request that is on its way.)
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2 where the TLS handshake agrees on it, else HTTP/1.1: requests with an end.
    Http {
        /// Most requests at the same time on a connection of HTTP/2.
        streams_max: u32,
    },
    /// HTTP/2, and HTTP/1.1 where the TLS handshake does not agree on it. Clients are known by their certificates; their bodies may
    /// go on for ever, and their connections may be without a request.
    Streams {
        /// Most streams at the same time on a connection.
        streams_max: u32,
    },
}

/// Who made a connection. An extension of each of its requests.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address, as TCP or a trusted load balancer says.
    pub address: IpAddr,
    /// The certificate that it showed, verified by the TLS configuration of the port.
    pub certificate: Option<CertificateDer<'static>>,
}

/// What all connections of a port share.
struct Port {
    router: Router,
    protocols: Protocols,
    limits: Limits,
    answers: Arc<PortAnswers>,
    drain: CancellationToken,
}

impl Listener {
    /// Serves `router` until `drain` is cancelled and every request has been answered: also those on connections that were opened before
    /// the drain and say something soon.
    pub async fn serve(self, router: Router, protocols: Protocols, drain: CancellationToken) {
        let limits = self.options().limits;
        let answers = PortAnswers::new(limits.untaken_max);
        let port = Arc::new(Port { router, protocols, limits, answers, drain: drain.clone() });
        let connections = TaskTracker::new();
        while let Some(arrived) = self.next(&drain).await {
            connections.spawn(port.clone().connection(arrived));
        }
        connections.close();
        // Closes the port: whoever comes now is refused, and tries elsewhere.
        drop(self);
        connections.wait().await;
    }
}

impl Port {
    async fn connection(self: Arc<Self>, arrived: Arrived) {
        let peer = arrived.peer();
        // In boxes: most of the time neither runs, and there are many connections.
        match Box::pin(arrived.open()).await {
            Ok(opened) => {
                if let Err(error) = self.opened(opened).await {
                    tracing::debug!(%error, %peer, "a connection ended early");
                }
            }
            Err(error) => tracing::debug!(%error, %peer, "a connection could not be opened"),
        }
    }

    async fn opened(&self, opened: Opened) -> hyper::Result<()> {
        let is_http2 = opened.alpn() == Some(b"h2");
        let Opened { stream, seat, peer, certificate, .. } = opened;
        let requests = Requests {
            router: self.router.clone(),
            client: Client { address: peer.ip().to_canonical(), certificate },
            seat: Arc::new(seat),
            answers: self.answers.connection(),
            pace: matches!(self.protocols, Protocols::Http { .. }).then_some(self.limits),
            drain: self.drain.clone(),
        };
        let (seat, answers) = (requests.seat.clone(), requests.answers.clone());
        let service = service_fn(move |request| requests.clone().answer(request));
        if is_http2 {
            let (Protocols::Http { streams_max } | Protocols::Streams { streams_max }) = self.protocols;
            let served = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(streams_max)
                .max_header_list_size(HEAD_MAX as u32)
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT)
                .serve_connection(TokioIo::new(Io::new(stream, &self.limits)), service);
            let drained = self.drain.cancelled();
            self.drive(pin!(served), |served| served.graceful_shutdown(), drained, &seat, &answers).await
        } else {
            let io = Io::new(stream, &self.limits).with_head_timeout(&seat, &self.limits);
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.idle_timeout)
                .max_headers(HEADERS_MAX)
                .max_header_size(HEAD_MAX)
                .max_buf_size(BUFFER_MAX)
                .serve_connection(TokioIo::new(io), service);
            let drained = async {
                self.drain.cancelled().await;
                sleep(LAST_REQUEST_TIMEOUT).await;
            };
            self.drive(pin!(served), |served| served.graceful_shutdown(), drained, &seat, &answers).await
        }
    }

    /// Runs `served` to its end. Asks it to finish when `drained`, and drops it when the client takes nothing of an answer, when
    /// it does not end after having been idle, and when its seat is needed.
    async fn drive<S>(
        &self,
        mut served: Pin<&mut S>,
        finish: impl Fn(Pin<&mut S>),
        drained: impl Future<Output = ()>,
        seat: &Seat,
        answers: &Answers,
    ) -> hyper::Result<()>
    where
        S: Future<Output = hyper::Result<()>>,
    {
        let idle = async {
            match self.protocols {
                Protocols::Http { .. } => seat.idle(self.limits.idle_timeout).await,
                Protocols::Streams { .. } => std::future::pending().await,
            }
        };
        let stalled = answers.stalled(self.limits.stall_timeout);
        tokio::pin!(stalled);
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = &mut stalled => return Ok(()),
            () = seat.lost() => return Ok(()),
            () = drained => finish(served.as_mut()),
            () = idle => {
                finish(served.as_mut());
                return timeout(END_TIMEOUT, served).await.unwrap_or(Ok(()));
            }
        }
        tokio::select! {
            ended = served => ended,
            () = stalled => Ok(()),
        }
    }
}

/// The requests of one connection.
#[derive(Clone)]
struct Requests {
    router: Router,
    client: Client,
    seat: Arc<Seat>,
    answers: Answers,
    /// The pace that their bodies have to keep; `None`: any.
    pace: Option<Limits>,
    drain: CancellationToken,
}

impl Requests {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Infallible> {
        let (in_flight, is_http2) = (self.seat.begin(), request.version() == Version::HTTP_2);
        let (head, incoming) = request.into_parts();
        let (body, unread) = RequestBody::new(incoming, self.pace);
        let mut request = Request::from_parts(head, Body::new(body));
        request.extensions_mut().insert(self.client);
        let mut response = self.router.oneshot(request).await?;
        // Nothing can follow on this connection if the client is still sending, or if the process ends. Whoever wants to send something has
        // to know.
        if !is_http2 && (!unread.is_over() || self.drain.is_cancelled()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| self.answers.send(body, in_flight)))
    }
}
