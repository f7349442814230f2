//! What is sent to proxies: all routes and all keys in turn, written once before anything is measured.

use std::fmt::Write as _;

use hyper::{Method, Request, Uri, header::HeaderValue};

use crate::{
    documents::{Size, key, route_path},
    http1::KEY_HEADER,
    upstream::SMALL_BODY_BYTES,
};

/// Steps through routes and keys. Primes that divide neither number, so that every one has its turn.
const ROUTE_STEP: usize = 7_919;
const KEY_STEP: usize = 3_571;
/// The host that requests name. The certificate of the run is for it.
pub const HOST: &str = "localhost";

/// Requests that take turns.
#[derive(Debug)]
pub struct Requests {
    heads: Vec<Box<[u8]>>,
    /// Sent behind each head.
    body: Box<[u8]>,
    expected: Expected,
}

/// What the right answer to a request looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its status code.
    pub status: u16,
    /// Bytes of its body.
    pub length: usize,
}

impl Expected {
    /// 200 with `length` bytes.
    pub const fn ok(length: usize) -> Self {
        Self { status: 200, length }
    }
}

impl Requests {
    /// These requests, each whole with its body, which are all answered alike.
    pub fn whole(messages: Vec<Box<[u8]>>, expected: Expected) -> Self {
        Self { heads: messages, body: Box::default(), expected }
    }

    /// GET of every route, with the keys in turn and further `headers`, which are whole lines.
    pub fn small(size: Size, headers: &str) -> Self {
        Self::new(size, &Method::GET, (0, headers))
    }

    /// POST of `length` bytes to every route, with the keys in turn.
    pub fn with_body(size: Size, length: usize) -> Self {
        Self::new(size, &Method::POST, (length, ""))
    }

    fn new(size: Size, method: &Method, (length, headers): (usize, &str)) -> Self {
        let heads = (0..size.routes).map(|number| {
            let (path, key) = route_and_key(size, number);
            let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{KEY_HEADER}: {key}\r\n");
            if length > 0 {
                // Writing to a string cannot fail.
                let _ = write!(head, "Content-Length: {length}\r\n");
            }
            (head + headers + "\r\n").into_bytes().into()
        });
        let answered = if length == 0 { SMALL_BODY_BYTES } else { length };
        Self { heads: heads.collect(), body: vec![b'.'; length].into(), expected: Expected::ok(answered) }
    }

    /// The head of the request with this number, and its body.
    pub fn get(&self, number: usize) -> (&[u8], &[u8]) {
        let head = self.heads.get(number % self.heads.len().max(1)).map_or(&[][..], |head| head);
        (head, &self.body)
    }

    /// The right answer to each of them.
    pub fn expected(&self) -> Expected {
        self.expected
    }
}

/// The same GET requests for HTTP/2, with absolute addresses.
pub fn for_http2(size: Size) -> anyhow::Result<Vec<Request<()>>> {
    (0..size.routes)
        .map(|number| {
            let (path, key) = route_and_key(size, number);
            let address: Uri = format!("https://{HOST}{path}").parse()?;
            Ok(Request::get(address).header(KEY_HEADER, HeaderValue::from_str(&key)?).body(())?)
        })
        .collect()
}

fn route_and_key(size: Size, number: usize) -> (String, String) {
    let turn = |step: usize, of: usize| number.wrapping_mul(step) % of.max(1);
    (route_path(turn(ROUTE_STEP, size.routes)), key(turn(KEY_STEP, size.consumers)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SIZE: Size = Size { services: 1, routes: 10_000, consumers: 10_000 };

    #[test]
    fn every_route_and_every_key_has_its_turn() {
        let pairs: Vec<_> = (0..SIZE.routes).map(|number| route_and_key(SIZE, number)).collect();
        let routes: BTreeSet<_> = pairs.iter().map(|(route, _)| route).collect();
        let keys: BTreeSet<_> = pairs.iter().map(|(_, key)| key).collect();
        assert_eq!((routes.len(), keys.len()), (SIZE.routes, SIZE.consumers));
    }

    #[test]
    fn requests_are_whole() {
        let (head, body) = (Requests::small(SIZE, ""), Requests::with_body(SIZE, 3));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        assert_eq!(
            text(head.get(SIZE.routes).0),
            "GET /api/items-00000 HTTP/1.1\r\nHost: localhost\r\napikey: key-of-consumer-00000\r\n\r\n"
        );
        assert!(text(body.get(1).0).ends_with("Content-Length: 3\r\n\r\n"));
        assert_eq!((text(body.get(1).1), body.expected()), ("...".to_owned(), Expected::ok(3)));
        assert_eq!(head.expected(), Expected::ok(SMALL_BODY_BYTES));
    }
}
