//! A control plane with so many tokens: half of them credentials of key-auth, half access tokens of another issuer.

use std::{fmt::Write as _, time::Duration};

use anyhow::Context as _;
use reqwest::Method;
use serde_json::json;
use testbed::{Region, ServiceName, api::text, dataplane::create_control_plane};

use super::{EXPIRES_AT, Kind};
use crate::{
    documents::consumer_name,
    stage::{self, say},
};

/// Consumers, who have them in turn.
const CONSUMERS: usize = 1_000;
/// Longest time that its document may take.
const DEADLINE: Duration = Duration::from_secs(900);

/// A control plane.
#[derive(Debug)]
pub struct Stored {
    pub name: &'static str,
    pub control_plane: String,
    /// Where its entities are, as a path.
    pub entities: String,
    /// The newest version with nothing but what is stored.
    pub version: u64,
    consumers: Vec<String>,
    count: usize,
    upstream: String,
}

impl Stored {
    /// A control plane with `count` tokens, and a route that asks for each kind: its path is the kind's name.
    pub async fn new(region: &Region, name: &'static str, count: usize) -> anyhow::Result<Self> {
        say(&format!("A control plane with {count} tokens"));
        let control_plane = create_control_plane(&region.api(ServiceName::Config), name).await?;
        let entities = format!("/v2/control-planes/{control_plane}/core-entities");
        let upstream = region.upstream().url();
        let mut stored =
            Self { name, control_plane, entities, version: 0, consumers: Vec::new(), count, upstream };
        stored.restore(region).await?;
        let api = stage::callers(region, ServiceName::Config, 1)?.pop().context("a caller")?;
        for consumer in 0..CONSUMERS {
            let path = format!("{}/consumers/{}", stored.entities, consumer_name(consumer));
            stored.consumers.push(text(&api.get(&path).await?.expect(200)?, "id")?.to_owned());
        }
        Ok(stored)
    }

    /// The id of a consumer; they take turns.
    pub fn consumer(&self, number: usize) -> &str {
        self.consumers.get(number % CONSUMERS).map_or("", String::as_str)
    }

    /// Makes it as it was: what was written meanwhile is deleted.
    pub async fn restore(&mut self, region: &Region) -> anyhow::Result<()> {
        let path = format!("/v2/control-planes/{}/declarative", self.control_plane);
        let api = region.api(ServiceName::Config);
        let request = api.request(Method::PUT, &path).header("content-type", "application/json");
        let request = request.timeout(DEADLINE).body(document(self.count, &self.upstream));
        let applied = api.send(request).await?.expect(200)?;
        self.version = applied["version"].as_u64().context("a version")?;
        Ok(())
    }
}

/// As text: with a million tokens, a tree of it would take gigabytes.
fn document(count: usize, upstream: &str) -> String {
    let routes = Kind::ALL.map(|kind| {
        let plugin = match kind {
            Kind::KeyAuth => "key-auth",
            Kind::Oauth2Token => "oauth2",
        };
        json!({ "name": kind.name(), "paths": [kind.path()], "strip_path": false, "plugins": [{ "name": plugin }] })
    });
    let services = json!([{ "name": "tokens", "url": upstream, "routes": routes }]);
    let mut text = format!("{{\"_format_version\":\"3.0\",\"services\":{services},\"consumers\":[");
    for consumer in 0..CONSUMERS {
        let separator = if consumer == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{{\"username\":\"{}\"", consumer_name(consumer));
        for (kind, section) in [(0, "keyauth_credentials"), (1, "oauth2_tokens")] {
            let of_kind = (0..count).skip(kind).step_by(Kind::ALL.len()).skip(consumer).step_by(CONSUMERS);
            let tokens = of_kind.map(|number| match kind {
                0 => format!("{{\"key\":\"{}\"}}", stored(number)),
                _ => format!("{{\"access_token\":\"{}\",\"expires_at\":{EXPIRES_AT}}}", stored(number)),
            });
            let _ = write!(text, ",\"{section}\":[{}]", tokens.collect::<Vec<_>>().join(","));
        }
        text.push('}');
    }
    text + "]}"
}

/// A token that is stored from the start.
pub fn stored(number: usize) -> String {
    format!("stored-token-{number:08}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_token_is_in_the_document_once() {
        let document: Value = serde_json::from_str(&document(2_500, "http://127.0.0.1:9000")).expect("JSON");
        let consumers = document["consumers"].as_array().expect("a list");
        let mut found = Vec::new();
        for (section, field) in [("keyauth_credentials", "key"), ("oauth2_tokens", "access_token")] {
            let of = |consumer: &Value| consumer[section].as_array().expect("a list").clone();
            found.extend(
                consumers.iter().flat_map(of).map(|token| token[field].as_str().expect("text").to_owned()),
            );
        }
        found.sort();
        assert_eq!(found, (0..2_500).map(stored).collect::<Vec<_>>());
    }
}
