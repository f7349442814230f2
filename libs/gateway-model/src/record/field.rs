//! The kinds of field that a [`record!`](super::record) can have.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde_json::{Value, json};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use uuid::Uuid;

use super::{Field, Fields, Property, Record, Word, Writer};
use crate::rules::{self, Rule};
use crate::{Kind, OnDelete, Reference, ReferenceMut, Target};

/// Headers that one map may name, and values that each may have.
const MAP_ENTRIES_MAX: usize = 32;

/// An optional text that keeps `rule`.
pub(crate) fn text(rule: Rule) -> Text {
    Text { rule, new: None, referenceable: false }
}

/// What an entity is called. A new name also keeps the rule for all names; one that is stored is read as it is.
pub(crate) fn name(rule: Rule) -> Text {
    Text { rule, new: Some(ids::name::check), referenceable: false }
}

/// A unique text that never stands in a URL. A new one holds only what can be seen.
pub(crate) fn foreign_id(rule: Rule) -> Text {
    Text { rule, new: Some(ids::name::check_visible), referenceable: false }
}

/// What a text must be that is not stored yet.
type RuleForNew = fn(&str) -> Result<(), ids::name::UnfitName>;

#[derive(Clone, Copy)]
pub(crate) struct Text {
    rule: Rule,
    new: Option<RuleForNew>,
    referenceable: bool,
}

impl Text {
    /// A body must have it. `remedy` ends the message "is required: …".
    pub(crate) fn required(self, remedy: &'static str) -> RequiredText {
        RequiredText { text: self, remedy }
    }

    /// What it is when it is absent.
    pub(crate) fn or(self, default: &'static str) -> TextOr {
        TextOr { text: self, default }
    }

    /// A reference to a vault may stand in its place.
    pub(crate) fn or_reference(self) -> Text {
        Text { referenceable: true, ..self }
    }
}

impl Field for Text {
    type Value = Option<String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<String> {
        if self.referenceable && from.holds_reference(name) {
            return from.text(name, rules::vault_reference);
        }
        match self.new {
            Some(for_new) => from.new_text(name, self.rule.check, for_new),
            None => from.text(name, self.rule.check),
        }
    }

    fn write(&self, name: &'static str, value: &Option<String>, out: &mut Writer) {
        out.optional(name, value.clone());
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::text(self.rule.chars_max))
    }
}

pub(crate) struct RequiredText {
    text: Text,
    remedy: &'static str,
}

impl Field for RequiredText {
    type Value = String;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> String {
        from.require(name, self.remedy);
        self.text.read(name, from).unwrap_or_default()
    }

    fn write(&self, name: &'static str, value: &String, out: &mut Writer) {
        out.always(name, value.clone());
    }

    fn describe(&self) -> Option<Property> {
        self.text.describe().map(Property::required)
    }
}

pub(crate) struct TextOr {
    text: Text,
    default: &'static str,
}

impl Field for TextOr {
    type Value = String;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> String {
        self.text.read(name, from).unwrap_or_else(|| self.default.to_owned())
    }

    fn write(&self, name: &'static str, value: &String, out: &mut Writer) {
        out.unless(name, value.as_str(), self.default);
    }

    fn describe(&self) -> Option<Property> {
        self.text.describe().map(|property| property.default(self.default.into()))
    }
}

/// A list of at most `entries_max` distinct texts that each keep `rule`; empty and null where there are none.
pub(crate) fn list(rule: Rule, entries_max: usize) -> List {
    List { rule, entries_max, default: &[] }
}

/// The tags of an entity.
pub(crate) fn tags() -> List {
    list(rules::TAG, rules::TAGS_MAX)
}

pub(crate) struct List {
    rule: Rule,
    entries_max: usize,
    default: &'static [&'static str],
}

impl List {
    /// What it is when it is absent. It must not be empty then.
    pub(crate) fn or(self, default: &'static [&'static str]) -> List {
        List { default, ..self }
    }
}

impl Field for List {
    type Value = Vec<String>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<String> {
        if !from.has(name) {
            from.skip(name);
            return self.default.iter().map(|entry| (*entry).to_owned()).collect();
        }
        if !self.default.is_empty() && from.is_unset(name) {
            from.fail(name, format!("must have an entry: leave it out for {}", self.default.join(", ")));
        }
        from.list(name, self.entries_max, self.rule.check)
    }

    fn write(&self, name: &'static str, value: &Vec<String>, out: &mut Writer) {
        if self.default.is_empty() {
            out.list(name, value);
        } else {
            let default: Vec<String> = self.default.iter().map(|entry| (*entry).to_owned()).collect();
            out.unless(name, value.clone(), default);
        }
    }

