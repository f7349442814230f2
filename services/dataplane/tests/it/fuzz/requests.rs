//! The same bytes to the gateway and to the reference (`reference`): they find the same requests, with the same bodies, or the gateway
//! refuses. And what the gateway sends to its upstream is exactly those requests, as the reference reads them.

use std::net::{Ipv4Addr, SocketAddr};

use futures::{StreamExt as _, stream};
use fuzzing::Corpus;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{known, often};
use crate::{
    client::DEADLINE,
    gateway::Gateway,
    recorder::{self, Recorder, Seen},
    reference::{
        Fields, Stop,
        answer::{self, Answer},
        request::{self, End, Request},
    },
};

/// Connections of a run, beside those of the corpus.
const CONNECTIONS: usize = 2000;
/// Connections at the same time.
const AT_ONCE: usize = 16;
/// Messages of the corpus on one connection, at most.
const SEQUENCE_MAX: usize = 4;

/// What is put in at random places.
const WORDS: [&str; 46] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\n\n",
    " ",
    "\t",
    "\0",
    "\x0b",
    "\u{e9}",
    ":",
    " :",
    ",",
    ";",
    ";\n",
    "\"",
    "0",
    "3",
    "a",
    "+",
    "-",
    "_",
    "0x",
    "0\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "5\r\nabc\r\n",
    "ffffffffffffffff\r\n",
    "content-length: 3\r\n",
    "content-length: 5\r\n",
    "Content-Length:0\r\n",
    "content-length: 3, 3\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "te: trailers\r\n",
    "host: b\r\n",
    "connection: close\r\n",
    "connection: keep-alive\r\n",
    "expect: 100-continue\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "x: 1\r\n y: 2\r\n",
    "http://b",
    "GET /evil HTTP/1.1\r\nhost: evil\r\n\r\n",
];

/// Fields that the gateway adds to a request.
pub const ADDED: [&str; 11] = [
    "host",
    "via",
    "x-real-ip",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "content-length",
    "transfer-encoding",
    "connection",
];

#[test]
fn the_reference_reads_the_corpus_as_it_says() {
    for case in known("framing") {
        let (requests, end) = request::read(&case.bytes);
        let end = match end {
            End::Open => "open",
            End::Closed => "closed",
            End::Stopped(Stop::Partial) => "partial",
            End::Stopped(Stop::Invalid(_)) => "invalid",
        };
        assert_eq!(format!("{} {end}", requests.len()), case.reading, "{}", case.name);
    }
}

#[tokio::test]
async fn the_gateway_and_the_reference_frame_alike() {
    let upstream = Recorder::start().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', retries: 0, routes: [{{name: r, paths: [/], preserve_host: true}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let cases = known("framing").into_iter().flat_map(often).collect();
    let inputs = Corpus::new(cases).with_words(&WORDS).in_sequences(SEQUENCE_MAX).run(CONNECTIONS);
    let connections = stream::iter(inputs.enumerate()).map(|(number, bytes)| {
        let own = recorder::client_address(number % (1 << 16));
        let (upstream, server) = (upstream.clone(), gateway.http());
        async move {
            let said = said(own, server, &bytes, number).await;
            let judged = said.and_then(|said| judge(&bytes, &said, &upstream.take(own)));
            judged.map_err(|wrong| format!("connection {number}: {}\n{wrong}", bytes.escape_ascii()))
        }
    });
    let (judged, wrong): (Vec<_>, Vec<_>) =
        connections.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().partition(Result::is_ok);
    let judged: Vec<Count> = judged.into_iter().flatten().collect();
    let mut wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    wrong.extend(upstream.faults().into_iter().map(|fault| format!("to the upstream: {fault}")));
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n\n"));
    let valid: usize = judged.iter().map(|one| one.valid).sum();
    let served: usize = judged.iter().map(|one| one.served).sum();
    println!("{served} of {valid} valid requests served");
    // A gateway that refuses much is right, and of no use.
    assert!(served * 10 > valid * 7, "only {served} of {valid} valid requests were served");
}

/// What became of the requests of a connection that are valid.
#[derive(Clone, Copy, Debug)]
struct Count {
    valid: usize,
    served: usize,
}

