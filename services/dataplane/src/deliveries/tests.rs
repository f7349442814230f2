//! Entries over real sockets and into real files, by a queue of its own for each test.

use std::{
    fs,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use ::http::{HeaderValue, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpSocket, UdpSocket, UnixDatagram},
    sync::mpsc,
    time::sleep,
};

use super::*;
use crate::{
    balancing::{Hosts, Names, Prober},
    calls::{ANSWER_MAX, CallerSettings, Calls},
    view::TlsProfile,
};

const DEADLINE: Duration = Duration::from_secs(20);
const PLUGIN: Uuid = Uuid::from_u128(7);

/// Fails if `what` does not come about in time.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it did not come about in time")
}

/// Waits until `is_so`.
async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn deliveries() -> Deliveries {
    Deliveries::new(Some(Handle::current()), Random::fixed(0))
}

/// Everybody may be called but the address `forbidden`.
fn calls(forbidden: Option<SocketAddr>) -> Calls {
    let calls = Calls::default();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let prober = Prober {
        allows: Box::new(move |address| Some(address) != forbidden),
        tls: Box::new(move |_: &TlsProfile| {
            let config = rustls::ClientConfig::builder_with_provider(provider.clone());
            let config = config.with_safe_default_protocol_versions()?;
            let roots = rustls::RootCertStore::empty();
            Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
        }),
    };
    let hosts = Hosts::new(Names::new(&[]));
    calls.open(Arc::new(prober), hosts).unwrap();
    calls
}

fn options() -> Options {
    Options { coalescing: Duration::from_millis(20), ..Options::default() }
}

