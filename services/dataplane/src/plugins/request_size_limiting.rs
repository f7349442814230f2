//! request-size-limiting: a request whose body is too large is refused: at once where it says its length, else when more has come than may.

use gateway_model::plugin::request_size_limiting::Config;
use http::{StatusCode, header::EXPECT};

use super::{Answer, Body, BodyMax, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

const NAME: &str = "request-size-limiting";

/// The compiled plugin.
#[derive(Debug)]
pub struct RequestSizeLimiting {
    bytes: u64,
    requires_length: bool,
}

impl Compiled for RequestSizeLimiting {
    type Config = Config;
    const PRIORITY: u32 = 951;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let bytes = u64::from(config.allowed_payload_size) * config.size_unit.bytes();
        Ok(Self { bytes, requires_length: config.require_content_length })
    }
}

impl Plugin for RequestSizeLimiting {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let length = match &exchange.body {
            Body::Empty => return Ok(Verdict::Pass),
            Body::Unread { length } | Body::TooLarge { length } => *length,
            Body::Read(body) => Some(body.len() as u64),
        };
        match length {
            Some(length) if length <= self.bytes => Ok(Verdict::Pass),
            Some(_) => {
                let expects = exchange.headers.contains_key(EXPECT);
                let status =
                    if expects { StatusCode::EXPECTATION_FAILED } else { StatusCode::PAYLOAD_TOO_LARGE };
                Ok(Verdict::Answer(Answer::message(status, "Request size limit exceeded")))
            }
            None if self.requires_length => {
                let message = "A valid Content-Length header is required";
                Ok(Verdict::Answer(Answer::message(StatusCode::LENGTH_REQUIRED, message)))
            }
            None => {
                let max = BodyMax { bytes: self.bytes, plugin: NAME, observe: false };
                exchange.effects.want().body_max = Some(max);
                Ok(Verdict::Pass)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, get, request, settings};

    fn limiting(config: Value) -> RequestSizeLimiting {
        let PluginConfig::RequestSizeLimiting(config) = settings(NAME, config) else { panic!("{NAME}") };
        testing::compile(&config).unwrap()
    }

    #[test]
    fn a_length_is_judged_at_once() {
        for (config, length, passes) in [
            (json!({"allowed_payload_size": 4, "size_unit": "bytes"}), 4, true),
            (json!({"allowed_payload_size": 4, "size_unit": "bytes"}), 5, false),
            (json!({"allowed_payload_size": 1, "size_unit": "kilobytes"}), 1024, true),
            (json!({"allowed_payload_size": 1, "size_unit": "kilobytes"}), 1025, false),
            (json!({"allowed_payload_size": 1}), 1 << 20, true),
            (json!({"allowed_payload_size": 1}), (1 << 20) + 1, false),
            (json!({"allowed_payload_size": 0}), 1, false),
        ] {
            let outcome = request(Method::POST, "/").body(vec![0; length]).show(&limiting(config.clone()));
            assert_eq!(outcome.passed(), passes, "{config} {length}");
            if !passes {
                assert_eq!(outcome.refused(), (StatusCode::PAYLOAD_TOO_LARGE, "Request size limit exceeded"));
            }
        }
    }

    #[test]
    fn whoever_asks_before_sending_is_told_that_it_fails() {
        let plugin = limiting(json!({"allowed_payload_size": 0}));
        let outcome = request(Method::POST, "/").header("expect", "100-continue").body("x").show(&plugin);
        assert_eq!(outcome.refused().0, StatusCode::EXPECTATION_FAILED);
    }

    #[test]
    fn a_body_of_unknown_length_is_measured_on_its_way_or_refused() {
        let plugin = limiting(json!({"allowed_payload_size": 3, "size_unit": "bytes"}));
        let outcome = request(Method::POST, "/").chunked("x").show(&plugin);
        assert!(outcome.passed());
        assert_eq!(outcome.effects.wanted().unwrap().body_max.unwrap().bytes, 3);
        let plugin = limiting(json!({"require_content_length": true}));
        let outcome = request(Method::POST, "/").chunked("x").show(&plugin);
        assert_eq!(
            outcome.refused(),
            (StatusCode::LENGTH_REQUIRED, "A valid Content-Length header is required")
        );
        assert!(get("/").show(&plugin).passed(), "it has no body");
    }
}
