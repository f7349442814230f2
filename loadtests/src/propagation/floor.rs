//! What no change can do without: a row that is durable in the gateway's store, and a message from one process to another.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use async_nats::{Client, ConnectOptions, Subscriber};
use futures::StreamExt as _;
use heed::{
    CommitOrAbort, Database, Env, EnvOpenOptions,
    byteorder::BE,
    types::{Bytes, U64},
};
use ids::{ServiceName, subject};
use testbed::Region;
use tokio::task::spawn_blocking;

use crate::{
    measured::Samples,
    openloop::{self, Schedule},
    report::Report,
};

/// Of the file, most of which is never used.
const MAP_BYTES: usize = 64 * 1024 * 1024;
/// About as long as an entity.
const ROW_BYTES: usize = 400;
/// Rows that take turns.
const ROWS: u64 = 1_000;

/// Both parts. Cheap to clone.
#[derive(Clone)]
pub struct Floor {
    rows: Arc<Mutex<Rows>>,
    nats: Arc<Nats>,
}

struct Rows {
    env: Env,
    table: Database<'static, U64<BE>, Bytes>,
}

struct Nats {
    client: Client,
    subject: String,
    received: tokio::sync::Mutex<Subscriber>,
}

impl Floor {
    /// A file beside those of the region's processes, and two connections to its NATS server: as config has them, for the message by which
    /// its replicas tell each other of a commit.
    pub async fn prepare(region: &Region) -> anyhow::Result<Self> {
        let folder = region.folder().make("floor")?;
        #[expect(unsafe_code, reason = "nobody else has the file")]
        let env = unsafe { EnvOpenOptions::new().max_dbs(1).map_size(MAP_BYTES).open(folder)? };
        let made = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
            let table = opener.create_database(txn, Some("rows"))?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(table))
        })?;
        let CommitOrAbort::Commit(table) = made else { bail!("the floor's table was not made") };
        let (client, subject) =
            (connect(region).await?, subject::config_changed(&region.infrastructure().region));
        let received = connect(region).await?.subscribe(subject.clone()).await?.into();
        let nats = Nats { client, subject, received };
        Ok(Self { rows: Arc::new(Mutex::new(Rows { env, table })), nats: Arc::new(nats) })
    }

    /// Measures one round and records `floor`, of both together, and each alone.
    pub async fn measure(&self, schedule: Schedule, report: &mut Report) -> anyhow::Result<()> {
        let floor = self.clone();
        let outcome = openloop::run(schedule, move |arrival| {
            let floor = floor.clone();
            async move {
                let rows = Arc::clone(&floor.rows);
                let commit = spawn_blocking(move || commit(&rows, arrival.number)).await??;
                Ok((commit, floor.nats.round_trip(arrival.number).await?))
            }
        })
        .await?;
        let times = |time: fn(&(Duration, Duration)) -> Duration| {
            Samples::new(outcome.values.iter().map(time).collect())
        };
        report.record_distribution("floor", &times(|(commit, trip)| *commit + *trip)?);
        report.record_times("floor.lmdb_commit", &times(|(commit, _)| *commit)?);
        report.record_times("floor.nats_round_trip", &times(|(_, trip)| *trip)?);
        Ok(())
    }
}

/// Commits a row. How long that takes, without what others before it took.
fn commit(rows: &Mutex<Rows>, number: u64) -> anyhow::Result<Duration> {
    let Rows { env, table } = &*rows.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let mut txn = env.write_txn()?;
    table.put(&mut txn, &(number % ROWS), &[number as u8; ROW_BYTES])?;
    txn.commit()?;
    Ok(began.elapsed())
}

impl Nats {
    /// How long a message takes from one connection to another.
    async fn round_trip(&self, number: u64) -> anyhow::Result<Duration> {
        // No id of a control plane: config pays no attention to it.
        let message = format!("floor {number}");
        let mut received = self.received.lock().await;
        let began = Instant::now();
        self.client.publish(self.subject.clone(), message.clone().into()).await?;
        while received.next().await.context("the connection to NATS was lost")?.payload != message {}
        Ok(began.elapsed())
    }
}

async fn connect(region: &Region) -> anyhow::Result<Client> {
    let on = region.infrastructure();
    let pair = on.ca.internal(ServiceName::Config.as_str())?;
    let options = ConnectOptions::new()
        .require_tls(true)
        .add_root_certificates(on.ca.internal_ca().certificate)
        .add_client_certificate(pair.certificate, pair.key)
        .custom_inbox_prefix(subject::inbox(ServiceName::Config, &on.region));
    Ok(options.connect(on.nats.url()).await?)
}
