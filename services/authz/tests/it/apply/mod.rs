//! The rows, the digest and the index after every history are those of the definition.

mod definition;
mod generated;
mod history;
mod replay;
mod rules;
