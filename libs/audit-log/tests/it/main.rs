//! Audit logs in a real Postgres: they are linked, read, shortened and verified, and whoever alters them is found.

mod chains;
mod clients;
mod refusals;
mod tampering;
mod world;
