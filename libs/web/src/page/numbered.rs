//! Pages by number.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{NUMBER, PAGE_NUMBER_MAX, list_of, size, size_parameter};
use crate::{Given, Parameter, Problem, QueryParameters, Values};

/// `page[size]` and `page[number]` of a request.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    /// Most items of the page.
    pub size: u32,
    /// The page's number, from 1.
    pub number: u32,
}

impl QueryParameters for Numbered {
    fn parameters() -> Vec<Parameter> {
        let values = Values::Number { min: 1, max: PAGE_NUMBER_MAX };
        vec![size_parameter(), Parameter::new(NUMBER, values, "Which page, from 1.", "2").default("1")]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { size: size(given), number: given.number(NUMBER).unwrap_or(1) })
    }
}

impl Numbered {
    /// How many items come before the page.
    pub fn offset(self) -> i64 {
        i64::from(self.size) * i64::from(self.number.saturating_sub(1))
    }
}

/// A numbered page of a list.
#[derive(Debug, Serialize)]
pub struct NumberedPage<T> {
    /// The items of this page, in the order of the list.
    pub data: Vec<T>,
    /// Which page it is.
    pub meta: NumberedMeta,
}

/// What a numbered list says besides its items.
#[derive(Debug, Serialize, ToSchema)]
pub struct NumberedMeta {
    /// Number, size and total.
    pub page: PageNumber,
}

/// Which page of a list it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageNumber {
    /// From 1.
    pub number: u32,
    /// Most items of a page.
    pub size: u32,
    /// How many items all pages have together.
    pub total: u64,
}

impl<T: ToSchema> PartialSchema for NumberedPage<T> {
    fn schema() -> RefOr<Schema> {
        list_of::<T>(NumberedMeta::name())
    }
}

impl<T: ToSchema> ToSchema for NumberedPage<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NumberedMeta::schemas(schemas);
        schemas.push((NumberedMeta::name().into_owned(), NumberedMeta::schema()));
        T::schemas(schemas);
        schemas.push((T::name().into_owned(), T::schema()));
    }
}

impl<T> NumberedPage<T> {
    /// The page that the request asked for, of a list with `total` items.
    pub fn new(data: Vec<T>, Numbered { size, number }: Numbered, total: u64) -> Self {
        Self { data, meta: NumberedMeta { page: PageNumber { number, size, total } } }
    }
}
