//! A proof of configuration sync: both of its ends as they are, and a simulation of everything around them.
//!
//! Two replicas of config serve one control plane from a real Postgres database. Several gateways hold it, each in a store of its own on
//! disk, and serve it through the view that requests are served by. What is simulated is the network between them, the clocks, the hints
//! that replicas give each other, and the faults: streams that are cut in the middle of anything, replicas and gateways that are killed, a
//! database that is restarted or put back to an earlier copy, damaged and full disks, tombstones that are forgotten.
//!
//! A seed decides what happens, in which order. After each step a checker compares what every gateway holds and serves with all that the
//! control plane ever had. In the end the faults stop, and all have to be equal. Some tests break an end or the network on purpose, and
//! expect the checker to find out: a checker that finds nothing proves nothing.
//!
//! All of it is in `tests/it`. Nothing of this crate is part of what is built for anything else, so it may depend on services.
//!
//! ```text
//! LANDBRIDGE_SIMULATION_SEED=7 cargo test --test it simulation      repeats one schedule
//! LANDBRIDGE_SIMULATION_SEEDS=500 cargo test --test it simulation   goes through as many others
//! LANDBRIDGE_SIMULATION_GATEWAYS=100                                with as many gateways in place of three
//! ```
//!
//! A seed repeats the schedule, not each moment: Postgres, the disk and threads that derive views take the time that they take. So after
//! each step the simulation waits until nothing moves any more, and only then decides about the next.
