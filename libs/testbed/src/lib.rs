//! A whole Landbridge deployment on this machine, made of the real parts: regions with Postgres, NATS, certificate
//! authorities, the services' own binaries, an edge, data planes and an echo upstream, on loopback, in one folder, and a
//! network of relays between the regions.
//!
//! `./dev up`, the end-to-end tests and the load tests start regions through this library and see the same thing.
//! Invariants:
//! * A deployment leaves nothing behind: every process hangs on a [`leash`] and ends with whoever started it, SIGKILL
//!   included; a temporary folder is removed after the last of them ([`folder`]).
//! * There is no plaintext mode: services, Postgres and NATS speak TLS with client certificates ([`ca`]).
//! * No region reaches another one but through the network between them ([`wan`]).
//! * Nothing is simulated, and nothing reaches into a service's database: the testbed uses command lines and public
//!   interfaces only.

pub mod api;
pub mod binaries;
pub mod ca;
pub mod cli;
pub mod dataplane;
pub mod deployment;
mod edge;
pub mod folder;
pub mod infrastructure;
pub mod leash;
pub mod mail;
pub mod nats;
pub mod options;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod receiver;
pub mod region;
pub mod service;
mod settings;
pub mod site;
pub mod status;
mod template;
pub mod tour;
pub mod traces;
pub mod up;
pub mod upstream;
pub mod wait;
pub mod wan;

pub use api::{Answer, Api};
pub use dataplane::Gateway;
pub use deployment::Deployment;
pub use ids::ServiceName;
pub use infrastructure::Infrastructure;
pub use options::{Options, Place};
pub use receiver::WebhookReceiver;
pub use region::Region;
pub use wan::Wan;
