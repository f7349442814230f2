//! Upstreams that answer anything: a client gets the answer that the reference (`reference`) reads in the same bytes, or sees that there is
//! none. It never gets another one, nor what an upstream said to somebody else.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, stream};
use fuzzing::Corpus;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{known, often};
use crate::{
    client::DEADLINE,
    gateway::{Gateway, any_port},
    recorder::{client_address, connect_from, sender},
    reference::{
        Stop,
        answer::{self, Answer},
        request,
    },
};

/// Answers of a run, beside those of the corpus.
const ANSWERS: usize = 2000;
/// Clients at the same time. They share the gateway's connections to the upstream.
const AT_ONCE: usize = 16;

/// What is put in at random places.
const WORDS: [&str; 34] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\n\n",
    "\r",
    " ",
    "\t",
    "\0",
    "\x0b",
    "\u{e9}",
    ":",
    " :",
    ",",
    ";\n",
    "0\r\n\r\n",
    "4\r\nbody\r\n",
    "ffffffffffffffff\r\n",
    "content-length: 4\r\n",
    "content-length: 2\r\n",
    "content-length: 4, 4\r\n",
    "content-length: 99\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "connection: close\r\n",
    "connection: keep-alive\r\n",
    "connection: x-one\r\n",
    "upgrade: websocket\r\nconnection: upgrade\r\n",
    "HTTP/1.0",
    " 204 ",
    " 100 ",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen",
    "x: 1\r\n y: 2\r\n",
];

/// Fields that belong to one connection (RFC 9110, section 7.6.1), or that the gateway sets.
const OWN: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "date",
    "x-request-id",
    "trailer",
];

#[test]
fn the_reference_reads_the_corpus_as_it_says() {
    for case in known("answers") {
        let found = match answer::read(&mut case.bytes.as_slice(), "GET", true, true) {
            Ok(answer) => format!("{} {}", answer.status, answer.body.len()),
            Err(Stop::Partial) => "partial".to_owned(),
            Err(Stop::Invalid(_)) => "invalid".to_owned(),
        };
        assert_eq!(found, case.reading, "{}", case.name);
    }
}

