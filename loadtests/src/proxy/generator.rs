//! The load generator for proxies: one thread, one epoll, requests that were written before.
//!
//! It shares cores with the upstream, so it has to cost little: a request is one write, one read and its share of an
//! `epoll_wait`. A call that finds all connections busy waits for one. In an open loop a latency runs from the scheduled
//! time, so that wait is part of it: no coordinated omission.

mod answer;
mod connection;
mod timetable;

use std::{
    collections::VecDeque,
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rustix::event::{
    Timespec,
    epoll::{self, CreateFlags, EventData, EventFlags},
};
use tokio::task::spawn_blocking;

use super::requests::Requests;
use crate::{
    machine,
    measured::{Failures, Samples},
    wire::READ_BYTES,
};
pub use answer::Answer;
use connection::Connection;
pub use connection::Wire;
pub use timetable::Arrivals;
use timetable::{Next, Timetable};

/// Events that are taken at once.
const EVENTS_MAX: usize = 256;
/// How long answers may take after the last request.
const DRAIN: Duration = Duration::from_secs(10);

/// Whether a connection carries more than one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// As many as there are.
    Kept,
    /// One: every request has a connection, and a handshake, of its own.
    OneRequest,
}

/// What to send, where, how and when.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the proxy listens.
    pub address: SocketAddr,
    /// Taken in turn.
    pub requests: Arc<Requests>,
    /// Connections at the same time.
    pub connections: usize,
    /// Whether they carry more than one request.
    pub reuse: Reuse,
    /// How they speak.
    pub wire: Wire,
    /// When requests are sent.
    pub arrivals: Arrivals,
}

/// What was seen.
#[derive(Debug)]
pub struct Outcome {
    /// From the scheduled time to the complete answer.
    pub latencies: Samples,
    /// From the scheduled time to sending.
    pub lateness: Samples,
    /// Right answers a second.
    pub per_second: f64,
    /// Requests without the right answer.
    pub failed: u64,
    /// Answers on connections that resumed a TLS session.
    pub resumed: u64,
    /// CPU time of the generator.
    pub cpu: Duration,
}

/// Carries a load out. An error when more than one request in a hundred failed.
pub async fn run(load: Load) -> anyhow::Result<Outcome> {
    run_until(load, Cut::default()).await
}

/// The same, cut off: what is due from that time on is not sent.
pub async fn run_until(load: Load, cut: Cut) -> anyhow::Result<Outcome> {
    spawn_blocking(move || Run::new(&load, cut)?.until_over()).await?
}

/// When a load ends, if that is known only while it runs. What was due before is still sent.
pub type Cut = Arc<OnceLock<Instant>>;

struct Run<'a> {
    load: &'a Load,
    epoll: OwnedFd,
    timetable: Timetable,
    slots: Vec<Slot>,
    /// Slots without a request, those first that have waited for longest.
    free: VecDeque<usize>,
    next_request: usize,
    latencies: Vec<Duration>,
    lateness: Vec<Duration>,
    failures: Failures,
    resumed: u64,
    buffer: Vec<u8>,
}

/// Room for one connection. It is opened when needed, and again after a failure.
struct Slot {
    connection: Option<Connection>,
    scheduled: Instant,
}

impl<'a> Run<'a> {
    fn new(load: &'a Load, cut: Cut) -> anyhow::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            load,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            timetable: Timetable::new(load.arrivals, now, cut),
            slots: (0..load.connections).map(|_| Slot { connection: None, scheduled: now }).collect(),
            free: (0..load.connections).collect(),
            next_request: 0,
            latencies: Vec::new(),
            lateness: Vec::new(),
            failures: Failures::default(),
            resumed: 0,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn until_over(mut self) -> anyhow::Result<Outcome> {
        let (started, cpu) = (Instant::now(), machine::cpu_time_of_thread()?);
        let deadline = self.timetable.end() + DRAIN;
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let mut next = self.send_due();
        loop {
            if next == Next::Over && self.free.len() == self.slots.len() {
                break;
            }
            let now = Instant::now();
            if now >= deadline {
                self.give_up();
                break;
            }
            let wake = if let Next::Wait(time) = next { time } else { deadline };
            let timeout = Timespec::try_from(wake.saturating_duration_since(now))?;
            let (ready, _) = epoll::wait(&self.epoll, &mut events, Some(&timeout))?;
            for event in ready.iter() {
                self.advance(event.data.u64() as usize);
                // At once, as a client does that waits for nothing but its own answer.
                next = self.send_due();
            }
            if ready.is_empty() {
                next = self.send_due();
            }
        }
        let (elapsed, count) = (started.elapsed(), self.latencies.len() as u64);
        self.failures.require_few(count + self.failures.count)?;
        Ok(Outcome {
            latencies: Samples::new(self.latencies)?,
            lateness: Samples::new(self.lateness)?,
            per_second: count as f64 / elapsed.as_secs_f64(),
            failed: self.failures.count,
            resumed: self.resumed,
            cpu: machine::cpu_time_of_thread()?.saturating_sub(cpu),
        })
    }

    /// Sends what is due on free connections; returns what is next. With all connections busy, their answers are.
    fn send_due(&mut self) -> Next {
        while let Some(index) = self.free.pop_front() {
            let now = Instant::now();
            match self.timetable.next(now) {
                Next::Send(scheduled) => {
                    self.lateness.push(now.saturating_duration_since(scheduled));
                    self.begin(index, scheduled);
                }
                next => {
                    self.free.push_front(index);
                    return next;
                }
            }
        }
        Next::Wait(self.timetable.end() + DRAIN)
    }

    fn begin(&mut self, index: usize, scheduled: Instant) {
        let number = self.next_request;
        self.next_request += 1;
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.scheduled = scheduled;
        if let Err(error) = slot.begin(self.load, &self.epoll, (index, number)) {
            self.fail(index, &error);
        }
    }

    /// Goes on with a connection that something has happened to.
    fn advance(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(connection) = &mut slot.connection else { return };
        match connection.advance(&self.load.requests, &mut self.buffer) {
            Ok(false) => {}
            Ok(true) => {
                self.latencies.push(slot.scheduled.elapsed());
                self.resumed += u64::from(connection.is_resumed());
                if self.load.reuse == Reuse::OneRequest || connection.is_over() {
                    slot.connection = None;
                }
                self.free.push_back(index);
            }
            Err(error) => self.fail(index, &error),
        }
    }

    fn fail(&mut self, index: usize, error: &anyhow::Error) {
        self.failures.add(error);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.connection = None;
        }
        self.free.push_back(index);
    }

