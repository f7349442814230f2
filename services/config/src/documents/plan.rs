//! What a part of a document comes to: which of its entities are new, which differ, and what goes with those that it does not have.

use std::collections::{HashMap, HashSet};

use gateway_model::{
    Entity, Kind, OnDelete, UniqueKey,
    declarative::{Item, Outside, Resolver, Today, owns},
};
use ids::ControlPlaneId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{apply::Stopped, check::Kept};
use crate::{
    entities::{
        Limits, Refusal,
        known::{EntityId, Key, Pending, Referrer, Stored, target_of},
        secrets::{self, Sealing},
        store,
    },
    error::Answer,
    validation::in_place,
};

/// What is the same for all parts of a document.
pub struct Planner<'p> {
    pub control_plane: ControlPlaneId,
    pub sealing: &'p Sealing,
    pub limits: &'p Limits,
    /// When the writes happen.
    pub now: OffsetDateTime,
    /// Random, for the secrets that the document leaves open.
    pub seed: [u8; 32],
    /// The document's entities.
    pub kept: &'p Kept,
    /// The tags by which it owns entities.
    pub select_tags: &'p [String],
    /// Whether the configuration is empty, so that nothing has to be looked for.
    pub is_empty: bool,
}

/// What is known of the configuration as it is, as far as a part of the document needs it.
#[derive(Default)]
struct Existing {
    holders: HashMap<Key, Uuid>,
    rows: HashMap<EntityId, Stored>,
}

impl Existing {
    fn holder(&self, kind: Kind, key: &UniqueKey) -> Option<Uuid> {
        self.holders.get(&(kind, key.clone())).copied()
    }
}

