//! One process takes the place of another, on the same ports and the same data folder. No request is lost, whatever fails on the way.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixDatagram as Datagram},
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    fs::OpenOptions,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
    process::Command,
    time::timeout,
};

use crate::{
    client::{Client, DEADLINE, Response},
    load::{Kind, Load, Target},
    process::{Addresses, Process, Signal, settings},
    tls,
    upstream::Upstream,
};

const TAKE_OVER: &[&str] = &["--take-over"];
const SERVES: &str = "this process serves in the place of another one";

fn document(upstream: &Upstream, path: &str) -> String {
    format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [{path}], strip_path: false}}]}}\n",
        upstream.address
    )
}

async fn get(address: SocketAddr, path: &str) -> Response {
    let mut client = Client::connect(address).await;
    client.host = "localhost";
    client.get(path).await
}

/// Sends a document to the admin port.
async fn post(admin: SocketAddr, document: &str) -> Response {
    let mut client = Client::connect(admin).await;
    send_document(&mut client, document).await;
    client.response().await
}

async fn send_document(client: &mut Client, document: &str) {
    let head = format!(
        "POST /config HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a-token-of-tests-only\r\ncontent-type: application/yaml\r\ncontent-length: {}\r\n\r\n",
        document.len()
    );
    client.send([head.as_str(), document].concat()).await;
}

async fn ended_well(process: Process) {
    let (status, last) = process.ended().await;
    assert!(status.success(), "{status}: {last}");
}

#[tokio::test]
async fn takeovers_in_turn_under_load_lose_nothing() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let (own, (chain, key)) = tls::own_certificate(folder.path());
    let threads = |count: usize| {
        let more = format!(
            "https = '127.0.0.1:0'\ntls_certificate = {chain:?}\ntls_key = {key:?}\nthreads = {count}"
        );
        settings(folder.path(), &document(&upstream, "/"), &more)
    };
    let mut first = Process::start(&threads(2), &[]);
    let addresses = first.listening().await;
    let plain = Target { address: addresses.http, tls: None };
    let https = |protocol| Target {
        address: addresses.https.unwrap(),
        tls: Some(tls::client_config(&own, &[protocol])),
    };
    let (mut requests, mut sockets) = (Load::new(), Load::new());
    for kind in [Kind::Kept, Kind::Pipelined, Kind::Fresh] {
        requests.start(kind, &plain, 4);
        requests.start(kind, &https("http/1.1"), 2);
    }
    requests.start(Kind::Http2, &plain, 2);
    requests.start(Kind::Http2, &https("h2"), 2);
    sockets.start(Kind::WebSocket, &plain, 2);
    sockets.start(Kind::WebSocket, &https("http/1.1"), 2);
    tokio::join!(requests.answers(200), sockets.answers(20));

    let mut earlier = vec![first];
    // More threads than sockets, fewer, and as many.
    for count in [3, 1, 4, 4] {
        let mut next = Process::start(&threads(count), TAKE_OVER);
        next.logged(SERVES).await;
        assert_eq!(next.listening().await, addresses, "the same ports");
        tokio::join!(requests.answers(200), sockets.answers(20));
        earlier.push(next);
    }
    // Tunnels are still those of the first process, which ends with them.
    let mut tally = requests.stop().await;
    let sockets = sockets.stop().await;
    let last = earlier.pop().unwrap();
    for process in earlier {
        ended_well(process).await;
    }
    assert_eq!(get(addresses.admin, "/readyz").await.status, 200);
    last.signal(Signal::TERM);
    ended_well(last).await;

    tally.answered.extend(sockets.answered);
    tally.lost.extend(sockets.lost);
    assert_eq!(tally.lost, Vec::<String>::new());
    let seen: Vec<_> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(seen.len(), tally.answered.len(), "none was sent twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), tally.answered);
}

#[tokio::test]
async fn other_settings_come_into_service_and_other_addresses() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let mut first = Process::start(&settings(folder.path(), &document(&upstream, "/a"), ""), &[]);
    let before = first.listening().await;
    let without_one = Process::start(&folder.path().join("gateway.toml"), &[]);
    let (status, last) = without_one.ended().await;
    assert!(!status.success() && last.contains("--take-over"), "{last}");

    let changed = settings(folder.path(), &document(&upstream, "/b"), "");
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut next = Process::start(&changed, &["--take-over", "--http", &other.to_string()]);
    next.logged(SERVES).await;
    assert_eq!(next.listening().await, Addresses { http: other, ..before });
    assert_eq!((get(other, "/a").await.status, get(other, "/b").await.status), (404, 200));
    ended_well(first).await;
    assert!(tokio::net::TcpStream::connect(before.http).await.is_err(), "nobody wants that one any more");

    // What the next process holds is what the last one applied, and the data folder has one store.
    let applied = post(before.admin, &document(&upstream, "/c")).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    next.signal(Signal::TERM);
    ended_well(next).await;
    let names = std::fs::read_dir(folder.path().join("data")).unwrap();
    let names: BTreeSet<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.contains("store.next") && names.contains("store"), "{names:?}");
}

