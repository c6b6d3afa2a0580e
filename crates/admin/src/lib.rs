//! Programs on the command line: the commands of `mqadmin`, RocketMQ's quickstart examples and its benchmark.
//!
//! Knows the client library and no server (and the store, for the offline check). Start at [`command`]. What commands there are is in
//! one table (`table.rs`, filled by the families under `commands/`): parsing, help, completions and the manual page are made from it.
//! A command gets its options and its connections as a `Job`, and prints through `Out`: text for people, or JSON for programs.
//! What commands ask servers by is for other tools, too: [`ask`].
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "programs that are run by hand")]

pub mod ask;
mod benchmark;
pub mod command;
mod commands;
mod credentials;
mod failure;
mod help;
pub mod histogram;
mod job;
mod lateness;
mod net;
pub mod observed;
mod output;
mod parse;
mod progress;
mod quickstart;
mod table;
mod time;
mod tls;
mod turns;
