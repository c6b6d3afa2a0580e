//! Real servers driven by the unmodified Java, Go and Node clients.
//!
//! `E2E_NAMESRV` and `E2E_BROKER` (`ours`, `java-4.9.7`, `java-5.3.3`) choose whose servers are tested: a test that the original
//! does not pass is a wrong test.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests make files and wait for processes"
)]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside #[test] functions"
)]

mod access;
mod asks;
mod attack_answers;
mod attack_crash;
mod attack_delay;
mod attack_floods;
mod attack_operator;
mod attack_scarcity;
mod bad_input;
mod check;
mod config_files;
mod console;
mod consumers;
mod containers;
mod features;
mod filters;
mod first_hour;
mod full_disk;
mod hand_over;
mod host_check;
mod listening;
mod load;
mod log_lines;
mod mixed;
mod monitoring_tools;
mod mqadmin;
mod mqadmin_beside_java;
mod mqadmin_commands;
mod mqadmin_doctor;
mod mqadmin_search;
mod name_servers;
mod newcomers;
mod operations;
mod otlp;
mod packages;
mod pages;
mod partitions;
mod refusals;
mod replicated_clusters;
mod replication;
mod replies;
mod reset;
mod restarts;
mod retries;
mod rolling_restart;
mod scripts;
mod sends;
mod side_by_side;
mod support;
mod takeover;
mod tls;
mod tools;
mod transactions;
mod yaml;
