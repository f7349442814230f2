//! Changes take effect, may come twice and, about different rows, in any order.

use policy::{
    Action, Change, Holder, Index, OrganizationStatus, PredefinedTeam, Principal, PrincipalKind, Resource,
    Role, Scope, Verdict,
    index::{LINKS_MAX, VISIBLE_IDS_MAX},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    differential::seed,
    support::{
        ISSUED_AT, allows, assign, assignment_id, caller, control_plane, custom, id, index, member, one,
        organization, own, region, team, to_principal, to_team, user,
    },
};

fn verdict(index: &Index, principal: &str) -> Verdict {
    index.decide(&caller(principal), Action::CpRetrieve, &control_plane("shop", "eu")).verdict
}

/// Ada views the shop directly, Bob through a team.
fn viewers() -> Index {
    index([
        user("ada"),
        user("bob"),
        team("sre"),
        member("sre", "bob"),
        assign(to_principal("ada"), Role::ControlPlaneViewer, one("shop", "eu")),
        assign(to_team("sre"), Role::ControlPlaneViewer, Scope::Region(region("eu"))),
    ])
}

#[test]
fn each_removal_takes_effect() {
    let before = viewers();
    assert_eq!((verdict(&before, "ada"), verdict(&before, "bob")), (Verdict::Allow, Verdict::Allow));
    let eu = Scope::Region(region("eu"));
    let removals = [
        (Change::TeamRemoved { id: id("sre") }, Verdict::Deny),
        (Change::MemberRemoved { team: id("sre"), principal: id("bob") }, Verdict::Deny),
        (
            Change::AssignmentRemoved { id: assignment_id(to_team("sre"), Role::ControlPlaneViewer, &eu) },
            Verdict::Deny,
        ),
        (Change::PrincipalRemoved { id: id("bob") }, Verdict::Unauthenticated),
    ];
    for (removal, expected) in removals {
        let after = before.apply(own([removal.clone()]));
        assert_eq!(verdict(&after, "bob"), expected, "{removal:?}");
        assert_eq!(verdict(&after, "ada"), Verdict::Allow, "{removal:?}");
        assert_eq!(verdict(&before, "bob"), Verdict::Allow, "a snapshot does not change");
        let visible = after.visible_control_planes(&caller("bob"), &region("eu"));
        assert!(!visible.all && visible.ids.is_empty(), "{removal:?}");
    }
}

#[test]
fn who_is_not_authenticated() {
    let put = |active, not_before| Change::PrincipalPut {
        id: id("ada"),
        principal: Principal { kind: PrincipalKind::User, active, not_before },
    };
    let before = viewers();
    assert_eq!(verdict(&before, "nobody"), Verdict::Unauthenticated);
    let mut stranger = caller("ada");
    stranger.organization = id("other");
    let decision = before.decide(&stranger, Action::CpRetrieve, &control_plane("shop", "eu"));
    assert_eq!(decision.verdict, Verdict::Unauthenticated);

    assert_eq!(verdict(&before.apply(own([put(false, None)])), "ada"), Verdict::Unauthenticated);
    assert_eq!(verdict(&before.apply(own([put(true, Some(ISSUED_AT))])), "ada"), Verdict::Allow);
    let cut = before.apply(own([put(true, Some(ISSUED_AT + 1))]));
    assert_eq!(verdict(&cut, "ada"), Verdict::Unauthenticated);
    assert_eq!(
        verdict(&cut.apply(own([put(true, None)])), "ada"),
        Verdict::Unauthenticated,
        "never goes back"
    );

    let mut in_session = caller("ada");
    in_session.session = Some(id("session"));
    let shop = control_plane("shop", "eu");
    assert!(before.decide(&in_session, Action::CpRetrieve, &shop).is_allowed());
    let revoked = before.apply(own([Change::SessionRevoked { session: id("session") }]));
    let decision = revoked.decide(&in_session, Action::CpRetrieve, &shop);
    assert_eq!(decision.verdict, Verdict::Unauthenticated);
    assert_eq!(verdict(&revoked, "ada"), Verdict::Allow, "other sessions go on");
    assert!(revoked.allowed_actions(&in_session, &shop).is_empty());
    let visible = revoked.visible_control_planes(&in_session, &region("eu"));
    assert_eq!(visible.verdict, Verdict::Unauthenticated);
}

