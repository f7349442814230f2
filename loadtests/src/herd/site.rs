//! A region with a control plane, and the nodes that are enrolled with it: made once, however often the control plane is away.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use random::Random;
use rustls_pki_types::ServerName;
use sync::identity::plane_name;
use testbed::{Api, Region, ServiceName, process::Process, wait};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    archive::{Archive, Held},
    changes::Changes,
    fleet::Fleet,
    identity::{self, Identity},
    node::Plane,
};
use crate::{
    documents::{self, Size},
    machine,
    measured::Samples,
    report::{COUNT, MILLISECONDS, Report, SECONDS, milliseconds},
    stage,
};

/// How long the control plane is away.
const AWAY: Duration = Duration::from_secs(2);
/// Longest time until all nodes are current.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long config is left alone before its memory is looked at: longer than its allocator keeps what is free.
const QUIET: Duration = Duration::from_secs(15);
/// Between two attempts to connect to a control plane that does not listen yet.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// A region with a control plane, and nodes that are enrolled with it.
pub struct Site {
    region: Region,
    plane: Arc<Plane>,
    identities: Vec<Identity>,
    changes: Changes,
    /// What nodes hold at first.
    pub held: Held,
}

impl Site {
    /// A control plane with so many `entities`, and `nodes` that are enrolled with it. One of them has received its configuration.
    pub async fn start(entities: usize, nodes: usize) -> anyhow::Result<Self> {
        let region = stage::start_region().await?;
        let size = Size::of_entities(entities);
        let document = documents::document(size, &region.upstream().url(), false);
        let (control_plane, version) = stage::control_plane(&region, "herd", &document).await?;
        stage::say(&format!("{nodes} nodes enrol"));
        let identities = identity::enrol(&region, &control_plane, nodes).await?;
        let control_plane = control_plane.parse().ok().context("the id of a control plane")?;
        let plane = Arc::new(Plane {
            address: region.infrastructure().addresses.sync,
            name: ServerName::try_from(plane_name(&region.name().parse()?))?,
            control_plane,
            archive: Archive::default(),
            dials: watch::Sender::new(false),
            random: Random::system(),
            faults: Mutex::default(),
        });
        let changes = Changes::new(region.api(ServiceName::Config), control_plane, size.consumers);
        let mut site = Self { region, plane, identities, changes, held: Held::default() };
        let scout = site.fleet(1);
        scout.dial(true);
        scout.until_current((version, Instant::now()), DEADLINE).await?;
        site.held = scout.held();
        Ok(site)
    }

    /// So many nodes, which do not dial yet.
    pub fn fleet(&self, count: usize) -> Fleet {
        Fleet::start(&self.plane, self.identities.get(..count).unwrap_or(&self.identities), self.held)
    }

    /// Lets all nodes dial, and waits until they are current.
    pub async fn connect(&self, fleet: &Fleet) -> anyhow::Result<()> {
        let (head, from) = (self.head().await?, Instant::now());
        fleet.dial(true);
        fleet.until_current((head, from), DEADLINE).await.map(drop)
    }

    /// Lets all nodes connect to a process of config that has served no node yet; answers how much more memory it has then, for each node.
    pub async fn bytes_per_node(&self, fleet: &Fleet, count: usize) -> anyhow::Result<f64> {
        self.config().stop().await?;
        self.region.start_again(ServiceName::Config).await?;
        let memory = async || {
            sleep(QUIET).await;
            machine::resident_bytes(self.config().pid().context("config has ended")?)
        };
        let before = memory().await?;
        self.connect(fleet).await?;
        Ok(memory().await?.saturating_sub(before) as f64 / count as f64)
    }

    /// Kills the control plane, and starts it again after [`AWAY`]. Nodes miss so many changes, made while they were away for longer.
    pub async fn away(&self, fleet: &Fleet, missed: usize) -> anyhow::Result<Return> {
        if missed > 0 {
            fleet.dial(false);
            self.changes.many(missed).await?;
        }
        let head = self.head().await?;
        self.config().kill().await?;
        fleet.dial(true);
        sleep(AWAY).await;
        self.config().start_again().await?;
        let listening = self.until_listening().await?;
        let before = self.cpu()?;
        let current = async {
            let times = fleet.until_current((head, listening), DEADLINE).await?;
            Ok((times, self.cpu()?))
        };
        let ((times, after), changes) = self.changes.until(current).await?;
        let newest = changes.iter().map(|change| change.version).max().unwrap_or(head);
        fleet.until_current((newest, listening), DEADLINE).await?;
        self.check(fleet, times.len()).await?;
        let mut cpu = after;
        cpu.iter_mut().zip(before).for_each(|(after, before)| *after = after.saturating_sub(before));
        Ok(Return {
            count: times.len(),
            fresh: Samples::new(fleet.propagation(&changes, (head, listening))?)?,
            times: Samples::new(times)?,
            cpu,
            failed_dials: fleet.failed_dials(),
        })
    }

