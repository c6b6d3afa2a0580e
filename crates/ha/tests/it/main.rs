//! Both sides against recordings of Java's, against adversaries, and against each other on a wire that breaks.
#![allow(clippy::print_stderr, reason = "a seed that fails is named")]

mod adversary;
mod comparison;
mod golden;
mod logs;
mod pair;
#[path = "../recording/mod.rs"]
mod recording;
mod reigns;
mod replicas;
