//! response-ratelimiting: how much somebody may use of what upstreams count. Example: an upstream answers with `x-kong-limit: sms=3`, and the
//! client may send ten in a day.
//!
//! What a request uses is known when it is answered. So a request passes while anything is left, and its answer is withheld if it used what was
//! used up before: then it is not counted.

use std::sync::Arc;

use bytes::Bytes;
use futures::{TryFutureExt as _, future::try_join_all};
use gateway_model::plugin::response_ratelimiting::Config;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use super::{
    Answer, BodyFilter, Compiled, Effects, Exchange, Make, NotExecutable, Phases, Plugin, Reply, Then,
    Verdict,
    limiting::{self, By, Place, Told},
};
use crate::{
    counters::{Limit, Subject, Taken, Windows, remote::Unavailable, scope_of},
    plugins::observed,
    store::StoreError,
};

/// The most that one answer uses. Sums of so much stay whole numbers in every place where they are kept.
const USED_MAX: u64 = 1 << 40;
/// As in settings.
const NAME: &str = "response-ratelimiting";

/// The compiled plugin.
#[derive(Debug)]
pub struct ResponseRatelimiting {
    rules: Arc<Rules>,
    by: By,
    place: Place,
    fault_tolerant: bool,
}

/// What is judged by, and what is told of it.
#[derive(Debug)]
struct Rules {
    counted: Box<[Counted]>,
    /// By which upstreams say what was used.
    header: HeaderName,
    windows: Windows,
    blocks: bool,
    observe: bool,
}

/// Something that upstreams count.
#[derive(Debug)]
struct Counted {
    name: String,
    scope: u128,
    limits: Box<[Limit]>,
    /// One for each limit; `None`: clients are told nothing.
    told: Option<Box<[Told]>>,
    /// Tells the upstream what is left.
    remaining: HeaderName,
}

/// What was used before the request, for each that is counted.
struct Before {
    now_ms: u64,
    used: Vec<(Subject, Taken)>,
}

impl Compiled for ResponseRatelimiting {
    type Config = Config;
    const PRIORITY: u32 = 900;
    const PHASES: Phases = Phases::BOTH;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let counted = config.limits.iter().map(|(name, limits)| {
            let limits = limiting::limits(limits.by_period());
            let told =
                limits.iter().map(|limit| Told::new(&format!("{name}-{}", limit.period.name()), limit.max));
            let told = (!config.hide_client_headers).then(|| told.collect()).transpose()?;
            let remaining = HeaderName::try_from(format!("X-RateLimit-Remaining-{name}")).map_err(|_| {
                NotExecutable(format!("limits: `{name}` cannot stand in the name of a header"))
            })?;
            Ok(Counted { name: name.clone(), scope: scope_of(make.id, name), limits, told, remaining })
        });
        let header = HeaderName::try_from(&config.header_name);
        let rules = Rules {
            counted: counted.collect::<Result<_, NotExecutable>>()?,
            header: header.map_err(|_| NotExecutable("header_name: not a header name".to_owned()))?,
            windows: limiting::windows(config.window_type),
            blocks: config.block_on_first_violation,
            observe: config.observe,
        };
        Ok(Self {
            rules: Arc::new(rules),
            by: By::new(config.limit_by, None, None)?,
            place: Place::new(config.policy, &config.redis, -1.0, make.tools)?,
            fault_tolerant: config.fault_tolerant,
        })
    }
}

