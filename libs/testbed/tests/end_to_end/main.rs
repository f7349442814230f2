//! End-to-end tests on real parts. One binary, one file per theme.
//!
//! `infrastructure` and `leash` need Postgres and nats-server only. Tests that kill services start a region of their own;
//! everything else shares one region, started by the first test that asks for it ([`harness::shared`]). Both need the
//! workspace's binaries: `./dev test` builds them first.

mod bad_input;
mod configuration;
mod control_plane_away;
mod declarative_gateway;
mod endpoints;
mod fixtures;
mod gateway_crash;
mod harness;
mod hostile_input;
mod idempotency;
mod infrastructure;
mod leash;
mod node_identity;
mod operations;
mod organizations;
mod revocation;
mod roles;
mod service_crash;
mod tour;
