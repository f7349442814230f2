//! Ids, references and duplicates of a document's entities.
//!
//! Kinds are taken in the order of dependency, so what an entity refers to has its id before it. All lookups are by hash: the
//! cost follows the size of the document.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Item;
use crate::{Entity, Invalid, Kind, Target, UniqueKey};

/// What the caller tells of the configuration as it is today.
#[derive(Clone, Copy)]
pub(super) struct Today<'a> {
    /// Which entity has a unique key.
    pub existing: &'a dyn Fn(Kind, &UniqueKey) -> Option<Uuid>,
    /// Whether there is such an entity, and the document does not own it.
    pub stays: &'a dyn Fn(Kind, Uuid) -> bool,
    /// Called for each entity of the document.
    pub resolved: &'a dyn Fn(),
}

const NOT_OWNED: &str =
    "that has not all of `_info.select_tags`: choose another one, or give that one the tags";

/// See [`super::Document::entities`].
pub(super) fn entities(
    items: &[Item],
    namespace: Uuid,
    today: Today<'_>,
) -> Result<Vec<(Uuid, Entity)>, Invalid> {
    let mut resolver = Resolver::new(items, namespace, today);
    let mut result = Vec::with_capacity(items.len());
    for kind in Kind::ALL {
        for (index, item) in items.iter().enumerate().filter(|(_, item)| item.kind == kind) {
            let mut entity = item.entity.clone();
            if resolver.references(item, &mut entity) {
                let id = resolver.identify(index, item, &entity);
                result.push((id, entity));
            }
            (today.resolved)();
        }
    }
    resolver.errors.or(result)
}

struct Resolver<'a> {
    items: &'a [Item],
    namespace: Uuid,
    today: Today<'a>,
    /// Ids given so far, by item.
    ids: Vec<Option<Uuid>>,
    /// Ids that are spoken for, those in the file from the start.
    taken: HashSet<Uuid>,
    /// What references by id and by name find.
    by_id: HashSet<(Kind, Uuid)>,
    by_name: HashMap<(Kind, String), Uuid>,
    /// The item that holds each unique key.
    keys: HashMap<(Kind, UniqueKey), usize>,
    errors: Invalid,
}

impl<'a> Resolver<'a> {
    fn new(items: &'a [Item], namespace: Uuid, today: Today<'a>) -> Resolver<'a> {
        let mut resolver = Resolver {
            items,
            namespace,
            today,
            ids: vec![None; items.len()],
            taken: HashSet::new(),
            by_id: HashSet::new(),
            by_name: HashMap::new(),
            keys: HashMap::new(),
            errors: Invalid::default(),
        };
        for item in items {
            if let Some(id) = item.id
                && !resolver.taken.insert(id)
            {
                resolver
                    .errors
                    .push(format!("{}.id", item.path), "is already the id of an earlier entity of the file");
            }
        }
        resolver
    }

    /// Turns every reference of `entity` into an id of the document; false if one cannot be.
    fn references(&mut self, item: &Item, entity: &mut Entity) -> bool {
        let mut resolved = true;
        for reference in entity.references_mut() {
            let parent = item.parent.filter(|parent| parent.field == reference.field);
            let found = match (parent, &*reference.target) {
                (Some(parent), _) => self.id_of(parent.item),
                (None, Target::Id(id)) => {
                    let known = self.by_id.contains(&(reference.kind, *id));
                    (known || (self.today.stays)(reference.kind, *id)).then_some(*id)
                }
                (None, Target::Name(name)) => {
                    let own = self.by_name.get(&(reference.kind, ids::name::comparable(name))).copied();
                    own.or_else(|| self.stays_as(reference.kind, &reference.kind.name_key(name)?))
                }
            };
            match found {
                Some(id) => *reference.target = Target::Id(id),
                // The enclosing entity has its own error.
                None if parent.is_some() => resolved = false,
                None => {
                    resolved = false;
                    let message = format!("names a {} that the file does not have", reference.kind.label());
                    self.errors.push(format!("{}.{}", item.path, reference.field), message);
                }
            }
        }
        resolved
    }

    /// The entity that has the key and that the document does not own.
    fn stays_as(&self, kind: Kind, key: &UniqueKey) -> Option<Uuid> {
        (self.today.existing)(kind, key).filter(|id| (self.today.stays)(kind, *id))
    }

    /// The id of an item, once it has one.
    fn id_of(&self, item: usize) -> Option<Uuid> {
        self.ids.get(item).copied().flatten()
    }

    /// Gives the entity its id and notes what it holds. Its references are resolved.
    fn identify(&mut self, index: usize, item: &'a Item, entity: &Entity) -> Uuid {
        let keys = entity.unique_keys();
        for key in &keys {
            if let Some(earlier) = self.keys.insert((item.kind, key.clone()), index) {
                let holder = self.items.get(earlier).map_or("", |item| item.path.as_str());
                let (field, message) = item.kind.repeated(key, &item.path, holder);
                self.errors.push(field, message);
            } else if self.stays_as(item.kind, key).is_some() {
                let (field, message) = item.kind.repeated(key, &item.path, "an entity");
                self.errors.push(field, format!("{message} {NOT_OWNED}"));
            }
        }
        if item.id.is_some_and(|id| (self.today.stays)(item.kind, id)) {
            self.errors.push(format!("{}.id", item.path), format!("is that of an entity {NOT_OWNED}"));
        }
        let id = item.id.unwrap_or_else(|| self.choose_id(item, &keys));
        if let Some(slot) = self.ids.get_mut(index) {
            *slot = Some(id);
        }
        self.taken.insert(id);
        self.by_id.insert((item.kind, id));
        if let Some(name) = item.entity.name() {
            self.by_name.insert((item.kind, ids::name::comparable(name)), id);
        }
        id
    }

    /// The id of the entity that has one of the keys today, else one made of the natural key.
    fn choose_id(&self, item: &Item, keys: &[UniqueKey]) -> Uuid {
        let held = keys.iter().filter_map(|key| (self.today.existing)(item.kind, key));
        if let Some(id) = held.into_iter().find(|id| !self.taken.contains(id)) {
            return id;
        }
        let natural = match (keys.first(), item.parent) {
            (Some(key), _) => format!("{}={}", key.field, key.value),
            (None, parent) => {
                // Without a parent the nil id stands before the position: ids that are stored were made of it.
                let parent = parent.and_then(|parent| self.id_of(parent.item)).unwrap_or(Uuid::nil());
                format!("{parent}[{}]", item.position)
            }
        };
        // An entity renamed elsewhere may still have the id that this name gives: then the next one is taken.
        let mut attempt: u64 = 0;
        loop {
            let name = format!("{}:{natural}#{attempt}", item.kind.name());
            let id = Uuid::new_v5(&self.namespace, name.as_bytes());
            if !self.taken.contains(&id) && !(self.today.stays)(item.kind, id) {
                return id;
            }
            attempt += 1;
        }
    }
}
