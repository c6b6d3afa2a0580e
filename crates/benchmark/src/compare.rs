//! Ours beside Java's: both run at the same time on the same settings, each row is measured in turns, A B A B.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use cluster::{Cluster, Flavour};
use protocol::code::request;
use protocol::header::broker::CreateTopicRequestHeader;
use remoting::{Body, Client, ClientSettings};

use crate::load::{Kind, Load, Outcome};

/// Queues of the benchmark's topic.
const QUEUES: i32 = 8;
const TOPIC: &str = "Benchmark";

/// What a row compares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Figure {
    CpuPerMillion,
    Rate,
    P50,
    P99,
    P999,
}

impl Figure {
    fn of(self, outcome: &Outcome) -> f64 {
        match self {
            Figure::CpuPerMillion => outcome.cpu_per_million().unwrap_or(f64::NAN),
            Figure::Rate => outcome.rate(),
            Figure::P50 => outcome.latency_ms[0],
            Figure::P99 => outcome.latency_ms[1],
            Figure::P999 => outcome.latency_ms[2],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Figure::CpuPerMillion => "broker CPU s per million",
            Figure::Rate => "messages/s",
            Figure::P50 => "p50 ms",
            Figure::P99 => "p99 ms",
            Figure::P999 => "p99.9 ms",
        }
    }
}

/// A load, and what of it goes into the table.
struct Row {
    name: &'static str,
    sync_flush: bool,
    kind: Kind,
    connections: usize,
    in_flight: usize,
    batch: usize,
    rate: u64,
    figures: &'static [Figure],
}

const RATE_AND_CPU: &[Figure] = &[Figure::Rate, Figure::CpuPerMillion];

const fn send(name: &'static str, connections: usize, in_flight: usize) -> Row {
    Row {
        name,
        sync_flush: false,
        kind: Kind::Send,
        connections,
        in_flight,
        batch: 1,
        rate: 0,
        figures: RATE_AND_CPU,
    }
}

fn rows() -> Vec<Row> {
    vec![
        send("send 16 x 16", 16, 16),
        send("send 1 x 1", 1, 1),
        send("send 64 x 64", 64, 64),
        Row {
            batch: 32,
            ..send("send batches of 32, 4 x 16", 4, 16)
        },
        Row {
            rate: 30_000,
            figures: &[Figure::P50, Figure::P99, Figure::P999],
            ..send("send at 30,000/s", 16, 16)
        },
        Row {
            kind: Kind::EndToEnd,
            rate: 10_000,
            figures: &[Figure::P50, Figure::P99],
            ..send("send to receipt at 10,000/s", 4, 16)
        },
        Row {
            kind: Kind::Pull,
            ..send("pull 32 at a time, 1 x 16, hot", 1, 16)
        },
        Row {
            sync_flush: true,
            ..send("SYNC_FLUSH send 1 x 1", 1, 1)
        },
        Row {
            sync_flush: true,
            ..send("SYNC_FLUSH send 1 x 64", 1, 64)
        },
        Row {
            sync_flush: true,
            ..send("SYNC_FLUSH send 16 x 64", 16, 64)
        },
    ]
}

fn create_topic(cluster: &Cluster) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let header = CreateTopicRequestHeader {
        topic: TOPIC.into(),
        default_topic: Some("TBW102".into()),
        read_queue_nums: QUEUES,
        write_queue_nums: QUEUES,
        perm: 6,
        topic_filter_type: Some("SINGLE_TAG".into()),
        topic_sys_flag: Some(0),
        order: Some(false),
        attributes: None,
    };
    let made = runtime.block_on(async {
        let client = Client::new(ClientSettings::default());
        let within = Duration::from_secs(10);
        client
            .invoke(
                &cluster.broker.address(),
                request::UPDATE_AND_CREATE_TOPIC,
                &header,
                Body::Empty,
                within,
            )
            .await
    });
    let made = made.expect("the broker answers");
    assert_eq!(made.code, 0, "{:?}", made.remark);
    cluster.broker.wait_for_topic(TOPIC);
}

fn cluster(flavour: Flavour, sync_flush: bool) -> Cluster {
    let flush = if sync_flush { "SYNC_FLUSH" } else { "ASYNC_FLUSH" };
    let tuning = [
        ("mappedFileSizeCommitLog", "1073741824"),
        ("mappedFileSizeConsumeQueue", "6000000"),
        ("flushDiskType", flush),
        ("fileReservedTime", "1"),
        // Java gives up on a busy page cache where we have no such lock; the comparison is of what both can do.
        ("osPageCacheBusyTimeOutMills", "5000"),
        ("waitTimeMillsInSendQueue", "5000"),
    ];
    let cluster = Cluster::of(flavour, flavour, &tuning);
    create_topic(&cluster);
    cluster
}

fn measure(row: &Row, cluster: &Cluster, seconds: u64) -> Outcome {
    let load = Load {
        kind: row.kind,
        namesrv: cluster.namesrv.address(),
        topic: TOPIC.to_owned(),
        connections: row.connections,
        in_flight: row.in_flight,
        size: 1024,
        batch: row.batch,
        rate: row.rate,
        warm_up: Duration::from_secs(3),
        measured: Duration::from_secs(seconds),
        pid: cluster.broker.process.pid(),
    };
    load.run().expect("both servers run")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print_row(row: &Row, java: &[Outcome], ours: &[Outcome]) {
    for figure in row.figures {
        let of = |outcomes: &[Outcome]| median(outcomes.iter().map(|o| figure.of(o)).collect());
        // Each ratio is of two neighbours in time, so that a slow minute of the machine falls on both.
        let ratio = median(
            java.iter()
                .zip(ours)
                .map(|(j, o)| figure.of(o) / figure.of(j))
                .collect(),
        );
        println!(
            "| {} | {} | {:.3} | {:.3} | {ratio:.3} |",
            row.name,
            figure.name(),
            of(java),
            of(ours)
        );
    }
}

/// Runs the comparison and prints its table.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let number = |id: &str| arguments.get_one::<u64>(id).copied().unwrap_or_default();
    let text = |id: &str| {
        arguments
            .get_one::<String>(id)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let java: &'static str = match text("java") {
        "4.9.7" => "4.9.7",
        "5.3.3" => "5.3.3",
        other => {
            println!("--java {other}: it is 4.9.7 or 5.3.3");
            return ExitCode::FAILURE;
        }
    };
    let (rounds, seconds) = (number("rounds").max(1), number("seconds").max(1));
    println!("| load | figure | Java {java} | ours | ours / Java |");
    println!("|---|---|---|---|---|");
    for sync_flush in [false, true] {
        let wanted: Vec<Row> = rows()
            .into_iter()
            .filter(|r| r.sync_flush == sync_flush && r.name.contains(text("only")))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let theirs = cluster(Flavour::Java(java), sync_flush);
        let mine = cluster(Flavour::Ours, sync_flush);
        // The first load of each is not counted: a JVM compiles its code under it.
        for cluster in [&theirs, &mine] {
            measure(
                &Row {
                    sync_flush,
                    ..send("warm-up", 16, 16)
                },
                cluster,
                10,
            );
        }
        for row in &wanted {
            let (mut java, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                java.push(measure(row, &theirs, seconds));
                ours.push(measure(row, &mine, seconds));
            }
            print_row(row, &java, &ours);
        }
    }
    ExitCode::SUCCESS
}