    fn describe(&self) -> Option<Property> {
        let list = Property::list(Property::text(self.rule.chars_max).required(), self.entries_max);
        Some(if self.default.is_empty() { list } else { list.default(json!(self.default)) })
    }
}

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

/// A number type that whole numbers are held in.
pub(crate) trait Whole: Copy + Display + PartialOrd + TryFrom<u64> + Into<u64> {}
impl Whole for u8 {}
impl Whole for u16 {}
impl Whole for u32 {}
impl Whole for u64 {}

/// A whole number within `range`, `default` when it is absent.
pub(crate) fn integer<N: Whole>(default: N, range: RangeInclusive<N>) -> Integer<N> {
    Integer { default, range }
}

pub(crate) struct Integer<N> {
    default: N,
    range: RangeInclusive<N>,
}

impl<N: Whole> Field for Integer<N> {
    type Value = N;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> N {
        from.integer(name, self.range.clone()).unwrap_or(self.default)
    }

    fn write(&self, name: &'static str, value: &N, out: &mut Writer) {
        out.unless::<u64>(name, (*value).into(), self.default.into());
    }

    fn describe(&self) -> Option<Property> {
        let (min, max) = ((*self.range.start()).into(), (*self.range.end()).into());
        Some(Property::integer(min, max).default(self.default.into().into()))
    }
}

/// A whole number within `range`, or none.
pub(crate) fn optional_integer<N: Whole>(range: RangeInclusive<N>) -> OptionalInteger<N> {
    OptionalInteger { range }
}

pub(crate) struct OptionalInteger<N> {
    range: RangeInclusive<N>,
}

impl<N: Whole> Field for OptionalInteger<N> {
    type Value = Option<N>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<N> {
        from.integer(name, self.range.clone())
    }

    fn write(&self, name: &'static str, value: &Option<N>, out: &mut Writer) {
        out.optional::<u64>(name, value.map(Into::into));
    }

    fn describe(&self) -> Option<Property> {
        let (min, max) = ((*self.range.start()).into(), (*self.range.end()).into());
        Some(Property::integer(min, max).or_null())
    }
}

/// One of a few whole numbers, `default` when it is absent.
pub(crate) fn integer_of(default: u16, choices: &'static [u16]) -> IntegerOf {
    IntegerOf { default, choices }
}

pub(crate) struct IntegerOf {
    default: u16,
    choices: &'static [u16],
}

impl Field for IntegerOf {
    type Value = u16;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> u16 {
        from.integer_of(name, self.default, self.choices)
    }

    fn write(&self, name: &'static str, value: &u16, out: &mut Writer) {
        out.unless(name, *value, self.default);
    }

    fn describe(&self) -> Option<Property> {
        let choices = self.choices.iter().map(|choice| Value::from(*choice));
        let schema = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some(choices)).build();
        Some(Property::of(schema).default(self.default.into()))
    }
}

/// A list of distinct whole numbers within `range`, `default` when it is absent.
pub(crate) fn integer_list(
    default: &'static [u16],
    range: RangeInclusive<u16>,
    entries_max: usize,
) -> IntegerList {
    IntegerList { default, range, entries_max }
}

pub(crate) struct IntegerList {
    default: &'static [u16],
    range: RangeInclusive<u16>,
    entries_max: usize,
}

impl Field for IntegerList {
    type Value = Vec<u16>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<u16> {
        from.integers(name, self.entries_max, &self.range).unwrap_or_else(|| self.default.to_vec())
    }

    fn write(&self, name: &'static str, value: &Vec<u16>, out: &mut Writer) {
        out.unless(name, value.clone(), self.default.to_vec());
    }

    fn describe(&self) -> Option<Property> {
        let entry = Property::integer((*self.range.start()).into(), (*self.range.end()).into());
        Some(Property::list(entry, self.entries_max).default(json!(self.default)))
    }
}

/// A number of at least 0 and at most `max`, fractions included; `default` when it is absent.
pub(crate) fn number(default: u32, max: u32) -> Number {
    Number { default: default.into(), max: max.into() }
}

pub(crate) struct Number {
    default: f64,
    max: f64,
}

impl Field for Number {
    type Value = f64;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> f64 {
        from.number(name, self.max).unwrap_or(self.default)
    }

    fn write(&self, name: &'static str, value: &f64, out: &mut Writer) {
        out.unless(name, shortest(*value), shortest(self.default));
    }

    fn describe(&self) -> Option<Property> {
        let builder = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0));
        let schema = builder.maximum(Some(self.max)).build();
        Some(Property::of(schema).default(shortest(self.default)))
    }
}

