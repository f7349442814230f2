//! Three regions with real Postgres, NATS and a network that can be cut, and a service whose rows could not be simpler: what
//! must not be lost, and what must end equal.

mod region;
mod rows;

use std::{collections::BTreeSet, time::Duration};

use ids::{OrganizationId, ServiceName};
use prost::Message as _;
use replication::{Entry, Position, Signer, Vector};
use replication_runtime::Fence;
use service::Process;
use settings::sections::{Connections, LogFormat, Telemetry};
use testbed::{deployment::Infrastructures, options::Options, wait};
use uuid::Uuid;

use self::region::Region;

/// How long anything may take that has to happen.
const DEADLINE: Duration = Duration::from_secs(30);
/// Time in which every region tells every other one several times what it holds.
const HEARD_SEVERAL_TIMES: Duration = Duration::from_secs(1);

struct Regions {
    infrastructure: Infrastructures,
    regions: Vec<Region>,
    organization: OrganizationId,
    /// Everything whose write was answered.
    written: BTreeSet<Uuid>,
}

impl Regions {
    async fn start(process: &mut Process, names: &[&str]) -> anyhow::Result<Self> {
        let infrastructure = Infrastructures::start(&Options::of_regions(names)?).await?;
        let mut regions = Vec::new();
        for of_region in infrastructure.regions() {
            regions.push(Region::start(process, of_region).await?);
        }
        let organization = OrganizationId::from_uuid(Uuid::now_v7());
        Ok(Self { infrastructure, regions, organization, written: BTreeSet::new() })
    }

    fn of(&self, name: &str) -> &Region {
        self.regions.iter().find(|region| region.name == name).expect("a region of this test")
    }

    /// Writes in each of `names`, `times` times, all at once.
    async fn write(&mut self, names: &[&str], times: usize) -> anyhow::Result<()> {
        let writes = names.iter().flat_map(|name| std::iter::repeat_n(self.of(name), times));
        let ids = futures::future::try_join_all(writes.map(|region| region.put(self.organization))).await?;
        self.written.extend(ids);
        Ok(())
    }

    /// Waits until `names` hold the same logs and rows, and all that was written.
    async fn equal(&self, names: &[&str]) -> anyhow::Result<Duration> {
        let began = std::time::Instant::now();
        wait::until("the regions are equal", DEADLINE, async || {
            let mut first = None;
            for name in names {
                let state =
                    self.of(name).state(self.organization).await.map_err(|error| error.to_string())?;
                let missing = self.written.difference(&state.ids).count();
                if missing > 0 {
                    return Err(format!("{name} lacks {missing} entries; {:?}", state.tips));
                }
                match &first {
                    None => first = Some(state),
                    Some(first) if *first == state => {}
                    Some(first) => {
                        return Err(format!("{name} has {:?}, another {:?}", state.tips, first.tips));
                    }
                }
            }
            Ok(())
        })
        .await?;
        Ok(began.elapsed())
    }

    fn cut(&self, links: &[(&str, &str)]) -> anyhow::Result<()> {
        Ok(links.iter().try_for_each(|(a, b)| self.infrastructure.wan().cut(a, b))?)
    }

    fn heal(&self, links: &[(&str, &str)]) -> anyhow::Result<()> {
        Ok(links.iter().try_for_each(|(a, b)| self.infrastructure.wan().heal(a, b))?)
    }

    fn infrastructure(&self, name: &str) -> &testbed::Infrastructure {
        let mut all = self.infrastructure.regions().iter();
        all.find(|region| region.region.as_str() == name).expect("a region of this test")
    }
}

