//! An organization's own policies, in Cedar: what is accepted, and what becomes of one that cannot be used.
//!
//! At the door ([`Index::check_policy`](crate::Index::check_policy)) a policy is refused unless it is one static policy
//! of bounded size, strictly valid within [`LEVEL_MAX`](crate::system::LEVEL_MAX) and without warnings, names only
//! entities of its organization, and, if a permit, names its actions, none of them of the organization's identity:
//! else whoever may write policies would be Organization Admin by another name.
//!
//! The index may still meet a text that it cannot use: damaged, or written for another version's schema. It fails
//! closed. A permit that is not valid permits nothing. A forbid that is not valid denies wherever its scope matches. A
//! text that cannot be read may be a forbid of anything, so it denies everything, until it is put right or removed.

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint,
    ResourceConstraint,
};
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region, TeamId};

use crate::{
    Action, Holder, PolicyId, Reason,
    scope::EVERY,
    system::{ActionEntity, Types, system},
};

/// Longest text of a policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 10_000;
/// Most policies of an organization. Each may be evaluated at each decision, for some 5 µs.
pub const POLICIES_MAX: usize = 100;
/// Most text of all policies of an organization together, in bytes.
pub const POLICIES_BYTES_MAX: usize = 200_000;
/// Deepest nesting of brackets in a policy. Cedar's parser recurses: some 35 overflow a thread of 2 MiB (debug build).
pub const NESTING_MAX: usize = 16;
/// Most brackets, operator signs and `if`s in a policy, outside strings and comments: a chain of them is a deep tree too.
pub const OPERATORS_MAX: usize = 256;

/// Why a policy is not accepted. The message is for the person who wrote it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyRefused {
    /// Its text is longer than [`POLICY_BYTES_MAX`].
    #[error("the policy has {bytes} bytes; the most is {POLICY_BYTES_MAX}")]
    TooLarge {
        /// Of its text.
        bytes: usize,
    },
    /// It is nested deeper than [`NESTING_MAX`], or has more than [`OPERATORS_MAX`] operators.
    #[error("the policy nests deeper than {NESTING_MAX} brackets or has more than {OPERATORS_MAX} operators")]
    TooDeep,
    /// The organization has [`POLICIES_MAX`] already.
    #[error("an organization has at most {POLICIES_MAX} policies")]
    TooMany,
    /// All texts of the organization together are longer than [`POLICIES_BYTES_MAX`].
    #[error(
        "the policies of an organization have at most {POLICIES_BYTES_MAX} bytes together; these have {bytes}"
    )]
    TooLargeTogether {
        /// Of all texts, the new one included.
        bytes: usize,
    },
    /// It is not Cedar, or it is a template or several policies.
    #[error("the policy cannot be read: {0}")]
    Unreadable(String),
    /// Cedar's validator objects: an attribute that does not exist, say.
    #[error("the policy is not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
    /// It permits every action, also those of later releases.
    #[error("a permit names its actions: action == … or action in […]")]
    AnyAction,
    /// It permits an action on identity.
    #[error("a custom policy cannot permit {0}: identity is managed through roles")]
    IdentityAction(Action),
    /// It names an entity of another organization, or none at all.
    #[error("{0} is not an entity of this organization")]
    Foreign(String),
}

/// A custom policy as the index holds it.
#[derive(Debug, PartialEq)]
pub(crate) struct Custom {
    /// Length of the policy's text, which counts towards the limit of its organization.
    pub bytes: usize,
    /// What became of the text when it was read.
    pub standing: Standing,
}

/// What a policy counts for.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    /// Judged by Cedar.
    Sound(Box<Scoped>),
    /// A forbid that is not valid: denies wherever its scope matches.
    UnsoundForbid(Box<Scoped>),
    /// A permit that is not valid: permits nothing.
    UnsoundPermit,
    /// Denies everything.
    Unreadable,
}

/// A policy with its scope taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Scoped {
    /// The policy as Cedar parsed it.
    pub policy: Policy,
    principal: PrincipalConstraint,
    action: ActionConstraint,
    resource: ResourceConstraint,
}

/// An entity and everything that it is in.
pub(crate) struct Line {
    /// The entity itself.
    pub uid: EntityUid,
    /// Every entity that it is in, directly or through others.
    pub ancestors: Vec<EntityUid>,
}

