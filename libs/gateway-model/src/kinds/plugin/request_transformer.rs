//! Settings of `request-transformer`: what is changed of a request before it goes upstream.

use super::PluginSettings;
use super::transformer::{
    ENTRIES_MAX, FIELD, FIELD_TO_RENAME, FIELD_TO_SET, HEADER_TO_REMOVE, HEADER_TO_RENAME, HEADER_TO_REPLACE,
    HEADER_TO_SET, PATH,
};
use crate::record::{Rules, list, object, record, text};
use crate::rules::METHOD;

record! {
    /// Settings of `request-transformer`. What is given is done in this order: `remove`, `rename`, `replace`, `add`, `append`. Bodies are
    /// changed that are JSON objects or forms.
    pub struct Config {
        /// The method that the upstream is asked by.
        pub http_method: Option<String> = text(METHOD),
        /// What is left out.
        pub remove: Remove = object(),
        /// What gets another name.
        pub rename: Rename = object(),
        /// What gets another value, if it is there.
        pub replace: Replace = object(),
        /// What is added, unless it is there.
        pub add: Add = object(),
        /// What gets one more value.
        pub append: Append = object(),
    }
}

record! {
    /// Names of what is left out.
    pub struct Remove keeps empty_lists {
        /// Fields of the body.
        pub body: Vec<String> = list(FIELD, ENTRIES_MAX),
        /// Headers.
        pub headers: Vec<String> = list(HEADER_TO_REMOVE, ENTRIES_MAX),
        /// Arguments of the query.
        pub querystring: Vec<String> = list(FIELD, ENTRIES_MAX),
    }
}

record! {
    /// Names with other names, such as `old:new`.
    pub struct Rename keeps empty_lists {
        /// Fields of the body.
        pub body: Vec<String> = list(FIELD_TO_RENAME, ENTRIES_MAX),
        /// Headers.
        pub headers: Vec<String> = list(HEADER_TO_RENAME, ENTRIES_MAX),
        /// Arguments of the query.
        pub querystring: Vec<String> = list(FIELD_TO_RENAME, ENTRIES_MAX),
    }
}

record! {
    /// Names with values, such as `name:value`. What stands in `$( … )` is computed: see `headers.…`, `query_params.…`, `uri_captures.…`.
    pub struct Replace keeps empty_lists {
        /// The path that the upstream is asked for.
        pub uri: Option<String> = text(PATH),
        /// Fields of the body.
        pub body: Vec<String> = list(FIELD_TO_SET, ENTRIES_MAX),
        /// Headers. `Host` is always there.
        pub headers: Vec<String> = list(HEADER_TO_REPLACE, ENTRIES_MAX),
        /// Arguments of the query.
        pub querystring: Vec<String> = list(FIELD_TO_SET, ENTRIES_MAX),
    }
}

/// Makes a record of names with values.
macro_rules! values {
    ($Values:ident) => {
        record! {
            /// Names with values, such as `name:value`. What stands in `$( … )` is computed.
            pub struct $Values keeps empty_lists {
                /// Fields of the body.
                pub body: Vec<String> = list(FIELD_TO_SET, ENTRIES_MAX),
                /// Headers.
                pub headers: Vec<String> = list(HEADER_TO_SET, ENTRIES_MAX),
                /// Arguments of the query.
                pub querystring: Vec<String> = list(FIELD_TO_SET, ENTRIES_MAX),
            }
        }

        impl Rules for $Values {}
    };
}

values!(Add);
values!(Append);

impl PluginSettings for Config {
    const NAME: &'static str = "request-transformer";
}

impl Rules for Config {}
impl Rules for Remove {}
impl Rules for Rename {}
impl Rules for Replace {}
