//! Many seeds, and one again.

/// Steps of one run.
const STEPS: usize = 150;
/// Runs of one test.
const SEEDS: u64 = 400;

fn seeds(from: u64) {
    for seed in from..from + SEEDS {
        sim::run(seed, STEPS);
    }
}

#[test]
fn what_was_promised_is_kept_1() {
    seeds(0);
}

#[test]
fn what_was_promised_is_kept_2() {
    seeds(1_000_000);
}

#[test]
fn a_seed_always_runs_the_same() {
    for seed in 0..5 {
        assert_eq!(sim::run(seed, STEPS), sim::run(seed, STEPS), "seed {seed}");
    }
}

/// `SEED=17 cargo test -p sim replay -- --nocapture` runs one seed again; without SEED it runs the first.
#[test]
fn replay() {
    let seed = std::env::var("SEED").map_or(0, |text| text.parse().expect("SEED is a number"));
    for line in sim::run(seed, STEPS) {
        println!("{line}");
    }
}
