//! Enrolment: a token lets a new node ask for a certificate of the region's CA.

pub mod ca;
pub mod http;
pub mod tokens;