#[test]
fn a_suspended_or_unknown_organization_denies_everything() {
    let suspended = Change::OrganizationPut { status: OrganizationStatus::Suspended };
    assert_eq!(verdict(&viewers().apply(own([suspended])), "ada"), Verdict::Suspended);
    let unknown = Index::default()
        .apply(own([user("ada"), assign(to_principal("ada"), Role::ControlPlaneViewer, one("shop", "eu"))]));
    assert_eq!(verdict(&unknown, "ada"), Verdict::Deny);
}

#[test]
fn a_team_grants_once_it_is_known() {
    let early = index([
        member("sre", "bob"),
        assign(to_team("sre"), Role::ControlPlaneViewer, Scope::AllRegions),
        user("bob"),
    ]);
    assert_eq!(verdict(&early, "bob"), Verdict::Deny);
    assert_eq!(verdict(&early.apply(own([team("sre")])), "bob"), Verdict::Allow);
}

#[test]
fn what_is_removed_stays_removed_until_forgotten() {
    let removed = Change::PrincipalRemoved { id: id("ada") };
    let assignment = assign(to_principal("ada"), Role::ControlPlaneViewer, one("shop", "eu"));
    let index = index([removed, user("ada"), assignment.clone()]);
    assert_eq!(verdict(&index, "ada"), Verdict::Unauthenticated, "the removal came early");
    let forgotten = Change::Forgotten { id: id::<ids::kinds::Principal>("ada").uuid() };
    let index = index.apply(own([forgotten, user("ada"), assignment]));
    assert_eq!(verdict(&index, "ada"), Verdict::Allow);
}

#[test]
fn an_assignment_can_be_given_again() {
    let assignment = assign(to_principal("ada"), Role::ControlPlaneViewer, one("shop", "eu"));
    let removed = assignment_id(to_principal("ada"), Role::ControlPlaneViewer, &one("shop", "eu"));
    let index = index([user("ada"), assignment.clone(), Change::AssignmentRemoved { id: removed }]);
    assert_eq!(verdict(&index, "ada"), Verdict::Deny);
    let again = index.apply(own([assignment]));
    assert_eq!(verdict(&again, "ada"), Verdict::Allow);
    assert_eq!(again.holder(organization(), removed), Some(to_principal("ada")));
}

#[test]
fn an_assignment_that_states_another_region_grants_nothing() {
    let index = index([user("ada"), assign(to_principal("ada"), Role::ControlPlaneAdmin, one("shop", "us"))]);
    assert_eq!(verdict(&index, "ada"), Verdict::Deny);
    assert!(index.visible_control_planes(&caller("ada"), &region("eu")).ids.is_empty());
}

#[test]
fn organization_admins_hold_everything_as_long_as_the_team_exists() {
    let predefined = Some(PredefinedTeam::OrganizationAdmin);
    let admins = Change::TeamPut { id: id("admins"), predefined };
    let index = index([user("ada"), admins, member("admins", "ada")]);
    let resources =
        [control_plane("shop", "eu"), Resource::ControlPlanes { region: region("au") }, Resource::Iam];
    for resource in &resources {
        let all: Vec<Action> =
            Action::ALL.into_iter().filter(|action| action.applies_to(resource.kind())).collect();
        assert_eq!(index.allowed_actions(&caller("ada"), resource), all);
        assert!(!index.who_has_access(organization(), resource, 10).is_empty());
    }
    let plain = index.apply(own([Change::TeamPut { id: id("admins"), predefined: None }]));
    assert!(!allows(&plain, "ada", Action::CpRetrieve, &resources[0]));
    assert!(plain.who_has_access(organization(), &resources[0], 10).is_empty());
}

