//! Declarative files: a whole configuration as one YAML or JSON document, in decK's format.
//!
//! Reading has two steps. The first checks the text, its structure and every entity by itself. The second gives ids, resolves references
//! and finds duplicates, so that applying a file twice changes nothing. Data planes without a control plane hold their document in memory:
//! [`parse`], then [`Document::entities`]. The config service holds none, since one may have a million entities: [`mod@stream`] gives them one
//! after another, and a [`Resolver`] gives them ids. [`mod@write`] goes the other way.
//!
//! Every error tells the entity's path, such as `services[3].routes[0].paths[1]`, with line and column, or the position of
//! the syntax error.

mod flatten;
#[cfg(test)]
mod fuzz;
mod kept;
mod locate;
mod outline;
mod preamble;
mod resolve;
pub mod stream;
mod upgrade;
pub mod write;
pub mod yaml;

#[cfg(test)]
mod tests;

use uuid::Uuid;

pub use self::{
    kept::Given,
    outline::Outline,
    resolve::{Outside, Resolver, Today},
};
use self::{stream::Format, yaml::YamlError};
use crate::{Entity, Invalid, Kind, Plugin, PluginConfig, UniqueKey};

/// The format version that is written. Documents of earlier ones are read as well: 1.1 and 2.1.
pub const FORMAT_VERSION: &str = "3.0";
/// What some editors write before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Bytes of a document's text, if it is not read as a stream of JSON.
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A document whose entities are valid, each by itself.
#[derive(Debug)]
pub struct Document {
    /// In the order of the file, each parent before its children.
    items: Vec<Item>,
    select_tags: Vec<String>,
    /// For the positions of later errors.
    text: Box<str>,
    format: Format,
}

/// One entity of a document, valid by itself.
#[derive(Clone, Debug)]
pub struct Item {
    /// Counts the document's entities from 0, in the order in which they begin.
    pub number: usize,
    /// Such as `services[3].routes[0]`.
    pub path: String,
    /// Place in the list that holds it.
    position: usize,
    pub kind: Kind,
    /// The id, if the file gives one.
    pub id: Option<Uuid>,
    pub entity: Entity,
    parent: Option<Parent>,
}

/// The entity around another one.
#[derive(Clone, Copy, Debug)]
struct Parent {
    /// Its number.
    item: usize,
    /// The child's field that refers to it.
    field: &'static str,
}

/// Reads a YAML text, of which JSON is a part. Refuses unknown fields and sections, and texts that are too large, too deep
/// or that expand too far.
pub fn parse(text: &str) -> Result<Document, Invalid> {
    Unchecked::read(text)?.check(&|| ())
}

/// Whether a document that owns by these tags owns the entity: see [`Document::select_tags`].
pub fn owns(select_tags: &[String], entity: &Entity) -> bool {
    select_tags.iter().all(|wanted| entity.tags().contains(wanted))
}

/// A document whose text is read, and whose entities are not looked at yet. For whoever shows how far the work has come.
#[derive(Debug)]
pub struct Unchecked<'t> {
    text: &'t str,
    /// The same as JSON, if the text is other YAML.
    json: Option<Vec<u8>>,
    outline: Outline,
    keeps_foreign: bool,
}

impl<'t> Unchecked<'t> {
    /// The first step of [`parse`]: refuses what is no YAML, too large, too deep, or expands too far.
    pub fn read(text: &'t str) -> Result<Self, Invalid> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if text.len() > DOCUMENT_BYTES_MAX {
            let message = format!("the document is larger than {DOCUMENT_BYTES_MAX} bytes: split it");
            return Err(Invalid::one("", message));
        }
        // Making JSON of YAML takes ten times as long, and has to be done only where this is none.
        if text.starts_with('{')
            && let Ok(outline) = stream::outline(text.as_bytes(), Format::Json)
        {
            return Ok(Self { text, json: None, outline, keeps_foreign: false });
        }
        let mut json = Vec::new();
        yaml::to_json(text.as_bytes(), &mut json).map_err(|error| match error {
            YamlError::Invalid(invalid) => invalid,
            YamlError::Io(error) => Invalid::one("", error.to_string()),
        })?;
        let outline = stream::outline(&*json, Format::Yaml)?;
        Ok(Self { text, json: Some(json), outline, keeps_foreign: false })
    }

    /// What the document says of itself.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// The same, and plugins of Kong that are not executed are kept instead of refused: for a gateway that does not serve what they are for.
    pub fn keeping_foreign_plugins(self) -> Self {
        Self { keeps_foreign: true, ..self }
    }

    /// The second step of [`parse`]: refuses everything else. Calls `checked` for each entity.
    pub fn check(self, checked: &dyn Fn()) -> Result<Document, Invalid> {
        let Self { text, json, outline, keeps_foreign } = self;
        let format = if json.is_some() { Format::Yaml } else { Format::Json };
        let select_tags = outline.select_tags().to_vec();
        let mut items = Vec::with_capacity(outline.entities);
        let sink = &mut |item, _| {
            items.push(item);
            checked();
        };
        let read = stream::items(json.as_deref().unwrap_or(text.as_bytes()), format, outline, sink);
        items.sort_unstable_by_key(|item: &Item| item.number);
        let document = Document { items, select_tags, text: text.into(), format };
        read.map_err(|invalid| document.located(invalid))?;
        if keeps_foreign { Ok(document) } else { document.foreign_plugins().or(document) }
    }
}