    /// Requests that are still open have failed.
    fn give_up(&mut self) {
        for _ in self.free.len()..self.slots.len() {
            self.failures.add(&anyhow::anyhow!("no answer within {} s of the end", DRAIN.as_secs()));
        }
    }
}

impl Slot {
    /// Sends request `number` on the connection of slot `index`, which is opened if need be.
    fn begin(&mut self, load: &Load, epoll: &OwnedFd, (index, number): (usize, usize)) -> anyhow::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(open(load, epoll, index)?),
        };
        connection.begin(number, &load.requests)
    }
}

fn open(load: &Load, epoll: &OwnedFd, index: usize) -> anyhow::Result<Connection> {
    let connection = Connection::open(load.address, &load.wire, index)?;
    // Edge-triggered, for both directions: no further call is needed while the connection lasts.
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
    epoll::add(epoll, &connection, EventData::new_u64(index as u64), flags)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        documents::Size,
        proxy::certificate::{Sessions, tests::https_upstream},
        upstream,
    };

    const SIZE: Size = Size { services: 1, routes: 10, consumers: 10 };

    async fn outcome(arrivals: Arrivals, reuse: Reuse, requests: Requests) -> anyhow::Result<Outcome> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(upstream::accept(listener, upstream::Slow::default()));
        let requests = Arc::new(requests);
        run(Load { address, requests, connections: 4, reuse, wire: Wire::Plain, arrivals }).await
    }

    #[tokio::test]
    async fn an_open_loop_sends_all_that_is_due() {
        let arrivals = Arrivals::Open { per_second: 1000.0, duration: Duration::from_millis(200) };
        let outcome = outcome(arrivals, Reuse::Kept, Requests::small(SIZE, "")).await.expect("answers");
        assert_eq!((outcome.latencies.len(), outcome.lateness.len(), outcome.failed), (200, 200, 0));
        assert_eq!(outcome.resumed, 0);
    }

    #[tokio::test]
    async fn a_closed_loop_ends_with_its_time_whatever_is_sent() {
        let arrivals = Arrivals::Closed(Duration::from_millis(100));
        for reuse in [Reuse::Kept, Reuse::OneRequest] {
            for requests in [Requests::small(SIZE, ""), Requests::with_body(SIZE, 300_000)] {
                let outcome = outcome(arrivals, reuse, requests).await.expect("answers");
                assert!(outcome.latencies.len() >= 4 && outcome.failed == 0 && outcome.per_second > 0.0);
            }
        }
    }

    #[tokio::test]
    async fn sessions_are_resumed_by_clients_that_remember_them_only() {
        let (certificate, address) = https_upstream().await.expect("a server");
        for (sessions, reuse) in [
            (Sessions::Forgotten, Reuse::Kept),
            (Sessions::Forgotten, Reuse::OneRequest),
            (Sessions::Resumed, Reuse::OneRequest),
        ] {
            let client = certificate.client(&["http/1.1"], sessions).expect("a client");
            let (requests, wire) = (Arc::new(Requests::small(SIZE, "")), Wire::Tls(Arc::new([client])));
            let arrivals = Arrivals::Open { per_second: 200.0, duration: Duration::from_millis(250) };
            let load = Load { address, requests, connections: 1, reuse, wire, arrivals };
            let outcome = run(load).await.expect("answers");
            assert_eq!((outcome.latencies.len(), outcome.failed), (50, 0));
            // The first one has nothing to resume.
            assert_eq!(outcome.resumed, if sessions == Sessions::Resumed { 49 } else { 0 });
        }
        std::fs::remove_dir_all(certificate.folder()).expect("removed");
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let (requests, wire) = (Arc::new(Requests::small(SIZE, "")), Wire::Plain);
        let arrivals = Arrivals::Open { per_second: 100.0, duration: Duration::from_millis(100) };
        let load = Load { address, requests, connections: 2, reuse: Reuse::Kept, wire, arrivals };
        let error = run(load).await.expect_err("nobody answers").to_string();
        assert!(error.contains("10 of 10"), "{error}");
    }
}
