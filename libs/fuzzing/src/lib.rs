//! Inputs that were changed at random, made of a corpus that is kept: for tests of what reads the bytes of strangers.
//!
//! A test goes through a bounded number of inputs, so that it is a test like any other. The seed is printed;
//! `LANDBRIDGE_FUZZ_SEED` repeats a run, and `LANDBRIDGE_FUZZ_CASES` makes it longer. What a run finds belongs into the corpus.

use std::{fs, path::Path};

use ::random::Random;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Most changes to one input.
const CHANGES_MAX: usize = 4;
/// Most bytes that one change removes or repeats.
const CHANGED_BYTES_MAX: usize = 8;

/// Inputs that are known to be of interest.
pub struct Corpus {
    cases: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Corpus {
    /// Each file in `folder` is an input.
    ///
    /// # Panics
    ///
    /// If the folder cannot be read, or is empty.
    pub fn of_files(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        // In the same order everywhere, so that a seed repeats a run.
        files.sort();
        Self::new(files.iter().map(|file| fs::read(file).expect("a file that can be read")).collect())
    }

    /// Each line of `file` is an input.
    ///
    /// # Panics
    ///
    /// If the file cannot be read, or is empty.
    pub fn of_lines(file: impl AsRef<Path>) -> Self {
        let file = file.as_ref();
        let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        Self::new(text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
    }

    fn new(cases: Vec<Vec<u8>>) -> Self {
        assert!(!cases.is_empty(), "a corpus has at least one input");
        Self { cases, words: Vec::new() }
    }

    /// Texts that are put in at random places: what means something to the reader.
    pub fn with_words(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| word.as_bytes().to_vec()));
        self
    }

    /// The corpus as it is, then `changed` inputs made of it, or as many as `LANDBRIDGE_FUZZ_CASES` says.
    pub fn run(self, changed: usize) -> impl Iterator<Item = Vec<u8>> {
        let seed = number("LANDBRIDGE_FUZZ_SEED").unwrap_or_else(|| Random::system().number());
        println!("LANDBRIDGE_FUZZ_SEED={seed}");
        let changed = number("LANDBRIDGE_FUZZ_CASES").map_or(changed, |cases| cases as usize);
        let corpus = self.cases.clone();
        let mut random = StdRng::seed_from_u64(seed);
        corpus.into_iter().chain((0..changed).map(move |_| self.changed(&mut random)))
    }

    fn changed(&self, random: &mut StdRng) -> Vec<u8> {
        let mut case = self.case(random).to_vec();
        // Half of the inputs keep their length, for formats that say it inside.
        let keeps_length = random.random_bool(0.5);
        for _ in 0..random.random_range(1..=CHANGES_MAX) {
            let at = random.random_range(0..=case.len());
            let end = random.random_range(at..=case.len().min(at + CHANGED_BYTES_MAX));
            match random.random_range(if keeps_length { 0..3 } else { 0..8 }) {
                0 => {
                    if let Some(byte) = case.get_mut(at) {
                        *byte ^= 1 << random.random_range(0..8);
                    }
                }
                1 => case[at..end].fill_with(|| random.random()),
                2 => {
                    if let Some(word) = self.words.choose(random) {
                        case.iter_mut().skip(at).zip(word).for_each(|(byte, new)| *byte = *new);
                    }
                }
                3 => drop(case.splice(at..end, [])),
                4 => drop(case.splice(at..at, random.random::<[u8; 1]>())),
                5 => {
                    let copy = case[at..end].to_vec();
                    case.splice(at..at, copy);
                }
                6 => {
                    let other = self.case(random);
                    let from = random.random_range(0..=other.len());
                    case.splice(at.., other[from..].iter().copied());
                }
                _ => {
                    if let Some(word) = self.words.choose(random) {
                        case.splice(at..at, word.iter().copied());
                    }
                }
            }
        }
        case
    }

    fn case(&self, random: &mut StdRng) -> &[u8] {
        self.cases.choose(random).map_or(&[], Vec::as_slice)
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_inputs_again() {
        let corpus = Corpus::new(vec![b"first".to_vec(), b"second".to_vec()]).with_words(&["word"]);
        let inputs = |seed| -> Vec<Vec<u8>> {
            let mut random = StdRng::seed_from_u64(seed);
            (0..100).map(|_| corpus.changed(&mut random)).collect()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(1).iter().any(|input| input.windows(4).any(|part| part == b"word")));
    }
}
