//! A master and its slave: what waiting for the slave costs a sender, what both cost the machine, and how fast a new slave has all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use admin::observed::used;
use cluster::{Broker, Cluster, Flavour, Jvm, Wire};
use protocol::SerializeType;

use crate::broker;
use crate::compare::{Plan, median};
use crate::load::{Kind, Load, Outcome};
use crate::rows::Goal;
use crate::table::{Line, Table};

const TOPIC: &str = "BenchmarkReplicated";
const BODY_BYTES: usize = 1024;
/// Connections and requests under way on each.
const LOADS: [(&str, usize, usize); 3] = [
    ("sends to a master with a slave, 1 in flight", 1, 1),
    ("sends to a master with a slave, 64 in flight", 8, 8),
    ("sends to a master with a slave, 1024 in flight", 16, 64),
];
const CATCH_UP: &str = "a new slave copies a log";
/// What it copies, messages of 1 KiB: 1.2 GB.
const CATCH_UP_MESSAGES: i64 = 1_000_000;
/// How long a slave may take for anything.
const WITHIN: Duration = Duration::from_secs(300);

const SEND: i32 = 10;
const RUNTIME_INFO: i32 = 28;

/// A master, and its slave.
struct Pair {
    cluster: Cluster,
    slave: Broker,
}

/// What one load gave.
struct Cost {
    outcome: Outcome,
    /// CPU seconds of the slave, and the messages of that time.
    slave_cpu: f64,
    slave_messages: f64,
}

impl Pair {
    fn start(flavour: Flavour, role: &str) -> io::Result<Pair> {
        let tuning = [
            ("mappedFileSizeCommitLog", "1073741824"),
            ("mappedFileSizeConsumeQueue", "6000000"),
            ("osPageCacheBusyTimeOutMills", "5000"),
            ("waitTimeMillsInSendQueue", "5000"),
            ("brokerRole", role),
        ];
        let cluster = Cluster::with_jvm(flavour, flavour, Jvm::Large, &tuning);
        broker::create_topic(&cluster.broker.address(), TOPIC)?;
        let slave = slave(&cluster, flavour);
        let pair = Pair { cluster, slave };
        // The first answers tell that the slave is there.
        let mut wire = Wire::connect(&pair.cluster.broker.address())?;
        let started = Instant::now();
        while send_one(&mut wire)? != 0 || end(&pair.slave)? < end(&pair.cluster.broker)? {
            if started.elapsed() > WITHIN {
                return Err(io::Error::other("the slave does not come"));
            }
        }
        Ok(pair)
    }

    fn measure(&self, connections: usize, in_flight: usize, seconds: u64) -> io::Result<Cost> {
        let load = Load {
            kind: Kind::Send,
            address: self.cluster.broker.address(),
            topic: TOPIC,
            connections,
            in_flight,
            size: BODY_BYTES,
            batch: 1,
            serialize_type: SerializeType::Json,
            has_parts: false,
            rate: 0,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(seconds),
            once: false,
            pid: self.cluster.broker.process.pid(),
        };
        let cpu = || used(self.slave.process.pid()).map_err(io::Error::other);
        let before = cpu()?;
        let outcome = load.run()?;
        let slave_cpu = (cpu()?.cpu - before.cpu).as_secs_f64();
        if outcome.refused > 0.0 {
            return Err(io::Error::other(format!(
                "{} sends were not SEND_OK",
                outcome.refused
            )));
        }
        Ok(Cost {
            outcome,
            slave_cpu,
            slave_messages: outcome.messages + outcome.beside,
        })
    }
}

fn slave(cluster: &Cluster, flavour: Flavour) -> Broker {
    let tuning = [
        ("mappedFileSizeCommitLog", "1073741824"),
        ("mappedFileSizeConsumeQueue", "6000000"),
        ("brokerRole", "SLAVE"),
        ("brokerId", "1"),
    ];
    let namesrv = cluster.namesrv.address();
    Broker::start_in(
        "broker-a-s",
        (flavour, Jvm::Large),
        cluster.path(),
        "broker-a",
        &namesrv,
        &tuning,
    )
}

fn send_one(wire: &mut Wire) -> io::Result<i64> {
    let fields = [
        ("producerGroup", "p"),
        ("topic", TOPIC),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "8"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", ""),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
    ];
    Ok(wire.ask(SEND, &fields, b"one")?.code())
}

/// Where a broker's log ends.
fn end(broker: &Broker) -> io::Result<i64> {
    let answer = Wire::connect(&broker.address())?.ask(RUNTIME_INFO, &[], &[])?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let number = text.split("\"commitLogMaxOffset\":\"").nth(1);
    let number = number.and_then(|rest| rest.split('"').next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("a broker does not say where its log ends"))
}

