//! Many seeds of a master with its slaves, and one again.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

/// Steps of one run.
const STEPS: usize = 300;
/// Runs of one test.
const SEEDS: u64 = 1000;

/// Runs that find what is not mended, and what each says. One that finds it no more, or something else, fails.
///
/// 927: power cuts have damaged both logs at the same place. The slave took over, and gave the queue offsets of the messages in its
/// damage to others; when it is filled, two messages want one offset, and the later one has it.
const OPEN: [(u64, &str); 1] = [(
    927,
    "the acknowledged message at 12112 is not (\"Topic0\", 1) 4 of 0",
)];

/// A run that finds what is known and not mended.
fn find_again(seed: u64, what: &str) {
    let panic = catch_unwind(|| sim::run_replication(seed, STEPS)).expect_err("what was found is mended");
    let said = panic.downcast_ref::<String>().expect("it says what it found");
    assert!(said.contains(what), "seed {seed} finds something else: {said}");
}

fn seeds(from: u64) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in from..from + SEEDS {
        if let Some((seed, what)) = OPEN.iter().find(|(open, _)| *open == seed) {
            find_again(*seed, what);
            continue;
        }
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
