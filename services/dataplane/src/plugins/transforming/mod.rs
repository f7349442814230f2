//! What request-transformer and response-transformer have in common: how headers, JSON objects and arguments are changed.
//!
//! The operations of all of them are Kong's: something is removed, renamed, replaced if it is there, added unless it is there, or gets one
//! more value. What nobody changes stays as it came. Different from Kong, renaming what is not there changes nothing.

mod arguments;
mod json;
#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use metrics::counter;

pub use self::{
    arguments::Arguments,
    json::{Json, Object, to_json},
};

/// Bytes of a body that is changed at most.
pub const BODY_MAX: usize = 8 << 20;

const UNCHANGED: &str = "landbridge_transformer_unchanged_bodies_total";

/// What can be changed under a name.
pub trait Fields {
    /// What stands under a name.
    type Value;

    /// Leaves it out.
    fn remove(&mut self, name: &str);
    /// It gets another name, in place of what has that name.
    fn rename(&mut self, from: &str, to: &str);
    /// It gets another value, if it is there.
    fn replace(&mut self, name: &str, value: Self::Value);
    /// It is added, unless it is there.
    fn add(&mut self, name: &str, value: Self::Value);
    /// It gets one more value.
    fn append(&mut self, name: &str, value: Self::Value);
}

impl Fields for HeaderMap {
    type Value = HeaderValue;

    fn remove(&mut self, name: &str) {
        HeaderMap::remove(self, name);
    }

    fn rename(&mut self, from: &str, to: &str) {
        let Ok(to) = HeaderName::from_bytes(to.as_bytes()) else { return };
        let values: Vec<HeaderValue> = self.get_all(from).into_iter().cloned().collect();
        if values.is_empty() {
            return;
        }
        HeaderMap::remove(self, from);
        HeaderMap::remove(self, &to);
        for value in values {
            HeaderMap::append(self, to.clone(), value);
        }
    }

    fn replace(&mut self, name: &str, value: HeaderValue) {
        if self.contains_key(name)
            && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
        {
            self.insert(name, value);
        }
    }

    fn add(&mut self, name: &str, value: HeaderValue) {
        if !self.contains_key(name) {
            Fields::append(self, name, value);
        }
    }

    fn append(&mut self, name: &str, value: HeaderValue) {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            HeaderMap::append(self, name, value);
        }
    }
}

/// What a body is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// JSON.
    Json,
    /// A form.
    Form,
}

impl ContentType {
    /// Of a message with these headers; `None` if it is something else.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let said = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = said.split(';').next().unwrap_or_default().trim();
        let is = |known| essence.eq_ignore_ascii_case(known);
        if is("application/json") {
            Some(Self::Json)
        } else if is("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else {
            None
        }
    }
}

/// Counts a body that stays as it is, and was to be changed.
pub fn unchanged(plugin: &'static str, reason: &'static str) {
    counter!(UNCHANGED, "plugin" => plugin, "reason" => reason).increment(1);
    tracing::debug!(plugin, reason, "a body that was to be changed stays as it is");
}

/// Names the metrics of this module.
pub fn describe_metrics() {
    metrics::describe_counter!(
        UNCHANGED,
        "Bodies that a transformer was to change and passed on as they came: too large, encoded, or no JSON object."
    );
}
