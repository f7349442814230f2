//! Requests of HTTP/2 that an upstream gets in HTTP/1.1: exactly one for each, and nothing of a field or a body becomes another one.

use futures::{StreamExt as _, stream};
use fuzzing::Corpus;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    corpus,
    requests::{ADDED, resource},
};
use crate::{
    client::DEADLINE,
    frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame, hpack, preface},
    gateway::Gateway,
    recorder::{Recorder, Seen, client_address, connect_from},
};

/// Requests of a run, beside those of the corpus.
const REQUESTS: usize = 1000;
/// Connections at the same time.
const AT_ONCE: usize = 16;

/// What is put in at random places.
const WORDS: [&str; 34] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    "\u{e9}",
    "/",
    "?",
    "#",
    "%0d%0a",
    "\x1ehost\x1fb",
    "\x1eHost\x1fa",
    "\x1e:path\x1f/evil",
    "\x1e:authority\x1fb",
    "\x1e:scheme\x1fhttp",
    "\x1e:method\x1fPOST",
    "\x1e:protocol\x1fwebsocket",
    "\x1ex y\x1f1",
    "\x1e\x1f1",
    "\x1ecookie\x1fa=1",
    "\x1econtent-length\x1f0",
    "\x1econtent-length\x1f10",
    "\x1econtent-length\x1f+10",
    "\x1econtent-length\x1f10, 10",
    "\x1etransfer-encoding\x1fchunked",
    "\x1etransfer_encoding\x1fchunked",
    "\x1econnection\x1fclose",
    "\x1eupgrade\x1fwebsocket",
    "\x1ete\x1ftrailers",
    "\x1eexpect\x1f100-continue",
    "\x1dGET /evil HTTP/1.1\r\nhost: a\r\n\r\n",
];

/// A request as it is sent.
#[derive(Debug, Default)]
struct Sent {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Sent {
    fn of(bytes: &[u8]) -> Self {
        let mut parts = bytes.splitn(2, |byte| *byte == 0x1d);
        let fields = parts.next().unwrap_or_default().split(|byte| *byte == 0x1e).skip(1);
        let field = |field: &[u8]| {
            let mut parts = field.splitn(2, |byte| *byte == 0x1f).map(<[u8]>::to_vec);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        };
        Self { fields: fields.map(field).collect(), body: parts.next().unwrap_or_default().to_vec() }
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(held, _)| held == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    fn frames(&self) -> Vec<u8> {
        let block = hpack(&self.fields);
        match self.body.as_slice() {
            [] => frame(HEADERS, END_HEADERS | END_STREAM, 1, &block),
            body => [frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, END_STREAM, 1, body)].concat(),
        }
    }
}

#[tokio::test]
async fn a_stream_is_one_request_of_the_upstream_or_none() {
    let upstream = Recorder::start().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', retries: 0, routes: [{{name: r, paths: [/], preserve_host: true}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let inputs = Corpus::new(cases()).with_words(&WORDS).run(REQUESTS);
    let streams = stream::iter(inputs.enumerate()).map(|(number, bytes)| {
        let own = client_address(number % (1 << 16));
        let (upstream, server) = (upstream.clone(), gateway.http());
        async move {
            let sent = Sent::of(&bytes);
            let judged = match ask(own, server, &sent).await {
                Ok(is_answered) => judge(&sent, is_answered, &upstream.take(own)),
                Err(wrong) => Err(wrong),
            };
            judged.map_err(|wrong| format!("{wrong}: {}", bytes.escape_ascii()))
        }
    });
    let judged: Vec<_> = streams.buffer_unordered(AT_ONCE).collect().await;
    let mut wrong: Vec<String> = judged.iter().filter_map(|judged| judged.clone().err()).collect();
    wrong.extend(upstream.faults().into_iter().map(|fault| format!("to the upstream: {fault}")));
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n\n"));
    let served = judged.iter().filter(|judged| **judged == Ok(true)).count();
    println!("{served} of {} were served", judged.len());
    assert!(served * 20 > judged.len(), "only {served} of {} were served", judged.len());
}

/// The lines of the corpus, and each with a long field too, so that not every change hits what makes it a request.
fn cases() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(corpus("streams")).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(fuzzing::unescaped).collect();
    let long = [b"\x1ex-long\x1f", "x".repeat(500).as_bytes()].concat();
    let with_long = |line: &Vec<u8>| {
        let fields = line.iter().position(|byte| *byte == 0x1d).unwrap_or(line.len());
        [&line[..fields], &long, &line[fields..]].concat()
    };
    lines.iter().cloned().chain(lines.iter().map(with_long)).collect()
}

/// Sends the request, and waits until its stream or the connection is over. Whether an answer came.
async fn ask(own: Ipv4Addr, server: SocketAddr, sent: &Sent) -> Result<bool, String> {
    let mut tcp = connect_from(own, server).await;
    let _ = tcp.write_all(&[preface(&[]), sent.frames()].concat()).await;
    let mut is_answered = false;
    loop {
        let next = timeout(DEADLINE, next_frame(&mut tcp)).await.map_err(|_| "the gateway waits")?;
        match next {
            Some((HEADERS, flags)) => {
                is_answered = true;
                if flags & END_STREAM != 0 {
                    return Ok(true);
                }
            }
            Some((DATA, flags)) if flags & END_STREAM != 0 => return Ok(is_answered),
            None | Some((RST_STREAM | GOAWAY, _)) => return Ok(is_answered),
            Some(_) => {}
        }
    }
}

/// Kind and flags of the next frame; `None` at the end of the connection.
async fn next_frame(tcp: &mut TcpStream) -> Option<(u8, u8)> {
    let mut head = [0; 9];
    tcp.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    tcp.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4]))
}

/// Whether the request reached the upstream. An error: not as it was sent.
fn judge(sent: &Sent, is_answered: bool, seen: &[Seen]) -> Result<bool, String> {
    let fail = |wrong: &str| Err(format!("{wrong}\n{sent:?}\nthe upstream: {seen:?}"));
    let [Seen { request, .. }] = seen else {
        return if seen.is_empty() { Ok(false) } else { fail("one stream became several requests") };
    };
    let names: Vec<String> =
        sent.fields.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    let is_known = |name: &String| names.contains(name) || ADDED.contains(&name.as_str());
    let authority = sent.field(":authority").or(sent.field("host")).unwrap_or_default();
    match () {
        () if !is_answered => fail("no answer"),
        () if sent.field(":method") != Some(request.head.method.as_bytes()) => fail("another method"),
        () if resource(sent.field(":path").unwrap_or_default()) != resource(&request.head.target) => {
            fail("another target")
        }
        () if !authority.eq_ignore_ascii_case(&request.head.authority) => fail("another host"),
        () if sent.body != request.body => fail("another body"),
        () if !request.trailers.0.is_empty() => fail("trailers that nobody sent"),
        () if !request.head.fields.0.iter().all(|(name, _)| is_known(name)) => {
            fail("fields that nobody sent")
        }
        () => Ok(true),
    }
}