impl Planner<'_> {
    /// Plans some entities of the document, those of earlier kinds first. What is wrong with them is noted by the resolver.
    pub async fn plan(
        &self,
        connection: &mut PgConnection,
        resolver: &mut Resolver,
        mut items: Vec<Item>,
    ) -> Result<Vec<(EntityId, Pending)>, Stopped> {
        let mut existing = Existing::default();
        self.learn_outside(connection, resolver, &items, &mut existing).await?;
        self.with_today(&existing, |today| items.retain_mut(|item| resolver.references(item, today)));
        let keys =
            items.iter().flat_map(|item| item.entity.unique_keys().into_iter().map(|key| (item.kind, key)));
        self.learn_keys(connection, keys.collect(), &mut existing).await?;
        let holder = |kind, key: &UniqueKey| existing.holder(kind, key);
        let choices = items.iter().map(|item| (item.kind, resolver.first_choice(item, &holder)));
        let holders = existing.holders.iter().map(|((kind, _), id)| (*kind, *id));
        let ids: HashSet<EntityId> = choices.chain(holders).map(|(kind, id)| EntityId { kind, id }).collect();
        self.learn_rows(connection, ids, &mut existing).await?;
        let identified: Vec<(EntityId, Entity)> = self.with_today(&existing, |today| {
            let identify = |item: Item| {
                let id = EntityId { kind: item.kind, id: resolver.identify(&item, today) };
                (id, item.entity)
            };
            items.into_iter().map(identify).collect()
        });
        // An id that was the second choice.
        let others = identified.iter().map(|(id, _)| *id).collect();
        self.learn_rows(connection, others, &mut existing).await?;
        in_place(|| self.differing(identified, existing.rows))
    }

    /// Plans entities of the document anew whose rows have changed since: their ids and numbers.
    pub async fn plan_again(
        &self,
        connection: &mut PgConnection,
        resolver: &mut Resolver,
        numbers: &[(EntityId, usize)],
    ) -> Result<Vec<(EntityId, Pending)>, Stopped> {
        let (mut identified, mut existing) = (Vec::with_capacity(numbers.len()), Existing::default());
        for (id, number) in numbers {
            if let Some(entity) = self.resolved(connection, resolver, *number).await? {
                identified.push((*id, entity));
            }
        }
        let ids = numbers.iter().map(|(id, _)| *id).collect();
        self.learn_rows(connection, ids, &mut existing).await?;
        self.differing(identified, existing.rows)
    }

    /// What goes with these entities, which are about to be deleted, and is not owned by the document. Refused where one of them has to stay.
    /// `gone` is what is deleted already.
    pub async fn taken_along(
        &self,
        connection: &mut PgConnection,
        resolver: &mut Resolver,
        targets: &[EntityId],
        gone: &mut HashSet<EntityId>,
    ) -> Result<Vec<EntityId>, Stopped> {
        let referrers = store::referrers(connection, self.control_plane, targets).await?;
        let ids: Vec<EntityId> = referrers.values().flatten().map(|referrer| referrer.id).collect();
        let rows = store::stored(connection, self.control_plane, self.sealing, &ids).await?;
        let mut along = Vec::new();
        for (target, Referrer { id, on_delete }) in referrers
            .into_iter()
            .flat_map(|(target, all)| all.into_iter().map(move |referrer| (target, referrer)))
        {
            let in_use = Refusal::InUse { kind: target.kind, by: id };
            if let Some(number) = resolver.find(id.kind, id.id) {
                let entity = self.resolved(connection, resolver, number).await?;
                let references = entity.iter().flat_map(Entity::references).collect::<Vec<_>>();
                if references.iter().any(|reference| target_of(reference) == Some(target)) {
                    return Err(in_use.into());
                }
                continue;
            }
            // What the document owns and does not have goes by itself.
            if rows.get(&id).is_none_or(|row| owns(self.select_tags, &row.entity)) {
                continue;
            }
            match on_delete {
                OnDelete::Restrict => return Err(in_use.into()),
                OnDelete::Cascade if gone.insert(id) => along.push(id),
                OnDelete::Cascade => {}
            }
        }
        Ok(along)
    }

    /// The entity with this number, its references resolved. `None`: they cannot be any more, which the resolver notes.
    async fn resolved(
        &self,
        connection: &mut PgConnection,
        resolver: &mut Resolver,
        number: usize,
    ) -> Result<Option<Entity>, Stopped> {
        let (mut item, mut existing) = (self.kept.item(number)?, Existing::default());
        self.learn_outside(connection, resolver, std::slice::from_ref(&item), &mut existing).await?;
        let is_resolved = self.with_today(&existing, |today| resolver.references(&mut item, today));
        Ok(is_resolved.then_some(item.entity))
    }

    /// Those of the entities that are not as they are to be.
    fn differing(
        &self,
        identified: Vec<(EntityId, Entity)>,
        mut rows: HashMap<EntityId, Stored>,
    ) -> Result<Vec<(EntityId, Pending)>, Stopped> {
        let now = u64::try_from(self.now.unix_timestamp()).unwrap_or_default();
        let mut changes = Vec::new();
        for (id, mut entity) in identified {
            let before = rows.remove(&id);
            entity.inherit(before.as_ref().map(|before| &before.entity), now);
            secrets::draw(id, &mut entity, &self.seed);
            if before.as_ref().is_some_and(|before| before.entity == entity) {
                continue;
            }
            self.limits.acme.check(&entity).map_err(Refusal::NotOffered)?;
            changes.push((id, Pending { before, after: Some(entity) }));
        }
        Ok(changes)
    }

    /// Reads what entities refer to that is not in the document.
    async fn learn_outside(
        &self,
        connection: &mut PgConnection,
        resolver: &Resolver,
        items: &[Item],
        existing: &mut Existing,
    ) -> Answer<()> {
        // A document that owns everything refers to nothing else.
        if self.select_tags.is_empty() {
            return Ok(());
        }
        let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
        for (kind, outside) in items.iter().flat_map(|item| resolver.outside(item)) {
            match outside {
                Outside::Id(id) => drop(ids.insert(EntityId { kind, id })),
                Outside::Key(key) => drop(keys.insert((kind, key))),
            }
        }
        let named = keys.clone();
        self.learn_keys(connection, keys.into_iter().collect(), existing).await?;
        let holders = named.iter().filter_map(|(kind, key)| Some((*kind, existing.holder(*kind, key)?)));
        ids.extend(holders.map(|(kind, id)| EntityId { kind, id }));
        self.learn_rows(connection, ids, existing).await
    }

    async fn learn_keys(
        &self,
        connection: &mut PgConnection,
        keys: Vec<Key>,
        existing: &mut Existing,
    ) -> Answer<()> {
        if !self.is_empty {
            existing.holders.extend(store::holders(connection, self.control_plane, keys).await?);
        }
        Ok(())
    }

    async fn learn_rows(
        &self,
        connection: &mut PgConnection,
        mut ids: HashSet<EntityId>,
        existing: &mut Existing,
    ) -> Answer<()> {
        ids.retain(|id| !existing.rows.contains_key(id));
        let ids: Vec<EntityId> = ids.into_iter().collect();
        if !self.is_empty {
            existing.rows.extend(store::stored(connection, self.control_plane, self.sealing, &ids).await?);
        }
        Ok(())
    }

    /// Calls `work` with what there is beside the document.
    fn with_today<T>(&self, existing: &Existing, work: impl FnOnce(Today<'_>) -> T) -> T {
        let holder = |kind, key: &UniqueKey| existing.holder(kind, key);
        let stays = |kind, id| {
            let row = existing.rows.get(&EntityId { kind, id });
            row.is_some_and(|row| !owns(self.select_tags, &row.entity))
        };
        let path = |number| self.kept.item(number).map_or_else(|_| String::new(), |item| item.path);
        work(Today { existing: &holder, stays: &stays, path: &path })
    }
}
