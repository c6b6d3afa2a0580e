//! How long the others wait while one request that takes long is served, or sends take all that the broker has.
//!
//! Three clients ask at a set rate, each for one thing: a consumer offset, a heartbeat, and a send or, beside sends, what an
//! administrator asks. Their latency counts from when a request was due, so that a broker that stalls is charged for all
//! that had to wait. Other clients make the broker work.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use admin::histogram::Histogram;
use cluster::{Cluster, Flavour, Jvm, Wire, frame};
use protocol::SerializeType;
use protocol::code::request;
use serde_json::Value;

use crate::compare::{BODY_BYTES, Plan, fill, median};
use crate::load::{Kind, Load, QUEUES, Way};
use crate::rows::Goal;
use crate::table::{Line, Table};

const TOPIC: &str = "BenchmarkBeside";
const OLD: &str = "BenchmarkOld";
const WIDE: &str = "BenchmarkWide";
/// Queues of the topic that is deleted, all of them written.
const WIDE_QUEUES: usize = 20_000;
/// Topics of the broker that is asked for all.
const TOPICS: usize = 50_000;
/// Messages of 1 KiB in the topic that is asked for times.
const OLD_MESSAGES: i64 = 300_000;
/// Between two requests of a client.
const EACH: Duration = Duration::from_millis(5);
/// Requests that the fourth client has under way.
pub(crate) const PIPELINE: usize = 64;
/// How long it waits for its answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What makes the broker work: a request that takes long, or many sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slow {
    DeleteTopic,
    AllTopics,
    OffsetByTime,
    UpdateSettings,
    Sends,
    /// Of one client, over one connection.
    OneClient,
}

/// The request of a client, by its number.
type Probe = fn(usize) -> Vec<u8>;

impl Slow {
    const ALL: [Slow; 6] = [
        Slow::DeleteTopic,
        Slow::AllTopics,
        Slow::OffsetByTime,
        Slow::UpdateSettings,
        Slow::Sends,
        Slow::OneClient,
    ];

    fn row(self) -> &'static str {
        match self {
            Slow::DeleteTopic => "beside DELETE_TOPIC of 20,000 queues",
            Slow::AllTopics => "beside GET_ALL_TOPIC_CONFIG of 50,000 topics",
            Slow::OffsetByTime => "beside SEARCH_OFFSET_BY_TIMESTAMP over cold records",
            Slow::UpdateSettings => "beside UPDATE_BROKER_CONFIG",
            Slow::Sends => "beside sends 16 x 16, as fast as they go",
            Slow::OneClient => "beside sends of one client, 1 x 64, as fast as they go",
        }
    }

    /// What the clients beside it ask.
    fn probes(self) -> [Probe; 3] {
        let other: Probe = match self {
            Slow::Sends => |_| frame(request::GET_BROKER_RUNTIME_INFO, 1, &[], b""),
            _ => |number| send(TOPIC, number % QUEUES, 1),
        };
        [commit, beat, other]
    }

    /// What is there before the first measurement of a broker.
    fn prepare(self, cluster: &mut Cluster) -> io::Result<()> {
        match self {
            Slow::DeleteTopic | Slow::UpdateSettings | Slow::Sends | Slow::OneClient => Ok(()),
            Slow::AllTopics => add_topics(cluster, TOPICS, 1),
            Slow::OffsetByTime => {
                make_topic(cluster, OLD, QUEUES)?;
                fill(cluster, OLD, OLD_MESSAGES)?;
                // Pages that a process has mapped and touched stay; a broker that has just started has touched few.
                cluster.broker.stop();
                cluster.broker.restart();
                Ok(())
            }
        }
    }

    /// What is there before each measurement.
    fn set_up(self, cluster: &Cluster) -> io::Result<()> {
        match self {
            Slow::DeleteTopic => {
                make_topic(cluster, WIDE, WIDE_QUEUES)?;
                write_every_queue(cluster)
            }
            Slow::OffsetByTime => disk::forget_pages(&cluster.broker.store()).map(drop),
            Slow::AllTopics | Slow::UpdateSettings | Slow::Sends | Slow::OneClient => Ok(()),
        }
    }

    /// The requests, over and over until `until`, once at least; gives how many there were.
    fn ask(self, cluster: &Cluster, until: Instant) -> io::Result<usize> {
        let mut wire = Wire::connect(&cluster.broker.address())?;
        wire.wait_for_answers(PATIENCE);
        let mut asked = 0;
        loop {
            asked += match self {
                Slow::DeleteTopic => {
                    let answer = wire.ask(request::DELETE_TOPIC_IN_BROKER, &[("topic", WIDE)], b"")?;
                    succeeded(answer.code(), answer.remark())?;
                    // A topic is deleted once.
                    return Ok(1);
                }
                Slow::AllTopics => {
                    let answer = wire.ask(request::GET_ALL_TOPIC_CONFIG, &[], b"")?;
                    succeeded(answer.code(), answer.remark())?;
                    1
                }
                Slow::OffsetByTime => {
                    let now = now_ms();
                    pipelined(&mut wire, |number| {
                        let (queue, time) = (
                            (number % QUEUES).to_string(),
                            (now - 1000 * number as i64).to_string(),
                        );
                        let fields = [("topic", OLD), ("queueId", &queue), ("timestamp", &time)];
                        frame(request::SEARCH_OFFSET_BY_TIMESTAMP, number as i32, &fields, b"")
                    })?
                }
                Slow::UpdateSettings => pipelined(&mut wire, |number| {
                    let body = b"maxMessageSize=4194304\n";
                    frame(request::UPDATE_BROKER_CONFIG, number as i32, &[], body)
                })?,
                Slow::Sends => sends(cluster, (16, 16), until)?,
                Slow::OneClient => sends(cluster, (1, 64), until)?,
            };
            if Instant::now() >= until {
                return Ok(asked);
            }
        }
    }
}

