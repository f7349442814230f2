//! Ids, references and duplicates of a document's entities.
//!
//! Entities are taken in the order of their kinds, which is that of dependency, so what an entity refers to has its id before it. Of each
//! no more is kept than its id and the hashes of its unique keys: some 60 bytes.

use hashbrown::HashTable;
use uuid::Uuid;

use super::Item;
use crate::{Entity, Invalid, Kind, Reference, Target, UniqueKey};

/// What the caller tells of the configuration as it is today, and of the document.
#[derive(Clone, Copy)]
pub struct Today<'a> {
    /// Which entity has a unique key.
    pub existing: &'a dyn Fn(Kind, &UniqueKey) -> Option<Uuid>,
    /// Whether there is such an entity, and the document does not own it.
    pub stays: &'a dyn Fn(Kind, Uuid) -> bool,
    /// Where in the document the entity with this number stands. Asked for errors only.
    pub path: &'a dyn Fn(usize) -> String,
}

const NOT_OWNED: &str =
    "that has not all of `_info.select_tags`: choose another one, or give that one the tags";

/// Gives the entities of one document their ids, one after another.
pub struct Resolver {
    namespace: Uuid,
    /// The id of each entity that has one by now, by its number: that in the file from the start.
    ids: Vec<Option<(Kind, Uuid)>>,
    /// Whether the file gave it.
    claimed: Vec<bool>,
    /// Numbers of entities, by their ids.
    by_id: HashTable<u32>,
    /// Which entity has each unique key.
    keys: HashTable<Held>,
    errors: Invalid,
}

/// What an entity refers to that its document does not have.
pub enum Outside {
    Id(Uuid),
    Key(UniqueKey),
}

/// A unique key of an entity.
struct Held {
    key: KeyHash,
    number: u32,
}

/// Stands for a unique key of a kind: two are equal by chance once in 10^17 documents with a million entities.
type KeyHash = [u32; 3];

impl Resolver {
    /// For a document with so many entities. Ids that are made, are made in `namespace`.
    pub fn new(namespace: Uuid, entities: usize) -> Self {
        Self {
            namespace,
            ids: vec![None; entities],
            claimed: vec![false; entities],
            by_id: HashTable::with_capacity(entities),
            keys: HashTable::with_capacity(entities),
            errors: Invalid::default(),
        }
    }

    /// Notes the id that the file gives an entity. All of them come first: no id that is made may be one of these.
    pub fn claim(&mut self, item: &Item) {
        let Some(id) = item.id else { return };
        if self.number_of(id).is_some() {
            let field = format!("{}.id", item.path);
            return self.errors.push(field, "is already the id of an earlier entity of the file");
        }
        self.give(item.number, (item.kind, id));
        if let Some(claimed) = self.claimed.get_mut(item.number) {
            *claimed = true;
        }
    }

    /// Forgets all but the ids that the file gave, so that the entities can be given theirs once more.
    pub fn restart(&mut self) {
        self.keys.clear();
        self.by_id.clear();
        let ids = std::mem::replace(&mut self.ids, vec![None; self.claimed.len()]);
        for (number, id) in ids.into_iter().enumerate() {
            if let (Some(id), Some(true)) = (id, self.claimed.get(number)) {
                self.give(number, id);
            }
        }
    }

