//! One request from its head to its answer's last byte.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, StatusCode, uri::Authority};

use super::{
    access_log::{AccessLog, Asked},
    counters::MetricsOptions,
    tally::{OfRoute, Tally, add, class},
};
use crate::{
    plugins::Identity,
    proxy::{connection::ClientConnection, phases::After},
    view::Served,
};

/// What is known of a request. It is counted, and logged, when it is dropped: when its answer has been sent, or somebody gave it up.
pub struct Record {
    recorder: Rc<Recorder>,
    pub(super) began: Instant,
    pub(super) answered: Option<Answered>,
    /// The route that it is for.
    pub served: Option<Arc<Served>>,
    /// Who sends it.
    pub consumer: Option<Rc<Identity>>,
    /// Why the gateway answers it itself. Example: `upstream-timeout`.
    pub reason: Option<&'static str>,
    pub(super) upstream: Option<AtUpstream>,
    /// Bytes that came of its body, when the answer began.
    pub received: u64,
    /// Bytes of the answer's body that were handed over to be sent.
    pub sent: u64,
    /// Whether that is all of it.
    pub is_complete: bool,
    pub(super) asked: Option<Box<Asked>>,
    /// What its plugins have left to do.
    pub after: Option<Box<After>>,
}

/// The head of the answer.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    pub status: StatusCode,
    /// From the request's head.
    pub after: Duration,
}

/// The way to an upstream and back.
#[derive(Clone, Copy)]
pub(super) struct AtUpstream {
    began: Instant,
    /// Until its answer's head; `None`: there was none yet.
    pub took: Option<Duration>,
    /// Attempts after the first.
    pub retries: u32,
}

/// One thread's, for the records of its requests.
pub struct Recorder {
    /// What the thread counts.
    pub tally: Arc<Tally>,
    options: MetricsOptions,
    log: Option<RefCell<AccessLog>>,
}

impl Recorder {
    /// One that counts in `tally`, and writes lines into `log`.
    pub fn new(tally: Arc<Tally>, options: MetricsOptions, log: Option<AccessLog>) -> Self {
        Self { tally, options, log: log.map(RefCell::new) }
    }

    /// Begins the record of `request`.
    pub fn begin<B>(
        self: &Rc<Self>,
        connection: &ClientConnection,
        request: &Request<B>,
        request_id: &HeaderValue,
    ) -> Box<Record> {
        let mut record = self.refused();
        if self.log.is_some() {
            record.asked = Some(Box::new(Asked::of(connection, request, request_id)));
        }
        record
    }

    /// Begins the record of what is no request.
    pub fn refused(self: &Rc<Self>) -> Box<Record> {
        Box::new(Record {
            recorder: self.clone(),
            began: Instant::now(),
            answered: None,
            served: None,
            consumer: None,
            reason: None,
            upstream: None,
            received: 0,
            sent: 0,
            is_complete: false,
            asked: None,
            after: None,
        })
    }

    /// Hands over lines that have waited.
    pub fn flush(&self) {
        if let Some(log) = &self.log {
            log.borrow_mut().flush();
        }
    }

    fn end(&self, record: &Record) {
        let tally = &self.tally;
        add(&tally.received, record.received);
        add(&tally.sent, record.sent);
        let class = class(record.answered.map(|answered| answered.status));
        let counts_consumer = self.options.consumers && record.consumer.is_some();
        if self.options.routes && record.served.is_some() || counts_consumer {
            let mut each = tally.each();
            if let Some(served) = record.served.as_ref().filter(|_| self.options.routes) {
                let route = each.routes.entry(served.route);
                let counted = route.or_insert_with(|| OfRoute::of(served.labels.clone()));
                counted.requests.iter_mut().skip(class).take(1).for_each(|count| *count += 1);
                counted.gateway += record.gateway().unwrap_or_default();
                counted.upstream += record.at_upstream().unwrap_or_default();
                counted.received += record.received;
                counted.sent += record.sent;
            }
            if let Some(consumer) = record.consumer.as_ref().filter(|_| counts_consumer) {
                let counted = each.consumers.entry(consumer.consumer).or_default();
                counted.iter_mut().skip(class).take(1).for_each(|count| *count += 1);
            }
        }
        if let (Some(log), Some(asked)) = (&self.log, &record.asked) {
            log.borrow_mut().write(record, asked);
        }
    }
}

impl Record {
    /// The request goes to an upstream now.
    pub fn forwarded(&mut self) {
        self.upstream = Some(AtUpstream { began: Instant::now(), took: None, retries: 0 });
    }

    /// An attempt was made at the upstream at `at`; `has_failed`: it brought no answer.
    pub fn attempted(&mut self, at: &Authority, has_failed: bool) {
        if let Some(after) = &mut self.after {
            after.attempted(at, has_failed);
        }
    }

    /// It is tried once more.
    pub fn retried(&mut self) {
        self.recorder.tally.retry();
        if let Some(upstream) = &mut self.upstream {
            upstream.retries += 1;
        }
    }

    /// The upstream's part is over: with the head of its answer, or without one.
    pub fn returned(&mut self) {
        if let Some(upstream) = &mut self.upstream {
            upstream.took = Some(upstream.began.elapsed());
        }
    }

    /// The answer's head goes to the client.
    pub fn answered(&mut self, status: StatusCode) {
        let after = self.began.elapsed();
        self.answered = Some(Answered { status, after });
        let tally = &self.recorder.tally;
        tally.total.add(after);
        if let Some(took) = self.at_upstream() {
            tally.upstream.add(took);
        }
        if let Some(took) = self.gateway() {
            tally.gateway.add(took);
        }
        self.count(status.into());
    }

    fn count(&self, status: Option<StatusCode>) {
        if let Some(counter) = self.recorder.tally.requests.get(class(status)) {
            add(counter, 1);
        }
    }

    /// Status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.answered.map(|answered| answered.status)
    }

    /// How long it has taken up to now.
    pub fn total(&self) -> Duration {
        self.began.elapsed()
    }

    /// How often the upstream was asked.
    pub fn tries(&self) -> u32 {
        self.upstream.map_or(0, |upstream| upstream.retries + 1)
    }

    /// How long the upstream was waited for; `None` if the request did not go there.
    pub fn at_upstream(&self) -> Option<Duration> {
        self.upstream.map(|upstream| upstream.took.unwrap_or_else(|| upstream.began.elapsed()))
    }

    /// How long the gateway itself took up to the answer's head; `None` if there was none.
    pub fn gateway(&self) -> Option<Duration> {
        Some(self.answered?.after.saturating_sub(self.at_upstream().unwrap_or_default()))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.answered.is_none() {
            self.count(None);
        }
        let recorder = self.recorder.clone();
        recorder.end(self);
        if let Some(after) = self.after.take() {
            after.ended(self);
        }
    }
}
