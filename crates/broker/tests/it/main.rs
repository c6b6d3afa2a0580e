//! A whole broker in this process, asked over its sockets.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests make files and runtimes")]

mod access;
mod backlog;
mod cold_reads;
mod config_files;
mod cves;
mod delay_offset;
mod deletion;
mod drain;
mod every_code;
mod faults;
mod filters;
mod fixture;
mod groups;
mod live_flush;
mod live_retention;
mod live_settings;
mod log_lines;
mod lost_tables;
mod multi_dispatch;
mod name_servers;
mod operators;
mod pairs;
mod queries;
mod registration;
mod replies;
mod requests;
mod returning;
mod roles;
mod slaves;
mod statistics;
mod still;
mod sync_flush;
mod transaction_scenario;
mod transaction_world;
mod transactions;
mod users;
mod yesterday;
