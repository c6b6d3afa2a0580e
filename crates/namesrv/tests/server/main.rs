//! A name server on a free port of 127.0.0.1, driven over real connections.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(clippy::disallowed_methods, reason = "tests make files and runtimes")]

mod lists;
mod peer;
mod registration;
mod settings;
mod sizes;
