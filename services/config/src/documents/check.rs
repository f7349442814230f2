//! The first look at a document: is it one, and is each of its entities valid by itself? What is left of it are its entities, by kind, and
//! their ids.

use std::io::Read as _;

use gateway_model::{
    Invalid, Kind,
    declarative::{
        DOCUMENT_BYTES_MAX, Given, Item, Outline, Resolver,
        stream::{self, Format},
        yaml::{YamlError, to_json},
    },
};
use ids::ControlPlaneId;
use web::Problem;

use super::{
    not_kept,
    spool::{Reader, Spool, Spools},
};
use crate::{
    entities::{
        Limits, Refusal,
        committer::CommitError,
        secrets::{has_password, hash_passwords},
    },
    error::{Answer, Error},
    imports::{Phase, Progress},
};

/// Entities that are planned and written together, and bytes after which there are no more of them.
pub const PART_ENTITIES: usize = 2000;
const PART_BYTES: usize = 4 * 1024 * 1024;

/// A document whose entities are valid, each by itself.
pub struct Checked {
    /// The entities.
    pub kept: Kept,
    /// How many there are.
    pub entities: usize,
    /// The tags by which it owns entities; empty: it owns all.
    pub select_tags: Vec<String>,
    /// Gives its entities their ids.
    pub resolver: Resolver,
}

/// The entities of a document, on disk.
pub struct Kept {
    /// For the positions of later errors.
    text: Text,
    /// The entities of each kind, in the order of kinds.
    items: [(Kind, Spool); Kind::ALL.len()],
    /// Where each entity is, by its number: index in `items`, and position.
    places: Vec<(u8, u64)>,
}

impl Kept {
    /// Its entities in the order of their kinds, which is that of dependency: some of one kind at a time.
    pub fn parts(&self) -> impl Iterator<Item = Answer<Vec<Item>>> {
        self.items.iter().flat_map(|(_, spool)| Parts(Items(spool.reader(0))))
    }

    /// The entity with this number.
    pub fn item(&self, number: usize) -> Answer<Item> {
        let spool =
            self.places.get(number).and_then(|(of, at)| Some((&self.items.get(usize::from(*of))?.1, *at)));
        let (spool, at) = spool.ok_or_else(|| Problem::internal("an entity of the document is not kept"))?;
        let item = Items(spool.reader(at)).next();
        item.unwrap_or_else(|| Err(Problem::internal("a kept entity ends early").into()))
            .map(|(item, _)| item)
    }

    /// The same errors, with line and column of the first.
    pub fn located(&self, invalid: Invalid) -> Invalid {
        self.text.located(invalid)
    }
}

/// A document as it came.
struct Text {
    spool: Spool,
    format: Format,
}

impl Text {
    fn located(&self, invalid: Invalid) -> Invalid {
        stream::add_positions(invalid, self.format, self.spool.bytes(), || self.spool.reader(0))
    }
}

/// The entities of a kind, some at a time: as many as are planned and written together.
struct Parts<'c>(Items<'c>);

impl Iterator for Parts<'_> {
    type Item = Answer<Vec<Item>>;

    fn next(&mut self) -> Option<Answer<Vec<Item>>> {
        let (mut part, mut part_bytes) = (Vec::new(), 0);
        while part.len() < PART_ENTITIES && part_bytes < PART_BYTES {
            match self.0.next() {
                Some(Ok((item, bytes))) => {
                    part.push(item);
                    part_bytes += bytes;
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        (!part.is_empty()).then_some(Ok(part))
    }
}

/// The entities of a kind, one after another, each with the bytes that it takes.
struct Items<'c>(Reader<'c>);

impl Iterator for Items<'_> {
    type Item = Answer<(Item, usize)>;

    fn next(&mut self) -> Option<Answer<(Item, usize)>> {
        let record = self.0.record().map_err(not_kept).transpose()?;
        let read = |record: Vec<u8>| match Item::from_kept(&record) {
            Ok(item) => Ok((item, record.len())),
            Err(error) => Err(Problem::internal(error).into()),
        };
        Some(record.and_then(read))
    }
}