#[tokio::test]
async fn a_process_that_does_not_get_ready_changes_nothing() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let file = settings(folder.path(), &document(&upstream, "/"), "");
    let mut first = Process::start(&file, &[]);
    let addresses = first.listening().await;
    std::fs::write(folder.path().join("kong.yaml"), "services: [{}]").unwrap();
    let (status, last) = Process::start(&file, TAKE_OVER).ended().await;
    assert!(!status.success() && last.contains("_format_version"), "{last}");
    first.logged("the other process did not take over, this one goes on").await;
    let mut kept = Client::connect(addresses.http).await;
    assert_eq!(kept.get("/1").await.status, 200);

    // Processes that go away in between, each a step further.
    for steps in 0..=3 {
        let mut stranger = Stranger::connect(folder.path()).await;
        for step in 0..steps {
            match step {
                0 => stranger.ask(1).await,
                1 => drop(stranger.offered().await),
                _ => assert_eq!(stranger.hear().await, json!("store")),
            }
        }
    }
    // Of another release that speaks another language.
    let mut stranger = Stranger::connect(folder.path()).await;
    stranger.ask(2).await;
    let refused = stranger.hear().await.to_string();
    assert!(refused.contains("it speaks version 2, and this gateway version 1"), "{refused}");
    let mut stranger = Stranger::connect(folder.path()).await;
    stranger.say(&json!("hello")).await;
    assert!(stranger.hear().await["refused"].is_object());

    assert_eq!(post(addresses.admin, &document(&upstream, "/")).await.status, 200, "it still takes changes");
    assert_eq!(kept.get("/2").await.header("connection"), None, "and drains nothing");
    std::fs::write(folder.path().join("kong.yaml"), document(&upstream, "/")).unwrap();
    let mut next = Process::start(&file, TAKE_OVER);
    next.logged(SERVES).await;
    // The other one serves a moment before this one drains.
    while kept.get("/3").await.header("connection") != Some("close") {}
    ended_well(first).await;
}

#[tokio::test]
async fn documents_wait_for_the_end_of_a_takeover() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let mut first = Process::start(&settings(folder.path(), &document(&upstream, "/"), ""), &[]);
    let addresses = first.listening().await;
    for taken in [false, true] {
        let mut stranger = Stranger::connect(folder.path()).await;
        stranger.ask(1).await;
        let offered = stranger.offered().await;
        assert_eq!(offered, BTreeSet::from(["admin".to_owned(), "http".to_owned()]));
        assert_eq!(stranger.hear().await, json!("store"));
        let mut admin = Client::connect(addresses.admin).await;
        send_document(&mut admin, &document(&upstream, "/")).await;
        if taken {
            stranger.say(&json!({ "serving": { "addresses": [addresses.http] } })).await;
            assert_eq!(stranger.hear().await, json!("left"));
        }
        drop(stranger);
        let answer = admin.response().await;
        assert_eq!(answer.status, if taken { 503 } else { 200 }, "{}", answer.text());
        assert_eq!(answer.text().contains("send the document again"), taken, "{}", answer.text());
    }
    ended_well(first).await;
}

#[tokio::test]
async fn a_process_that_is_killed_takes_nothing_with_it() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let file = settings(folder.path(), &document(&upstream, "/"), "");
    let mut first = Process::start(&file, &[]);
    let addresses = first.listening().await;
    let (http, admin) = (addresses.http.to_string(), addresses.admin.to_string());
    let next = |more: &[&str]| {
        Process::start(&file, &[&["--take-over", "--http", &http, "--admin", &admin], more].concat())
    };
    // A process that reads its file from a pipe is held in the middle of a takeover: it has the sockets and the store, and does not serve.
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().await.unwrap().success());
    let held = async || OpenOptions::new().write(true).open(&pipe).await;
    let from_pipe = ["--declarative", pipe.to_str().unwrap()];

    let new = next(&from_pipe);
    let file_of_new = timeout(DEADLINE, held()).await.unwrap().unwrap();
    new.signal(Signal::KILL);
    new.ended().await;
    drop(file_of_new);
    first.logged("the other process did not take over, this one goes on").await;
    assert_eq!(get(addresses.http, "/").await.status, 200);
    assert_eq!(post(addresses.admin, &document(&upstream, "/")).await.status, 200, "it takes changes again");

    let mut second = next(&from_pipe);
    let mut file_of_second = timeout(DEADLINE, held()).await.unwrap().unwrap();
    first.signal(Signal::KILL);
    first.ended().await;
    // Nobody accepts it yet.
    let mut waiting = Client::connect(addresses.http).await;
    waiting.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    file_of_second.write_all(document(&upstream, "/").as_bytes()).await.unwrap();
    file_of_second.shutdown().await.unwrap();
    drop(file_of_second);
    assert_eq!(waiting.response().await.status, 200);
    assert_eq!(second.listening().await, addresses);
    assert_eq!(post(addresses.admin, &document(&upstream, "/")).await.status, 200);

    // One that hears nobody any more: its place is free when it is gone.
    second.signal(Signal::STOP);
    let mut third = next(&[]);
    second.signal(Signal::KILL);
    second.ended().await;
    assert_eq!(third.listening().await, addresses);
    assert_eq!(get(addresses.http, "/").await.status, 200);
}

