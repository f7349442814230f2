//! Databases of earlier releases (`migrations/dumps`): today's migrations bring them up to date, tokens are resolved by
//! their text, the signing key opens, and their logs can be read and applied anew.

use access::{PrincipalKind, Session};
use clock::Clock;
use identity::{
    MIGRATIONS, SERVICE,
    apply::Rows,
    tokens::{TokenState, names::move_out, store::Resolved},
};
use ids::OrganizationId;
use oplog::Log;
use postgres::PgPool;
use replication::{Applied, Intake, Origin, Signer, Tip};
use seal::SealKey;
use serde_json::Value;
use test_database::Dump;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::region::{applying, format, prints, token_row};

fn log(db: PgPool, region: &str) -> Log<Rows> {
    let origin = Origin::new(SERVICE, &region.parse().expect("region"));
    Log::open(db, origin, applying(region), Clock::system(), Signer::from_seed(&[7; 32]).expect("a key")).0
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// The organizations whose digests are compared.
fn organizations(dump: &Dump) -> [OrganizationId; 2] {
    ["organization", "other_organization"].map(|member| text(&dump.known, member).parse().expect("id"))
}

#[tokio::test]
async fn tokens_are_who_they_were() {
    for dump in test_database::dumps(SERVICE.as_str()) {
        let database = dump.migrated(&[&MIGRATIONS, &oplog::MIGRATIONS]).await;
        // As of the dump: tokens expire.
        let now = OffsetDateTime::parse(text(&dump.known, "at"), &Rfc3339).expect("a time");
        for token in dump.known["tokens"].as_array().expect("tokens") {
            let what = format!("{} {}: {token}", dump.release, dump.region);
            let opaque = format().read(text(token, "text")).expect("a token keeps its form");
            let found = token_row(database.pool(), opaque.sha256()).await;
            let found =
                found.unwrap_or_else(|| panic!("no such token: {what}")).resolved(now).expect("readable");
            let Resolved { state, session: Session { organization, principal, kind, .. }, .. } = found;
            match (text(token, "state"), state) {
                ("active", TokenState::Active) => {
                    assert_eq!(organization.to_string(), token["organization_id"], "{what}");
                    assert_eq!(principal.to_string(), token["principal_id"], "{what}");
                    assert_eq!(kind == PrincipalKind::User, token["kind"] == "personal", "{what}");
                }
                ("revoked" | "expired" | "ended", TokenState::Revoked | TokenState::Expired) => {}
                (_, state) => panic!("{what} is {state:?}"),
            }
        }
        let stranger = token_row(database.pool(), [0; 32]).await;
        assert!(stranger.is_none(), "nobody's token");
    }
}

/// What people called their tokens leaves the replicated rows, and is there for them at home only.
#[tokio::test]
async fn names_of_peoples_tokens_stay_at_home() {
    for dump in test_database::dumps(SERVICE.as_str()) {
        let database = dump.migrated(&[&MIGRATIONS, &oplog::MIGRATIONS]).await;
        let (db, region) = (database.pool(), dump.region.parse().expect("a region"));
        let count = async |query: &'static str| -> i64 {
            sqlx::query_scalar(query).fetch_one(&db).await.expect(query)
        };
        let in_clear = "SELECT count(*) FROM replicated.token WHERE principal_kind = 'user' AND name <> ''";
        let named = count(in_clear).await;
        assert!(named > 0, "{} {}: the dump has such names", dump.release, dump.region);
        assert_eq!(move_out(&db, &region, &prints()).await.expect("moved"), named.cast_unsigned());
        assert_eq!(move_out(&db, &region, &prints()).await.expect("again"), 0);
        assert_eq!(count(in_clear).await, 0);
        let at_home: i64 = sqlx::query_scalar(
            "SELECT count(DISTINCT (t.id, t.name_print)) FROM replicated.token AS t
             JOIN replicated.organization AS o ON o.id = t.organization_id
             WHERE t.principal_kind = 'user' AND o.home_region = $1",
        )
        .bind(&dump.region)
        .fetch_one(&db)
        .await
        .expect("counted");
        assert_eq!(count("SELECT count(*) FROM resident.token_name").await, at_home, "{}", dump.region);
    }
}

#[tokio::test]
async fn the_signing_key_opens() {
    for dump in test_database::dumps(SERVICE.as_str()) {
        let database = dump.migrated(&[&MIGRATIONS, &oplog::MIGRATIONS]).await;
        let key = blake3::Hash::from_hex(text(&dump.known["seal_keys"][&dump.region], SERVICE.as_str()))
            .expect("a key");
        let seal = SealKey::new(&key.into());
        let secrets: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT id, sealed FROM regional.signing_secret")
                .fetch_all(&database.pool())
                .await
                .expect("read");
        assert_eq!(secrets.len(), 1, "{} {}", dump.release, dump.region);
        for (id, sealed) in secrets {
            seal.open(id.as_bytes(), &sealed).expect("the signing key opens");
        }
    }
}

#[tokio::test]
async fn logs_are_whole_and_make_the_same_rows_anew() {
    for dump in test_database::dumps(SERVICE.as_str()) {
        let database = dump.migrated(&[&MIGRATIONS, &oplog::MIGRATIONS]).await;
        let region = dump.region.parse().expect("a region");
        move_out(&database.pool(), &region, &prints()).await.expect("moved");
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
