//! The way of one request to its upstream: to one host, or to one of several targets for each attempt.

use std::sync::Arc;

use balancer::{InFlight, Observed, RetryBudget};
use http::{HeaderValue, StatusCode};

use super::{
    affinity::Affinity,
    attempt::{Answered, UpstreamRequest},
    failure::Failure,
    state::Worker,
};
use crate::{
    balancing::{Balanced, Group, Picked, Place, Spread},
    view::{Destination, Upstream},
};

/// Where the attempts of a request go.
pub struct Way<'a> {
    worker: &'a Worker,
    upstream: &'a Upstream,
    to: Destination,
    /// In a box: most services have no targets.
    targets: Option<Box<Targets>>,
}

/// The targets of an upstream, as one request sees them.
pub struct Targets {
    group: Arc<Group>,
    spread: Arc<Spread>,
    affinity: Affinity,
    /// Whether the targets see the client's `Host`.
    keeps_host: bool,
    tried: Vec<usize>,
    /// The one that the request is at.
    current: Option<Picked>,
}

impl Targets {
    /// The targets of `balanced`. The place of its next request is kept by `affinity`.
    pub fn new(balanced: &Balanced, affinity: Affinity) -> Result<Self, Failure> {
        // Groups follow a view before requests see it.
        let group = balanced.group().ok_or_else(Failure::no_target)?.clone();
        let spread = group.spread();
        Ok(Self { group, spread, affinity, keeps_host: false, tried: Vec::new(), current: None })
    }

    /// `Set-Cookie` for the client, if it has to have a cookie.
    fn set_cookie(&mut self) -> Option<HeaderValue> {
        self.affinity.set_cookie.take()
    }

    /// Goes to a target that the request was not at; `None` if no other one takes it.
    fn go_on(&mut self, random: &dyn Fn() -> u64) -> Option<&Place> {
        let picked = self.group.pick(&self.spread, self.affinity.key, &self.tried, random)?;
        let index = self.current.insert(picked).index;
        self.spread.place(index).map(|place| &**place)
    }

    /// The attempt has ended: with a status, or why without.
    fn ended(&mut self, outcome: Result<StatusCode, Observed>) -> Option<InFlight> {
        let picked = self.current.take()?;
        self.tried.push(picked.index);
        self.group.attempted(&self.spread, &picked, outcome);
        Some(picked.in_flight)
    }
}

impl<'a> Way<'a> {
    /// The way to `to`, or, where there are `targets`, to one of those in the same manner. `keeps_host`: they see the client's `Host`.
    pub fn new(
        worker: &'a Worker,
        upstream: &'a Upstream,
        to: Destination,
        mut targets: Option<Box<Targets>>,
        keeps_host: bool,
    ) -> Self {
        if let Some(targets) = &mut targets {
            targets.keeps_host = keeps_host;
        }
        Self { worker, upstream, to, targets }
    }

    /// Where the next attempt goes.
    pub fn to(&self) -> &Destination {
        &self.to
    }

    /// Whether there are several targets.
    pub fn has_targets(&self) -> bool {
        self.targets.is_some()
    }

    /// Counts the request, and finds its first target.
    pub fn begin(&mut self, to_send: &mut UpstreamRequest) -> Result<(), Failure> {
        self.budget().request();
        if self.targets.is_some() && !self.find_target(to_send) {
            return Err(Failure::no_target());
        }
        Ok(())
    }

    /// Whether the request may be sent once more: there is another target, unless the connection was an old one that broke, and the
    /// upstream bears it.
    pub fn go_on(&mut self, was_kept: bool, to_send: &mut UpstreamRequest) -> bool {
        let has_way = self.targets.is_none() || self.find_target(to_send) || was_kept;
        has_way && self.budget().retry(self.worker.shared.began.elapsed())
    }

    /// An attempt has failed: as `observed`, or for a reason that says nothing of the target.
    pub fn failed(&mut self, observed: Option<Observed>) {
        if let (Some(targets), Some(observed)) = (&mut self.targets, observed) {
            drop(targets.ended(Err(observed)));
        }
    }

    /// The request is answered. It is in flight until its answer is over.
    pub fn answered(&mut self, mut answered: Answered) -> Answered {
        if let Some(targets) = &mut self.targets {
            match &mut answered {
                Answered::Answer(answer) => answer.in_flight = targets.ended(Ok(answer.status)),
                Answered::Switched(switched) => {
                    switched.in_flight = targets.ended(Ok(StatusCode::SWITCHING_PROTOCOLS));
                }
            }
        }
        answered
    }

    /// `Set-Cookie` for the client, if it has to have a cookie.
    pub fn set_cookie(&mut self) -> Option<HeaderValue> {
        self.targets.as_mut()?.set_cookie()
    }

    fn budget(&self) -> &RetryBudget {
        self.targets.as_ref().map_or(&self.upstream.budget, |targets| &targets.group.budget)
    }

    fn find_target(&mut self, to_send: &mut UpstreamRequest) -> bool {
        let Some(targets) = &mut self.targets else { return false };
        let (keeps_host, random) = (targets.keeps_host, &self.worker.shared.random);
        let Some(place) = targets.go_on(&|| random.number()) else { return false };
        let is_tls = self.to.tls().is_some();
        let name = if keeps_host || !is_tls { None } else { place.name.clone() };
        self.to = self.to.at(&place.destination, name);
        if !keeps_host && let Some((_, host)) = to_send.own.first_mut() {
            *host = place.host(is_tls).clone();
        }
        true
    }
}
