//! What is changed of a request: names, and templates of values.

use std::borrow::Cow;

use gateway_model::{
    plugin::{
        request_transformer::{Add, Append, Config, Remove, Rename, Replace},
        transformer::pair,
    },
    template::{Find, Table, Template},
};
use url::form_urlencoded;

use super::header_text;
use crate::plugins::{Exchange, NotExecutable, transforming::Fields};

/// Everything that is changed.
#[derive(Debug)]
pub struct Rules {
    /// The path that the upstream is asked for.
    pub uri: Option<Template>,
    pub headers: Operations,
    pub query: Operations,
    pub body: Operations,
    /// The groups of the route's regular expressions that templates name.
    pub captures: Vec<String>,
}

/// What is changed of headers, query or body, in this order.
#[derive(Debug)]
pub struct Operations {
    remove: Vec<String>,
    rename: Vec<(String, String)>,
    /// Names and values; without a value nothing happens, as in Kong.
    pub replace: Vec<(String, Option<Template>)>,
    add: Vec<(String, Option<Template>)>,
    append: Vec<(String, Option<Template>)>,
}

/// The values of [`Operations`] for one request, each in its place.
#[derive(Clone)]
pub struct Values<V> {
    pub replace: Vec<Option<V>>,
    pub add: Vec<Option<V>>,
    pub append: Vec<Option<V>>,
}

impl Rules {
    /// An error if a template cannot be read.
    pub fn new(config: &Config) -> Result<Self, NotExecutable> {
        let Config { remove, rename, replace, add, append, .. } = config;
        let uri = replace.uri.as_ref().map(|uri| template("replace.uri", uri)).transpose()?;
        let all = |of: Choice| Operations::new(of, (remove, rename, replace, add, append));
        let headers = all(HEADERS)?;
        let (query, body) = (all(QUERYSTRING)?, all(BODY)?);
        let lists = [&headers, &query, &body].map(|of| [&of.replace, &of.add, &of.append]);
        let templates =
            lists.iter().flatten().flat_map(|list| list.iter().filter_map(|(_, value)| value.as_ref()));
        let captures = templates.chain(&uri).flat_map(Template::captures).map(str::to_owned).collect();
        Ok(Self { uri, headers, query, body, captures })
    }

    /// Whether bodies are changed.
    pub fn change_body(&self) -> bool {
        !self.body.is_empty()
    }
}

/// Which of the lists of the settings.
#[derive(Clone, Copy)]
struct Choice {
    name: &'static str,
    remove: fn(&Remove) -> &[String],
    rename: fn(&Rename) -> &[String],
    replace: fn(&Replace) -> &[String],
    add: fn(&Add) -> &[String],
    append: fn(&Append) -> &[String],
}

/// Makes the choice of one list.
macro_rules! choice {
    ($name:ident) => {
        Choice {
            name: stringify!($name),
            remove: |of| &of.$name,
            rename: |of| &of.$name,
            replace: |of| &of.$name,
            add: |of| &of.$name,
            append: |of| &of.$name,
        }
    };
}

const HEADERS: Choice = choice!(headers);
const QUERYSTRING: Choice = choice!(querystring);
const BODY: Choice = choice!(body);

/// The settings.
type All<'c> = (&'c Remove, &'c Rename, &'c Replace, &'c Add, &'c Append);

/// One of the operations of [`Fields`] that set a value.
type Change<F> = fn(&mut F, &str, <F as Fields>::Value);

impl Operations {
    fn new(of: Choice, (remove, rename, replace, add, append): All<'_>) -> Result<Self, NotExecutable> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.trim().to_owned());
        let values = |operation: &str, entries: &[String]| {
            let value = |entry: &String| {
                let (name, value) = pair(entry);
                let field = format!("{operation}.{}", of.name);
                let value = (!value.is_empty()).then(|| template(&field, value)).transpose()?;
                Ok((name.to_owned(), value))
            };
            entries.iter().map(value).collect::<Result<Vec<_>, NotExecutable>>()
        };
        Ok(Self {
            remove: (of.remove)(remove).to_vec(),
            rename: (of.rename)(rename).iter().map(|entry| owned(pair(entry))).collect(),
            replace: values("replace", (of.replace)(replace))?,
            add: values("add", (of.add)(add))?,
            append: values("append", (of.append)(append))?,
        })
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rename.is_empty() && self.replace.is_empty() && !self.makes_something()
    }

