//! Read your write at the gateway: with the token of a write's answer, the next request finds what was written.

use access::{Place, Places};
use anyhow::{Context as _, ensure};
use serde_json::json;
use testbed::{Answer, Gateway};

use crate::{
    fixtures::{ControlPlane, check_plain_file, served},
    harness::{run, shared, unique},
};

/// Keys that are made and used at once.
const KEYS: usize = 60;

const CONSISTENCY: &str = "landbridge-consistency";

/// The consistency token of a write's answer.
pub fn token_of(answer: &Answer) -> anyhow::Result<String> {
    Ok(answer.headers.get(CONSISTENCY).context("no token")?.to_str()?.to_owned())
}

#[test]
fn a_key_is_used_at_once_at_any_gateway() {
    run(async {
        let region = shared().await?;
        let (control_plane, first) = served(region, "read-your-write").await?;
        let second = Gateway::enrol(region, &control_plane.id, &unique("read-your-write-2")).await?;
        second.until_ready().await?;
        check_plain_file(&second).await?;
        for number in 0..KEYS {
            let key = unique("key");
            let keys = control_plane.entity("consumers/alice/key-auth");
            let made = control_plane.api.post(&keys, &json!({ "key": key })).await?;
            let token = token_of(&made)?;
            made.expect(201)?;
            let gateway = if number % 2 == 0 { &first } else { &second };
            let answer = gateway.get_after(&token, "/keyed", Some(&key)).await?;
            ensure!(answer.status == 200, "key {number}: {} {}", answer.status, answer.text);
            ensure!(!answer.text.contains(CONSISTENCY), "the upstream sees the token: {}", answer.text);
        }
        // A route that the same client makes.
        let route = json!({ "name": "made", "paths": ["/made"], "service": { "name": "echo" } });
        let put = control_plane.api.put(&control_plane.entity("routes/made"), &route).await?;
        let token = token_of(&put)?;
        put.expect(200)?;
        let answer = second.get_after(&token, "/made", None).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
        Ok(())
    });
}

#[test]
fn a_version_that_does_not_come_is_503_and_other_tokens_hold_up_nobody() {
    run(async {
        let region = shared().await?;
        let (control_plane, gateway) = served(region, "read-your-write-late").await?;
        let id = control_plane.id.parse()?;
        let ahead = Place { control_plane: id, incarnation: 1, version: u64::MAX };
        let token = Places::from(ahead).behind("made-up".to_owned());
        let answer = gateway.get_after(&token, "/open", None).await?;
        ensure!(answer.status == 503 && answer.text.contains("not-yet-served"), "{}", answer.text);
        ensure!(answer.headers.contains_key("retry-after"));
        let other = ControlPlane::create(region, "read-your-write-other").await?;
        let put = other.api.put(&other.entity("consumers/ada"), &json!({ "username": "ada" })).await?;
        let token = token_of(&put)?;
        put.expect(200)?;
        ensure!(gateway.get_after(&token, "/open", None).await?.status == 200);
        ensure!(gateway.get_after("x~!", "/open", None).await?.status == 400);
        Ok(())
    });
}
