//! What plugins cost: a gateway with one beside a gateway without, and the five that most people use together; and what nginx and HAProxy have
//! that is like them.
//!
//! Every request passes, with the same headers at what is compared. A plugin that needs to know the consumer is compared with the one that finds
//! it out.

mod authentication;
mod cases;
mod likes;
mod provider;
mod receivers;

use std::{net::SocketAddr, num::NonZeroUsize};

use anyhow::Context as _;
use local_redis::LocalRedis;
use serde_json::Value;

use self::{authentication::Credentials, likes::Edits, provider::Provider, receivers::Receivers};
use super::{
    WARM_UP, in_turn,
    measure::{Clients, Way},
    peers::Peer,
    site::{Site, Start},
    target::Target,
};
use crate::{
    Pace,
    documents::{self, Size},
    report::{MICROSECONDS, Report},
    stage::say,
};

/// Small, so that the plugins' share is seen, and not the memory of routes.
const SIZE: Size = Size { services: 10, routes: 1_000, consumers: 1_000 };

/// Something that is measured.
struct Case {
    /// As in the keys of figures.
    name: &'static str,
    /// What answers.
    runs: Runs,
    /// Further lines of every request's head.
    headers: String,
    way: Way,
    /// The case that it is compared with, and the key of the difference.
    over: Option<(&'static str, &'static str)>,
}

enum Runs {
    /// The gateway with these plugins, for all requests.
    Gateway(Vec<Value>),
    /// A peer with changes of its usual configuration.
    Peer(Peer, Edits),
}

impl Case {
    /// The gateway with `plugins`, compared with nothing.
    fn gateway(name: &'static str, plugins: Vec<Value>) -> Self {
        Self { name, runs: Runs::Gateway(plugins), headers: String::new(), way: Way::Closed, over: None }
    }

    /// Further lines of every request's head.
    fn with(self, headers: &str) -> Self {
        Self { headers: headers.to_owned(), ..self }
    }

    fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// What it costs more than `other` is recorded as `key`.
    fn over(self, other: &'static str, key: &'static str) -> Self {
        Self { over: Some((other, key)), ..self }
    }

    /// The key of its CPU time for a request.
    fn cpu(&self) -> String {
        format!("{}.{}.cpu_per_request", self.name, self.way.name())
    }
}

/// What the plugins of the run work with.
struct World {
    /// The upstream, which takes what is sent over HTTP too.
    http: SocketAddr,
    receivers: Receivers,
    redis: LocalRedis,
    provider: Provider,
    credentials: Credentials,
}

impl World {
    async fn start(http: SocketAddr) -> anyhow::Result<Self> {
        let credentials = Credentials::make()?;
        Ok(Self {
            http,
            receivers: Receivers::start().await?,
            redis: LocalRedis::start(local_redis::Options::default())?,
            provider: Provider::start(&credentials.rsa.public).await?,
            credentials,
        })
    }
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let mut site = Site::start(SIZE).await?;
    let world = World::start(site.upstream.plain).await?;
    let folder = site.folder.make("likes")?;
    let cases = [
        cases::all(&world),
        authentication::cases(&world)?,
        receivers::cases(&world),
        likes::all(&world.credentials, world.receivers.udp, &folder)?,
    ];
    let mut started = Vec::new();
    for case in cases.into_iter().flatten() {
        match start(&mut site, &case, &world.credentials).await.context(case.name)? {
            Some(target) => started.push((case, target)),
            None => report.note(format!("{}: the peer is not installed", case.name)),
        }
    }
    measure(pace, &site, &world.credentials, &started, report).await?;
    for (case, _) in &started {
        let compared = case.over.and_then(|(other, key)| {
            started.iter().find(|(case, _)| case.name == other).map(|(other, _)| (key, other))
        });
        if let Some((key, other)) = compared {
            report.record_difference(key, MICROSECONDS, &case.cpu(), &other.cpu());
        }
        if report.median(&format!("{}.{}.failed", case.name, case.way.name())) > 0.0 {
            report.fault(format!("{}: requests did not pass", case.name));
        }
    }
    for (_, target) in &started {
        target.process.stop().await?;
    }
    site.close().await
}

/// All cases in turn, after each was warmed up.
async fn measure(
    pace: Pace,
    site: &Site,
    credentials: &Credentials,
    started: &[(Case, Target)],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (case, target) in started {
        let clients = Clients::with_headers(SIZE, &site.certificate, &case.headers)?;
        let clients = clients.showing(&credentials.certificate);
        clients.saturate(target, case.way, WARM_UP).await.context(case.name)?;
        all.push((case, target, clients));
    }
    for round in 1..=pace.rounds {
        say(&format!("Round {round} of {}", pace.rounds));
        for (case, target, clients) in in_turn(&all, round) {
            clients.record(target, case.way, pace.round, report).await?;
        }
    }
    Ok(())
}

/// Starts what answers in a case; `None` where it is not installed.
async fn start(site: &mut Site, case: &Case, credentials: &Credentials) -> anyhow::Result<Option<Target>> {
    let name = case.name;
    match &case.runs {
        Runs::Gateway(plugins) => {
            let (cores, threads) = (site.cores.proxy, NonZeroUsize::MIN);
            let start = Start { name, label: name, key_auth: false, cores, threads, environment: &[] };
            let document = document(&format!("http://{}", site.upstream.plain), plugins, credentials);
            site.place_with(start, &document)?.start(&site.folder, name).await.map(Some)
        }
        Runs::Peer(peer, edits) => {
            let target = site.peer_with(*peer, name, |text| edits.apply(text)).await?;
            Ok(target.map(|target| Target { name, ..target }))
        }
    }
}

/// The usual document, where every consumer is in one group, and the first one has credentials of each kind.
fn document(upstream: &str, plugins: &[Value], credentials: &Credentials) -> Value {
    let mut document = documents::document(SIZE, upstream, false);
    document["plugins"] = plugins.into();
    for consumer in document["consumers"].as_array_mut().into_iter().flatten() {
        consumer["acls"] = serde_json::json!([{ "group": "everybody" }]);
    }
    credentials.add_to(&mut document);
    document
}