impl Plugin for ResponseRatelimiting {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let Rules { counted, windows, .. } = &*self.rules;
        let now_ms = limiting::now_ms(*windows, exchange);
        let subjects = counted.iter().map(|counted| (counted, self.by.subject(counted.scope, exchange)));
        match self.place.table() {
            Ok(table) => {
                let look = |(counted, subject): (&Counted, Subject)| {
                    (subject, table.take(subject, &counted.limits, *windows, now_ms, 0))
                };
                let before = Before { now_ms, used: subjects.map(look).collect() };
                Ok(self.rules.judge(before, exchange))
            }
            Err(remote) => {
                let look = |(counted, subject): (&Counted, Subject)| {
                    let taken = remote.clone().take(subject, counted.limits.clone(), *windows, now_ms, 0);
                    taken.map_ok(move |taken| (subject, taken))
                };
                Ok(self.wait(now_ms, try_join_all(subjects.map(look))))
            }
        }
    }

    fn response(&self, effects: &mut Effects, reply: &mut Reply<'_>) {
        let Some(before) = effects.get::<Before>() else { return };
        let Rules { counted, header, observe, .. } = &*self.rules;
        let uses = self.rules.uses(reply.headers);
        reply.headers.remove(header);
        let mut is_beyond = false;
        for ((counted, (_, taken)), amount) in counted.iter().zip(&before.used).zip(&uses) {
            is_beyond |= *amount > 0 && counted.remaining(taken) == 0;
            for (index, told) in counted.told.iter().flatten().enumerate() {
                let left =
                    counted.limits[index].max.saturating_sub(taken.used[index]).saturating_sub(*amount);
                reply.headers.extend(told.headers(left).map(|(name, value)| (Some(name), value)));
            }
        }
        if is_beyond && !observe {
            return withhold(reply);
        }
        if is_beyond {
            observed(NAME);
        }
        for ((counted, (subject, _)), amount) in counted.iter().zip(&before.used).zip(uses) {
            if amount > 0 {
                match self.place.table() {
                    Ok(table) => table.add(*subject, &counted.limits, before.now_ms, amount),
                    Err(remote) => remote.add(*subject, &counted.limits, before.now_ms, amount),
                }
            }
        }
    }
}

impl ResponseRatelimiting {
    /// Has the server say what was used.
    fn wait(
        &self,
        now_ms: u64,
        asked: impl Future<Output = Result<Vec<(Subject, Taken)>, Unavailable>> + 'static,
    ) -> Verdict {
        let (rules, fault_tolerant) = (self.rules.clone(), self.fault_tolerant);
        Verdict::Wait(Box::pin(async move {
            let used = asked.await;
            let then: Then = Box::new(move |exchange| {
                Ok(match used {
                    Ok(used) => rules.judge(Before { now_ms, used }, exchange),
                    Err(Unavailable) => limiting::without_server(fault_tolerant),
                })
            });
            then
        }))
    }
}

impl Rules {
    /// Tells the upstream what is left, or refuses the request where that is nothing and the settings say so.
    fn judge(&self, before: Before, exchange: &mut Exchange<'_, '_>) -> Verdict {
        let with = || self.counted.iter().zip(&before.used);
        if self.blocks
            && let Some((counted, _)) = with().find(|(counted, (_, taken))| counted.remaining(taken) == 0)
        {
            let message = format!("API rate limit exceeded for '{}'", counted.name);
            return Verdict::Answer(Answer::message(StatusCode::TOO_MANY_REQUESTS, message));
        }
        for (counted, (_, taken)) in with() {
            exchange.headers.insert(counted.remaining.clone(), counted.remaining(taken).into());
        }
        exchange.effects.put(before);
        Verdict::Pass
    }

    /// How much of each the upstream says was used. What is said of something else, or is no number, does not count; of several numbers, the
    /// last does.
    fn uses(&self, headers: &HeaderMap) -> Vec<u64> {
        let mut uses = vec![0; self.counted.len()];
        let values = headers.get_all(&self.header).into_iter().filter_map(|value| value.to_str().ok());
        for part in values.flat_map(|value| value.split(',')) {
            let Some((name, amount)) = part.split_once('=') else { continue };
            let Ok(amount) = amount.trim().parse::<u64>() else { continue };
            if let Some(place) = self.counted.iter().position(|counted| counted.name == name.trim()) {
                uses[place] = amount.min(USED_MAX);
            }
        }
        uses
    }
}

impl Counted {
    /// What the narrowest of its limits leaves.
    fn remaining(&self, taken: &Taken) -> u64 {
        let left = self.limits.iter().zip(taken.used).map(|(limit, used)| limit.max.saturating_sub(used));
        left.min().unwrap_or(u64::MAX)
    }
}

