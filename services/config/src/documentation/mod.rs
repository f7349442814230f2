//! The documentation of the whole API, as the edge shows it: one OpenAPI document of all services, and a page that reads it. The document is
//! generated (`./dev gen`); the page loads nothing from elsewhere.
//!
//! config serves it because nearly all of it describes config's endpoints. The edge puts `/documentation` before the paths: `/openapi.json` is
//! a service's own document.

use axum::body::Bytes;
use web::{Api, File};

use crate::app::App;

const DOCUMENT: &str = include_str!("openapi.json");

/// Adds the files.
pub fn files(api: Api<App>) -> Api<App> {
    // As short as it can be: the committed form is one that people can compare.
    let short = serde_json::from_str::<serde_json::Value>(DOCUMENT).map(|document| document.to_string());
    let document = short.map_or(Bytes::from_static(DOCUMENT.as_bytes()), Bytes::from);
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    [
        ("/documentation/openapi.json", "application/json", document),
        ("/documentation/docs", "text/html; charset=utf-8", text(include_str!("page.html"))),
        ("/documentation/docs/page.js", "text/javascript; charset=utf-8", text(include_str!("page.js"))),
        ("/documentation/docs/page.css", "text/css; charset=utf-8", text(include_str!("page.css"))),
    ]
    .into_iter()
    .fold(api, |api, (path, media_type, body)| api.file(File { path, media_type, body }))
}
