//! Lists come in pages: by cursor in `/v1` and `/v3`, by number in `/v2`, by offset in `/core-entities` (its service
//! has that form, since only gateway entities use it).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::Problem;

/// Items in a page unless the caller says otherwise.
pub const PAGE_SIZE_DEFAULT: u32 = 20;
/// Most items in a page.
pub const PAGE_SIZE_MAX: u32 = 100;
/// Longest cursor, bytes.
const CURSOR_BYTES_MAX: usize = 512;
/// Highest page number: a page is found by skipping those before it.
const PAGE_NUMBER_MAX: u32 = 10_000;

/// `page[size]` and `page[after]` of a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Cursor {
    #[serde(rename = "page[size]")]
    size: Option<String>,
    #[serde(rename = "page[after]")]
    after: Option<String>,
}

impl Cursor {
    /// How many items to answer with.
    pub fn size(&self) -> Result<u32, Problem> {
        size(self.size.as_deref())
    }

    /// The key of the last item that the caller has, if any.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(text) = &self.after else { return Ok(None) };
        let refusal = || {
            Problem::invalid_parameter(
                "page[after]",
                "use `meta.page.next` of the previous answer, unchanged",
            )
        };
        if text.len() > CURSOR_BYTES_MAX {
            return Err(refusal());
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| refusal())?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| refusal())
    }

    /// Makes a page of `items`, of which the caller fetched one more than [`Cursor::size`] to see whether more follow.
    pub fn page<T, K: Serialize>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> Result<Cursored<T>, Problem> {
        let size = self.size()?;
        let more = items.len() > size as usize;
        items.truncate(size as usize);
        let next = items.last().filter(|_| more).map(|last| {
            let key = serde_json::to_vec(&key(last)).unwrap_or_default();
            BASE64_URL_SAFE_NO_PAD.encode(key)
        });
        Ok(Cursored { data: items, meta: PageMeta { page: Page { size, next } } })
    }
}

/// A page of a list, with the cursor of the next one.
#[derive(Debug, Serialize, ToSchema)]
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
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Numbered {
    #[serde(rename = "page[size]")]
    size: Option<String>,
    #[serde(rename = "page[number]")]
    number: Option<String>,
}

impl Numbered {
    /// Page size and page number, from 1.
    pub fn get(&self) -> Result<(u32, u32), Problem> {
        let number = match self.number.as_deref().map(str::parse::<u32>) {
            None => 1,
            Some(Ok(number)) if (1..=PAGE_NUMBER_MAX).contains(&number) => number,
            Some(_) => {
                return Err(Problem::invalid_parameter(
                    "page[number]",
                    &format!("a number from 1 to {PAGE_NUMBER_MAX}"),
                ));
            }
        };
        Ok((size(self.size.as_deref())?, number))
    }
}

/// A numbered page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct NumberedPage<T> {
    /// The items of this page, in the order of the list.
    pub data: Vec<T>,
    /// `{"page": {"number": …, "size": …, "total": …}}`; `total` counts the items of all pages.
    pub meta: serde_json::Value,
}

impl<T> NumberedPage<T> {
    /// A page with the number and size that the request asked for, of a list with `total` items.
    pub fn new(data: Vec<T>, size: u32, number: u32, total: u64) -> Self {
        Self { data, meta: serde_json::json!({"page": {"number": number, "size": size, "total": total}}) }
    }
}

fn size(text: Option<&str>) -> Result<u32, Problem> {
    match text.map(str::parse::<u32>) {
        None => Ok(PAGE_SIZE_DEFAULT),
        Some(Ok(size)) if (1..=PAGE_SIZE_MAX).contains(&size) => Ok(size),
        Some(_) => {
            Err(Problem::invalid_parameter("page[size]", &format!("a number from 1 to {PAGE_SIZE_MAX}")))
        }
    }
}
