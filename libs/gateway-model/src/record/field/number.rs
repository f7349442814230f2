//! Numbers, and lists of them.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Value, json};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::super::{Field, Fields, Property, Writer};

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

/// A whole number within `range` that a body must have. `remedy` ends the message "is required: …".
pub(crate) fn required_integer<N: Whole>(
    range: RangeInclusive<N>,
    remedy: &'static str,
) -> RequiredInteger<N> {
    RequiredInteger { range, remedy }
}

pub(crate) struct RequiredInteger<N> {
    range: RangeInclusive<N>,
    remedy: &'static str,
}

impl<N: Whole> Field for RequiredInteger<N> {
    type Value = N;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> N {
        from.require(name, self.remedy);
        from.integer(name, self.range.clone()).unwrap_or(*self.range.start())
    }

    fn write(&self, name: &'static str, value: &N, out: &mut Writer) {
        let value: u64 = (*value).into();
        out.always(name, value);
    }

    fn describe(&self) -> Option<Property> {
        let (min, max) = ((*self.range.start()).into(), (*self.range.end()).into());
        Some(Property::integer(min, max).required())
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

/// A number within `range`, fractions and what is below 0 included; `default` when it is absent.
pub(crate) fn decimal(default: f64, range: RangeInclusive<f64>) -> Decimal {
    Decimal { default, range }
}

pub(crate) struct Decimal {
    default: f64,
    range: RangeInclusive<f64>,
}

impl Decimal {
    fn property(&self) -> ObjectBuilder {
        let builder = ObjectBuilder::new().schema_type(Type::Number);
        builder.minimum(Some(*self.range.start())).maximum(Some(*self.range.end()))
    }
}

impl Field for Decimal {
    type Value = f64;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> f64 {
        from.decimal(name, &self.range).unwrap_or(self.default)
    }

    fn write(&self, name: &'static str, value: &f64, out: &mut Writer) {
        out.unless(name, shortest(*value), shortest(self.default));
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(self.property().build()).default(shortest(self.default)))
    }
}

/// A number within `range`, fractions included, or none.
pub(crate) fn optional_decimal(range: RangeInclusive<f64>) -> OptionalDecimal {
    OptionalDecimal(decimal(0.0, range))
}

/// The same from 0 to `max`.
pub(crate) fn optional_number(max: u32) -> OptionalDecimal {
    optional_decimal(0.0..=max.into())
}

pub(crate) struct OptionalDecimal(Decimal);

impl Field for OptionalDecimal {
    type Value = Option<f64>;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Option<f64> {
        from.decimal(name, &self.0.range)
    }

    fn write(&self, name: &'static str, value: &Option<f64>, out: &mut Writer) {
        out.optional(name, value.map(shortest));
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(self.0.property().build()).or_null())
    }
}

/// A number within `range`, fractions included, or -1, which is what it is when it is absent.
pub(crate) fn number_or_minus_one(range: RangeInclusive<f64>) -> NumberOrMinusOne {
    NumberOrMinusOne { range }
}

pub(crate) struct NumberOrMinusOne {
    range: RangeInclusive<f64>,
}

impl Field for NumberOrMinusOne {
    type Value = f64;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> f64 {
        from.number_or_minus_one(name, &self.range).unwrap_or(-1.0)
    }

    fn write(&self, name: &'static str, value: &f64, out: &mut Writer) {
        out.unless(name, shortest(*value), shortest(-1.0));
    }

    fn describe(&self) -> Option<Property> {
        let builder = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(-1));
        let schema = builder.maximum(Some(*self.range.end())).build();
        Some(Property::of(schema).default(shortest(-1.0)))
    }
}

/// A number that Kong does not have, 0 where it is not given. It is shown only where it is set, so Kong's clients meet it only then.
pub(crate) fn further_number(max: u32) -> FurtherNumber {
    FurtherNumber(number(0, max))
}

pub(crate) struct FurtherNumber(Number);

impl Field for FurtherNumber {
    type Value = f64;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> f64 {
        self.0.read(name, from)
    }

    fn write(&self, name: &'static str, value: &f64, out: &mut Writer) {
        if *value > 0.0 {
            out.always(name, shortest(*value));
        }
    }

    fn describe(&self) -> Option<Property> {
        self.0.describe()
    }
}

/// A number as a user writes it: without a fraction where it has none.
fn shortest(number: f64) -> Value {
    // Numbers of configurations are far below 2^53.
    #[allow(clippy::cast_possible_truncation)]
    if number.fract() == 0.0 { Value::from(number as i64) } else { Value::from(number) }
}
