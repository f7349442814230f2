//! HTTP/1.1 as bytes: what both sides of the gateway share. Heads, header fields and the chunked coding are read and written here, and
//! bodies are cut out of a connection's bytes. Of routes, upstreams and plugins it knows nothing.
//!
//! Heads and chunk sizes are parsed by httparse. What is the gateway's own is where a message ends (RFC 9112, section 6), because that is
//! what two parties must not read in two ways. The gateway is strict with requests. In answers it passes over what is only untidy.
//!
//! hyper was the limit on both sides: of a request's instructions it took more than half, most of them to pass messages between its tasks
//! and to move heads between its types and ours.

mod answer;
mod as_came;
mod chunked;
mod date;
mod fields;
mod request;
mod server;
mod wire;
mod writer;

pub use self::{
    answer::{AnswerHead, parse_answer},
    as_came::AsCame,
    date::Date,
    fields::{Meaning, elements, has_token, tokens},
    request::{BodyLength, RefusedHead, RequestHead},
    server::{RequestReader, Server},
    wire::{BodyEnd, ReadError, Wire},
    writer::{Coding, SendError},
};

/// Bytes that are not valid HTTP, or that could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not valid HTTP")]
pub struct Invalid;
