//! Fields that hold secrets: what is kept of them, and where.
//!
//! | treatment | at rest and on nodes | shown by the API | example |
//! |---|---|---|---|
//! | [`Treatment::Hash`] | a hash; the text itself is sealed in a column that nodes never get | the text | an API key |
//! | [`Treatment::Password`] | a slow, salted hash | the hash | the password of basic authentication |
//! | [`Treatment::Keep`] | the text | the text | the key id of a JWT credential |
//! | [`Treatment::Seal`] | the text, sealed with the key of the control plane | the text | a private key |
//! | [`Treatment::Withhold`] | the text, sealed with a key that nodes do not have | the text | the key that an ACME server has given |
//!
//! The crate only says which fields are secret. Hashing that takes time, sealing and opening are the writer's.

use std::fmt;

use super::{Field, Fields, Passwords, Property, Source, Writer};
use crate::NotReady;
use crate::rules::{self, Rule};

/// A secret, as far as its holder knows it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Not chosen yet: the writer draws one.
    Missing,
    /// The secret itself.
    Plain(String),
    /// What stands for it at rest and on nodes: a hash, or the sealed text.
    AtRest(String),
}

impl Secret {
    /// The secret itself, if the holder knows it.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Secret::Plain(text) => Some(text),
            Secret::Missing | Secret::AtRest(_) => None,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Missing => f.write_str("Missing"),
            Secret::Plain(_) => f.write_str("Plain(…)"),
            Secret::AtRest(_) => f.write_str("AtRest(…)"),
        }
    }
}

/// What is kept of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Its hash, by which nodes find it. The text itself is sealed beside the entity.
    Hash,
    /// A slow hash, against which nodes check what they are given.
    Password,
    /// The text itself: it is drawn like a secret, and is none.
    Keep,
    /// The text, sealed so that the nodes of the control plane can open it.
    Seal,
    /// The text, sealed so that the control plane alone can open it.
    Withhold,
}

/// A secret of an entity, for the writer that draws, hashes, seals and opens.
#[derive(Debug)]
pub struct SecretMut<'a> {
    /// The field that holds it.
    pub field: &'static str,
    /// What is kept of it.
    pub treatment: Treatment,
    /// The secret.
    pub secret: &'a mut Secret,
}

/// A secret that is found by its hash: `hash` is a function of the text, and `at_rest` the field that holds it on the wire. Absent
/// in an API body, it is drawn by the writer.
pub(crate) fn hashed(at_rest: &'static str, hash: fn(&str) -> String, rule: Rule) -> Hashed {
    Hashed { at_rest, hash, rule }
}

pub(crate) struct Hashed {
    at_rest: &'static str,
    hash: fn(&str) -> String,
    rule: Rule,
}

impl Field for Hashed {
    type Value = Secret;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Secret {
        match from.source() {
            Source::Api => from.text(name, self.rule.check).map_or(Secret::Missing, Secret::Plain),
            // A file must mean the same each time it is applied.
            Source::File => {
                from.require(name, "a file cannot have it drawn");
                from.text(name, self.rule.check).map_or(Secret::Missing, Secret::Plain)
            }
            Source::Wire => {
                from.require(self.at_rest, "nodes find it by this");
                from.text(self.at_rest, rules::hex_hash).map_or(Secret::Missing, Secret::AtRest)
            }
        }
    }

    fn write(&self, name: &'static str, value: &Secret, out: &mut Writer) {
        match (out.is_wire(), value) {
            (true, Secret::Plain(text)) => out.always(self.at_rest, (self.hash)(text)),
            (true, Secret::AtRest(hash)) => out.always(self.at_rest, hash.clone()),
            (true, Secret::Missing) => out.not_ready(NotReady::NoSecret { field: name }),
            (false, Secret::Plain(text)) => out.always(name, text.clone()),
            (false, _) => out.optional(name, None::<String>),
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::text(self.rule.chars_max))
    }