    /// Stops everything.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.region.stop().await
    }

    /// What the control plane says of its nodes must be what they say.
    async fn check(&self, fleet: &Fleet, count: usize) -> anyhow::Result<()> {
        let path = |what: &str| format!("/v2/control-planes/{}/{what}", self.plane.control_plane);
        let expected = self.api().get(&path("expected-config-hash")).await?.expect(200)?;
        fleet.require(testbed::api::text(&expected, "expected_hash")?)?;
        // Nodes of a larger fleet before this one count until they have not been heard of for long enough.
        wait::until("the control plane knows these nodes and no others", DEADLINE, async || {
            let asked = self.api().get(&path("propagation?wait=5s")).await;
            let spread = asked.and_then(|answer| answer.expect(200)).map_err(|error| format!("{error:#}"))?;
            let is_right = spread["complete"] == true && spread["nodes"] == count;
            if is_right { Ok(()) } else { Err(spread.to_string()) }
        })
        .await
    }

    async fn head(&self) -> anyhow::Result<u64> {
        let path = format!("/v2/control-planes/{}/expected-config-version", self.plane.control_plane);
        let expected = self.api().get(&path).await?.expect(200)?;
        expected["expected_config_version"].as_u64().context("a version")
    }

    async fn until_listening(&self) -> anyhow::Result<Instant> {
        let began = Instant::now();
        loop {
            let listening = Instant::now();
            match TcpStream::connect(self.plane.address).await {
                Ok(_) => return Ok(listening),
                Err(error) if began.elapsed() > DEADLINE => {
                    return Err(self.config().failure(&format!("does not listen: {error}")));
                }
                Err(_) => sleep(ASK_EVERY).await,
            }
        }
    }

    /// Of config, Postgres and the nodes.
    fn cpu(&self) -> anyhow::Result<[Duration; 3]> {
        let of = |process: &Process| machine::cpu_time(process.pid().context("a process has ended")?);
        let postgres = &self.region.infrastructure().postgres;
        Ok([of(self.config())?, of(postgres.process())?, machine::own_cpu_time(std::process::id())?])
    }

    fn config(&self) -> &Process {
        self.region.process(ServiceName::Config)
    }

    fn api(&self) -> Api {
        self.region.api(ServiceName::Config)
    }
}

/// What one return of all nodes was like.
#[derive(Debug)]
pub struct Return {
    count: usize,
    /// Of each node, until it was current.
    times: Samples,
    /// Of config, Postgres and the nodes.
    cpu: [Duration; 3],
    failed_dials: u32,
    /// Of changes that were made meanwhile, at nodes that were back.
    fresh: Samples,
}

impl Return {
    /// Records it as `<key>.…`.
    pub fn record(&self, key: &str, report: &mut Report) -> anyhow::Result<()> {
        let seconds = |per_mille| self.times.percentile(per_mille).as_secs_f64();
        report.record(format!("{key}.all_current_s"), SECONDS, seconds(1000));
        report.record(format!("{key}.half_current_s"), SECONDS, seconds(500));
        report.record(
            format!("{key}.fresh_change_p99_ms"),
            MILLISECONDS,
            milliseconds(self.fresh.percentile(990)),
        );
        report.record(
            format!("{key}.fresh_change_p50_ms"),
            MILLISECONDS,
            milliseconds(self.fresh.percentile(500)),
        );
        for (whose, cpu) in ["plane", "postgres", "nodes"].into_iter().zip(self.cpu) {
            let each = milliseconds(cpu) / self.count as f64;
            report.record(format!("{key}.{whose}_cpu_ms_per_node"), MILLISECONDS, each);
        }
        report.record(format!("{key}.failed_dials"), COUNT, self.failed_dials.into());
        Ok(())
    }
}
