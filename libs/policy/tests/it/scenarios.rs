//! Scenarios as files: an organization, and what holds in it. Each is put to all four questions, and the answers have to
//! agree with each other.

use std::{collections::BTreeMap, path::Path};

use gateway_model::declarative::yaml::to_json;
use ids::PrincipalId;
use policy::{
    Action, AssignedRole, Assignment, Caller, Change, Holder, Index, PredefinedTeam, Principal,
    PrincipalKind, Resource, Role, Verdict,
};
use serde::Deserialize;

use crate::support::{caller, custom, id, index, organization, own, region};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(rename = "about")]
    _about: String,
    principals: BTreeMap<String, PrincipalRow>,
    #[serde(default)]
    teams: BTreeMap<String, TeamRow>,
    #[serde(default)]
    control_planes: BTreeMap<String, PlaneRow>,
    #[serde(default)]
    assignments: Vec<AssignmentRow>,
    #[serde(default)]
    policies: BTreeMap<String, String>,
    expect: Vec<Expectation>,
    /// Who sees which control planes, by region.
    #[serde(default)]
    sees: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Whose roles reach a control plane: `holder: role`.
    #[serde(default)]
    access: BTreeMap<String, Vec<BTreeMap<String, String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalRow {
    kind: String,
    #[serde(default = "yes")]
    active: bool,
    not_before: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TeamRow {
    #[serde(default)]
    members: Vec<String>,
    predefined: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaneRow {
    region: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// `to` is a team or a principal; `on` a control plane, `*` or absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignmentRow {
    to: String,
    role: String,
    entity_type: Option<String>,
    on: Option<String>,
    region: Option<String>,
}

/// `on` is a control plane, `region <name>` or `identity`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    who: String,
    on: String,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default)]
    unauthenticated: Vec<String>,
    /// Exactly what is allowed.
    only: Option<Vec<String>>,
    /// Beginnings of the reasons of every allowed or denied action above.
    reasons: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

impl Scenario {
    fn resource(&self, name: &str) -> Resource {
        if name == "identity" {
            Resource::Iam
        } else if let Some(name) = name.strip_prefix("region ") {
            Resource::ControlPlanes { region: region(name) }
        } else {
            let plane = &self.control_planes[name];
            Resource::ControlPlane {
                id: id(name),
                region: region(&plane.region),
                labels: plane.labels.clone(),
            }
        }
    }

    fn holder(&self, name: &str) -> Holder {
        match self.teams.contains_key(name) {
            true => Holder::Team(id(name)),
            false => {
                assert!(self.principals.contains_key(name), "{name}");
                Holder::Principal(id(name))
            }
        }
    }

    fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, row) in &self.principals {
            let kind = match row.kind.as_str() {
                "user" => PrincipalKind::User,
                "system account" => PrincipalKind::SystemAccount,
                other => panic!("{other}"),
            };
            let principal = Principal { kind, active: row.active, not_before: row.not_before };
            let id = id::<ids::kinds::Principal>(name) as PrincipalId;
            changes.push(Change::PrincipalPut { id, principal });
        }
        for (name, row) in &self.teams {
            let predefined = row.predefined.as_ref().map(|name| {
                PredefinedTeam::ALL.into_iter().find(|team| team.name() == name).expect("a predefined team")
            });
            changes.push(Change::TeamPut { id: id(name), predefined });
            let members = row.members.iter();
            changes
                .extend(members.map(|member| Change::MemberAdded { team: id(name), principal: id(member) }));
        }
        changes.extend(self.assignments.iter().enumerate().map(|(n, row)| self.assignment(n, row)));
        changes
    }

    fn assignment(&self, n: usize, row: &AssignmentRow) -> Change {
        let (entity_id, entity_region) = match row.on.as_deref() {
            None | Some("*") => ("*".to_owned(), row.region.clone().unwrap_or("*".to_owned())),
            Some(name) => {
                let id = id::<ids::kinds::ControlPlane>(name).to_string();
                (id, row.region.clone().unwrap_or_else(|| self.control_planes[name].region.clone()))
            }
        };
        let assigned = AssignedRole {
            role_name: row.role.clone(),
            entity_id,
            entity_type_name: row.entity_type.clone().unwrap_or("Control Planes".to_owned()),
            entity_region,
        };
        let (role, scope) = assigned.parse().expect("an assignment");
        let id = id(&format!("assignment {n}"));
        Change::AssignmentPut(Assignment { id, holder: self.holder(&row.to), role, scope })
    }

    /// The policies' text with `${name}` replaced by the id of that name.
    fn policies(&self) -> Vec<(&str, String)> {
        let names = self.teams.keys().chain(self.principals.keys()).chain(self.control_planes.keys());
        let names: Vec<&str> = names.map(String::as_str).chain(["organization"]).collect();
        let fill = |text: &String| {
            names.iter().fold(text.clone(), |text, name| {
                text.replace(&format!("${{{name}}}"), &id::<()>(name).to_string())
            })
        };
        self.policies.iter().map(|(name, text)| (name.as_str(), fill(text))).collect()
    }
}

fn actions(names: &[String]) -> Vec<Action> {
    names.iter().map(|name| name.parse().expect("an action")).collect()
}

