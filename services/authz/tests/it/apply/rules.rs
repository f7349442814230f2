//! Each rule by itself, as somebody would tell it: in every order, with every revocation denied early as well.

use authz::operation::{HolderId, Kind, Operation, TeamPut, administrators_id, assignment_id, membership_id};
use ids::{OrganizationId, PrincipalId, TeamId, TokenId};
use oplog::Apply as _;
use policy::{AssignedRole, Role, Scope};
use uuid::Uuid;

use super::{
    definition::Rows,
    history::{AP, EU, History, Seen, US},
    replay::{self, Replay},
};
use crate::support::{acme, database, region};

fn ada() -> PrincipalId {
    PrincipalId::from_uuid(Uuid::from_u128(0xada))
}

fn mallory() -> PrincipalId {
    PrincipalId::from_uuid(Uuid::from_u128(0xbad))
}

fn team() -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(0x7ea))
}

fn session() -> TokenId {
    TokenId::from_uuid(Uuid::from_u128(0x5e5))
}

fn viewer() -> AssignedRole {
    AssignedRole::new(Role::ControlPlaneViewer, &Scope::AllRegions)
}

fn member(principal: PrincipalId) -> Operation {
    Operation::MemberAdded { team_id: team(), principal_id: principal }
}

fn no_member(principal: PrincipalId) -> Operation {
    Operation::MemberRemoved { team_id: team(), principal_id: principal }
}

fn membership(principal: PrincipalId) -> Uuid {
    membership_id(acme(), team(), principal)
}

fn assigned(principal: PrincipalId) -> Operation {
    Operation::AssignmentPut { holder: HolderId::Principal(principal), role: viewer() }
}

fn assignment(principal: PrincipalId) -> Uuid {
    assignment_id(acme(), HolderId::Principal(principal).into(), &viewer()).uuid()
}

fn not_assigned(principal: PrincipalId) -> Operation {
    Operation::AssignmentRemoved {
        id: assignment_id(acme(), HolderId::Principal(principal).into(), &viewer()),
    }
}

fn put(id: PrincipalId, active: bool) -> Operation {
    Operation::PrincipalPut { id, kind: Kind::User, active, not_before: None }
}

fn not_before(seconds: i64) -> Operation {
    Operation::PrincipalPut { id: ada(), kind: Kind::User, active: true, not_before: Some(seconds) }
}

fn removed(id: PrincipalId) -> Operation {
    Operation::PrincipalRemoved { id }
}

fn ended(id: TokenId) -> Operation {
    Operation::SessionRevoked { id, expires_at: 9 }
}

fn team_put(name: &str) -> Operation {
    team_of(team(), name, false)
}

fn team_of(id: TeamId, name: &str, predefined: bool) -> Operation {
    Operation::TeamPut(TeamPut {
        id,
        name: name.to_owned(),
        description: Some("d".to_owned()),
        predefined,
        labels: [("env".to_owned(), "prod".to_owned())].into(),
    })
}

fn team_removed() -> Operation {
    Operation::TeamRemoved { id: team() }
}

/// Applies the history in every order, plainly and with each revocation denied before anything else; answers the rows at the end,
/// which the replay compares with the definition.
async fn rows(history: &History) -> Rows {
    let database = database().await;
    let pool = database.pool();
    let revocations: Vec<usize> =
        (0..history.made.len()).filter(|place| history.is_revocation(*place)).collect();
    let mut end = None;
    for order in history.orders() {
        for early in std::iter::once(None).chain(revocations.iter().copied().map(Some)) {
            let mut replay = Replay::new(history, &pool).await;
            if let Some(early) = early {
                replay.deny(early).await;
            }
            for place in &order {
                replay.apply(*place).await;
                replay.repeat(*place).await;
            }
            let rows = replay.rows().await;
            assert_eq!(end.get_or_insert_with(|| rows.clone()), &rows, "{order:?} {early:?}");
        }
    }
    end.expect("an order")
}

