//! Our slice decides as Cedar does on everything: random organizations, random requests.
//!
//! The oracle gives Cedar the full policy set (every assignment linked, every custom policy) and the full, validated
//! entities. It also asks the reverse questions by brute force: every control plane, every action.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    str::FromStr,
};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicyId, PolicySet, Request, RestrictedExpression, Schema, SlotId,
};
use ids::{PrincipalId, Region, TeamId};
use policy::{
    Action, Assignment, Change, Holder, Index, Principal, PrincipalKind, Resource, Role, Scope, Verdict,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::support::{self, caller, id, index, member, organization, own, region, team};
use random::Random;

const WORLDS: usize = 250;
const REQUESTS_PER_WORLD: usize = 12;
const REGIONS: [&str; 3] = ["us", "eu", "au"];

/// From `POLICY_SEED`, or random. A failing test prints it.
pub fn seed() -> u64 {
    let seed = std::env::var("POLICY_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| Random::system().number());
    println!("POLICY_SEED={seed}");
    seed
}

/// A random organization, as the oracle sees it.
struct World {
    schema: Schema,
    principals: Vec<(String, Principal)>,
    /// Names of known teams.
    teams: Vec<String>,
    members: BTreeSet<(String, String)>,
    control_planes: Vec<Resource>,
    assignments: Vec<Assignment>,
    policies: Vec<(String, String)>,
}

fn random_region(random: &mut StdRng) -> Region {
    region(REGIONS[random.random_range(0..REGIONS.len())])
}

fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}

impl World {
    fn new(random: &mut StdRng, schema: &Schema) -> Self {
        let principals: Vec<(String, Principal)> = (0..random.random_range(1..5))
            .map(|n| {
                let kind = *pick(random, &[PrincipalKind::User, PrincipalKind::SystemAccount]);
                let active = random.random_bool(0.95);
                (format!("principal {n}"), Principal { kind, active, not_before: None })
            })
            .collect();
        let teams = (0..random.random_range(1..5)).map(|n| format!("team {n}")).collect();
        // One team and one principal more than are known.
        let members = (0..random.random_range(0..10))
            .map(|_| {
                let (team, principal) = (random.random_range(0..5), random.random_range(0..5));
                (format!("team {team}"), format!("principal {principal}"))
            })
            .collect();
        let control_planes =
            (0..random.random_range(1..6)).map(|n| random_control_plane(random, n)).collect();
        let mut world = Self {
            schema: schema.clone(),
            principals,
            teams,
            members,
            control_planes,
            assignments: Vec::new(),
            policies: Vec::new(),
        };
        world.assignments =
            (0..random.random_range(0..12)).map(|n| world.random_assignment(random, n)).collect();
        let known = world.index(random);
        world.policies = (0..random.random_range(0..4))
            .map(|n| (format!("policy {n}"), world.random_policy(random)))
            .filter(|(_, text)| known.check_policy(organization(), None, text).is_ok())
            .collect();
        world
    }

    fn random_assignment(&self, random: &mut StdRng, n: usize) -> Assignment {
        let holder = if random.random() {
            Holder::Team(id(&format!("team {}", random.random_range(0..5))))
        } else {
            Holder::Principal(id(&pick(random, &self.principals).0))
        };
        let scope = match random.random_range(0..7) {
            0 => Scope::AllRegions,
            1 => Scope::Identity,
            2 | 3 => Scope::Region(random_region(random)),
            _ => match pick(random, &self.control_planes) {
                Resource::ControlPlane { id, region, .. } => {
                    Scope::ControlPlane { region: region.clone(), id: *id }
                }
                other => panic!("{other:?}"),
            },
        };
        Assignment { id: id(&format!("assignment {n}")), holder, role: *pick(random, &Role::ALL), scope }
    }

    fn random_policy(&self, random: &mut StdRng) -> String {
        let organization = organization();
        let team =
            format!(r#"Landbridge::Team::"{}""#, id::<ids::kinds::Team>(pick::<String>(random, &self.teams)));
        let (name, principal) = pick(random, &self.principals);
        let one = principal_uid(name, principal.kind);
        let scope = format!(
            r#"Landbridge::Scope::"{organization}/{}/ControlPlane""#,
            pick(random, &["us", "eu", "au", "*"])
        );
        let Resource::ControlPlane { id: plane, .. } = pick(random, &self.control_planes) else { panic!() };
        let principal = [
            "principal".to_owned(),
            "principal is Landbridge::User".to_owned(),
            format!("principal in {team}"),
            format!("principal == {one}"),
            format!("principal is Landbridge::SystemAccount in {team}"),
        ];
        let actions = [
            r#"action == Landbridge::Action::"cp:List""#,
            r#"action in Landbridge::Action::"role/ControlPlane/Viewer""#,
            r#"action in [Landbridge::Action::"cp:Retrieve", Landbridge::Action::"cp:Update"]"#,
            r#"action in [Landbridge::Action::"role/ControlPlane/Creator", Landbridge::Action::"route:Write"]"#,
        ];
        let resource = [
            "resource".to_owned(),
            "resource is Landbridge::ControlPlane".to_owned(),
            format!("resource in {scope}"),
            format!(r#"resource == Landbridge::ControlPlane::"{plane}""#),
            format!("resource is Landbridge::ControlPlane in {scope}"),
        ];
        let conditions = [
            format!("principal in {team}"),
            format!("principal == {one}"),
            format!("resource in {scope}"),
            r#"resource is Landbridge::ControlPlane && resource.region == "eu""#.to_owned(),
            r#"resource is Landbridge::ControlPlane && resource.hasTag("env") && resource.getTag("env") == "prod""#
                .to_owned(),
            "principal.active".to_owned(),
            "principal.organization == resource.organization".to_owned(),
            "9223372036854775807 + 1 > 0".to_owned(),
            format!("principal in {team} && 9223372036854775807 + 1 > 0"),
        ];
        let permit: bool = random.random();
        let action = if !permit && random.random_bool(0.3) { "action" } else { pick(random, &actions) };
        let effect = if permit { "permit" } else { "forbid" };
        let scope = format!("{}, {action}, {}", pick(random, &principal), pick(random, &resource));
        let mut text = format!("{effect} ({scope})");
        for clause in ["when", "unless"] {
            if random.random() {
                text.push_str(&format!(" {clause} {{ {} }}", pick(random, &conditions)));
            }
        }
        text + ";"
    }

    /// Our index of this world, from its changes in random order.
    fn index(&self, random: &mut StdRng) -> Index {
        let principals = self.principals.iter().map(|(name, principal)| Change::PrincipalPut {
            id: id::<ids::kinds::Principal>(name) as PrincipalId,
            principal: *principal,
        });
        let mut changes: Vec<Change> = principals
            .chain(self.teams.iter().map(|name| team(name)))
            .chain(self.members.iter().map(|(team, principal)| member(team, principal)))
            .chain(self.assignments.iter().cloned().map(Change::AssignmentPut))
            .chain(self.policies.iter().map(|(name, text)| crate::support::custom(name, text)))
            .collect();
        changes.shuffle(random);
        index([]).apply(own(changes))
    }

    /// Everything, as Cedar entities.
    fn entities(&self, resource: &Resource) -> Entities {
        let mut entities = vec![entity(uid("Identity", organization()), [], [], [])];
        for scope in REGIONS {
            let parents = [scope_uid("*")];
            entities.push(entity(scope_uid(scope), parents, [], []));
        }
        entities.push(entity(scope_uid("*"), [], [], []));
        entities.extend(self.teams.iter().map(|name| entity(uid("Team", id::<()>(name)), [], [], [])));
        for (name, principal) in &self.principals {
            let teams = self.members.iter().filter(|(team, of)| of == name && self.teams.contains(team));
            let parents = teams.map(|(team, _)| uid("Team", id::<()>(team)));
            let active = [("active", RestrictedExpression::new_bool(principal.active))];
            entities.push(entity(principal_uid(name, principal.kind), parents, active, []));
        }
        let unlisted =
            matches!(resource, Resource::ControlPlane { .. }) && !self.control_planes.contains(resource);
        for plane in self.control_planes.iter().chain(unlisted.then_some(resource)) {
            let Resource::ControlPlane { id, region, labels } = plane else { panic!("{plane:?}") };
            let attributes = [("region", RestrictedExpression::new_string(region.to_string()))];
            let tags = labels
                .iter()
                .map(|(name, value)| (name.clone(), RestrictedExpression::new_string(value.clone())));
            entities.push(entity(uid("ControlPlane", id), [scope_uid(region.as_str())], attributes, tags));
        }
        Entities::from_entities(entities, Some(&self.schema)).expect("valid entities")
    }

    /// Every assignment and every policy.
    fn policies(&self) -> PolicySet {
        let mut policies = PolicySet::new();
        let system: PolicySet = include_str!("../../cedar/system.cedar").parse().expect("policies");
        for policy in system.policies() {
            policies.add(policy.new_id(PolicyId::new(policy.annotation("id").expect("an id")))).expect("new");
        }
        let templates: PolicySet = include_str!("../../cedar/roles.cedar").parse().expect("templates");
        for template in templates.templates() {
            let id = PolicyId::new(template.annotation("id").expect("an id"));
            policies.add_template(template.new_id(id)).expect("new");
        }
        for Assignment { id, holder, role, scope } in &self.assignments {
            let slots = HashMap::from([
                (SlotId::principal(), self.holder_uid(*holder)),
                (SlotId::resource(), assigned_uid(scope)),
            ]);
            let link = PolicyId::new(format!("assignment:{id}"));
            policies.link(PolicyId::new(role.key()), link, slots).expect("links");
        }
        for (name, text) in &self.policies {
            let id = format!("policy:{}", id::<()>(name));
            policies
                .add(cedar_policy::Policy::parse(Some(PolicyId::new(id)), text).expect("parses"))
                .expect("new");
        }
        policies
    }

    fn holder_uid(&self, holder: Holder) -> EntityUid {
        match holder {
            Holder::Team(team) => uid("Team", team),
            Holder::Principal(principal) => {
                let known =
                    self.principals.iter().find(|(name, _)| id::<ids::kinds::Principal>(name) == principal);
                let (name, principal) = known.expect("assignments go to known principals");
                principal_uid(name, principal.kind)
            }
        }
    }

    fn random_resource(&self, random: &mut StdRng) -> Resource {
        match random.random_range(0..8) {
            0 => Resource::Iam,
            1 => Resource::ControlPlanes { region: random_region(random) },
            // One that no assignment names.
            2 => random_control_plane(random, 100),
            _ => pick(random, &self.control_planes).clone(),
        }
    }
}

/// Mostly one that applies to the resource.
fn random_action(random: &mut StdRng, resource: &Resource) -> Action {
    let applying: Vec<Action> =
        Action::ALL.into_iter().filter(|action| action.applies_to(resource.kind())).collect();
    if random.random_bool(0.9) { *pick(random, &applying) } else { *pick(random, &Action::ALL) }
}

fn random_control_plane(random: &mut StdRng, n: usize) -> Resource {
    let labels = match random.random_range(0..3) {
        0 => BTreeMap::new(),
        1 => BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
        _ => BTreeMap::from([
            ("env".to_owned(), "\"quoted\" dev".to_owned()),
            ("\u{202e}odd::name\\".to_owned(), String::new()),
        ]),
    };
    let region = random_region(random);
    Resource::ControlPlane { id: id(&format!("control plane {n}")), region, labels }
}

fn uid(entity_type: &str, id: impl ToString) -> EntityUid {
    let entity_type = EntityTypeName::from_str(&format!("Landbridge::{entity_type}")).expect("a type");
    EntityUid::from_type_name_and_id(entity_type, EntityId::new(id.to_string()))
}

fn principal_uid(name: &str, kind: PrincipalKind) -> EntityUid {
    let entity_type = match kind {
        PrincipalKind::User => "User",
        PrincipalKind::SystemAccount => "SystemAccount",
    };
    uid(entity_type, id::<ids::kinds::Principal>(name))
}

fn scope_uid(region: &str) -> EntityUid {
    uid("Scope", format!("{}/{region}/ControlPlane", organization()))
}

fn assigned_uid(scope: &Scope) -> EntityUid {
    match scope {
        Scope::ControlPlane { id, .. } => uid("ControlPlane", id),
        Scope::Region(region) => scope_uid(region.as_str()),
        Scope::AllRegions => scope_uid("*"),
        Scope::Identity => uid("Identity", organization()),
    }
}

fn resource_uid(resource: &Resource) -> EntityUid {
    match resource {
        Resource::ControlPlane { id, .. } => uid("ControlPlane", id),
        Resource::ControlPlanes { region } => scope_uid(region.as_str()),
        Resource::Iam => uid("Identity", organization()),
    }
}

fn entity(
    uid_: EntityUid,
    parents: impl IntoIterator<Item = EntityUid>,
    attributes: impl IntoIterator<Item = (&'static str, RestrictedExpression)>,
    tags: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> Entity {
    let own = ("organization", RestrictedExpression::new_entity_uid(uid("Organization", organization())));
    let attributes = attributes.into_iter().chain([own]).map(|(name, value)| (name.to_owned(), value));
    let parents: HashSet<EntityUid> = parents.into_iter().collect();
    Entity::new_with_tags(uid_, attributes, parents, tags).expect("an entity")
}

/// Cedar's verdict and reasons over everything, with our rule that a forbid that fails denies.
fn oracle(
    world: &World,
    policies: &PolicySet,
    entities: &Entities,
    principal: EntityUid,
    action: Action,
    resource: &Resource,
) -> (Verdict, Vec<String>) {
    let action = uid("Action", action);
    let schema = Some(&world.schema);
    let Ok(request) = Request::new(principal, action, resource_uid(resource), Context::empty(), schema)
    else {
        return (Verdict::Deny, Vec::new());
    };
    let response = Authorizer::new().is_authorized(&request, policies, entities);
    let failed: BTreeSet<String> = response
        .diagnostics()
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().clone())
        .filter(|id| policies.policy(id).expect("known").effect() == Effect::Forbid)
        .map(|id| id.to_string())
        .collect();
    if !failed.is_empty() {
        return (Verdict::Deny, failed.into_iter().collect());
    }
    let reasons: BTreeSet<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    let verdict = match response.decision() {
        cedar_policy::Decision::Allow => Verdict::Allow,
        cedar_policy::Decision::Deny => Verdict::Deny,
    };
    (verdict, reasons.into_iter().collect())
}

/// What the requests of a run came to, so that the test knows that it tested something.
#[derive(Debug, Default)]
struct Tally {
    allowed: usize,
    denied: usize,
    by_custom_permit: usize,
    by_custom_forbid: usize,
}

#[test]
fn the_slice_decides_as_the_full_set_does() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (schema, _) =
        Schema::from_cedarschema_str(include_str!("../../cedar/schema.cedarschema")).expect("a schema");
    let mut tally = Tally::default();
    for number in 0..WORLDS {
        let world = World::new(&mut random, &schema);
        let index = world.index(&mut random);
        let policies = world.policies();
        for _ in 0..REQUESTS_PER_WORLD {
            let (name, principal) = pick(&mut random, &world.principals).clone();
            let resource = world.random_resource(&mut random);
            let action = random_action(&mut random, &resource);
            let found = index.decide(&caller(&name), action, &resource);
            if !principal.active {
                assert_eq!(found.verdict, Verdict::Unauthenticated);
                continue;
            }
            let entities = world.entities(&resource);
            let asker = principal_uid(&name, principal.kind);
            let (verdict, reasons) = oracle(&world, &policies, &entities, asker, action, &resource);
            let context = || format!("seed {seed}, world {number}: {name} {action} {resource:?}");
            assert_eq!(found.verdict, verdict, "{}: {:?}", context(), world.policies);
            if action.applies_to(resource.kind()) {
                assert_eq!(support::reasons(&found), reasons, "{}", context());
            }
            tally.add(&found.verdict, &support::reasons(&found));
        }
        check_reverse(&world, &index, &format!("seed {seed}, world {number}"));
    }
    println!("{tally:?}");
    assert!(tally.allowed > 100 && tally.denied > 100, "seed {seed}");
    assert!(tally.by_custom_permit > 10 && tally.by_custom_forbid > 10, "seed {seed}");
}

impl Tally {
    fn add(&mut self, verdict: &Verdict, reasons: &[String]) {
        let custom = reasons.iter().any(|reason| reason.starts_with("policy:"));
        match verdict {
            Verdict::Allow => {
                self.allowed += 1;
                self.by_custom_permit += usize::from(custom);
            }
            _ => {
                self.denied += 1;
                self.by_custom_forbid += usize::from(custom);
            }
        }
    }
}

/// The reverse questions agree with one decision for each candidate.
fn check_reverse(world: &World, index: &Index, context: &str) {
    for (name, _) in &world.principals {
        let caller = caller(name);
        for plane in &world.control_planes {
            let Resource::ControlPlane { id: plane_id, region, .. } = plane else { panic!("{plane:?}") };
            let listed = index.decide(&caller, Action::CpList, plane);
            let visible = index.visible_control_planes(&caller, region);
            let passes = visible.all || visible.ids.contains(plane_id);
            assert!(passes || !listed.is_allowed(), "{context}: {name} misses {plane:?}");
            if !visible.recheck {
                assert_eq!(passes, listed.is_allowed(), "{context}: {name} {plane:?}");
            }
            let reached: Vec<String> = index
                .who_has_access(organization(), plane, usize::MAX)
                .into_iter()
                .map(|access| format!("assignment:{}", access.assignment))
                .collect();
            let by_assignment = |reason: &&String| reason.starts_with("assignment:");
            let named = support::reasons(&listed);
            let mut named = named.iter().filter(by_assignment);
            assert!(named.all(|reason| reached.contains(reason)), "{context}: {listed:?} {reached:?}");
        }
    }
    let (name, _) = &world.principals[0];
    for resource in [&world.control_planes[0], &Resource::Iam] {
        let expected: Vec<Action> = Action::ALL
            .into_iter()
            .filter(|action| index.decide(&caller(name), *action, resource).is_allowed())
            .collect();
        assert_eq!(index.allowed_actions(&caller(name), resource), expected, "{context}: {name}");
    }
    // Every row of a known team that reaches the resource is found, and no other.
    for plane in &world.control_planes {
        let Resource::ControlPlane { id: plane_id, region, .. } = plane else { panic!("{plane:?}") };
        let reaching = world.assignments.iter().filter(|row| {
            let known = match row.holder {
                Holder::Team(team) => {
                    world.teams.iter().any(|name| id::<ids::kinds::Team>(name) as TeamId == team)
                }
                Holder::Principal(_) => true,
            };
            let there = match &row.scope {
                Scope::ControlPlane { id, .. } => id == plane_id,
                Scope::Region(at) => at == region,
                Scope::AllRegions => true,
                Scope::Identity => false,
            };
            let about = !matches!(row.role, Role::ControlPlaneCreator | Role::IdentityAdmin);
            known && there && about
        });
        let expected: BTreeSet<_> = reaching.map(|row| row.id).collect();
        let found: BTreeSet<_> = index
            .who_has_access(organization(), plane, usize::MAX)
            .iter()
            .map(|access| access.assignment)
            .collect();
        assert_eq!(found, expected, "{context}: {plane:?}");
    }
}
