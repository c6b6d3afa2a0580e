//! Ours beside Java's: all run at the same time on the same settings, each row is measured in turns, A B A B.

use std::io;
use std::time::Duration;

use cluster::{Cluster, Flavour, Jvm};

use crate::load::{Kind, Load, Outcome, QUEUES, Way};
use crate::page_cache::PageCache;
use crate::rows::{self, Figure, Row};
use crate::table::{Line, Table};
use crate::{broker, device};

/// Topics: sends go to one, pulls read another. What is delayed has its own: it comes when other loads run.
const SENT: &str = "Benchmark";
const DELAYED: &str = "BenchmarkDelayed";
const HOT: &str = "BenchmarkHot";
const COLD: &str = "BenchmarkCold";
const FILTERED: &str = "BenchmarkFiltered";
/// What lies in the topics that are pulled: 40 MiB, 160 MiB and 1 GiB of log.
const HOT_MESSAGES: i64 = 4096 * QUEUES as i64;
const FILTERED_MESSAGES: i64 = 4 * HOT_MESSAGES;
const COLD_MESSAGES: i64 = 900_000;
pub(crate) const BODY_BYTES: usize = 1024;
const FRESH_PAGES: &str = "new page cache for messages of 1 KiB";
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);
/// The first load of each broker is not counted: a JVM compiles its code under it.
const FIRST_WARM_UP_SECONDS: u64 = 10;

/// What to measure.
pub(crate) struct Plan {
    /// What to compare with; the first is the one the ratios are to.
    pub(crate) others: Vec<(String, Flavour)>,
    pub(crate) rounds: u64,
    pub(crate) seconds: u64,
    /// Leave the machine's free memory as it is: see [`PageCache`].
    pub(crate) as_found: bool,
    /// Only rows whose name contains one of these; none: all.
    pub(crate) only: Vec<String>,
}

impl Plan {
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    /// The others, then ours.
    pub(crate) fn sides(&self) -> Vec<(String, Flavour)> {
        let ours = ("ours".to_owned(), Flavour::Ours);
        self.others.iter().cloned().chain([ours]).collect()
    }
}

pub(crate) fn cluster(flavour: Flavour, sync_flush: bool) -> io::Result<Cluster> {
    let flush = if sync_flush { "SYNC_FLUSH" } else { "ASYNC_FLUSH" };
    let tuning = [
        ("mappedFileSizeCommitLog", "1073741824"),
        ("mappedFileSizeConsumeQueue", "6000000"),
        ("flushDiskType", flush),
        // Java gives up on a busy page cache where we have no such lock; the comparison is of what both can do.
        ("osPageCacheBusyTimeOutMills", "5000"),
        ("enablePropertyFilter", "true"),
        ("waitTimeMillsInSendQueue", "5000"),
    ];
    let cluster = Cluster::with_jvm(flavour, flavour, Jvm::Large, &tuning);
    for topic in [SENT, DELAYED, HOT, COLD, FILTERED] {
        broker::create_topic(&cluster.broker.address(), topic)?;
    }
    Ok(cluster)
}

fn load(row: &Row, cluster: &Cluster, topic: &'static str, seconds: u64) -> Load {
    Load {
        kind: row.kind,
        address: cluster.broker.address(),
        topic,
        connections: row.connections,
        in_flight: row.in_flight,
        size: BODY_BYTES,
        batch: row.batch,
        serialize_type: row.serialize_type,
        has_parts: row.has_parts,
        rate: row.rate,
        warm_up: WARM_UP,
        measured: Duration::from_secs(seconds),
        once: false,
        pid: cluster.broker.process.pid(),
        way: Way::Plain,
    }
}

