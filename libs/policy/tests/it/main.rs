//! Tests of the public interface. The texts in `cedar/` are read here a second time, so that the oracle shares nothing
//! with the code under test but the policies themselves.

mod changes;
mod custom;
mod differential;
mod grants;
mod scenarios;
mod support;
mod tables;
