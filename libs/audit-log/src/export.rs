//! The audit log as lines of JSON, and their verification without any database.

use std::{collections::BTreeMap, io::BufRead};

use replication::PublicKey;
use serde::{Deserialize, Serialize};

use crate::{
    ChainState, Place, Record,
    verify::{Broken, Verifier, Whole},
};

/// Longest line that is read, bytes: far more than an entry has.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "lines come one after the other")]
pub enum Line {
    /// How far a chain goes. It comes before the chain's entries.
    Chain(ChainState),
    /// An entry.
    Entry(Record),
}

/// Why an export could not be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableExport {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line is not one of an export.
    #[error("line {0} is not one of an export: {1}")]
    Line(u64, serde_json::Error),
    /// A line is longer than an entry can be.
    #[error("line {0} is longer than {LINE_BYTES_MAX} bytes")]
    TooLong(u64),
    /// An entry comes without what says how far its chain goes.
    #[error("line {0}: an entry of the chain {1}, of which no line before says how far it goes")]
    NoChain(u64, String),
    /// No key was given for a log that the file has entries of.
    #[error("no key is known of {0}: give it with --key {0}=<what `landbridge {1} log-key` prints there>")]
    NoKey(Place, &'static str),
}

/// Reads an export. `keys` are those that each log is signed with. The inner error names the first entry that is not as it was made.
pub fn verify_lines(
    lines: &mut impl BufRead,
    keys: &BTreeMap<Place, Vec<PublicKey>>,
) -> Result<Result<Whole, Broken>, UnreadableExport> {
    let mut verifiers = BTreeMap::new();
    let (mut number, mut text) = (0, String::new());
    loop {
        text.clear();
        number += 1;
        let read = std::io::Read::take(&mut *lines, LINE_BYTES_MAX + 1).read_line(&mut text)?;
        if read == 0 {
            break;
        }
        if text.len() as u64 > LINE_BYTES_MAX {
            return Err(UnreadableExport::TooLong(number));
        }
        if text.trim().is_empty() {
            continue;
        }
        let line = serde_json::from_str(&text).map_err(|error| UnreadableExport::Line(number, error))?;
        let taken = match line {
            Line::Chain(state) => {
                let chain = state.chain.clone();
                let place = &chain.place;
                let keys = keys
                    .get(place)
                    .ok_or_else(|| UnreadableExport::NoKey(place.clone(), place.service.as_str()))?;
                Verifier::begin(keys, state).map(|verifier| {
                    verifiers.insert(chain, verifier);
                })
            }
            Line::Entry(record) => match verifiers.get_mut(&record.chain) {
                Some(verifier) => verifier.take(&record),
                None => return Err(UnreadableExport::NoChain(number, record.chain.to_string())),
            },
        };
        if let Err(broken) = taken {
            return Ok(Err(broken));
        }
    }
    let mut whole = Whole::default();
    for verifier in verifiers.into_values() {
        match verifier.end() {
            Ok(entries) => whole.entries += entries,
            Err(broken) => return Ok(Err(broken)),
        }
        whole.chains += 1;
    }
    Ok(Ok(whole))
}
