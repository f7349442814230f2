//! The phases of a request's plugins: what they are shown of it, how it waits for them, and what they do to its answer.

use std::{sync::Arc, time::SystemTime};

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{CONNECTION, CONTENT_LENGTH, UPGRADE},
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use super::{
    body::Outgoing,
    connection::ClientConnection,
    failure::Failure,
    headers,
    inbound::Inbound,
    request_body::{self, Incoming},
    state::Worker,
    telemetry::Record,
};
use crate::{
    plugins::{
        Answer, Asked, Attempt, Body, Captures, Chain, Client, Effects, Ended, Exchange, Place, Reply, Run,
        Step, Then, Transaction, Wanted, is_of_upstream,
    },
    view::{Outcome, Served},
};

/// What a request's plugins have left to do when they have judged it.
pub struct After {
    chain: Chain,
    effects: Effects,
    served: Arc<Served>,
    logged: Option<Logged>,
}

/// What those are told who hear of the request's end.
struct Logged {
    asked: Asked,
    began: SystemTime,
    answer: Option<(StatusCode, HeaderMap)>,
    upstream_uri: Option<PathAndQuery>,
    attempts: Vec<Attempt>,
}

/// A request whose plugins run.
pub struct Judging<'a, 'q> {
    pub worker: &'a Worker,
    pub connection: &'a ClientConnection,
    pub served: &'a Arc<Served>,
    pub parts: &'a mut Parts,
    pub inbound: &'a mut Inbound<'q>,
    pub incoming: &'a mut Incoming,
    pub uri: &'a Uri,
    pub request_id: &'a HeaderValue,
    pub record: &'a mut Record,
}

/// How far it has come in them, and what they have found out and want.
struct Progress<'c> {
    run: Run<'c>,
    body: Body,
    effects: Effects,
}

impl Judging<'_, '_> {
    /// Shows the request to the plugins of `chain`. Returns the answer of the one that answers it. What they leave to do, and who the consumer
    /// is, goes into the record.
    pub async fn judge(mut self, chain: &Chain) -> Result<Option<Answer>, Failure> {
        if chain.is_empty() {
            return Ok(None);
        }
        let method = self.parts.method.clone();
        let body = self.incoming.seen();
        let mut progress = Progress { run: Run::new(chain), body, effects: Effects::default() };
        let mut step = self.go_on(&mut progress, None);
        if let Ok(Step::NeedsBody(_) | Step::Waits(_)) = step {
            // What few requests do is in a box: a request is as large as all that it may wait for.
            step = Box::pin(self.wait(step, &mut progress)).await;
        }
        let Progress { run, effects, .. } = progress;
        self.leave(run.chain(), effects, method);
        match step? {
            Step::Answered(answer) => Ok(Some(answer)),
            Step::Passed | Step::NeedsBody(_) | Step::Waits(_) => Ok(None),
        }
    }

    /// Waits for what plugins wait for, until they have all judged the request.
    async fn wait(
        &mut self,
        mut step: Result<Step, Failure>,
        progress: &mut Progress<'_>,
    ) -> Result<Step, Failure> {
        loop {
            step = match step? {
                Step::NeedsBody(max) => {
                    let timeout = self.worker.shared.limits.connections.stall_timeout;
                    let body = request_body::read(self.incoming, max, timeout).await;
                    progress.body = body.map_err(|broken| request_body::failure(&broken))?;
                    self.go_on(progress, None)
                }
                Step::Waits(future) => {
                    let then = future.await;
                    self.go_on(progress, Some(then))
                }
                over => return Ok(over),
            };
        }
    }

    /// Runs plugins until one answers or waits, beginning with what comes of waiting.
    fn go_on(&mut self, progress: &mut Progress<'_>, then: Option<Then>) -> Result<Step, Failure> {
        let Self { worker, connection, served, parts, inbound, uri, request_id, record, .. } = self;
        let (shared, served) = (&*worker.shared, *served);
        let client = client(worker, connection, parts, &inbound.host, inbound.port);
        let path = &*inbound.path;
        let captured = |name: &str| match &served.outcome {
            Outcome::Serve { captures, .. } => captures.find(name, path),
            Outcome::Quarantined => None,
        };
        let mut exchange = Exchange {
            method: &mut parts.method,
            version: parts.version,
            uri,
            authority: inbound.authority,
            headers: &mut parts.headers,
            path,
            query: &mut inbound.query,
            body: std::mem::replace(&mut progress.body, Body::Empty),
            client,
            place: place(served),
            captures: Captures(&captured),
            request_id,
            identities: &worker.identities,
            random: &shared.random,
            clock: &shared.clock,
            now: shared.clock.unix_seconds().cast_unsigned(),
            consumer: record.consumer.take(),
            effects: std::mem::take(&mut progress.effects),
        };
        let for_consumer =
            |consumer| worker.view(|view| view.chain_for(served, consumer)).map_err(Failure::from);
        let step = match then {
            None => progress.run.step(&mut exchange, &for_consumer),
            Some(then) => progress.run.resume(then, &mut exchange, &for_consumer),
        };
        let Exchange { body, effects, consumer, .. } = exchange;
        (progress.body, progress.effects, record.consumer) = (body, effects, consumer);
        step
    }

    /// Keeps what the plugins have left to do.
    fn leave(self, chain: &Chain, effects: Effects, method: Method) {
        let phases = chain.phases();
        if !phases.response && !phases.log && !phases.count && effects.is_empty() {
            return;
        }
        let Self { worker, connection, served, parts, inbound, uri, request_id, record, .. } = self;
        let logged = phases.log.then(|| Logged {
            asked: Asked {
                method,
                uri: uri.clone(),
                version: parts.version,
                headers: parts.headers.clone(),
                authority: inbound.authority.clone(),
                peer: (connection.arrival.peer, connection.arrival.https),
                client: client(worker, connection, parts, &inbound.host, inbound.port).address,
                request_id: request_id.clone(),
            },
            began: (worker.shared.clock.now() - record.total()).into(),
            answer: None,
            upstream_uri: None,
            attempts: Vec::new(),
        });
        let after = After { chain: chain.clone(), effects, served: served.clone(), logged };
        record.after = Some(Box::new(after));
    }
}