/// Everything that the gateway says to a client that sends `bytes`. The client ends its side when it has all the answers that are due.
async fn said(own: Ipv4Addr, server: SocketAddr, bytes: &[u8], number: usize) -> Result<Vec<u8>, String> {
    let mut tcp = recorder::connect_from(own, server).await;
    for piece in fuzzing::pieces(bytes, number) {
        // The gateway may close while this is written.
        if tcp.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (requests, _) = request::read(bytes);
    let mut said = Vec::new();
    let is_all = |said: &[u8]| answers(said, &requests, false).0.len() >= requests.len();
    read_until(&mut tcp, &mut said, is_all).await?;
    let _ = tcp.shutdown().await;
    read_until(&mut tcp, &mut said, |_| false).await?;
    Ok(said)
}

/// Reads until `is_all`, or the connection ends.
async fn read_until(
    tcp: &mut TcpStream,
    said: &mut Vec<u8>,
    is_all: impl Fn(&[u8]) -> bool,
) -> Result<(), String> {
    while !is_all(said) {
        match timeout(DEADLINE, tcp.read_buf(said)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return Ok(()),
            Err(_) => return Err(format!("the gateway waits, having said {}", said.escape_ascii())),
        }
    }
    Ok(())
}

/// The whole answers that `said` begins with, to `requests` and at most one thing behind them; and what follows them.
fn answers<'a>(said: &'a [u8], requests: &[Request], is_ended: bool) -> (Vec<Answer>, &'a [u8]) {
    let (mut rest, mut answers) = (said, Vec::new());
    let methods = requests.iter().map(|request| request.head.method.as_str());
    for method in methods.chain(["GET"]) {
        let mut read = |method| answer::read(&mut rest, method, is_ended, false);
        // What is refused may have been a HEAD.
        match read(method).or_else(|stop| if is_ended { read("HEAD") } else { Err(stop) }) {
            Ok(answer) => answers.push(answer),
            Err(_) => break,
        }
        if rest.is_empty() {
            break;
        }
    }
    (answers, rest)
}

/// Compares what the reference reads in `bytes` with what the upstream has seen and the gateway has said.
fn judge(bytes: &[u8], said: &[u8], seen: &[Seen]) -> Result<Count, String> {
    let (requests, end) = request::read(bytes);
    let (answers, rest) = answers(said, &requests, true);
    let fail = |wrong: &str| {
        let said = said.escape_ascii();
        Err(format!(
            "{wrong}\nthe reference: {requests:?}, {end:?}\nthe upstream: {seen:?}\nthe client: {said}"
        ))
    };
    // Who cannot read a request does not know that it is a HEAD.
    let is_refusal = |answer: &Answer| !answer.keeps_alive && !answer.fields.has(recorder::ANSWER);
    if !rest.is_empty() && !answers.last().is_some_and(is_refusal) {
        return fail("the client gets what is no answer");
    }
    let mut seen = seen.iter();
    for (index, answer) in answers.iter().enumerate() {
        let number = answer.fields.all(recorder::ANSWER).next();
        let Some(number) = number else {
            if answer.status < 400 {
                return fail("an answer that the upstream did not give");
            }
            continue;
        };
        let (Some(request), Some(seen)) = (requests.get(index), seen.next()) else {
            return fail("an answer to nothing");
        };
        if number != seen.answer.to_string().as_bytes() {
            return fail("answers in the wrong order");
        }
        if request.head.method != "HEAD" && answer.body != format!("answer {}", seen.answer).as_bytes() {
            return fail("another answer's body");
        }
        if let Err(wrong) = same(request, &seen.request) {
            return fail(wrong);
        }
    }
    if seen.next().is_some() {
        return fail("the upstream saw a request that has no answer");
    }
    let may_refuse = matches!(end, End::Stopped(_));
    if answers.len() > requests.len() + usize::from(may_refuse) {
        return fail("more answers than requests");
    }
    if answers.len() < requests.len() && answers.last().is_none_or(|last| last.keeps_alive) {
        return fail("a request has no answer");
    }
    let served = answers.iter().filter(|answer| answer.fields.has(recorder::ANSWER)).count();
    Ok(Count { valid: requests.len(), served })
}

/// Whether `seen` is `request` as a proxy passes it on.
fn same(request: &Request, seen: &Request) -> Result<(), &'static str> {
    let names = |fields: &Fields| fields.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let is_of = |own: Vec<String>, name: &String| own.contains(name) || ADDED.contains(&name.as_str());
    match () {
        () if request.head.method != seen.head.method => Err("another method"),
        () if resource(&request.head.target) != resource(&seen.head.target) => Err("another target"),
        () if !request.head.authority.is_empty()
            && !request.head.authority.eq_ignore_ascii_case(&seen.head.authority) =>
        {
            Err("another host")
        }
        () if request.body != seen.body => Err("another body"),
        () if seen.head.fields.has("content-length") && seen.head.fields.has("transfer-encoding") => {
            Err("framed twice")
        }
        () if !names(&seen.head.fields).iter().all(|name| is_of(names(&request.head.fields), name)) => {
            Err("fields that nobody sent")
        }
        () if !names(&seen.trailers).iter().all(|name| names(&request.trailers).contains(name)) => {
            Err("trailers that nobody sent")
        }
        () => Ok(()),
    }
}

/// What a target names: the segments of its path, decoded and without dot segments, and its query.
pub fn resource(target: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let at = |part: &[u8], wanted: &[u8]| part.windows(wanted.len()).position(|some| some == wanted);
    let target = match at(target, b"://").filter(|_| target[0] != b'/') {
        Some(scheme) => {
            let rest = &target[scheme + 3..];
            &rest[rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len())..]
        }
        None => target,
    };
    let (path, query) = target.split_at(at(target, b"?").unwrap_or(target.len()));
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in path.split(|byte| *byte == b'/').map(decoded) {
        match segment.as_slice() {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    (segments, query.to_vec())
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((first, behind)) = rest.split_first() {
        let digits =
            behind.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}