/// Sends until a topic holds so many messages.
pub(crate) fn fill(cluster: &Cluster, topic: &'static str, messages: i64) -> io::Result<()> {
    let row = Row {
        has_parts: topic == FILTERED,
        ..rows::fill()
    };
    let fill = Load {
        warm_up: Duration::ZERO,
        ..load(&row, cluster, topic, 1)
    };
    while broker::stored(&cluster.broker.address(), topic)? < messages {
        fill.run()?;
    }
    Ok(())
}

fn measure(row: &Row, cluster: &mut Cluster, seconds: u64) -> io::Result<Outcome> {
    if row.cold {
        return measure_cold(row, cluster);
    }
    let topic = match row.kind {
        Kind::Pull => HOT,
        Kind::Filtered => FILTERED,
        Kind::Delayed => DELAYED,
        _ => SENT,
    };
    match row.kind {
        Kind::Pull => fill(cluster, HOT, HOT_MESSAGES)?,
        Kind::Filtered => fill(cluster, FILTERED, FILTERED_MESSAGES)?,
        _ => {}
    }
    load(row, cluster, topic, seconds).run()
}

/// Reads a topic once, from its start, after its pages have left memory.
fn measure_cold(row: &Row, cluster: &mut Cluster) -> io::Result<Outcome> {
    fill(cluster, COLD, COLD_MESSAGES)?;
    // Pages that a process has mapped and touched stay; a broker that has just started has touched few.
    cluster.broker.stop();
    cluster.broker.restart();
    fill(cluster, HOT, HOT_MESSAGES)?;
    // Its code is warm again, its pages are not.
    load(
        &Row {
            cold: false,
            ..row.clone()
        },
        cluster,
        HOT,
        2,
    )
    .run()?;
    disk::forget_pages(&cluster.broker.store())?;
    let once = Load {
        warm_up: Duration::ZERO,
        once: true,
        ..load(row, cluster, COLD, 0)
    };
    once.run()
}

/// What a row gave: the outcomes of each side, and what the bare device loop reached beside ours.
struct Measured {
    sides: Vec<Vec<Outcome>>,
    device: Vec<f64>,
}

fn measure_row(
    plan: &Plan,
    row: &Row,
    clusters: &mut [Cluster],
    cache: &mut Option<PageCache>,
) -> io::Result<Measured> {
    let mut measured = Measured {
        sides: vec![Vec::new(); clusters.len()],
        device: Vec::new(),
    };
    for _ in 0..plan.rounds {
        for ((cluster, outcomes), (side, _)) in clusters.iter_mut().zip(&mut measured.sides).zip(plan.sides())
        {
            if !matches!(row.kind, Kind::Pull | Kind::Filtered)
                && let Some(cache) = &mut *cache
            {
                cache.fill()?;
            }
            let outcome = measure(row, cluster, plan.seconds);
            let named = |e| io::Error::other(format!("{} on {side}: {e}", row.name));
            outcomes.push(outcome.map_err(named)?);
        }
        if row.sync_flush
            && let (Some(cluster), Some(Some(ours))) = (
                clusters.last(),
                measured.sides.last().map(|outcomes| outcomes.last()),
            )
        {
            let group = group_size(row, ours);
            let rate = device::records_a_second(cluster.path(), group, Duration::from_secs(2))?;
            println!(
                "  {}: {group} messages a flush; a bare loop with that: {rate:.0} records/s",
                row.name
            );
            measured.device.push(rate);
        }
    }
    Ok(measured)
}

