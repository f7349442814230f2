//! One region's service: a log, its replication, and the listener for the same service of other regions.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use clock::Clock;
use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use ids::{OrganizationId, subject};
use oplog::{Author, Log};
use postgres::{PgPool, SqlId};
use random::Random;
use replication::{Entry, Origin, Position};
use replication_runtime::{Options, Replication};
use serde::Deserialize;
use service::{Identity, Process, connect_nats, log_keyring, log_signer};
use settings::sections::{Database, Listen, LogKeys, Nats, PeerRegion, Public, Tls};
use testbed::{Infrastructure, ServiceName, wait};
use tonic::service::Routes;
use uuid::Uuid;

use crate::{DEADLINE, rows};

/// The name under which the testbed makes certificates, ports and a database.
const SERVICE: ServiceName = ServiceName::Authz;

/// NATS says nothing to a request that is not allowed.
const REFUSED_AFTER: Duration = Duration::from_millis(500);

/// The sections of a service's settings that replication needs.
#[derive(Deserialize)]
struct Settings {
    region: ids::Region,
    listen: Listen,
    tls: Tls,
    database: Database,
    nats: Nats,
    log: LogKeys,
    public: Public,
    #[serde(default)]
    regions: BTreeMap<ids::Region, PeerRegion>,
}

pub struct Region {
    pub name: String,
    pub log: Log<rows::Rows>,
    pub replication: Replication,
    /// The region's own NATS, as this service is let in there.
    pub nats: async_nats::Client,
    db: PgPool,
    identity: Identity,
    others: BTreeMap<ids::Region, PeerRegion>,
}

/// All that has to be equal in every region.
#[derive(PartialEq)]
pub struct State {
    /// End of each log: epoch, sequence number and the hash of its chain.
    pub tips: BTreeMap<String, (u32, u64, String)>,
    pub ids: BTreeSet<Uuid>,
    digest: [u8; 32],
}

impl Region {
    pub async fn start(process: &mut Process, infrastructure: &Infrastructure) -> anyhow::Result<Self> {
        let settings = load(infrastructure.service(ServiceName::Authz).settings())?;
        let db = postgres::connect(&settings.database, &settings.tls);
        postgres::migrate(&db, &sqlx::migrate!("../../migrations/authz")).await?;
        oplog::migrate(&db).await?;
        sqlx::raw_sql(rows::TABLES).execute(&db).await?;

        let identity = Identity::load(&settings.tls)?;
        let origin = Origin::new(SERVICE, &settings.region);
        let (log, committer) =
            Log::open(db.clone(), origin, rows::Rows, Clock::system(), log_signer(&settings.log)?);
        process.task("log", committer.run(process.drain.clone()));
        let nats =
            connect_nats(&settings.nats, &identity, (SERVICE, &settings.region), Random::system()).await?;
        let options = Options {
            log: log.replica().clone(),
            keys: log_keyring(SERVICE, &settings.region, &settings.log, &settings.regions)?,
            regions: settings.regions.clone(),
            identity: identity.clone(),
            nats: nats.clone(),
            public: settings.public,
            clock: Clock::system(),
            random: Random::system(),
        };
        let (replication, server) = replication_runtime::start(process, options)?;
        let router = Routes::new(server).into_axum_router();
        process.peers(settings.listen.peers, &identity, &settings.regions, SERVICE, router).await?;
        let (name, others) = (settings.region.to_string(), settings.regions);
        Ok(Self { name, log, replication, nats, db, identity, others })
    }

    /// Adds a thing; answers its id once the write is answered.
    pub async fn put(&self, organization: OrganizationId) -> anyhow::Result<Uuid> {
        let id = Uuid::now_v7();
        let written = self.log.write(Author::operator(), move |tx| {
            Box::pin(async move {
                tx.append(organization, rows::Thing::Put(id)).await?;
                Ok::<_, anyhow::Error>(())
            })
        });
        written.await?;
        Ok(id)
    }

    pub async fn until_open(&self) -> anyhow::Result<()> {
        let what = format!("{} takes writes", self.name);
        wait::until(&what, DEADLINE, async || match self.log.replica().is_confirmed().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{:?}", *self.replication.fence().borrow())),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    pub async fn state(&self, organization: OrganizationId) -> Result<State, postgres::Error> {
        let tips = self.log.replica().read_state().await?.tips.into_iter().map(|(origin, tip)| {
            let hash = tip.hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
            (origin.to_string(), (tip.position.epoch, tip.position.seq, hash))
        });
        let rows: Vec<(Uuid,)> = sqlx::query_as("SELECT id FROM thing WHERE organization_id = $1")
            .bind(SqlId(organization))
            .fetch_all(&self.db)
            .await?;
        let ids = rows.into_iter().map(|(id,)| id).collect();
        let (_, digest) = self.log.replica().digest(organization).await?;
        Ok(State { tips: tips.collect(), ids, digest })
    }

    /// This service as a client of another region's NATS.
    pub async fn reader_of(&self, other: &str) -> anyhow::Result<async_nats::Client> {
        let peer = self.others.get(&other.parse::<ids::Region>()?).context("another region")?;
        let client = async_nats::ConnectOptions::new()
            .require_tls(true)
            .tls_client_config(service::peer_client_config(peer, &self.identity)?)
            .custom_inbox_prefix(subject::inbox(SERVICE, self.log.origin().region()))
            .request_timeout(Some(REFUSED_AFTER));
        Ok(client.connect(&peer.nats).await?)
    }

    /// Makes this region say that the log of `entry` goes on with it: what somebody could do who has all of the region.
    pub async fn pretend_to_hold(&self, entry: &Entry) -> anyhow::Result<()> {
        let Position { epoch, seq } = entry.position;
        sqlx::query("UPDATE log_origin SET epoch = $2, seq = $3, hash = $4 WHERE origin = $1")
            .bind(entry.origin.to_string())
            .bind(i64::from(epoch))
            .bind(seq.cast_signed())
            .bind(entry.hash().to_vec())
            .execute(&self.db)
            .await?;
        Ok(())
    }

    /// Leaves the log of `origin` as a release left it that did not sign, and the lease to whoever takes it.
    pub async fn forget_signatures(&self, origin: &Origin) -> anyhow::Result<()> {
        sqlx::query("UPDATE log_operation SET signature = NULL WHERE origin = $1")
            .bind(origin.to_string())
            .execute(&self.db)
            .await?;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&self.db)
        .await?;
        Ok(())
    }

    /// How many entries of any log are not signed.
    pub async fn unsigned(&self) -> anyhow::Result<i64> {
        let query = sqlx::query_as("SELECT count(*) FROM log_operation WHERE signature IS NULL");
        let (count,) = query.fetch_one(&self.db).await?;
        Ok(count)
    }

    /// What a fault of the service or of a disk could do.
    pub async fn lose_a_row(&self, organization: OrganizationId) -> anyhow::Result<()> {
        let lost = sqlx::query(
            "DELETE FROM thing WHERE id = (SELECT id FROM thing WHERE organization_id = $1 LIMIT 1)",
        );
        let lost = lost.bind(SqlId(organization)).execute(&self.db).await?;
        anyhow::ensure!(lost.rows_affected() == 1, "there is no row to lose");
        Ok(())
    }
}

fn load(path: &Path) -> anyhow::Result<Settings> {
    Ok(Figment::from(Toml::file_exact(path)).extract()?)
}
