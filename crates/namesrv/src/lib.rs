//! The name server.
#![forbid(unsafe_code)]