/// Ids of the memberships and assignments at the end.
async fn edges(history: &History) -> Vec<Uuid> {
    let rows = rows(history).await;
    let of = |table: &str| rows.get(table).into_iter().flatten().cloned().collect::<Vec<String>>();
    let lines = [of("membership"), of("assignment")].concat();
    let mut ids: Vec<Uuid> =
        lines.iter().map(|line| line.split(' ').next().expect("an id").parse().expect("a UUID")).collect();
    ids.sort();
    ids
}

async fn table(history: &History, name: &str) -> Vec<String> {
    rows(history).await.remove(name).unwrap_or_default().into_iter().collect()
}

/// A region where `seen` stood, restored to it.
fn restored(history: &mut History, writer: usize, seen: Seen, operation: Operation) {
    history.write_restored(writer, seen, [(Vec::new(), operation)]);
}

#[tokio::test]
async fn a_revocation_wins_over_a_grant_at_the_same_time() {
    let mut history = History::default();
    history.write(US, &[], member(ada()));
    history.hear_all(EU, US);
    history.write(US, &[], no_member(ada()));
    history.write(EU, &[], member(ada()));
    assert!(edges(&history).await.is_empty());
}

#[tokio::test]
async fn a_grant_after_a_revocation_is_a_new_one() {
    let mut history = History::default();
    for (grant, revocation) in [(member(ada()), no_member(ada())), (assigned(ada()), not_assigned(ada()))] {
        history.write(US, &[], grant.clone());
        history.write(US, &[], revocation);
        history.hear_all(EU, US);
        history.write(EU, &[], grant);
        history.hear_all(US, EU);
    }
    let mut both = [membership(ada()), assignment(ada())];
    both.sort();
    assert_eq!(edges(&history).await, both);
}

#[tokio::test]
async fn an_edge_lives_by_any_of_its_grants() {
    let mut history = History::default();
    history.write(US, &[], assigned(ada()));
    history.write(US, &[], not_assigned(ada()));
    history.hear_all(EU, US);
    history.write(EU, &[], assigned(ada()));
    history.hear_all(AP, US);
    history.write(AP, &[], assigned(ada()));
    assert_eq!(edges(&history).await, [assignment(ada())]);
    let grants = table(&history, "edge_grant").await;
    assert_eq!(grants.iter().filter(|row| row.ends_with("false false")).count(), 2, "{grants:?}");
}

#[tokio::test]
async fn what_is_granted_on_a_revoked_edge_is_void_and_what_rests_on_that_falls_too() {
    let mut history = History::default();
    history.write(US, &[], assigned(mallory()));
    history.hear_all(EU, US);
    history.write(US, &[], not_assigned(mallory()));
    history.write(EU, &[assignment(mallory())], member(mallory()));
    history.write(EU, &[membership(mallory())], assigned(ada()));
    history.write(EU, &[assignment(ada())], member(ada()));
    assert!(edges(&history).await.is_empty());
}

#[tokio::test]
async fn a_second_grant_upholds_what_rests_on_the_edge() {
    let mut history = History::default();
    history.write(US, &[], assigned(ada()));
    history.hear_all(AP, US);
    history.write(AP, &[], assigned(ada()));
    history.hear_all(EU, AP);
    history.write(EU, &[assignment(ada())], member(mallory()));
    history.write(US, &[], no_member(ada()));
    let mut both = [assignment(ada()), membership(mallory())];
    both.sort();
    assert_eq!(edges(&history).await, both);
}

#[tokio::test]
async fn every_kind_of_authority_that_is_revoked_at_the_same_time_voids_a_grant() {
    for (authority, revocation) in [
        (mallory().uuid(), put(mallory(), false)),
        (mallory().uuid(), removed(mallory())),
        (session().uuid(), ended(session())),
        (team().uuid(), team_removed()),
        (membership(mallory()), no_member(mallory())),
        (assignment(mallory()), not_assigned(mallory())),
    ] {
        let mut history = History::default();
        history.write(US, &[], put(mallory(), true));
        history.write(US, &[], assigned(mallory()));
        history.hear_all(EU, US);
        history.write(US, &[], revocation.clone());
        history.write(EU, &[authority], assigned(ada()));
        let edges = edges(&history).await;
        assert!(!edges.contains(&assignment(ada())), "{revocation:?}");
        let stays =
            !matches!(revocation, Operation::PrincipalRemoved { .. } | Operation::AssignmentRemoved { .. });
        assert_eq!(edges.contains(&assignment(mallory())), stays, "{revocation:?}");
    }
}

