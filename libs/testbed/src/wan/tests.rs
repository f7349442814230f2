use std::{num::NonZeroU64, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{pump::WINDOW_BYTES, *};

const DELAY: Duration = Duration::from_millis(40);
const JITTER: Duration = Duration::from_millis(10);
/// Of a pipe's ends in memory.
const PIPE_BYTES: usize = 4096;
/// Longest wait for what must happen.
const SOON: Duration = Duration::from_secs(20);
/// Nothing may happen for this long. On the paused clock it takes no time.
const A_WHILE: Duration = Duration::from_secs(600);

fn conditions() -> Conditions {
    Conditions { delay: DELAY, jitter: JITTER, ..Conditions::default() }
}

/// One direction of a connection in memory: what goes in, what comes out, and the pump between them.
struct Pipe {
    direction: Arc<Direction>,
    near: DuplexStream,
    far: DuplexStream,
    pump: JoinHandle<io::Result<()>>,
}

fn pipe(conditions: Conditions) -> Pipe {
    let direction = Arc::new(Direction::new(conditions));
    let ((near, reader), (writer, far)) = (duplex(PIPE_BYTES), duplex(PIPE_BYTES));
    let over = Arc::clone(&direction);
    Pipe { pump: tokio::spawn(async move { pump::pump(reader, writer, &over).await }), direction, near, far }
}

impl Pipe {
    fn cut(&self, is_cut: bool) {
        self.direction.change(|conditions| conditions.is_cut = is_cut);
    }

    async fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        timeout(A_WHILE, self.far.read_exact(&mut bytes)).await.expect("arrives").expect("arrives whole");
        bytes
    }

    async fn receives_nothing(&mut self) {
        let mut byte = [0];
        assert!(timeout(A_WHILE, self.far.read(&mut byte)).await.is_err(), "something came through");
    }
}

