//! Settings of `request-size-limiting`: how large the body of a request may be.

use super::PluginSettings;
use crate::record::{Rules, boolean, integer, record, word, words};

/// Of the largest size that can be set, in its unit.
const SIZE_MAX: u32 = 2_147_483_647;

words! {
    /// A unit of sizes.
    pub enum SizeUnit {
        /// 1,048,576 bytes.
        Megabytes = "megabytes",
        /// 1,024 bytes.
        Kilobytes = "kilobytes",
        /// One byte.
        Bytes = "bytes",
    }
}

impl SizeUnit {
    /// How many bytes it has.
    pub fn bytes(self) -> u64 {
        match self {
            SizeUnit::Megabytes => 1 << 20,
            SizeUnit::Kilobytes => 1 << 10,
            SizeUnit::Bytes => 1,
        }
    }
}

record! {
    /// Settings of `request-size-limiting`.
    pub struct Config {
        /// How large a body may be, in `size_unit`.
        pub allowed_payload_size: u32 = integer(128, 0..=SIZE_MAX),
        /// The unit of `allowed_payload_size`.
        pub size_unit: SizeUnit = word(SizeUnit::Megabytes),
        /// Whether a request with a body has to say how long that is.
        pub require_content_length: bool = boolean(false),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "request-size-limiting";

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {}
