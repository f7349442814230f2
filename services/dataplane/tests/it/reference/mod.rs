//! A strict reading of HTTP/1.1 (RFC 9112), which the gateway is compared with.
//!
//! It is written to be obviously right, and shares nothing with the gateway: it looks at all bytes of a connection at once, and keeps
//! nothing between two looks. Where the RFC leaves a choice, the reading says what a message would mean. Whoever refuses it is right too.
//! What the RFC forbids, and what it calls an attempt to smuggle, is invalid here. Example: `Content-Length` beside `Transfer-Encoding`.

pub mod answer;
mod message;
pub mod request;

pub use self::message::{Fields, Stop};
