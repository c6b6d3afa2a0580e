//! Many seeds of a master with its slaves, and one again.

use std::collections::BTreeMap;

/// Steps of one run.
const STEPS: usize = 300;
/// Runs of one test.
const SEEDS: u64 = 1000;

fn seeds(from: u64) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in from..from + SEEDS {
        for (what, count) in sim::run_replication(seed, STEPS).0 {
            *counts.entry(what).or_default() += count;
        }
    }
    // What never happens is not tested.
    for what in [
        "acknowledged",
        "alone",
        "late",
        "connections",
        "ends",
        "cuts",
        "stops",
        "takeovers",
        "takeovers with less",
        "masters again",
        "taken back",
        "gone",
        "pulls",
    ] {
        assert!(
            counts.get(what).is_some_and(|count| *count > 20),
            "{what}: {counts:?}"
        );
    }
}

#[test]
fn what_slaves_acknowledged_is_kept_1() {
    seeds(0);
}

#[test]
fn what_slaves_acknowledged_is_kept_2() {
    seeds(1_000_000);
}

#[test]
fn a_seed_always_runs_the_same() {
    for seed in 0..5 {
        assert_eq!(
            sim::run_replication(seed, STEPS),
            sim::run_replication(seed, STEPS),
            "seed {seed}"
        );
    }
}

/// `SEED=17 cargo test -p sim replay_replication -- --nocapture` runs one seed again; without SEED it runs the first.
#[test]
fn replay_replication() {
    let seed = std::env::var("SEED").map_or(0, |text| text.parse().expect("SEED is a number"));
    for line in sim::run_replication(seed, STEPS).1 {
        println!("{line}");
    }
}
