//! What goes on all the time beside messages: offsets that consumers commit, figures that tools ask for.

use std::io;
use std::time::{Duration, Instant};

use admin::observed::used;
use cluster::{Cluster, Flavour, Jvm, Wire, frame};
use protocol::code::request;

use crate::compare::{Plan, median};
use crate::load::QUEUES;
use crate::slow::{PIPELINE, add_topics, many, pipelined, send};
use crate::table::{Line, Table};

const TOPIC: &str = "BenchmarkSteady";
const OFFSETS: &str = "100,000 consumers' offsets committed every 5 s";
/// Consumers, each with a queue of its own.
const CONSUMERS: usize = 100_000;
/// persistConsumerOffsetInterval of Java's clients.
const ROUND: Duration = Duration::from_secs(5);
const FIGURES: &str = "28 and 315 asked every second with 10,000 topics";
const TOPICS: usize = 10_000;
/// Items that are asked for each second: rocketmq-exporter asks for one of each topic a minute.
const ITEMS: usize = TOPICS / 60;

/// Work that comes at a pace, by the number of its turn.
type Turn = fn(&mut Wire, usize) -> io::Result<()>;

/// A row: what is asked, how often, and what is there before.
struct Steady {
    row: &'static str,
    prepare: fn(&mut Cluster) -> io::Result<()>,
    each: Duration,
    turn: Turn,
}

const ALL: [Steady; 2] = [
    Steady {
        row: OFFSETS,
        prepare: |cluster| crate::broker::create_topic(&cluster.broker.address(), TOPIC),
        each: ROUND
            .checked_div((CONSUMERS / PIPELINE) as u32)
            .expect("there are consumers"),
        turn: commit_offsets,
    },
    Steady {
        row: FIGURES,
        prepare: |cluster| {
            add_topics(cluster, TOPICS, 1)?;
            let mut wire = Wire::connect(&cluster.broker.address())?;
            for first in (0..TOPICS).step_by(PIPELINE) {
                pipelined(&mut wire, |number| {
                    send(&many((first + number) % TOPICS), 0, number)
                })?;
            }
            Ok(())
        },
        each: Duration::from_secs(1),
        turn: ask_figures,
    },
];

fn commit_offsets(wire: &mut Wire, turn: usize) -> io::Result<()> {
    let turns = CONSUMERS / PIPELINE;
    pipelined(wire, |number| {
        let consumer = turn % turns * PIPELINE + number;
        let group = format!("benchmark_group_{}", consumer / QUEUES);
        let (queue, offset) = ((consumer % QUEUES).to_string(), (turn / turns).to_string());
        let fields = [
            ("consumerGroup", group.as_str()),
            ("topic", TOPIC),
            ("queueId", &queue),
            ("commitOffset", &offset),
        ];
        frame(request::UPDATE_CONSUMER_OFFSET, number as i32, &fields, b"")
    })?;
    Ok(())
}

fn ask_figures(wire: &mut Wire, turn: usize) -> io::Result<()> {
    let mut ask = |code, fields: &[(&str, &str)]| {
        let answer = wire.ask(code, fields, b"")?;
        match answer.code() {
            0 => Ok(()),
            code => Err(io::Error::other(format!("refused: {code} {}", answer.remark()))),
        }
    };
    ask(request::GET_BROKER_RUNTIME_INFO, &[])?;
    for number in 0..ITEMS {
        let topic = many((turn * ITEMS + number) % TOPICS);
        let fields = [("statsName", "TOPIC_PUT_NUMS"), ("statsKey", &topic)];
        ask(request::VIEW_BROKER_STATS_DATA, &fields)?;
    }
    Ok(())
}

/// What one measurement found.
struct Found {
    /// Of a core.
    percent: f64,
    /// The longest turn, ms.
    longest_ms: f64,
}

impl Steady {
    /// Keeps the pace for so long. A broker that does not is found out by its longest turn.
    fn measure(&self, cluster: &Cluster, within: Duration) -> io::Result<Found> {
        let pid = cluster.broker.process.pid();
        let cpu = || used(pid).map(|used| used.cpu).map_err(io::Error::other);
        let mut wire = Wire::connect(&cluster.broker.address())?;
        let (before, started) = (cpu()?, Instant::now());
        let (mut due, mut longest) = (started, Duration::ZERO);
        for turn in 0.. {
            if started.elapsed() >= within {
                break;
            }
            // Nothing is waited for: this is the pace of the load.
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            (self.turn)(&mut wire, turn)?;
            longest = longest.max(due.elapsed());
            due += self.each;
        }
        let used = (cpu()? - before).as_secs_f64();
        Ok(Found {
            percent: used / started.elapsed().as_secs_f64() * 100.0,
            longest_ms: longest.as_secs_f64() * 1000.0,
        })
    }
}

fn cluster(flavour: Flavour, steady: &Steady) -> io::Result<Cluster> {
    let tuning = [
        ("mappedFileSizeConsumeQueue", "20000"),
        // A Java broker refuses sends that wait longer; so many new queues take it longer.
        ("osPageCacheBusyTimeOutMills", "30000"),
        ("waitTimeMillsInSendQueue", "30000"),
    ];
    let mut cluster = Cluster::with_jvm(flavour, flavour, Jvm::Large, &tuning);
    (steady.prepare)(&mut cluster)?;
    Ok(cluster)
}

/// Measures each side in turns, for one round of offsets at least; the first turn warms up.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    for steady in ALL.iter().filter(|steady| plan.wants(steady.row)) {
        let sides = plan.sides();
        let clusters: io::Result<Vec<Cluster>> = sides
            .iter()
            .map(|(_, flavour)| cluster(*flavour, steady))
            .collect();
        let clusters = clusters?;
        let within = Duration::from_secs(plan.seconds).max(ROUND);
        let mut found: Vec<Vec<Found>> = sides.iter().map(|_| Vec::new()).collect();
        for round in 0..=plan.rounds {
            for ((cluster, found), (side, _)) in clusters.iter().zip(&mut found).zip(&sides) {
                let one = steady
                    .measure(cluster, within)
                    .map_err(|e| io::Error::other(format!("{} on {side}: {e}", steady.row)))?;
                if round > 0 {
                    found.push(one);
                }
            }
        }
        let line = |figure, pick: fn(&Found) -> f64| {
            let of = |found: &Vec<Found>| median(found.iter().map(pick).collect());
            Line::of(steady.row, figure, found.iter().map(of).collect(), None)
        };
        table.add(vec![
            line("% of a core", |found| found.percent),
            line("longest turn, ms", |found| found.longest_ms),
        ]);
    }
    Ok(())
}