    /// Whether there may be something where there was nothing.
    pub fn makes_something(&self) -> bool {
        !self.add.is_empty() || !self.append.is_empty()
    }

    /// Computes the values. `make` makes of a name and a text what is set; an error of it is the first one.
    pub fn values<'a, V>(
        &'a self,
        find: Find<'_, 'a>,
        make: impl Fn(&str, Cow<'_, str>) -> Result<V, String>,
    ) -> Result<Values<V>, String> {
        let all = |list: &'a [(String, Option<Template>)]| -> Result<Vec<Option<V>>, String> {
            let value = |(name, value): &'a (String, Option<Template>)| {
                value.as_ref().map(|value| make(name, value.render(find))).transpose()
            };
            list.iter().map(value).collect()
        };
        Ok(Values { replace: all(&self.replace)?, add: all(&self.add)?, append: all(&self.append)? })
    }

    /// Changes `fields`.
    pub fn apply<F: Fields>(&self, fields: &mut F, values: Values<F::Value>) {
        self.remove.iter().for_each(|name| fields.remove(name));
        self.rename.iter().for_each(|(from, to)| fields.rename(from, to));
        let all: [(_, _, Change<F>); 3] = [
            (&self.replace, values.replace, F::replace),
            (&self.add, values.add, F::add),
            (&self.append, values.append, F::append),
        ];
        for (names, values, change) in all {
            for ((name, _), value) in names.iter().zip(values) {
                if let Some(value) = value {
                    change(fields, name, value);
                }
            }
        }
    }
}

impl<V> Values<V> {
    /// Other values in the same places.
    pub fn map<W>(self, change: impl Fn(V) -> W) -> Values<W> {
        let all = |list: Vec<Option<V>>| list.into_iter().map(|value| value.map(&change)).collect();
        Values { replace: all(self.replace), add: all(self.add), append: all(self.append) }
    }
}

fn template(field: &str, text: &str) -> Result<Template, NotExecutable> {
    Template::parse(text).map_err(|error| NotExecutable(format!("{field}: {error}")))
}

/// Finds what templates name in a request.
pub struct Found<'e, 'x, 'q>(&'e Exchange<'x, 'q>);

impl<'e, 'x, 'q> Found<'e, 'x, 'q> {
    pub fn new(exchange: &'e Exchange<'x, 'q>) -> Self {
        Self(exchange)
    }

    /// What `table` holds under `name`.
    pub fn find(&self, table: Table, name: &str) -> Option<Cow<'e, str>> {
        let exchange = self.0;
        match table {
            Table::Headers if name.eq_ignore_ascii_case("host") => Some(Cow::Borrowed(exchange.client.host)),
            Table::Headers => header_text(exchange.headers, name)
                .or_else(|| header_text(exchange.headers, &name.replace('_', "-"))),
            Table::QueryParams => {
                let query = exchange.query.as_deref().unwrap_or_default();
                let mut arguments = form_urlencoded::parse(query.as_bytes());
                arguments.find(|(held, _)| held == name).map(|(_, value)| Cow::Owned(value.into_owned()))
            }
            Table::UriCaptures => (exchange.captures.0)(name).map(Cow::Borrowed),
            Table::Shared => None,
        }
    }
}

/// A path as the upstream can be asked for it.
pub fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("The path of the request for the upstream would not begin with a slash".to_owned());
    }
    let mut path = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let is_escape = *byte == b'%'
            && bytes.get(index + 1..index + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if is_escape || byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(byte) {
            path.push(char::from(*byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(path)
}
