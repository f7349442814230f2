//! gRPC through the gateway, with the client and the server that users have (tonic): all four kinds of calls, over TLS and without, and across
//! changes of the configuration.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use dataplane::proxy::{Limits, ProxyOptions};
use futures::{Stream, StreamExt as _, stream};
use http::{Request as HttpRequest, Response as HttpResponse, uri::PathAndQuery};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use listener::Limits as ConnectionLimits;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client::Grpc,
    server,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::service_fn as tower_fn;

use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    tls,
};

type Codec = ProstCodec<String, String>;
type Sent = std::pin::Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// Serves calls of `/test.Echo/…`.
async fn serve(tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                // HTTP/2 and nothing else, as servers of gRPC do.
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                match tls {
                    None => drop(http2.serve_connection(TokioIo::new(tcp), service_fn(answer)).await),
                    Some(tls) => {
                        let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await else { return };
                        drop(http2.serve_connection(TokioIo::new(stream), service_fn(answer)).await);
                    }
                }
            });
        }
    });
    address
}

async fn answer(request: HttpRequest<Incoming>) -> Result<HttpResponse<Body>, Infallible> {
    assert_eq!(request.headers()["te"], "trailers");
    let mut grpc = server::Grpc::new(Codec::default());
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    Ok(match method.as_str() {
        "Unary" => grpc.unary(tower_fn(unary), request).await,
        "Split" => grpc.server_streaming(tower_fn(split), request).await,
        "Join" => grpc.client_streaming(tower_fn(join), request).await,
        "Chat" => grpc.streaming(tower_fn(chat), request).await,
        _ => {
            let mut status = Status::failed_precondition("not today: 100 %");
            status.metadata_mut().insert("x-detail", "why".parse().unwrap());
            status.into_http()
        }
    })
}

async fn unary(request: Request<String>) -> Result<Response<String>, Status> {
    let from =
        request.metadata().get("x-from").and_then(|from| from.to_str().ok()).unwrap_or_default().to_owned();
    let text = request.into_inner();
    if let Some(millis) = text.strip_prefix("wait ") {
        tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
    }
    let mut response = Response::new(format!("{from}:{text}"));
    response.metadata_mut().insert("x-head", "1".parse().unwrap());
    Ok(response)
}

async fn split(request: Request<String>) -> Result<Response<Sent>, Status> {
    let words: Vec<_> = request.into_inner().split(' ').map(|word| Ok(word.to_owned())).collect();
    // Then an error, which only trailers can say.
    let mut status = Status::data_loss("the end");
    status.metadata_mut().insert("x-trailer", "late".parse().unwrap());
    Ok(Response::new(Box::pin(stream::iter(words).chain(stream::iter([Err(status)])))))
}

async fn join(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let mut words = request.into_inner();
    let mut all = Vec::new();
    while let Some(word) = words.message().await? {
        all.push(word);
    }
    Ok(Response::new(all.join(" ")))
}

async fn chat(request: Request<Streaming<String>>) -> Result<Response<Sent>, Status> {
    let heard = request.into_inner().map(|word| word.map(|word| word.to_uppercase()));
    Ok(Response::new(Box::pin(heard)))
}

fn path(method: &str) -> PathAndQuery {
    format!("/test.Echo/{method}").parse().unwrap()
}

/// A client of its own connection.
struct Caller(Grpc<Channel>);

impl Caller {
    async fn plain(gateway: &Gateway) -> Self {
        Self(Grpc::new(
            Endpoint::from_shared(format!("http://{}", gateway.http())).unwrap().connect().await.unwrap(),
        ))
    }

    /// Over TLS, for the name `shop.io`.
    async fn tls(gateway: &Gateway, own: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Self {
        let (config, address) = (tls::client_config(own, &["h2"]), gateway.https());
        let connector = tower_fn(move |_| {
            let config = config.clone();
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = "shop.io".try_into().expect("a name");
                tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.map(TokioIo::new)
            }
        });
        Self(Grpc::new(
            Endpoint::from_static("http://shop.io").connect_with_connector(connector).await.unwrap(),
        ))
    }

