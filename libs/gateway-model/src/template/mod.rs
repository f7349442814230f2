//! Texts with expressions in `$( … )`, which are computed for each request. Example: `Bearer $(headers.x_token or 'none')`.
//!
//! In Kong an expression is any Lua. Here it is the part of Lua that finds something in a request and chooses between values:
//!
//! * `headers.name`, `query_params.name`, `uri_captures.name`, `shared.name`, or with brackets: `headers["x-name"]`, `uri_captures[1]`.
//!   A header is found whatever its case; `_` also finds `-`. Of several values the first counts. Nothing ever puts anything into
//!   `shared`, so what is looked for there is `nil`.
//! * texts in quotes, numbers, `nil`, `true`, `false`;
//! * `or`, `and`, `not`, `==`, `~=`, `..` and parentheses, with Lua's precedence;
//! * the methods `:sub(from, to)`, `:lower()` and `:upper()` of a text. Those of `nil` are `nil`, where Lua would fail.
//!
//! Anything else is refused when the settings are read, with its position. `nil` becomes an empty text.

mod parser;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// A text with expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Computed(Expression),
}

/// Where a request's values are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Its headers.
    Headers,
    /// The arguments of its query.
    QueryParams,
    /// What the groups of the route's regular expression match.
    UriCaptures,
    /// What other plugins have left.
    Shared,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {position}: {what}")]
pub struct Unreadable {
    /// Which character of the text, counted from 1.
    pub position: usize,
    /// What stands there, or is missing.
    pub what: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Nil,
    Boolean(bool),
    Number(i64),
    Text(String),
    Found(Table, String),
    Or(Box<[Expression; 2]>),
    And(Box<[Expression; 2]>),
    Equal(Box<[Expression; 2]>),
    Join(Box<[Expression; 2]>),
    Not(Box<Expression>),
    Sub(Box<Expression>, i64, i64),
    Lower(Box<Expression>),
    Upper(Box<Expression>),
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
enum Value<'a> {
    Nil,
    Boolean(bool),
    Number(i64),
    Text(Cow<'a, str>),
}

/// Finds what a table holds under a name.
pub type Find<'f, 'a> = &'f dyn Fn(Table, &str) -> Option<Cow<'a, str>>;

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        parser::parse(text).map(Self)
    }

    /// The text for one request, whose values are found by `find`.
    pub fn render<'a>(&'a self, find: Find<'_, 'a>) -> Cow<'a, str> {
        match self.0.as_slice() {
            [] => Cow::Borrowed(""),
            [Part::Text(text)] => Cow::Borrowed(text),
            [Part::Computed(expression)] => expression.value(find).into_text(),
            parts => parts.iter().fold(Cow::Borrowed(""), |all, part| match part {
                Part::Text(text) => all + text.as_str(),
                Part::Computed(expression) => all + expression.value(find).into_text(),
            }),
        }
    }

    /// The names that it looks for among the groups of the route's regular expression.
    pub fn captures(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for part in &self.0 {
            if let Part::Computed(expression) = part {
                expression.captures(&mut found);
            }
        }
        found
    }
}

impl Expression {
    fn value<'a>(&'a self, find: Find<'_, 'a>) -> Value<'a> {
        match self {
            Self::Nil => Value::Nil,
            Self::Boolean(is) => Value::Boolean(*is),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Found(table, name) => find(*table, name).map_or(Value::Nil, Value::Text),
            Self::Or(both) => {
                let [first, second] = &**both;
                Some(first.value(find)).filter(Value::is_true).unwrap_or_else(|| second.value(find))
            }
            Self::And(both) => {
                let [first, second] = &**both;
                let first = first.value(find);
                if first.is_true() { second.value(find) } else { first }
            }
            Self::Equal(both) => {
                let [first, second] = &**both;
                Value::Boolean(first.value(find) == second.value(find))
            }
            Self::Join(both) => {
                let [first, second] = &**both;
                Value::Text(first.value(find).into_text() + second.value(find).into_text())
            }
            Self::Not(inner) => Value::Boolean(!inner.value(find).is_true()),
            Self::Sub(inner, from, to) => {
                inner.value(find).map(|text| sub(&text, *from, *to).into_owned().into())
            }
            Self::Lower(inner) => inner.value(find).map(|text| text.to_ascii_lowercase().into()),
            Self::Upper(inner) => inner.value(find).map(|text| text.to_ascii_uppercase().into()),
        }
    }

    fn captures<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Found(Table::UriCaptures, name) => found.push(name),
            Self::Or(both) | Self::And(both) | Self::Equal(both) | Self::Join(both) => {
                both.iter().for_each(|inner| inner.captures(found));
            }
            Self::Not(inner) | Self::Sub(inner, ..) | Self::Lower(inner) | Self::Upper(inner) => {
                inner.captures(found);
            }
            Self::Nil | Self::Boolean(_) | Self::Number(_) | Self::Text(_) | Self::Found(..) => {}
        }
    }
}

impl<'a> Value<'a> {
    fn is_true(&self) -> bool {
        !matches!(self, Value::Nil | Value::Boolean(false))
    }

    /// As Kong's templates write it.
    fn into_text(self) -> Cow<'a, str> {
        match self {
            Value::Nil | Value::Boolean(false) => "".into(),
            Value::Boolean(true) => "true".into(),
            Value::Number(number) => number.to_string().into(),
            Value::Text(text) => text,
        }
    }

    /// A method of a text.
    fn map(self, method: impl FnOnce(Cow<'a, str>) -> Cow<'a, str>) -> Value<'a> {
        match self {
            Value::Text(text) => Value::Text(method(text)),
            _ => Value::Nil,
        }
    }
}

/// Lua's `string.sub`: bytes counted from 1, or from the end where a number is below 0.
fn sub(text: &str, from: i64, to: i64) -> Cow<'_, str> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let place = |number: i64| if number < 0 { length + number + 1 } else { number };
    let (from, to) = (place(from).max(1), place(to).min(length));
    if from > to {
        return Cow::Borrowed("");
    }
    let range = usize::try_from(from - 1).unwrap_or_default()..usize::try_from(to).unwrap_or_default();
    String::from_utf8_lossy(text.as_bytes().get(range).unwrap_or_default())
}
