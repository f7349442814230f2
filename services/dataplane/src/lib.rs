//! The Landbridge data plane: an API gateway that holds its configuration itself.
//!
//! Two halves that know nothing of each other meet in the view and the store:
//!
//! * **Configuration in**: `stream` follows a control plane over one mTLS stream (`enrol` gives the node its identity), or
//!   `declarative` takes a file; either way `applier` derives the next [`view`], commits it to the [`store`] in one LMDB
//!   transaction, and swaps the view that is live.
//! * **Requests through**: [`proxy`] reads the live view behind an atomic pointer and credentials from the store. The
//!   [`router`] finds the route, [`plugins`] judge the request, the upstream answers.
//!
//! So requests never wait for a change, a change is served whole or not at all, and the gateway serves and restarts without
//! its control plane. [`admin`] shows the [`status`]; [`gateway`] wires it all together and drains it.

pub mod admin;
pub mod applier;
pub mod declarative;
pub mod enrol;
pub mod gateway;
pub mod plugins;
pub mod proxy;
pub mod router;
pub mod seams;
pub mod settings;
pub mod status;
pub mod store;
pub mod stream;
#[cfg(test)]
mod test_region;
pub mod view;
