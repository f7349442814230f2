//! The query of one request: checked against what its endpoint declares, before anything else is done for it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use url::form_urlencoded;

use super::{Parameter, nearest::nearest};
use crate::Problem;

/// Characters of a foreign name that a problem repeats.
const SHOWN_CHARS_MAX: usize = 64;

/// What an endpoint declares. Shared by its requests.
pub(crate) type Parameters = Arc<[Parameter]>;

/// The parameters that a request gives, by name. Each is declared, given once, and has a value that it may have.
#[derive(Clone, Debug)]
pub struct Given {
    declared: Parameters,
    values: Arc<BTreeMap<String, String>>,
}

impl Given {
    /// Reads a query, without its question mark. The problem names the parameter that is wrong. Those that are not declared are passed over
    /// if `ignores_others`, and wrong if not.
    pub(super) fn parse(query: &str, declared: &Parameters, ignores_others: bool) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(parameter) = declared.iter().find(|parameter| parameter.name == name) else {
                if ignores_others {
                    continue;
                }
                return Err(unknown(&name, declared));
            };
            let refuse = |reason: &str| Problem::invalid_parameter(&name, reason);
            parameter.values.check(&value).map_err(|values| refuse(&format!("must be {values}")))?;
            if values.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(refuse("is given more than once"));
            }
        }
        Ok(Self { declared: declared.clone(), values: values.into() })
    }

    /// The value of a declared parameter, or its default.
    pub fn text(&self, name: &str) -> Option<&str> {
        let declared = self.declared.iter().find(|parameter| parameter.name == name);
        debug_assert!(declared.is_some(), "the endpoint does not declare the query parameter {name}");
        let given = self.values.get(name).map(String::as_str);
        given.or_else(|| declared.and_then(|parameter| parameter.default))
    }

    /// What was given, name and value, in the order of the names.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The number of a declared parameter that takes numbers, or its default.
    pub fn number<N: TryFrom<u64>>(&self, name: &str) -> Option<N> {
        self.text(name)?.parse::<u64>().ok().and_then(|number| number.try_into().ok())
    }

    /// Whether a declared parameter is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The value of a parameter that has two names, such as `filter[name]` and `filter[name][eq]`. Both at once are refused.
    pub fn either(&self, name: &str, other: &str) -> Result<Option<&str>, Problem> {
        match (self.text(name), self.text(other)) {
            (Some(_), Some(_)) => {
                Err(Problem::invalid_parameter(other, &format!("means the same as {name}: give one of them")))
            }
            (one, two) => Ok(one.or(two)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Given {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Absent only if a handler is reached past the table of endpoints.
        parts.extensions.get().cloned().ok_or_else(|| Problem::internal("the query was not checked"))
    }
}

/// Goes on only with a query that the endpoint takes.
pub(crate) async fn checked(
    declared: Parameters,
    ignores_others: bool,
    mut request: Request,
    next: Next,
) -> Response {
    match Given::parse(request.uri().query().unwrap_or_default(), &declared, ignores_others) {
        Ok(given) => {
            request.extensions_mut().insert(given);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn unknown(name: &str, declared: &[Parameter]) -> Problem {
    let names = || declared.iter().map(|parameter| parameter.name.as_ref());
    let remedy = if declared.is_empty() {
        "this endpoint takes none".to_owned()
    } else {
        let known = format!("this endpoint takes {}", names().collect::<Vec<_>>().join(", "));
        match nearest(name, names()) {
            Some(near) => format!("did you mean {near}? {known}"),
            None => known,
        }
    };
    let shown: String = name.escape_debug().take(SHOWN_CHARS_MAX).collect();
    Problem::invalid_parameter(&shown, &format!("no such query parameter; {remedy}"))
}