    /// What an entity refers to outside of the document: by id, or by a name's key.
    pub fn outside<'i>(&self, item: &'i Item) -> impl Iterator<Item = (Kind, Outside)> + use<'i, '_> {
        let within = |field| item.parent.is_some_and(|parent| parent.field == field);
        item.entity.references().into_iter().filter(move |reference| !within(reference.field)).filter_map(
            |Reference { kind, target, .. }| match target {
                Target::Id(id) => (!self.has(kind, *id)).then_some((kind, Outside::Id(*id))),
                Target::Name(name) => {
                    let key = kind.name_key(name)?;
                    self.holder(kind, &key).is_none().then_some((kind, Outside::Key(key)))
                }
            },
        )
    }

    /// Whether the document has the entity, once all are resolved.
    pub fn has(&self, kind: Kind, id: Uuid) -> bool {
        self.find(kind, id).is_some()
    }

    /// The number of the entity, once that has its id.
    pub fn find(&self, kind: Kind, id: Uuid) -> Option<usize> {
        self.number_of(id).filter(|number| self.id_of(*number) == Some((kind, id)))
    }

    /// The number of the entity that has this id, of whatever kind: no two of a document share one.
    fn number_of(&self, id: Uuid) -> Option<usize> {
        let found = self
            .by_id
            .find(hash_of_id(id), |number| self.id_of(*number as usize).is_some_and(|(_, own)| own == id));
        found.map(|number| *number as usize)
    }

    /// What was found wrong since this was last asked.
    pub fn take_errors(&mut self) -> Invalid {
        std::mem::take(&mut self.errors)
    }

    fn id_of(&self, number: usize) -> Option<(Kind, Uuid)> {
        self.ids.get(number).copied().flatten()
    }

    fn give(&mut self, number: usize, id: (Kind, Uuid)) {
        let (Some(slot), Ok(number)) = (self.ids.get_mut(number), u32::try_from(number)) else { return };
        if slot.replace(id).is_some() {
            return;
        }
        let ids = &self.ids;
        let hash =
            |number: &u32| ids.get(*number as usize).copied().flatten().map_or(0, |(_, id)| hash_of_id(id));
        self.by_id.insert_unique(hash_of_id(id.1), number, hash);
    }

    /// Turns every reference of the entity into an id; false if one cannot be, which is noted.
    pub fn references(&mut self, item: &mut Item, today: Today<'_>) -> bool {
        let Item { path, parent, entity, .. } = item;
        let mut resolved = true;
        for reference in entity.references_mut() {
            let parent = parent.filter(|parent| parent.field == reference.field);
            let found = match (parent, &*reference.target) {
                (Some(parent), _) => self.id_of(parent.item).map(|(_, id)| id),
                (None, Target::Id(id)) => {
                    (self.has(reference.kind, *id) || (today.stays)(reference.kind, *id)).then_some(*id)
                }
                (None, Target::Name(name)) => reference.kind.name_key(name).and_then(|key| {
                    let own = self.holder(reference.kind, &key).and_then(|number| self.id_of(number));
                    own.map(|(_, id)| id).or_else(|| stays_as(reference.kind, &key, today))
                }),
            };
            match found {
                Some(id) => *reference.target = Target::Id(id),
                // The enclosing entity has its own error.
                None if parent.is_some() => resolved = false,
                None => {
                    resolved = false;
                    let message = format!("names a {} that the file does not have", reference.kind.label());
                    self.errors.push(format!("{path}.{}", reference.field), message);
                }
            }
        }
        resolved
    }

    /// The number of the entity that has the key.
    fn holder(&self, kind: Kind, key: &UniqueKey) -> Option<usize> {
        let key = hash_of_key(kind, key);
        self.keys.find(spread(&key), |held| held.key == key).map(|held| held.number as usize)
    }

    /// Gives the entity its id and notes what it holds. Its references are resolved.
    pub fn identify(&mut self, item: &Item, today: Today<'_>) -> Uuid {
        let keys = item.entity.unique_keys();
        for key in &keys {
            if let Some(earlier) = self.holder(item.kind, key) {
                let (field, message) = item.kind.repeated(key, &item.path, &(today.path)(earlier));
                self.errors.push(field, message);
                continue;
            }
            if stays_as(item.kind, key, today).is_some() {
                let (field, message) = item.kind.repeated(key, &item.path, "an entity");
                self.errors.push(field, format!("{message} {NOT_OWNED}"));
            }
            let held = Held {
                key: hash_of_key(item.kind, key),
                number: u32::try_from(item.number).unwrap_or(u32::MAX),
            };
            self.keys.insert_unique(spread(&held.key), held, |held| spread(&held.key));
        }
        if item.id.is_some_and(|id| (today.stays)(item.kind, id)) {
            self.errors.push(format!("{}.id", item.path), format!("is that of an entity {NOT_OWNED}"));
        }
        let id = self.first_choice(item, today.existing);
        // An entity renamed elsewhere may still have the id that the name gives: then the next one is taken.
        let is_taken = |id: Uuid| self.number_of(id).is_some() || (today.stays)(item.kind, id);
        let id = match item.id {
            None if is_taken(id) => {
                let others = (1..).map(|attempt| self.natural_id(item, attempt));
                others.into_iter().find(|id| !is_taken(*id)).unwrap_or(id)
            }
            _ => id,
        };
        self.give(item.number, (item.kind, id));
        id
    }

    /// The id that the entity gets if nothing else has it: that of the file, else that of the entity that has one of its keys today, else one
    /// made of what it is called. Its references are resolved.
    pub fn first_choice(&self, item: &Item, existing: &dyn Fn(Kind, &UniqueKey) -> Option<Uuid>) -> Uuid {
        item.id.unwrap_or_else(|| {
            let keys = item.entity.unique_keys();
            let mut held = keys.iter().filter_map(|key| existing(item.kind, key));
            held.find(|id| self.number_of(*id).is_none()).unwrap_or_else(|| self.natural_id(item, 0))
        })
    }

    /// An id made of the entity's first unique key, or of its parent and its position if it has none.
    fn natural_id(&self, item: &Item, attempt: u64) -> Uuid {
        let natural = match (item.entity.unique_keys().first(), item.parent) {
            (Some(key), _) => format!("{}={}", key.field, key.value),
            (None, parent) => {
                // Without a parent the nil id stands before the position: ids that are stored were made of it.
                let parent =
                    parent.and_then(|parent| self.id_of(parent.item)).map_or(Uuid::nil(), |(_, id)| id);
                format!("{parent}[{}]", item.position)
            }
        };
        Uuid::new_v5(&self.namespace, format!("{}:{natural}#{attempt}", item.kind.name()).as_bytes())
    }
}

