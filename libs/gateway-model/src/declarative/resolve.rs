//! Ids, references and duplicates of a document's entities.
//!
//! Kinds are taken in the order of dependency, so what an entity refers to has its id before it. All lookups are by hash: the
//! cost follows the size of the document.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Item;
use crate::{Entity, Invalid, Kind, Target, UniqueKey};

/// How the caller tells which entity has a unique key today.
type Existing<'a> = &'a dyn Fn(Kind, &UniqueKey) -> Option<Uuid>;

/// See [`super::Document::entities`].
pub(super) fn entities(
    items: &[Item],
    namespace: Uuid,
    existing: Existing<'_>,
) -> Result<Vec<(Uuid, Entity)>, Invalid> {
    let mut resolver = Resolver::new(items, namespace, existing);
    let mut result = Vec::with_capacity(items.len());
    for kind in Kind::ALL {
        for (index, item) in items.iter().enumerate().filter(|(_, item)| item.kind == kind) {
            let mut entity = item.entity.clone();
            if resolver.references(item, &mut entity) {
                let id = resolver.identify(index, item, &entity);
                result.push((id, entity));
            }
        }
    }
    resolver.errors.or(result)
}

struct Resolver<'a> {
    items: &'a [Item],
    namespace: Uuid,
    existing: Existing<'a>,
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
    fn new(items: &'a [Item], namespace: Uuid, existing: Existing<'a>) -> Resolver<'a> {
        let mut resolver = Resolver {
            items,
            namespace,
            existing,
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
                (None, Target::Id(id)) => self.by_id.contains(&(reference.kind, *id)).then_some(*id),
                (None, Target::Name(name)) => {
                    self.by_name.get(&(reference.kind, ids::name::comparable(name))).copied()
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
            }
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
        let held = keys.iter().filter_map(|key| (self.existing)(item.kind, key));
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
            if !self.taken.contains(&id) {
                return id;
            }
            attempt += 1;
        }
    }
}
