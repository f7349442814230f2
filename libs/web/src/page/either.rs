//! Pages by number, as Konnect's API has them, that can also be followed by cursor: a cursor misses nothing while the list changes.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{AFTER, Cursor, NUMBER, Numbered, list_of};
use crate::{Given, Parameter, Problem, QueryParameters};

/// `page[size]` of a request, with either `page[number]` or `page[after]`.
#[derive(Clone, Debug)]
pub struct Paging {
    cursor: Cursor,
    /// `None`: the page begins at the cursor.
    numbered: Option<Numbered>,
}

/// Which items of a list, in the order of their keys, a store has to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<K> {
    /// Only items behind this key.
    pub after: Option<K>,
    /// How many of those come before the page.
    pub offset: i64,
    /// How many to fetch: one more than the page has, to see whether more follow.
    pub limit: i64,
}

impl QueryParameters for Paging {
    fn parameters() -> Vec<Parameter> {
        let mut parameters = Cursor::parameters();
        parameters.extend(Numbered::parameters().into_iter().filter(|parameter| parameter.name == NUMBER));
        parameters
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        let is_given = |name: &str| given.pairs().any(|(given, _)| given == name);
        match (is_given(AFTER), is_given(NUMBER)) {
            (true, true) => {
                Err(Problem::invalid_parameter(NUMBER, &format!("give {NUMBER} or {AFTER}, not both")))
            }
            (by_cursor, _) => {
                let numbered = (!by_cursor).then(|| Numbered::read(given)).transpose()?;
                Ok(Self { cursor: Cursor::read(given)?, numbered })
            }
        }
    }
}

impl Paging {
    /// Which items to fetch.
    pub fn span<K: DeserializeOwned>(&self) -> Result<Span<K>, Problem> {
        Ok(Span {
            after: self.cursor.after()?,
            offset: self.numbered.map_or(0, Numbered::offset),
            limit: self.cursor.limit(),
        })
    }

    /// How many items the list has, by `count`. A page by cursor does not say it, and does not count.
    pub async fn total<E>(&self, count: impl Future<Output = Result<u64, E>>) -> Result<Option<u64>, E> {
        match self.numbered {
            Some(_) => count.await.map(Some),
            None => Ok(None),
        }
    }

    /// Makes a page of `items`, which were fetched by [`Paging::span`].
    pub fn page<T, K: Serialize>(
        &self,
        items: Vec<T>,
        total: Option<u64>,
        key: impl Fn(&T) -> K,
    ) -> Listed<T> {
        let cursored = self.cursor.page(items, key);
        let super::Page { size, next } = cursored.meta.page;
        let number = self.numbered.map(|numbered| numbered.number);
        Listed { data: cursored.data, meta: ListedMeta { page: ListedPage { size, next, number, total } } }
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct Listed<T> {
    /// The items of this page, in the order of the list.
    pub data: Vec<T>,
    /// Which page it is, and where the next one begins.
    pub meta: ListedMeta,
}

/// What such a list says besides its items.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedMeta {
    /// Size, number and total, and the cursor.
    pub page: ListedPage,
}

/// Which page of a list it is, and where the list goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedPage {
    /// Most items of a page, as the request asked, or by default.
    pub size: u32,
    /// `page[after]` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// From 1; absent if the request gave `page[after]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// How many items all pages have together; absent if the request gave `page[after]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl<T: ToSchema> PartialSchema for Listed<T> {
    fn schema() -> RefOr<Schema> {
        list_of::<T>(ListedMeta::name())
    }
}

impl<T: ToSchema> ToSchema for Listed<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ListedMeta::schemas(schemas);
        schemas.push((ListedMeta::name().into_owned(), ListedMeta::schema()));
        T::schemas(schemas);
        schemas.push((T::name().into_owned(), T::schema()));
    }
}
