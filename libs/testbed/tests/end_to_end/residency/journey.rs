//! What people do in a region that is not their home, with texts that are found wherever they are kept.

use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use clock::Clock;
use serde_json::{Value, json};
use testbed::{
    Answer, Api, Deployment, Gateway, Region, WebhookReceiver,
    api::{https_client_at, text},
    dataplane,
    mail::until_kept,
    wait,
};
use uuid::Uuid;

use super::search::{Kept, Marker};
use crate::{
    fixtures::{operator_token, plain_file},
    harness::{SOON, unique},
};

const PASSWORD: &str = "orange-kettle-Vienna-41";
const NEW_PASSWORD: &str = "purple-teapot-Trieste-87";

/// A person of an organization at home in us, and the texts that are hers.
pub struct Person {
    pub organization: String,
    pub email: String,
    id: String,
    markers: Vec<Marker>,
    user_agent: String,
}

/// What is left of the journey, for what comes after it.
pub struct Travelled {
    pub markers: Vec<Marker>,
    /// The answer to a sign-on, in eu.
    pub session: Value,
    pub person: Person,
    pub gateway: Gateway,
}

fn unusual(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::now_v7().simple())
}

/// The person's place in each region: an address that nothing else on this machine has.
pub fn address(region: &Region) -> &'static str {
    if region.name() == "us" { "127.83.211.29" } else { "127.91.147.133" }
}

impl Person {
    fn has(&mut self, kept: Kept, what: &'static str, text: &str) {
        self.markers.push(Marker { what, text: text.to_owned(), kept });
    }

    fn keeps(&mut self, what: &'static str, text: &str) {
        self.has(Kept::Yes, what, text);
    }

    fn hides(&mut self, what: &'static str, text: &str) {
        self.has(Kept::Never, what, text);
    }

    /// What the person's requests call themselves.
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The APIs of a region, as a client at the person's place calls them.
    fn in_region(&self, region: &Region) -> anyhow::Result<Api> {
        let client = https_client_at(&region.ca_file(), address(region).parse()?, &self.user_agent)?;
        Ok(Api::new(client, region.edge_url(), None))
    }

    /// Is invited from eu, and accepts there.
    async fn come(deployment: &Deployment) -> anyhow::Result<Self> {
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let email = format!("{}@resident.example", unusual("grace"));
        let full_name = unusual("Grace Hopper");
        let invite = json!({ "email": email });
        eu.edge_api().post_once("/v3/invites", &invite, &unique("once")).await?.expect(201)?;
        let mail = until_kept(us.mail().folder(), &email, 1).await?;
        let mut person = Self {
            organization: us.owner().organization_id.clone(),
            email: email.clone(),
            id: String::new(),
            markers: Vec::new(),
            user_agent: unusual("resident-agent/1"),
        };
        let body = json!({ "token": mail.credential(), "full_name": full_name, "password": PASSWORD });
        let user = person.in_region(eu)?.post("/v3/invites/accept", &body).await?.expect(201)?;
        person.id = text(&user, "id")?.to_owned();
        let user_agent = person.user_agent.clone();
        person.keeps("the e-mail address of a person", &email);
        person.has(Kept::Once, "the first name of a person", &full_name);
        person.keeps("the user agent of a person", &user_agent);
        person.keeps("where a person is, in us", address(us));
        person.keeps("where a person is, in eu", address(eu));
        person.hides("a password", PASSWORD);
        person.hides("a new password", NEW_PASSWORD);
        Ok(person)
    }

    async fn sign_on(&self, region: &Region, password: &str, totp: Option<&str>) -> anyhow::Result<Answer> {
        let body = json!({
            "organization": self.organization, "email": self.email, "password": password, "totp": totp
        });
        self.in_region(region)?.post("/v3/authenticate", &body).await
    }

    /// Whoever shows the signed token of `answer` in a region, at the person's place.
    fn with(&self, region: &Region, answer: &Value) -> anyhow::Result<Api> {
        Ok(self.in_region(region)?.with_token(text(answer, "access_token")?))
    }

