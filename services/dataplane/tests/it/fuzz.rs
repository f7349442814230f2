//! Paths and heads that were changed at random, from the corpora in `tests/corpus`. Whatever comes in, the gateway answers or
//! closes, and an upstream is told nothing that it must not believe.
//!
//! The number of cases is bounded, so that this is a test like any other. The seed is printed; `LANDBRIDGE_FUZZ_SEED` repeats a
//! run, and `LANDBRIDGE_FUZZ_CASES` makes it longer. What it finds belongs into the corpus.

use std::{fs, path::PathBuf, time::Duration};

use ::random::Random;
use dataplane::router::path::{DotSegments, canonical, has_dot_segment};
use http::HeaderName;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::Client,
    gateway::Gateway,
    upstream::{Seen, Upstream},
};

const PATHS: usize = 20_000;
const HEADS: usize = 400;
/// Most changes to one case.
const CHANGES_MAX: usize = 4;
/// How long the gateway may think about a head that is not whole. It would wait for the rest longer than a test can.
const PATIENCE: Duration = Duration::from_millis(20);

/// What is put in at random places.
const WORDS: [&str; 40] = [
    "/",
    "//",
    "\\",
    "%2f",
    "%5C",
    ".",
    "..",
    "%2e",
    ";",
    "%3B",
    "%252e",
    "%c0%ae",
    "%00",
    "%",
    "\0",
    "\u{e9}",
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    "_",
    "-",
    "connection: ",
    "x-real-ip",
    "x-forwarded-for: 6.6.6.6\r\n",
    "X_Real_Ip: 6.6.6.6\r\n",
    "x-consumer-id: 6.6.6.6\r\n",
    "x.consumer~id: 6.6.6.6\r\n",
    "transfer-encoding: chunked\r\n",
    "content-length: 3\r\n",
    "te: trailers\r\n",
    "upgrade: websocket\r\n",
    "via: 1.1 landbridge\r\n",
    "host: b\r\n",
    "HTTP/1.0",
    "/cut",
    "/../",
];

fn corpus(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", name].iter().collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}

/// A source of changed cases.
struct Mutator {
    random: StdRng,
    cases: Vec<Vec<u8>>,
}

impl Mutator {
    fn new(cases: Vec<Vec<u8>>) -> Self {
        let seed = number("LANDBRIDGE_FUZZ_SEED").unwrap_or_else(|| Random::system().number());
        println!("LANDBRIDGE_FUZZ_SEED={seed}");
        Self { random: StdRng::seed_from_u64(seed), cases }
    }

    /// The corpus as it is, then `changed` cases made of it; as many as are asked for, if they are.
    fn run(mut self, changed: usize) -> impl Iterator<Item = Vec<u8>> {
        let changed = number("LANDBRIDGE_FUZZ_CASES").map_or(changed, |cases| cases as usize);
        let corpus = self.cases.clone().into_iter();
        corpus.chain((0..changed).map(move |_| self.changed()))
    }

    fn changed(&mut self) -> Vec<u8> {
        let mut case = self.cases.choose(&mut self.random).expect("a corpus").clone();
        for _ in 0..self.random.random_range(1..=CHANGES_MAX) {
            let at = self.random.random_range(0..=case.len());
            let end = self.random.random_range(at..=case.len().min(at + 8));
            match self.random.random_range(0..5) {
                0 => drop(case.splice(at..end, [])),
                1 => drop(case.splice(at..at, self.random.random::<[u8; 1]>())),
                2 => {
                    let copy = case[at..end].to_vec();
                    case.splice(at..at, copy);
                }
                3 => {
                    let other = self.cases.choose(&mut self.random).expect("a corpus");
                    let from = self.random.random_range(0..=other.len());
                    case.splice(at.., other[from..].iter().copied());
                }
                _ => {
                    let word = WORDS.choose(&mut self.random).expect("words");
                    case.splice(at..at, word.bytes());
                }
            }
        }
        case
    }
}

#[test]
fn every_path_has_one_form_without_dot_segments_or_none() {
    let text = fs::read_to_string(corpus("paths")).unwrap();
    let cases = text.lines().map(|line| line.as_bytes().to_vec()).collect();
    for case in Mutator::new(cases).run(PATHS) {
        let raw = String::from_utf8_lossy(&case);
        for dots in [DotSegments::Refuse, DotSegments::Resolve, DotSegments::ResolveAndPassParameters] {
            let Ok(path) = canonical(&raw, dots) else { continue };
            assert!(path.starts_with('/') && path.is_ascii() && !path.contains("//"), "{raw:?}: {path}");
            assert!(!has_dot_segment(&path, dots), "{raw:?}: {path}");
            assert_eq!(canonical(&path, dots).as_deref(), Ok(&*path), "{raw:?}: not its own form");
        }
    }
}

#[tokio::test]
async fn no_head_tells_an_upstream_what_only_the_gateway_may_say() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}/base', routes: [{{name: r, paths: [/, /cut]}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut files: Vec<_> =
        fs::read_dir(corpus("heads")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let cases = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let mut judged = 0;
    for case in Mutator::new(cases).run(HEADS) {
        let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
        // The gateway may close while this is written.
        let _ = stream.write_all(&case).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let seen = upstream.seen();
        for seen in seen.iter().skip(judged) {
            check(seen).unwrap_or_else(|wrong| {
                panic!("{wrong}\n{seen:?}\nof {:?}", case.escape_ascii().to_string())
            });
        }
        judged = seen.len();
    }
    assert!(judged > 10, "only {judged} reached the upstream");
    assert_eq!(Client::connect(gateway.http()).await.get("/x").await.status, 200, "the gateway is well");
}

/// Whether the upstream was told only what it may believe.
fn check(seen: &Seen) -> Result<(), &'static str> {
    let is_below_base = matches!(seen.target.strip_prefix("/base"), Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']));
    let only = |name: &str, value: &str| seen.headers.get_all(name).iter().eq([value]);
    let reads_as = |name: &str, known: &str| {
        let dashed = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
        name.bytes().map(dashed).take(known.len()).eq(known.bytes())
    };
    let is_identity = |name: &&str| {
        ["x-consumer-", "x-credential-", "x-authenticated-", "x-anonymous-"]
            .iter()
            .any(|family| reads_as(name, family))
    };
    let is_odd = |name: &&str| {
        let names = ["x-forwarded-for", "x-real-ip", "x-request-id", "content-length", "transfer-encoding"];
        names.iter().any(|known| *name != *known && name.len() == known.len() && reads_as(name, known))
    };
    let trailers: Vec<&str> =
        seen.trailers.iter().flat_map(|trailers| trailers.keys()).map(HeaderName::as_str).collect();
    let names: Vec<&str> = seen.headers.keys().map(HeaderName::as_str).chain(trailers.clone()).collect();
    match () {
        () if !is_below_base => Err("the request left the service's path"),
        () if !only("x-forwarded-for", "127.0.0.1") => Err("X-Forwarded-For is not the client's address"),
        () if !only("x-real-ip", "127.0.0.1") => Err("X-Real-IP is not the client's address"),
        () if seen.headers.get_all("x-request-id").iter().count() != 1 => Err("not one request id"),
        () if !seen.headers.get_all("via").iter().any(|via| via.as_bytes().ends_with(b" landbridge")) => {
            Err("Via lacks the gateway")
        }
        () if names.iter().any(is_identity) => Err("a client said who the consumer is"),
        () if names.iter().any(is_odd) => Err("an odd spelling of the gateway's own headers passed"),
        () if trailers.contains(&"x-real-ip") => Err("a trailer said the client's address"),
        () => Ok(()),
    }
}
