//! What this crate promises, over a real Postgres: rows and index after any history (`apply`), and each seam of the service.

mod apply;
mod support;
