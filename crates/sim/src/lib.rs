//! A whole broker on a simulated disk and clock, driven by a seed.
//!
//! No thread, task or socket: the simulation calls what threads and tasks call in a server, in an order that the seed
//! chooses, pulls the plug in between, and compares what is left with what was promised. `SEED=17 cargo test -p sim replay`
//! runs one seed again and prints each step.
//!
//! Start reading at [`World::step`]; what must hold is in `check.rs`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

mod check;
mod cluster;
mod promises;
mod requests;
pub mod transactions;
mod world;

pub use cluster::Cluster;
pub use world::{Mode, World};

/// Runs one seed of a master with its slaves to its end; how often what happened, and the log of its steps.
///
/// # Panics
/// As [`run`].
pub fn run_replication(seed: u64, steps: usize) -> (BTreeMap<&'static str, usize>, Vec<String>) {
    let mut cluster = Cluster::new(seed);
    for _ in 0..steps {
        cluster.step();
    }
    cluster.finish();
    (std::mem::take(&mut cluster.counts), cluster.into_log())
}

/// Runs one seed to its end; the log of its steps comes back.
///
/// # Panics
/// When something that was promised does not hold; the message names the seed and the step.
pub fn run(seed: u64, steps: usize) -> Vec<String> {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.finish();
    world.into_log()
}
