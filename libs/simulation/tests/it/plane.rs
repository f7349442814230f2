//! What the control plane had: recorded by the database in the transaction that makes each version, and kept by the simulation, for a
//! database that is put back forgets. And what it has now, read apart from the code that is tested.

use std::collections::{BTreeMap, HashMap, HashSet};

use ids::ControlPlaneId;
use serde_json::Value;
use sqlx::{PgPool, Row as _};
use sync::{Digest, EntityState};
use uuid::Uuid;

/// A version of an incarnation.
pub type Head = (u64, u64);

/// Added to the schema: each version with its digest as the transaction leaves it, and a clock that the simulation can move.
const RECORDING: &str = "
    CREATE TABLE test_database.version (number bigserial, epoch bigint, version bigint, digest bytea);
    CREATE FUNCTION test_database.record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO test_database.version (epoch, version, digest)
        SELECT epoch, version, digest FROM regional.control_plane WHERE id = NEW.id;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER record AFTER INSERT OR UPDATE ON regional.control_plane
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test_database.record();
    CREATE TABLE test_database.clock (ahead interval NOT NULL);
    INSERT INTO test_database.clock VALUES ('0');
    CREATE FUNCTION test_database.now() RETURNS timestamptz LANGUAGE sql STABLE
        RETURN pg_catalog.now() + (SELECT ahead FROM test_database.clock);";

/// Prepares a database that config has not used yet.
pub async fn record(db: &PgPool) {
    sqlx::raw_sql(RECORDING).execute(db).await.expect("recorded");
}

/// Sets the database's clock ahead of the machine's.
pub async fn set_clock(db: &PgPool, ahead: std::time::Duration) {
    let set = sqlx::query("UPDATE test_database.clock SET ahead = make_interval(secs => $1)");
    set.bind(ahead.as_secs_f64()).execute(db).await.expect("set");
}

/// All that the control plane had.
#[derive(Default)]
pub struct History {
    had: HashSet<(Head, Digest)>,
    heads: HashSet<Head>,
    /// Of each revocation, the version that deletes its entity, or the newest one while that is not done.
    revoked: HashMap<(u64, Uuid), u64>,
    number: i64,
}

impl History {
    /// Takes in what has been committed since the last call.
    pub async fn learn(&mut self, db: &PgPool) {
        let rows =
            sqlx::query("SELECT number, epoch, version, digest FROM test_database.version WHERE number > $1")
                .bind(self.number)
                .fetch_all(db)
                .await
                .expect("read");
        for row in rows {
            self.number = self.number.max(row.get(0));
            let head = (row.get::<i64, _>(1).cast_unsigned(), row.get::<i64, _>(2).cast_unsigned());
            self.had.insert((head, Digest::from_slice(row.get(3)).expect("32 bytes")));
            self.heads.insert(head);
        }
        let rows = sqlx::query(
            "SELECT r.seq, r.id, CASE WHEN r.version > 0 THEN r.version ELSE c.version END
             FROM regional.revocation AS r JOIN regional.control_plane AS c ON c.id = r.control_plane_id",
        );
        for row in rows.fetch_all(db).await.expect("read") {
            let (seq, version) = (row.get::<i64, _>(0).cast_unsigned(), row.get::<i64, _>(2).cast_unsigned());
            self.revoked.insert((seq, row.get(1)), version);
        }
    }

    /// The database was put back: it records anew.
    pub fn forget_place(&mut self) {
        self.number = 0;
    }

    pub fn had(&self, head: Head, digest: Digest) -> bool {
        self.had.contains(&(head, digest))
    }

    pub fn had_version(&self, head: Head) -> bool {
        self.heads.contains(&head)
    }

    /// Up to which version an entity is denied to whoever knows this revocation.
    pub fn denied_up_to(&self, seq: u64, id: Uuid) -> u64 {
        self.revoked.get(&(seq, id)).copied().unwrap_or(0)
    }
}

/// What the control plane has.
pub struct Plane {
    pub head: Head,
    pub digest: Digest,
    pub live: Vec<EntityState>,
    /// What config says that each node holds: head and digest, and whether they matched.
    pub nodes: HashMap<Uuid, (Head, Vec<u8>, bool)>,
}

impl Plane {
    pub async fn read(db: &PgPool, control_plane: ControlPlaneId) -> Self {
        let id = control_plane.uuid();
        let mut read = db.begin().await.expect("a transaction");
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *read)
            .await
            .expect("set");
        let head = sqlx::query("SELECT epoch, version, digest FROM regional.control_plane WHERE id = $1")
            .bind(id)
            .fetch_one(&mut *read)
            .await
            .expect("a control plane");
        let rows = sqlx::query("SELECT kind, id, version, body FROM regional.entity WHERE NOT deleted");
        let live = rows.fetch_all(&mut *read).await.expect("read").into_iter().map(|row| EntityState {
            kind: row.get(0),
            id: row.get(1),
            version: row.get::<i64, _>(2).cast_unsigned(),
            body: row.get::<String, _>(3).into(),
            deleted: false,
        });
        let rows = sqlx::query(
            "SELECT id, applied_epoch, applied_version, coalesce(applied_digest, ''), digest_matches FROM regional.node",
        );
        let nodes = rows.fetch_all(&mut *read).await.expect("read").into_iter().map(|row| {
            let head = (row.get::<i64, _>(1).cast_unsigned(), row.get::<i64, _>(2).cast_unsigned());
            (row.get(0), (head, row.get(3), row.get(4)))
        });
        Self {
            head: (head.get::<i64, _>(0).cast_unsigned(), head.get::<i64, _>(1).cast_unsigned()),
            digest: Digest::from_slice(head.get(2)).expect("32 bytes"),
            live: live.collect(),
            nodes: nodes.collect(),
        }
    }

    /// What it has, in the words of [`Model`].
    pub fn content(&self) -> Model {
        content(&self.live)
    }
}

/// The digest of entities.
pub fn digest(entities: &[EntityState]) -> Digest {
    entities.iter().filter_map(EntityState::digest).collect::<Vec<_>>().iter().collect()
}

/// Entities by name, each with what a write gives it.
pub type Model = BTreeMap<Name, String>;

/// How a write names an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// By its username; its value is the custom id.
    Consumer(String),
    /// A key of a consumer; its value is the consumer's username.
    Key(Uuid),
    /// By its name; its value is the host.
    Service(String),
    /// By its name; its value is the path.
    Route(String),
}

pub fn body(entity: &EntityState) -> Value {
    serde_json::from_slice(&entity.body).unwrap_or_default()
}

fn content(live: &[EntityState]) -> Model {
    let bodies: Vec<(&EntityState, Value)> = live.iter().map(|entity| (entity, body(entity))).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let username = |id: &Value| {
        let is = |entity: &EntityState| id.as_str() == Some(&entity.id.to_string());
        let consumer = bodies.iter().find(|(entity, _)| entity.kind == "consumer" && is(entity));
        consumer.map(|(_, body)| text(&body["username"])).unwrap_or_default()
    };
    let named = |(entity, body): &(&EntityState, Value)| {
        Some(match entity.kind.as_str() {
            "consumer" => (Name::Consumer(text(&body["username"])), text(&body["custom_id"])),
            "key_auth" => (Name::Key(entity.id), username(&body["consumer"]["id"])),
            "service" => (Name::Service(text(&body["name"])), text(&body["host"])),
            "route" => (Name::Route(text(&body["name"])), text(&body["paths"][0])),
            _ => return None,
        })
    };
    bodies.iter().filter_map(named).collect()
}
