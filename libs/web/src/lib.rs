//! Conventions of the HTTP APIs: problems, JSON bodies, paging, and the table of endpoints that is at once router,
//! OpenAPI document and list for the access tests. No I/O, no knowledge of any service.

mod address;
mod api;
mod endpoint;
mod json;
pub mod labels;
mod merge;
mod page;
mod path;
mod problem;
mod query;
mod shared;
pub mod text;

pub use address::{ClientAddress, ForwardedFor};
pub use api::{Api, File, Guard};
pub use endpoint::{Endpoint, Method, Protection, Refusal, Served};
pub use json::{BODY_BYTES_MAX, Json, RawBody, parse as parse_json};
pub use merge::{Clash, merge};
pub use page::{Cursor, Cursored, Listed, Numbered, NumberedPage, Page, PageMeta, Paging, Span};
pub use path::Path;
pub use problem::{FieldError, Problem, ProblemBody, ProblemType, conclude};
pub use query::{Given, NameFilter, Parameter, Query, QueryParameters, TextFilter, Values};
pub use shared::shared;

/// What a handler answers.
pub type Answer<T> = Result<T, Problem>;
