//! The schema, the system policies and the role templates, parsed once and checked against the tables in Rust.
//!
//! Invariant: every [`Action`] is an action of the schema and the reverse; every [`Role`] has one action group and one
//! template and the reverse. Nothing here depends on an organization.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::LazyLock,
};

use cedar_policy::{
    Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Schema, TemplateResourceConstraint,
    ValidationMode, Validator,
};

use crate::{Action, Role, decision::ResourceKind};

const SCHEMA: &str = include_str!("../cedar/schema.cedarschema");
const SYSTEM_POLICIES: &str = include_str!("../cedar/system.cedar");
const ROLE_TEMPLATES: &str = include_str!("../cedar/roles.cedar");

/// Action groups are named `role/…`.
const GROUP_PREFIX: &str = "role/";
/// The group that no role stands for: what the static policy `system:member` permits.
const MEMBER_GROUP: &str = "role/Organization/Member";
/// How far a policy may follow references: attributes of principal and resource, not of what those refer to. So a slice
/// of principal, action and resource is all that a decision needs.
pub const LEVEL_MAX: u32 = 1;

/// Why the compiled-in texts cannot be used. The tests load them, so none of these reaches a release.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{file}: {message}")]
    Text { file: &'static str, message: String },
    #[error("the schema and the table of actions differ: {0}")]
    Actions(String),
    #[error("the templates and the table of roles differ: {0}")]
    Roles(String),
}

/// The entity types of the schema.
pub(crate) struct Types {
    /// `Organization`.
    pub organization: EntityTypeName,
    /// `Team`.
    pub team: EntityTypeName,
    /// `User`: a person.
    pub user: EntityTypeName,
    /// `SystemAccount`.
    pub system_account: EntityTypeName,
    /// `Scope`: all control planes of one region, or of all regions.
    pub scope: EntityTypeName,
    /// `ControlPlane`.
    pub control_plane: EntityTypeName,
    /// `Identity`: the resource of everything about an organization's people, teams and tokens. It has the organization's id.
    pub identity: EntityTypeName,
}

/// An action as Cedar sees it.
pub(crate) struct ActionEntity {
    /// `Action::"<name>"`.
    pub uid: EntityUid,
    /// With its groups as parents.
    pub entity: Entity,
    /// Uids of the action groups that it is in, each with the actions of one role.
    pub groups: Vec<EntityUid>,
}

pub(crate) struct System {
    /// Names of the entity types, parsed once.
    pub types: Types,
    /// The committed Cedar schema, parsed.
    pub schema: Schema,
    validator: Validator,
    /// System policies and role templates; a decision links and adds to a copy.
    pub policies: PolicySet,
    actions: HashMap<Action, ActionEntity>,
    applies: BTreeSet<(Action, ResourceKind)>,
    grants: BTreeSet<(Role, Action, ResourceKind)>,
}

static SYSTEM: LazyLock<System> =
    LazyLock::new(|| System::load().expect("the compiled-in texts are valid: a test loads them"));

/// The system policies. Loads them at the first call, which takes some milliseconds.
pub(crate) fn system() -> &'static System {
    &SYSTEM
}

impl System {
    fn load() -> Result<Self, LoadError> {
        let (schema, warnings) = Schema::from_cedarschema_str(SCHEMA)
            .map_err(|error| text_error("schema.cedarschema", format!("{error:?}")))?;
        if let Some(warning) = warnings.into_iter().next() {
            return Err(text_error("schema.cedarschema", warning.to_string()));
        }
        let types = Types::load()?;
        let actions = load_actions(&schema)?;
        let applies = applicable(&schema, &types, &actions);
        let policies = load_policies()?;
        let grants = granted(&types, &policies, &actions, &applies)?;
        Ok(Self {
            validator: Validator::new(schema.clone()),
            types,
            schema,
            policies,
            actions,
            applies,
            grants,
        })
    }

    /// Whether the action can be asked of such a resource.
    pub fn applies(&self, action: Action, kind: ResourceKind) -> bool {
        self.applies.contains(&(action, kind))
    }

    /// Whether the role holds the action on such a resource, inside the scope of its assignment.
    pub fn grants(&self, role: Role, action: Action, kind: ResourceKind) -> bool {
        self.grants.contains(&(role, action, kind))
    }

