//! Connections to upstreams: opened, kept for further requests, and shared by requests that may share them.
//!
//! A connection belongs to the thread that opened it. One of HTTP/1.1 is taken out of the pool for one request and driven by the task
//! of that request; nobody reads from it while it is in the pool. One of HTTP/2 stays in the pool, has a task of its own and carries
//! many requests at once.

mod answer;
mod dial;
mod guard;
mod http1;
mod pool;
mod reads_on;
mod tls;

pub use self::{
    answer::{AnswerBody, AnswerBroken},
    dial::{ConnectError, Dialler},
    guard::{Forbidden, Guard},
    http1::{Came, ExchangeError, Http1, Stream},
    pool::{Bucket, Connection, Pool},
    tls::Tls,
};