/// The entity that has the key and that the document does not own.
fn stays_as(kind: Kind, key: &UniqueKey, today: Today<'_>) -> Option<Uuid> {
    (today.existing)(kind, key).filter(|id| (today.stays)(kind, *id))
}

/// Ids may be chosen by whoever writes the document, so they are hashed.
fn hash_of_id(id: Uuid) -> u64 {
    let hash = blake3::hash(id.as_bytes());
    u64::from_le_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default())
}

fn hash_of_key(kind: Kind, key: &UniqueKey) -> KeyHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind.name().as_bytes()).update(&[0]).update(key.field.as_bytes()).update(&[0]);
    let hash = hasher.update(key.value.as_bytes()).finalize();
    let word = |place: usize| {
        let bytes = hash.as_bytes().get(place * 4..).and_then(|rest| rest.first_chunk());
        u32::from_le_bytes(bytes.copied().unwrap_or_default())
    };
    [word(0), word(1), word(2)]
}

fn spread(key: &KeyHash) -> u64 {
    u64::from(key[0]) << 32 | u64::from(key[1])
}

/// All entities of a document that is held in memory, with ids and resolved references.
pub(super) fn entities(
    items: &[Item],
    namespace: Uuid,
    today: Today<'_>,
    resolved: &dyn Fn(),
) -> Result<Vec<(Uuid, Entity)>, Invalid> {
    let mut resolver = Resolver::new(namespace, items.len());
    items.iter().for_each(|item| resolver.claim(item));
    let mut result = Vec::with_capacity(items.len());
    for kind in Kind::ALL {
        for item in items.iter().filter(|item| item.kind == kind) {
            let mut item = item.clone();
            if resolver.references(&mut item, today) {
                result.push((resolver.identify(&item, today), item.entity));
            }
            resolved();
        }
    }
    resolver.take_errors().or(result)
}
