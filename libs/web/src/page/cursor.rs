//! Pages by cursor.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{AFTER, list_of, size, size_parameter};
use crate::{Given, Parameter, Problem, QueryParameters};

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
