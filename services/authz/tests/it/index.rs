//! The index follows the log: after a restart, a restore, rows made anew and a revocation before its turn; it ends at what it cannot
//! read.

use std::time::Duration;

use authz::{
    apply::Rows,
    index::{self, IndexFollower, LiveIndex},
    operation::{Kind, Operation},
};
use clock::Clock;
use ids::{PrincipalId, ServiceName};
use oplog::{Author, Log};
use replication::Origin;
use test_database::Database;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::support::{acme, database, region, signer};

/// Longest time that a test waits for something to happen.
const DEADLINE: Duration = Duration::from_secs(20);

struct Replica {
    log: Log<Rows>,
    live: LiveIndex,
    followed: JoinHandle<anyhow::Result<()>>,
    _running: DropGuard,
}

fn log(database: &Database, running: &CancellationToken) -> Log<Rows> {
    let origin = Origin::new(ServiceName::Authz, &region("us"));
    let (log, committer) = Log::open(database.pool(), origin, Rows, Clock::system(), signer());
    tokio::spawn(committer.run(running.clone()));
    log
}

async fn open(database: &Database) -> Replica {
    let running = CancellationToken::new();
    let log = log(database, &running);
    let (live, follower): (LiveIndex, IndexFollower) = index::open(&log).await.expect("the index loads");
    let followed = tokio::spawn(follower.run(running.clone()));
    Replica { log, live, followed, _running: running.drop_guard() }
}

fn person(number: u128) -> PrincipalId {
    PrincipalId::from_uuid(Uuid::from_u128(number))
}

async fn put(log: &Log<Rows>, number: u128) {
    let operation =
        Operation::PrincipalPut { id: person(number), kind: Kind::User, active: true, not_before: None };
    let written = log.write(Author::operator(), move |tx| {
        Box::pin(async move { tx.append(acme(), operation).await.map_err(mutation::Error::from) })
    });
    written.await.expect("write");
}

impl Replica {
    fn knows(&self, number: u128) -> bool {
        self.live.load().index.has_heard_of(acme(), person(number))
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let so = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, so).await.unwrap_or_else(|_| panic!("not in time: {what}"));
    }
}

#[tokio::test]
async fn own_writes_and_those_of_another_process_arrive() {
    let database = database().await;
    let (one, other) = (open(&database).await, open(&database).await);
    one.log.replica().confirm().await.expect("confirm");
    put(&one.log, 1).await;
    put(&other.log, 2).await;
    for replica in [&one, &other] {
        replica.until("both writes", |replica| replica.knows(1) && replica.knows(2)).await;
        let snapshot = replica.live.load();
        let end = snapshot.vector.get(one.log.origin()).expect("a position");
        assert_eq!(end.seq, 2);
        assert_eq!(snapshot.seen(acme()).get(one.log.origin()), Some(end));
    }
    let restarted = open(&database).await;
    assert!(restarted.knows(1) && restarted.knows(2));
    assert_eq!(restarted.live.load().vector, one.live.load().vector);
    assert_eq!(restarted.live.load().seen(acme()), one.live.load().seen(acme()));
}

#[tokio::test]
async fn a_database_put_back_to_an_earlier_copy_is_read_anew() {
    let database = database().await;
    let replica = open(&database).await;
    replica.log.replica().confirm().await.expect("confirm");
    put(&replica.log, 1).await;
    let copy = database.copy().await;
    put(&replica.log, 2).await;
    replica.until("the write", |replica| replica.knows(2)).await;
    database.restore(&copy).await;
    replica.until("the earlier rows", |replica| replica.knows(1) && !replica.knows(2)).await;
    // It goes on from there.
    assert!(replica.log.replica().accept().await.expect("accept"));
    put(&replica.log, 3).await;
    replica.until("a write after the restore", |replica| replica.knows(3)).await;
    assert!(!replica.knows(2));
}

