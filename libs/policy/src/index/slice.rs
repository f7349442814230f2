//! The part of an organization that one question needs, handed to Cedar.
//!
//! Three entities: the principal with its teams as parents, the resource with its scopes as parents, and the action with
//! its groups. Nothing else, because policies look at attributes of these three only (level 1). The policies: the
//! system's, one link for each assignment that can matter, and the custom policies whose scope matches.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Effect, Entities, Entity, EntityUid, PolicyId, PolicySet, Request, Response,
    RestrictedExpression, SlotId,
};

use super::Subject;
use crate::{
    Action, Decision, Holder, PrincipalKind, Reason, Resource, ResourceKind, Scope, UnknownReason, Verdict,
    custom::{Line, Scoped, Standing, scope_id},
    system::{ActionEntity, System, system, uid},
};

/// Most assignments that take part in one decision. Assignments only permit, and any one is enough: the rest would add
/// to the reasons, not to the verdict. So a caller in very many teams costs no more.
pub const LINKS_MAX: usize = 32;

/// Everything about caller and resource that a decision needs, for any action.
pub(super) struct Slice<'a> {
    subject: &'a Subject<'a>,
    kind: ResourceKind,
    scopes: Vec<Scope>,
    principal: Line,
    principal_entity: Entity,
    resource: Line,
    resource_entity: Entity,
}

/// Cedar could not be asked. It denies.
pub(super) struct NotJudged(String);

impl<E: std::error::Error> From<E> for NotJudged {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl NotJudged {
    /// Denies, and gives the error as the reason.
    pub fn decision(self) -> Decision {
        Decision::deny(vec![Reason::System(format!("error: {}", self.0))])
    }
}

impl<'a> Slice<'a> {
    /// Gathers the principal and the resource with everything that they are in. Fails if Cedar does not accept one of
    /// the entities; then nothing can be judged about them.
    pub fn new(subject: &'a Subject<'a>, resource: &Resource) -> Result<Self, NotJudged> {
        let system = system();
        let principal = principal_line(system, subject);
        let principal_entity = entity(
            system,
            subject,
            &principal,
            [("active", RestrictedExpression::new_bool(subject.principal.active))],
            [],
        )?;
        let line = resource_line(system, subject, resource);
        let resource_entity = match resource {
            Resource::ControlPlane { region, labels, .. } => {
                let region = RestrictedExpression::new_string(region.to_string());
                let tags = labels
                    .iter()
                    .map(|(name, value)| (name.clone(), RestrictedExpression::new_string(value.clone())));
                entity(system, subject, &line, [("region", region)], tags)?
            }
            Resource::ControlPlanes { .. } | Resource::Iam => entity(system, subject, &line, [], [])?,
        };
        Ok(Self {
            subject,
            kind: resource.kind(),
            scopes: resource.scopes(),
            principal,
            principal_entity,
            resource: line,
            resource_entity,
        })
    }

    /// The decision. The caller is authenticated already.
    pub fn judge(&self, action: Action) -> Decision {
        if let Some(verdict) = self.subject.barred() {
            return Decision { verdict, reasons: vec![Reason::System("suspended".to_owned())] };
        }
        let system = system();
        let denying = self.denied_unread(system.action(action));
        if !denying.is_empty() {
            return Decision::deny(denying);
        }
        self.ask(system, action).unwrap_or_else(NotJudged::decision)
    }

    /// The custom policies that deny because they cannot be judged.
    fn denied_unread(&self, action: &ActionEntity) -> Vec<Reason> {
        let denies = |standing: &Standing| match standing {
            Standing::Unreadable => true,
            Standing::UnsoundForbid(scoped) => self.matches(scoped, action),
            Standing::UnsoundPermit | Standing::Sound(_) => false,
        };
        let policies = self.subject.organization.policies.iter();
        policies.filter(|(_, policy)| denies(&policy.standing)).map(|(id, _)| Reason::Policy(*id)).collect()
    }

    fn matches(&self, scoped: &Scoped, action: &ActionEntity) -> bool {
        scoped.matches(&self.principal, action, &self.resource)
    }

    fn ask(&self, system: &System, action: Action) -> Result<Decision, NotJudged> {
        let entity = system.action(action);
        let mut policies = system.policies.clone();
        self.link_assignments(system, action, &mut policies)?;
        for policy in self.subject.organization.policies.values() {
            if let Standing::Sound(scoped) = &policy.standing
                && self.matches(scoped, entity)
            {
                policies.add(scoped.policy.clone())?;
            }
        }
        let entities = Entities::from_entities(
            [self.principal_entity.clone(), self.resource_entity.clone(), entity.entity.clone()],
            None,
        )?;
        let (principal, resource) = (self.principal.uid.clone(), self.resource.uid.clone());
        let request =
            Request::new(principal, entity.uid.clone(), resource, Context::empty(), Some(&system.schema))?;
        conclude(&policies, &Authorizer::new().is_authorized(&request, &policies, &entities))
    }

