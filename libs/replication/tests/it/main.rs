//! Tests of the replication core against definitions: the merge rule against a brute-force one, and three simulated
//! regions with everything that can go wrong between them.

mod merging;
mod naive;
mod region;
mod simulation;
mod store;
