//! Where in a YAML text a value is.

use std::io::Read;

use granit_parser::{Event, Marker};

use super::{YamlError, events::Events, line_and_column};
use crate::declarative::locate::Step;

/// Line and column of what `steps` lead to, or of the last that is there. An alias is where it stands, not where its anchor does. `None`:
/// the text cannot be read up to there.
pub(in crate::declarative) fn position(text: impl Read, steps: &[Step<'_>]) -> Option<(usize, usize)> {
    let mut events = Events::new(text);
    let mut found = events.begin().ok()??;
    for step in steps {
        let next = match (step, &found.0) {
            (Step::Index(wanted), Event::SequenceStart(..)) => element(&mut events, *wanted),
            (Step::Key(wanted), Event::MappingStart(..)) => value(&mut events, wanted),
            _ => break,
        };
        match next.ok()? {
            Some(next) => found = next,
            None => break,
        }
    }
    Some(line_and_column(found.1))
}

type Found = Option<(Event<'static>, Marker)>;

/// The element of a list at a place.
fn element(events: &mut Events<impl Read>, wanted: usize) -> Result<Found, YamlError> {
    for _ in 0..wanted {
        match events.next()? {
            (Event::SequenceEnd, _) => return Ok(None),
            (event, _) => skip(events, event)?,
        }
    }
    let (event, at) = events.next()?;
    Ok((event != Event::SequenceEnd).then_some((event, at)))
}

/// The value of a name of a mapping.
fn value(events: &mut Events<impl Read>, wanted: &str) -> Result<Found, YamlError> {
    loop {
        let name = match events.next()? {
            (Event::MappingEnd, _) => return Ok(None),
            (name, _) => name,
        };
        if name.scalar().is_some_and(|(name, _)| name == wanted) {
            return events.next().map(Some);
        }
        skip(events, name)?;
        let (value, _) = events.next()?;
        skip(events, value)?;
    }
}

/// Reads to the end of what began with `event`.
fn skip(events: &mut Events<impl Read>, mut event: Event<'static>) -> Result<(), YamlError> {
    let mut open = 0_usize;
    loop {
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => open += 1,
            Event::SequenceEnd | Event::MappingEnd => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return Ok(());
        }
        (event, _) = events.next()?;
    }
}