    /// Links the role's template for each assignment that holds the action and whose holder and scope reach the request.
    fn link_assignments(
        &self,
        system: &System,
        action: Action,
        policies: &mut PolicySet,
    ) -> Result<(), NotJudged> {
        let organization = self.subject.organization;
        let pairs =
            self.subject.holders().flat_map(|holder| self.scopes.iter().map(move |scope| (holder, scope)));
        let candidates = pairs.flat_map(|(holder, scope)| {
            organization.held_at(holder, scope).map(move |(role, id)| (holder, scope, role, id))
        });
        let held = candidates.filter(|(_, _, role, _)| system.grants(*role, action, self.kind));
        for (holder, scope, role, id) in held.take(LINKS_MAX) {
            let slots = HashMap::from([
                (SlotId::principal(), self.holder_uid(system, holder)),
                (SlotId::resource(), scope_uid(system, self.subject, scope)),
            ]);
            policies.link(
                PolicyId::new(role.key()),
                PolicyId::new(Reason::Assignment(id).to_string()),
                slots,
            )?;
        }
        Ok(())
    }

    fn holder_uid(&self, system: &System, holder: Holder) -> EntityUid {
        match holder {
            Holder::Principal(_) => self.principal.uid.clone(),
            Holder::Team(id) => uid(&system.types.team, id.to_string()),
        }
    }
}

/// Cedar skips a policy that fails. That is right for a permit; a forbid that fails denies.
fn conclude(policies: &PolicySet, response: &Response) -> Result<Decision, NotJudged> {
    let failed = response
        .diagnostics()
        .errors()
        .map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
        })
        .filter(|id| policies.policy(id).is_none_or(|policy| policy.effect() == Effect::Forbid))
        .map(reason);
    let failed = sorted(failed)?;
    if !failed.is_empty() {
        return Ok(Decision::deny(failed));
    }
    let verdict = match response.decision() {
        cedar_policy::Decision::Allow => Verdict::Allow,
        cedar_policy::Decision::Deny => Verdict::Deny,
    };
    Ok(Decision { verdict, reasons: sorted(response.diagnostics().reason().map(reason))? })
}

/// Every policy that Cedar is given is named after a [`Reason`].
fn reason(id: &PolicyId) -> Result<Reason, UnknownReason> {
    AsRef::<str>::as_ref(id).parse()
}

fn sorted(
    reasons: impl Iterator<Item = Result<Reason, UnknownReason>>,
) -> Result<Vec<Reason>, UnknownReason> {
    let mut reasons = reasons.collect::<Result<Vec<_>, _>>()?;
    reasons.sort();
    Ok(reasons)
}

pub(super) fn principal_line(system: &System, subject: &Subject<'_>) -> Line {
    let entity_type = match subject.principal.kind {
        PrincipalKind::User => &system.types.user,
        PrincipalKind::SystemAccount => &system.types.system_account,
    };
    Line {
        uid: uid(entity_type, subject.id.to_string()),
        ancestors: subject.teams.iter().map(|team| uid(&system.types.team, team.to_string())).collect(),
    }
}

fn resource_line(system: &System, subject: &Subject<'_>, resource: &Resource) -> Line {
    let mut uids = resource.scopes().into_iter().map(|scope| scope_uid(system, subject, &scope));
    Line { uid: uids.next().expect("a resource is in its own narrowest scope"), ancestors: uids.collect() }
}

/// The entity that stands for a scope: for a resource's narrowest scope, the resource itself.
pub(super) fn scope_uid(system: &System, subject: &Subject<'_>, scope: &Scope) -> EntityUid {
    let types = &system.types;
    match scope {
        Scope::Identity => uid(&types.identity, subject.organization_id.to_string()),
        Scope::AllRegions => uid(&types.scope, scope_id(subject.organization_id, None)),
        Scope::Region(region) => uid(&types.scope, scope_id(subject.organization_id, Some(region))),
        Scope::ControlPlane { id, .. } => uid(&types.control_plane, id.to_string()),
    }
}

fn entity<const N: usize>(
    system: &System,
    subject: &Subject<'_>,
    line: &Line,
    attributes: [(&str, RestrictedExpression); N],
    tags: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> Result<Entity, NotJudged> {
    let organization = uid(&system.types.organization, subject.organization_id.to_string());
    let organization = ("organization", RestrictedExpression::new_entity_uid(organization));
    let attributes = attributes.into_iter().chain([organization]);
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    let parents: HashSet<EntityUid> = line.ancestors.iter().cloned().collect();
    Ok(Entity::new_with_tags(line.uid.clone(), attributes, parents, tags)?)
}
