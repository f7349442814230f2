//! Gateway entities: one set of handlers, queries and rules for every kind in the table of kinds.
//!
//! A write is a [`plan::Command`]. The [`committer`] of its control plane groups the commands that wait, reads what they
//! need under the control plane's lock, plans each on what is known, and writes all of them as one version.

pub mod committer;
pub mod http;
pub mod known;
pub mod plan;
pub mod revocations;
pub mod store;
#[cfg(test)]
mod tests;

use gateway_model::Invalid;
use web::{FieldError, Problem};

/// A refused entity or document, as clients see it.
pub fn refusal(invalid: &Invalid) -> Problem {
    let fields = invalid.fields.iter();
    Problem::invalid(
        fields
            .map(|error| FieldError { field: error.field.clone(), reason: error.message.clone() })
            .collect(),
    )
}
