//! The tour of two regions: what is granted in the home region is used in the other one at once; while the link between them
//! is cut the other one says so, and never a false "forbidden"; healed, both are equal.
//!
//! Over public interfaces only: the two edges, a gateway, and the switch of the link.

mod cut;
mod report;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Answer, Api, Gateway,
    api::{self, text},
    ca::Pair,
    dataplane::{Berth, create_enrolment},
    folder::Folder,
    ports::Ports,
    status::{GatewayStatus, RegionStatus, Status},
    wan::{self, control},
};
pub use report::{Report, Row};

/// Path of the route that the tour makes.
const ROUTE: &str = "/tour";
/// Name of the data plane of a tour that is taken again.
const GATEWAY: &str = "tour";
/// How often the first use of the grant is repeated; the median counts.
const REPEATS: usize = 3;

/// Where the tour of two regions takes place.
#[derive(Debug)]
pub struct Stage {
    home: Scene,
    away: Scene,
    /// A gateway of the home region that serves already.
    at_home: GatewayStatus,
    /// The deployment's folder, where the network is reached.
    folder: PathBuf,
    /// Tells the things of this tour from those of others.
    run: String,
}

/// One of the two regions.
#[derive(Debug)]
struct Scene {
    region: String,
    /// All APIs, by way of the edge, as the owner of the organization.
    owner: Api,
    /// The echo upstream.
    upstream: String,
}

/// A system account with a token of its own.
#[derive(Clone, Debug)]
struct Member {
    id: String,
    token: String,
    /// What the last write about it was answered with: whoever sends it is answered by a state that has that.
    consistency: String,
}

impl Member {
    /// A region's APIs as this member, which knows what was last written about it.
    fn at(&self, scene: &Scene) -> Api {
        scene.owner.with_token(&self.token).with_consistency(&self.consistency)
    }
}

/// Takes the tour once more, with a data plane in a folder of its own that ends with it.
pub(super) async fn again(status: &Status, away: &RegionStatus) -> anyhow::Result<()> {
    let serving = away.serving()?;
    let (folder, mut ports) = (Folder::temporary()?, Ports::reserve()?);
    let tls = Pair { certificate: serving.gateway_certificate.clone(), key: serving.gateway_key.clone() };
    let (http, https, admin) = (ports.take()?, ports.take()?, ports.take()?);
    let berth = Berth { folder: &folder, http, https, admin, tls: &tls, traces: None };
    let stage = Stage::of(status)?;
    let enrol = async |control_plane: &str, command: &str| {
        Gateway::start_at(berth, control_plane, GATEWAY, command).await
    };
    let (report, gateway) = stage.take(enrol).await?;
    print!("\n{}", report.describe());
    gateway.process().stop().await?;
    let plane = format!("/v2/control-planes/{}", gateway.control_plane());
    stage.away.owner.delete(&plane).await?.expect(204)?;
    drop(gateway);
    folder.close().await
}

impl Stage {
    /// The first two regions of a running deployment.
    pub fn of(status: &Status) -> anyhow::Result<Self> {
        let [home, away, ..] = status.regions.as_slice() else { anyhow::bail!("there is one region only") };
        let token = &status.tenant()?.token;
        let at_home = home.serving()?.gateways.first();
        let at_home = at_home.with_context(|| format!("{} has no data plane", home.region))?.clone();
        Ok(Self {
            home: Scene::of(home, token)?,
            away: Scene::of(away, token)?,
            at_home,
            folder: status.folder.clone(),
            run: Uuid::new_v4().simple().to_string().chars().take(8).collect(),
        })
    }

    /// Takes the tour. `enrol` starts a data plane in the second region, by its control plane's id and an enrolment
    /// command; it stays.
    pub async fn take(
        &self,
        enrol: impl AsyncFnOnce(&str, &str) -> anyhow::Result<Gateway>,
    ) -> anyhow::Result<(Report, Gateway)> {
        let delay_ms = self.open_links().await?;
        let mut rows = Vec::new();
        let team = self.make_team().await?;
        let member = self.make_account("creator").await?;
        self.warm_up(&member).await?;
        let granted = Instant::now();
        let member = self.join(&team, member).await?;
        let (control_plane, granted_to_used) = self.use_at_once(&member, granted, &mut rows).await?;
        let gateway = self.serve(&member, &control_plane, enrol, &mut rows).await?;
        self.refuse_at_home(&member, &mut rows).await?;
        let fresh = self.cut_and_heal(&team, &member, &gateway, &mut rows).await?;
        self.tidy(&team, &[member, fresh]).await?;
        let (home, away) = (self.home.region.clone(), self.away.region.clone());
        Ok((Report { home, away, delay_ms, granted_to_used, rows }, gateway))
    }