/// Measures each side in turns.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    let sides = plan.sides();
    let wanted: Vec<_> = LOADS.into_iter().filter(|(row, ..)| plan.wants(row)).collect();
    if !wanted.is_empty() {
        let start = |role| {
            sides
                .iter()
                .map(|(_, flavour)| Pair::start(*flavour, role))
                .collect()
        };
        let sync: io::Result<Vec<Pair>> = start("SYNC_MASTER");
        let asynchronous: io::Result<Vec<Pair>> = start("ASYNC_MASTER");
        let (sync, asynchronous) = (sync?, asynchronous?);
        for pair in sync.iter().chain(&asynchronous) {
            // A JVM compiles its code under the first load.
            pair.measure(8, 8, 10)?;
        }
        for (row, connections, in_flight) in wanted {
            let mut costs: Vec<Vec<(Cost, Cost)>> = sides.iter().map(|_| Vec::new()).collect();
            for _ in 0..plan.rounds {
                for ((sync, asynchronous), costs) in sync.iter().zip(&asynchronous).zip(&mut costs) {
                    let one = sync.measure(connections, in_flight, plan.seconds)?;
                    costs.push((one, asynchronous.measure(connections, in_flight, plan.seconds)?));
                }
            }
            table.add(lines(row, &costs, in_flight > 1));
        }
    }
    if plan.wants(CATCH_UP) {
        catch_up(plan, table)?;
    }
    Ok(())
}

fn lines(row: &'static str, costs: &[Vec<(Cost, Cost)>], has_goal: bool) -> Vec<Line> {
    let line = |figure, of: fn(&(Cost, Cost)) -> f64, goal| {
        let median_of = |costs: &Vec<(Cost, Cost)>| median(costs.iter().map(of).collect());
        Line::of(row, figure, costs.iter().map(median_of).collect(), goal)
    };
    let both = |(sync, _): &(Cost, Cost)| {
        sync.outcome.cpu_per_million() + sync.slave_cpu / sync.slave_messages * 1e6
    };
    let lost = |(sync, asynchronous): &(Cost, Cost)| {
        (1.0 - sync.outcome.rate() / asynchronous.outcome.rate()) * 100.0
    };
    vec![
        line(
            "messages/s of a SYNC_MASTER",
            |(sync, _)| sync.outcome.rate(),
            None,
        ),
        line(
            "% less than an ASYNC_MASTER",
            lost,
            has_goal.then_some(Goal::AtMost(5.0)),
        ),
        line("p99 ms", |(sync, _)| sync.outcome.latency_ms[1], None),
        line(
            "CPU s per million, both brokers",
            both,
            Some(Goal::RatioAtMost(0.2)),
        ),
    ]
}

/// A slave without a log comes to a master that has one; beside it a plain copy of the same files through a socket.
fn catch_up(plan: &Plan, table: &mut Table) -> io::Result<()> {
    let mut found = Vec::new();
    let mut plain = Vec::new();
    for (_, flavour) in plan.sides() {
        let mut pair = Pair::start(flavour, "ASYNC_MASTER")?;
        while broker::stored(&pair.cluster.broker.address(), TOPIC)? < CATCH_UP_MESSAGES {
            pair.measure(8, 64, 2)?;
        }
        let len = end(&pair.cluster.broker)?;
        let mut rates = Vec::new();
        for _ in 0..plan.rounds {
            pair.slave.stop();
            std::fs::remove_dir_all(pair.slave.store())?;
            pair.slave.restart();
            let begun = Instant::now();
            let first = end(&pair.slave)?;
            while end(&pair.slave)? < len {
                if begun.elapsed() > WITHIN {
                    return Err(io::Error::other("the slave does not have all in time"));
                }
            }
            rates.push((len - first) as f64 / begun.elapsed().as_secs_f64() / 1e6);
            if flavour == Flavour::Ours {
                plain.push(plain_copy(
                    &pair.cluster.broker.store().join("commitlog"),
                    pair.cluster.path(),
                )?);
            }
        }
        found.push(median(rates));
    }
    let share = found.last().copied().unwrap_or(f64::NAN) / median(plain.clone()) * 100.0;
    println!(
        "  {CATCH_UP}: a plain copy through a socket: {:.0} MB/s",
        median(plain)
    );
    let sides = found.len();
    let mut shares = vec![f64::NAN; sides];
    if let Some(last) = shares.last_mut() {
        *last = share;
    }
    table.add(vec![
        Line::of(CATCH_UP, "MB/s", found, None),
        Line::of(CATCH_UP, "% of a plain copy", shares, Some(Goal::AtLeast(80.0))),
    ]);
    Ok(())
}

/// Copies the files of a folder through a socket of this host; MB/s.
fn plain_copy(log: &Path, to: &Path) -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let target = to.join("plain-copy");
    let (file, begun) = (File::create(&target)?, Instant::now());
    let receiving = std::thread::spawn(move || -> io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let (mut file, mut read, mut bytes) = (file, vec![0; 1 << 20], 0);
        loop {
            let len = stream.read(&mut read)?;
            if len == 0 {
                return Ok(bytes);
            }
            file.write_all(read.get(..len).unwrap_or_default())?;
            bytes += len as u64;
        }
    });
    let mut stream = TcpStream::connect(address)?;
    let mut files: Vec<_> = std::fs::read_dir(log)?.collect::<io::Result<_>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        io::copy(&mut File::open(file.path())?, &mut stream)?;
    }
    drop(stream);
    let bytes = receiving
        .join()
        .map_err(|_| io::Error::other("the copy panicked"))??;
    let rate = bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
    std::fs::remove_file(target)?;
    Ok(rate)
}
