//! Words of a vocabulary, and yes or no.

use std::marker::PhantomData;

use serde_json::{Value, json};

use super::super::{Field, Fields, Property, Word, Writer};

/// A word of a vocabulary, `default` when it is absent.
pub(crate) fn word<W: Word>(default: W) -> OneWord<W> {
    OneWord { default }
}

pub(crate) struct OneWord<W> {
    default: W,
}

impl<W: Word> OneWord<W> {
    /// A body must have it. `remedy` ends the message "is required: …".
    pub(crate) fn required(self, remedy: &'static str) -> RequiredWord<W> {
        RequiredWord { word: self, remedy }
    }
}

pub(crate) struct RequiredWord<W> {
    word: OneWord<W>,
    remedy: &'static str,
}

impl<W: Word> Field for RequiredWord<W> {
    type Value = W;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> W {
        from.require(name, self.remedy);
        self.word.read(name, from)
    }

    fn write(&self, name: &'static str, value: &W, out: &mut Writer) {
        out.always(name, value.word());
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::word(&all_words::<W>()).required())
    }
}

impl<W: Word> Field for OneWord<W> {
    type Value = W;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> W {
        from.word(name, self.default, W::WORDS)
    }

    fn write(&self, name: &'static str, value: &W, out: &mut Writer) {
        out.unless(name, value.word(), self.default.word());
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::word(&all_words::<W>()).default(self.default.word().into()))
    }
}

/// A word of a vocabulary, or null, which stands for none. `default` when it is absent.
pub(crate) fn word_or_null<W: Word>(default: W) -> WordOrNull<W> {
    WordOrNull { word: word(default) }
}

pub(crate) struct WordOrNull<W> {
    word: OneWord<W>,
}

impl<W: Word> Field for WordOrNull<W> {
    type Value = Option<W>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<W> {
        let word = self.word.read(name, from);
        (!from.is_null(name)).then_some(word)
    }

    fn write(&self, name: &'static str, value: &Option<W>, out: &mut Writer) {
        match value {
            Some(word) => self.word.write(name, word, out),
            None => out.always(name, Value::Null),
        }
    }

    fn describe(&self) -> Option<Property> {
        self.word.describe().map(Property::or_null)
    }
}

/// A list of distinct words of a vocabulary, never empty; `default` when it is absent.
pub(crate) fn word_list<W: Word>(default: &'static [W]) -> WordList<W> {
    WordList { default }
}

pub(crate) struct WordList<W: 'static> {
    default: &'static [W],
}

impl<W: Word> Field for WordList<W> {
    type Value = Vec<W>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<W> {
        from.words(name, self.default, W::WORDS)
    }

    fn write(&self, name: &'static str, value: &Vec<W>, out: &mut Writer) {
        let words = |list: &[W]| -> Vec<&'static str> { list.iter().map(|word| word.word()).collect() };
        out.unless(name, words(value), words(self.default));
    }

    fn describe(&self) -> Option<Property> {
        let words: Vec<&str> = self.default.iter().map(|word| word.word()).collect();
        let all = all_words::<W>();
        Some(Property::list(Property::word(&all), all.len()).default(json!(words)))
    }
}

/// Words of a vocabulary, in which they may repeat; none when it is absent.
pub(crate) fn word_sequence<W: Word>(entries_max: usize) -> WordSequence<W> {
    WordSequence { entries_max, words: PhantomData }
}

pub(crate) struct WordSequence<W> {
    entries_max: usize,
    words: PhantomData<W>,
}

impl<W: Word> Field for WordSequence<W> {
    type Value = Vec<W>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<W> {
        from.word_sequence(name, self.entries_max, W::WORDS)
    }

    fn write(&self, name: &'static str, value: &Vec<W>, out: &mut Writer) {
        let words: Vec<String> = value.iter().map(|word| word.word().to_owned()).collect();
        out.list(name, &words);
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::list(Property::word(&all_words::<W>()), self.entries_max))
    }
}

fn all_words<W: Word>() -> Vec<&'static str> {
    W::WORDS.iter().map(|(word, _)| *word).collect()
}

/// True or false, `default` when it is absent.
pub(crate) fn boolean(default: bool) -> Boolean {
    Boolean { default }
}

pub(crate) struct Boolean {
    default: bool,
}

impl Field for Boolean {
    type Value = bool;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> bool {
        from.optional_boolean(name).unwrap_or(self.default)
    }

    fn write(&self, name: &'static str, value: &bool, out: &mut Writer) {
        out.unless(name, *value, self.default);
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::boolean().default(self.default.into()))
    }
}

/// True, false, or not said.
pub(crate) fn optional_boolean() -> OptionalBoolean {
    OptionalBoolean
}

pub(crate) struct OptionalBoolean;

impl Field for OptionalBoolean {
    type Value = Option<bool>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<bool> {
        from.optional_boolean(name)
    }

    fn write(&self, name: &'static str, value: &Option<bool>, out: &mut Writer) {
        out.optional(name, *value);
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::boolean().or_null())
    }
}
