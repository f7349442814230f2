//! Every port that Landbridge opens for TCP: how many connections it takes and from where, what each may do without saying
//! anything, and how slow it may be.
//!
//! A connection comes in through [`Listener::next`], which gives it a seat ([`seats`]) and learns whose it is
//! ([`proxy_protocol`], TLS). [`Listener::serve`] then serves HTTP on it with axum: `serve` drives it, `io` limits its bytes,
//! `request_body` and `answers` its bodies. The gateway's proxy serves its connections itself, on the same seats and bytes.
//!
//! Whoever says nothing is closed in favour of whoever comes: when all seats are taken, the connection that has been without a
//! request for longest gives up its own. So silent connections, however many, shut nobody out.

mod accept;
mod alarm;
mod answers;
mod arrived;
mod files;
mod io;
mod limits;
mod options;
mod proxy_protocol;
mod request_body;
mod seats;
mod serve;
mod sockets;
mod stream;

pub use accept::{Bound, Listener};
pub use alarm::Alarm;
pub use arrived::{Arrived, Opened};
pub use files::raise_open_files;
pub use io::Io;
pub use limits::{BUFFER_MAX, HEAD_MAX, HEADERS_MAX, Limits};
pub use options::{Balancers, Choice, Choose, Options, Tls};
pub use seats::{InFlight, Seat};
pub use serve::{Client, Protocols};
pub use sockets::{Inherited, OpenPort, Socket};
pub use stream::Stream;
