//! An answer as plugins see and change it.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// An answer on its way to the client.
pub struct Reply<'a> {
    /// Its status.
    pub status: &'a mut StatusCode,
    /// Its headers. Those that are about the connection or the framing are the gateway's: they are not among them, and are removed if a plugin
    /// sets them.
    pub headers: &'a mut HeaderMap,
    /// Length of its body in bytes, if it is known before.
    pub length: Option<u64>,
    /// Whether the upstream gave it.
    pub is_of_upstream: bool,
    filters: Vec<Box<dyn BodyFilter>>,
}

/// Sees a body go by, and may change it.
pub trait BodyFilter {
    /// Takes the next bytes. Returns what goes on in their place; nothing, where more has to come first.
    fn data(&mut self, data: Bytes) -> Bytes;

    /// The body is over. Returns what still goes.
    fn end(&mut self) -> Bytes {
        Bytes::new()
    }

    /// Whether what goes on is as long as what came.
    fn keeps_length(&self) -> bool {
        false
    }
}

impl<'a> Reply<'a> {
    /// An answer whose body is `length` long, if that is known.
    pub fn new(
        status: &'a mut StatusCode,
        headers: &'a mut HeaderMap,
        length: Option<u64>,
        is_of_upstream: bool,
    ) -> Self {
        Self { status, headers, length, is_of_upstream, filters: Vec::new() }
    }

    /// The body goes through `filter`, after those that were there before.
    pub fn filter_body(&mut self, filter: Box<dyn BodyFilter>) {
        self.filters.push(filter);
    }

    /// The filters, in the order in which bytes go through them.
    pub fn into_filters(self) -> Vec<Box<dyn BodyFilter>> {
        self.filters
    }
}
