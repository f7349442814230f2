//! The log against a real Postgres: writers in groups, entries of other regions, rows made anew, restores, and followers.

mod following;
mod receiving;
mod restoring;
mod signatures;
mod things;
mod writing;
