//! The name server.
#![forbid(unsafe_code)]

pub mod settings;