/// Bytes that show where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 251) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_after_the_delay() {
    let mut pipe = pipe(conditions());
    for message in [b"first".as_slice(), b"second", b"third"] {
        let sent = Instant::now();
        pipe.near.write_all(message).await.expect("written");
        assert_eq!(pipe.receive(message.len()).await, message);
        let took = sent.elapsed();
        assert!((DELAY..=DELAY + JITTER + Duration::from_millis(2)).contains(&took), "{took:?}");
    }
    // Many at once are under way together, and keep their order whatever chance adds.
    let sent = Instant::now();
    let bytes = pattern(100 * PIPE_BYTES);
    let (writing, received) = tokio::join!(pipe.near.write_all(&bytes), async {
        let mut received = vec![0; bytes.len()];
        pipe.far.read_exact(&mut received).await.expect("arrives");
        received
    });
    writing.expect("written");
    assert!(received == bytes, "the order is lost");
    assert!(sent.elapsed() < 3 * DELAY, "{:?} for what fits into the window", sent.elapsed());
    let traffic = pipe.direction.traffic();
    assert_eq!((traffic.held_bytes, traffic.delivered_bytes), (0, 5 + 6 + 5 + bytes.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn a_changed_delay_counts_from_then_on_and_keeps_the_order() {
    let mut pipe = pipe(Conditions { jitter: Duration::ZERO, ..conditions() });
    let sent = Instant::now();
    pipe.near.write_all(b"slow").await.expect("written");
    tokio::task::yield_now().await;
    pipe.direction.change(|conditions| conditions.delay = Duration::from_millis(1));
    pipe.near.write_all(b"fast").await.expect("written");
    assert_eq!(pipe.receive(8).await, b"slowfast");
    assert!(sent.elapsed() >= DELAY, "{:?}", sent.elapsed());
    let sent = Instant::now();
    pipe.near.write_all(b"fast").await.expect("written");
    pipe.receive(4).await;
    assert!(sent.elapsed() < DELAY, "{:?}", sent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn bandwidth_is_shared_by_all_connections_of_a_direction() {
    let bandwidth = NonZeroU64::new(100_000);
    let direction = Direction::new(Conditions { bandwidth, jitter: Duration::ZERO, ..conditions() });
    let started = Instant::now();
    // A tenth of a second's worth, three times: each has to wait for those before it.
    for nth in 1..=3 {
        let expected = started + nth * Duration::from_millis(100) + DELAY;
        assert_eq!(direction.arrival(10_000), expected);
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(direction.arrival(10_000), Instant::now() + Duration::from_millis(100) + DELAY);
}

#[tokio::test(start_paused = true)]
async fn a_cut_holds_what_is_under_way_and_the_heal_delivers_all() {
    let mut pipe = pipe(conditions());
    pipe.near.write_all(b"under way").await.expect("written");
    pipe.cut(true);
    pipe.near.write_all(b", then held").await.expect("written");
    pipe.receives_nothing().await;
    assert_eq!(pipe.direction.traffic().held_bytes, 20);

    pipe.cut(false);
    let healed = Instant::now();
    assert_eq!(pipe.receive(20).await, b"under way, then held");
    assert!(healed.elapsed() >= DELAY, "what was swallowed has to be sent again");
    assert_eq!(pipe.direction.traffic().held_bytes, 0);
    // Cut and healed within the delay: nothing is lost either.
    pipe.near.write_all(b"more").await.expect("written");
    pipe.cut(true);
    pipe.cut(false);
    assert_eq!(pipe.receive(4).await, b"more");
}

#[tokio::test(start_paused = true)]
async fn a_cut_again_before_what_was_held_arrives_holds_it_again() {
    let mut pipe = pipe(conditions());
    pipe.cut(true);
    pipe.near.write_all(b"held").await.expect("written");
    pipe.receives_nothing().await;
    pipe.cut(false);
    tokio::time::advance(DELAY / 2).await;
    pipe.cut(true);
    pipe.receives_nothing().await;
    pipe.cut(false);
    assert_eq!(pipe.receive(4).await, b"held");
}

#[tokio::test(start_paused = true)]
async fn what_a_cut_holds_is_bounded_and_then_the_sender_waits() {
    let mut pipe = pipe(conditions());
    pipe.cut(true);
    let bytes = pattern(2 * WINDOW_BYTES);
    let Pipe { near, far, direction, .. } = &mut pipe;
    let write = near.write_all(&bytes);
    tokio::pin!(write);
    assert!(timeout(A_WHILE, &mut write).await.is_err(), "the sender is never held back");
    let held = direction.traffic().held_bytes;
    assert!(held > WINDOW_BYTES / 2 && held <= WINDOW_BYTES, "{held}");

    direction.change(|conditions| conditions.is_cut = false);
    let mut received = vec![0; bytes.len()];
    let (written, read) = tokio::join!(write, far.read_exact(&mut received));
    written.and(read.map(drop)).expect("all passes");
    assert!(received == bytes);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_travels_like_its_bytes() {
    let mut pipe = pipe(conditions());
    pipe.cut(true);
    pipe.near.write_all(b"last words").await.expect("written");
    pipe.near.shutdown().await.expect("ended");
    pipe.receives_nothing().await;
    assert!(!pipe.pump.is_finished());
    pipe.cut(false);
    let mut received = Vec::new();
    timeout(A_WHILE, pipe.far.read_to_end(&mut received)).await.expect("ends").expect("read");
    assert_eq!(received, b"last words");
    pipe.pump.await.expect("no panic").expect("a good end");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_ends_the_reading() {
    let Pipe { mut near, far, pump, .. } = pipe(conditions());
    drop(far);
    near.write_all(b"to nobody").await.expect("written");
    let outcome = timeout(A_WHILE, pump).await.expect("ends").expect("no panic");
    outcome.expect_err("nobody to write to");
    assert!(near.write_all(b"more").await.is_err(), "the sender is told");
}

// --- over sockets, in real time --------------------------------------------------------------------------------------

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// A network of three regions with short delays, an echo server in `eu`, and the address by which `us` reaches it.
async fn network() -> (Wan, SocketAddr) {
    let conditions = Conditions { delay: Duration::from_millis(5), jitter: Duration::ZERO, ..conditions() };
    let wan = Wan::new(&["us", "eu", "ap"].map(region), conditions);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    let address = wan.path(&region("us"), &region("eu"), target).await.expect("a path");
    (wan, address)
}

async fn echo(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut received = vec![0; bytes.len()];
    let (mut reader, mut writer) = stream.split();
    tokio::try_join!(writer.write_all(bytes), reader.read_exact(&mut received))?;
    Ok(received)
}

fn direction<'a>(all: &'a [Status], from: &str, to: &str) -> &'a Status {
    all.iter().find(|direction| direction.from == from && direction.to == to).expect("a direction")
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let look = async || if condition() { Ok(()) } else { Err("not yet".to_owned()) };
    crate::wait::until(what, SOON, look).await.expect(what);
}

#[tokio::test]
async fn many_connections_share_a_link_and_none_takes_anothers_bytes() {
    let (wan, address) = network().await;
    let started = Instant::now();
    let talks = (0_u8..64).map(|nth| async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let bytes: Vec<u8> = pattern(20_000).into_iter().map(|byte| byte ^ nth).collect();
        assert!(echo(&mut stream, &bytes).await.expect("echoed") == bytes, "connection {nth}");
    });
    timeout(SOON, futures::future::join_all(talks)).await.expect("all of them");
    assert!(started.elapsed() >= Duration::from_millis(15), "connect, there and back: three times the delay");
    until("the connections are gone", || direction(&wan.status(), "us", "eu").connections == 0).await;
    assert_eq!(direction(&wan.status(), "us", "eu").delivered_bytes, 64 * 20_000);
    assert_eq!(direction(&wan.status(), "eu", "us").delivered_bytes, 64 * 20_000);
    assert_eq!(direction(&wan.status(), "us", "ap").delivered_bytes, 0);
}

#[tokio::test]
async fn a_new_connection_gets_nowhere_during_a_cut_and_on_after_it() {
    let (wan, address) = network().await;
    wan.cut("eu", "us").expect("a link");
    let mut stream = TcpStream::connect(address).await.expect("the relay takes it");
    stream.write_all(b"hello").await.expect("written");
    until("the relay holds it", || direction(&wan.status(), "us", "eu").connections == 1).await;
    assert_eq!(direction(&wan.status(), "us", "eu").delivered_bytes, 0);
    let mut received = [0; 5];
    assert!(timeout(Duration::from_millis(100), stream.read(&mut received)).await.is_err());

    wan.heal("us", "eu").expect("a link");
    timeout(SOON, stream.read_exact(&mut received)).await.expect("in time").expect("echoed");
    assert_eq!(&received, b"hello");
}

#[tokio::test]
async fn a_cut_of_one_direction_leaves_the_other() {
    let (wan, address) = network().await;
    let mut stream = TcpStream::connect(address).await.expect("connects");
    assert_eq!(echo(&mut stream, b"one").await.expect("echoed"), b"one");
    wan.cut_one_way("eu", "us").expect("a link");
    stream.write_all(b"two").await.expect("written");
    until("it arrives, and the echo does not", || {
        let status = wan.status();
        let (there, back) = (direction(&status, "us", "eu"), direction(&status, "eu", "us"));
        there.delivered_bytes == 6 && back.held_bytes == 3 && back.delivered_bytes == 3
    })
    .await;
    wan.heal_one_way("eu", "us").expect("a link");
    let mut received = [0; 3];
    timeout(SOON, stream.read_exact(&mut received)).await.expect("in time").expect("echoed");
    assert_eq!(&received, b"two");
}

#[tokio::test]
async fn a_close_and_a_refusal_propagate() {
    let (wan, address) = network().await;
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(b"bye").await.expect("written");
    stream.shutdown().await.expect("half closed");
    let mut received = Vec::new();
    timeout(SOON, stream.read_to_end(&mut received)).await.expect("ends").expect("read");
    assert_eq!(received, b"bye", "what comes back after the half close");

    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let refused = wan.path(&region("us"), &region("ap"), nobody).await.expect("a path");
    let mut stream = TcpStream::connect(refused).await.expect("the relay takes it");
    let ended = timeout(SOON, stream.read_to_end(&mut received)).await.expect("ends");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop(wan);
    until("the relays end with the network", || std::net::TcpStream::connect(address).is_err()).await;
}

#[tokio::test]
async fn the_control_socket_does_what_it_is_told() {
    let (wan, _) = network().await;
    let folder = tempfile::tempdir().expect("a folder");
    // Deeper than the kernel takes in a socket's name.
    let deep = folder.path().join("x".repeat(120));
    std::fs::create_dir(&deep).expect("made");
    let _control = control::Control::open(&deep, wan.clone()).expect("opens");
    let ask = async |command| control::ask(&deep, &command).await;
    let (a, b) = ("us".to_owned(), "eu".to_owned());
    let is_cut = |all: &[Status], from, to| direction(all, from, to).is_cut;

    let one_way = true;
    let all = ask(control::Command::Cut { a: a.clone(), b: b.clone(), one_way }).await.expect("cut");
    assert!(is_cut(&all, "us", "eu") && !is_cut(&all, "eu", "us") && all.len() == 6);
    let one_way = false;
    let all = ask(control::Command::Cut { a: b.clone(), b: a.clone(), one_way }).await.expect("cut");
    assert!(is_cut(&all, "us", "eu") && is_cut(&all, "eu", "us") && !is_cut(&all, "us", "ap"));
    let all = ask(control::Command::Heal { a: a.clone(), b, one_way }).await.expect("healed");
    assert!(all.iter().all(|direction| !direction.is_cut));
    let all = ask(control::Command::Delay { milliseconds: 7 }).await.expect("set");
    assert!(all.iter().all(|direction| direction.delay_ms == 7) && all == wan.status());
    let refused = ask(control::Command::Cut { a: a.clone(), b: a, one_way }).await.expect_err("no link");
    assert!(refused.to_string().contains("no link between us and us"), "{refused}");
    assert!(describe(&ask(control::Command::Status).await.expect("told")).contains("us -> eu"));
}