/// Checks the document of `text`, hashes its passwords, and keeps its entities.
pub fn check(
    control_plane: ControlPlaneId,
    text: Spool,
    spools: &Spools,
    limits: &Limits,
    progress: &Progress,
) -> Answer<Checked> {
    progress.enter(Phase::Reading, None);
    let (json, outline) = outline(&text, spools)?;
    let format = if json.is_some() { Format::Yaml } else { Format::Json };
    let text = Text { spool: text, format };
    let (entities, select_tags) = (outline.entities, outline.select_tags().to_vec());
    if entities > limits.entities_max {
        return Err(CommitError::Refused(Refusal::LimitReached(limits.entities_max)).into());
    }
    progress.enter(Phase::Checking, Some(entities));
    let mut keeper = Keeper {
        control_plane,
        items: Kind::ALL.map(|kind| (kind, spools.spool())),
        places: vec![(0, 0); entities],
        resolver: Resolver::new(control_plane.uuid(), entities),
        refused: Invalid::default(),
        failed: None,
        progress,
    };
    let sink = &mut |item, given| keeper.take(item, given);
    stream::items(json.as_ref().unwrap_or(&text.spool).reader(0), format, outline, sink)
        .map_err(|invalid| text.located(invalid))?;
    let Keeper { items, places, resolver, refused, failed, .. } = keeper;
    match failed {
        Some(failed) => Err(failed),
        None if refused.is_empty() => {
            Ok(Checked { kept: Kept { text, items, places }, entities, select_tags, resolver })
        }
        None => Err(text.located(refused).into()),
    }
}

/// The document as JSON, if it is YAML, and what it says of itself. A small document that is no JSON may still be YAML.
fn outline(text: &Spool, spools: &Spools) -> Answer<(Option<Spool>, Outline)> {
    let mut start = [0; 64];
    let read = text.reader(0).read(&mut start).map_err(not_kept)?;
    let is_object = start.get(..read).unwrap_or_default().trim_ascii_start().starts_with(b"{");
    let is_small = text.bytes() <= DOCUMENT_BYTES_MAX as u64;
    if is_object || !is_small {
        match stream::outline(text.reader(0), Format::Json) {
            Ok(outline) => return Ok((None, outline)),
            Err(invalid) if !is_small => return Err(invalid.into()),
            Err(_) => {}
        }
    }
    let mut json = spools.spool();
    to_json(text.reader(0), &mut json).map_err(|error| match error {
        YamlError::Invalid(invalid) => invalid.into(),
        YamlError::Io(error) => not_kept(error),
    })?;
    let outline = stream::outline(json.reader(0), Format::Yaml)?;
    Ok((Some(json), outline))
}

/// Takes the entities as they are read.
struct Keeper<'p> {
    control_plane: ControlPlaneId,
    items: [(Kind, Spool); Kind::ALL.len()],
    places: Vec<(u8, u64)>,
    resolver: Resolver,
    /// Those that no gateway serves.
    refused: Invalid,
    /// Why the rest is not taken.
    failed: Option<Error>,
    progress: &'p Progress,
}

impl Keeper<'_> {
    fn take(&mut self, item: Item, given: Given) {
        if self.failed.is_none() {
            self.failed = self.keep(item, given).err();
            self.progress.add(1);
        }
    }

    fn keep(&mut self, mut item: Item, given: Given) -> Answer<()> {
        if has_password(&mut item.entity) {
            hash_passwords(self.control_plane, &mut item.entity).map_err(Problem::internal)?;
        }
        self.resolver.claim(&item);
        item.refuse_foreign(&mut self.refused);
        let (kind, number) = (item.kind, item.number);
        let of = self.items.iter().position(|(of, _)| *of == kind).unwrap_or_default();
        let (Some((_, spool)), Some(place)) = (self.items.get_mut(of), self.places.get_mut(number)) else {
            return Err(Problem::internal("the document has more entities than were counted").into());
        };
        *place = (of as u8, spool.append_record(&item.into_kept(given)).map_err(not_kept)?);
        Ok(())
    }
}
