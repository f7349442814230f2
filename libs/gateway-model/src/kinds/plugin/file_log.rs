//! Settings of `file-log`: a line for each request is added to a file.

use serde_json::{Value, json};

use super::{PluginSettings, http_log::NO_LUA};
use crate::record::{Rules, absent, boolean, record, text};
use crate::rules::{self, Rule};

/// Bytes of a path.
const PATH_BYTES_MAX: usize = 1024;

const PATH: Rule = Rule::new(path, PATH_BYTES_MAX);

record! {
    /// Settings of `file-log`. Each request becomes a line of JSON, in Kong's format.
    pub struct Config {
        /// The file, by its whole path. It is made if it is not there. `/dev/stdout` is the gateway's output.
        pub path: String = text(PATH).required("name the file by its whole path"),
        /// Whether the file is opened anew for what is written: then whoever rotates logs can move it away.
        pub reopen: bool = boolean(false),
    }
    besides {
        custom_fields_by_lua = absent(NO_LUA).shown(),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "file-log";

    fn smallest() -> Value {
        json!({ "path": "/var/log/gateway.log" })
    }
}

impl Rules for Config {}

/// As in Kong, without characters that a shell would read; and from the root, because nobody knows where a gateway was started.
fn path(text: &str) -> Result<(), String> {
    rules::length_bytes(text, PATH_BYTES_MAX)?;
    rules::printable(text)?;
    if !text.starts_with('/') || text.ends_with('/') {
        return Err("be the whole path of a file, such as `/var/log/gateway.log`".to_owned());
    }
    if text.contains(['*', '&', '%', '`']) {
        return Err("not contain `*`, `&`, `%` or a backtick".to_owned());
    }
    Ok(())
}
