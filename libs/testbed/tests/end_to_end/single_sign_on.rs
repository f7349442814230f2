//! Sign-on by a real OpenID provider, set up in us and begun in eu: the session is valid in both, and so is what a group gives and takes.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clock::Clock;
use pebble::Pebble;
use reqwest::{Certificate, Client, Response, header, redirect};
use serde_json::{Value, json};
use testbed::{
    Deployment, Options, Region, ServiceName,
    api::text,
    ca::{Ca, Pair},
    wait,
};

use crate::{
    fixtures::until_status,
    harness::{SOON, run},
};

/// Where `./dev` puts it.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.dev/bin/openid-provider");
/// Runs a program until the other end of the standard input is gone.
const LEASH: &str = r#""$@" </dev/null & program=$!; read -r _; kill "$program"; wait"#;
const BACK: &str = "/v3/authenticate/callback";
const FORM: &str = "application/x-www-form-urlencoded";

/// A running provider, with keys of its own. Dropping it ends it.
struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has ended in any case.
        let _ = self.0.wait();
    }
}

/// Where the provider is, and what it is started with.
struct Place {
    port: u16,
    pair: Pair,
    groups: PathBuf,
    redirects: Vec<String>,
    browser: Client,
}

impl Place {
    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Starts the provider, in which everybody is in these groups.
    async fn start(&self, groups: &str) -> anyhow::Result<Provider> {
        fs::write(&self.groups, groups)?;
        anyhow::ensure!(
            Path::new(PROGRAM).is_file(),
            "there is no openid-provider in .dev/bin: run `./dev test` once"
        );
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh", PROGRAM]);
        command.arg("-certificate").arg(&self.pair.certificate).arg("-key").arg(&self.pair.key);
        command.arg("-groups").arg(&self.groups).arg(self.port.to_string()).args(&self.redirects);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let provider = Provider(command.spawn()?);
        let described = format!("{}/.well-known/openid-configuration", self.url());
        let started = wait::until("the provider answers", SOON, async || {
            self.browser.get(&described).send().await.map_err(|error| error.to_string())
        });
        started.await?;
        Ok(provider)
    }

