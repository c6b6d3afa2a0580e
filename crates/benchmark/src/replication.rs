//! A master and its slave: what waiting for the slave costs a sender, what both cost the machine, how far behind the slave is, how soon it
//! serves when its master is gone, and how fast a new slave has all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use admin::observed::used;
use cluster::{Answer, Broker, Cluster, Flavour, Jvm, Wire};
use protocol::SerializeType;

use crate::broker;
use crate::compare::{Plan, median};
use crate::load::{Kind, Load, Outcome, Way};
use crate::page_cache::PageCache;
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
/// Set rates, messages/s: one that Java keeps here, too, and one at which the lag has its goal.
const LAGS: [(&str, u64); 2] = [
    ("a master with a slave, 10000 messages/s", 10_000),
    ("a master with a slave, 30000 messages/s", 30_000),
];
/// A topic of one queue, whose messages are looked for on the slave.
const LAG_TOPIC: &str = "BenchmarkLag";
/// Between two looks: they are not to be the load.
const LAG_EACH: Duration = Duration::from_millis(5);
const TAKE_OVER: &str = "a master with a slave is killed";
const CATCH_UP: &str = "a new slave copies a log";
/// What it copies, messages of 1 KiB: 1.2 GB.
const CATCH_UP_MESSAGES: i64 = 1_000_000;
/// How long a slave may take for anything.
const WITHIN: Duration = Duration::from_secs(300);

const SEND: i32 = 10;
const PULL: i32 = 11;
const GET_MAX_OFFSET: i32 = 30;
const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
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
        while send_one(&mut wire, TOPIC)?.code() != 0 || end(&pair.slave)? < end(&pair.cluster.broker)? {
            if started.elapsed() > WITHIN {
                return Err(io::Error::other("the slave does not come"));
            }
        }
        Ok(pair)
    }

    fn measure(&self, connections: usize, in_flight: usize, seconds: u64) -> io::Result<Cost> {
        self.measure_at(0, connections, in_flight, seconds)
    }

    /// The same at a set rate, messages/s; 0: as many as go.
    fn measure_at(&self, rate: u64, connections: usize, in_flight: usize, seconds: u64) -> io::Result<Cost> {
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
            rate,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(seconds),
            once: false,
            pid: self.cluster.broker.process.pid(),
            way: Way::Plain,
        };
        let cpu = || used(self.slave.process.pid()).map_err(io::Error::other);
        let before = cpu()?;
        let outcome = load.run()?;
        let slave_cpu = (cpu()?.cpu - before.cpu).as_secs_f64();
        // Whoever does not keep a set rate is seen to by what is stored.
        if rate == 0 && outcome.refused > 0.0 {
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
        // 5.x serves no pulls of a slave without it.
        ("slaveReadEnable", "true"),
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

fn send_one(wire: &mut Wire, topic: &str) -> io::Result<Answer> {
    let fields = [
        ("producerGroup", "p"),
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "1"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", ""),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
    ];
    wire.ask(SEND, &fields, b"one")
}

/// Sends one message that is to be stored, and gives its place in the queue.
fn send_stored(wire: &mut Wire, topic: &str) -> io::Result<i64> {
    let answer = send_one(wire, topic)?;
    stored_at(&answer).ok_or_else(|| io::Error::other(format!("a send was answered {}", answer.code())))
}

fn stored_at(answer: &Answer) -> Option<i64> {
    let offset = answer.field("queueOffset").filter(|_| answer.code() == 0);
    offset?.parse().ok()
}

/// Where a broker's log ends. Java's tells that, and anything else of its state, only when it has taken its first sample, a second
/// after its start.
fn end(broker: &Broker) -> io::Result<i64> {
    let started = Instant::now();
    loop {
        let answer = Wire::connect(&broker.address())?.ask(RUNTIME_INFO, &[], &[])?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let number = text.split("\"commitLogMaxOffset\":\"").nth(1);
        if let Some(end) = number.and_then(|rest| rest.split('"').next()?.parse().ok()) {
            return Ok(end);
        }
        if started.elapsed() > WITHIN {
            return Err(io::Error::other(format!(
                "{} does not say where its log ends: {} {} {text}",
                broker.address(),
                answer.code(),
                answer.remark()
            )));
        }
        std::thread::sleep(LAG_EACH);
    }
}

/// Measures each side in turns.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    let mut cache = (!plan.as_found).then(PageCache::new).transpose()?;
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
                    fill(&mut cache)?;
                    let one = sync.measure(connections, in_flight, plan.seconds)?;
                    fill(&mut cache)?;
                    costs.push((one, asynchronous.measure(connections, in_flight, plan.seconds)?));
                }
            }
            table.add(lines(row, &costs, in_flight > 1));
        }
    }
    for (row, rate) in LAGS.into_iter().filter(|(row, _)| plan.wants(row)) {
        lag(plan, (row, rate), &mut cache, table)?;
    }
    if plan.wants(TAKE_OVER) {
        take_over(plan, table)?;
    }
    if plan.wants(CATCH_UP) {
        catch_up(plan, table)?;
    }
    Ok(())
}

