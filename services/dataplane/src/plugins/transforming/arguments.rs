//! The arguments of a query or of a form, in their order.

use std::borrow::Cow;

use url::form_urlencoded;

use super::Fields;

/// Arguments that are changed at most. What has more is not changed.
pub const ARGUMENTS_MAX: usize = 10_000;

/// Names and values, decoded. An argument without `=` has no value.
#[derive(Debug)]
pub struct Arguments(Vec<(String, Option<String>)>);

impl Arguments {
    /// Those in `text`; `None` if there are more than [`ARGUMENTS_MAX`].
    pub fn parse(text: &[u8]) -> Option<Self> {
        let pieces = text.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
        let mut arguments = Vec::new();
        for piece in pieces {
            if arguments.len() == ARGUMENTS_MAX {
                return None;
            }
            let (name, value) = form_urlencoded::parse(piece).next()?;
            arguments.push((name.into_owned(), piece.contains(&b'=').then(|| value.into_owned())));
        }
        Some(Self(arguments))
    }

    /// One more.
    pub fn push(&mut self, (name, value): (String, Option<String>)) {
        self.0.push((name, value));
    }

    /// As text; empty if there are none.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            if !text.is_empty() {
                text.push('&');
            }
            encode(name, &mut text);
            if let Some(value) = value {
                text.push('=');
                encode(value, &mut text);
            }
        }
        text
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(held, _)| held == name)
    }
}

impl IntoIterator for Arguments {
    type Item = (String, Option<String>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Adds `text` encoded, a space as `%20`: some read `+` as it is.
fn encode(text: &str, to: &mut String) {
    for piece in form_urlencoded::byte_serialize(text.as_bytes()) {
        to.push_str(&if piece == "+" { Cow::Borrowed("%20") } else { Cow::Borrowed(piece) });
    }
}

impl Fields for Arguments {
    type Value = String;

    fn remove(&mut self, name: &str) {
        self.0.retain(|(held, _)| held != name);
    }

    fn rename(&mut self, from: &str, to: &str) {
        if from == to || !self.has(from) {
            return;
        }
        self.remove(to);
        self.0.iter_mut().filter(|(held, _)| held == from).for_each(|(held, _)| to.clone_into(held));
    }

    fn replace(&mut self, name: &str, value: String) {
        let Some(first) = self.0.iter().position(|(held, _)| held == name) else { return };
        let mut index = 0;
        self.0.retain(|(held, _)| {
            index += 1;
            held != name || index == first + 1
        });
        if let Some((_, held)) = self.0.get_mut(first) {
            *held = Some(value);
        }
    }

    fn add(&mut self, name: &str, value: String) {
        if !self.has(name) {
            self.append(name, value);
        }
    }

    fn append(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), Some(value)));
    }
}
