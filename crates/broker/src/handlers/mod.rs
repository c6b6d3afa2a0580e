//! One file a request family. A handler is a struct with exactly what it uses; none sees another.

pub mod admin;
pub mod client;
pub mod consumer_offset;
pub mod lock;
pub mod pull;
pub mod query;
pub mod send;
pub mod send_back;
pub mod transaction;
