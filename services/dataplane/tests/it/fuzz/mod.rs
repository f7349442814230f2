//! Inputs that were changed at random (`libs/fuzzing`), from the corpora in `tests/corpus`.

mod answers;
mod heads;
mod http2;
mod requests;

use std::path::PathBuf;

fn corpus(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", name].iter().collect()
}

/// A line of a corpus with readings: what the reference has to find, the case's name, and its bytes.
struct Known {
    reading: String,
    name: String,
    bytes: Vec<u8>,
}

/// The lines of the corpus `name`, but for its comments.
fn known(name: &str) -> Vec<Known> {
    let text = std::fs::read_to_string(corpus(name)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let known = lines.map(|line| {
        let mut parts = line.splitn(3, " | ").map(str::to_owned);
        let mut part = || parts.next().unwrap_or_else(|| panic!("{name}: three parts are due in {line:?}"));
        Known { reading: part(), name: part(), bytes: fuzzing::unescaped(&part()) }
    });
    known.collect()
}

/// The bytes of `case`, more than once if it ends well: what follows the others on a connection is not read.
fn often(case: Known) -> Vec<Vec<u8>> {
    let ends_well = case.reading.ends_with("open") || case.reading.starts_with("200");
    vec![case.bytes; if ends_well { 4 } else { 1 }]
}
