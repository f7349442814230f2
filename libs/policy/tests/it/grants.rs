//! Nobody hands out more than they hold.

use policy::{Change, Index, PredefinedTeam, Role, Scope};

use crate::support::{
    assign, caller, custom, index, member, one, own, region, team, to_principal, to_team, user,
};

fn base() -> Index {
    let admins = Change::TeamPut {
        id: crate::support::id("admins"),
        predefined: Some(PredefinedTeam::OrganizationAdmin),
    };
    index([
        user("olga"),
        admins,
        member("admins", "olga"),
        user("ida"),
        assign(to_principal("ida"), Role::IdentityAdmin, Scope::Identity),
        user("eve"),
        assign(to_principal("eve"), Role::IdentityAdmin, Scope::Identity),
        assign(to_principal("eve"), Role::ControlPlaneAdmin, Scope::Region(region("eu"))),
        user("bob"),
        assign(to_principal("bob"), Role::ControlPlaneAdmin, Scope::AllRegions),
        team("sre"),
        assign(to_team("sre"), Role::ControlPlaneDeployer, one("shop", "eu")),
        team("empty"),
    ])
}

#[test]
fn a_grantor_holds_what_it_grants_there_or_wider() {
    let index = base();
    let (eu, us) = (Scope::Region(region("eu")), Scope::Region(region("us")));
    let cases = [
        ("olga", Role::ControlPlaneAdmin, Scope::AllRegions, true),
        ("olga", Role::ControlPlaneCreator, us.clone(), true),
        ("olga", Role::IdentityAdmin, Scope::Identity, true),
        ("ida", Role::IdentityAdmin, Scope::Identity, true),
        ("ida", Role::ControlPlaneViewer, one("shop", "eu"), false),
        ("eve", Role::ControlPlaneAdmin, eu.clone(), true),
        ("eve", Role::ControlPlaneDeployer, one("shop", "eu"), true),
        ("eve", Role::ControlPlaneViewer, one("shop", "us"), false),
        ("eve", Role::ControlPlaneAdmin, us, false),
        ("eve", Role::ControlPlaneAdmin, Scope::AllRegions, false),
        ("eve", Role::ControlPlaneCreator, eu.clone(), false),
        ("bob", Role::ControlPlaneViewer, eu, false),
        ("nobody", Role::ControlPlaneViewer, Scope::AllRegions, false),
    ];
    for (who, role, scope, expected) in cases {
        assert_eq!(index.may_grant(&caller(who), role, &scope), expected, "{who} {role:?} {scope:?}");
    }
}

#[test]
fn joining_a_team_confers_all_that_it_holds() {
    let index = base().apply(own([user("ci"), member("sre", "ci")]));
    let cases = [
        ("olga", to_team("admins"), true),
        ("olga", to_team("sre"), true),
        ("eve", to_team("sre"), true),
        ("eve", to_team("admins"), false),
        ("ida", to_team("sre"), false),
        ("ida", to_team("empty"), true),
        ("ida", to_principal("ci"), false),
        ("eve", to_principal("ci"), true),
    ];
    for (who, holder, expected) in cases {
        assert_eq!(index.may_confer(&caller(who), holder), expected, "{who} {holder:?}");
    }
}

#[test]
fn custom_permits_cannot_be_passed_on_and_custom_forbids_hold() {
    let permit = r#"permit (principal, action in Landbridge::Action::"role/ControlPlane/Viewer", resource);"#;
    let index = base().apply(own([custom("everyone views", permit)]));
    assert!(!index.may_grant(&caller("ida"), Role::ControlPlaneViewer, &Scope::AllRegions));
    let forbid = r#"forbid (principal, action == Landbridge::Action::"iam:AssignRoles", resource);"#;
    let index = base().apply(own([custom("frozen", forbid)]));
    assert!(!index.may_grant(&caller("olga"), Role::ControlPlaneViewer, &Scope::AllRegions));
}
