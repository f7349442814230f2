//! canary: a share of the requests goes to another upstream. The share is fixed, or grows with time.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use gateway_model::plugin::canary::{Config, Stickiness};
use http::HeaderName;

use super::{Compiled, Divert, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct Canary {
    share: Share,
    steps: u32,
    sticky: Sticky,
    by_header: Option<HeaderName>,
    to: Divert,
}

/// How many of the steps go elsewhere.
#[derive(Clone, Copy, Debug)]
enum Share {
    /// Of all, in percent.
    Fixed(f64),
    /// From nothing to everything, within `duration` seconds of `start`.
    Growing { start: u64, duration: u32 },
}

impl Compiled for Canary {
    type Config = Config;
    const PRIORITY: u32 = 13;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if the name of a header is none.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let share = match (config.start, config.percentage) {
            (Some(start), _) => Share::Growing { start, duration: config.duration },
            (None, percentage) => Share::Fixed(percentage.unwrap_or_default()),
        };
        let by_header = config.canary_by_header_name.as_deref().map(header).transpose()?;
        let to = Divert {
            service: None,
            host: config.upstream_host.as_deref().map(Box::from),
            port: config.upstream_port,
            path: config.upstream_uri.as_deref().map(Box::from),
        };
        let sticky = Sticky::new(config.hash, config.hash_header.as_deref())?;
        Ok(Self { share, steps: config.steps, sticky, by_header, to })
    }
}

impl Plugin for Canary {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let chosen = self.by_header.as_ref().and_then(|name| exchange.headers.get(name));
        let goes = match chosen.map(http::HeaderValue::as_bytes) {
            Some(b"always") => true,
            Some(b"never") => false,
            _ => f64::from(self.sticky.pick(exchange, self.steps)) < self.steps_that_go(exchange.now),
        };
        if goes {
            exchange.effects.want().divert = Some(self.to.clone());
        }
        Ok(Verdict::Pass)
    }
}

impl Canary {
    fn steps_that_go(&self, now: u64) -> f64 {
        let share = match self.share {
            Share::Fixed(percent) => percent / 100.0,
            Share::Growing { start, duration } => now.saturating_sub(start) as f64 / f64::from(duration),
        };
        f64::from(self.steps) * share.min(1.0)
    }
}

pub(super) fn header(name: &str) -> Result<HeaderName, NotExecutable> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| NotExecutable(format!("{name}: not a header name")))
}

/// Chooses one of several places for a request: the same for the same sender, at every gateway.
#[derive(Debug)]
pub(super) struct Sticky {
    by: Stickiness,
    header: Option<HeaderName>,
}

impl Sticky {
    pub fn new(by: Stickiness, name: Option<&str>) -> Result<Self, NotExecutable> {
        Ok(Self { by, header: name.map(header).transpose()? })
    }

    /// A number below `places`.
    pub fn pick(&self, exchange: &Exchange<'_, '_>, places: u32) -> u32 {
        fn hashed(key: impl Hash) -> u64 {
            FixedState::default().hash_one(key)
        }
        let header = || self.header.as_ref().and_then(|name| exchange.headers.get(name));
        let hash = match (self.by, &exchange.consumer, header()) {
            (Stickiness::Consumer, Some(identity), _) => hashed(identity.consumer.as_bytes()),
            (Stickiness::Consumer | Stickiness::Ip, ..) => hashed(exchange.client.address),
            (Stickiness::Header, _, Some(value)) => hashed(value.as_bytes()),
            (Stickiness::Header | Stickiness::None, ..) => hashed(exchange.random.uuid().as_bytes()),
        };
        u32::try_from(hash % u64::from(places.max(1))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, NOW, Request, get, settings};

    fn canary(config: Value) -> Canary {
        let mut config = config;
        config["upstream_host"] = json!("next.example");
        let PluginConfig::Canary(config) = settings("canary", config) else { panic!("a canary") };
        testing::compile(&config).unwrap()
    }

    fn goes(canary: &Canary, request: Request) -> bool {
        let outcome = request.show(canary);
        let divert = outcome.effects.wanted().and_then(|wanted| wanted.divert.clone());
        divert.is_some_and(|divert| divert.host.as_deref() == Some("next.example"))
    }

    /// How many of 4,000 clients go elsewhere.
    fn share(canary: &Canary) -> u32 {
        let client = |number: u32| get("/").from(&format!("10.0.{}.{}", number / 250, number % 250));
        (0..4000).map(|number| u32::from(goes(canary, client(number)))).sum()
    }

    #[test]
    fn a_share_goes_elsewhere_and_stays_there() {
        assert_eq!(share(&canary(json!({"percentage": 0}))), 0);
        assert_eq!(share(&canary(json!({"percentage": 100}))), 4000);
        let tenth = canary(json!({"percentage": 10}));
        assert!((300..500).contains(&share(&tenth)), "{}", share(&tenth));
        assert_eq!(share(&tenth), share(&canary(json!({"percentage": 10}))), "every gateway decides alike");
        // Who has gone stays there when the share grows.
        let half = canary(json!({"percentage": 50}));
        for number in 0..200 {
            let client = || get("/").from(&format!("10.1.0.{number}"));
            assert!(!goes(&tenth, client()) || goes(&half, client()));
        }
    }

    #[test]
    fn the_share_grows_with_time() {
        let at = |start: u64| share(&canary(json!({"start": start, "duration": 1000})));
        assert_eq!((at(NOW + 10), at(NOW - 1000), at(NOW - 5000)), (0, 4000, 4000));
        assert!((1800..2200).contains(&at(NOW - 500)), "{}", at(NOW - 500));
    }

    #[test]
    fn a_client_may_choose_and_headers_may_decide() {
        let plugin = canary(json!({"percentage": 50, "canary_by_header_name": "x-canary"}));
        for number in 0..20 {
            let client = || get("/").from(&format!("10.1.0.{number}"));
            assert!(goes(&plugin, client().header("x-canary", "always")));
            assert!(!goes(&plugin, client().header("x-canary", "never")));
            assert_eq!(goes(&plugin, client().header("x-canary", "perhaps")), goes(&plugin, client()));
        }
        let by_header = canary(json!({"percentage": 50, "hash": "header", "hash_header": "x-user"}));
        let of = |user: &str| goes(&by_header, get("/").header("x-user", user));
        let first: Vec<bool> = (0..50).map(|user| of(&user.to_string())).collect();
        assert_eq!(first, (0..50).map(|user| of(&user.to_string())).collect::<Vec<_>>());
        assert!(first.contains(&true) && first.contains(&false));
    }
}