fn client<'a>(
    worker: &Worker,
    connection: &'a ClientConnection,
    parts: &Parts,
    host: &'a str,
    port: Option<u16>,
) -> Client<'a> {
    let arrival = &connection.arrival;
    let peer = arrival.peer.ip();
    let address =
        if arrival.is_proxy { worker.shared.trust.client(&parts.headers, peer) } else { peer.to_canonical() };
    Client {
        address,
        host,
        port: port.unwrap_or(if arrival.https { 443 } else { 80 }),
        https: arrival.https,
        sni: arrival.sni.as_deref(),
        certificate: &connection.certificate,
    }
}

fn place(served: &Served) -> Place<'_> {
    let upstream = match &served.outcome {
        Outcome::Serve { upstream, .. } => upstream.as_ref().map(|upstream| upstream.destination.authority()),
        Outcome::Quarantined => None,
    };
    Place {
        route: served.route,
        route_name: &served.labels.route,
        service: served.service,
        service_name: &served.labels.service,
        upstream,
    }
}

impl After {
    /// What plugins want done.
    pub fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// The same, to be read.
    pub fn wanted(&self) -> Option<&Wanted> {
        self.effects.wanted()
    }

    /// The plugins that would have refused the request, and only observe; `None` if there is none.
    pub fn observed(&self) -> Option<String> {
        let observed = &self.effects.wanted()?.observed;
        (!observed.is_empty()).then(|| observed.join(" "))
    }

    /// The upstream is asked for `target`.
    pub fn forwarded(&mut self, target: &PathAndQuery) {
        if let Some(logged) = &mut self.logged {
            logged.upstream_uri = Some(target.clone());
        }
    }

    /// An attempt was made at the upstream at `at`.
    pub fn attempted(&mut self, at: &Authority, has_failed: bool) {
        if let Some(logged) = &mut self.logged {
            logged.attempts.push(Attempt { at: at.clone(), has_failed });
        }
    }

    /// The answer to a request by `method` as the plugins want the client to get it.
    pub fn respond(&mut self, method: &Method, response: Response<Outgoing>) -> Response<Outgoing> {
        // What was switched to another protocol has no answer any more that could be changed.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        let (mut parts, mut body) = response.into_parts();
        if self.chain.phases().response {
            self.show(method, &mut parts, &mut body);
        }
        for header in self.effects.wanted().iter().flat_map(|wanted| &wanted.answer) {
            if header.replaces {
                body.remove_header(&header.name);
                parts.headers.remove(&header.name);
            }
            parts.headers.extend(header.value.clone().map(|value| (header.name.clone(), value)));
        }
        let response = Response::from_parts(parts, body);
        if let Some(logged) = &mut self.logged {
            let mut headers = response.headers().clone();
            response.body().add_headers(&mut headers);
            logged.answer = Some((response.status(), headers));
        }
        response
    }

    /// Shows the answer to the plugins that see answers.
    fn show(&mut self, method: &Method, parts: &mut http::response::Parts, body: &mut Outgoing) {
        // The connection and the framing are no plugin's.
        let own = [CONNECTION, UPGRADE].map(|name| parts.headers.remove(&name).map(|value| (name, value)));
        let length = parts.headers.remove(CONTENT_LENGTH);
        let is_of_upstream = body.is_of_upstream();
        body.take_headers(&mut parts.headers);
        let (before, known) = (parts.status, body.length());
        let mut reply = Reply::new(&mut parts.status, &mut parts.headers, known, is_of_upstream);
        self.chain.respond(&mut self.effects, &mut reply);
        let mut filters = reply.into_filters();
        if parts.status.is_informational() {
            parts.status = before;
        }
        headers::remove_hop_by_hop(&mut parts.headers);
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.extend(own.into_iter().flatten());
        let keeps_length = filters.iter().all(|filter| filter.keeps_length());
        if keeps_length {
            parts.headers.extend(length.map(|length| (CONTENT_LENGTH, length)));
        }
        let has_no_body = *method == Method::HEAD
            || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_no_body {
            // They hear that it is over; what they would add has no place.
            filters.drain(..).for_each(|mut filter| drop(filter.end()));
        }
        body.filter(filters, keeps_length);
    }

    /// Tells those who hear of it that the request is over.
    pub fn ended(&self, record: &Record) {
        let upstream = record.at_upstream();
        if self.chain.phases().count {
            self.chain.count(&Ended {
                place: place(&self.served),
                consumer: record.consumer.as_deref(),
                status: record.status(),
                is_of_upstream: is_of_upstream(upstream, record.reason),
                received: record.received,
                sent: record.sent,
                total: record.total(),
                gateway: record.gateway(),
                upstream,
            });
        }
        let Some(Logged { asked, began, answer, upstream_uri, attempts }) = &self.logged else { return };
        self.chain.log(&Transaction {
            asked,
            place: place(&self.served),
            consumer: record.consumer.as_deref(),
            effects: &self.effects,
            began: *began,
            answer: answer.as_ref(),
            received: record.received,
            sent: record.sent,
            is_complete: record.is_complete,
            reason: record.reason,
            total: record.total(),
            gateway: record.gateway(),
            upstream,
            tries: record.tries(),
            upstream_uri: upstream_uri.as_ref(),
            attempts,
        });
    }
}