/// A number as a user writes it: without a fraction where it has none.
fn shortest(number: f64) -> Value {
    // Numbers of configurations are far below 2^53.
    #[allow(clippy::cast_possible_truncation)]
    if number.fract() == 0.0 { Value::from(number as i64) } else { Value::from(number) }
}

/// A reference to an entity of `kind`; `on_delete` is what happens to this entity when that one is deleted.
pub(crate) fn reference(kind: Kind, on_delete: OnDelete) -> OneReference {
    OneReference { kind, on_delete }
}

#[derive(Clone, Copy)]
pub(crate) struct OneReference {
    kind: Kind,
    on_delete: OnDelete,
}

impl OneReference {
    /// A body must have it. `remedy` ends the message "is required: …".
    pub(crate) fn required(self, remedy: &'static str) -> RequiredReference {
        RequiredReference { reference: self, remedy }
    }

    fn schema(self) -> Schema {
        let id = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .description(Some("Id of the entity referred to."));
        ObjectBuilder::new().schema_type(Type::Object).property("id", id).required("id").build().into()
    }
}

impl Field for OneReference {
    type Value = Option<Target>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<Target> {
        from.reference(name, self.kind)
    }

    fn write(&self, name: &'static str, value: &Option<Target>, out: &mut Writer) {
        out.reference(name, self.kind, value.as_ref());
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(self.schema()).or_null())
    }

    fn references<'v>(&self, field: &'static str, value: &'v Option<Target>, found: &mut Vec<Reference<'v>>) {
        let OneReference { kind, on_delete } = *self;
        found.extend(value.iter().map(|target| Reference { field, kind, target, on_delete }));
    }

    fn references_mut<'v>(
        &self,
        field: &'static str,
        value: &'v mut Option<Target>,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        found.extend(value.iter_mut().map(|target| ReferenceMut { field, kind: self.kind, target }));
    }
}

pub(crate) struct RequiredReference {
    reference: OneReference,
    remedy: &'static str,
}

impl Field for RequiredReference {
    type Value = Target;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Target {
        from.require(name, self.remedy);
        // The nil id is never returned: without a reference there is an error.
        self.reference.read(name, from).unwrap_or(Target::Id(Uuid::nil()))
    }

    fn write(&self, name: &'static str, value: &Target, out: &mut Writer) {
        out.reference(name, self.reference.kind, Some(value));
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(self.reference.schema()).required())
    }

    fn references<'v>(&self, field: &'static str, target: &'v Target, found: &mut Vec<Reference<'v>>) {
        let OneReference { kind, on_delete } = self.reference;
        found.push(Reference { field, kind, target, on_delete });
    }

    fn references_mut<'v>(
        &self,
        field: &'static str,
        target: &'v mut Target,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        found.push(ReferenceMut { field, kind: self.reference.kind, target });
    }
}

/// Ids of at most `entries_max` entities of `kind`, which cannot be deleted as long as they stand here.
pub(crate) fn id_list(kind: Kind, entries_max: usize) -> IdList {
    IdList { kind, entries_max }
}

pub(crate) struct IdList {
    kind: Kind,
    entries_max: usize,
}

impl Field for IdList {
    type Value = Vec<Target>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Vec<Target> {
        let ids = from.list(name, self.entries_max, |text| match rules::uuid(text) {
            Some(_) => Ok(()),
            None => Err(format!("be the id of a {}", self.kind.label())),
        });
        ids.iter().filter_map(|id| rules::uuid(id)).map(Target::Id).collect()
    }

    fn write(&self, name: &'static str, value: &Vec<Target>, out: &mut Writer) {
        let ids: Vec<String> = value.iter().filter_map(Target::id).map(|id| id.to_string()).collect();
        out.list(name, &ids);
    }

    fn describe(&self) -> Option<Property> {
        let id = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
        Some(Property::list(Property::of(id.build()), self.entries_max))
    }

    fn references<'v>(&self, field: &'static str, value: &'v Vec<Target>, found: &mut Vec<Reference<'v>>) {
        let (kind, on_delete) = (self.kind, OnDelete::Restrict);
        found.extend(value.iter().map(|target| Reference { field, kind, target, on_delete }));
    }

    fn references_mut<'v>(
        &self,
        field: &'static str,
        value: &'v mut Vec<Target>,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        found.extend(value.iter_mut().map(|target| ReferenceMut { field, kind: self.kind, target }));
    }
}

/// Names that keep `key`, each with one or more texts that keep `value`. Example: the headers that a route asks for.
pub(crate) fn text_lists(key: Rule, value: Rule) -> TextLists {
    TextLists { key, value }
}

pub(crate) struct TextLists {
    key: Rule,
    value: Rule,
}

