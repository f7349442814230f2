//! What is said of one query parameter.

use std::borrow::Cow;

use utoipa::openapi::{
    ObjectBuilder, Required, Type,
    path::{Parameter as Documented, ParameterBuilder, ParameterIn},
};

/// Longest value of a parameter that says nothing else, characters.
const TEXT_CHARS_MAX: usize = 512;

/// Which values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// A text of at most so many characters, none of them a control character.
    Text { chars_max: usize },
    /// A whole number, both ends included.
    Number { min: u64, max: u64 },
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Values {
    /// Goes on only if `value` is one of them; the error continues "must be …".
    pub(super) fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Text { chars_max } => {
                let fits = value.len() <= chars_max.saturating_mul(4)
                    && value.chars().count() <= chars_max
                    && !value.chars().any(char::is_control);
                let refusal =
                    || format!("a text of at most {chars_max} characters, without control characters");
                if fits { Ok(()) } else { Err(refusal()) }
            }
            Self::Number { min, max } => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let number = value.parse().ok().filter(|number| digits && (min..=max).contains(number));
                number.map(|_: u64| ()).ok_or_else(|| format!("a number from {min} to {max}"))
            }
            Self::Boolean => Self::OneOf(&["true", "false"]).check(value),
            Self::OneOf(words) => {
                let quoted = || words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
                if words.contains(&value) { Ok(()) } else { Err(quoted().join(" or ")) }
            }
        }
    }

    fn schema(self) -> ObjectBuilder {
        let schema = ObjectBuilder::new();
        let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match self {
            Self::Text { chars_max } => schema.schema_type(Type::String).max_length(Some(chars_max)),
            Self::Number { min, max } => {
                schema.schema_type(Type::Integer).minimum(Some(bound(min))).maximum(Some(bound(max)))
            }
            Self::Boolean => schema.schema_type(Type::Boolean),
            Self::OneOf(words) => schema.schema_type(Type::String).enum_values(Some(words.iter().copied())),
        }
    }

    /// `text` as OpenAPI shows it: a number and a boolean as such.
    fn shown(self, text: &str) -> serde_json::Value {
        match self {
            Self::Number { .. } | Self::Boolean => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            Self::Text { .. } | Self::OneOf(_) => text.into(),
        }
    }
}

/// One query parameter of an endpoint. All of them are optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As requests spell it, brackets not encoded.
    pub name: Cow<'static, str>,
    /// Which values it takes.
    pub values: Values,
    /// What it does, for the OpenAPI document.
    pub meaning: Cow<'static, str>,
    /// The value that a request without it is read as; `None`: it changes nothing.
    pub default: Option<&'static str>,
    /// A value that it takes.
    pub example: Cow<'static, str>,
}

impl Parameter {
    /// A parameter without default.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        values: Values,
        meaning: impl Into<Cow<'static, str>>,
        example: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { name: name.into(), values, meaning: meaning.into(), default: None, example: example.into() }
    }

    /// A short text, without default.
    pub fn text(
        name: impl Into<Cow<'static, str>>,
        meaning: impl Into<Cow<'static, str>>,
        example: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(name, Values::Text { chars_max: TEXT_CHARS_MAX }, meaning, example)
    }

    /// The same parameter with a default, which has to be one of its values.
    pub fn default(self, value: &'static str) -> Self {
        Self { default: Some(value), ..self }
    }

    /// As the OpenAPI document shows it.
    pub(crate) fn documented(&self) -> Documented {
        let schema = self.values.schema().default(self.default.map(|value| self.values.shown(value)));
        ParameterBuilder::new()
            .name(self.name.as_ref())
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(self.meaning.as_ref()))
            .schema(Some(schema))
            .example(Some(self.values.shown(&self.example)))
            .build()
    }
}
