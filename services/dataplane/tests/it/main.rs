//! The proxy over real sockets: a real listener, a real store, real upstreams, and clients that write raw bytes where the
//! bytes are the point.

mod acme;
mod admin;
mod answers;
mod auth;
mod balancing;
mod bodies;
mod certificates;
mod client;
mod config;
mod drain;
mod fire;
mod forwarding;
mod frames;
mod fuzz;
mod gateway;
mod grpc;
mod http2;
mod load;
mod plugins;
mod process;
mod reach;
mod readings;
mod recorder;
mod reference;
mod refusals;
mod smuggling;
mod spoofing;
mod take_over;
mod telemetry;
mod threads;
mod timeouts;
mod tls;
mod upstream;
mod upstream_tls;
mod websocket;