    async fn unary(&mut self, request: Request<String>) -> Result<Response<String>, Status> {
        self.0.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        timeout(DEADLINE, self.0.unary(request, path("Unary"), Codec::default()))
            .await
            .expect("an answer in time")
    }

    /// A call of each kind.
    async fn all_kinds(&mut self) {
        let mut request = Request::new("hello".to_owned());
        request.metadata_mut().insert("x-from", "me".parse().unwrap());
        let answer = self.unary(request).await.unwrap();
        assert_eq!(
            (answer.get_ref().as_str(), answer.metadata().get("x-head").unwrap().to_str().unwrap()),
            ("me:hello", "1")
        );

        self.0.ready().await.unwrap();
        let words =
            self.0.server_streaming(Request::new("a b c".to_owned()), path("Split"), Codec::default());
        let mut words = words.await.unwrap().into_inner();
        for word in ["a", "b", "c"] {
            assert_eq!(words.message().await.unwrap().as_deref(), Some(word));
        }
        let status = words.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DataLoss, "the end"));
        assert_eq!(status.metadata().get("x-trailer").unwrap(), "late");

        self.0.ready().await.unwrap();
        let words = stream::iter(["x", "y"].map(str::to_owned));
        let joined =
            self.0.client_streaming(Request::new(words), path("Join"), Codec::default()).await.unwrap();
        assert_eq!(joined.get_ref(), "x y");

        let (say, mut heard) = self.chat().await;
        for word in ["ping", "pong"] {
            say.send(word.to_owned()).await.unwrap();
            assert_eq!(heard.message().await.unwrap().unwrap(), word.to_uppercase());
        }
        drop(say);
        assert_eq!(heard.message().await.unwrap(), None);
        assert!(heard.trailers().await.unwrap().is_some());

        self.0.ready().await.unwrap();
        let refused: Result<Response<String>, _> =
            self.0.unary(Request::new(String::new()), path("Fail"), Codec::default()).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "not today: 100 %"));
        assert_eq!(refused.metadata().get("x-detail").unwrap(), "why");
    }

    async fn chat(&mut self) -> (mpsc::Sender<String>, Streaming<String>) {
        self.0.ready().await.unwrap();
        let (say, words) = mpsc::channel(4);
        let heard =
            self.0.streaming(Request::new(ReceiverStream::new(words)), path("Chat"), Codec::default());
        (say, timeout(DEADLINE, heard).await.expect("in time").unwrap().into_inner())
    }
}

fn yaml(service: &str, route: &str) -> String {
    format!("_format_version: \"3.0\"\nservices:\n- {{name: s, {service}, routes: [{{name: r, {route}}}]}}\n")
}

const ROUTE: &str = "paths: [/test.Echo/], protocols: [grpc, grpcs]";

#[tokio::test]
async fn all_four_kinds_of_calls_pass_over_tls_and_without() {
    let theirs = tls::certificate(&["localhost"]);
    let (plain, secured) = (serve(None).await, serve(Some(tls::server_config(&theirs, &["h2"]))).await);
    let folder = tempfile::tempdir().unwrap();
    let (own, files) = tls::own_certificate(folder.path());
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, theirs.cert.pem()).unwrap();
    let options = ProxyOptions {
        http: Some(any_port()),
        https: Some(any_port()),
        tls: Some(files),
        upstream_roots: Some(roots),
        ..ProxyOptions::default()
    };
    for service in [
        format!("url: 'grpc://{plain}'"),
        format!("url: 'grpcs://localhost:{}'", secured.port()),
        format!("url: 'https://localhost:{}'", secured.port()),
    ] {
        let gateway = Gateway::start_with(&yaml(&service, ROUTE), options.clone()).await;
        assert_eq!(gateway.quarantined(), [""; 0]);
        Caller::plain(&gateway).await.all_kinds().await;
        Caller::tls(&gateway, &own).await.all_kinds().await;
        // A route for HTTP takes calls too, where its service speaks HTTP/2.
        gateway.apply(&yaml(&service, "paths: [/test.Echo/], strip_path: false")).await;
        Caller::plain(&gateway).await.all_kinds().await;
    }
}