    fn secrets_mut<'v>(&self, field: &'static str, secret: &'v mut Secret, found: &mut Vec<SecretMut<'v>>) {
        found.push(SecretMut { field, treatment: Treatment::Hash, secret });
    }
}

/// A password that is kept as a hash; `at_rest` is the field that holds it on the wire. A text that has the form of such a hash is
/// taken for one.
pub(crate) fn password(at_rest: &'static str, rule: Rule) -> Password {
    Password { at_rest, rule }
}

pub(crate) struct Password {
    at_rest: &'static str,
    rule: Rule,
}

impl Field for Password {
    type Value = Secret;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Secret {
        if from.source() == Source::Wire {
            from.require(self.at_rest, "nodes check passwords against it");
            return from.text(self.at_rest, rules::password_hash).map_or(Secret::Missing, Secret::AtRest);
        }
        from.require(name, "name the password, or its hash");
        match from.passwords() {
            Passwords::Plain => Secret::Plain(from.text(name, self.rule.check).unwrap_or_default()),
            Passwords::Hashed => {
                Secret::AtRest(from.text(name, rules::given_hash).map(rules::stored_hash).unwrap_or_default())
            }
            Passwords::ByForm => {
                let text = from.text(name, self.rule.check).unwrap_or_default();
                if rules::password_hash(&text).is_ok() { Secret::AtRest(text) } else { Secret::Plain(text) }
            }
        }
    }

    fn write(&self, name: &'static str, value: &Secret, out: &mut Writer) {
        match (out.is_wire(), value) {
            (true, Secret::AtRest(hash)) => out.always(self.at_rest, hash.clone()),
            (true, _) => out.not_ready(NotReady::NoSecret { field: name }),
            (false, Secret::AtRest(hash)) => out.always(name, hash.clone()),
            // Never shown, not even to its author.
            (false, _) => out.optional(name, None::<String>),
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::text(self.rule.chars_max).required())
    }

    fn secrets_mut<'v>(&self, field: &'static str, secret: &'v mut Secret, found: &mut Vec<SecretMut<'v>>) {
        found.push(SecretMut { field, treatment: Treatment::Password, secret });
    }
}

/// A text that is drawn by the writer where an API body has none, and is no secret.
pub(crate) fn drawn(rule: Rule) -> Drawn {
    Drawn { rule }
}

pub(crate) struct Drawn {
    rule: Rule,
}

impl Field for Drawn {
    type Value = Secret;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Secret {
        if from.source() != Source::Api {
            from.require(name, "a file cannot have it drawn");
        }
        from.text(name, self.rule.check).map_or(Secret::Missing, Secret::Plain)
    }

    fn write(&self, name: &'static str, value: &Secret, out: &mut Writer) {
        match value {
            Secret::Plain(text) => out.always(name, text.clone()),
            Secret::Missing | Secret::AtRest(_) => out.not_ready(NotReady::NoSecret { field: name }),
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::text(self.rule.chars_max))
    }

    fn secrets_mut<'v>(&self, field: &'static str, secret: &'v mut Secret, found: &mut Vec<SecretMut<'v>>) {
        found.push(SecretMut { field, treatment: Treatment::Keep, secret });
    }
}

/// A secret that nodes need as it is; `at_rest` is the field that holds it on the wire, sealed.
pub(crate) fn sealed(at_rest: &'static str, rule: Rule) -> Sealed {
    Sealed { at_rest, rule, treatment: Treatment::Seal, referenceable: false }
}

/// A secret that the control plane alone needs as it is; `at_rest` is the field that holds it on the wire, sealed.
pub(crate) fn withheld(at_rest: &'static str, rule: Rule) -> Sealed {
    Sealed { treatment: Treatment::Withhold, ..sealed(at_rest, rule) }
}

#[derive(Clone, Copy)]
pub(crate) struct Sealed {
    at_rest: &'static str,
    rule: Rule,
    treatment: Treatment,
    referenceable: bool,
}

