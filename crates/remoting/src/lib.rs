//! The tokio server and client of the remoting protocol.
#![forbid(unsafe_code)]