#[tokio::test]
async fn a_client_gets_what_the_reference_reads_or_nothing() {
    let upstream = Upstream::start().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', retries: 0, routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let cases = known("answers").into_iter().flat_map(often).collect();
    let inputs = Corpus::new(cases).with_words(&WORDS).run(ANSWERS);
    let clients = stream::iter(inputs.enumerate()).map(|(number, bytes)| {
        let asked = Asked::new(number);
        let (upstream, server) = (upstream.clone(), gateway.http());
        async move {
            upstream.will_say(asked.own, &bytes);
            let judged = match said(&asked, server).await {
                Ok(said) => judge(&asked, &bytes, &said),
                Err(wrong) => Err(wrong),
            };
            judged.map_err(|wrong| format!("{asked:?}: {}\n{wrong}", bytes.escape_ascii()))
        }
    });
    let judged: Vec<_> = clients.buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<&String> = judged.iter().filter_map(|judged| judged.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{} faults\n{wrong:#?}", wrong.len());
    let count = |wanted| judged.iter().filter(|judged| **judged == Ok(wanted)).count();
    let (passed, refused) = (count(Judged::Passed), count(Judged::Refused));
    println!("{passed} valid answers passed, {refused} refused");
    assert!(passed > refused * 9, "{refused} of {} valid answers were refused", passed + refused);
}

/// What one client asks for.
#[derive(Clone, Debug)]
struct Asked {
    own: Ipv4Addr,
    method: &'static str,
    version: &'static str,
}

impl Asked {
    fn new(number: usize) -> Self {
        Self {
            own: client_address(number % (1 << 16)),
            method: if number % 5 == 4 { "HEAD" } else { "GET" },
            version: if number % 7 == 6 { "1.0" } else { "1.1" },
        }
    }
}

/// What became of an upstream's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// It is valid, and the client got it.
    Passed,
    /// It is valid, and the client got none.
    Refused,
    /// It is not valid, and the client got none.
    Invalid,
}

/// What a client was told.
struct Said {
    bytes: Vec<u8>,
    /// Whether the connection ended as it should.
    is_ended: bool,
    /// The body of the answer to a second request on the same connection, if there was one.
    second: Option<Vec<u8>>,
}

async fn said(asked: &Asked, server: SocketAddr) -> Result<Said, String> {
    let Asked { own, method, version } = asked;
    let mut tcp = connect_from(*own, server).await;
    let keep = if *version == "1.0" { "connection: keep-alive\r\n" } else { "" };
    let ask = async |tcp: &mut TcpStream, path| {
        let head = format!("{method} {path} HTTP/{version}\r\nhost: a\r\n{keep}\r\n");
        let _ = tcp.write_all(head.as_bytes()).await;
        answer_on(tcp, method).await
    };
    let (bytes, first, is_ended) = ask(&mut tcp, "/first").await?;
    let mut second = None;
    if first.is_some_and(|answer| answer.keeps_alive) {
        let (bytes, answer, _) = ask(&mut tcp, "/second").await?;
        match answer {
            Some(answer) if answer.status == 200 => second = Some(answer.body),
            _ => return Err(format!("no answer to the second request: {}", bytes.escape_ascii())),
        }
    }
    Ok(Said { bytes, is_ended, second })
}

/// Reads one answer: its bytes, itself if it was whole before the connection ended, and whether that ended as it should.
async fn answer_on(tcp: &mut TcpStream, method: &str) -> Result<(Vec<u8>, Option<Answer>, bool), String> {
    let mut said = Vec::new();
    loop {
        if let Ok(answer) = answer::read(&mut said.as_slice(), method, false, false) {
            return Ok((said, Some(answer), false));
        }
        match timeout(DEADLINE, tcp.read_buf(&mut said)).await {
            Ok(Ok(1..)) => {}
            Ok(ended) => return Ok((said, None, ended.is_ok())),
            Err(_) => return Err(format!("the gateway waits, having said {}", said.escape_ascii())),
        }
    }
}

/// Compares what the reference reads in the upstream's `bytes` with what the client was told.
fn judge(asked: &Asked, bytes: &[u8], said: &Said) -> Result<Judged, String> {
    let due = answer::read(&mut &*bytes, asked.method, true, true);
    let mut rest = said.bytes.as_slice();
    let found = answer::read(&mut rest, asked.method, said.is_ended, false);
    let fail = |wrong: &str| {
        Err(format!("{wrong}\nthe reference: {due:?}\nthe client: {}", said.bytes.escape_ascii()))
    };
    let second_due = second(asked.own);
    let is_second = |body: &Vec<u8>| asked.method == "HEAD" || *body == second_due.as_bytes();
    if !rest.is_empty() && found.is_ok() {
        return fail("bytes behind the answer");
    }
    if !said.second.as_ref().is_none_or(is_second) {
        return fail("the second request got another answer");
    }
    match (&due, found) {
        (_, Err(Stop::Invalid(wrong))) => fail(wrong),
        (Ok(due), Ok(found)) if is_same(due, &found) => Ok(Judged::Passed),
        (_, Ok(found)) if !matches!(found.status, 502 | 504) || !found.fields.has("x-request-id") => {
            fail("another answer")
        }
        (Ok(_), _) => Ok(Judged::Refused),
        (Err(_), _) => Ok(Judged::Invalid),
    }
}

/// Whether `found` is `due` as a proxy passes it on.
fn is_same(due: &Answer, found: &Answer) -> bool {
    let nominated = due.fields.tokens("connection");
    let stays = |name: &str| !OWN.contains(&name) && !nominated.iter().any(|one| one == name);
    let of = |answer: &Answer| -> Vec<(String, Vec<u8>)> {
        let mut fields: Vec<_> = answer.fields.0.iter().filter(|(name, _)| stays(name)).cloned().collect();
        // Only the order of those with the same name means something.
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        fields
    };
    (due.status, &due.body, of(due)) == (found.status, &found.body, of(found))
}

/// What the upstream says to a second request.
fn second(client: Ipv4Addr) -> String {
    format!("second answer to {client}")
}

/// Says to each client what was asked for.
#[derive(Clone)]
struct Upstream {
    address: SocketAddr,
    scripts: Arc<Mutex<HashMap<Ipv4Addr, Vec<u8>>>>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), scripts: Arc::default() };
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                tokio::spawn(serving.clone().serve(tcp));
            }
        });
        upstream
    }

    fn will_say(&self, client: Ipv4Addr, bytes: &[u8]) {
        self.scripts.lock().unwrap().insert(client, bytes.to_vec());
    }

    /// Answers until an answer ends its connection, or is none.
    async fn serve(self, mut tcp: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let mut rest = bytes.as_slice();
            let Ok(request) = request::next(&mut rest) else {
                match tcp.read_buf(&mut bytes).await {
                    Ok(1..) => continue,
                    _ => return,
                }
            };
            bytes = rest.to_vec();
            let client = sender(&request).unwrap();
            let script = self.scripts.lock().unwrap()[&client].clone();
            let said = match request.head.target.as_slice() {
                b"/first" => script,
                _ => {
                    let text = second(client);
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()).into_bytes()
                }
            };
            let mut behind = said.as_slice();
            let read = answer::read(&mut behind, &request.head.method, false, true);
            // What follows an answer comes with its end: later, it could be an answer to the next request.
            let end = said.len() - behind.len();
            let (slowly, at_once) =
                said.split_at(if read.is_ok() { end.saturating_sub(1) } else { said.len() });
            for piece in fuzzing::pieces(slowly, client.to_bits() as usize).into_iter().chain([at_once]) {
                if tcp.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if !read.is_ok_and(|answer| answer.keeps_alive) {
                return;
            }
        }
    }
}
