//! ip-restriction: requests may come from some addresses, or not from some.

use gateway_model::plugin::ip_restriction::Config;
use http::StatusCode;
use settings::AddressRanges;

use super::{Answer, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct IpRestriction {
    deny: AddressRanges,
    /// `None`: all that are not denied.
    allow: Option<AddressRanges>,
    status: StatusCode,
    message: Option<String>,
}

impl Compiled for IpRestriction {
    type Config = Config;
    const PRIORITY: u32 = 990;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if a range cannot be read.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let ranges = |field: &str, ranges: &[String]| {
            AddressRanges::parse(ranges.iter().map(String::as_str))
                .map_err(|error| NotExecutable(format!("{field}: {error}")))
        };
        let allow = (!config.allow.is_empty()).then(|| ranges("allow", &config.allow)).transpose()?;
        let status = StatusCode::from_u16(config.status.unwrap_or(403));
        Ok(Self {
            deny: ranges("deny", &config.deny)?,
            allow,
            status: status.map_err(|_| NotExecutable("status: not a status code".to_owned()))?,
            message: config.message.clone(),
        })
    }
}

impl Plugin for IpRestriction {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let address = exchange.client.address;
        let is_allowed =
            !self.deny.contain(address) && self.allow.as_ref().is_none_or(|allowed| allowed.contain(address));
        if is_allowed {
            return Ok(Verdict::Pass);
        }
        let message = self.message.clone().unwrap_or_else(|| format!("IP address not allowed: {address}"));
        Ok(Verdict::Answer(Answer::message(self.status, message)))
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, get, settings};

    fn restriction(config: Value) -> IpRestriction {
        let PluginConfig::IpRestriction(config) = settings("ip-restriction", config) else {
            panic!("a restriction was asked for")
        };
        testing::compile(&config).unwrap()
    }

    #[test]
    fn denied_first_then_allowed() {
        for (config, address, passes) in [
            (json!({"allow": ["192.0.2.0/24"]}), "192.0.2.7", true),
            (json!({"allow": ["192.0.2.0/24"]}), "192.0.3.7", false),
            (json!({"allow": ["192.0.2.7"]}), "192.0.2.7", true),
            (json!({"deny": ["192.0.2.0/24"]}), "192.0.2.7", false),
            (json!({"deny": ["192.0.2.0/24"]}), "192.0.3.7", true),
            (json!({"allow": ["192.0.2.0/24"], "deny": ["192.0.2.7"]}), "192.0.2.7", false),
            (json!({"allow": ["192.0.2.0/24"], "deny": ["192.0.2.7"]}), "192.0.2.8", true),
            (json!({"allow": ["2001:db8::/32"]}), "2001:db8::1", true),
            (json!({"allow": ["2001:db8::/32"]}), "2001:db9::1", false),
            (json!({"allow": ["0.0.0.0/0"]}), "2001:db8::1", false),
            (json!({"allow": ["0.0.0.0/0", "::/0"]}), "2001:db8::1", true),
        ] {
            let outcome = get("/").from(address).show(&restriction(config.clone()));
            assert_eq!(outcome.passed(), passes, "{config} {address}");
        }
    }

    #[test]
    fn refusals_name_the_address_or_say_what_is_configured() {
        let outcome = get("/").from("192.0.2.7").show(&restriction(json!({"deny": ["192.0.2.7"]})));
        assert_eq!(outcome.refused(), (StatusCode::FORBIDDEN, "IP address not allowed: 192.0.2.7"));
        let config = json!({"deny": ["192.0.2.7"], "status": 404, "message": "nothing here"});
        let outcome = get("/").from("192.0.2.7").show(&restriction(config));
        assert_eq!(outcome.refused(), (StatusCode::NOT_FOUND, "nothing here"));
    }
}