fn check_expectation(scenario: &Scenario, index: &Index, expectation: &Expectation, file: &Path) {
    let caller = caller(&expectation.who);
    let resource = scenario.resource(&expectation.on);
    let context = format!("{}: {} on {}", file.display(), expectation.who, expectation.on);
    let verdicts = [
        (&expectation.allow, Verdict::Allow),
        (&expectation.deny, Verdict::Deny),
        (&expectation.unauthenticated, Verdict::Unauthenticated),
    ];
    for (names, verdict) in verdicts {
        for action in actions(names) {
            let decision = index.decide(&caller, action, &resource);
            assert_eq!(decision.verdict, verdict, "{context}: {action} {:?}", decision.reasons);
            if let Some(expected) = &expectation.reasons {
                let matches = expected.len() == decision.reasons.len()
                    && expected
                        .iter()
                        .zip(&decision.reasons)
                        .all(|(start, reason)| reason.to_string().starts_with(start));
                assert!(matches, "{context}: {action} {:?}", decision.reasons);
            }
        }
    }
    if let Some(only) = &expectation.only {
        let mut expected = actions(only);
        expected.sort();
        assert_eq!(index.allowed_actions(&caller, &resource), expected, "{context}");
    }
}

/// Every principal on every resource: the four questions have one answer.
fn check_agreement(scenario: &Scenario, index: &Index, file: &Path) {
    let planes: Vec<Resource> = scenario.control_planes.keys().map(|name| scenario.resource(name)).collect();
    for name in scenario.principals.keys() {
        let caller = caller(name);
        for plane in &planes {
            let Resource::ControlPlane { id, region, .. } = plane else { panic!("{plane:?}") };
            let context = format!("{}: {name} on {plane:?}", file.display());
            let allowed = index.allowed_actions(&caller, plane);
            for action in Action::ALL {
                let is_allowed = index.decide(&caller, action, plane).is_allowed();
                assert_eq!(allowed.contains(&action), is_allowed, "{context}: {action}");
            }
            let visible = index.visible_control_planes(&caller, region);
            let passes = visible.all || visible.ids.contains(id);
            let listed = allowed.contains(&Action::CpList);
            assert!(passes || !listed, "{context}");
            assert!(passes == listed || visible.recheck, "{context}");
            if scenario.policies.is_empty()
                && index.decide(&caller, Action::CpList, plane).verdict == Verdict::Allow
            {
                assert_eq!(allowed, union_of_roles(scenario, index, &caller, plane), "{context}");
            }
        }
    }
}

/// What the roles in "who has access" come to for a caller.
fn union_of_roles(scenario: &Scenario, index: &Index, caller: &Caller, resource: &Resource) -> Vec<Action> {
    let teams = scenario.teams.iter().filter(|(_, row)| {
        row.members.iter().any(|member| id::<ids::kinds::Principal>(member) == caller.principal)
    });
    let mut holders: Vec<Holder> = teams.map(|(name, _)| Holder::Team(id(name))).collect();
    holders.push(Holder::Principal(caller.principal));
    let access = index.who_has_access(organization(), resource, usize::MAX);
    let roles: Vec<Role> =
        access.iter().filter(|access| holders.contains(&access.holder)).map(|access| access.role).collect();
    let held =
        |action: &Action| roles.iter().any(|role| role.actions(resource.kind()).any(|held| held == *action));
    Action::ALL.into_iter().filter(held).collect()
}

fn check_views(scenario: &Scenario, index: &Index, file: &Path) {
    for (who, regions) in &scenario.sees {
        for (name, expected) in regions {
            let in_region = scenario.control_planes.iter().filter(|(_, plane)| plane.region == *name);
            let visible = index.visible_control_planes(&caller(who), &region(name));
            let passed = in_region
                .map(|(plane, _)| plane)
                .filter(|plane| visible.all || visible.ids.contains(&id(plane)));
            let seen: Vec<&String> = passed
                .filter(|plane| {
                    !visible.recheck
                        || index.decide(&caller(who), Action::CpList, &scenario.resource(plane)).is_allowed()
                })
                .collect();
            assert_eq!(seen, expected.iter().collect::<Vec<_>>(), "{}: {who} in {name}", file.display());
        }
    }
    for (name, expected) in &scenario.access {
        let mut found: Vec<(Holder, Role)> = index
            .who_has_access(organization(), &scenario.resource(name), usize::MAX)
            .into_iter()
            .map(|access| (access.holder, access.role))
            .collect();
        let rows = expected.iter().flatten();
        let mut expected: Vec<(Holder, Role)> = rows
            .map(|(holder, role)| (scenario.holder(holder), Role::from_key(role).expect("a role's key")))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}: {name}", file.display());
    }
}

#[test]
fn every_scenario_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let files: Vec<_> =
        std::fs::read_dir(folder).expect("scenarios").map(|file| file.expect("a file").path()).collect();
    assert!(files.len() >= 5, "the scenarios are gone");
    for file in files {
        let (text, mut json) = (std::fs::File::open(&file).expect("readable"), Vec::new());
        to_json(text, &mut json).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let scenario: Scenario =
            serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut index = index(scenario.changes());
        for (name, text) in scenario.policies() {
            let checked = index.check_policy(organization(), None, &text);
            assert!(checked.is_ok(), "{}: {name}: {checked:?}", file.display());
            index = index.apply(own([custom(name, &text)]));
        }
        for expectation in &scenario.expect {
            check_expectation(&scenario, &index, expectation, &file);
        }
        check_views(&scenario, &index, &file);
        check_agreement(&scenario, &index, &file);
    }
}