#[tokio::test]
async fn rows_made_anew_are_read_anew() {
    let database = database().await;
    let replica = open(&database).await;
    replica.log.replica().confirm().await.expect("confirm");
    put(&replica.log, 1).await;
    replica.until("the write", |replica| replica.knows(1)).await;
    let (_, digest) = replica.log.replica().digest(acme()).await.expect("digest");
    // A fault of the rows, which no effect tells.
    for junk in [
        "INSERT INTO replicated.principal (id, organization_id, kind, active)
         SELECT uuidv7(), organization_id, kind, active FROM replicated.principal",
        "INSERT INTO replicated.organization (id, status, home_region)
         SELECT organization_id, 'active', 'us' FROM log_organization",
        "INSERT INTO replicated.team (id, organization_id, name, description)
         SELECT uuidv7(), organization_id, 'n', 'd' FROM log_organization",
        "INSERT INTO replicated.membership (id, team_id, principal_id, organization_id)
         SELECT uuidv7(), uuidv7(), uuidv7(), organization_id FROM log_organization",
        "INSERT INTO replicated.assignment
         (id, organization_id, team_id, role_name, entity_type_name, entity_id, entity_region)
         SELECT uuidv7(), organization_id, uuidv7(), 'Viewer', 'Control Planes', '*', '*' FROM log_organization",
        "INSERT INTO replicated.removed (id, organization_id) SELECT uuidv7(), organization_id FROM log_organization",
        "INSERT INTO replicated.edge_grant
         (origin, seq, epoch, organization_id, edge_id, deps, authority, ended, void)
         SELECT 'authz.eu', 9, 1, organization_id, uuidv7(), '{}', '{}', false, false FROM log_organization",
        "INSERT INTO replicated.revocation (origin, seq, epoch, organization_id, subject_id, deps)
         SELECT 'authz.eu', 9, 1, organization_id, uuidv7(), '{}' FROM log_organization",
    ] {
        let junk = junk.replace("uuidv7()", "gen_random_uuid()");
        sqlx::query(sqlx::AssertSqlSafe(junk)).execute(&database.pool()).await.expect("junk");
    }
    assert_ne!(replica.log.replica().digest(acme()).await.expect("digest").1, digest);
    replica.log.replica().rebuild(acme()).await.expect("rebuild");
    assert_eq!(replica.log.replica().digest(acme()).await.expect("digest").1, digest);
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM replicated.edge_grant) + (SELECT count(*) FROM replicated.revocation)
              + (SELECT count(*) FROM replicated.removed) + (SELECT count(*) FROM replicated.organization)",
    )
    .fetch_one(&database.pool())
    .await
    .expect("count");
    assert_eq!(left, 1, "that one principal is active, and nothing else");
    put(&replica.log, 2).await;
    replica.until("a write after the rebuild", |replica| replica.knows(2)).await;
}

#[tokio::test]
async fn what_it_cannot_read_ends_it() {
    for (what, statement) in [
        ("effects", "UPDATE log_applied SET effects = '[{\"kind\":\"principal.cloned\",\"body\":{}}]'"),
        (
            "a role",
            "UPDATE log_applied SET effects = '[{\"kind\":\"assignment.put\",\"body\":{\"holder\":{\"team\":
             \"00000000-0000-0000-0000-000000000001\"},\"role\":{\"role_name\":\"x\",\"entity_id\":\"*\",
             \"entity_type_name\":\"y\",\"entity_region\":\"*\"}}}]'",
        ),
    ] {
        let database = database().await;
        let running = CancellationToken::new();
        let log = log(&database, &running);
        let (_, follower) = index::open(&log).await.expect("the index loads");
        log.replica().confirm().await.expect("confirm");
        put(&log, 1).await;
        sqlx::query(statement).execute(&database.pool()).await.expect("execute");
        let ended = timeout(DEADLINE, follower.run(running.clone())).await.expect("it ends");
        assert!(ended.is_err(), "{what}");
        running.cancel();
    }
}

#[tokio::test]
async fn a_row_that_it_cannot_read_keeps_it_from_opening() {
    for statement in [
        "INSERT INTO replicated.principal (id, organization_id, kind, active)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'robot', true)",
        "INSERT INTO replicated.organization (id, status, home_region) VALUES (gen_random_uuid(), 'asleep', 'us')",
        "INSERT INTO replicated.organization (id, status, home_region) VALUES (gen_random_uuid(), 'active', '')",
        "INSERT INTO replicated.assignment
         (id, organization_id, team_id, role_name, entity_type_name, entity_id, entity_region)
         VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'x', 'y', '*', '*')",
    ] {
        let database = database().await;
        for check in [
            "ALTER TABLE replicated.principal DROP CONSTRAINT principal_kind_check",
            "ALTER TABLE replicated.organization DROP CONSTRAINT organization_status_check",
        ] {
            sqlx::query(check).execute(&database.pool()).await.expect("execute");
        }
        sqlx::query(statement).execute(&database.pool()).await.expect("execute");
        let running = CancellationToken::new();
        let opened = index::open(&log(&database, &running)).await;
        assert!(matches!(opened, Err(index::LoadError::Row(_))), "{statement}");
        running.cancel();
    }
}

#[tokio::test]
async fn it_ends_with_the_process_and_waits_no_longer_than_two_seconds_for_a_write() {
    let database = database().await;
    let replica = open(&database).await;
    let far =
        [(replica.log.origin().clone(), replication::Position { epoch: 9, seq: 9 })].into_iter().collect();
    timeout(DEADLINE, replica.live.wait_visible(&far)).await.expect("it goes on");
    let Replica { followed, _running, .. } = replica;
    drop(_running);
    timeout(DEADLINE, followed).await.expect("it ends").expect("no panic").expect("no error");
}