#[tokio::test]
async fn a_call_goes_on_while_the_configuration_changes() {
    let service = format!("url: 'grpc://{}'", serve(None).await);
    let gateway = Gateway::start(&yaml(&service, ROUTE)).await;
    let mut caller = Caller::plain(&gateway).await;
    let (say, mut heard) = caller.chat().await;
    for n in 0..20 {
        gateway.apply(&(yaml(&service, ROUTE) + &format!("- {{name: other, url: 'http://a{n}'}}\n"))).await;
        say.send(format!("w{n}")).await.unwrap();
        assert_eq!(heard.message().await.unwrap().unwrap(), format!("W{n}"));
    }
    // Also when its route is gone: the next call is refused.
    gateway.apply(&yaml(&service, "paths: [/other], protocols: [grpc]")).await;
    say.send("last".to_owned()).await.unwrap();
    assert_eq!(heard.message().await.unwrap().unwrap(), "LAST");
    let refused = caller.unary(Request::new(String::new())).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "no Route matched with those values"));
}

#[tokio::test]
async fn the_gateway_answers_calls_with_statuses_of_grpc() {
    let upstream = serve(None).await;
    let closed = TcpListener::bind(any_port()).await.unwrap().local_addr().unwrap();
    for (service, route, code) in [
        (format!("url: 'grpc://{upstream}'"), "paths: [/other], protocols: [grpc]", Code::NotFound),
        (
            format!("url: 'grpc://{upstream}'"),
            "paths: [/test.Echo/], protocols: [grpcs]",
            Code::FailedPrecondition,
        ),
        (
            format!("url: 'grpc://{upstream}'"),
            "paths: [/test.Echo/], protocols: [grpc], plugins: [{name: key-auth}]",
            Code::Unauthenticated,
        ),
        (
            format!("url: 'grpc://{upstream}'"),
            "paths: [/test.Echo/], protocols: [grpc], plugins: [{name: request-termination, config: {status_code: 429, message: slowly}}]",
            Code::ResourceExhausted,
        ),
        (format!("url: 'grpc://{closed}', retries: 0"), ROUTE, Code::Unavailable),
    ] {
        let gateway = Gateway::start(&yaml(&service, route)).await;
        let answer = Caller::plain(&gateway).await.unary(Request::new("a".to_owned())).await;
        assert_eq!(answer.map_or_else(|status| status.code(), |_| Code::Ok), code, "{service} {route}");
    }
}

#[tokio::test]
async fn a_route_for_calls_takes_nothing_else() {
    let gateway = Gateway::start(&yaml(&format!("url: 'grpc://{}'", serve(None).await), ROUTE)).await;
    let mut client = Client::connect(gateway.http()).await;
    let refused = client.get("/test.Echo/Unary").await;
    assert_eq!((refused.status, refused.header("upgrade")), (426, Some("h2c")));
    assert_eq!(refused.json()["reason"], "upgrade-required");
}

/// A call may be silent for longer than a body of HTTP may.
#[tokio::test]
async fn silence_within_a_call_ends_nothing() {
    let stall = Duration::from_millis(300);
    let limits = Limits {
        connections: ConnectionLimits { stall_timeout: stall, ..ConnectionLimits::default() },
        ..Limits::default()
    };
    let options = ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() };
    let service = format!("url: 'grpc://{}', write_timeout: 300, read_timeout: 300", serve(None).await);
    let gateway = Gateway::start_with(&yaml(&service, ROUTE), options).await;
    let mut caller = Caller::plain(&gateway).await;
    // A client that says how long it waits gets that time.
    let mut patient = Request::new("wait 900".to_owned());
    patient.set_timeout(Duration::from_secs(30));
    assert_eq!(caller.unary(patient).await.unwrap().get_ref(), ":wait 900");
    let late = caller.unary(Request::new("wait 60000".to_owned())).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    // What the client pauses for is its own.
    caller.0.ready().await.unwrap();
    let words = stream::unfold(0, move |n| async move {
        tokio::time::sleep(stall * 2).await;
        (n < 2).then(|| (n.to_string(), n + 1))
    });
    let joined = caller.0.client_streaming(Request::new(words), path("Join"), Codec::default());
    assert_eq!(timeout(DEADLINE, joined).await.unwrap().unwrap().get_ref(), "0 1");
}
