//! End-to-end tests on real parts. One binary, one file per theme.
//!
//! `infrastructure`, `leash` and `links` need Postgres and nats-server only. Tests that kill services start regions of their
//! own; everything else shares one region, two, or three, started by the first test that asks for them ([`harness`]). Both
//! need the workspace's binaries: `./dev test` builds them first.

mod acme;
mod as_written;
mod attack;
mod audit;
mod bad_input;
mod callers;
mod certificates;
mod chaos;
mod configuration;
mod control_plane_away;
mod deck;
mod declarative_gateway;
mod edge;
mod endpoints;
mod fixtures;
mod full_disk;
mod gateway_crash;
mod harness;
mod home;
mod idempotency;
mod imports;
mod infrastructure;
mod interrupted_snapshot;
mod leash;
mod links;
mod operations;
mod operator;
mod otlp;
mod people;
mod pinned;
mod read_your_write;
mod readiness;
mod regions;
mod replicas;
mod replication_loss;
mod residency;
mod restored_configuration;
mod revocation;
mod roles;
mod service_crash;
mod single_sign_on;
mod targets;
mod tour;
mod traces;
