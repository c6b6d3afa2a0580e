//! How long servers take to start, and what memory they take then: ours beside Java's, in turns.
//!
//! `cargo run --release -p cluster --example start [ROUNDS]`
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use cluster::{Broker, Flavour, NameServer};
use std::time::Duration;

fn main() {
    let rounds: usize = std::env::args()
        .nth(1)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(5);
    let flavours = [Flavour::Ours, Flavour::Java("4.9.7"), Flavour::Java("5.3.3")];
    // The first start of each builds or fetches it.
    for flavour in flavours {
        run(flavour);
    }
    let mut results = vec![Vec::new(); flavours.len()];
    for _ in 0..rounds {
        for (flavour, results) in flavours.iter().zip(&mut results) {
            results.push(run(*flavour));
        }
    }
    println!(
        "Start to \"boot success\" and resident memory right after it; median of {rounds} rounds in turns."
    );
    println!("Java with -Xms256m -Xmx1g -XX:+UseSerialGC -XX:TieredStopAtLevel=1.\n");
    println!("| | name server | | broker | |");
    println!("|---|---|---|---|---|");
    println!("| | start | memory | start | memory |");
    for (flavour, mut results) in flavours.iter().zip(results) {
        let mut median = |pick: fn(&Run) -> f64| {
            results.sort_by(|a, b| pick(a).total_cmp(&pick(b)));
            results.get(results.len() / 2).map(pick).unwrap_or_default()
        };
        println!(
            "| {flavour:?} | {:.0} ms | {:.1} MiB | {:.0} ms | {:.1} MiB |",
            median(|run| run.namesrv.0.as_secs_f64() * 1000.0),
            median(|run| run.namesrv.1),
            median(|run| run.broker.0.as_secs_f64() * 1000.0),
            median(|run| run.broker.1),
        );
    }
}

/// Time to start and memory in MiB, of each server.
#[derive(Clone)]
struct Run {
    namesrv: (Duration, f64),
    broker: (Duration, f64),
}

fn run(flavour: Flavour) -> Run {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let namesrv = NameServer::start(flavour, dir.path());
    let broker = Broker::start(
        flavour,
        dir.path(),
        "broker-a",
        &namesrv.address(),
        &[
            // The default size, as the broker of a new user has it.
            ("mappedFileSizeCommitLog", "1073741824"),
            ("mappedFileSizeConsumeQueue", "6000000"),
        ],
    );
    let mib = |kib: Option<u64>| kib.map_or(0.0, |kib| kib as f64 / 1024.0);
    Run {
        namesrv: (
            namesrv.process.time_to("boot success"),
            mib(namesrv.process.resident_kib()),
        ),
        broker: (
            broker.process.time_to("boot success"),
            mib(broker.process.resident_kib()),
        ),
    }
}