    /// Heals what somebody may have cut before; the one-way delay in milliseconds.
    async fn open_links(&self) -> anyhow::Result<u64> {
        let directions = self.cut_off(false).await?;
        let between = directions
            .iter()
            .find(|direction| direction.from == self.home.region && direction.to == self.away.region);
        Ok(between.context("the WAN does not know the two regions")?.delay_ms)
    }

    /// Cuts or heals the links between the other region and every region: a third one would bridge a single cut.
    async fn cut_off(&self, is_cut: bool) -> anyhow::Result<Vec<wan::Status>> {
        let mut directions = control::ask(&self.folder, &control::Command::Status).await?;
        let away = &self.away.region;
        let others = directions.iter().filter(|direction| direction.from == *away);
        let others: Vec<String> = others.map(|direction| direction.to.clone()).collect();
        for b in others {
            let (a, one_way) = (away.clone(), false);
            let command = match is_cut {
                true => control::Command::Cut { a, b, one_way },
                false => control::Command::Heal { a, b, one_way },
            };
            directions = control::ask(&self.folder, &command).await?;
        }
        Ok(directions)
    }

    /// At home: a team whose members may create control planes in the other region, and nowhere else.
    async fn make_team(&self) -> anyhow::Result<String> {
        let owner = &self.home.owner;
        let body = json!({ "name": format!("creators-{}", self.run) });
        let answer = owner.post("/v3/teams", &body).await?;
        let team = text(&answer.expect(201)?, "id")?.to_owned();
        let role = json!({
            "role_name": "Creator",
            "entity_id": "*",
            "entity_type_name": "Control Planes",
            "entity_region": self.away.region,
        });
        let path = format!("/v3/teams/{team}/assigned-roles");
        owner.after(&answer).post(&path, &role).await?.expect(201)?;
        Ok(team)
    }

    /// At home: a system account with a token, and no rights yet.
    async fn make_account(&self, name: &str) -> anyhow::Result<Member> {
        let owner = &self.home.owner;
        let body = json!({ "name": format!("{name}-{}", self.run) });
        let answer = owner.post("/v3/system-accounts", &body).await?;
        let id = text(&answer.expect(201)?, "id")?.to_owned();
        let owner = owner.after(&answer);
        let path = format!("/v3/system-accounts/{id}/access-tokens");
        let answer = owner.post(&path, &json!({ "name": "tour" })).await?;
        let token = text(&answer.expect(201)?, "token")?.to_owned();
        Ok(Member { id, token, consistency: consistency(&answer)? })
    }

    /// The other region meets the account and its token before they matter: the first request of a token takes longer.
    async fn warm_up(&self, account: &Member) -> anyhow::Result<()> {
        account.at(&self.away).get("/v2/control-planes").await?.expect(200).map(drop)
    }

    /// The grant: at home the account joins the team.
    async fn join(&self, team: &str, account: Member) -> anyhow::Result<Member> {
        let owner = self.home.owner.with_consistency(&account.consistency);
        let path = format!("/v3/teams/{team}/system-accounts");
        let answer = owner.post(&path, &json!({ "account_id": account.id })).await?;
        answer.expect(201)?;
        Ok(Member { consistency: consistency(&answer)?, ..account })
    }

    /// The other region knows of the grant as soon as it is used there, or waits until it does. `granted`: when the grant was
    /// sent. The control plane that was created, and the time from then to the answer.
    async fn use_at_once(
        &self,
        member: &Member,
        granted: Instant,
        rows: &mut Vec<Row>,
    ) -> anyhow::Result<(String, Duration)> {
        let Scene { region, .. } = &self.away;
        let api = member.at(&self.away);
        let create = async |name: &str| {
            let body = json!({ "name": format!("{name}-{}", self.run) });
            timed(api.post("/v2/control-planes", &body)).await
        };
        let (answer, first) = create("granted").await?;
        let granted_to_used = granted.elapsed();
        let created = answer.expect(201)?;
        rows.push(Row::new(format!("granted, and used in {region} at once"), answer.status, first));
        let mut again = Vec::new();
        for number in 1..=REPEATS {
            let (answer, took) = create(&format!("again-{number}")).await?;
            let plane = format!("/v2/control-planes/{}", text(&answer.expect(201)?, "id")?);
            api.delete(&plane).await?.expect(204)?;
            again.push((took, answer.status));
        }
        again.sort_unstable();
        let (second, status) = again.get(REPEATS / 2).copied().context("nothing was repeated")?;
        rows.push(Row::new("  the same again, with nothing to wait for", status, second));
        rows.push(Row::time(
            format!("  so {region} waited for the consistency token, about"),
            first.saturating_sub(second),
        ));
        Ok((text(&created, "id")?.to_owned(), granted_to_used))
    }

