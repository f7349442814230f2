//! Databases of earlier releases (`migrations/dumps`): today's migrations bring them up to date, the index loads them and
//! decides as that release did, and their logs can be read and applied anew.

use std::collections::BTreeMap;

use access::{Action, Resource};
use clock::Clock;
use ids::{OrganizationId, PrincipalId};
use oplog::Log;
use policy::Caller;
use postgres::PgPool;
use replication::{Applied, Intake, Origin, Signer, Tip};
use serde_json::Value;
use test_database::Dump;

use crate::{MIGRATIONS, app::SERVICE, apply::Rows, index};

fn log(db: PgPool, region: &str) -> Log<Rows> {
    let origin = Origin::new(SERVICE, &region.parse().expect("region"));
    Log::open(db, origin, Rows, Clock::system(), Signer::from_seed(&[7; 32]).expect("a key")).0
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value, member: &str) -> T {
    text(value, member).parse().expect("id")
}

/// The organizations whose digests are compared.
fn organizations(dump: &Dump) -> [OrganizationId; 2] {
    ["organization", "other_organization"].map(|member| id(&dump.known, member))
}

#[tokio::test]
async fn the_index_decides_as_the_release_did() {
    for dump in test_database::dumps(SERVICE.as_str()) {
        let database = dump.migrated(&[&MIGRATIONS, &oplog::MIGRATIONS]).await;
        let (live, _) = index::open(&log(database.pool(), &dump.region)).await.expect("the index loads");
        let snapshot = live.load();
        let mut asked = 0;
        for decided in dump.known["decisions"].as_array().expect("decisions") {
            let tokens = dump.known["tokens"].as_array().expect("tokens");
            let token = tokens.iter().find(|token| token["text"] == decided["token"]).expect("token");
            let caller = Caller {
                organization: id(token, "organization_id"),
                principal: id::<PrincipalId>(token, "principal_id"),
                session: None,
                issued_at: i64::MAX,
            };
            for check in decided["checks"].as_array().expect("checks") {
                let action: Action = text(check, "action").parse().expect("an action is never taken away");
                let decision = snapshot.index.decide(&caller, action, &resource(&check["on"]));
                let what = format!("{} {}: {check} for {token}", dump.release, dump.region);
                // The first region's dump was made as the questions were asked; the others are equal to it.
                assert_eq!(decision.is_allowed(), check["allowed"], "{what}");
                asked += 1;
            }
        }
        assert!(asked > 0, "{} has no decisions", dump.release);
    }
}

fn resource(on: &Value) -> Resource {
    match (on.get("control_plane_id"), on.get("region")) {
        (Some(_), Some(_)) => Resource::ControlPlane {
            id: id(on, "control_plane_id"),
            region: id(on, "region"),
            labels: BTreeMap::new(),
        },
        (None, Some(_)) => Resource::ControlPlanes { region: id(on, "region") },
        _ => Resource::Iam,
    }
}

#[tokio::test]
async fn logs_are_whole_and_make_the_same_rows_anew() {
    for dump in test_database::dumps(SERVICE.as_str()) {
        let database = dump.migrated(&[&MIGRATIONS, &oplog::MIGRATIONS]).await;
        let old = log(database.pool(), &dump.region);
        let old = old.replica();
        let mut intake = Intake::new(None, Applied::default());
        for (origin, held) in old.read_state().await.expect("read").tips {
            let mut tip = Tip::default();
            for entry in old.entries(&origin, 0, u32::MAX).await.expect("every entry is readable") {
                assert!(tip.precedes(&entry), "{} {origin}: after {:?}", dump.release, tip.position);
                tip = entry.tip();
                let _ = intake.offer(entry);
            }
            assert_eq!(tip, held, "{} {origin}", dump.release);
        }

        let fresh = test_database::create_with(&[&MIGRATIONS, &oplog::MIGRATIONS]).await;
        let new = log(fresh.pool(), "ap");
        let new = new.replica();
        loop {
            let ready = intake.ready();
            if ready.is_empty() {
                break;
            }
            new.receive(&ready).await.expect("every entry can be applied");
            ready.iter().for_each(|entry| intake.applied(entry));
        }
        assert!(intake.is_empty(), "every entry had its turn");
        for organization in organizations(&dump) {
            let (was, is) = (
                old.digest(organization).await.expect("read"),
                new.digest(organization).await.expect("read"),
            );
            assert_eq!(is, was, "{} {} {organization}", dump.release, dump.region);
        }
    }
}