    /// The action's entity and groups. Never fails: loading the schema has checked that each action is in it.
    pub fn action(&self, action: Action) -> &ActionEntity {
        self.actions.get(&action).expect("loading fails unless each action is in the schema")
    }

    /// Everything that keeps the policies from being strictly valid, free of warnings and within [`LEVEL_MAX`].
    pub fn objections(&self, policies: &PolicySet) -> Vec<String> {
        let result = self.validator.validate_with_level(policies, ValidationMode::Strict, LEVEL_MAX);
        let errors = result.validation_errors().map(ToString::to_string);
        let warnings = result.validation_warnings().map(ToString::to_string);
        errors.chain(warnings).collect()
    }
}

impl Types {
    fn load() -> Result<Self, LoadError> {
        let named = |name: &str| {
            format!("Landbridge::{name}")
                .parse::<EntityTypeName>()
                .map_err(|error| text_error("schema.cedarschema", error.to_string()))
        };
        Ok(Self {
            organization: named("Organization")?,
            team: named("Team")?,
            user: named("User")?,
            system_account: named("SystemAccount")?,
            scope: named("Scope")?,
            control_plane: named("ControlPlane")?,
            identity: named("Identity")?,
        })
    }

    /// The entity type of such a resource.
    pub fn of_kind(&self, kind: ResourceKind) -> &EntityTypeName {
        match kind {
            ResourceKind::ControlPlane => &self.control_plane,
            ResourceKind::ControlPlanes => &self.scope,
            ResourceKind::Identity => &self.identity,
        }
    }
}

/// The uid of an entity. Ids are data: they are never pasted into policy text.
pub(crate) fn uid(entity_type: &EntityTypeName, id: impl AsRef<str>) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
}

fn text_error(file: &'static str, message: String) -> LoadError {
    LoadError::Text { file, message }
}

fn load_actions(schema: &Schema) -> Result<HashMap<Action, ActionEntity>, LoadError> {
    let entities = schema.action_entities().map_err(|error| LoadError::Actions(error.to_string()))?;
    let mut actions = HashMap::new();
    for entity in entities.iter() {
        let uid = entity.uid();
        let name = uid.id().unescaped();
        if name.starts_with(GROUP_PREFIX) {
            continue;
        }
        let action = name.parse::<Action>().map_err(|error| LoadError::Actions(error.to_string()))?;
        let groups: Vec<EntityUid> = entities.ancestors(&uid).into_iter().flatten().cloned().collect();
        let entity = Entity::new_no_attrs(uid.clone(), groups.iter().cloned().collect());
        actions.insert(action, ActionEntity { uid, entity, groups });
    }
    match Action::ALL.into_iter().find(|action| !actions.contains_key(action)) {
        Some(missing) => Err(LoadError::Actions(format!("the schema has no {missing}"))),
        None => Ok(actions),
    }
}

fn applicable(
    schema: &Schema,
    types: &Types,
    actions: &HashMap<Action, ActionEntity>,
) -> BTreeSet<(Action, ResourceKind)> {
    let mut applies = BTreeSet::new();
    for (action, entity) in actions {
        let resources: HashSet<&EntityTypeName> =
            schema.resources_for_action(&entity.uid).into_iter().flatten().collect();
        let kinds = ResourceKind::ALL.into_iter().filter(|kind| resources.contains(types.of_kind(*kind)));
        applies.extend(kinds.map(|kind| (*action, kind)));
    }
    applies
}

/// Both files in one set, each policy and template under the id that its annotation gives.
fn load_policies() -> Result<PolicySet, LoadError> {
    let mut policies = PolicySet::new();
    let parse =
        |file, text: &str| text.parse::<PolicySet>().map_err(|error| text_error(file, format!("{error:?}")));
    for policy in parse("system.cedar", SYSTEM_POLICIES)?.policies() {
        let id = policy.annotation("id").ok_or_else(|| text_error("system.cedar", "no @id".to_owned()))?;
        policies
            .add(policy.new_id(PolicyId::new(id)))
            .map_err(|error| text_error("system.cedar", error.to_string()))?;
    }
    for template in parse("roles.cedar", ROLE_TEMPLATES)?.templates() {
        let id = template.annotation("id").ok_or_else(|| text_error("roles.cedar", "no @id".to_owned()))?;
        policies
            .add_template(template.new_id(PolicyId::new(id)))
            .map_err(|error| text_error("roles.cedar", error.to_string()))?;
    }
    Ok(policies)
}