impl Field for TextLists {
    type Value = BTreeMap<String, Vec<String>>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Self::Value {
        from.text_lists(name, MAP_ENTRIES_MAX, self.key.check, self.value.check)
    }

    fn write(&self, name: &'static str, value: &Self::Value, out: &mut Writer) {
        out.optional(name, (!value.is_empty()).then(|| json!(value)));
    }

    fn describe(&self) -> Option<Property> {
        let values = Property::text(self.value.chars_max).required();
        Some(Property::map(Property::list(values, MAP_ENTRIES_MAX)))
    }
}

/// A record within the record; absent, it is made of defaults.
pub(crate) fn object<R: Record>() -> Object<R> {
    Object { sparse: false, record: PhantomData }
}

/// A record within the record that shows only what is set: a client that compares it with what it sent finds nothing more.
pub(crate) fn sparse_object<R: Record>() -> Object<R> {
    Object { sparse: true, record: PhantomData }
}

pub(crate) struct Object<R> {
    sparse: bool,
    record: PhantomData<R>,
}

impl<R: Record> Field for Object<R> {
    type Value = R;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> R {
        from.object(name, R::read)
    }

    fn write(&self, name: &'static str, value: &R, out: &mut Writer) {
        out.object(name, |inner| {
            value.write(inner);
            if self.sparse {
                inner.drop_nulls();
            }
        });
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(R::describe().into_object()))
    }
}

/// A record within the record, or none.
pub(crate) fn optional_object<R: Record>() -> OptionalObject<R> {
    OptionalObject(PhantomData)
}

pub(crate) struct OptionalObject<R>(PhantomData<R>);

impl<R: Record> Field for OptionalObject<R> {
    type Value = Option<R>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<R> {
        if !from.has(name) {
            from.skip(name);
            return None;
        }
        Some(from.object(name, R::read))
    }

    fn write(&self, name: &'static str, value: &Option<R>, out: &mut Writer) {
        match value {
            Some(record) => out.whole_object(name, |inner| record.write(inner)),
            None => out.optional(name, None::<bool>),
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(R::describe().into_object()).or_null())
    }

    fn secrets_mut<'v>(
        &self,
        _: &'static str,
        value: &'v mut Option<R>,
        found: &mut Vec<super::SecretMut<'v>>,
    ) {
        if let Some(record) = value {
            record.secrets_mut(found);
        }
    }
}

/// A setting of Kong's whose only supported value is its default. It is shown, because Kong's clients compare it. `remedy` ends
/// the message "is not supported: …".
pub(crate) fn fixed(value: impl Into<Value>, remedy: &'static str) -> Fixed {
    Fixed { value: value.into(), remedy }
}

pub(crate) struct Fixed {
    value: Value,
    remedy: &'static str,
}

impl Field for Fixed {
    type Value = ();

    fn read(&self, name: &'static str, from: &mut Fields<'_>) {
        from.unsupported(name, Some(&self.value), self.remedy);
    }

    fn write(&self, name: &'static str, _: &(), out: &mut Writer) {
        out.unless(name, self.value.clone(), self.value.clone());
    }

    fn describe(&self) -> Option<Property> {
        let kind = if self.value.is_boolean() { Type::Boolean } else { Type::String };
        let schema = ObjectBuilder::new()
            .schema_type(kind)
            .description(Some("Accepted for compatibility; no other value is supported."))
            .default(Some(self.value.clone()))
            .enum_values(Some([self.value.clone()]))
            .build();
        Some(Property::of(schema))
    }
}

/// A field of Kong's that has no effect here: refused unless null or empty, and not shown. `remedy` ends the message "is not
/// supported: …".
pub(crate) fn absent(remedy: &'static str) -> Absent {
    Absent { remedy, shown: false }
}

pub(crate) struct Absent {
    remedy: &'static str,
    shown: bool,
}

impl Absent {
    /// The field is shown, as null.
    pub(crate) fn shown(self) -> Absent {
        Absent { shown: true, ..self }
    }
}

impl Field for Absent {
    type Value = ();

    fn read(&self, name: &'static str, from: &mut Fields<'_>) {
        from.unsupported(name, None, self.remedy);
    }

    fn write(&self, name: &'static str, _: &(), out: &mut Writer) {
        if self.shown {
            out.optional(name, None::<bool>);
        }
    }

    fn describe(&self) -> Option<Property> {
        let meaning = "Always null; accepted for compatibility.";
        let schema = ObjectBuilder::new().schema_type(Type::Null).description(Some(meaning)).build();
        self.shown.then(|| Property::of(schema))
    }
}

/// Keeps the shape of [`RefOr`] out of the kinds.
pub(crate) fn schema_of<R: Record>() -> RefOr<Schema> {
    R::describe().into_schema()
}
