//! The tables in Rust say what the schema says.

use std::collections::BTreeSet;

use cedar_policy::{EntityTypeName, PolicySet, Schema};
use policy::{Action, ResourceKind, Role};

fn schema() -> Schema {
    let (schema, warnings) =
        Schema::from_cedarschema_str(include_str!("../../cedar/schema.cedarschema")).expect("a schema");
    assert_eq!(warnings.count(), 0);
    schema
}

fn kind(resource: &EntityTypeName) -> ResourceKind {
    match resource.basename() {
        "ControlPlane" => ResourceKind::ControlPlane,
        "Scope" => ResourceKind::ControlPlanes,
        "Identity" => ResourceKind::Identity,
        other => panic!("no resource is a {other}"),
    }
}

#[test]
fn each_role_holds_what_cedar_finds_possible_for_its_template() {
    let schema = schema();
    let templates: PolicySet = include_str!("../../cedar/roles.cedar").parse().expect("templates");
    let mut roles = BTreeSet::new();
    for template in templates.templates() {
        let role = Role::from_key(template.annotation("id").expect("an id")).expect("a role");
        roles.insert(role);
        let possible: BTreeSet<(ResourceKind, Action)> = template
            .get_valid_request_envs(&schema)
            .map(|env| {
                (kind(env.resource()), env.action().id().unescaped().parse::<Action>().expect("an action"))
            })
            .collect();
        let held: BTreeSet<(ResourceKind, Action)> = ResourceKind::ALL
            .into_iter()
            .flat_map(|kind| role.actions(kind).map(move |action| (kind, action)))
            .collect();
        assert_eq!(held, possible, "{role:?}");
    }
    assert_eq!(roles, BTreeSet::from(Role::ALL));
}

#[test]
fn actions_apply_to_what_the_schema_says() {
    let stated: BTreeSet<(ResourceKind, Action)> = schema()
        .request_envs()
        .map(|env| {
            (kind(env.resource()), env.action().id().unescaped().parse::<Action>().expect("an action"))
        })
        .collect();
    let table: BTreeSet<(ResourceKind, Action)> = ResourceKind::ALL
        .into_iter()
        .flat_map(|kind| Action::ALL.into_iter().map(move |action| (kind, action)))
        .filter(|(kind, action)| action.applies_to(*kind))
        .collect();
    assert_eq!(table, stated);
}

#[test]
fn people_read_a_sentence_of_its_own_for_each_role() {
    let texts: BTreeSet<&str> = Role::ALL.into_iter().map(Role::description).collect();
    assert_eq!(texts.len(), Role::ALL.len());
    assert!(texts.iter().all(|text| text.contains(' ') && text.ends_with('.')), "{texts:?}");
}
