//! bot-detection: programs that call themselves by the name of a known bot are refused.
//!
//! Which names those are, the crate `isbot` knows. A `User-Agent` says what its sender likes: this keeps well-behaved bots away, and nobody
//! else.

use std::sync::LazyLock;

use gateway_model::{plugin::bot_detection::Config, text_regex};
use http::{StatusCode, header::USER_AGENT};
use isbot::Bots;
use regex::Regex;

use super::{Answer, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

static BOTS: LazyLock<Bots> = LazyLock::new(Bots::default);

/// The compiled plugin.
#[derive(Debug)]
pub struct BotDetection {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
}

impl Compiled for BotDetection {
    type Config = Config;
    const PRIORITY: u32 = 2500;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if an expression does not compile.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let compile = |field: &str, patterns: &[String]| {
            let compiled = patterns.iter().map(|pattern| text_regex::compile(pattern));
            compiled
                .collect::<Result<_, _>>()
                .map_err(|error| NotExecutable(format!("{field}: must {error}")))
        };
        // Their expressions take a moment to compile: not on the path of the first request.
        LazyLock::force(&BOTS);
        Ok(Self { allow: compile("allow", &config.allow)?, deny: compile("deny", &config.deny)? })
    }
}

impl Plugin for BotDetection {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let mut agents = exchange.headers.get_all(USER_AGENT).into_iter();
        let (agent, second) = (agents.next(), agents.next());
        if second.is_some() {
            let message = "Only one User-Agent header allowed";
            return Ok(Verdict::Answer(Answer::message(StatusCode::BAD_REQUEST, message)));
        }
        // What is no text has no name of a bot in it.
        let Some(agent) = agent.and_then(|agent| agent.to_str().ok()).map(str::trim) else {
            return Ok(Verdict::Pass);
        };
        let matches = |regexes: &[Regex]| regexes.iter().any(|regex| regex.is_match(agent));
        if matches(&self.allow) || !matches(&self.deny) && !BOTS.is_bot(agent) {
            return Ok(Verdict::Pass);
        }
        Ok(Verdict::Answer(Answer::message(StatusCode::FORBIDDEN, "Forbidden")))
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, Outcome, get, settings};

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

    fn shown(config: Value, agent: &str) -> Outcome {
        let PluginConfig::BotDetection(config) = settings("bot-detection", config) else {
            panic!("bot detection was asked for")
        };
        get("/").header("user-agent", agent).show(&testing::compile::<BotDetection>(&config).unwrap())
    }

    #[test]
    fn known_bots_are_refused_and_lists_come_first() {
        for (config, agent, passes) in [
            (json!({}), FIREFOX, true),
            (json!({}), GOOGLEBOT, false),
            (json!({}), "", true),
            (json!({"allow": ["Googlebot"]}), GOOGLEBOT, true),
            (json!({"deny": ["Firefox/1[0-9]{2}"]}), FIREFOX, false),
            (json!({"deny": ["firefox"]}), FIREFOX, true),
            (json!({"deny": ["Firefox"], "allow": ["Linux"]}), FIREFOX, true),
        ] {
            assert_eq!(shown(config.clone(), agent).passed(), passes, "{config} {agent}");
        }
        assert_eq!(shown(json!({}), GOOGLEBOT).refused(), (StatusCode::FORBIDDEN, "Forbidden"));
    }

    #[test]
    fn none_passes_and_two_do_not() {
        let plugin = BotDetection { allow: Vec::new(), deny: Vec::new() };
        assert!(get("/").show(&plugin).passed());
        let outcome = get("/").header("user-agent", FIREFOX).header("user-agent", FIREFOX).show(&plugin);
        assert_eq!(outcome.refused(), (StatusCode::BAD_REQUEST, "Only one User-Agent header allowed"));
    }
}
