//! response-ratelimiting: how much somebody may use of what upstreams count. Example: an upstream answers with `x-kong-limit: sms=3`, and the
//! client may send ten in a day.
//!
//! What a request uses is known when it is answered. So a request passes while anything is left, and its answer is withheld if it used what was
//! used up before: then it is not counted.

use bytes::Bytes;
use gateway_model::plugin::response_ratelimiting::Config;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use super::{
    Answer, BodyFilter, Compiled, Effects, Exchange, Make, NotExecutable, Phases, Plugin, Reply, Tools,
    Verdict,
    limiting::{self, By, Told},
};
use crate::{
    counters::{Limit, Subject, Taken, Windows, scope_of},
    plugins::observed,
    store::StoreError,
};

/// As in settings.
const NAME: &str = "response-ratelimiting";

/// The compiled plugin.
#[derive(Debug)]
pub struct ResponseRatelimiting {
    counted: Box<[Counted]>,
    /// By which upstreams say what was used.
    header: HeaderName,
    by: By,
    windows: Windows,
    blocks: bool,
    observe: bool,
    tools: Tools,
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
        if config.policy == gateway_model::plugin::Policy::Redis {
            return Err(NotExecutable("policy: redis is not executed by this gateway yet".to_owned()));
        }
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
        Ok(Self {
            counted: counted.collect::<Result<_, NotExecutable>>()?,
            header: header.map_err(|_| NotExecutable("header_name: not a header name".to_owned()))?,
            by: By::new(config.limit_by, None, None)?,
            windows: limiting::windows(config.window_type),
            blocks: config.block_on_first_violation,
            observe: config.observe,
            tools: make.tools.clone(),
        })
    }
}

impl Plugin for ResponseRatelimiting {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let now_ms = limiting::now_ms(self.windows, exchange);
        let table = self.tools.counters().table();
        let look = |counted: &Counted| {
            let subject = self.by.subject(counted.scope, exchange);
            (subject, table.take(subject, &counted.limits, self.windows, now_ms, 0))
        };
        let before = Before { now_ms, used: self.counted.iter().map(look).collect() };
        Ok(self.judge(before, exchange))
    }

    fn response(&self, effects: &mut Effects, reply: &mut Reply<'_>) {
        let Some(before) = effects.get::<Before>() else { return };
        let uses = self.uses(reply.headers);
        reply.headers.remove(&self.header);
        let mut is_beyond = false;
        for ((counted, (_, taken)), amount) in self.counted.iter().zip(&before.used).zip(&uses) {
            is_beyond |= *amount > 0 && counted.remaining(taken) == 0;
            for (index, told) in counted.told.iter().flatten().enumerate() {
                let left =
                    counted.limits[index].max.saturating_sub(taken.used[index]).saturating_sub(*amount);
                reply.headers.extend(told.headers(left).map(|(name, value)| (Some(name), value)));
            }
        }
        if is_beyond && !self.observe {
            return withhold(reply);
        }
        if is_beyond {
            observed(NAME);
        }
        for ((counted, (subject, _)), amount) in self.counted.iter().zip(&before.used).zip(uses) {
            if amount > 0 {
                let periods = counted.limits.iter().map(|limit| limit.period);
                self.tools.counters().table().add(*subject, periods, before.now_ms, amount);
            }
        }
    }
}

impl ResponseRatelimiting {
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
            let Ok(amount) = amount.trim().parse() else { continue };
            if let Some(place) = self.counted.iter().position(|counted| counted.name == name.trim()) {
                uses[place] = amount;
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
