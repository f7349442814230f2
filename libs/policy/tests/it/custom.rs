//! Custom policies: what the door refuses, and that the index fails closed on what it should never have met.

use policy::{
    Action, Change, Index, PolicyRefused, Resource, Role, Scope, Verdict,
    custom::{NESTING_MAX, OPERATORS_MAX, POLICIES_BYTES_MAX, POLICIES_MAX, POLICY_BYTES_MAX},
};

use crate::support::{
    allows, assign, caller, control_plane, custom, id, index, member, organization, own, reasons, region,
    team, to_principal, to_team, user,
};

fn base() -> Index {
    let admin = assign(to_principal("ada"), Role::ControlPlaneAdmin, Scope::AllRegions);
    index([user("ada"), user("bob"), team("sre"), member("sre", "bob"), admin])
}

fn check(text: &str) -> Result<(), PolicyRefused> {
    base().check_policy(organization(), None, text)
}

#[test]
fn sound_policies_are_accepted() {
    let organization = organization();
    let sre = id::<ids::kinds::Team>("sre");
    let ada = id::<ids::kinds::Principal>("ada");
    let accepted = [
        format!(
            r#"permit (principal in Landbridge::Team::"{sre}", action in Landbridge::Action::"role/ControlPlane/Viewer",
                       resource in Landbridge::Scope::"{organization}/eu/ControlPlane");"#
        ),
        r#"forbid (principal, action, resource is Landbridge::ControlPlane)
           when { resource.hasTag("env") && resource.getTag("env") == "prod" }
           unless { principal is Landbridge::User };"#
            .to_owned(),
        format!(r#"forbid (principal == Landbridge::User::"{ada}", action, resource);"#),
        r#"// a comment with ( and [ and {
           forbid (principal, action == Landbridge::Action::"cp:Delete", resource is Landbridge::ControlPlane)
           when { resource.region == "((((((((((((((((((((((((((((((((((((((((((" };"#
            .to_owned(),
    ];
    for text in accepted {
        assert_eq!(check(&text), Ok(()), "{text}");
    }
}