impl Line {
    fn is(&self, entity_type: &EntityTypeName) -> bool {
        self.uid.type_name() == entity_type
    }

    fn within(&self, uid: &EntityUid) -> bool {
        self.uid == *uid || self.ancestors.contains(uid)
    }
}

impl Custom {
    /// Reads a policy that has been accepted somewhere. Never fails: see the module's rules.
    pub fn read(organization: OrganizationId, id: PolicyId, text: &str) -> Self {
        let standing = match parse(id, text) {
            Err(_) => Standing::Unreadable,
            Ok(scoped) => match (examine(organization, &scoped), scoped.policy.effect()) {
                (Ok(()), _) => Standing::Sound(Box::new(scoped)),
                (Err(_), Effect::Forbid) => Standing::UnsoundForbid(Box::new(scoped)),
                (Err(_), Effect::Permit) => Standing::UnsoundPermit,
            },
        };
        Self { bytes: text.len(), standing }
    }
}

/// Whether the text is a policy that the organization may have, as far as that follows from the text alone. Whether the
/// [`members`] that it names are known is for the caller to ask.
pub(crate) fn check(organization: OrganizationId, text: &str) -> Result<Scoped, PolicyRefused> {
    let scoped = parse(PolicyId::from_uuid(uuid::Uuid::nil()), text)?;
    examine(organization, &scoped)?;
    Ok(scoped)
}

/// The teams and principals that a policy names.
pub(crate) fn members(scoped: &Scoped) -> Vec<Holder> {
    let types = &system().types;
    let member = |literal: &EntityUid| {
        let id = literal.id().unescaped();
        if *literal.type_name() == types.team {
            id.parse().ok().map(Holder::Team)
        } else if *literal.type_name() == types.user || *literal.type_name() == types.system_account {
            id.parse().ok().map(Holder::Principal)
        } else {
            None
        }
    };
    scoped.policy.entity_literals().iter().filter_map(member).collect()
}

fn parse(id: PolicyId, text: &str) -> Result<Scoped, PolicyRefused> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(PolicyRefused::TooLarge { bytes: text.len() });
    }
    if is_too_deep(text) {
        return Err(PolicyRefused::TooDeep);
    }
    let id = cedar_policy::PolicyId::new(Reason::Policy(id).to_string());
    let policy =
        Policy::parse(Some(id), text).map_err(|error| PolicyRefused::Unreadable(error.to_string()))?;
    Ok(Scoped {
        principal: policy.principal_constraint(),
        action: policy.action_constraint(),
        resource: policy.resource_constraint(),
        policy,
    })
}

/// Bounds the tree before any parser sees it: how deep brackets nest, and how many operators can chain.
fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut operators = 0_usize;
    let mut rest = text.char_indices();
    while let Some((at, character)) = rest.next() {
        match character {
            '"' => skip_string(&mut rest),
            '/' => rest.by_ref().take_while(|(_, c)| *c != '\n').for_each(drop),
            '(' | '[' | '{' => {
                depth += 1;
                operators += 1;
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '&' | '|' | '+' | '-' | '*' | '!' | '.' => operators += 1,
            'i' if text.get(at..).is_some_and(|from| from.starts_with("if")) => operators += 1,
            _ => {}
        }
        if depth > NESTING_MAX || operators > OPERATORS_MAX {
            return true;
        }
    }
    false
}

/// Up to and with the closing quote.
fn skip_string(rest: &mut std::str::CharIndices<'_>) {
    while let Some((_, character)) = rest.next() {
        match character {
            '"' => return,
            '\\' => {
                rest.next();
            }
            _ => {}
        }
    }
}

/// Everything but the syntax.
fn examine(organization: OrganizationId, scoped: &Scoped) -> Result<(), PolicyRefused> {
    let policies = PolicySet::from_policies([scoped.policy.clone()])
        .map_err(|error| PolicyRefused::Invalid(vec![error.to_string()]))?;
    let objections = system().objections(&policies);
    if !objections.is_empty() {
        return Err(PolicyRefused::Invalid(objections));
    }
    if scoped.policy.effect() == Effect::Permit {
        examine_permit(scoped)?;
    }
    match scoped.policy.entity_literals().iter().find(|literal| !belongs(organization, literal)) {
        Some(foreign) => Err(PolicyRefused::Foreign(foreign.to_string())),
        None => Ok(()),
    }
}

