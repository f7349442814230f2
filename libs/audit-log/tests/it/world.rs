//! The audit log of a service, and whoever writes to it.

use std::sync::Arc;

use access::{PrincipalKind, Requested, Whose};
use audit_log::{
    Entry, Filter, Linker, Linking, Place, Record, insert, page,
    verify::{Broken, Whole},
    verify_database,
};
use axum::http::Method;
use ids::{OrganizationId, PrincipalId, ServiceName, TokenId};
use replication::Signer;
use sqlx::{AssertSqlSafe, PgPool, migrate::Migrator};
use test_database::Database;

/// Makes the tables of a service that has no log.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/config");
/// Makes the tables of a service that keeps the clients of entries.
static WITH_CLIENTS: Migrator = sqlx::migrate!("../../migrations/identity");

pub struct World {
    pub db: PgPool,
    pub organization: OrganizationId,
    pub linking: Linking,
    pub linker: Linker,
    _database: Database,
}

impl World {
    pub async fn new() -> Self {
        Self::on(test_database::create(&MIGRATIONS).await, false)
    }

    /// A world in us that keeps the clients of entries, whose organization is at home in `home`.
    pub async fn keeping_clients(home: &str) -> Self {
        let world = Self::on(test_database::create(&WITH_CLIENTS).await, true);
        let organization = "INSERT INTO replicated.organization (id, name, owner_id, home_region) VALUES ($1, 'Acme', $1, '{}')";
        world.execute(organization.replace("{}", home)).await;
        world
    }

    fn on(database: Database, keeps_clients: bool) -> Self {
        let signer = Signer::from_seed(&[7; 32]).expect("a key");
        let linking = Linking {
            db: database.pool(),
            place: Place { service: ServiceName::Config, region: "us".parse().expect("a region") },
            keys: vec![signer.public().clone()],
            keeps_clients,
            signer: Arc::new(signer),
        };
        Self {
            db: database.pool(),
            organization: OrganizationId::generate(),
            linker: Linker::new(linking.clone()),
            linking,
            _database: database,
        }
    }

    /// A world whose chain has `count` entries, linked in two passes.
    pub async fn with_entries(count: usize) -> Self {
        let world = Self::new().await;
        for number in 0..count {
            world.write(&format!("thing {number}")).await;
            if number == count / 2 {
                world.link().await;
            }
        }
        world.link().await;
        world
    }

    /// Somebody does something to `target`.
    pub async fn write(&self, target: &str) {
        self.write_in(self.organization, target).await;
    }

    pub async fn write_in(&self, organization: OrganizationId, target: &str) {
        let mut connection = self.db.acquire().await.expect("a connection");
        insert(&mut connection, &[entry(organization, target)]).await.expect("written");
    }

    pub async fn link(&self) -> u64 {
        self.linker.link_once().await.expect("linked")
    }

    pub async fn verify(&self) -> Result<Whole, Broken> {
        let Linking { place, keys, keeps_clients, .. } = &self.linking;
        verify_database(&self.db, place, keys, *keeps_clients).await.expect("read")
    }

    /// What the verification says is wrong.
    pub async fn broken(&self) -> (u64, String) {
        let broken = self.verify().await.expect_err("it is not whole");
        (broken.seq, broken.difference.to_string())
    }

    pub async fn read(&self, filter: Filter) -> Vec<Record> {
        let filter = Filter { limit: 1000, ..filter };
        page(&self.db, &self.linking.place, self.organization, &filter).await.expect("read")
    }

    /// Runs a statement of the test's own; `$1` is the organization.
    pub async fn execute(&self, statement: impl Into<String>) {
        let statement: String = statement.into();
        sqlx::query(AssertSqlSafe(statement.replace("$1", &format!("'{}'", self.organization))))
            .execute(&self.db)
            .await
            .expect("a statement");
    }
}

/// What somebody did to `target`.
pub fn entry(organization: OrganizationId, target: &str) -> Entry {
    Entry::change(organization, "thing.put", target).by(whose(organization), requested())
}

pub fn whose(organization: OrganizationId) -> Whose {
    Whose {
        organization,
        principal: PrincipalId::from_uuid(uuid::Uuid::from_u128(1)),
        kind: PrincipalKind::User,
        session: Some(TokenId::from_uuid(uuid::Uuid::from_u128(2))),
    }
}

pub fn requested() -> Arc<Requested> {
    Arc::new(Requested {
        method: Method::PUT,
        route: "/things/{id}".into(),
        path: "/things/7".into(),
        id: "request".into(),
        trace: "0af7651916cd43dd8448eb211c80319c".into(),
        client: None,
    })
}