/// The table of what each role holds, read off the action groups and the templates' resource types.
fn granted(
    types: &Types,
    policies: &PolicySet,
    actions: &HashMap<Action, ActionEntity>,
    applies: &BTreeSet<(Action, ResourceKind)>,
) -> Result<BTreeSet<(Role, Action, ResourceKind)>, LoadError> {
    if let Some(unknown) =
        policies.templates().find(|template| Role::from_key(template.id().as_ref()).is_none())
    {
        return Err(LoadError::Roles(format!("no role is {}", unknown.id())));
    }
    let mut grants = BTreeSet::new();
    for role in Role::ALL {
        let template = policies
            .template(&PolicyId::new(role.key()))
            .ok_or_else(|| LoadError::Roles(format!("no template is {}", role.key())))?;
        let only_type = match template.resource_constraint() {
            TemplateResourceConstraint::In(None) => None,
            TemplateResourceConstraint::IsIn(entity_type, None) => Some(entity_type),
            other => return Err(LoadError::Roles(format!("{} is on {other:?}", role.key()))),
        };
        let group = format!("{GROUP_PREFIX}{}", role.key());
        for (action, kind) in applies {
            let in_group = actions
                .get(action)
                .is_some_and(|entity| entity.groups.iter().any(|uid| uid.id().unescaped() == group));
            if in_group && only_type.as_ref().is_none_or(|entity_type| entity_type == types.of_kind(*kind)) {
                grants.insert((role, *action, *kind));
            }
        }
    }
    let known = |group: &str| {
        group == MEMBER_GROUP || group.strip_prefix(GROUP_PREFIX).and_then(Role::from_key).is_some()
    };
    let groups = actions.values().flat_map(|entity| &entity.groups);
    match groups.map(|uid| uid.id().unescaped()).find(|group| !known(group)) {
        Some(unknown) => Err(LoadError::Roles(format!("no role stands for {unknown}"))),
        None => Ok(grants),
    }
}

#[cfg(test)]
mod tests {
    use super::{GROUP_PREFIX, MEMBER_GROUP, System};
    use crate::{Action, Role, decision::ResourceKind};

    #[test]
    fn the_texts_are_strictly_valid_within_level_one_and_without_warnings() {
        let system = System::load().expect("loads");
        assert_eq!(system.objections(&system.policies), Vec::<String>::new());
    }

    #[test]
    fn actions_roles_and_groups_of_the_schema_are_those_of_the_tables() {
        let system = System::load().expect("loads");
        let mut groups: Vec<String> =
            Role::ALL.iter().map(|role| format!("{GROUP_PREFIX}{}", role.key())).collect();
        groups.push(MEMBER_GROUP.to_owned());
        let mut expected: Vec<String> =
            Action::ALL.iter().map(ToString::to_string).chain(groups.clone()).collect();
        let mut found: Vec<String> =
            system.schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);

        let mut found: Vec<String> =
            system.schema.action_groups().map(|uid| uid.id().unescaped().to_owned()).collect();
        groups.sort();
        found.sort();
        assert_eq!(found, groups);
        assert_eq!(system.policies.templates().count(), Role::ALL.len());
    }

    #[test]
    fn every_action_applies_somewhere_and_some_role_holds_it() {
        let system = System::load().expect("loads");
        for action in Action::ALL {
            let kinds: Vec<_> =
                ResourceKind::ALL.into_iter().filter(|kind| system.applies(action, *kind)).collect();
            assert!(!kinds.is_empty(), "{action}");
            for kind in kinds {
                assert!(
                    Role::ALL.into_iter().any(|role| system.grants(role, action, kind)),
                    "{action} {kind:?}"
                );
            }
        }
    }

    #[test]
    fn a_creator_lists_scopes_but_no_rows() {
        let system = System::load().expect("loads");
        let creator = Role::ControlPlaneCreator;
        assert!(system.grants(creator, Action::CpList, ResourceKind::ControlPlanes));
        assert!(!system.grants(creator, Action::CpList, ResourceKind::ControlPlane));
    }
}
