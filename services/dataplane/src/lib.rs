//! The Landbridge data plane: an API gateway that holds its configuration itself.
//!
//! It has two halves that know nothing of each other. They meet in the view and the store.
//!
//! * **Configuration comes in.** [`stream`] follows a control plane over one mTLS connection, with the certificate that
//!   [`enrol`] got for the node. Or [`declarative`] takes a file. Either way [`applier`] derives the next [`view`], commits the
//!   change to the [`store`] in one LMDB transaction, and swaps the view that is in service.
//! * **Requests pass through.** [`proxy`] reads the view behind an atomic pointer, and credentials from the store. The
//!   [`router`] finds the route, the [`plugins`] let the request pass or answer it, and the upstream answers the rest; where it has targets,
//!   [`balancing`] says which of them.
//!
//! So a request never waits for a change, a change is served whole or not at all, and the gateway serves and restarts without
//! its control plane. What plugins send elsewhere, such as log entries, leaves by [`deliveries`]; whatever they
//! call is called by [`calls`]. [`admin`] shows the [`status`], and [`check`] says what keeps a gateway from being ready. [`gateway`]
//! assembles all of it; [`seams`] are its clock and randomness. Another process takes its place by [`take_over`].

#![warn(missing_docs)]

pub mod admin;
pub mod applier;
pub mod authority;
pub mod balancing;
mod calls;
pub mod check;
mod counters;
pub mod declarative;
pub mod deliveries;
pub mod egress;
pub mod enrol;
pub mod gateway;
mod notify;
pub mod plugins;
pub mod proxy;
pub mod router;
pub mod seams;
pub mod settings;
pub mod status;
pub mod store;
pub mod stream;
mod take_over;
#[cfg(test)]
mod test_region;
#[cfg(test)]
mod test_traces;
pub mod view;
