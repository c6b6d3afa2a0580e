//! Programs on the command line: RocketMQ's quickstart examples.
//!
//! Knows the client library and no server. Start at [`command`].
#![forbid(unsafe_code)]

pub mod command;
mod quickstart;
