//! Lists come in pages: by cursor in `/v1` and `/v3`, by number in `/v2`, by offset in `/core-entities` (its service
//! has that form, since only gateway entities use it).

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, Ref, RefOr, Schema, schema::ArrayBuilder},
};

use crate::{Given, Parameter, Problem, QueryParameters, Values};

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

/// `page[size]` and `page[after]` of a request.
#[derive(Clone, Debug)]
pub struct Cursor {
    size: u32,
    after: Option<String>,
}

impl QueryParameters for Cursor {
    fn parameters() -> Vec<Parameter> {
        let meaning = "Where the page begins: `meta.page.next` of the page before, unchanged.";
        vec![
            size_parameter(),
            Parameter::text(AFTER, meaning, "IjAxOTJkM2E0LTViNmMtN2Q4ZS05ZjAwLTExMjIzMzQ0NTU2NiI"),
        ]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        Ok(Self { size: size(given), after: given.text(AFTER).map(str::to_owned) })
    }
}

impl Cursor {
    /// How many items to answer with.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How many items to fetch: one more than the page has, to see whether more follow.
    pub fn limit(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// The key of the last item that the caller has, if any.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(text) = &self.after else { return Ok(None) };
        let refusal =
            || Problem::invalid_parameter(AFTER, "use `meta.page.next` of the previous answer, unchanged");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| refusal())?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| refusal())
    }

    /// Makes a page of `items`, of which the caller fetched [`Cursor::limit`].
    pub fn page<T, K: Serialize>(&self, mut items: Vec<T>, key: impl Fn(&T) -> K) -> Cursored<T> {
        let size = self.size;
        let more = items.len() > size as usize;
        items.truncate(size as usize);
        let next = items.last().filter(|_| more).map(|last| {
            let key = serde_json::to_vec(&key(last)).unwrap_or_default();
            BASE64_URL_SAFE_NO_PAD.encode(key)
        });
        Cursored { data: items, meta: PageMeta { page: Page { size, next } } }
    }
}

/// A page of a list, with the cursor of the next one.
#[derive(Debug, Serialize)]
pub struct Cursored<T> {
    /// The items of this page, in the order of the list.
    pub data: Vec<T>,
    /// Where the next page begins.
    pub meta: PageMeta,
}

/// What a list says besides its items.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageMeta {
    /// Size and cursor.
    pub page: Page,
}

/// How the list was cut, and where it goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    /// Most items of a page, as the request asked, or by default.
    pub size: u32,
    /// `page[after]` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

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

impl<T: ToSchema> PartialSchema for Cursored<T> {
    fn schema() -> RefOr<Schema> {
        list_of::<T>(PageMeta::name())
    }
}

impl<T: ToSchema> ToSchema for Cursored<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        PageMeta::schemas(schemas);
        schemas.push((PageMeta::name().into_owned(), PageMeta::schema()));
        T::schemas(schemas);
        schemas.push((T::name().into_owned(), T::schema()));
    }
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
