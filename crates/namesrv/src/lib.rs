//! The name server.
#![forbid(unsafe_code)]

pub mod cli;
pub mod settings;