fn entries(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Bytes> {
    numbers.map(|number| Bytes::from(number.to_string()))
}

fn json_array(batch: &[Bytes]) -> Bytes {
    [b"[".as_slice(), &batch.join(&b','), b"]"].concat().into()
}

fn http(port: u16, calls: Calls) -> Arc<dyn Destination> {
    let settings = HttpSettings {
        url: format!("http://127.0.0.1:{port}/in?x=1").parse().unwrap(),
        method: Method::PUT,
        content_type: HeaderValue::from_static("application/json"),
        headers: HeaderMap::from_iter([("x-key".parse().unwrap(), HeaderValue::from_static("k"))]),
        limits: CallerSettings {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            keepalive: Duration::from_secs(60),
            answer_max: ANSWER_MAX,
        },
        encoding: Arc::new(json_array),
    };
    Arc::new(Http::new(settings, calls))
}

use ::http::HeaderMap;

/// A receiver that answers each request by what `answer` says of its number, and passes the bodies on. `None`: it says nothing.
async fn receiver(
    listener: TcpListener,
    answer: impl Fn(usize) -> Option<u16> + Clone + Send + Sync + 'static,
) -> mpsc::UnboundedReceiver<(Request<()>, String)> {
    let (told, heard) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (told, count, answer) = (told.clone(), count.clone(), answer.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (told, number, answer) = (told.clone(), count.fetch_add(1, SeqCst), answer.clone());
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let Some(status) = answer(number) else { return std::future::pending().await };
                    if status < 300 {
                        let body = String::from_utf8(body.to_vec()).unwrap();
                        told.send((Request::from_parts(parts, ()), body)).unwrap();
                    }
                    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
                    *response.status_mut() = status.try_into().unwrap();
                    Ok::<_, hyper::Error>(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
        }
    });
    heard
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port of which it is sure that nobody listens there, until it is bound again by the same call.
fn reserved() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn batches_are_json_arrays_of_at_most_their_size() {
    let deliveries = deliveries();
    let (listener, port) = listen().await;
    let mut heard = receiver(listener, |_| Some(200)).await;
    let options = Options { batch_max: 4, ..options() };
    let outlet = deliveries.outlet(("test", PLUGIN), options, http(port, calls(None)));
    entries(0..10).for_each(|entry| outlet.send(entry));
    let mut all = Vec::new();
    while all.len() < 10 {
        let (request, body) = soon(heard.recv()).await.unwrap();
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::PUT, "/in?x=1"));
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers()["x-key"], "k");
        let batch: Vec<u32> = serde_json::from_str(&body).unwrap();
        assert!((1..=4).contains(&batch.len()));
        all.extend(batch);
    }
    assert_eq!(all, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_incomplete_batch_leaves_after_its_delay() {
    let deliveries = deliveries();
    let (listener, port) = listen().await;
    let mut heard = receiver(listener, |_| Some(200)).await;
    let options = Options { batch_max: 1_000, ..options() };
    let outlet = deliveries.outlet(("test", PLUGIN), options, http(port, calls(None)));
    outlet.send("1".into());
    assert_eq!(soon(heard.recv()).await.unwrap().1, "[1]");
    outlet.send("2".into());
    assert_eq!(soon(heard.recv()).await.unwrap().1, "[2]");
}

#[tokio::test]
async fn a_receiver_that_refuses_or_fails_gets_everything_later_once_and_in_order() {
    let deliveries = deliveries();
    let (socket, port) = reserved();
    let outlet = deliveries.outlet(("test", PLUGIN), options(), http(port, calls(None)));
    entries(0..3).for_each(|entry| outlet.send(entry));
    // Nobody listens yet.
    until(|| outlet.queue().attempts() >= 2).await;
    let mut heard = receiver(socket.listen(16).unwrap(), |n| Some([503, 302, 404, 200][n.min(3)])).await;
    for expected in ["[0]", "[1]", "[2]"] {
        assert_eq!(soon(heard.recv()).await.unwrap().1, expected);
    }
    until(|| outlet.queue().is_idle()).await;
    assert!(heard.try_recv().is_err(), "nothing comes twice");
}

#[tokio::test]
async fn a_receiver_that_says_nothing_costs_the_time_limit_and_another_attempt() {
    let deliveries = deliveries();
    let (listener, port) = listen().await;
    let mut heard = receiver(listener, |n| (n > 0).then_some(201)).await;
    let outlet = deliveries.outlet(("test", PLUGIN), options(), http(port, calls(None)));
    outlet.send("1".into());
    assert_eq!(soon(heard.recv()).await.unwrap().1, "[1]");
}

#[tokio::test]
async fn a_full_queue_loses_its_oldest_entries_and_keeps_its_bounds() {
    let deliveries = deliveries();
    let (socket, port) = reserved();
    let options = Options { entries_max: 5, bytes_max: 1 << 10, ..options() };
    let outlet = deliveries.outlet(("test", PLUGIN), options.clone(), http(port, calls(None)));
    outlet.send("0".into());
    until(|| outlet.queue().attempts() >= 1).await;
    entries(1..10).for_each(|entry| outlet.send(entry));
    // Larger than the queue.
    outlet.send(vec![b'9'; 2 << 10].into());
    let mut heard = receiver(socket.listen(16).unwrap(), |_| Some(200)).await;
    let mut all = Vec::new();
    until(|| outlet.queue().is_idle()).await;
    while let Ok((_, body)) = heard.try_recv() {
        all.extend(serde_json::from_str::<Vec<u32>>(&body).unwrap());
    }
    // The first one was under way. The large one pushed out what waited.
    assert_eq!(all.first(), Some(&0));
    assert!(all.len() <= 5, "{all:?}");
    outlet.send("11".into());
    assert_eq!(soon(heard.recv()).await.unwrap().1, "[11]");
}

#[tokio::test]
async fn what_cannot_be_delivered_is_given_up_and_the_rest_goes_on() {
    let deliveries = deliveries();
    let (listener, port) = listen().await;
    let mut heard = receiver(listener, |n| Some(if n == 0 { 500 } else { 200 })).await;
    let options = Options { retry_for: None, ..options() };
    let outlet = deliveries.outlet(("test", PLUGIN), options, http(port, calls(None)));
    entries(0..2).for_each(|entry| outlet.send(entry));
    assert_eq!(soon(heard.recv()).await.unwrap().1, "[1]");
}

#[tokio::test]
async fn settings_change_where_waiting_entries_go_and_lose_none() {
    let deliveries = deliveries();
    let (_silent, nowhere) = reserved();
    let before = deliveries.outlet(("test", PLUGIN), options(), http(nowhere, calls(None)));
    entries(0..3).for_each(|entry| before.send(entry));
    until(|| before.queue().attempts() >= 1).await;
    let (listener, port) = listen().await;
    let mut heard = receiver(listener, |_| Some(200)).await;
    let after = deliveries.outlet(("test", PLUGIN), options(), http(port, calls(None)));
    after.send("3".into());
    // A request that still has the settings of before.
    before.send("4".into());
    drop(before);
    for expected in ["[0]", "[1]", "[2]", "[3]", "[4]"] {
        assert_eq!(soon(heard.recv()).await.unwrap().1, expected);
    }
}

#[tokio::test]
async fn a_queue_whose_plugin_is_gone_is_emptied_and_the_next_one_is_another() {
    let deliveries = deliveries();
    let (listener, port) = listen().await;
    let mut heard = receiver(listener, |_| Some(200)).await;
    let options = Options { batch_max: 1_000, coalescing: Duration::from_secs(3_600), ..options() };
    let outlet = deliveries.outlet(("test", PLUGIN), options.clone(), http(port, calls(None)));
    entries(0..3).for_each(|entry| outlet.send(entry));
    drop(outlet);
    assert_eq!(soon(heard.recv()).await.unwrap().1, "[0,1,2]");
    assert!(deliveries.0.queues().is_empty());
    let options = Options { coalescing: Duration::ZERO, ..options };
    deliveries.outlet(("test", PLUGIN), options, http(port, calls(None))).send("3".into());
    assert_eq!(soon(heard.recv()).await.unwrap().1, "[3]");
}

#[tokio::test]
async fn the_end_delivers_what_waits() {
    let deliveries = deliveries();
    let (listener, port) = listen().await;
    let mut heard = receiver(listener, |_| Some(200)).await;
    let options = Options { batch_max: 2, coalescing: Duration::from_secs(3_600), ..options() };
    let outlet = deliveries.outlet(("test", PLUGIN), options, http(port, calls(None)));
    entries(0..3).for_each(|entry| outlet.send(entry));
    soon(deliveries.ended()).await;
    assert_eq!(heard.try_recv().unwrap().1, "[0,1]");
    assert_eq!(heard.try_recv().unwrap().1, "[2]");
    outlet.send("late".into());
    assert!(outlet.queue().is_idle());
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let deliveries = deliveries();
    let (_silent, nowhere) = reserved();
    let outlet = deliveries.outlet(("test", PLUGIN), options(), http(nowhere, calls(None)));
    entries(0..100).for_each(|entry| outlet.send(entry));
    soon(deliveries.ended()).await;
    assert!(outlet.queue().is_idle());
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_no_upstream_may_have() {
    let (listener, port) = listen().await;
    let calls = calls(Some(listener.local_addr().unwrap()));
    let mut heard = receiver(listener, |_| Some(200)).await;
    for destination in [http(port, calls.clone()), tcp(port, calls.clone()), udp(port, calls.clone())] {
        let failed = soon(destination.deliver(&["1".into()])).await.unwrap_err();
        assert!(failed.cause.contains("this gateway's own"), "{failed}");
    }
    // By a name, too: the hosts file has it on every machine.
    let failed = Http::new(
        HttpSettings { url: format!("http://localhost:{port}/").parse().unwrap(), ..settings_of(port) },
        calls,
    );
    let failed = soon(failed.deliver(&["1".into()])).await.unwrap_err();
    assert!(failed.cause.contains("this gateway's own"), "{failed}");
    assert!(heard.try_recv().is_err());
}

fn settings_of(port: u16) -> HttpSettings {
    HttpSettings {
        url: format!("http://127.0.0.1:{port}/").parse().unwrap(),
        method: Method::POST,
        content_type: HeaderValue::from_static("application/json"),
        headers: HeaderMap::new(),
        limits: CallerSettings {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            keepalive: Duration::ZERO,
            answer_max: ANSWER_MAX,
        },
        encoding: Arc::new(json_array),
    }
}

fn tcp(port: u16, calls: Calls) -> Arc<dyn Destination> {
    let settings = TcpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        timeout: Duration::from_secs(2),
        keepalive: Duration::from_secs(60),
        tls: None,
    };
    Arc::new(Tcp::new(settings, calls))
}

fn udp(port: u16, calls: Calls) -> Arc<dyn Destination> {
    Arc::new(Udp::new(("127.0.0.1".to_owned(), port), Duration::from_secs(2), calls))
}

#[tokio::test]
async fn lines_go_over_one_connection_and_over_a_new_one_when_that_is_closed() {
    let deliveries = deliveries();
    let (listener, port) = listen().await;
    let outlet = deliveries.outlet(("test", PLUGIN), options(), tcp(port, calls(None)));
    for round in 0..3 {
        outlet.send(format!("{round}a").into());
        let (stream, _) = soon(listener.accept()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(soon(lines.next_line()).await.unwrap(), Some(format!("{round}a")));
        outlet.send(format!("{round}b").into());
        assert_eq!(soon(lines.next_line()).await.unwrap(), Some(format!("{round}b")));
        // It is closed here, while nothing is under way.
        until(|| outlet.queue().is_idle()).await;
    }
}

#[tokio::test]
async fn entries_are_datagrams_and_one_that_is_too_long_costs_itself_only() {
    let deliveries = deliveries();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let outlet =
        deliveries.outlet(("test", PLUGIN), Options { batch_max: 10, ..options() }, udp(port, calls(None)));
    outlet.send("1".into());
    outlet.send(vec![b'x'; 70_000].into());
    outlet.send("2".into());
    let mut datagram = [0; 100];
    for expected in [b"1", b"2"] {
        let length = soon(socket.recv(&mut datagram)).await.unwrap();
        assert_eq!(&datagram[..length], expected);
    }
}

#[tokio::test]
async fn syslog_may_come_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let deliveries = deliveries();
    let outlet = deliveries.outlet(("test", PLUGIN), options(), Arc::new(Syslog::at(&path)));
    entries(0..2).for_each(|entry| outlet.send(entry));
    until(|| outlet.queue().attempts() >= 1).await;
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut datagram = [0; 100];
    for expected in [b"0", b"1"] {
        let length = soon(socket.recv(&mut datagram)).await.unwrap();
        assert_eq!(&datagram[..length], expected);
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_file_is_added_to_and_opened_again_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let moved = folder.path().join("b.log");
    fs::write(&path, "before\n").unwrap();
    for (reopens, id) in [(false, 1), (true, 2)] {
        let deliveries = deliveries();
        let file = Arc::new(File::new(path.clone(), reopens, None));
        let outlet = deliveries.outlet(("test", Uuid::from_u128(id)), options(), file);
        outlet.send("1".into());
        until(|| lines(&path).last().is_some_and(|line| line == "1")).await;
        fs::rename(&path, &moved).unwrap();
        outlet.send("2".into());
        let goes_to = if reopens { &path } else { &moved };
        until(|| lines(goes_to).last().is_some_and(|line| line == "2")).await;
        assert_eq!(path.exists(), reopens);
        fs::rename(&moved, &path).unwrap();
    }
}

#[tokio::test]
async fn nothing_is_written_into_the_folder_of_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store/../key.pem");
    fs::create_dir(folder.path().join("store")).unwrap();
    let file = File::new(path, false, Some(folder.path().to_owned()));
    let failed = file.deliver(&["1".into()]).await.unwrap_err();
    assert!(failed.cause.contains("keeps its own data"), "{failed}");
    assert!(!folder.path().join("key.pem").exists());
}
