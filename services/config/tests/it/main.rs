//! What this crate promises, over a real Postgres: every endpoint with its errors, the committer under many writers, and the
//! streams of nodes. The other services are in memory.

mod acme;
mod audit;
mod contract;
mod control_planes;
mod deck;
mod declarative;
mod documentation;
mod documents;
mod entities;
mod every_endpoint;
mod expressions;
mod fuzz;
mod imports;
mod members;
mod nodes;
mod patch;
mod pins;
mod places;
mod queries;
mod replicas;
mod schemas;
mod streams;
mod together;
mod world;