/// As many sends as go over so many connections, with so many under way on each; gives how many were answered.
fn sends(cluster: &Cluster, (connections, in_flight): (usize, usize), until: Instant) -> io::Result<usize> {
    let load = Load {
        kind: Kind::Send,
        address: cluster.broker.address(),
        topic: TOPIC,
        connections,
        in_flight,
        size: BODY_BYTES,
        batch: 1,
        serialize_type: SerializeType::Json,
        has_parts: false,
        rate: 0,
        warm_up: Duration::ZERO,
        measured: until.saturating_duration_since(Instant::now()),
        once: false,
        pid: cluster.broker.process.pid(),
        way: Way::Plain,
    };
    load.run().map(|outcome| (outcome.messages as usize).max(1))
}

fn succeeded(code: i64, remark: &str) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::other(format!("refused: {code} {remark}"))),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// Writes requests together and reads their answers; gives how many.
pub(crate) fn pipelined(wire: &mut Wire, make: impl Fn(usize) -> Vec<u8>) -> io::Result<usize> {
    let requests: Vec<u8> = (0..PIPELINE).flat_map(make).collect();
    wire.write(&requests)?;
    for _ in 0..PIPELINE {
        let answer = wire.read()?;
        succeeded(answer.code(), answer.remark())?;
    }
    Ok(PIPELINE)
}

fn make_topic(cluster: &Cluster, topic: &str, queues: usize) -> io::Result<()> {
    crate::broker::create_topic_of(&cluster.broker.address(), topic, queues)
}

/// Java 5.3.3 takes no offsets of a group that it does not know.
fn make_group(cluster: &Cluster) -> io::Result<()> {
    let mut wire = Wire::connect(&cluster.broker.address())?;
    let group = br#"{"groupName":"benchmark_beside"}"#;
    let answer = wire.ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], group)?;
    succeeded(answer.code(), answer.remark())
}

pub(crate) fn send(topic: &str, queue: usize, opaque: usize) -> Vec<u8> {
    let (queue, time) = (queue.to_string(), now_ms().to_string());
    let fields = [
        ("producerGroup", "benchmark_beside"),
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", queue.as_str()),
        ("sysFlag", "0"),
        ("bornTimestamp", time.as_str()),
        ("flag", "0"),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
    ];
    frame(request::SEND_MESSAGE, opaque as i32, &fields, &[b'x'; 100])
}

fn write_every_queue(cluster: &Cluster) -> io::Result<()> {
    let mut wire = Wire::connect(&cluster.broker.address())?;
    wire.wait_for_answers(PATIENCE);
    for first in (0..WIDE_QUEUES).step_by(PIPELINE) {
        pipelined(&mut wire, |number| {
            send(WIDE, (first + number) % WIDE_QUEUES, number)
        })?;
    }
    Ok(())
}

/// Name of one of many topics.
pub(crate) fn many(number: usize) -> String {
    format!("BenchmarkMany_{number}")
}