/// Master and slave both write: what a new page costs here belongs to neither.
fn fill(cache: &mut Option<PageCache>) -> io::Result<()> {
    cache.as_mut().map(PageCache::fill).transpose().map(drop)
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

/// How long after its answer a message can be read from the slave, and what both brokers cost, at a rate that both sides keep.
fn lag(
    plan: &Plan,
    (row, rate): (&'static str, u64),
    cache: &mut Option<PageCache>,
    table: &mut Table,
) -> io::Result<()> {
    let mut figures: [Vec<f64>; 5] = Default::default();
    for (_, flavour) in plan.sides() {
        let pair = Pair::start(flavour, "ASYNC_MASTER")?;
        // A JVM compiles its code under the first load.
        pair.measure_at(rate, 8, 8, 10)?;
        let mut found: [Vec<f64>; 5] = Default::default();
        for _ in 0..plan.rounds {
            fill(cache)?;
            // Without the looks, which cost the slave something.
            let cost = pair.measure_at(rate, 8, 8, plan.seconds)?;
            let mut lags = pair.lags(rate, plan.seconds)?;
            lags.sort_by(f64::total_cmp);
            let part = |part: f64| lags.get((lags.len() as f64 * part) as usize).copied();
            let of_round = [
                cost.outcome.rate(),
                part(0.5).unwrap_or(f64::NAN),
                part(0.99).unwrap_or(f64::NAN),
                cost.outcome.cpu_per_million(),
                cost.slave_cpu / cost.slave_messages * 1e6,
            ];
            for (all, one) in found.iter_mut().zip(of_round) {
                all.push(one);
            }
        }
        for (all, one) in figures.iter_mut().zip(found) {
            all.push(median(one));
        }
    }
    let [stored, p50, p99, of_master, of_slave] = figures;
    table.add(vec![
        Line::of(row, "messages/s stored", stored, None),
        Line::of(row, "lag p50 ms", p50, None),
        Line::of(row, "lag p99 ms", p99, Some(Goal::AtMost(2.0))),
        Line::of(
            row,
            "CPU s per million, master",
            of_master,
            Some(Goal::RatioAtMost(0.2)),
        ),
        Line::of(
            row,
            "CPU s per million, slave",
            of_slave,
            Some(Goal::RatioAtMost(0.2)),
        ),
    ]);
    Ok(())
}

impl Pair {
    /// Sends under load, and looks each time until the slave has it; ms each.
    fn lags(&self, rate: u64, seconds: u64) -> io::Result<Vec<f64>> {
        let master = &self.cluster.broker.address();
        broker::create_topic(master, LAG_TOPIC)?;
        std::thread::scope(|scope| {
            let load = scope.spawn(|| self.measure_at(rate, 8, 8, seconds));
            let (mut master, mut slave) = (Wire::connect(master)?, Wire::connect(&self.slave.address())?);
            let (mut lags, begun) = (Vec::new(), Instant::now());
            while !load.is_finished() {
                let answer = send_one(&mut master, LAG_TOPIC)?;
                let Some(sent) = stored_at(&answer) else {
                    // Busy: the load is more than it takes.
                    std::thread::sleep(LAG_EACH);
                    continue;
                };
                let answered = Instant::now();
                while queue_end(&mut slave, LAG_TOPIC)? <= sent {
                    if answered.elapsed() > WITHIN {
                        return Err(io::Error::other("the slave does not have a message in time"));
                    }
                }
                // As long as the load needs to begin.
                if begun.elapsed() > Duration::from_secs(1) {
                    lags.push(answered.elapsed().as_secs_f64() * 1e3);
                }
                std::thread::sleep(LAG_EACH);
            }
            let ended = load.join().map_err(|_| io::Error::other("the load panicked"))?;
            ended.map(|_| lags)
        })
    }
}

fn queue_end(wire: &mut Wire, topic: &str) -> io::Result<i64> {
    let answer = wire.ask(GET_MAX_OFFSET, &[("topic", topic), ("queueId", "0")], &[])?;
    let offset = answer.field("offset").and_then(|offset| offset.parse().ok());
    offset.ok_or_else(|| io::Error::other("a broker does not say where a queue ends"))
}

/// From kill -9 of a SYNC_MASTER until the name server says so, and until the slave has given the last message that was acknowledged.
fn take_over(plan: &Plan, table: &mut Table) -> io::Result<()> {
    let mut figures: [Vec<f64>; 2] = Default::default();
    for (_, flavour) in plan.sides() {
        let mut pair = Pair::start(flavour, "SYNC_MASTER")?;
        let mut found: [Vec<f64>; 2] = Default::default();
        for _ in 0..plan.rounds {
            pair.measure(8, 8, 1)?;
            let sent = send_stored(&mut Wire::connect(&pair.cluster.broker.address())?, TOPIC)?;
            let begun = Instant::now();
            pair.cluster.broker.kill();
            let gone = until_gone(&pair, begun)?;
            let served = until_served(&pair, sent, begun)?;
            for (all, one) in found.iter_mut().zip([gone, served]) {
                all.push(one.as_secs_f64() * 1e3);
            }
            pair.cluster.broker.restart();
            let mut wire = Wire::connect(&pair.cluster.broker.address())?;
            while send_one(&mut wire, TOPIC)?.code() != 0 {
                if begun.elapsed() > WITHIN {
                    return Err(io::Error::other("the slave does not come back"));
                }
            }
        }
        for (all, one) in figures.iter_mut().zip(found) {
            all.push(median(one));
        }
    }
    let [gone, served] = figures;
    table.add(vec![
        Line::of(TAKE_OVER, "ms until the name server says so", gone, None),
        Line::of(
            TAKE_OVER,
            "ms until the slave serves the last message",
            served,
            None,
        ),
    ]);
    Ok(())
}

fn until_gone(pair: &Pair, begun: Instant) -> io::Result<Duration> {
    let mut wire = Wire::connect(&pair.cluster.namesrv.address())?;
    let master = pair.cluster.broker.address();
    loop {
        let route = wire.ask(GET_ROUTEINFO_BY_TOPIC, &[("topic", TOPIC)], &[])?;
        if !String::from_utf8_lossy(&route.body).contains(&format!("\"{master}\"")) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > WITHIN {
            return Err(io::Error::other(
                "the name server does not see that the master is gone",
            ));
        }
    }
}

fn until_served(pair: &Pair, offset: i64, begun: Instant) -> io::Result<Duration> {
    let mut wire = Wire::connect(&pair.slave.address())?;
    let offset = offset.to_string();
    let fields = [
        ("consumerGroup", "benchmark"),
        ("topic", TOPIC),
        ("queueId", "0"),
        ("queueOffset", &offset),
        ("maxMsgNums", "1"),
        ("sysFlag", "4"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subscription", "*"),
        ("subVersion", "0"),
        ("expressionType", "TAG"),
    ];
    loop {
        let pulled = wire.ask(PULL, &fields, &[])?;
        if pulled.code() == 0 && !pulled.body.is_empty() {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > WITHIN {
            return Err(io::Error::other(format!(
                "the slave does not serve: {} {}",
                pulled.code(),
                pulled.remark()
            )));
        }
    }
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
                // The looks are not to cost the copy a processor.
                std::thread::sleep(LAG_EACH);
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
