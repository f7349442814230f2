//! Entries become chains, whichever transaction commits when; old ones go, and what is left is whole.

use std::collections::BTreeMap;

use audit_log::{Filter, Line, Linker, Retention, insert, purge, state, verify::Whole, verify_lines};
use ids::OrganizationId;

use crate::world::{World, entry};

#[tokio::test]
async fn every_entry_is_linked_in_its_organizations_chain() {
    let world = World::new().await;
    let other = OrganizationId::generate();
    assert_eq!(world.verify().await, Ok(Whole::default()), "an empty log is whole");
    for number in 0..5 {
        world.write(&format!("thing {number}")).await;
        world.write_in(other, "another").await;
    }
    assert!(world.read(Filter::default()).await.is_empty(), "what is not linked is not shown");
    assert_eq!(world.link().await, 10);
    assert_eq!(world.link().await, 0);
    world.write("thing 5").await;
    assert_eq!(world.link().await, 1);
    let records = world.read(Filter::default()).await;
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(records.windows(2).all(|pair| pair[0].hash == pair[1].prev_hash));
    let first = &records[0];
    assert_eq!((first.kind.as_str(), first.outcome.as_str(), first.count), ("change", "allowed", 1));
    assert_eq!((first.action.as_str(), first.target.as_str()), ("thing.put", "thing 0"));
    assert_eq!((first.method.as_deref(), first.route.as_deref()), (Some("PUT"), Some("/things/{id}")));
    assert_eq!((first.request_id.as_deref(), first.actor_type.as_deref()), (Some("request"), Some("user")));
    assert_eq!(world.verify().await, Ok(Whole { entries: 11, chains: 2 }));
}

/// An id is drawn before its transaction commits, so a smaller one can become visible later.
#[tokio::test]
async fn an_entry_that_commits_late_is_linked_all_the_same() {
    let world = World::new().await;
    let mut late = world.db.begin().await.expect("a transaction");
    insert(&mut late, &[entry(world.organization, "late")]).await.expect("written");
    world.write("early").await;
    assert_eq!(world.link().await, 1);
    late.commit().await.expect("committed");
    assert_eq!(world.link().await, 1);
    let targets: Vec<_> =
        world.read(Filter::default()).await.into_iter().map(|record| record.target).collect();
    assert_eq!(targets, ["early", "late"]);
    assert_eq!(world.verify().await, Ok(Whole { entries: 2, chains: 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_link_at_once_make_one_chain() {
    let world = World::new().await;
    let linkers: Vec<_> = (0..4).map(|_| Linker::new(world.linking.clone())).collect();
    for round in 0..10 {
        for number in 0..20 {
            world.write(&format!("{round}.{number}")).await;
        }
        let passes = linkers.iter().map(|linker| {
            let linker = linker.clone();
            tokio::spawn(async move { linker.link_once().await.expect("linked") })
        });
        for pass in passes.collect::<Vec<_>>() {
            pass.await.expect("ended");
        }
    }
    while world.link().await > 0 {}
    assert_eq!(world.verify().await, Ok(Whole { entries: 200, chains: 1 }));
}

#[tokio::test]
async fn an_entry_of_an_earlier_release_is_linked_too() {
    let world = World::new().await;
    world.execute("INSERT INTO audit (organization_id, action, target) VALUES ($1, 'old', 'thing')").await;
    world.link().await;
    assert_eq!(world.read(Filter::default()).await[0].action, "old");
    assert_eq!(world.verify().await, Ok(Whole { entries: 1, chains: 1 }));
}

#[tokio::test]
async fn filters_narrow_what_is_read() {
    let world = World::with_entries(4).await;
    let count = async |filter| world.read(filter).await.len();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(count(Filter { after: 1, up_to: Some(3), ..Filter::default() }).await, 2);
    assert_eq!(count(Filter { action: text("thing.put"), ..Filter::default() }).await, 4);
    assert_eq!(count(Filter { action: text("thing"), ..Filter::default() }).await, 0);
    assert_eq!(count(Filter { kind: text("authorization"), ..Filter::default() }).await, 0);
    assert_eq!(count(Filter { outcome: text("allowed"), ..Filter::default() }).await, 4);
    let second = world.read(Filter::default()).await[1].time;
    assert_eq!(count(Filter { from: Some(second), ..Filter::default() }).await, 3);
    assert_eq!(count(Filter { until: Some(second), ..Filter::default() }).await, 2);
}

#[tokio::test]
async fn old_entries_go_and_the_rest_is_whole() {
    let world = World::new().await;
    for number in 0..6 {
        world.write(&format!("thing {number}")).await;
    }
    // The fourth is young, so what lies behind it stays, however old it says it is.
    world
        .execute("UPDATE audit SET at = now() - interval '31 days' WHERE target <> 'thing 3' AND target <> 'thing 5'")
        .await;
    world.link().await;
    let removed = purge(&world.linker, Retention { days: 30 }).await.expect("purged");
    assert_eq!(removed, 3);
    assert_eq!(world.verify().await, Ok(Whole { entries: 3, chains: 1 }));
    assert_eq!(world.read(Filter::default()).await[0].seq, 4);
    assert_eq!(purge(&world.linker, Retention { days: 30 }).await.expect("purged"), 0);
    world.write("thing 6").await;
    world.link().await;
    assert_eq!(world.verify().await, Ok(Whole { entries: 4, chains: 1 }));
    // All of it.
    world.execute("UPDATE audit SET at = at").await;
    assert_eq!(world.verify().await, Ok(Whole { entries: 4, chains: 1 }));
}

#[tokio::test]
async fn an_export_is_verified_without_the_database() {
    let world = World::with_entries(7).await;
    let state = state(&world.db, &world.linking.place, world.organization).await.expect("read");
    let mut lines = vec![Line::Chain(state)];
    lines.extend(world.read(Filter::default()).await.into_iter().map(Line::Entry));
    let text = |lines: &[Line]| {
        let lines = lines.iter().map(|line| serde_json::to_string(line).expect("JSON") + "\n");
        lines.collect::<String>()
    };
    let keys = BTreeMap::from([(world.linking.place.clone(), world.linking.keys.clone())]);
    let verify = |text: &str| verify_lines(&mut text.as_bytes(), &keys);
    let whole = text(&lines);
    assert_eq!(verify(&whole).expect("read"), Ok(Whole { entries: 7, chains: 1 }));
    let altered = whole.replacen("thing 3", "thing X", 1);
    let broken = verify(&altered).expect("read").expect_err("found");
    assert_eq!((broken.seq, broken.chain), (4, format!("config.us/{}", world.organization)));
    let cut: Vec<Line> = lines[..5].to_vec();
    assert_eq!(verify(&text(&cut)).expect("read").expect_err("found").seq, 5);
    assert!(verify("{}\n").is_err(), "no line of an export");
    let error = verify_lines(&mut whole.as_bytes(), &BTreeMap::new()).expect_err("no key");
    assert!(error.to_string().contains("--key config.us="), "{error}");
}
