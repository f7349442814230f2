//! A time to live, and the moment at which it ends.

use crate::record::{Field, Fields, Property, Source, Writer};

/// Longest time to live, in seconds, as in Kong.
const TTL_MAX_SECONDS: u32 = 100_000_000;

/// When a credential stops to be valid. What users say is a number of seconds; what is stored is also the moment, so that
/// every gateway ends it by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Seconds to live, as the user said it. `None`: for ever.
    pub ttl: Option<u32>,
    /// Unix seconds. `None` until the writer calls [`Expiry::settle`], and for ever.
    pub at: Option<u64>,
}

impl Expiry {
    /// Sets the moment: that of `stored` if it has the same time to live, else counted from `now` (Unix seconds). So a request that
    /// is sent again changes nothing.
    pub fn settle(&mut self, stored: Option<Expiry>, now: u64) {
        self.at = match (self.ttl, stored) {
            (None, _) => None,
            (Some(ttl), Some(Expiry { ttl: Some(same), at: Some(at) })) if ttl == same => Some(at),
            (Some(ttl), _) => Some(now.saturating_add(ttl.into())),
        };
    }
}

/// A time to live.
pub(crate) fn ttl() -> Ttl {
    Ttl
}

pub(crate) struct Ttl;

impl Field for Ttl {
    type Value = Expiry;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Expiry {
        let ttl = from.integer(name, 1..=TTL_MAX_SECONDS);
        let at = if from.source() == Source::Wire { from.integer("expires_at", 1..=u64::MAX) } else { None };
        Expiry { ttl, at }
    }

    fn write(&self, name: &'static str, value: &Expiry, out: &mut Writer) {
        out.optional(name, value.ttl);
        if out.is_wire() {
            out.optional("expires_at", value.at);
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::integer(1, TTL_MAX_SECONDS.into()).or_null())
    }
}