#[tokio::test]
async fn a_second_signal_ends_a_gateway_that_still_serves_at_once() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let file = settings(folder.path(), &document(&upstream, "/"), "drain.delay_seconds = 3600");
    let mut process = Process::start(&file, &[]);
    let addresses = process.listening().await;
    process.signal(Signal::TERM);
    process.logged("draining").await;
    // Load balancers are told, and whoever comes all the same is served.
    assert_eq!(get(addresses.admin, "/readyz").await.status, 503);
    assert_eq!(get(addresses.http, "/").await.status, 200);
    let mut waiting = Client::connect(addresses.http).await;
    waiting.send("GET /delay/60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(2).await;
    process.signal(Signal::INT);
    let (status, last) = process.ended().await;
    assert_eq!(status.code(), Some(1), "{last}");
    assert!(last.contains("second signal"), "{last}");
    assert!(waiting.try_response().await.is_none());
}

#[tokio::test]
async fn a_service_manager_is_told_who_serves() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let file = settings(folder.path(), &document(&upstream, "/"), "");
    let manager = Datagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = || {
        let mut buffer = [0; 1024];
        let read = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    };
    let start = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataplane"));
        command.env("NOTIFY_SOCKET", folder.path().join("notify"));
        command.arg("serve").arg("--config").arg(&file).args(arguments);
        Process::spawn(command)
    };
    let mut first = start(&[]);
    first.listening().await;
    assert_eq!(told(), format!("READY=1\nMAINPID={}\n", first.id));
    let mut next = start(TAKE_OVER);
    next.logged(SERVES).await;
    assert_eq!(told(), format!("READY=1\nMAINPID={}\n", next.id), "before the old one can end");
    ended_well(first).await;
    next.signal(Signal::TERM);
    ended_well(next).await;
    assert_eq!(told(), "STOPPING=1\n", "of the last one only");
}

#[tokio::test]
async fn sockets_of_a_service_manager_are_served_and_stay_open() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let file = settings(folder.path(), &document(&upstream, "/"), "");
    let start = |arguments: &str| {
        let mut command = Command::new("sh");
        // As systemd does: the sockets begin at descriptor 3, and are meant for one process.
        let line = format!(
            "exec 3<&0; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --config \"$1\" --http {address} {arguments}"
        );
        command.args(["-c", &line, env!("CARGO_BIN_EXE_dataplane")]).arg(&file);
        command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
        Process::spawn(command)
    };
    let mut first = start("");
    assert_eq!(first.listening().await.http, address);
    assert_eq!(get(address, "/").await.status, 200);
    first.signal(Signal::TERM);
    ended_well(first).await;
    // Nobody serves, and clients wait.
    let mut waiting = Client::connect(address).await;
    waiting.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut next = start("");
    next.listening().await;
    assert_eq!(timeout(DEADLINE, waiting.response()).await.unwrap().status, 200);
}

/// Who speaks with a gateway as a process does that would take over.
struct Stranger(UnixStream);

impl Stranger {
    async fn connect(folder: &Path) -> Self {
        let socket = folder.join("data/take-over.sock");
        Self(UnixStream::connect(socket).await.unwrap())
    }

    async fn ask(&mut self, protocol: u32) {
        self.say(&json!({ "take_over": { "protocol": protocol, "release": "test", "pid": 1 } })).await;
    }

    async fn say(&mut self, message: &Value) {
        let text = message.to_string();
        self.0.write_u32(u32::try_from(text.len()).unwrap()).await.unwrap();
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let heard = async {
            let length = self.0.read_u32().await.unwrap();
            let mut text = vec![0; length as usize];
            self.0.read_exact(&mut text).await.unwrap();
            serde_json::from_slice(&text).unwrap()
        };
        timeout(DEADLINE + Duration::from_secs(10), heard).await.expect("it answers")
    }

    /// The names of the ports that are offered. The sockets themselves come with one byte, and are closed.
    async fn offered(&mut self) -> BTreeSet<String> {
        let offer = self.hear().await;
        let sockets = offer["offer"]["sockets"].as_array().unwrap();
        self.0.read_u8().await.unwrap();
        sockets.iter().map(|socket| socket["port"].as_str().unwrap().to_owned()).collect()
    }
}
