//! identity over a real Postgres (a database of its own for each test), with an authz and a NATS in this process, and with
//! clock and randomness as parameters.

mod apply;
mod authz;
mod bootstrap;
mod every_endpoint;
mod idempotency;
mod nats;
mod organizations;
mod outbox;
mod rates;
mod region;
mod regions;
mod revocations;
mod sessions;
mod signed_tokens;
mod system_accounts;
mod tokens;
mod upgrade;
mod users;