    /// Asks for a new password in eu and sets it there.
    async fn gets_a_new_password(&self, us: &Region, eu: &Region) -> anyhow::Result<()> {
        let body = json!({ "organization": self.organization, "email": self.email });
        self.in_region(eu)?.post("/v3/password-resets", &body).await?.expect(204)?;
        let mail = until_kept(us.mail().folder(), &self.email, 2).await?;
        let body = json!({ "token": mail.credential(), "password": NEW_PASSWORD });
        self.in_region(eu)?.post("/v3/password-resets/accept", &body).await?.expect(204).map(drop)
    }

    /// Gets a second factor in eu, signs on there with a wrong code and with a recovery code; the answer.
    async fn gets_a_second_factor(&mut self, eu: &Region, session: &Value) -> anyhow::Result<Value> {
        const OWN: &str = "/v3/users/me/second-factor";
        let api = self.with(eu, session)?;
        let begun = api.post(OWN, &json!({ "password": NEW_PASSWORD })).await?.expect(201)?;
        let secret = text(&begun, "secret")?.to_owned();
        let code = code(&secret)?;
        let codes = api.post(&format!("{OWN}/confirm"), &json!({ "code": code })).await?.expect(200)?;
        let recovery = codes["recovery_codes"][0].as_str().context("a recovery code")?.to_owned();
        self.hides("the secret of a second factor", &secret);
        self.hides("a recovery code", &recovery);
        self.sign_on(eu, NEW_PASSWORD, None).await?.expect_problem(400)?;
        self.sign_on(eu, NEW_PASSWORD, Some("000000")).await?.expect_problem(401)?;
        self.sign_on(eu, NEW_PASSWORD, Some(&recovery)).await?.expect(200)
    }

    /// Makes a token in each region, each with a name; waits until home knows both names.
    async fn names_tokens(&mut self, deployment: &Deployment, session: &Value) -> anyhow::Result<()> {
        let mut names = Vec::new();
        for region in deployment.regions() {
            let name = unusual("laptop");
            let body = json!({ "name": name });
            let (api, key) = (self.with(region, session)?, unique("once"));
            // The session has begun at home: eu hears of it a moment later.
            wait::until("the token is made", SOON, async || {
                let made = api.post_once("/v3/users/me/access-tokens", &body, &key).await;
                let made = made.map_err(|error| format!("{error:#}"))?;
                if made.status == 201 { Ok(()) } else { Err(made.text) }
            })
            .await?;
            self.keeps("what a person calls a token", &name);
            names.push(name);
        }
        let api = self.with(deployment.region("us")?, session)?;
        wait::until("home has the names of both tokens", SOON, async || {
            let listed = api.get("/v3/users/me/access-tokens").await.map_err(|error| format!("{error:#}"))?;
            let all = names.iter().all(|name| listed.text.contains(name));
            if all { Ok(()) } else { Err(listed.text) }
        })
        .await
    }

    /// Is refused in eu, by each service.
    async fn is_refused(&self, eu: &Region, session: &Value) -> anyhow::Result<()> {
        let api = self.with(eu, session)?;
        for path in ["/v3/users", "/v3/teams", "/v3/system-accounts", "/v3/audit-logs"] {
            api.get(path).await?.expect_problem(403)?;
        }
        api.post("/v2/control-planes", &json!({ "name": "no" })).await?.expect_problem(403)?;
        api.post("/v3/invites", &json!({ "email": self.email })).await?.expect_problem(403)?;
        self.sign_on(eu, "wrong-wrong-wrong", None).await?.expect_problem(401).map(drop)
    }
}

/// The code that an app with this secret (base32) shows now.
fn code(secret: &str) -> anyhow::Result<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut held, mut bits, mut key) = (0_u64, 0, Vec::new());
    for digit in secret.chars() {
        held = held << 5 | ALPHABET.find(digit).context("a digit of base32")? as u64;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            key.push(u8::try_from(held >> bits & 0xff)?);
        }
    }
    let step = Clock::system().unix_seconds() / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().context("a tag")? & 0x0f);
    let four = tag.get(offset..offset + 4).context("four bytes")?;
    let number = four.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
    Ok(format!("{:06}", number % 1_000_000))
}

