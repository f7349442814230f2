//! What a declarative document comes to: the difference between what it says and what it owns of the configuration. Pure.

use std::collections::{BTreeSet, HashSet};

use gateway_model::{Entity, Kind, OnDelete, UniqueKey, declarative::Document};
use uuid::Uuid;

use super::{
    known::{EntityId, Known, Write},
    plan::{Limits, Plan, Refusal, Stop},
};

/// Plans what `document` says. What it does not own stays as it is, but for what goes with an entity that it deletes.
/// Calls `planned` for each entity of the document.
pub fn apply(
    known: &Known,
    document: &Document,
    namespace: Uuid,
    limits: &Limits,
    planned: &dyn Fn(),
) -> Result<Plan, Stop> {
    let all = known.all()?;
    let others: HashSet<EntityId> = match document.select_tags() {
        [] => HashSet::new(),
        _ => all.iter().filter(|(_, entity)| !document.owns(entity)).map(|(id, _)| *id).collect(),
    };
    let existing = |kind: Kind, key: &UniqueKey| known.holder(&(kind, key.clone())).ok().flatten();
    let stays = |kind, id| others.contains(&EntityId { kind, id });
    let mut wanted =
        document.entities_beside(namespace, &existing, &stays, planned).map_err(Refusal::Document)?;
    for (id, entity) in &mut wanted {
        known.complete(EntityId { kind: entity.kind(), id: *id }, entity)?;
    }
    if wanted.len() + others.len() > limits.entities_max {
        return Err(Refusal::LimitReached(limits.entities_max).into());
    }
    let kept = others.iter().filter_map(|id| all.get(id)).map(|entity| entity.path_cost());
    let cost = wanted.iter().map(|(_, entity)| entity.path_cost()).chain(kept).fold(0, u64::saturating_add);
    if cost > limits.path_cost_max {
        return Err(Refusal::PathCost { cost, max: limits.path_cost_max }.into());
    }
    let mut gone: BTreeSet<EntityId> = all.keys().filter(|id| !others.contains(id)).copied().collect();
    for (id, entity) in &wanted {
        gone.remove(&EntityId { kind: entity.kind(), id: *id });
    }
    if !others.is_empty() {
        take_along(known, &others, &mut gone)?;
        require_targets(&wanted, &gone)?;
    }
    let mut plan = Plan { deleted: gone.len(), ..Plan::default() };
    for (id, entity) in wanted {
        let id = EntityId { kind: entity.kind(), id };
        match all.get(&id) {
            None => plan.created += 1,
            Some(same) if **same == entity => continue,
            Some(_) => plan.updated += 1,
        }
        limits.acme.check(&entity).map_err(Refusal::NotOffered)?;
        plan.writes.push(Write { id, after: Some(entity) });
    }
    plan.writes.extend(gone.into_iter().map(|id| Write { id, after: None }));
    Ok(plan)
}

/// Adds to `gone` what goes with it among the entities that the document does not own. Refused if one of them has to stay.
fn take_along(known: &Known, others: &HashSet<EntityId>, gone: &mut BTreeSet<EntityId>) -> Result<(), Stop> {
    let mut to_visit: Vec<EntityId> = gone.iter().copied().collect();
    while let Some(target) = to_visit.pop() {
        for referrer in known.referrers(target)?.iter().filter(|referrer| others.contains(&referrer.id)) {
            match referrer.on_delete {
                OnDelete::Restrict => {
                    return Err(Refusal::InUse { kind: target.kind, by: referrer.id }.into());
                }
                OnDelete::Cascade => {
                    if gone.insert(referrer.id) {
                        to_visit.push(referrer.id);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Refuses a document that refers to what goes with an entity that it deletes.
fn require_targets(wanted: &[(Uuid, Entity)], gone: &BTreeSet<EntityId>) -> Result<(), Stop> {
    for (id, entity) in wanted {
        for reference in entity.references() {
            let target = reference.target.id().map(|id| EntityId { kind: reference.kind, id });
            if target.is_some_and(|target| gone.contains(&target)) {
                let by = EntityId { kind: entity.kind(), id: *id };
                return Err(Refusal::InUse { kind: reference.kind, by }.into());
            }
        }
    }
    Ok(())
}