#[tokio::test]
async fn what_was_granted_before_a_revocation_of_its_authority_stays() {
    let mut history = History::default();
    history.write(US, &[], put(mallory(), true));
    history.write(US, &[mallory().uuid()], assigned(ada()));
    history.write(US, &[], put(mallory(), false));
    history.write(US, &[], ended(session()));
    assert_eq!(edges(&history).await, [assignment(ada())]);
}

#[tokio::test]
async fn who_is_active_again_can_grant_again_and_who_is_not_cannot() {
    let mut history = History::default();
    history.write(US, &[], put(mallory(), true));
    history.write(US, &[], put(mallory(), false));
    history.write(US, &[mallory().uuid()], assigned(ada()));
    assert!(edges(&history).await.is_empty(), "granted by somebody who was not active, as the writer knew");
    history.write(US, &[], put(mallory(), true));
    history.hear_all(EU, US);
    history.write(EU, &[mallory().uuid()], member(ada()));
    assert_eq!(edges(&history).await, [membership(ada())]);
    // That somebody is active rests on nothing: it is not void when the session that wrote it ends.
    let mut history = History::default();
    history.write(US, &[session().uuid()], put(mallory(), true));
    history.write(EU, &[], ended(session()));
    history.hear_all(EU, US);
    history.write(EU, &[mallory().uuid()], assigned(ada()));
    assert_eq!(edges(&history).await, [assignment(ada())]);
}

#[tokio::test]
async fn a_removed_principal_never_comes_back() {
    let mut history = History::default();
    history.write(US, &[], put(ada(), true));
    history.write(US, &[], member(ada()));
    history.write(US, &[], assigned(ada()));
    history.hear_all(EU, US);
    history.write(US, &[], removed(ada()));
    history.write(US, &[], put(ada(), true));
    history.write(EU, &[], member(ada()));
    history.hear_all(AP, US);
    history.write(AP, &[], assigned(ada()));
    let rows = rows(&history).await;
    for table in ["principal", "membership", "assignment"] {
        assert_eq!(rows.get(table), None, "{table}");
    }
    assert_eq!(rows["removed"].iter().collect::<Vec<_>>(), [&ada().uuid().to_string()]);
}

#[tokio::test]
async fn a_removed_team_never_comes_back() {
    let of_team = || Operation::AssignmentPut { holder: HolderId::Team(team()), role: viewer() };
    let mut history = History::default();
    history.write(US, &[], team_put("a"));
    history.write(US, &[], member(ada()));
    history.write(US, &[], of_team());
    history.hear_all(EU, US);
    history.write(US, &[], team_removed());
    history.write(US, &[], team_put("a"));
    history.write(EU, &[], member(mallory()));
    history.hear_all(AP, US);
    history.write(AP, &[], of_team());
    let rows = rows(&history).await;
    for table in ["team", "membership", "assignment"] {
        assert_eq!(rows.get(table), None, "{table}");
    }
}

/// Whatever others write before they hear of the end, in whatever order it arrives.
#[tokio::test]
async fn of_a_removed_organization_its_end_is_left() {
    let mut history = History::default();
    history.write(US, &[], Operation::OrganizationPut { suspended: true, home_region: region("us") });
    history.write(US, &[], team_put("first"));
    history.hear_all(EU, US);
    history.write(US, &[], Operation::OrganizationRemoved {});
    history.write(EU, &[], member(ada()));
    history.write(EU, &[], assigned(ada()));
    history.write(EU, &[], no_member(ada()));
    history.write(US, &[], Operation::OrganizationPut { suspended: false, home_region: region("us") });
    let rows = rows(&history).await;
    let end = std::collections::BTreeSet::from(["removed us".to_owned()]);
    assert_eq!(rows, Rows::from([("organization", end)]));
}

