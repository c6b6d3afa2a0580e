//! The store against a simulated and a real disk.
#![allow(missing_docs)]
// Helpers of tests may panic, and a replayed seed prints what it does.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "tests make files")]

mod basics;
mod cold;
mod copies;
mod crash;
mod cut_back;
mod damage;
mod deletions;
mod ext;
mod foreign_files;
mod full_start;
mod fuzz;
mod golden;
mod harness;
mod holes;
mod in_the_way;
mod index;
mod log_damage;
mod lost_files;
mod missing_units;
mod multi;
mod queue_ends;
mod raw;
mod record_starts;
mod refusals;
mod reput;
mod signs;
mod threads;
