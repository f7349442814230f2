//! A whole Landbridge region on this machine, made of the real parts: Postgres, NATS, a certificate authority, the
//! services' own binaries, data planes and an echo upstream, on loopback, in one folder.
//!
//! `./dev up`, the end-to-end tests and the load tests start regions through this library and see the same thing.
//! Invariants:
//! * A region leaves nothing behind: every process hangs on a [`leash`] and ends with whoever started it, SIGKILL
//!   included; a temporary folder is removed after the last of them ([`folder`]).
//! * There is no plaintext mode: services, Postgres and NATS speak TLS with client certificates ([`ca`]).
//! * Nothing is simulated, and nothing reaches into a service's database: the testbed uses command lines and public
//!   interfaces only.

pub mod api;
pub mod binaries;
pub mod ca;
pub mod cli;
pub mod dataplane;
pub mod folder;
pub mod leash;
pub mod nats;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod region;
pub mod service;
pub mod status;
pub mod tour;
pub mod up;
pub mod upstream;
pub mod wait;

pub use api::{Answer, Api};
pub use dataplane::Gateway;
pub use region::{Options, Place, Region};
pub use service::Service;
