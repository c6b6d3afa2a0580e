//! Programs on the command line: RocketMQ's quickstart examples and its benchmark.
//!
//! Knows the client library and no server (and the store, for the offline check). Start at [`command`].
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "programs that are run by hand")]

mod benchmark;
mod check_store;
pub mod command;
mod credentials;
mod explain_acl;
pub mod histogram;
mod lateness;
pub mod observed;
mod output;
mod quickstart;
mod tls;
mod turns;
