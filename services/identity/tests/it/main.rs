//! identity over a real Postgres (a database of its own for each test), with an authz and a NATS in this process, and with
//! clock and randomness as parameters.

mod apply;
mod audit;
mod authz;
mod bootstrap;
mod console;
mod every_endpoint;
mod idempotency;
mod identity_providers;
mod invites;
mod nats;
mod operator;
mod organizations;
mod outbox;
mod passwords;
mod people;
mod rates;
mod region;
mod regions;
mod revocations;
mod second_factor;
mod sessions;
mod sign_ons;
mod signed_tokens;
mod single_sign_on;
mod system_accounts;
mod tokens;
mod upgrade;
mod users;
