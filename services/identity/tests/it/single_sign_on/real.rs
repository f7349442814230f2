//! Sign-on by a real OpenID provider, which `./dev` builds (`infra/openid-provider`).

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::http::header;
use clock::Clock;
use reqwest::{Certificate, Client as Http, Response, redirect};
use tokio::time::sleep;
use uuid::Uuid;

use super::{BACK, BEGIN, kept, session, set_up, verify};
use crate::{
    identity_providers::SETTINGS,
    people::with,
    region::{Answer, Region, START, Site, text},
};

/// Where `./dev` puts it.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.dev/bin/openid-provider");
/// Runs a program until the other end of the standard input is gone.
const LEASH: &str = r#""$@" </dev/null & program=$!; read -r _; kill "$program"; wait"#;
const START_DEADLINE: Duration = Duration::from_secs(20);
const CALLBACK: &str = "https://api.us.example/v3/authenticate/callback";

/// A running provider, with keys of its own. Dropping it ends it.
struct Running {
    program: Child,
    browser: Http,
    url: String,
}

impl Running {
    async fn start(site: &Site, port: u16, groups: &Path) -> Self {
        assert!(
            PathBuf::from(PROGRAM).is_file(),
            "there is no openid-provider in .dev/bin: run `./dev test` once"
        );
        let pair = site.api();
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh", PROGRAM]);
        command.arg("-certificate").arg(&pair.certificate).arg("-key").arg(&pair.key);
        command.arg("-groups").arg(groups).args([&port.to_string(), CALLBACK]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let ca = Certificate::from_pem(&fs::read(site.region_ca()).expect("a file")).expect("a CA");
        let builder =
            Http::builder().redirect(redirect::Policy::none()).no_proxy().timeout(Duration::from_secs(5));
        let browser = builder.tls_certs_only([ca]).build().expect("a browser");
        let url = format!("https://localhost:{port}");
        let running = Self { program: command.spawn().expect("started"), browser, url };
        let (began, ready) = (Instant::now(), format!("{}/.well-known/openid-configuration", running.url));
        while running.browser.get(&ready).send().await.is_err() {
            assert!(began.elapsed() < START_DEADLINE, "the provider does not start");
            sleep(Duration::from_millis(50)).await;
        }
        running
    }

    /// Logs in where the region has sent the browser; answers the query that it is sent back with.
    async fn log_in(&self, authorize: &str) -> String {
        let login = location(&self.browser.get(authorize).send().await.expect("an answer"));
        let (_, id) = login.split_once('=').expect("an id");
        let form = format!("id={id}&username=test-user%40localhost&password=verysecure");
        let request = self.browser.post(format!("{}/login/username", self.url));
        let kind = "application/x-www-form-urlencoded";
        let request = request.header(header::CONTENT_TYPE, kind).body(form);
        let back = location(&request.send().await.expect("an answer"));
        let back = back.strip_prefix('/').map_or_else(|| back.clone(), |path| format!("{}/{path}", self.url));
        let back = location(&self.browser.get(back).send().await.expect("an answer"));
        back.strip_prefix(&format!("{CALLBACK}?")).expect("where it was to go").to_owned()
    }

    async fn sign_on(&self, region: &Region) -> Answer {
        let begun = region.stranger().get(BEGIN).await;
        assert_eq!(begun.status, 303, "{}", begun.body);
        let query = self.log_in(begun.headers["location"].to_str().expect("text")).await;
        let browser = region.stranger().header("cookie", &kept(&begun, "__Host-landbridge-sign-on"));
        browser.get(&format!("{BACK}?{query}")).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        // It has ended in any case.
        let _ = self.program.wait();
    }
}

fn location(response: &Response) -> String {
    let location = response.headers().get("location").unwrap_or_else(|| panic!("{response:?}"));
    location.to_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_real_provider_signs_on_with_its_groups_and_with_new_keys() {
    let site = Site::new("us");
    let region = Region::start(&site, &[]).await;
    // It goes by the clock of the machine.
    region.clock.advance(Clock::system().now() - START);
    let folder = tempfile::tempdir().expect("a folder");
    let groups = folder.path().join("groups");
    fs::write(&groups, "ops readers").expect("written");
    let port =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address").port();
    let provider = Running::start(&site, port, &groups).await;
    let (owner, _) = region.owner().await;
    let path = set_up(&owner, &format!("{}/", provider.url), "web", "secret").await;
    verify(&region, "zitadel.ch").await;
    let team = Uuid::now_v7().to_string();
    region.authz.state().teams.insert(team.clone());
    let mapping = serde_json::json!({"group": "ops", "team_id": team});
    owner.post(&format!("{path}/team-group-mappings"), mapping).await.expect(201);
    owner.patch(SETTINGS, serde_json::json!({"idp_mapping_enabled": true})).await.expect(200);

    let signed = session(&region, &provider.sign_on(&region).await).await;
    let me = with(&region, &signed).get("/v3/users/me").await.expect(200);
    assert_eq!((text(&me, "email"), text(&me, "full_name")), ("test-user@zitadel.ch", "Test User"));
    assert_eq!(region.authz.state().mapped.last().expect("a call").1, [team].into());

    drop(provider);
    fs::write(&groups, "readers").expect("written");
    let provider = Running::start(&site, port, &groups).await;
    let again = session(&region, &provider.sign_on(&region).await).await;
    assert_eq!(again["user_id"], signed["user_id"]);
    assert!(region.authz.state().mapped.last().expect("a call").1.is_empty());
}
