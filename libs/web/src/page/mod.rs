//! Lists come in pages: by cursor in `/v1`, by number in `/v2`, by either in `/v3`, by offset in `/core-entities` (its service has
//! that form, since only gateway entities use it).

mod cursor;
mod either;
mod numbered;

use std::borrow::Cow;

use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Ref, RefOr, Schema, schema::ArrayBuilder},
};

pub use self::{
    cursor::{Cursor, Cursored, Page, PageMeta},
    either::{Listed, Paging, Span},
    numbered::{Numbered, NumberedPage},
};
use crate::{Given, Parameter, Values};

/// Items in a page unless the caller says otherwise.
pub const PAGE_SIZE_DEFAULT: u32 = 20;
/// Most items in a page.
pub const PAGE_SIZE_MAX: u32 = 100;
/// Highest page number: a page is found by skipping those before it.
const PAGE_NUMBER_MAX: u64 = 10_000;

/// Names of the parameters.
const SIZE: &str = "page[size]";
const AFTER: &str = "page[after]";
const NUMBER: &str = "page[number]";

fn size_parameter() -> Parameter {
    let values = Values::Number { min: 1, max: PAGE_SIZE_MAX.into() };
    Parameter::new(SIZE, values, "Most items of a page.", "50").default("20")
}

fn size(given: &Given) -> u32 {
    given.number(SIZE).unwrap_or(PAGE_SIZE_DEFAULT)
}

/// A list of `T`s with what else is said of it. Each kind of item makes a schema of its own.
fn list_of<T: ToSchema>(meta: Cow<'static, str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .property("data", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
        .required("data")
        .property("meta", Ref::from_schema_name(meta))
        .required("meta")
        .into()
}
