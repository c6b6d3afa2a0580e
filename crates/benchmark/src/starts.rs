//! How long servers take to start, and what memory they take when idle.

use std::io;
use std::time::Duration;

use cluster::{Cluster, Flavour};

use crate::compare::{Plan, fill, median};
use crate::rows::Goal;
use crate::table::{Line, Table};

const EMPTY: &str = "start to serving, empty store";
const FULL: &str = "start to serving, 2 GB store";
const MEMORY: &str = "resident when idle, empty store";
/// 2 GiB of records of 1 KiB.
const MESSAGES: i64 = 1_700_000;
const TOPIC: &str = "BenchmarkStart";
/// After this a server is idle.
const SETTLE: Duration = Duration::from_secs(2);

/// What one start took.
#[derive(Clone, Copy, Default)]
struct Start {
    broker_ms: f64,
    namesrv_ms: f64,
    broker_mib: f64,
    namesrv_mib: f64,
}

/// A new cluster with the defaults that matter here, in a JVM that favours both figures.
fn cluster(flavour: Flavour) -> Cluster {
    let tuning = [
        ("mappedFileSizeCommitLog", "1073741824"),
        ("mappedFileSizeConsumeQueue", "6000000"),
    ];
    Cluster::of(flavour, flavour, &tuning)
}

fn start(flavour: Flavour) -> Start {
    let cluster = cluster(flavour);
    std::thread::sleep(SETTLE);
    let ms = |process: &cluster::Process| process.time_to("boot success").as_secs_f64() * 1000.0;
    let mib = |process: &cluster::Process| process.resident_kib().map_or(f64::NAN, |kib| kib as f64 / 1024.0);
    Start {
        broker_ms: ms(&cluster.broker.process),
        namesrv_ms: ms(&cluster.namesrv.process),
        broker_mib: mib(&cluster.broker.process),
        namesrv_mib: mib(&cluster.namesrv.process),
    }
}

/// Starts each side in turns.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    let sides = plan.sides();
    let goal = Some(Goal::RatioAtMost(0.1));
    if plan.wants(EMPTY) || plan.wants(MEMORY) {
        let mut starts = vec![Vec::new(); sides.len()];
        for _ in 0..plan.rounds {
            for ((_, flavour), starts) in sides.iter().zip(&mut starts) {
                starts.push(start(*flavour));
            }
        }
        let line = |row: &str, figure, pick: fn(&Start) -> f64| {
            let values = starts
                .iter()
                .map(|all| median(all.iter().map(pick).collect()))
                .collect();
            Line::of(row, figure, values, goal)
        };
        table.add(vec![
            line(EMPTY, "broker, ms", |s| s.broker_ms),
            line(EMPTY, "name server, ms", |s| s.namesrv_ms),
            line(MEMORY, "broker, MiB", |s| s.broker_mib),
            line(MEMORY, "name server, MiB", |s| s.namesrv_mib),
        ]);
    }
    if plan.wants(FULL) {
        let mut values = Vec::new();
        for (_, flavour) in &sides {
            values.push(full_store(*flavour, plan.rounds)?);
        }
        table.add(vec![Line::of(FULL, "broker, ms", values, goal)]);
    }
    Ok(())
}

/// The median time of starts on 2 GiB, after clean stops; the files are in memory.
fn full_store(flavour: Flavour, rounds: u64) -> io::Result<f64> {
    let mut cluster = cluster(flavour);
    crate::broker::create_topic(&cluster.broker.address(), TOPIC)?;
    fill(&cluster, TOPIC, MESSAGES)?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        cluster.broker.stop();
        cluster.broker.restart();
        times.push(cluster.broker.process.time_to("boot success").as_secs_f64() * 1000.0);
    }
    Ok(median(times))
}