    /// Signs on in `region`, as a browser does; answers the session as the console of that region goes on with it.
    async fn sign_on(&self, region: &Region) -> anyhow::Result<Value> {
        let edge = region.edge_url();
        let begun = self.browser.get(format!("{edge}/v3/authenticate/shop/sso")).send().await?;
        let cookie = kept(&begun, "__Host-landbridge-sign-on")?;
        let login = location(&self.browser.get(location(&begun)?).send().await?)?;
        let (_, id) = login.split_once('=').context("an id")?;
        let form = format!("id={id}&username=test-user%40localhost&password=verysecure");
        let request = self.browser.post(format!("{}/login/username", self.url()));
        let back = location(&request.header(header::CONTENT_TYPE, FORM).body(form).send().await?)?;
        let back =
            back.strip_prefix('/').map_or_else(|| back.clone(), |path| format!("{}/{path}", self.url()));
        let back = location(&self.browser.get(back).send().await?)?;
        anyhow::ensure!(back.starts_with(&format!("{edge}{BACK}?")), "{back}");
        let landed = self.browser.get(back).header(header::COOKIE, cookie).send().await?;
        if landed.status() != 303 {
            anyhow::bail!("{} {}", landed.status(), landed.text().await?);
        }
        anyhow::ensure!(location(&landed)? == format!("{edge}/"), "{landed:?}");
        let cookie = kept(&landed, "__Host-landbridge-session")?;
        let refresh = self.browser.post(format!("{edge}/v3/authenticate/refresh"));
        let refresh = refresh.header("origin", &edge).header("landbridge-console", "1");
        let answer = refresh.header(header::COOKIE, cookie).json(&json!({ "cookie": true })).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

fn location(response: &Response) -> anyhow::Result<String> {
    let location = response.headers().get(header::LOCATION).with_context(|| format!("{response:?}"))?;
    Ok(location.to_str()?.to_owned())
}

fn kept(response: &Response, name: &str) -> anyhow::Result<String> {
    let all =
        response.headers().get_all(header::SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let own = all.filter(|text| text.starts_with(name)).filter_map(|text| text.split(';').next());
    own.map(str::to_owned).next().with_context(|| format!("no {name}: {response:?}"))
}

/// What the owner does in us: a provider, the domain of its people, a team for one of its groups.
async fn set_up(us: &Region, place: &Place, dns: &Pebble) -> anyhow::Result<()> {
    let api = us.edge_api();
    let body = json!({
        "type": "oidc", "enabled": true, "login_path": "sso",
        "config": { "issuer_url": format!("{}/", place.url()), "client_id": "web", "client_secret": "secret" },
    });
    let provider = api.post("/v3/identity-providers", &body).await?.expect(201)?;
    let mut uris: Vec<&str> =
        provider["redirect_uris"].as_object().context("URIs")?.values().filter_map(Value::as_str).collect();
    uris.sort_unstable();
    let mut expected: Vec<&str> = place.redirects.iter().map(String::as_str).collect();
    expected.sort_unstable();
    anyhow::ensure!(uris == expected, "{provider}");
    let domain = api.post("/v3/domains", &json!({ "name": "zitadel.ch" })).await?.expect(201)?;
    dns.set_txt(text(&domain, "record_name")?, text(&domain, "record_value")?).await?;
    api.post(&format!("/v3/domains/{}/verify", text(&domain, "id")?), &json!({})).await?.expect(200)?;
    let team = api.post("/v3/teams", &json!({ "name": "Readers" })).await?.expect(201)?;
    let team = text(&team, "id")?;
    let role = json!({
        "role_name": "Admin", "entity_id": "*", "entity_type_name": "Identity", "entity_region": "*"
    });
    api.post(&format!("/v3/teams/{team}/assigned-roles"), &role).await?.expect(201)?;
    let mappings = format!("/v3/identity-providers/{}/team-group-mappings", text(&provider, "id")?);
    api.post(&mappings, &json!({ "group": "readers", "team_id": team })).await?.expect(201)?;
    let settings = json!({ "idp_mapping_enabled": true });
    api.patch("/v3/authentication-settings", &settings).await?.expect(200)?;
    Ok(())
}

/// Waits until whoever has the session is answered `status` about teams in both regions.
async fn until_everywhere(deployment: &Deployment, session: &Value, status: u16) -> anyhow::Result<()> {
    for region in deployment.regions() {
        let api = region.api(ServiceName::Authz).with_token(text(session, "access_token")?);
        let what = format!("teams are answered {status} in {}", region.name());
        until_status(&what, status, SOON, Instant::now(), async || api.get("/v3/teams").await).await?;
    }
    Ok(())
}

#[test]
fn a_sign_on_begun_in_eu_gives_in_both_regions_what_the_groups_say() {
    run(async {
        let options =
            pebble::Options { http_port: 1, validity: Duration::from_secs(60), external_account: None };
        let dns = Pebble::start(&options).await?;
        let folder = tempfile::tempdir()?;
        let ca = Ca::create(folder.path().to_owned(), "us".parse()?, Clock::system().now())?;
        let authority = ca.region_ca().certificate;
        let identity = format!(
            "\n[single_sign_on]\nca = {:?}\nprivate_addresses = true\nname_servers = [\"{}\"]\n",
            authority.display().to_string(),
            dns.dns()
        );
        let deployment =
            Deployment::start(&Options { identity, ..Options::of_regions(&["us", "eu"])? }).await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let mut roots = Vec::new();
        for path in [authority, us.ca_file(), eu.ca_file()] {
            roots.extend(Certificate::from_pem_bundle(&fs::read(path)?)?);
        }
        let builder = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(SOON);
        let place = Place {
            port: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
            pair: ca.api()?,
            groups: folder.path().join("groups"),
            redirects: [us, eu].map(|region| format!("{}{BACK}", region.edge_url())).into(),
            browser: builder.tls_certs_only(roots).build()?,
        };
        let provider = place.start("others").await?;
        set_up(us, &place, &dns).await?;
        let session = place.sign_on(eu).await?;
        until_everywhere(&deployment, &session, 403).await?;
        for region in [us, eu] {
            let api = region.edge_api().with_token(text(&session, "access_token")?);
            let me = api.get("/v3/users/me").await?.expect(200)?;
            anyhow::ensure!(me["email"] == "test-user@zitadel.ch", "{me}");
        }

        // Its keys are others from now on; nobody is refused for that.
        drop(provider);
        let provider = place.start("others readers").await?;
        let session = place.sign_on(eu).await?;
        until_everywhere(&deployment, &session, 200).await?;

        drop(provider);
        let _provider = place.start("others").await?;
        let session = place.sign_on(us).await?;
        until_everywhere(&deployment, &session, 403).await?;
        deployment.stop().await
    });
}