impl Sealed {
    /// A body must have it. `remedy` ends the message "is required: …".
    pub(crate) fn required(self, remedy: &'static str) -> RequiredSealed {
        RequiredSealed { sealed: self, remedy: Some(remedy), instead: None }
    }

    /// The writer draws one where an API body has none.
    pub(crate) fn or_drawn(self) -> RequiredSealed {
        RequiredSealed { sealed: self, remedy: None, instead: None }
    }

    /// A reference to a vault may stand in its place.
    pub(crate) fn or_reference(self) -> Sealed {
        Sealed { referenceable: true, ..self }
    }

    fn read_some(&self, name: &'static str, from: &mut Fields<'_>) -> Option<Secret> {
        if from.source() == Source::Wire {
            return from.text(self.at_rest, rules::sealed_text).map(Secret::AtRest);
        }
        let is_reference = self.referenceable && from.holds_reference(name);
        let rule = if is_reference { rules::vault_reference } else { self.rule.check };
        from.text(name, rule).map(Secret::Plain)
    }

    fn write_some(&self, name: &'static str, value: &Secret, out: &mut Writer) {
        match (out.is_wire(), value) {
            (true, Secret::AtRest(sealed)) => out.always(self.at_rest, sealed.clone()),
            (true, _) => out.not_ready(NotReady::NoSecret { field: name }),
            (false, Secret::Plain(text)) => out.always(name, text.clone()),
            (false, _) => out.optional(name, None::<String>),
        }
    }
}

impl Field for Sealed {
    type Value = Option<Secret>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<Secret> {
        self.read_some(name, from)
    }

    fn write(&self, name: &'static str, value: &Option<Secret>, out: &mut Writer) {
        match value {
            Some(secret) => self.write_some(name, secret, out),
            None => out.optional(name, None::<String>),
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::text(self.rule.chars_max))
    }

    fn secrets_mut<'v>(
        &self,
        field: &'static str,
        value: &'v mut Option<Secret>,
        found: &mut Vec<SecretMut<'v>>,
    ) {
        let treatment = self.treatment;
        found.extend(value.iter_mut().map(|secret| SecretMut { field, treatment, secret }));
    }
}

pub(crate) struct RequiredSealed {
    sealed: Sealed,
    /// `None`: drawn by the writer where it is absent.
    remedy: Option<&'static str>,
    /// A field with which a file need not have it: it is not used then, and drawn so that nobody knows it.
    instead: Option<&'static str>,
}

impl RequiredSealed {
    /// A file that has the field `other` need not have it.
    pub(crate) fn or_instead(self, other: &'static str) -> RequiredSealed {
        RequiredSealed { instead: Some(other), ..self }
    }
}

impl Field for RequiredSealed {
    type Value = Secret;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Secret {
        match (from.source(), self.remedy) {
            (Source::Wire, _) => from.require(self.sealed.at_rest, "it is part of the entity"),
            (_, Some(remedy)) => from.require(name, remedy),
            (Source::File, None) if self.instead.is_some_and(|other| from.has(other)) => {}
            (Source::File, None) => from.require(name, "a file cannot have it drawn"),
            (Source::Api, None) => {}
        }
        self.sealed.read_some(name, from).unwrap_or(Secret::Missing)
    }

    fn write(&self, name: &'static str, value: &Secret, out: &mut Writer) {
        self.sealed.write_some(name, value, out);
    }

    fn describe(&self) -> Option<Property> {
        let property = Property::text(self.sealed.rule.chars_max);
        Some(if self.remedy.is_some() { property.required() } else { property })
    }

    fn secrets_mut<'v>(&self, field: &'static str, secret: &'v mut Secret, found: &mut Vec<SecretMut<'v>>) {
        found.push(SecretMut { field, treatment: self.sealed.treatment, secret });
    }
}