fn examine_permit(scoped: &Scoped) -> Result<(), PolicyRefused> {
    if scoped.action == ActionConstraint::Any {
        return Err(PolicyRefused::AnyAction);
    }
    let identity = |action: &Action| action.is_identity() && scoped.matches_action(system().action(*action));
    match Action::ALL.into_iter().find(identity) {
        Some(action) => Err(PolicyRefused::IdentityAction(action)),
        None => Ok(()),
    }
}

/// Whether an entity can be one of the organization's. Ids that carry the organization are compared; others are held to
/// their form, since teams and principals may become known later and control planes are their region's own. A foreign
/// one never matches anything: the system's policies see to that.
fn belongs(organization: OrganizationId, literal: &EntityUid) -> bool {
    let types = &system().types;
    let id = literal.id().unescaped();
    let entity_type = literal.type_name();
    if *entity_type == types.organization || *entity_type == types.identity {
        id == organization.to_string()
    } else if *entity_type == types.scope {
        is_scope_of(organization, id)
    } else if *entity_type == types.team {
        id.parse::<TeamId>().is_ok()
    } else if *entity_type == types.user || *entity_type == types.system_account {
        id.parse::<PrincipalId>().is_ok()
    } else if *entity_type == types.control_plane {
        id.parse::<ControlPlaneId>().is_ok()
    } else {
        entity_type.basename() == "Action"
    }
}

/// The id of the scope of all control planes of a region, or of all regions.
pub(crate) fn scope_id(organization: OrganizationId, region: Option<&Region>) -> String {
    format!("{organization}/{}/ControlPlane", region.map_or(EVERY, Region::as_str))
}

fn is_scope_of(organization: OrganizationId, id: &str) -> bool {
    let mut parts = id.split('/');
    let is_own = parts.next() == Some(&organization.to_string());
    let is_region = parts.next().is_some_and(|region| region == EVERY || region.parse::<Region>().is_ok());
    is_own && is_region && parts.next() == Some("ControlPlane") && parts.next().is_none()
}

impl Scoped {
    /// Whether the policy's scope holds for the request: exactly what Cedar finds, so a policy that does not match can be
    /// left out of the slice.
    pub fn matches(&self, principal: &Line, action: &ActionEntity, resource: &Line) -> bool {
        self.matches_principal(principal) && self.matches_action(action) && self.matches_resource(resource)
    }

    /// Whether the scope may hold for some control plane of a region, given by the scopes that it lies in.
    pub fn may_match_rows(
        &self,
        principal: &Line,
        action: &ActionEntity,
        types: &Types,
        scopes: &[EntityUid],
    ) -> bool {
        let is_row = |entity_type: &EntityTypeName| *entity_type == types.control_plane;
        let holds_rows = |uid: &EntityUid| is_row(uid.type_name()) || scopes.contains(uid);
        let resource = match &self.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::Is(entity_type) => is_row(entity_type),
            ResourceConstraint::Eq(uid) => is_row(uid.type_name()),
            ResourceConstraint::In(uid) => holds_rows(uid),
            ResourceConstraint::IsIn(entity_type, uid) => is_row(entity_type) && holds_rows(uid),
        };
        resource && self.matches_principal(principal) && self.matches_action(action)
    }

    fn matches_principal(&self, principal: &Line) -> bool {
        match &self.principal {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::In(uid) => principal.within(uid),
            PrincipalConstraint::Eq(uid) => principal.uid == *uid,
            PrincipalConstraint::Is(entity_type) => principal.is(entity_type),
            PrincipalConstraint::IsIn(entity_type, uid) => principal.is(entity_type) && principal.within(uid),
        }
    }

    fn matches_action(&self, action: &ActionEntity) -> bool {
        match &self.action {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => action.uid == *uid,
            ActionConstraint::In(uids) => {
                uids.iter().any(|uid| action.uid == *uid || action.groups.contains(uid))
            }
        }
    }

    fn matches_resource(&self, resource: &Line) -> bool {
        match &self.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::In(uid) => resource.within(uid),
            ResourceConstraint::Eq(uid) => resource.uid == *uid,
            ResourceConstraint::Is(entity_type) => resource.is(entity_type),
            ResourceConstraint::IsIn(entity_type, uid) => resource.is(entity_type) && resource.within(uid),
        }
    }
}
