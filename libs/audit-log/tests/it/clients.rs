//! Where requests came from: kept at home, bound to the chain, deleted without breaking it.

use std::sync::Arc;

use access::{Client, PrincipalKind, Requested};
use audit_log::{Entry, Filter, Record, Retention, insert, purge, verify::Whole};

use crate::world::{World, entry, requested};

const ADDRESS: &str = "198.51.100.7";
const AGENT: &str = "a browser/1";

impl World {
    /// Somebody at `address` does something to each of `targets`, in one write.
    async fn write_from(&self, address: &str, agent: &str, targets: &[&str]) {
        let client = Client {
            region: "us".parse().expect("a region"),
            address: address.parse().ok(),
            user_agent: agent.into(),
        };
        let requested = Arc::new(Requested { client: Some(client), ..(*requested()).clone() });
        let entries: Vec<Entry> = targets
            .iter()
            .map(|target| Entry { requested: Some(requested.clone()), ..entry(self.organization, target) })
            .collect();
        let mut connection = self.db.acquire().await.expect("a connection");
        insert(&mut connection, &entries).await.expect("written");
    }

    async fn count(&self, table: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(query).fetch_one(&self.db).await.expect("a count")
    }
}

fn with_clients() -> Filter {
    Filter { with_clients: true, ..Filter::default() }
}

fn client(record: &Record) -> (Option<&str>, Option<&str>) {
    (record.client_ip.as_deref(), record.user_agent.as_deref())
}

#[tokio::test]
async fn an_entry_has_its_client_for_whoever_asks_for_it_and_is_found_by_it() {
    let world = World::keeping_clients("us").await;
    world.write("before").await;
    world.write_from(ADDRESS, AGENT, &["one", "two"]).await;
    world.write_from("2001:db8::1", "", &["three"]).await;
    world.write_from("", "", &["four"]).await;
    world.link().await;
    let all = world.read(with_clients()).await;
    let shown: Vec<_> = all.iter().map(client).collect();
    let same = (Some(ADDRESS), Some(AGENT));
    assert_eq!(shown, [(None, None), same, same, (Some("2001:db8::1"), None), (None, None)]);
    assert_ne!(all[1].client_hash, all[2].client_hash, "each has a salt of its own");
    assert!(all.iter().all(Record::has_its_client));
    assert_eq!(world.verify().await, Ok(Whole { entries: 5, chains: 1 }));
    // Who asks for entries alone gets the hash.
    let bare = world.read(Filter::default()).await;
    assert!(bare.iter().all(|record| client(record) == (None, None) && record.client_salt.is_none()));
    assert!(bare[1].client_hash.is_some() && bare[0].client_hash.is_none());
    for (filter, expected) in [
        (Filter { client_ip: Some(ADDRESS.to_owned()), ..Filter::default() }, vec!["one", "two"]),
        (Filter { user_agent: Some(AGENT.to_owned()), ..Filter::default() }, vec!["one", "two"]),
        (Filter { client_ip: Some("2001:db8::1".to_owned()), ..Filter::default() }, vec!["three"]),
        (Filter { client_ip: Some("192.0.2.1".to_owned()), ..Filter::default() }, vec![]),
    ] {
        let found = world.read(filter.clone()).await;
        let targets: Vec<_> = found.iter().map(|record| record.target.as_str()).collect();
        assert_eq!(targets, expected);
        // Of what a service of an earlier release lists, which knows no such filter, nothing passes.
        let let_through =
            |records: &[Record]| records.iter().filter(|record| filter.lets_client_through(record)).count();
        assert_eq!((let_through(&all), let_through(&bare)), (expected.len(), 0));
    }
}

#[tokio::test]
async fn away_from_home_nothing_of_a_client_is_kept_and_the_operators_is_nowhere() {
    let world = World::keeping_clients("eu").await;
    world.write_from(ADDRESS, AGENT, &["one"]).await;
    world.link().await;
    let home = World::keeping_clients("us").await;
    let requested = home.requested_from(ADDRESS);
    let operator = Entry {
        actor_kind: Some(PrincipalKind::Operator),
        requested: Some(requested),
        ..entry(home.organization, "one")
    };
    insert(&mut home.db.acquire().await.expect("a connection"), &[operator]).await.expect("written");
    home.link().await;
    for world in [world, home] {
        assert_eq!(world.count("resident.audit_client").await, 0);
        let entries = world.read(with_clients()).await;
        assert!(entries.len() == 1 && entries[0].client_hash.is_none(), "{entries:?}");
    }
}

impl World {
    fn requested_from(&self, address: &str) -> Arc<Requested> {
        let client = Client {
            region: "us".parse().expect("a region"),
            address: address.parse().ok(),
            user_agent: AGENT.into(),
        };
        Arc::new(Requested { client: Some(client), ..(*requested()).clone() })
    }
}

#[tokio::test]
async fn an_altered_client_is_named_and_a_deleted_one_breaks_nothing() {
    for column in ["address = '192.0.2.1'", "user_agent = 'another'", "salt = '\\x00'", "address = ''"] {
        let world = World::keeping_clients("us").await;
        world.write("before").await;
        world.write_from(ADDRESS, AGENT, &["one"]).await;
        world.link().await;
        world.execute(format!("UPDATE resident.audit_client SET {column}")).await;
        let (seq, what) = world.broken().await;
        assert!(seq == 2 && what.contains("address or the user agent"), "{column}: {seq} {what}");
    }
    let world = World::keeping_clients("us").await;
    world.write_from(ADDRESS, AGENT, &["one", "two"]).await;
    world.link().await;
    // An entry is not given another one's client, nor none.
    world.execute("DELETE FROM resident.audit_client").await;
    assert_eq!(world.verify().await, Ok(Whole { entries: 2, chains: 1 }), "it may be deleted");
    world.execute("UPDATE audit SET client_hash = NULL WHERE seq = 1").await;
    let (seq, what) = world.broken().await;
    assert!(seq == 1 && what.contains("hash is not that of its content"), "{seq} {what}");
}

#[tokio::test]
async fn clients_go_with_their_entries() {
    let world = World::keeping_clients("us").await;
    world.write_from(ADDRESS, AGENT, &["old"]).await;
    world.execute("UPDATE audit SET at = now() - interval '40 days'").await;
    world.write_from(ADDRESS, AGENT, &["young"]).await;
    world.link().await;
    assert_eq!(purge(&world.linker, Retention { days: 30 }).await.expect("purged"), 1);
    assert_eq!((world.count("audit").await, world.count("resident.audit_client").await), (1, 1));
    assert_eq!(client(&world.read(with_clients()).await[0]), (Some(ADDRESS), Some(AGENT)));
    assert_eq!(world.verify().await, Ok(Whole { entries: 1, chains: 1 }));
}
