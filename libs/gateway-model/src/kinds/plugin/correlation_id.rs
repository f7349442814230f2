//! Settings of `correlation-id`: a header that names a request at everything that it passes.

use super::PluginSettings;
use crate::record::{Rules, boolean, record, text, word, words};
use crate::rules::HEADER_NAME;

words! {
    /// How an id is made.
    pub enum Generator {
        /// A UUID for each request.
        Uuid = "uuid",
        /// A UUID of the gateway and a number that grows with each request.
        UuidCounter = "uuid#counter",
        /// Address and port that were asked for, process, two numbers that grow, and the time.
        Tracker = "tracker",
    }
}

record! {
    /// Settings of `correlation-id`.
    pub struct Config {
        /// The header. A request that has it keeps its value.
        pub header_name: String = text(HEADER_NAME).or("Kong-Request-ID"),
        /// How an id is made.
        pub generator: Generator = word(Generator::UuidCounter),
        /// Whether the client gets the header too.
        pub echo_downstream: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "correlation-id";
}

impl Rules for Config {}
