//! The broker: takes messages in, keeps them in the store, hands them out.
//!
//! Owns: the request handlers, the tables of topics, groups, offsets and clients, the pulls that wait, registration at
//! the name servers, and the threads around the store. [`run`] wires it all; [`dispatch`] is where a request enters;
//! start reading at [`handlers::send`] or [`handlers::pull`].
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make files and runtimes")
)]

pub mod access;
pub mod address;
pub mod cli;
pub mod clients;
pub mod commitlog;
pub mod config;
pub mod delay;
pub mod dispatch;
pub mod handlers;
mod host_check;
pub mod lane;
pub mod observe;
pub mod registration;
pub mod replication;
pub mod run;
pub mod settings;
pub mod stats;
pub mod store_settings;
pub mod supervisor;
mod support;
pub mod tables;
pub mod transaction;
pub mod watermark;