/// The client gets 429 and nothing of the body, as in Kong.
fn withhold(reply: &mut Reply<'_>) {
    *reply.status = StatusCode::TOO_MANY_REQUESTS;
    reply.headers.remove(CONTENT_TYPE);
    reply.headers.remove(CONTENT_ENCODING);
    reply.filter_body(Box::new(Nothing));
}

/// Lets nothing pass of a body.
struct Nothing;

impl BodyFilter for Nothing {
    fn data(&mut self, _: Bytes) -> Bytes {
        Bytes::new()
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, Outcome, get, settings};

    fn limiting(config: Value) -> ResponseRatelimiting {
        let PluginConfig::ResponseRatelimiting(config) = settings("response-ratelimiting", config) else {
            panic!("a limit was asked for")
        };
        testing::compile(&config).unwrap()
    }

    /// What becomes of an answer by which an upstream says that so much was used.
    fn uses(plugin: &ResponseRatelimiting, used: &str) -> (StatusCode, HeaderMap, Bytes) {
        let mut outcome = get("/").show(plugin);
        assert!(outcome.passed());
        outcome.answer(plugin, 200, &[("x-kong-limit", used), ("content-type", "text/plain")], "hello")
    }

    fn left(outcome: &Outcome, name: &str) -> String {
        outcome.headers[format!("x-ratelimit-remaining-{name}")].to_str().unwrap().to_owned()
    }

    #[test]
    fn upstreams_say_what_is_used() {
        let plugin = limiting(json!({"limits": {"sms": {"minute": 5, "hour": 7}, "video": {"day": 2}}}));
        let (status, headers, body) = uses(&plugin, " sms = 3, video=1,other=9, video, =, sms=x");
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"hello"[..]));
        for (name, value) in [
            ("x-ratelimit-limit-sms-minute", "5"),
            ("x-ratelimit-remaining-sms-minute", "2"),
            ("x-ratelimit-remaining-sms-hour", "4"),
            ("x-ratelimit-limit-video-day", "2"),
            ("x-ratelimit-remaining-video-day", "1"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
        assert!(!headers.contains_key("x-kong-limit"));
        let outcome = get("/").show(&plugin);
        assert_eq!((left(&outcome, "sms"), left(&outcome, "video")), ("2".to_owned(), "1".to_owned()));
    }

    #[test]
    fn what_is_used_up_is_withheld_and_not_counted() {
        let plugin = limiting(json!({"limits": {"sms": {"minute": 2}, "video": {"minute": 1}}}));
        // While something is left, more may be used than that.
        assert_eq!(uses(&plugin, "sms=3").0, StatusCode::OK);
        let (status, headers, body) = uses(&plugin, "sms=1,video=1");
        assert_eq!((status, body.len()), (StatusCode::TOO_MANY_REQUESTS, 0));
        assert_eq!(headers["x-ratelimit-remaining-sms-minute"], "0");
        assert!(!headers.contains_key("content-type"));
        // What needs nothing of it passes on.
        assert_eq!(uses(&plugin, "video=1").0, StatusCode::OK);
        assert_eq!(uses(&plugin, "").0, StatusCode::OK);
    }

    #[test]
    fn the_first_violation_blocks_where_asked() {
        let config =
            json!({"limits": {"sms": {"minute": 1}, "video": {"day": 9}}, "block_on_first_violation": true});
        let plugin = limiting(config);
        assert_eq!(uses(&plugin, "sms=1").0, StatusCode::OK);
        let outcome = get("/").show(&plugin);
        assert_eq!(outcome.refused(), (StatusCode::TOO_MANY_REQUESTS, "API rate limit exceeded for 'sms'"));
        assert!(outcome.effects.is_empty());
    }

    #[test]
    fn clients_may_be_told_nothing_and_watched_only() {
        let config = json!({"limits": {"sms": {"minute": 1}}, "hide_client_headers": true, "observe": true});
        let plugin = limiting(config);
        for _ in 0..3 {
            let (status, headers, body) = uses(&plugin, "sms=1");
            assert_eq!((status, headers.len(), body.len()), (StatusCode::OK, 1, 5), "{headers:?}");
        }
    }
}