#[tokio::test]
async fn a_record_is_what_its_home_wrote_last() {
    let mut history = History::default();
    history.write(US, &[], Operation::OrganizationPut { suspended: false, home_region: region("us") });
    history.write(US, &[], team_put("first"));
    history.write(US, &[], not_before(7));
    history.write(US, &[], not_before(5));
    history.write(EU, &[], member(ada()));
    history.write(US, &[], Operation::OrganizationPut { suspended: true, home_region: region("eu") });
    history.write(US, &[], team_put("last"));
    let rows = rows(&history).await;
    let of = |table: &str| rows[table].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("organization"), ["suspended eu"]);
    assert_eq!(
        of("team"),
        [format!(r#"{} last d false {{"env": "prod"}} 2 7"#, team().uuid())],
        "made and changed by the clock of its home"
    );
    assert_eq!(of("principal"), [format!("{} user true 7", ada().uuid())], "what is void stays void");
}

#[tokio::test]
async fn a_session_is_forgotten_by_the_region_that_ended_it() {
    let mut history = History::default();
    history.write(EU, &[], ended(session()));
    assert_eq!(table(&history, "revoked_session").await, [format!("{} 9 eu", session().uuid())]);
    history.write(EU, &[], Operation::SessionForgotten { id: session() });
    assert_eq!(table(&history, "revoked_session").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_restored_region_cannot_outrun_a_revocation() {
    let mut history = History::default();
    history.write(US, &[], assigned(mallory()));
    let copy = history.now[US].clone();
    history.write(US, &[], not_assigned(mallory()));
    restored(&mut history, US, copy, assigned(mallory()));
    assert!(edges(&history).await.is_empty());
}

/// What each revocation takes away as soon as it is received, and what the index is told.
#[tokio::test]
async fn a_revocation_denies_before_its_turn() {
    let mut history = History::default();
    history.write(US, &[], team_put("a"));
    history.write(US, &[], put(ada(), true));
    history.write(US, &[], member(ada()));
    history.write(US, &[], assigned(ada()));
    let before = history.made.len();
    let revocations = [
        no_member(ada()),
        not_assigned(ada()),
        put(ada(), false),
        ended(session()),
        team_removed(),
        removed(ada()),
    ];
    // A grant stands before each of them, so that none has its turn.
    history.write(EU, &[], member(mallory()));
    for revocation in revocations {
        history.write(EU, &[], revocation);
    }
    let database = database().await;
    let expected: [(&str, &[&str]); 6] = [
        ("membership", &["membership"]),
        ("assignment", &["assignment"]),
        ("principal", &["principal"]),
        ("revoked_session", &["revoked_session"]),
        ("team", &["membership", "removed", "team"]),
        ("principal", &["assignment", "membership", "principal", "removed"]),
    ];
    for (number, (first, changed)) in expected.iter().enumerate() {
        let mut replay = Replay::new(&history, &database.pool()).await;
        for place in 0..before {
            replay.apply(place).await;
        }
        let earlier = replay.rows().await;
        replay.deny(before + 1 + number).await;
        let later = replay.rows().await;
        let mut tables: Vec<&str> = earlier
            .keys()
            .chain(later.keys())
            .copied()
            .filter(|table| earlier.get(table) != later.get(table))
            .collect();
        tables.sort_unstable();
        tables.dedup();
        assert_eq!(&tables, changed, "{number} {first}");
        if *first == "principal" && number == 2 {
            assert!(later["principal"].iter().all(|row| row.contains(" false ")), "{later:?}");
        }
    }
}

/// Effects tell what is new, and nothing else: whoever follows may act on each.
#[tokio::test]
async fn what_changes_nothing_has_no_effects() {
    let mut history = History::default();
    history.write(US, &[], member(ada()));
    history.write(EU, &[], member(ada()));
    history.write(US, &[], no_member(mallory()));
    history.hear_all(US, EU);
    history.write(US, &[], no_member(ada()));
    history.write(US, &[], removed(ada()));
    history.write(US, &[], put(ada(), true));
    history.write(US, &[], member(ada()));
    let pool = database().await;
    let mut connection = pool.pool().begin().await.expect("begin");
    let expected: [&[Operation]; 7] =
        [&[member(ada())], &[], &[], &[no_member(ada())], &[removed(ada())], &[], &[]];
    for (made, expected) in history.made.iter().zip(expected) {
        let effects = authz::apply::Rows.apply(&mut connection, &made.entry, made.operation.clone()).await;
        assert_eq!(effects.expect("apply"), expected, "{:?}", made.operation);
    }
}

#[tokio::test]
async fn a_role_of_a_later_release_stops_the_log() {
    let mut history = History::default();
    let role = AssignedRole { role_name: "Time Traveller".to_owned(), ..viewer() };
    history.write(EU, &[], Operation::AssignmentPut { holder: HolderId::Principal(ada()), role });
    let database = database().await;
    let mut connection = database.pool().begin().await.expect("begin");
    let made = &history.made[0];
    let applied = authz::apply::Rows.apply(&mut connection, &made.entry, made.operation.clone()).await;
    assert!(matches!(applied, Err(oplog::ApplyError::Unreadable(_))), "{applied:?}");
}

#[tokio::test]
async fn the_predefined_team_keeps_its_nature() {
    let mut history = History::default();
    let id = administrators_id(acme());
    history.write(US, &[], team_of(id, "n", true));
    let rows = table(&history, "team").await;
    assert!(rows[0].contains(" true "), "{rows:?}");
}

/// Rows are made anew from the log. A revoked session stays: without its row, the session would be let in again meanwhile.
#[tokio::test]
async fn clearing_an_organization_leaves_its_revoked_sessions_and_other_organizations() {
    let (eve, others) =
        (PrincipalId::from_uuid(Uuid::from_u128(0xe0e)), TeamId::from_uuid(Uuid::from_u128(7)));
    let mut other = History::of(OrganizationId::from_uuid(Uuid::from_u128(9)));
    let organization = || Operation::OrganizationPut { suspended: false, home_region: region("us") };
    let of_others = team_of(others, "t", false);
    for operation in [
        organization(),
        put(eve, true),
        of_others,
        Operation::MemberAdded { team_id: others, principal_id: eve },
        Operation::MemberRemoved { team_id: others, principal_id: ada() },
        assigned(eve),
        removed(PrincipalId::from_uuid(Uuid::from_u128(0xdead))),
    ] {
        other.write(EU, &[], operation);
    }
    let mut history = History::default();
    for operation in [
        organization(),
        put(ada(), true),
        team_put("a"),
        member(ada()),
        assigned(ada()),
        ended(session()),
        no_member(mallory()),
        removed(mallory()),
    ] {
        history.write(US, &[], operation);
    }

    let database = database().await;
    let mut connection = database.pool().begin().await.expect("begin");
    for made in &other.made {
        let applied = authz::apply::Rows.apply(&mut connection, &made.entry, made.operation.clone()).await;
        applied.expect("apply");
    }
    let mut left = replay::rows(&mut connection).await;
    left.insert("revoked_session", [format!("{} 9 us", session().uuid())].into());
    let mut before = None;
    for _ in 0..2 {
        for made in &history.made {
            let applied =
                authz::apply::Rows.apply(&mut connection, &made.entry, made.operation.clone()).await;
            applied.expect("apply");
        }
        let rows = replay::rows(&mut connection).await;
        assert_eq!(before.get_or_insert_with(|| rows.clone()), &rows, "the same log makes the same rows");
        authz::apply::Rows.clear(&mut connection, acme()).await.expect("clear");
        assert_eq!(replay::rows(&mut connection).await, left);
    }
}
