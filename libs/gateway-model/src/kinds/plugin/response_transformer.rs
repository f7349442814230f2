//! Settings of `response-transformer`: what is changed of an answer before the client gets it.

use super::PluginSettings;
use super::transformer::{
    ENTRIES_MAX, FIELD, FIELD_TO_ANSWER, FIELD_TO_RENAME, HEADER_TO_ANSWER, HEADER_TO_REMOVE, HEADER_TO_RENAME,
};
use crate::record::{Rules, list, object, record, word_sequence, words};

words! {
    /// What a value becomes in JSON.
    pub enum JsonType {
        /// True or false.
        Boolean = "boolean",
        /// A number.
        Number = "number",
        /// A text.
        String = "string",
    }
}

record! {
    /// Settings of `response-transformer`. What is given is done in this order: `remove`, `rename`, `replace`, `add`, `append`. Bodies are
    /// changed that are JSON objects.
    pub struct Config {
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
        /// Headers.
        pub headers: Vec<String> = list(HEADER_TO_REMOVE, ENTRIES_MAX),
        /// Fields of the body.
        pub json: Vec<String> = list(FIELD, ENTRIES_MAX),
    }
}

record! {
    /// Names with other names, such as `old:new`.
    pub struct Rename keeps empty_lists {
        /// Headers.
        pub headers: Vec<String> = list(HEADER_TO_RENAME, ENTRIES_MAX),
        /// Fields of the body.
        pub json: Vec<String> = list(FIELD_TO_RENAME, ENTRIES_MAX),
    }
}

/// Makes a record of names with values.
macro_rules! values {
    ($Values:ident) => {
        record! {
            /// Names with values, such as `name:value`.
            pub struct $Values keeps empty_lists {
                /// Headers.
                pub headers: Vec<String> = list(HEADER_TO_ANSWER, ENTRIES_MAX),
                /// Fields of the body.
                pub json: Vec<String> = list(FIELD_TO_ANSWER, ENTRIES_MAX),
                /// What the values of `json` become, each in its place. Those without one become texts.
                pub json_types: Vec<JsonType> = word_sequence(ENTRIES_MAX),
            }
        }

        impl Rules for $Values {}
    };
}

values!(Replace);
values!(Add);
values!(Append);

impl PluginSettings for Config {
    const NAME: &'static str = "response-transformer";
}

impl Rules for Config {}
impl Rules for Remove {}
impl Rules for Rename {}
