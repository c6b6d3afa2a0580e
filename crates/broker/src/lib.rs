//! The broker.
#![forbid(unsafe_code)]

pub mod settings;
