//! Filters of lists by a text field, spelt as in Konnect's API: `filter[name][eq]=…`.

use super::{Given, Parameter, QueryParameters};
use crate::Problem;

/// What a list is narrowed to by one text field. Both conditions hold at once where both are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextFilter {
    /// The field has this value.
    pub eq: Option<String>,
    /// The field contains this text, letter by letter.
    pub contains: Option<String>,
}

impl TextFilter {
    /// The parameters of a filter by `field`: `filter[field][eq]`, the same as `filter[field]`, and
    /// `filter[field][contains]`.
    pub fn parameters(field: &str, example: &str) -> Vec<Parameter> {
        let of = |operator: &str, meaning: String| {
            Parameter::text(format!("filter[{field}]{operator}"), meaning, example.to_owned())
        };
        vec![
            of("[eq]", format!("Only items whose `{field}` is this.")),
            of("", format!("The same as `filter[{field}][eq]`.")),
            of("[contains]", format!("Only items whose `{field}` contains this, in the same case.")),
        ]
    }

    /// Reads the filter by `field`.
    pub fn read(given: &Given, field: &str) -> Result<Self, Problem> {
        let eq = given.either(&format!("filter[{field}][eq]"), &format!("filter[{field}]"))?;
        let contains = given.text(&format!("filter[{field}][contains]"));
        // Names are stored in the form in which they are compared.
        Ok(Self { eq: eq.map(ids::name::comparable), contains: contains.map(ids::name::comparable) })
    }
}

/// A filter by `name`, for lists that have no other.
#[derive(Clone, Debug, Default)]
pub struct NameFilter(pub TextFilter);

impl QueryParameters for NameFilter {
    fn parameters() -> Vec<Parameter> {
        TextFilter::parameters("name", "payments")
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        TextFilter::read(given, "name").map(Self)
    }
}
