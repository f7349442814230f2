//! An answer on its way into the cache, and out of it.

use std::time::SystemTime;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{AGE, CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED},
    request::Parts,
};

use super::{
    BODY_BYTES_MAX, Tells,
    store::{Key, Store, Stored},
};
use crate::plugins::{BodyFilter, Exchange};

pub const X_CACHE_STATUS: HeaderName = HeaderName::from_static("x-cache-status");
pub const X_CACHE_KEY: HeaderName = HeaderName::from_static("x-cache-key");

/// Collects a body that goes by, and keeps the answer when it was whole.
pub struct Keeping {
    at: (Store, Key, Parts),
    /// `None`: it is too long.
    stored: Option<Stored>,
    body: Vec<u8>,
    /// As long as the body has to become, if that is known.
    length: Option<u64>,
}

impl Keeping {
    /// Keeps `stored` without its body, which is `length` long if that is known.
    pub fn new(at: (Store, Key, Parts), stored: Stored, length: Option<u64>) -> Self {
        Self { at, stored: Some(stored), body: Vec::new(), length }
    }
}

impl BodyFilter for Keeping {
    fn data(&mut self, data: Bytes) -> Bytes {
        if self.stored.is_some() {
            self.body.extend_from_slice(&data);
            if self.body.len() as u64 > BODY_BYTES_MAX {
                self.stored = None;
                self.body = Vec::new();
            }
        }
        data
    }

    fn end(&mut self) -> Bytes {
        let body = Bytes::from(std::mem::take(&mut self.body));
        if let Some(stored) = self.stored.take()
            && self.length.is_none_or(|length| length == body.len() as u64)
        {
            let (store, key, request) = &self.at;
            store.keep(*key, request, Stored { body, ..stored });
        }
        Bytes::new()
    }

    fn keeps_length(&self) -> bool {
        true
    }
}

/// What is kept, as the answer to a request: that it has not changed, if the request knows it.
pub fn answer(
    stored: &Stored,
    (key, tells): (&Key, Tells),
    exchange: &Exchange<'_, '_>,
    now: SystemTime,
) -> Response<Bytes> {
    let is_known = stored.status == StatusCode::OK && is_known(&stored.headers, exchange.headers);
    let body = if is_known { Bytes::new() } else { stored.body.clone() };
    let mut response = Response::new(body);
    *response.status_mut() = if is_known { StatusCode::NOT_MODIFIED } else { stored.status };
    let headers = response.headers_mut();
    *headers = stored.headers.clone();
    if is_known {
        headers.remove(CONTENT_LENGTH);
    }
    if tells.age {
        headers.insert(AGE, HeaderValue::from(stored.policy.age(now).as_secs()));
    }
    if tells.status {
        headers.insert(X_CACHE_STATUS, HeaderValue::from_static("Hit"));
    }
    if tells.key
        && let Ok(key) = HeaderValue::try_from(hex::encode(key))
    {
        headers.insert(X_CACHE_KEY, key);
    }
    response
}

/// Whether the client has what is kept (RFC 9110, section 13.1).
fn is_known(stored: &HeaderMap, asked: &HeaderMap) -> bool {
    if asked.contains_key(IF_NONE_MATCH) {
        let Some(tag) = stored.get(ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
        let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let mut tags = asked.get_all(IF_NONE_MATCH).into_iter().filter_map(|tags| tags.to_str().ok());
        return tags.any(|tags| tags.split(',').any(|given| given.trim() == "*" || weak(given) == weak(tag)));
    }
    let date = |headers: &HeaderMap, name: HeaderName| {
        headers.get(name).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok())
    };
    match (date(asked, IF_MODIFIED_SINCE), date(stored, LAST_MODIFIED)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}