/// People of whom there are only addresses yet: one who was invited, and the owner of an organization that the operator made from eu.
async fn others(deployment: &Deployment) -> anyhow::Result<Vec<Marker>> {
    let eu = deployment.region("eu")?;
    let invited = format!("{}@resident.example", unusual("invited"));
    eu.edge_api().post("/v3/invites", &json!({ "email": invited })).await?.expect(201)?;
    let owner = format!("{}@resident.example", unusual("owner"));
    let body = json!({ "name": unique("resident"), "home_region": "us", "owner_email": owner });
    let operator = eu.edge_api().with_token(&operator_token(eu).await?);
    let key = unique("once");
    wait::until("home takes the operator's new token", SOON, async || {
        let made = operator.post_once("/v1/operator/organizations", &body, &key).await;
        let made = made.map_err(|error| format!("{error:#}"))?;
        if made.status == 201 { Ok(()) } else { Err(made.text) }
    })
    .await?;
    let kept = |what, text| Marker { what, text, kept: Kept::Yes };
    Ok(vec![
        kept("the e-mail address of somebody who is invited", invited),
        kept("the e-mail address of another organization's owner", owner),
    ])
}

/// A gateway in eu, which serves.
async fn gateway(eu: &Region) -> anyhow::Result<Gateway> {
    let config = eu.edge_api();
    let plane = dataplane::create_control_plane(&config, &unique("resident")).await?;
    let path = format!("/v2/control-planes/{plane}/declarative");
    config.put_yaml(&path, &plain_file(eu)).await?.expect(200)?;
    let gateway = Gateway::enrol(eu, &plane, &unique("resident")).await?;
    gateway.until_ready().await?;
    Ok(gateway)
}

/// Waits until no mail waits, and the webhooks have taken what there was.
async fn settled(deployment: &Deployment) -> anyhow::Result<()> {
    for region in deployment.regions() {
        wait::until("the webhook has taken all", Duration::from_secs(60), async || {
            let status = region.edge_api().get("/v3/audit-log-webhook/status").await;
            let status = status.and_then(|answer| answer.json()).map_err(|error| format!("{error:#}"))?;
            if status["pending"] == 0 && status["delivered"] != 0 { Ok(()) } else { Err(status.to_string()) }
        })
        .await?;
    }
    Ok(())
}

/// Everything that people do, most of it in eu.
pub async fn travel(deployment: &Deployment, receiver: &WebhookReceiver) -> anyhow::Result<Travelled> {
    let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
    for region in deployment.regions() {
        let hook = json!({ "endpoint": receiver.url() });
        region.edge_api().patch("/v3/audit-log-webhook", &hook).await?.expect(200)?;
    }
    let mut person = Person::come(deployment).await?;
    let gateway = gateway(eu).await?;
    person.sign_on(us, PASSWORD, None).await?.expect(200)?;
    person.gets_a_new_password(us, eu).await?;
    let session = person.sign_on(eu, NEW_PASSWORD, None).await?.expect(200)?;
    let api = person.with(eu, &session)?;
    wait::until("the session is served in eu", SOON, async || {
        let answer = api.get("/v3/users/me").await.map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await?;
    let session = person.gets_a_second_factor(eu, &session).await?;
    person.names_tokens(deployment, &session).await?;
    person.is_refused(eu, &session).await?;

    // The owner looks at everybody, in eu, and renames the person.
    // The log of Postgres leaves out what a changed row begins with as before.
    let renamed = unusual("Rear Admiral");
    let path = format!("/v3/users/{}", person.id);
    eu.edge_api().patch(&path, &json!({ "full_name": renamed })).await?.expect(200)?;
    person.keeps("the name of a person", &renamed);
    let all = eu.edge_api().get("/v3/users?page[size]=100").await?;
    all.expect(200)?;
    anyhow::ensure!(all.text.contains(&person.email) && all.text.contains(&renamed), "{}", all.text);
    let sessions = person.with(eu, &session)?.get("/v3/users/me/sessions").await?;
    sessions.expect(200)?;
    anyhow::ensure!(sessions.text.contains(address(eu)), "eu shows what home says: {}", sessions.text);
    eu.edge_api().get("/v3/audit-logs?page[size]=1000").await?.expect(200)?;

    let refresh = json!({ "refresh_token": session["refresh_token"] });
    let next = person.in_region(eu)?.post("/v3/authenticate/refresh", &refresh).await?.expect(200)?;
    let mut markers = others(deployment).await?;
    settled(deployment).await?;
    markers.append(&mut person.markers);
    Ok(Travelled { markers, session: next, person, gateway })
}
