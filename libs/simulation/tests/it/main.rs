//! Both ends of sync under everything that can happen around them: see the documentation of the crate.

mod broken;
mod checker;
mod network;
mod node;
mod peers;
mod plane;
mod replica;
mod schedule;
mod simulation;
mod world;
mod writes;
