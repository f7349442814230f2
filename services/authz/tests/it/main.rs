//! What this crate promises, over a real Postgres: rows and index after any history (`apply`), and each seam of the service.

mod api;
mod apply;
mod every_endpoint;
mod grpc;
mod index;
mod leases;
mod mapped_teams;
mod principals;
mod service;
mod support;
