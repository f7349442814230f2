//! Documents that were changed at random (`libs/fuzzing`), from `tests/corpus/declarative`. Each is refused or accepted soon; what is
//! accepted means the same when it is read again, as a whole or entity by entity.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use fuzzing::Corpus;
use uuid::Uuid;

use super::{parse, write};
use crate::testing::{hashed, joining};
use crate::{Entity, Kind};

const DOCUMENTS: usize = 5_000;
/// How long one may take, in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is put in at random places.
const WORDS: [&str; 44] = [
    "- ",
    "? ",
    ": ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: ",
    "!x ",
    "|",
    ">",
    "---\n",
    "...\n",
    "#",
    "'",
    "\"",
    "\\",
    "\n",
    "\r",
    "\t",
    "  ",
    "~",
    "~/",
    "null",
    "\0",
    "\u{e9}",
    "\u{202e}",
    "\u{feff}",
    "{1,9999}",
    "\\w{1,255}",
    "(?i)",
    "\\p{L}",
    "[[a]",
    "(((((",
    "name: ",
    "id: ",
    "paths: ",
    "service: ",
    "1e999",
    "-1",
    "99999999999999999999",
];

fn entities(text: &str) -> Option<Vec<(Uuid, Entity)>> {
    let document = parse(text).ok()?;
    let entities = document.entities(Uuid::nil(), &|_, _| None).ok()?;
    let again = document.entities(Uuid::nil(), &|_, _| None).expect("as before");
    assert_eq!(entities, again, "{text:?}");
    Some(entities)
}

fn by_id(entities: Vec<(Uuid, Entity)>) -> BTreeMap<(Kind, Uuid), Entity> {
    entities.into_iter().map(|(id, entity)| ((entity.kind(), id), entity)).collect()
}

#[test]
fn every_document_is_refused_or_means_one_thing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/declarative");
    let mut accepted = 0;
    for case in Corpus::of_files(folder).with_words(&WORDS).run(DOCUMENTS) {
        let text = String::from_utf8_lossy(&case);
        let started = Instant::now();
        let entities = entities(&text);
        let took = started.elapsed();
        assert!(took < PATIENCE, "{took:?} for {text:?}");
        let Some(mut entities) = entities else { continue };
        // Of a password, a document shows the hash.
        for (_, entity) in &mut entities {
            *entity = hashed(entity);
        }
        accepted += 1;
        for (_, entity) in &entities {
            // A secret that is sealed at rest is sealed by whoever stores it.
            let Ok(wire) = entity.to_wire() else { continue };
            let read =
                Entity::from_wire(entity.kind(), &wire).unwrap_or_else(|error| panic!("{error}: {text:?}"));
            assert_eq!(read.to_wire().expect("complete"), wire, "{text:?}");
        }
        let rewritten = write::to_yaml(&write::document(&entities, "", &[]));
        let read = parse(&rewritten).and_then(|document| document.entities(Uuid::max(), &joining(&entities)));
        let read = read.unwrap_or_else(|error| panic!("{error}: {rewritten} of {text:?}"));
        assert_eq!(by_id(read), by_id(entities), "{rewritten} of {text:?}");
    }
    assert!(accepted > 50, "only {accepted} were accepted");
}
