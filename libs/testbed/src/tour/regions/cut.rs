//! The part of the tour in which the link between the two regions is cut, and healed again.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::{Member, ROUTE, Row, Scene, Stage, timed};
use crate::{
    Answer, Api, Gateway,
    api::{self, text},
    wait,
};

/// Path that is added to the route during the cut.
const ROUTE_DURING_CUT: &str = "/tour-during-the-cut";
/// How long the gateway at home may take to serve the tour's route there, as the API takes it.
const SERVED_WITHIN: &str = "20s";
/// Statuses by which a gateway says that it does not serve a request.
const NOT_SERVED: [u16; 4] = [404, 502, 503, 504];
/// Longest time from the heal to regions that are equal.
const EQUAL_DEADLINE: Duration = Duration::from_secs(60);
/// End of the problem type that says "not yet, try again".
const NOT_YET: &str = "not-yet-replicated";

/// What the gateway at home serves while the link is cut.
struct HomeRoute {
    /// Name of the route and of its service.
    name: String,
    gateway: Api,
    /// What a request for it is answered with: 200, unless the configuration there has a plugin for all requests.
    status: u16,
}

impl Stage {
    /// Cuts the link, shows what each side can and cannot do, heals it, and waits until both are equal. The member that was
    /// made during the cut.
    pub(super) async fn cut_and_heal(
        &self,
        team: &str,
        member: &Member,
        gateway: &Gateway,
        rows: &mut Vec<Row>,
    ) -> anyhow::Result<Member> {
        let at_home = self.serve_at_home().await?;
        self.cut_off(true).await?;
        let during = self.during_cut(team, member, (&at_home, gateway), rows).await;
        // Whatever came of it: nobody wants to find the link cut afterwards.
        self.cut_off(false).await?;
        let healed = Instant::now();
        let fresh = during?;
        self.until_used(&fresh).await?;
        rows.push(Row::time(
            format!("healed -> the fresh grant is used in {}", self.away.region),
            healed.elapsed(),
        ));
        self.until_equal(team).await?;
        rows.push(Row::time("healed -> both regions equal", healed.elapsed()));
        self.remove_at_home(&at_home).await?;
        Ok(fresh)
    }

    async fn during_cut(
        &self,
        team: &str,
        member: &Member,
        (at_home, gateway): (&HomeRoute, &Gateway),
        rows: &mut Vec<Row>,
    ) -> anyhow::Result<Member> {
        let (home, away) = (&self.home.region, &self.away.region);
        let fresh = self.join(team, self.make_account("fresh").await?).await?;
        let body = json!({ "name": format!("too-early-{}", self.run) });
        let (answer, took) = timed(fresh.at(&self.away).post("/v2/control-planes", &body)).await?;
        require_not_yet(&answer)?;
        let seconds = answer.header("retry-after").unwrap_or_default();
        rows.push(Row::new(
            format!("link cut: a grant made in {home} now, used in {away}"),
            answer.status,
            took,
        ));
        rows.push(Row::note(format!("  {NOT_YET}, Retry-After: {seconds}")));
        // The token alone, which only the home region has, is no false 401; what the other member knew is no false 403.
        let unknown = self.away.owner.with_token(&fresh.token).get("/v2/control-planes").await?;
        require_not_yet(&unknown)?;
        let known = member.at(&self.away).with_consistency(&fresh.consistency);
        require_not_yet(&known.get("/v2/control-planes").await?)?;

        self.still_works_at_home(member, at_home, rows).await?;
        self.still_works_away(team, member, gateway, rows).await?;
        Ok(fresh)
    }

    /// A route to the echo upstream on the home region's gateway.
    async fn serve_at_home(&self) -> anyhow::Result<HomeRoute> {
        let (owner, name) = (&self.home.owner, format!("tour-{}", self.run));
        let plane = format!("/v2/control-planes/{}", self.at_home.control_plane);
        let service = json!({ "url": self.home.upstream });
        owner.put(&format!("{plane}/core-entities/services/{name}"), &service).await?.expect(200)?;
        let route = json!({ "paths": [format!("/{name}")], "service": { "name": name } });
        owner.put(&format!("{plane}/core-entities/routes/{name}"), &route).await?.expect(200)?;
        let propagated =
            owner.get(&format!("{plane}/propagation?wait={SERVED_WITHIN}")).await?.expect(200)?;
        anyhow::ensure!(propagated["complete"] == true, "the gateway at home does not follow: {propagated}");
        let gateway = Api::new(api::http_client()?, &self.at_home.http, None);
        let answer = gateway.get(&format!("/{name}")).await?;
        let is_served = !NOT_SERVED.contains(&answer.status);
        anyhow::ensure!(is_served, "the gateway at home: {} {}", answer.status, answer.text);
        Ok(HomeRoute { gateway, name, status: answer.status })
    }

