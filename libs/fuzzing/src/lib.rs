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
    sequence_max: usize,
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

    /// Each of `cases` is an input.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn new(cases: Vec<Vec<u8>>) -> Self {
        assert!(!cases.is_empty(), "a corpus has at least one input");
        Self { cases, words: Vec::new(), sequence_max: 1 }
    }

    /// Up to `most` inputs, one behind the other, are changed together: for what reads one message after another.
    pub fn in_sequences(self, most: usize) -> Self {
        Self { sequence_max: most, ..self }
    }

    /// Texts that are put in at random places: what means something to the reader.
    pub fn with_words(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| word.as_bytes().to_vec()));
        self
    }

    /// The corpus as it is, then `changed` inputs made of it, or as many as `LANDBRIDGE_FUZZ_CASES` says.
    pub fn run(self, changed: usize) -> impl Iterator<Item = Vec<u8>> {
        let (corpus, mut random) = (self.cases.clone(), random());
        corpus.into_iter().chain((0..cases(changed)).map(move |_| self.changed(&mut random)))
    }

    fn changed(&self, random: &mut StdRng) -> Vec<u8> {
        let count = random.random_range(1..=self.sequence_max);
        let mut case = (0..count).map(|_| self.case(random)).collect::<Vec<_>>().concat();
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

/// The random numbers of a run. The seed is printed.
pub fn random() -> StdRng {
    let seed = number("LANDBRIDGE_FUZZ_SEED").unwrap_or_else(|| Random::system().number());
    println!("LANDBRIDGE_FUZZ_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// How many cases a run has: `usual`, or as many as `LANDBRIDGE_FUZZ_CASES` says.
pub fn cases(usual: usize) -> usize {
    number("LANDBRIDGE_FUZZ_CASES").map_or(usual, |cases| cases as usize)
}

/// The bytes that `text` stands for, which is written as [`slice::escape_ascii`] writes them: the inverse.
///
/// # Panics
///
/// If `text` has a backslash that begins no escape.
pub fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let hexadecimal = |escape: &str| u8::from_str_radix(escape.get(1..3)?, 16).ok();
        let (byte, length) = match escape.as_bytes().first() {
            Some(b'r') => (Some(b'\r'), 1),
            Some(b'n') => (Some(b'\n'), 1),
            Some(b't') => (Some(b'\t'), 1),
            Some(b'x') => (hexadecimal(escape), 3),
            Some(itself @ (b'\\' | b'\'' | b'"')) => (Some(*itself), 1),
            _ => (None, 0),
        };
        bytes.push(byte.unwrap_or_else(|| panic!("\\{escape}: no escape")));
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// `bytes` in pieces, as the input number `number` of a run is to be written: whole, byte by byte, or cut at random places.
pub fn pieces(bytes: &[u8], number: usize) -> Vec<&[u8]> {
    let mut random = StdRng::seed_from_u64(number as u64);
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let length = match number % 4 {
            0 => rest.len(),
            1 => 1,
            _ => random.random_range(1..=rest.len()),
        };
        let (piece, behind) = rest.split_at(length);
        pieces.push(piece);
        rest = behind;
    }
    pieces
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

    #[test]
    fn inputs_are_put_one_behind_the_other() {
        let corpus = Corpus::new(vec![vec![b'x'; 100]]).in_sequences(3);
        let mut random = StdRng::seed_from_u64(1);
        let lengths: Vec<usize> = (0..100).map(|_| corpus.changed(&mut random).len()).collect();
        assert!(lengths.iter().any(|length| *length < 150) && lengths.iter().any(|length| *length > 250));
    }

    #[test]
    fn escapes_are_read_as_they_are_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&bytes.escape_ascii().to_string()), bytes);
    }

    #[test]
    fn pieces_are_all_of_it() {
        let bytes: Vec<u8> = (0..50).collect();
        let cut: Vec<_> = (0..4).map(|number| pieces(&bytes, number)).collect();
        assert!(cut.iter().all(|pieces| pieces.concat() == bytes));
        assert_eq!((cut[0].len(), cut[1].len()), (1, 50));
        assert!((2..50).contains(&cut[2].len()));
    }
}