const ALL: [&str; 3] = ["us", "eu", "ap"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_all_end_equal() -> anyhow::Result<()> {
    let log = std::env::var("TEST_LOG").unwrap_or_else(|_| "off".to_owned());
    let telemetry = Telemetry { log, format: LogFormat::Text, otlp: None };
    let mut process = Process::start(ServiceName::Authz, &telemetry, &Connections::default())?;
    let mut regions = Regions::start(&mut process, &ALL).await?;
    new_regions_open(&mut regions).await?;
    another_region_may_only_read(&regions).await?;
    nobody_else_can_write_a_log(&mut regions).await?;
    a_region_cannot_lie_about_anothers_log(&mut regions).await?;
    what_an_earlier_release_wrote_is_signed(&mut regions).await?;
    a_third_region_bridges_a_cut_link(&mut regions).await?;
    both_sides_of_a_cut_write_and_end_equal(&mut regions).await?;
    streams_may_lose_everything(&mut regions).await?;
    rows_that_differ_are_made_anew(&mut regions).await?;
    a_restored_region_takes_its_tail_back(&mut regions).await?;
    a_forked_region_ends_equal(&mut regions).await?;
    a_region_that_was_not_heard_held_more(&mut regions).await?;
    process.drain.cancel();
    process.run().await?;
    regions.infrastructure.stop().await
}

async fn new_regions_open(regions: &mut Regions) -> anyhow::Result<()> {
    for region in &regions.regions {
        region.until_open().await?;
    }
    regions.write(&ALL, 20).await?;
    step("three regions, 20 writes each", regions.equal(&ALL).await?);

    let began = std::time::Instant::now();
    regions.write(&["us"], 1).await?;
    let (us, eu) = (regions.of("us"), regions.of("eu"));
    let vector = us.log.replica().watch_applied().borrow().clone();
    let reached = eu.replication.reach(&vector, eu.log.replica().watch_applied(), DEADLINE).await;
    anyhow::ensure!(reached.is_ok(), "not reached: {reached:?}");
    step("written in us, waited for in eu", began.elapsed());

    let tip = us.log.replica().watch_applied().borrow().get(us.log.origin()).map(|position| position.seq);
    assert_eq!(eu.replication.ask_tip(us.log.origin()).await, tip);
    assert!(eu.replication.status().iter().all(|status| status.reachable && !status.fenced));
    Ok(())
}

async fn another_region_may_only_read(regions: &Regions) -> anyhow::Result<()> {
    let client = regions.of("eu").reader_of("us").await?;
    let jetstream = async_nats::jetstream::new(client);
    let mut stream = jetstream.get_stream("LOG-authz-us").await?;
    let before = stream.cached_info().state.clone();
    assert!(before.messages > 0, "us publishes");
    assert!(stream.purge().await.is_err(), "nothing may be deleted");
    assert!(jetstream.delete_stream("LOG-authz-us").await.is_err());
    assert!(jetstream.get_stream("LOG-identity-us").await.is_err(), "nor another service's log be read");
    let written = jetstream.client().request("landbridge.log.authz.us", "forged".into()).await;
    assert!(written.is_err(), "nor anything be written");
    let after = stream.info().await?.state.clone();
    assert_eq!((before.first_sequence, before.last_sequence), (after.first_sequence, after.last_sequence));
    Ok(())
}

/// Entries that follow the last one of `region`'s log, by somebody who lacks nothing but the key of that log.
fn forgeries(last: &Entry) -> Vec<Entry> {
    let tip = last.tip();
    let forged = Entry {
        id: Uuid::now_v7(),
        position: Position { seq: tip.position.seq + 1, ..tip.position },
        prev_hash: tip.hash,
        signature: None,
        ..last.clone()
    };
    let other_key = Signer::from_seed(&[1; 32]).expect("a key").sign(&forged.origin, &forged.tip());
    let next_epoch = Position { epoch: tip.position.epoch + 1, ..forged.position };
    vec![
        Entry { signature: Some(other_key), ..forged.clone() },
        Entry { signature: last.signature, ..forged.clone() },
        Entry { position: next_epoch, ..forged.clone() },
        forged,
    ]
}

/// Whoever has the certificate of us' authz may publish to its stream. Nothing of it counts: not elsewhere, not in us when it
/// looks after a restart of its database whether it lost something.
async fn nobody_else_can_write_a_log(regions: &mut Regions) -> anyhow::Result<()> {
    let us = regions.of("us");
    let log = us.log.replica();
    let before = log.read_state().await?.tips;
    let tip = before.get(us.log.origin()).copied().expect("us has written");
    let last = log.entry(us.log.origin(), tip.position.seq).await?.expect("its last entry");
    for forged in forgeries(&last) {
        let message = forged.to_wire().encode_to_vec();
        let jetstream = async_nats::jetstream::new(us.nats.clone());
        jetstream.publish("landbridge.log.authz.us", message.into()).await?.await?;
    }
    log.suspect().await?;
    us.until_open().await?;
    assert_eq!(log.read_state().await?.tips, before, "nothing was taken back, and no epoch begun");

    // What us writes now stands where the forged entries would have.
    regions.write(&["us"], 3).await?;
    step("three entries after forged ones in the stream", regions.equal(&ALL).await?);
    Ok(())
}

/// eu says of us' log, and of ap's, that it holds more than they wrote.
async fn a_region_cannot_lie_about_anothers_log(regions: &mut Regions) -> anyhow::Result<()> {
    let (us, eu) = (regions.of("us"), regions.of("eu"));
    let before = us.log.replica().read_state().await?.tips;
    let mut lies = Vec::new();
    for name in ["us", "ap"] {
        let of = regions.of(name).log.replica();
        let seq = before.get(of.origin()).expect("it has written").position.seq;
        let last = of.entry(of.origin(), seq).await?.expect("its last entry");
        eu.pretend_to_hold(&forgeries(&last)[0]).await?;
        lies.push(last);
    }
    let tips = us.replication.tips();
    us.replication.ask_tip(us.log.origin()).await;
    tokio::time::sleep(HEARD_SEVERAL_TIMES).await;
    assert_eq!(us.replication.tips(), tips, "nobody waits for what does not exist");
    assert!(us.log.replica().is_confirmed().await?, "us goes on writing");
    us.log.replica().suspect().await?;
    us.until_open().await?;
    let after = us.log.replica().read_state().await?.tips;
    assert_eq!(after.get(us.log.origin()), before.get(us.log.origin()), "nothing was taken back");
    for last in &lies {
        eu.pretend_to_hold(last).await?;
    }
    regions.write(&ALL, 2).await?;
    step("equal after eu has lied", regions.equal(&ALL).await?);
    Ok(())
}

/// The entries of us without signatures, in us and in eu.
async fn what_an_earlier_release_wrote_is_signed(regions: &mut Regions) -> anyhow::Result<()> {
    let us = regions.of("us").log.origin().clone();
    for name in ["eu", "us"] {
        regions.of(name).forget_signatures(&us).await?;
    }
    wait::until("every entry is signed", DEADLINE, async || {
        for name in ["us", "eu"] {
            let unsigned = regions.of(name).unsigned().await.map_err(|error| error.to_string())?;
            if unsigned > 0 {
                return Err(format!("{unsigned} are not, in {name}"));
            }
        }
        Ok(())
    })
    .await?;
    regions.write(&ALL, 2).await?;
    regions.equal(&ALL).await?;
    Ok(())
}

async fn a_third_region_bridges_a_cut_link(regions: &mut Regions) -> anyhow::Result<()> {
    regions.cut(&[("us", "eu")])?;
    regions.write(&["us", "eu"], 5).await?;
    step("us and eu by way of ap", regions.equal(&ALL).await?);
    regions.heal(&[("us", "eu")])?;
    Ok(())
}

async fn both_sides_of_a_cut_write_and_end_equal(regions: &mut Regions) -> anyhow::Result<()> {
    let links = [("us", "eu"), ("us", "ap")];
    regions.cut(&links)?;
    for _ in 0..10 {
        regions.write(&ALL, 20).await?;
    }
    let (us, eu) = (regions.of("us"), regions.of("eu"));
    let position = us.log.replica().watch_applied().borrow().get(us.log.origin()).expect("us has written");
    let wanted = Vector::from_iter([(us.log.origin().clone(), position)]);
    let missing =
        eu.replication.reach(&wanted, eu.log.replica().watch_applied(), Duration::from_millis(500)).await;
    assert_eq!(missing, Err(wanted), "cut off");
    assert_eq!(eu.replication.ask_tip(us.log.origin()).await, None, "us cannot be asked");
    wait::until("eu notices that us is away", DEADLINE, async || {
        let away =
            eu.replication.status().iter().any(|status| status.region.as_str() == "us" && !status.reachable);
        if away { Ok(()) } else { Err("still reachable".to_owned()) }
    })
    .await?;
    regions.heal(&links)?;
    step("healed after both sides wrote 200 times", regions.equal(&ALL).await?);
    Ok(())
}

async fn streams_may_lose_everything(regions: &mut Regions) -> anyhow::Result<()> {
    for name in ALL {
        regions.infrastructure(name).nats.delete_store().await?;
    }
    regions.write(&ALL, 5).await?;
    step("all streams deleted under running servers", regions.equal(&ALL).await?);
    for name in ALL {
        regions.infrastructure(name).nats.wipe_store().await?;
    }
    regions.write(&ALL, 5).await?;
    step("all streams deleted, servers started anew", regions.equal(&ALL).await?);
    Ok(())
}

async fn rows_that_differ_are_made_anew(regions: &mut Regions) -> anyhow::Result<()> {
    regions.of("eu").lose_a_row(regions.organization).await?;
    step("a row lost in eu is back", regions.equal(&ALL).await?);
    Ok(())
}

async fn a_restored_region_takes_its_tail_back(regions: &mut Regions) -> anyhow::Result<()> {
    let copies = tempfile::tempdir()?;
    let copy = copies.path().join("us");
    regions.infrastructure("us").postgres.copy_to(&copy).await?;
    regions.of("us").until_open().await?;
    regions.write(&ALL, 10).await?;
    regions.equal(&ALL).await?;
    let end = |regions: &Regions| {
        let us = &regions.of("us").log;
        us.replica().watch_applied().borrow().get(us.origin()).expect("us has written")
    };
    let before = end(regions);
    let of_others = ["eu", "ap"].map(|name| {
        let other = &regions.of(name).log;
        let end = other.replica().watch_applied().borrow().get(other.origin()).expect("it has written");
        (other.origin().clone(), end)
    });
    regions.infrastructure("us").postgres.restore_from(&copy).await?;
    let began = std::time::Instant::now();
    regions.of("us").until_open().await?;
    step("us open again after a restore", began.elapsed());
    let held = regions.of("us").log.replica().read_state().await?.vector();
    assert!(
        held.covers(&Vector::from_iter(of_others)),
        "nor are the others' logs behind what us had of them"
    );
    step("its tail taken back", regions.equal(&ALL).await?);
    assert_eq!(end(regions), before, "nobody is told of a place that no entry has");
    regions.write(&ALL, 5).await?;
    assert!(end(regions).epoch > before.epoch, "written in a new epoch");
    step("written to after that", regions.equal(&ALL).await?);
    Ok(())
}

/// Restored while nobody can be asked, accepted by an operator and written to; the others hold what it lost.
async fn a_forked_region_ends_equal(regions: &mut Regions) -> anyhow::Result<()> {
    let copies = tempfile::tempdir()?;
    let copy = copies.path().join("us");
    regions.infrastructure("us").postgres.copy_to(&copy).await?;
    regions.of("us").until_open().await?;
    regions.write(&["us"], 5).await?;
    regions.equal(&ALL).await?;

    let links = [("us", "eu"), ("us", "ap")];
    regions.cut(&links)?;
    regions.infrastructure("us").nats.wipe_store().await?;
    regions.infrastructure("us").postgres.restore_from(&copy).await?;
    let us = regions.of("us");
    let mut fence = us.replication.fence();
    let closed = fence.wait_for(|fence| matches!(fence, Fence::Closed(_)));
    tokio::time::timeout(DEADLINE, closed).await??;
    assert!(us.put(regions.organization).await.is_err(), "closed to writes");
    us.log.replica().accept().await?;
    us.until_open().await?;
    regions.write(&["us"], 3).await?;
    regions.heal(&links)?;
    step("accepted, forked and healed", regions.equal(&ALL).await?);
    regions.write(&ALL, 5).await?;
    step("written to after that", regions.equal(&ALL).await?);
    Ok(())
}

/// Restored while only eu can be asked, and gone on with it; ap holds what us lost, and eu now stands on another branch.
async fn a_region_that_was_not_heard_held_more(regions: &mut Regions) -> anyhow::Result<()> {
    let copies = tempfile::tempdir()?;
    let copy = copies.path().join("us");
    regions.infrastructure("us").postgres.copy_to(&copy).await?;
    regions.of("us").until_open().await?;
    regions.cut(&[("us", "eu"), ("eu", "ap")])?;
    regions.write(&["us"], 5).await?;
    regions.equal(&["us", "ap"]).await?;

    regions.cut(&[("us", "ap")])?;
    regions.infrastructure("us").nats.wipe_store().await?;
    regions.infrastructure("us").postgres.restore_from(&copy).await?;
    regions.heal(&[("us", "eu")])?;
    regions.of("us").until_open().await?;
    let lost = std::mem::take(&mut regions.written);
    regions.write(&["us", "eu"], 3).await?;
    step("gone on with eu alone", regions.equal(&["us", "eu"]).await?);

    regions.written.extend(lost);
    regions.heal(&[("us", "ap"), ("eu", "ap")])?;
    step("healed: ap held what us had lost", regions.equal(&ALL).await?);
    regions.write(&ALL, 5).await?;
    step("written to after that", regions.equal(&ALL).await?);
    Ok(())
}

fn step(what: &str, took: Duration) {
    println!("{what}: {} ms", took.as_millis());
}
