//! rate-limiting: how many requests somebody may send in a period of time.
//!
//! A request that one limit refuses is counted by none. What Kong's users see is as in Kong: the headers, the status and the message.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use gateway_model::plugin::rate_limiting::Config;
use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};

use super::{
    Answer, AnswerHeader, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Then, Verdict,
    limiting::{self, By, Place, Told},
};
use crate::{
    counters::{Limit, Subject, Taken, Windows, remote::Remote},
    store::StoreError,
};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The compiled plugin.
#[derive(Debug)]
pub struct RateLimiting {
    rules: Arc<Rules>,
    by: By,
    scope: u128,
    place: Place,
    fault_tolerant: bool,
}

/// What is judged by, and what is told of it.
#[derive(Debug)]
struct Rules {
    limits: Box<[Limit]>,
    windows: Windows,
    /// One for each limit; `None`: clients are told nothing.
    told: Option<Box<[Told]>>,
    status: StatusCode,
    message: String,
}

impl Compiled for RateLimiting {
    type Config = Config;
    const PRIORITY: u32 = 910;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let limits = limiting::limits(config.limits());
        let told = limits.iter().map(|limit| Told::new(limit.period.name(), limit.max));
        let told = (!config.hide_client_headers).then(|| told.collect()).transpose()?;
        let status = StatusCode::from_u16(config.error_code);
        let rules = Rules {
            windows: limiting::windows(config.window_type),
            told,
            limits,
            status: status.map_err(|_| NotExecutable("error_code: not a status code".to_owned()))?,
            message: config.error_message.clone(),
        };
        Ok(Self {
            rules: Arc::new(rules),
            by: By::new(config.limit_by, config.header_name.as_ref(), config.path.as_ref())?,
            scope: make.id.as_u128(),
            place: Place::new(config.policy, &config.redis, config.sync_rate, make.tools)?,
            fault_tolerant: config.fault_tolerant,
        })
    }
}

impl Plugin for RateLimiting {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let subject = self.by.subject(self.scope, exchange);
        let now_ms = limiting::now_ms(self.rules.windows, exchange);
        Ok(match self.place.table() {
            Ok(table) => {
                let Rules { limits, windows, .. } = &*self.rules;
                self.rules.verdict(&table.take(subject, limits, *windows, now_ms, 1), exchange)
            }
            Err(remote) => self.ask(remote, subject, now_ms),
        })
    }
}

impl RateLimiting {
    /// Has the server judge.
    fn ask(&self, remote: &Arc<Remote>, subject: Subject, now_ms: u64) -> Verdict {
        let (rules, fault_tolerant) = (self.rules.clone(), self.fault_tolerant);
        let asked = remote.clone().take(subject, rules.limits.clone(), rules.windows, now_ms, 1);
        Verdict::Wait(Box::pin(async move {
            let taken = asked.await;
            let then: Then = Box::new(move |exchange| {
                Ok(match taken {
                    Ok(taken) => rules.verdict(&taken, exchange),
                    Err(_) => limiting::without_server(fault_tolerant),
                })
            });
            then
        }))
    }
}

impl Rules {
    /// Tells the client what is left to it, and refuses the request if that is nothing.
    fn verdict(&self, taken: &Taken, exchange: &mut Exchange<'_, '_>) -> Verdict {
        if taken.is_within {
            if let Some(told) = &self.told {
                let answer = &mut exchange.effects.want().answer;
                answer.reserve(3 + 2 * told.len());
                self.tell(told, taken, |name, value| {
                    answer.push(AnswerHeader { name, value: Some(value), replaces: true });
                });
            }
            return Verdict::Pass;
        }
        let mut headers = Vec::new();
        if let Some(told) = &self.told {
            let reset = self.tell(told, taken, |name, value| headers.push((name, value)));
            headers.push((RETRY_AFTER, reset.into()));
        }
        Verdict::Answer(Answer::Message { status: self.status, message: self.message.clone(), headers })
    }

    /// Hands over the headers. Returns in how many seconds the limit resets that is told of.
    fn tell(&self, told: &[Told], taken: &Taken, mut header: impl FnMut(HeaderName, HeaderValue)) -> u64 {
        // The one that leaves least; of several, that of the longest period.
        let (mut least, mut limit, mut reset) = (u64::MAX, 0, 0);
        for (index, (held, told)) in self.limits.iter().zip(told).enumerate() {
            let used = taken.used[index] + u64::from(taken.is_within);
            let remaining = held.max.saturating_sub(used);
            if remaining <= least {
                (least, limit, reset) = (remaining, held.max, taken.resets_ms[index].div_ceil(1000).max(1));
            }
            for (name, value) in told.headers(remaining) {
                header(name, value);
            }
        }
        header(LIMIT, limit.into());
        header(REMAINING, least.into());
        header(RESET, reset.into());
        reset
    }
}