#[test]
fn what_is_not_valid_is_refused() {
    let invalid = [
        (r#"forbid (principal, action == Landbridge::Action::"cp:Nope", resource);"#, "unrecognized action"),
        (r#"forbid (principal is Landbridge::Robot, action, resource);"#, "Robot"),
        (
            r#"forbid (principal, action == Landbridge::Action::"cp:Update", resource) when { resource.nolabel == 1 };"#,
            "nolabel",
        ),
        (
            r#"forbid (principal, action == Landbridge::Action::"cp:Update", resource)
               when { resource.getTag("env") == "prod" };"#,
            "env",
        ),
        (
            r#"forbid (principal, action == Landbridge::Action::"cp:Update", resource)
               when { principal.organization in resource.organization };"#,
            "level",
        ),
        (
            r#"forbid (principal, action == Landbridge::Action::"cp:Update", resource is Landbridge::Identity);"#,
            "impossible",
        ),
        (r#"forbid (principal, action, resource) when { false };"#, "impossible"),
    ];
    for (text, word) in invalid {
        match check(text) {
            Err(PolicyRefused::Invalid(objections)) => {
                assert!(
                    objections.iter().any(|objection| objection.contains(word)),
                    "{text}: {objections:?}"
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_one_static_policy_is_refused() {
    let unreadable = [
        "",
        "forbid",
        "forbid (principal, action, resource); forbid (principal, action, resource);",
        "forbid (principal in ?principal, action, resource);",
        "forbid (principal, action, resource) when { \"unclosed };",
    ];
    for text in unreadable {
        assert!(matches!(check(text), Err(PolicyRefused::Unreadable(_))), "{text}: {:?}", check(text));
    }
}

#[test]
fn permits_name_actions_and_none_of_identity() {
    assert_eq!(check("permit (principal, action, resource);"), Err(PolicyRefused::AnyAction));
    for action in ["iam:ManageTeams", "org:Read", "role/Identity/Admin"] {
        let text = format!(r#"permit (principal, action in [Landbridge::Action::"{action}"], resource);"#);
        assert!(matches!(check(&text), Err(PolicyRefused::IdentityAction(_))), "{text}: {:?}", check(&text));
    }
    // Forbidding it is allowed.
    let forbid = r#"forbid (principal, action == Landbridge::Action::"iam:ManageTeams", resource);"#;
    assert_eq!(check(forbid), Ok(()));
}

#[test]
fn literals_stay_inside_the_organization() {
    let own = organization();
    let other = id::<ids::kinds::Organization>("other");
    let stranger = id::<ids::kinds::Principal>("stranger");
    let foreign = [
        format!(r#"principal in Landbridge::Team::"{stranger}""#),
        format!(r#"principal == Landbridge::User::"{stranger}""#),
        format!(r#"principal == Landbridge::SystemAccount::"{stranger}""#),
        r#"principal in Landbridge::Team::"sre""#.to_owned(),
        format!(r#"principal.organization == Landbridge::Organization::"{other}""#),
        format!(r#"resource in Landbridge::Scope::"{other}/eu/ControlPlane""#),
        format!(r#"resource in Landbridge::Scope::"{own}/eu/ControlPlane/x""#),
        format!(r#"resource in Landbridge::Scope::"{own}/EU/ControlPlane""#),
        r#"resource in Landbridge::Scope::"""#.to_owned(),
        r#"resource == Landbridge::ControlPlane::"shop""#.to_owned(),
        format!(r#"resource == Landbridge::Identity::"{other}""#),
    ];
    for condition in foreign {
        let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
        assert!(matches!(check(&text), Err(PolicyRefused::Foreign(_))), "{text}: {:?}", check(&text));
    }
}

#[test]
fn size_depth_and_number_are_bounded() {
    let padded = |bytes: usize| {
        let policy = "forbid (principal, action, resource);";
        format!("{policy}{}", " ".repeat(bytes - policy.len()))
    };
    assert_eq!(check(&padded(POLICY_BYTES_MAX)), Ok(()));
    assert_eq!(
        check(&padded(POLICY_BYTES_MAX + 1)),
        Err(PolicyRefused::TooLarge { bytes: POLICY_BYTES_MAX + 1 })
    );

    let nested = |depth: usize| {
        let (open, close) = ("(".repeat(depth - 1), ")".repeat(depth - 1));
        format!("forbid (principal, action, resource) when {{ {open}principal.active{close} }};")
    };
    assert_eq!(check(&nested(NESTING_MAX)), Ok(()));
    for depth in [NESTING_MAX + 1, 4_000] {
        assert_eq!(check(&nested(depth)), Err(PolicyRefused::TooDeep));
    }
    // The scope's and the condition's bracket count, each attribute's dot, and each `&&` twice.
    let chained = |links: usize| {
        let chain = vec!["principal.active"; links].join("&&");
        format!("forbid (principal, action, resource) when {{ {chain} }};")
    };
    assert_eq!(check(&chained(OPERATORS_MAX / 3)), Ok(()));
    assert_eq!(check(&chained(OPERATORS_MAX / 3 + 1)), Err(PolicyRefused::TooDeep));
    let operators = |more: usize| {
        chained(OPERATORS_MAX / 3).replacen("principal.", &format!("{}principal.", "!".repeat(more)), 1)
    };
    assert_eq!(check(&operators(OPERATORS_MAX % 3)), Ok(()));
    assert_eq!(check(&operators(OPERATORS_MAX % 3 + 1)), Err(PolicyRefused::TooDeep));
    let branches = "if principal.active then true else ".repeat(250);
    let branched = format!("forbid (principal, action, resource) when {{ {branches} true }};");
    assert_eq!(check(&branched), Err(PolicyRefused::TooDeep));
}

/// A parser that meets too many brackets overflows its stack: nothing may hide them, and what is none does not count.
#[test]
fn brackets_count_outside_of_texts_and_comments_only() {
    let many = "(".repeat(NESTING_MAX + 1);
    let (close, condition) = (")".repeat(NESTING_MAX + 1), "forbid (principal, action, resource) when");
    for harmless in [
        format!("{condition} {{ \"{many}\" != \"\" && principal.active }};"),
        format!("{condition} {{ \"\\\"{many}\" != \"\" && principal.active }};"),
        format!("{condition} {{ // {many}\n principal.active }};"),
    ] {
        assert_eq!(check(&harmless), Ok(()), "{harmless}");
    }
    for before in ["\"\" == \"\" &&", "\"\\\"\" == \"\" &&", "\"\\\\\" == \"\" &&", "// \"\n"] {
        let text = format!("{condition} {{ {before} {many}principal.active{close} }};");
        assert_eq!(check(&text), Err(PolicyRefused::TooDeep), "{before}");
    }
}

#[test]
fn an_organization_has_so_many_policies_and_so_much_text() {
    let text = "forbid (principal, action, resource);";
    let full = base().apply(own((0..POLICIES_MAX).map(|n| custom(&format!("policy {n}"), text))));
    assert_eq!(full.check_policy(organization(), None, text), Err(PolicyRefused::TooMany));
    assert_eq!(full.check_policy(organization(), Some(id("policy 0")), text), Ok(()));

    let large = format!("{text}{}", " ".repeat(POLICY_BYTES_MAX - text.len()));
    let many = POLICIES_BYTES_MAX / POLICY_BYTES_MAX;
    let heavy = base().apply(own((0..many).map(|n| custom(&format!("policy {n}"), &large))));
    let bytes = POLICIES_BYTES_MAX + text.len();
    let refused = heavy.check_policy(organization(), None, text);
    assert_eq!(refused, Err(PolicyRefused::TooLargeTogether { bytes }));
    assert_eq!(heavy.check_policy(organization(), Some(id("policy 0")), text), Ok(()));
}

#[test]
fn a_forbid_that_fails_denies() {
    let overflow = r#"forbid (principal, action == Landbridge::Action::"cp:Update", resource)
                      when { 9223372036854775807 + 1 > 0 };"#;
    assert_eq!(check(overflow), Ok(()), "valid, and fails only when evaluated");
    let index = base().apply(own([custom("overflow", overflow)]));
    let shop = control_plane("shop", "eu");
    let decision = index.decide(&caller("ada"), Action::CpUpdate, &shop);
    assert_eq!(decision.verdict, Verdict::Deny);
    let policy = id::<policy::CustomPolicyKind>("overflow");
    assert_eq!(reasons(&decision), [format!("policy:{policy}")]);
    assert!(allows(&index, "ada", Action::CpDelete, &shop));
}

#[test]
fn a_permit_that_fails_permits_nothing() {
    let overflow = r#"permit (principal, action == Landbridge::Action::"cp:Update", resource)
                      when { 9223372036854775807 + 1 > 0 };"#;
    assert_eq!(check(overflow), Ok(()));
    let index = base().apply(own([custom("overflow", overflow)]));
    assert!(!allows(&index, "bob", Action::CpUpdate, &control_plane("shop", "eu")));
    assert!(allows(&index, "ada", Action::CpUpdate, &control_plane("shop", "eu")));
}

#[test]
fn an_unreadable_policy_denies_everything_until_it_is_removed() {
    let shop = control_plane("shop", "eu");
    for text in ["forbid (principal, action", &"x".repeat(POLICY_BYTES_MAX + 1)] {
        let index = base().apply(own([custom("damaged", text)]));
        for (action, resource) in [(Action::CpUpdate, &shop), (Action::OrgRead, &Resource::Iam)] {
            let decision = index.decide(&caller("ada"), action, resource);
            assert_eq!(decision.verdict, Verdict::Deny);
            let policy = id::<policy::CustomPolicyKind>("damaged");
            assert_eq!(reasons(&decision), [format!("policy:{policy}")]);
        }
        assert!(index.visible_control_planes(&caller("ada"), &region("eu")).recheck);
        let index = index.apply(own([Change::PolicyRemoved { id: id("damaged") }]));
        assert!(allows(&index, "ada", Action::CpUpdate, &shop));
    }
}

#[test]
fn a_forbid_of_another_schema_denies_within_its_scope() {
    // Valid where control planes have a tier. Here, `has` is simply false: without the check it would forbid nothing.
    let text = r#"forbid (principal, action in [Landbridge::Action::"cp:Update", Landbridge::Action::"cp:List"],
                          resource is Landbridge::ControlPlane)
                  when { resource has tier && resource.tier == "gold" };"#;
    let index = base().apply(own([custom("tiers", text)]));
    let shop = control_plane("shop", "eu");
    assert!(!allows(&index, "ada", Action::CpUpdate, &shop));
    assert!(!allows(&index, "ada", Action::CpList, &shop));
    assert!(allows(&index, "ada", Action::CpDelete, &shop));
    assert!(index.visible_control_planes(&caller("ada"), &region("eu")).recheck);
}

/// Nobody else loses anything, and lists of others need no second look.
#[test]
fn a_forbid_of_another_schema_denies_nothing_outside_its_scope() {
    let of_sre = assign(to_team("sre"), Role::ControlPlaneAdmin, Scope::AllRegions);
    let forbidding = |principal: &str, resource: &str| {
        let condition = r#"resource has tier && resource.tier == "gold""#;
        let text = format!("forbid ({principal}, action, {resource}) when {{ {condition} }};");
        base().apply(own([of_sre.clone(), custom("tiers", &text)]))
    };
    let (ada, sre) = (id::<ids::kinds::Principal>("ada"), id::<ids::kinds::Team>("sre"));
    for (principal, of_ada, of_bob) in [
        ("principal".to_owned(), true, true),
        ("principal is Landbridge::User".to_owned(), true, true),
        ("principal is Landbridge::SystemAccount".to_owned(), false, false),
        (format!(r#"principal == Landbridge::User::"{ada}""#), true, false),
        (format!(r#"principal in Landbridge::Team::"{sre}""#), false, true),
        (format!(r#"principal is Landbridge::User in Landbridge::Team::"{sre}""#), false, true),
        (format!(r#"principal is Landbridge::SystemAccount in Landbridge::Team::"{sre}""#), false, false),
    ] {
        let index = forbidding(&principal, "resource is Landbridge::ControlPlane");
        for (who, denied) in [("ada", of_ada), ("bob", of_bob)] {
            let allowed = allows(&index, who, Action::CpUpdate, &control_plane("shop", "eu"));
            assert_eq!(allowed, !denied, "{principal}: {who}");
            let visible = index.visible_control_planes(&caller(who), &region("eu"));
            assert_eq!((visible.all, visible.recheck), (true, denied), "{principal}: {who}");
        }
    }
    let (shop, eu) = (id::<ids::kinds::ControlPlane>("shop"), format!("{}/eu/ControlPlane", organization()));
    for (resource, of_shop, of_other, abroad) in [
        ("resource".to_owned(), true, true, true),
        (format!(r#"resource == Landbridge::ControlPlane::"{shop}""#), true, false, false),
        (format!(r#"resource in Landbridge::Scope::"{eu}""#), true, true, false),
        (format!(r#"resource is Landbridge::ControlPlane in Landbridge::Scope::"{eu}""#), true, true, false),
    ] {
        let index = forbidding("principal", &resource);
        for (plane, denied) in [
            (control_plane("shop", "eu"), of_shop),
            (control_plane("other", "eu"), of_other),
            (control_plane("abroad", "us"), abroad),
        ] {
            assert_eq!(allows(&index, "ada", Action::CpUpdate, &plane), !denied, "{resource}: {plane:?}");
        }
        let visible = index.visible_control_planes(&caller("ada"), &region("us"));
        // A single control plane may be in any region.
        assert_eq!(visible.recheck, abroad || resource.contains("=="), "{resource}");
    }
}

#[test]
fn a_permit_that_the_door_would_refuse_permits_nothing() {
    let other = id::<ids::kinds::Organization>("other");
    let refused = [
        "permit (principal, action, resource);".to_owned(),
        r#"permit (principal, action == Landbridge::Action::"iam:ManageTeams", resource);"#.to_owned(),
        format!(
            r#"permit (principal, action == Landbridge::Action::"cp:Update", resource)
               unless {{ resource in Landbridge::Scope::"{other}/eu/ControlPlane" }};"#
        ),
    ];
    for text in refused {
        let index = base().apply(own([custom("refused", &text)]));
        assert!(!allows(&index, "bob", Action::CpUpdate, &control_plane("shop", "eu")), "{text}");
        assert!(!allows(&index, "bob", Action::IamManageTeams, &Resource::Iam), "{text}");
    }
}