/// Writes topics into the file of a broker that is stopped for that: one by one they would take Java's hours.
pub(crate) fn add_topics(cluster: &mut Cluster, count: usize, queues: usize) -> io::Result<()> {
    cluster.broker.stop();
    let path = cluster.broker.store().join("config/topics.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let table = file["topicConfigTable"]
        .as_object_mut()
        .ok_or_else(|| io::Error::other("topics.json has no table"))?;
    let pattern = table
        .get("SELF_TEST_TOPIC")
        .cloned()
        .ok_or_else(|| io::Error::other("topics.json has no SELF_TEST_TOPIC"))?;
    for number in 0..count {
        let name = many(number);
        let mut topic = pattern.clone();
        topic["topicName"] = name.clone().into();
        topic["readQueueNums"] = queues.into();
        topic["writeQueueNums"] = queues.into();
        table.insert(name, topic);
    }
    std::fs::write(&path, file.to_string())?;
    cluster.broker.restart();
    Ok(())
}

/// What the others found, ms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Waits {
    /// The worst of the three clients'.
    p50: f64,
    p99: f64,
    max: f64,
    /// One of the requests that take long, on average.
    slow: f64,
}

/// A heartbeat of a producer.
const HEARTBEAT: &[u8] =
    br#"{"clientID":"127.0.0.1@beside","producerDataSet":[{"groupName":"benchmark_beside"}],"consumerDataSet":[]}"#;

/// Asks each 5 ms until `stop`; latencies count from when a request was due.
fn probe(address: &str, stop: &AtomicBool, make: impl Fn(usize) -> Vec<u8>) -> io::Result<Histogram> {
    let mut wire = Wire::connect(address)?;
    wire.wait_for_answers(PATIENCE);
    let latencies = Histogram::default();
    let mut due = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Nothing is waited for: this is the pace of the load.
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        wire.write(&make(number))?;
        let answer = wire.read()?;
        succeeded(answer.code(), answer.remark())?;
        latencies.add(due.elapsed());
        due += EACH;
    }
    Ok(latencies)
}

/// Moves a consumer's offset.
fn commit(_: usize) -> Vec<u8> {
    let fields = [
        ("consumerGroup", "benchmark_beside"),
        ("topic", TOPIC),
        ("queueId", "0"),
        ("commitOffset", "1"),
    ];
    frame(request::UPDATE_CONSUMER_OFFSET, 1, &fields, b"")
}

fn beat(_: usize) -> Vec<u8> {
    frame(request::HEART_BEAT, 1, &[], HEARTBEAT)
}

/// Measures the three clients while `work` goes on.
fn beside(address: &str, probes: [Probe; 3], work: impl FnOnce() -> io::Result<usize>) -> io::Result<Waits> {
    let stop = &AtomicBool::new(false);
    let (worked, found) = std::thread::scope(|scope| {
        let probes = probes.map(|make| scope.spawn(move || probe(address, stop, make)));
        let started = Instant::now();
        let worked = work().map(|asked| started.elapsed().as_secs_f64() * 1000.0 / asked as f64);
        stop.store(true, Ordering::Relaxed);
        let found = probes.map(|probe| probe.join().expect("a probe does not panic"));
        (worked, found)
    });
    let slow = worked?;
    let ms = |latency: Duration| latency.as_secs_f64() * 1000.0;
    let mut waits = Waits {
        p50: 0.0,
        p99: 0.0,
        max: 0.0,
        slow,
    };
    for latencies in found {
        let latencies = latencies?;
        waits.p50 = waits.p50.max(ms(latencies.quantile(0.5)));
        waits.p99 = waits.p99.max(ms(latencies.quantile(0.99)));
        waits.max = waits.max.max(ms(latencies.max()));
    }
    Ok(waits)
}

fn cluster(flavour: Flavour, slow: Slow) -> io::Result<Cluster> {
    let tuning = [
        ("mappedFileSizeCommitLog", "1073741824"),
        // Java refuses sends that wait longer; here it is measured how long they wait.
        ("osPageCacheBusyTimeOutMills", "30000"),
        ("waitTimeMillsInSendQueue", "30000"),
        // 20,000 queues have 20,000 files.
        ("mappedFileSizeConsumeQueue", "20000"),
    ];
    let mut cluster = Cluster::with_jvm(flavour, flavour, Jvm::Large, &tuning);
    make_topic(&cluster, TOPIC, QUEUES)?;
    make_group(&cluster)?;
    slow.prepare(&mut cluster)?;
    Ok(cluster)
}