/// One change for each of many rows, so that any order must give the same index.
fn independent_changes(random: &mut StdRng) -> Vec<Change> {
    let mut changes = vec![Change::OrganizationPut { status: OrganizationStatus::Active }];
    for n in 0..8 {
        changes.push(user(&format!("user {n}")));
        changes.push(team(&format!("team {n}")));
        changes.push(custom(&format!("policy {n}"), "forbid (principal, action, resource);"));
    }
    for _ in 0..30 {
        let (team, user) = (random.random_range(0..10), random.random_range(0..10));
        changes.push(member(&format!("team {team}"), &format!("user {user}")));
        let holder = if random.random() {
            to_team(&format!("team {team}"))
        } else {
            to_principal(&format!("user {user}"))
        };
        let role = Role::ALL[random.random_range(0..Role::ALL.len())];
        let scopes = [Scope::AllRegions, Scope::Identity, Scope::Region(region("eu")), one("shop", "eu")];
        changes.push(assign(holder, role, scopes[random.random_range(0..scopes.len())].clone()));
    }
    let removed: Vec<Change> =
        changes.iter().filter(|_| random.random_bool(0.2)).filter_map(removal).collect();
    changes.extend(removed);
    changes
}

fn removal(change: &Change) -> Option<Change> {
    Some(match change {
        Change::PrincipalPut { id, .. } => Change::PrincipalRemoved { id: *id },
        Change::TeamPut { id, .. } => Change::TeamRemoved { id: *id },
        Change::PolicyPut { id, .. } => Change::PolicyRemoved { id: *id },
        _ => return None,
    })
}

#[test]
fn any_order_and_any_repetition_gives_the_same_index() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..20 {
        let changes = independent_changes(&mut random);
        let expected = Index::default().apply(own(changes.clone()));
        let mut shuffled: Vec<Change> = changes.iter().chain(&changes).cloned().collect();
        shuffled.shuffle(&mut random);
        let (first, second) = shuffled.split_at(random.random_range(0..shuffled.len()));
        let found = Index::default().apply(own(first.to_vec())).apply(own(second.to_vec()));
        assert!(found == expected, "seed {seed}");
    }
}

#[test]
fn removing_everything_leaves_no_row_behind() {
    let before = viewers();
    let after = before.apply(own([
        Change::TeamRemoved { id: id("sre") },
        Change::PrincipalRemoved { id: id("ada") },
        Change::PrincipalRemoved { id: id("bob") },
    ]));
    let removed =
        ["sre", "ada", "bob"].map(|name| Change::Forgotten { id: id::<ids::kinds::Team>(name).uuid() });
    assert_eq!(after.apply(own(removed)), index([]));
    assert_eq!(before.who_has_access(organization(), &control_plane("shop", "eu"), 10).len(), 2);
    let limited = before.who_has_access(organization(), &control_plane("shop", "eu"), 1);
    assert_eq!(limited.len(), 1);
    assert_eq!(limited[0].holder, Holder::Principal(id("ada")), "narrowest scope first");
}

#[test]
fn a_caller_in_very_many_teams_costs_a_bounded_number_of_links() {
    let teams = (0..LINKS_MAX + 8).map(|n| format!("team {n}"));
    let changes = teams.flat_map(|name| {
        let viewer = assign(to_team(&name), Role::ControlPlaneViewer, Scope::AllRegions);
        [team(&name), member(&name, "ada"), viewer]
    });
    let index = index([user("ada")]).apply(own(changes));
    let decision = index.decide(&caller("ada"), Action::CpRetrieve, &control_plane("shop", "eu"));
    assert!(decision.is_allowed());
    assert_eq!(decision.reasons.len(), LINKS_MAX);
}

#[test]
fn whoever_sees_very_many_single_control_planes_gets_rows_rechecked() {
    let viewer = |n: usize| {
        let scope = one(&format!("plane {n}"), "eu");
        assign(to_principal("ada"), Role::ControlPlaneViewer, scope)
    };
    let most = index([user("ada")]).apply(own((0..VISIBLE_IDS_MAX).map(viewer)));
    let visible = most.visible_control_planes(&caller("ada"), &region("eu"));
    assert_eq!((visible.all, visible.ids.len(), visible.recheck), (false, VISIBLE_IDS_MAX, false));
    let more = most.apply(own([viewer(VISIBLE_IDS_MAX)]));
    let visible = more.visible_control_planes(&caller("ada"), &region("eu"));
    assert_eq!((visible.all, visible.ids.len(), visible.recheck), (true, 0, true));
    assert!(more.visible_control_planes(&caller("ada"), &region("us")).ids.is_empty());
}