impl Item {
    /// Notes that it is a plugin of Kong that is not executed, if it is one.
    pub fn refuse_foreign(&self, errors: &mut Invalid) {
        let Entity::Plugin(Plugin { config: PluginConfig::Foreign(foreign), .. }) = &self.entity else {
            return;
        };
        let supported = Plugin::supported().collect::<Vec<_>>().join(", ");
        errors.push(
            format!("{}.name", self.path),
            format!(
                "names a plugin that this gateway does not execute, `{}`: use one of {supported}",
                foreign.name
            ),
        );
    }
}

impl Document {
    /// Every entity, for the writer that hashes passwords.
    pub fn entities_mut(&mut self) -> impl Iterator<Item = &mut Entity> {
        self.items.iter_mut().map(|item| &mut item.entity)
    }

    /// The tags by which the document owns entities: those that have all of them are as it says, or not there. Every entity of the
    /// document has them. Empty: it owns all entities.
    pub fn select_tags(&self) -> &[String] {
        &self.select_tags
    }

    /// The same document, refused if it has entities of `kind`. `message` says of each why not, after its path.
    pub fn without(self, kind: Kind, message: &str) -> Result<Document, Invalid> {
        let mut invalid = Invalid::default();
        for item in self.items.iter().filter(|item| item.kind == kind) {
            invalid.push(item.path.clone(), message);
        }
        self.located(invalid).or(self)
    }

    /// The same errors, with line and column of the first ones.
    fn located(&self, invalid: Invalid) -> Invalid {
        let text = self.text.as_bytes();
        locate::add_positions(invalid, self.format, text.len() as u64, || text)
    }

    /// The plugins of Kong that are not executed, each with its path and what it is.
    pub fn foreign_plugins(&self) -> Invalid {
        let mut found = Invalid::default();
        self.items.iter().for_each(|item| item.refuse_foreign(&mut found));
        self.located(found)
    }

    /// How many entities of each kind the document has, in the order of kinds.
    pub fn counts(&self) -> Vec<(Kind, usize)> {
        let count = |kind| self.items.iter().filter(|item| item.kind == kind).count();
        Kind::ALL.into_iter().map(|kind| (kind, count(kind))).filter(|(_, count)| *count > 0).collect()
    }

    /// How many entities the document has.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the document has no entity.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All entities with ids and resolved references, parents before children, in a stable order.
    ///
    /// An `id` in the file wins. An entity without one takes that of `existing` for one of its unique keys, else a UUIDv5 of
    /// `namespace` and its natural key: the unique key, or parent and position for what has no name. `namespace` is the control
    /// plane's id, so that two control planes never share one. Duplicates and unknown references are refused with their path.
    pub fn entities(
        &self,
        namespace: Uuid,
        existing: &dyn Fn(Kind, &UniqueKey) -> Option<Uuid>,
    ) -> Result<Vec<(Uuid, Entity)>, Invalid> {
        self.entities_beside(namespace, existing, &|_, _| false, &|| ())
    }

    /// The same beside entities that the document does not own, of which `stays` tells. The document may refer to them. It may not
    /// have one of their ids or unique keys: that would take them over. Calls `resolved` for each entity of the document.
    pub fn entities_beside(
        &self,
        namespace: Uuid,
        existing: &dyn Fn(Kind, &UniqueKey) -> Option<Uuid>,
        stays: &dyn Fn(Kind, Uuid) -> bool,
        resolved: &dyn Fn(),
    ) -> Result<Vec<(Uuid, Entity)>, Invalid> {
        let path = |number: usize| self.items.get(number).map_or_else(String::new, |item| item.path.clone());
        let today = Today { existing, stays, path: &path };
        resolve::entities(&self.items, namespace, today, resolved).map_err(|invalid| self.located(invalid))
    }
}
