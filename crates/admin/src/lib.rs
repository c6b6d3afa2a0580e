//! Programs on the command line: RocketMQ's quickstart examples and its benchmark.
//!
//! Knows the client library and no server. Start at [`command`].
#![forbid(unsafe_code)]

mod benchmark;
pub mod command;
pub mod histogram;
pub mod observed;
mod output;
mod quickstart;