    async fn remove_at_home(&self, HomeRoute { name, .. }: &HomeRoute) -> anyhow::Result<()> {
        let entities = format!("/v2/control-planes/{}/core-entities", self.at_home.control_plane);
        for kind in ["routes", "services"] {
            self.home.owner.delete(&format!("{entities}/{kind}/{name}")).await?.expect(204)?;
        }
        Ok(())
    }

    async fn still_works_at_home(
        &self,
        member: &Member,
        at_home: &HomeRoute,
        rows: &mut Vec<Row>,
    ) -> anyhow::Result<()> {
        let Scene { region, owner, .. } = &self.home;
        let (answer, took) = timed(at_home.gateway.get(&format!("/{}", at_home.name))).await?;
        let (expected, found) = (at_home.status, answer.status);
        anyhow::ensure!(found == expected, "expected {expected} of the gateway at home, got {found}");
        rows.push(Row::new(format!("  {region} meanwhile: its gateway"), found, took));
        let started = Instant::now();
        owner.get("/v2/control-planes").await?.expect(200)?;
        let body = json!({ "name": format!("refused-{}", self.run) });
        let refused = owner.with_token(&member.token).post("/v2/control-planes", &body).await?;
        refused.expect_problem(403)?;
        let body = json!({ "name": format!("during-{}", self.run) });
        let written = owner.post("/v3/teams", &body).await?.expect(201)?;
        owner.delete(&format!("/v3/teams/{}", text(&written, "id")?)).await?.expect(204)?;
        rows.push(Row::time(
            format!("  {region} meanwhile: reads, decides and writes, 4 requests"),
            started.elapsed(),
        ));
        Ok(())
    }

    async fn still_works_away(
        &self,
        team: &str,
        member: &Member,
        gateway: &Gateway,
        rows: &mut Vec<Row>,
    ) -> anyhow::Result<()> {
        let Scene { region, owner, .. } = &self.away;
        let (answer, took) = timed(gateway.get(ROUTE, None)).await?;
        answer.expect(200)?;
        rows.push(Row::new(format!("  {region} meanwhile: its gateway"), answer.status, took));
        let started = Instant::now();
        let (api, path) = (member.at(&self.away), format!("/v2/control-planes/{}", gateway.control_plane()));
        api.get(&path).await?.expect(200)?;
        let one = format!("{path}/core-entities/routes/tour");
        let mut route = api.get(&one).await?.expect(200)?;
        route["paths"] = json!([ROUTE, ROUTE_DURING_CUT]);
        api.put(&one, &route).await?.expect(200)?;
        // A grant is written wherever it is made.
        let role = json!({
            "role_name": "Viewer",
            "entity_id": gateway.control_plane(),
            "entity_type_name": "Control Planes",
            "entity_region": region,
        });
        owner.post(&format!("/v3/teams/{team}/assigned-roles"), &role).await?.expect(201)?;
        rows.push(Row::time(
            format!("  {region} meanwhile: reads, decides and writes, 4 requests"),
            started.elapsed(),
        ));
        gateway.until_answers(ROUTE_DURING_CUT, None, 200).await?;
        Ok(())
    }

    /// Repeats the fresh member's request as any client would: as long as it is told to.
    async fn until_used(&self, fresh: &Member) -> anyhow::Result<()> {
        let api = fresh.at(&self.away);
        let body = json!({ "name": format!("healed-{}", self.run) });
        let used = wait::until("the fresh grant is used", EQUAL_DEADLINE, async || {
            let answer = api.post("/v2/control-planes", &body).await.map_err(|error| format!("{error:#}"))?;
            match answer.status {
                503 => Err(answer.text),
                // Any other refusal is a false one, and no matter of waiting.
                _ => Ok(answer.expect(201)),
            }
        });
        let created = used.await??;
        api.delete(&format!("/v2/control-planes/{}", text(&created, "id")?)).await?.expect(204)?;
        Ok(())
    }

    async fn until_equal(&self, team: &str) -> anyhow::Result<()> {
        wait::until("both regions hold the same", EQUAL_DEADLINE, async || {
            let held = tokio::try_join!(self.home.team(team), self.away.team(team));
            let (home, away) = held.map_err(|error| format!("{error:#}"))?;
            if home == away { Ok(()) } else { Err(format!("{home} and {away}")) }
        })
        .await
    }
}

/// Checks that an answer says honestly that its region has not heard of something yet.
fn require_not_yet(answer: &Answer) -> anyhow::Result<()> {
    let problem = answer.expect_problem(503)?;
    anyhow::ensure!(text(&problem, "type")?.ends_with(NOT_YET), "503 for another reason: {problem}");
    let seconds = answer.header("retry-after").context("503 without Retry-After")?;
    seconds.parse::<u32>().with_context(|| format!("Retry-After {seconds:?}"))?;
    Ok(())
}
