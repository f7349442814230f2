//! What requests report is written by the recorder, and becomes part of the chain.

use std::{sync::Arc, time::Duration};

use access::{Event, Happened, Reporter, Requested};
use audit_log::{Filter, Record, Recorder};
use policy::Action;
use tokio_util::sync::CancellationToken;
use web::ProblemType;

use crate::world::{World, requested, whose};

async fn recorded(world: &World, reporter: Reporter, recorder: Recorder) -> Vec<Record> {
    let drain = CancellationToken::new();
    let running = tokio::spawn(recorder.run(drain.clone()));
    drop(reporter);
    drain.cancel();
    running.await.expect("ended").expect("written");
    while world.link().await > 0 {}
    world.read(Filter::default()).await
}

#[tokio::test]
async fn refusals_and_sign_ons_are_written_with_their_reasons() {
    let world = World::new().await;
    let (reporter, reports) = Reporter::new();
    let recorder = Recorder::new(world.db.clone(), reports);
    let report = |happened| {
        reporter.report(Event { whose: whose(world.organization), happened, requested: requested() });
    };
    report(Happened::Denied(Some(Action::RouteWrite), ProblemType::Forbidden));
    report(Happened::NotAuthenticated(ProblemType::Unauthenticated));
    report(Happened::SignedOn("token.exchange"));
    for _ in 0..9 {
        report(Happened::Denied(Some(Action::RouteWrite), ProblemType::Forbidden));
    }
    let records = recorded(&world, reporter.clone(), recorder).await;
    let mut shown: Vec<_> = records
        .iter()
        .map(|record| {
            let problem = record.problem.as_deref().unwrap_or_default();
            (record.kind.as_str(), record.action.as_str(), record.outcome.as_str(), problem, record.count)
        })
        .collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            ("authentication", "authenticate", "failed", "unauthenticated", 1),
            ("authentication", "token.exchange", "allowed", "", 1),
            ("authorization", "route:Write", "denied", "forbidden", 10),
        ]
    );
    let denied = records.iter().find(|record| record.kind == "authorization").expect("denied");
    assert_eq!(denied.target, "/things/7");
    assert!(denied.last_time.is_some());
    assert!(world.verify().await.is_ok());
}

/// The queue is full before the recorder runs: what did not fit is told, and counted.
#[tokio::test]
async fn what_was_dropped_is_an_entry() {
    let world = World::new().await;
    let (reporter, reports) = Reporter::new();
    for number in 0..5000 {
        let requested = Arc::new(Requested { path: format!("/x/{number}").into(), ..(*requested()).clone() });
        let happened = Happened::Denied(None, ProblemType::Forbidden);
        reporter.report(Event { whose: whose(world.organization), happened, requested });
    }
    let recorder = Recorder::new(world.db.clone(), reports);
    let records = recorded(&world, reporter.clone(), recorder).await;
    let count = |action: &str| {
        records.iter().filter(|record| record.action == action).map(|record| record.count).sum::<u64>()
    };
    assert_eq!((count("request"), count("audit.dropped")), (4096, 904));
    assert!(records.len() <= 3, "many equal ones are few entries: {}", records.len());
}

/// While the database is away, events wait, and are counted together.
#[tokio::test]
async fn refusals_wait_for_the_database() {
    let world = World::new().await;
    world.execute("ALTER TABLE audit RENAME TO away").await;
    let (reporter, reports) = Reporter::new();
    let drain = CancellationToken::new();
    let running = tokio::spawn(Recorder::new(world.db.clone(), reports).run(drain.clone()));
    let happened = Happened::Denied(None, ProblemType::Forbidden);
    for _ in 0..3 {
        reporter.report(Event { whose: whose(world.organization), happened, requested: requested() });
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    world.execute("ALTER TABLE away RENAME TO audit").await;
    drain.cancel();
    running.await.expect("ended").expect("written");
    while world.link().await > 0 {}
    let records = world.read(Filter::default()).await;
    assert_eq!(records.iter().map(|record| record.count).sum::<u64>(), 3);
}