/// Measures each side in turns.
pub(crate) fn run(plan: &Plan, table: &mut Table) -> io::Result<()> {
    for slow in Slow::ALL.into_iter().filter(|slow| plan.wants(slow.row())) {
        let sides = plan.sides();
        let clusters: io::Result<Vec<Cluster>> =
            sides.iter().map(|(_, flavour)| cluster(*flavour, slow)).collect();
        let clusters = clusters?;
        let mut found = vec![Vec::new(); sides.len()];
        let mut alone = vec![Vec::new(); sides.len()];
        // Writing 20,000 queues takes a Java broker minutes: once, and what writes them warms it up. Else the first round
        // is not counted: a JVM compiles its code under it.
        let rounds = if slow == Slow::DeleteTopic {
            1..=1
        } else {
            0..=plan.rounds
        };
        for round in rounds {
            for (at, (cluster, (side, _))) in clusters.iter().zip(&sides).enumerate() {
                let named = |e| io::Error::other(format!("{} on {side}: {e}", slow.row()));
                slow.set_up(cluster).map_err(named)?;
                let until = Instant::now() + Duration::from_secs(plan.seconds);
                let waits = beside(&cluster.broker.address(), slow.probes(), || {
                    slow.ask(cluster, until)
                })
                .map_err(named)?;
                if round > 0 {
                    found[at].push(waits);
                }
                if slow == Slow::OneClient && round > 0 {
                    let calm = beside(&cluster.broker.address(), slow.probes(), || {
                        std::thread::sleep(Duration::from_secs(plan.seconds));
                        Ok(1)
                    });
                    alone[at].push(calm.map_err(named)?);
                }
            }
        }
        let of = |waits: &Vec<Waits>, pick: fn(&Waits) -> f64| median(waits.iter().map(pick).collect());
        let line = |figure, pick: fn(&Waits) -> f64, goal| {
            let values = found.iter().map(|waits| of(waits, pick)).collect();
            Line::of(slow.row(), figure, values, goal)
        };
        if slow == Slow::OneClient {
            let times = |figure, pick: fn(&Waits) -> f64| {
                let both = found.iter().zip(&alone);
                let values = both.map(|(beside, alone)| of(beside, pick) / of(alone, pick));
                Line::of(slow.row(), figure, values.collect(), Some(Goal::AtMost(2.0)))
            };
            table.add(vec![
                line("p50 of the others, ms", |w| w.p50, None),
                times("p50 of the others, times that alone", |w| w.p50),
                times("p99 of the others, times that alone", |w| w.p99),
            ]);
        }
        table.add(vec![
            line("p99 of the others, ms", |w| w.p99, Some(Goal::AtMost(50.0))),
            line("max of the others, ms", |w| w.max, None),
            line("the request itself, ms", |w| w.slow, None),
        ]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_stalls_is_charged_for_all_that_had_to_wait() {
        const STALL: Duration = Duration::from_millis(400);
        let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
        make_topic(&cluster, TOPIC, QUEUES).unwrap();
        let (address, process) = (cluster.broker.address(), &cluster.broker.process);
        let calm = Duration::from_millis(300);
        let stalled = beside(&address, Slow::UpdateSettings.probes(), || {
            std::thread::sleep(calm);
            process.signal("STOP");
            std::thread::sleep(STALL);
            process.signal("CONT");
            std::thread::sleep(calm);
            Ok(2)
        });
        let stalled = stalled.unwrap();
        let took_ms = (2 * calm + STALL).as_secs_f64() * 1000.0;
        assert!(stalled.slow >= took_ms / 2.0, "{stalled:?}");
        // The buckets are right to three in a hundred.
        let stall_ms = STALL.as_secs_f64() * 1000.0;
        assert!(stalled.max >= stall_ms * 0.95, "{stalled:?}");
        // 80 of some 200 requests fell due in the stall: far more than the one that was under way.
        assert!(stalled.p99 >= stall_ms / 2.0, "{stalled:?}");
        let worked = beside(&address, Slow::Sends.probes(), || {
            Err(io::Error::other("refused"))
        });
        assert_eq!(worked.unwrap_err().to_string(), "refused");
    }

    #[test]
    fn every_slow_request_is_answered() {
        let cluster = cluster(Flavour::Ours, Slow::UpdateSettings).unwrap();
        Slow::UpdateSettings.ask(&cluster, Instant::now()).unwrap();
        let soon = Instant::now() + Duration::from_millis(100);
        assert!(Slow::Sends.ask(&cluster, soon).unwrap() > 1);
        make_topic(&cluster, WIDE, WIDE_QUEUES).unwrap();
        Slow::DeleteTopic.ask(&cluster, Instant::now()).unwrap();
        make_topic(&cluster, OLD, QUEUES).unwrap();
        Slow::OffsetByTime.ask(&cluster, Instant::now()).unwrap();
        let mut cluster = cluster;
        Slow::AllTopics.prepare(&mut cluster).unwrap();
        Slow::AllTopics.ask(&cluster, Instant::now()).unwrap();
        let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
        let all = wire.ask(request::GET_ALL_TOPIC_CONFIG, &[], b"").unwrap();
        let named = String::from_utf8_lossy(&all.body)
            .matches("\"topicName\":\"BenchmarkMany_")
            .count();
        assert_eq!(named, TOPICS);
    }
}
