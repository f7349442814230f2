//! Spreads requests over endpoints: which one gets the next request, which ones are healthy, and how many requests may be repeated.
//!
//! Pure: no I/O, no clock, no randomness of its own. `now` is everywhere the time since some moment, the same for all calls about one
//! [`Balancer`]; random numbers come from the caller. Knows endpoints, weights and health. Knows nothing of HTTP, DNS or configuration.
//!
//! * An [`Endpoint`] is what all threads know of one endpoint: requests in flight, latency, health. It is shared and outlives changes.
//! * A [`Balancer`] is an immutable choice among endpoints. A change makes the next one from it; the endpoints stay.
//! * A [`RetryBudget`] bounds what repeated requests add to the load.
//!
//! Picking takes no lock. Health takes one when something is counted against an endpoint or for one that is down, which is rare.

mod balancer;
mod budget;
mod endpoint;
mod hash;
mod health;
mod latency;
mod schedule;
mod table;

pub use self::{
    balancer::{Balancer, Draw, Member, Pick, Policy, Settings},
    budget::{RETRIES_BURST_MAX, RETRIES_PER_SECOND_MIN, RETRIES_SHARE_PERCENT, RetryBudget},
    endpoint::{Endpoint, InFlight},
    hash::hash,
    health::{Health, Observed, Rules, Shift, Source, TRIAL_PAUSE_MAX, TRIAL_PAUSE_MIN, Thresholds},
};