/// Messages that one of the device's flushes covered; where the kernel does not count them, all that were in flight.
fn group_size(row: &Row, ours: &Outcome) -> usize {
    let in_flight = row.connections * row.in_flight * row.batch;
    if ours.flushes < 1.0 {
        return in_flight;
    }
    ((ours.messages / ours.flushes).round() as usize).clamp(1, in_flight)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

fn lines(row: &Row, measured: &Measured) -> Vec<Line> {
    let device = (!measured.device.is_empty()).then(|| median(measured.device.clone()));
    let line = |figure: &(Figure, Option<rows::Goal>)| Line {
        device: device.filter(|_| figure.0 == Figure::Rate),
        ..line(row.name, *figure, &measured.sides)
    };
    row.figures.iter().map(line).collect()
}

/// A figure of the outcomes of each side.
pub(crate) fn line(name: &str, (figure, goal): (Figure, Option<rows::Goal>), sides: &[Vec<Outcome>]) -> Line {
    let of = |outcomes: &Vec<Outcome>| outcomes.iter().map(|o| figure.of(o)).collect::<Vec<f64>>();
    let all: Vec<Vec<f64>> = sides.iter().map(of).collect();
    // Each ratio is of two neighbours in time, so that a slow minute of the machine falls on both.
    let ratio = match (all.first(), all.last()) {
        (Some(java), Some(ours)) => median(java.iter().zip(ours).map(|(j, o)| o / j).collect()),
        _ => f64::NAN,
    };
    Line {
        row: name.to_owned(),
        figure: figure.name(),
        values: all.into_iter().map(median).collect(),
        ratio,
        device: None,
        goal,
    }
}

/// Measures every load that is wanted.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    let mut cache = (!plan.as_found).then(PageCache::new).transpose()?;
    for sync_flush in [false, true] {
        let wanted: Vec<Row> = rows::all()
            .into_iter()
            .filter(|r| r.sync_flush == sync_flush && plan.wants(r.name))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let sides = plan.sides();
        let clusters: io::Result<Vec<Cluster>> = sides
            .iter()
            .map(|(_, flavour)| cluster(*flavour, sync_flush))
            .collect();
        let mut clusters = clusters?;
        for cluster in &mut clusters {
            if wanted.iter().any(|row| row.cold) {
                // First of all, so that most of it is behind what a start reads.
                fill(cluster, COLD, COLD_MESSAGES)?;
            }
            measure(&rows::warm_up(sync_flush), cluster, FIRST_WARM_UP_SECONDS)?;
        }
        for row in &wanted {
            let measured = measure_row(plan, row, &mut clusters, &mut cache)?;
            note_refusals(row, &sides, &measured);
            table.add(lines(row, &measured));
        }
        if !sync_flush && plan.wants(FRESH_PAGES) {
            cache.as_mut().map(PageCache::fill).transpose()?;
            table.add(vec![fresh_pages(&clusters)?]);
        }
        if !sync_flush && plan.wants("peak memory") {
            table.add(vec![peak(&clusters)?]);
        }
    }
    Ok(())
}

/// A side that refuses does less work than one that does not.
fn note_refusals(row: &Row, sides: &[(String, Flavour)], measured: &Measured) {
    for ((name, _), outcomes) in sides.iter().zip(&measured.sides) {
        let refused: f64 = outcomes.iter().map(|o| o.refused).sum();
        if refused > 0.0 {
            println!("  {}: {name} refused {refused} requests", row.name);
        }
    }
}

/// The same for all: what the machine takes for it.
fn fresh_pages(clusters: &[Cluster]) -> io::Result<Line> {
    let cluster = clusters
        .first()
        .ok_or_else(|| io::Error::other("no broker runs"))?;
    let floor = device::fresh_pages_cpu_per_million(cluster.path())?;
    let unknown = vec![f64::NAN; clusters.len()];
    Ok(Line {
        device: Some(floor),
        ..Line::of(FRESH_PAGES, "kernel CPU s per million", unknown, None)
    })
}

fn peak(clusters: &[Cluster]) -> io::Result<Line> {
    let of = |cluster: &Cluster| {
        let used = admin::observed::used(cluster.broker.process.pid()).map_err(io::Error::other)?;
        Ok(used.peak_bytes as f64 / f64::from(1 << 20))
    };
    let values: io::Result<Vec<f64>> = clusters.iter().map(of).collect();
    Ok(Line::of(
        "peak memory after these loads, mapped files included",
        "MiB",
        values?,
        None,
    ))
}