    /// The member enrols a gateway with what it created, configures it, and reads it back.
    async fn serve(
        &self,
        member: &Member,
        control_plane: &str,
        enrol: impl AsyncFnOnce(&str, &str) -> anyhow::Result<Gateway>,
        rows: &mut Vec<Row>,
    ) -> anyhow::Result<Gateway> {
        let (api, region) = (member.at(&self.away), &self.away.region);
        let started = Instant::now();
        let enrolment = create_enrolment(&api, control_plane).await?;
        let gateway = enrol(control_plane, &enrolment.command).await?;
        gateway.until_ready().await?;
        rows.push(Row::time(format!("gateway enrolled in {region}, ready to serve"), started.elapsed()));

        let file = json!({
            "_format_version": "3.0",
            "services": [{
                "name": "echo",
                "url": self.away.upstream,
                "routes": [{ "name": "tour", "paths": [ROUTE] }],
            }],
        });
        let started = Instant::now();
        let path = format!("/v2/control-planes/{control_plane}");
        api.put_yaml(&format!("{path}/declarative"), &file.to_string()).await?.expect(200)?;
        gateway.until_answers(ROUTE, None, 200).await?;
        rows.push(Row::time("  its configuration applied, and served", started.elapsed()));
        let (answer, took) = timed(api.get(&path)).await?;
        answer.expect(200)?;
        rows.push(Row::new("  what it created, read", answer.status, took));
        Ok(gateway)
    }

    /// The role is for the other region: here the member is refused, which is true and not a matter of waiting.
    async fn refuse_at_home(&self, member: &Member, rows: &mut Vec<Row>) -> anyhow::Result<()> {
        let body = json!({ "name": format!("refused-{}", self.run) });
        let (answer, took) = timed(member.at(&self.home).post("/v2/control-planes", &body)).await?;
        answer.expect_problem(403)?;
        rows.push(Row::new(format!("the same member, refused in {}", self.home.region), answer.status, took));
        Ok(())
    }

    /// Takes away what only the tour needed.
    async fn tidy(&self, team: &str, members: &[Member]) -> anyhow::Result<()> {
        self.home.owner.delete(&format!("/v3/teams/{team}")).await?.expect(204)?;
        for member in members {
            self.home.owner.delete(&format!("/v3/system-accounts/{}", member.id)).await?.expect(204)?;
        }
        Ok(())
    }
}

impl Scene {
    fn of(region: &RegionStatus, token: &str) -> anyhow::Result<Self> {
        let serving = region.serving()?;
        Ok(Self {
            region: region.region.clone(),
            owner: Api::new(api::https_client(&region.ca_file)?, &region.api, Some(token)),
            upstream: serving.upstream.clone(),
        })
    }

    /// What the region holds of a team, in an order of its own.
    async fn team(&self, team: &str) -> anyhow::Result<Value> {
        let mut held = json!({ "team": self.owner.get(&format!("/v3/teams/{team}")).await?.expect(200)? });
        for part in ["system-accounts", "assigned-roles"] {
            let path = format!("/v3/teams/{team}/{part}?page[size]=100");
            let list = self.owner.get(&path).await?.expect(200)?;
            let mut rows = list["data"].as_array().cloned().context("a list")?;
            rows.sort_by_key(Value::to_string);
            held[part] = Value::Array(rows);
        }
        Ok(held)
    }
}

/// An answer and the time from sending the request to it.
async fn timed(request: impl Future<Output = anyhow::Result<Answer>>) -> anyhow::Result<(Answer, Duration)> {
    let started = Instant::now();
    let answer = request.await?;
    Ok((answer, started.elapsed()))
}

/// What a write was answered with for whoever has to see it.
fn consistency(answer: &Answer) -> anyhow::Result<String> {
    let token = answer.consistency().context("a write is answered without a consistency token")?;
    Ok(token.to_owned())
}
