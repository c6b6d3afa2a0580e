//! The name server: which brokers there are and what topics they have, and a small key-value configuration.
//!
//! Owns the route table, the liveness of brokers, and `kvConfig.json`. Knows nothing of messages or stores; several name
//! servers know nothing of one another. Start reading at [`run`], then [`dispatch`], then the handlers; the rules are in
//! [`routes`].
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make files and runtimes")
)]

pub mod cli;
pub mod dispatch;
mod file;
pub mod gate;
pub mod handlers;
mod host_check;
pub mod kv;
pub mod lanes;
pub mod limits;
mod observe;
pub mod routes;
pub mod run;
pub mod settings;
mod support;
