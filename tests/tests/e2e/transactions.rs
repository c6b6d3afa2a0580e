//! Transactions of real clients: every state, counted; producers and brokers that die; a broker's folder that changes hands
//! in the middle of them.

use crate::asks::{connect, pull_all, wait_until};
use crate::check::*;
use cluster::{Broker, Client, Cluster, Event, Flavour, Language, NameServer, Tuning};
use std::collections::BTreeMap;
use std::path::Path;

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const MARKS: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
const GET_MAX_OFFSET: i32 = 30;
/// Checks come soon, and three are enough; not before a client's first heartbeat, which comes after a second: a check that finds no
/// producer counts, too.
const SOON: Tuning<'static> = &[
    ("transactionCheckInterval", "1000"),
    ("transactionTimeOut", "3000"),
    ("transactionCheckMax", "3"),
];
/// Checks come soon, and go on until the clients have found the broker again.
const PATIENT: Tuning<'static> = &[
    ("transactionCheckInterval", "1000"),
    ("transactionTimeOut", "2000"),
    ("transactionCheckMax", "1000"),
    ("transactionOpBatchInterval", "100"),
];
/// Java's 5.x writes its marks in batches.
const NEVER: Tuning<'static> = &[
    ("transactionCheckInterval", "3600000"),
    ("transactionOpBatchInterval", "100"),
];

/// How often each body comes.
fn counts<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.body.clone()).or_insert(0) += 1;
    }
    counts
}

/// Bodies `m-N` of the numbers for which it is so, each so often.
fn expected(count: usize, times: usize, is_so: impl Fn(usize) -> bool) -> BTreeMap<String, usize> {
    let numbers = (0..count).filter(|number| is_so(*number));
    numbers.map(|number| (format!("m-{number}"), times)).collect()
}

fn consumer(cluster: &Cluster, topic: &str) -> Client {
    client(
        JAVA_4,
        cluster,
        "consume",
        &[("topic", topic), ("group", "readers")],
    )
}

fn end_of(broker: &Broker, topic: &str) -> usize {
    let answer = connect(broker).ask(GET_MAX_OFFSET, &[("topic", topic), ("queueId", "0")], b"");
    answer
        .unwrap()
        .field("offset")
        .map_or(0, |offset| offset.parse().unwrap())
}

/// Six kinds of transactions, thirty of each: ended at once, ended at the check, and never.
fn every_state(language: Language) {
    const COUNT: usize = 180;
    let cluster = Cluster::start(SOON);
    let count = COUNT.to_string();
    let producer = client(
        language,
        &cluster,
        "transact",
        &[
            ("topic", "Orders"),
            ("count", &count),
            ("local", "commit,rollback,unknown,unknown,unknown,commit"),
            ("check", "rollback,commit,commit,rollback,unknown,rollback"),
            ("tags", "TagA"),
            ("keys", "key"),
        ],
    );
    let consumer = consumer(&cluster, "Orders");
    // Everything that no check ends comes to its own end.
    wait_until("thirty messages are given up", LONG, || {
        end_of(&cluster.broker, GIVEN_UP) >= 30
    });
    wait_until("the others are seen", LONG, || consumer.count("received") >= 90);
    // Thirty each of one check, of one, and of three.
    wait_until("the producer tells of all checks", LONG, || {
        producer.count("checked") >= 150
    });
    let told = producer.stop();
    assert_eq!(of(&told, "sent").len(), COUNT, "{:?}", of(&told, "failed"));
    let received = of(&consumer.stop(), "received");
    let committed = |number: usize| matches!(number % 6, 0 | 2 | 5);
    assert_eq!(counts(&received), expected(COUNT, 1, committed));
    assert!(
        received
            .iter()
            .all(|event| event.tag == "TagA" && event.keys.starts_with("key"))
    );
    let checked = of(&told, "checked");
    let kind = |wanted: usize| {
        let number = |event: &Event| event.body[2..].parse::<usize>().unwrap();
        counts(checked.iter().filter(move |event| number(event) % 6 == wanted))
    };
    for (of_kind, times) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 3), (5, 0)] {
        let wanted = if times == 0 {
            BTreeMap::new()
        } else {
            expected(COUNT, times, |number| number % 6 == of_kind)
        };
        assert_eq!(kind(of_kind), wanted, "kind {of_kind}");
    }
    assert!(
        checked
            .iter()
            .all(|event| event.tag == "TagA" && event.keys.starts_with("key"))
    );
    let given_up: Vec<String> = pull_all(&mut connect(&cluster.broker), GIVEN_UP, "0")
        .into_iter()
        .map(|b| String::from_utf8(b).unwrap())
        .collect();
    assert_eq!(given_up.len(), 30);
    assert!(
        given_up
            .iter()
            .all(|body| body[2..].parse::<usize>().unwrap() % 6 == 4)
    );
}

#[test]
fn every_state_of_java_4() {
    every_state(JAVA_4);
}

#[test]
fn every_state_of_java_4_9_7() {
    every_state(Language::Java("4.9.7"));
}

#[test]
fn every_state_of_java_5() {
    every_state(JAVA_5);
}

#[test]
fn every_state_of_java_5_with_binary_headers() {
    every_state(Language::JavaBinary("5.3.3"));
}

#[test]
fn every_state_of_go() {
    every_state(Language::Go);
}

/// A client whose local transaction fails leaves the end to the check.
#[test]
fn a_local_transaction_that_throws_is_checked() {
    let cluster = Cluster::start(SOON);
    let options = [
        ("topic", "Orders"),
        ("count", "10"),
        ("local", "throw"),
        ("check", "commit,rollback"),
    ];
    let producer = client(JAVA_4, &cluster, "transact", &options);
    let consumer = consumer(&cluster, "Orders");
    producer.wait_count("checked", 10, LONG);
    consumer.wait_count("received", 5, LONG);
    producer.stop();
    assert_eq!(
        counts(&of(&consumer.stop(), "received")),
        expected(10, 1, |number| number % 2 == 0)
    );
}

/// One producer dies with its transactions open; another of its group is asked.
#[test]
fn another_producer_of_the_group_answers_for_one_that_died() {
    let cluster = Cluster::start(PATIENT);
    let options = [
        ("topic", "Orders"),
        ("count", "50"),
        ("local", "unknown"),
        ("check", "unknown"),
    ];
    let first = client(JAVA_4, &cluster, "transact", &options);
    first.wait_count("sent", 50, LONG);
    first.process().signal("KILL");
    let options = [
        ("topic", "Orders"),
        ("from", "50"),
        ("count", "1"),
        ("instance", "other"),
        ("local", "rollback"),
        ("check", "commit,rollback"),
    ];
    let other = client(JAVA_5, &cluster, "transact", &options);
    let consumer = consumer(&cluster, "Orders");
    wait_until("all are asked for", LONG, || {
        counts(&of(&other.events(), "checked")).len() == 50
    });
    consumer.wait_count("received", 25, LONG);
    other.stop();
    assert_eq!(
        counts(&of(&consumer.stop(), "received")),
        expected(50, 1, |number| number % 2 == 0)
    );
}

/// A broker is killed with transactions open, before any check and between checks.
#[test]
fn a_killed_broker_loses_no_transaction() {
    let mut cluster = Cluster::start(PATIENT);
    let options = [
        ("topic", "Orders"),
        ("count", "300"),
        ("local", "commit,rollback,unknown,unknown"),
        ("check", "rollback,commit,commit,rollback"),
    ];
    let producer = client(JAVA_4, &cluster, "transact", &options);
    let consumer = consumer(&cluster, "Orders");
    producer.wait_count("sent", 100, LONG);
    cluster.broker.kill();
    cluster.broker.restart();
    producer.wait_count("all", 1, LONG);
    let sent: Vec<String> = of(&producer.events(), "sent")
        .into_iter()
        .map(|event| event.body)
        .collect();
    let is_sent = |number: usize| sent.contains(&format!("m-{number}"));
    producer.wait_count("checked", 1, LONG);
    cluster.broker.kill();
    cluster.broker.restart();
    // Each is seen, some more than once: an end that the broker had not read when it died is asked for, and a check that it
    // had not noted is made again.
    let must = (0..300)
        .filter(|number| is_sent(*number) && matches!(number % 4, 0 | 2))
        .collect::<Vec<_>>();
    let seen = |events: &[Event]| counts(events);
    wait_until("every committed message is seen", LONG, || {
        let seen = seen(&of(&consumer.events(), "received"));
        // The end of the last before the kill may have been lost, and is a rollback when it is asked for.
        must.iter()
            .filter(|number| !seen.contains_key(&format!("m-{number}")))
            .count()
            <= 1
    });
    producer.stop();
    let seen = seen(&of(&consumer.stop(), "received"));
    for body in seen.keys() {
        let number: usize = body[2..].parse().unwrap();
        assert!(matches!(number % 4, 0 | 2), "{body} was rolled back");
    }
}

/// Sends transactions, and waits until the broker has stored the ends of those that are ended at once.
struct Stage<'a> {
    dir: &'a Path,
    namesrv: &'a NameServer,
    broker: Broker,
}

impl Stage<'_> {
    fn start<'a>(dir: &'a Path, namesrv: &'a NameServer, flavour: Flavour, tuning: Tuning<'_>) -> Stage<'a> {
        let broker = Broker::start(flavour, dir, "broker-a", &namesrv.address(), tuning);
        Stage { dir, namesrv, broker }
    }

    fn producer(&self, from: usize, count: usize, local: &str, check: &str) -> Client {
        let (address, from, count) = (self.namesrv.address(), from.to_string(), count.to_string());
        let options = [
            ("ns", address.as_str()),
            ("topic", "Orders"),
            ("from", &from),
            ("count", &count),
            ("local", local),
            ("check", check),
        ];
        Client::start(JAVA_4, self.dir, "transact", &options)
    }

    /// Half messages that marks name.
    fn marked(&self) -> usize {
        let bodies = pull_all(&mut connect(&self.broker), MARKS, "0");
        if bodies.is_empty() {
            // 4.9 has no topic of that name; its marks name one each.
            return end_of(&self.broker, MARKS);
        }
        let names = |body: Vec<u8>| {
            body.split(|byte| *byte == b',')
                .filter(|name| !name.is_empty())
                .count()
        };
        bodies.into_iter().map(names).sum()
    }

    fn wait_marked(&self, count: usize) {
        wait_until("the ends are marked", LONG, || self.marked() >= count);
    }
}

fn change_hands(version: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let states = "commit,rollback,unknown";
    // Java's broker stops with ten of thirty open.
    let mut stage = Stage::start(dir.path(), &namesrv, Flavour::Java(version), NEVER);
    let producer = stage.producer(0, 30, states, "unknown");
    producer.wait_count("sent", 30, LONG);
    stage.wait_marked(20);
    producer.stop();
    stage.broker.stop();
    // Ours asks for those, and for its own; it stops with ten open that it has asked for.
    let mut stage = Stage::start(dir.path(), &namesrv, Flavour::Ours, PATIENT);
    stage.broker.wait_for_topic("Orders");
    let producer = stage.producer(30, 30, states, "commit,commit,commit,commit,commit,rollback");
    wait_until("all that are open are asked for", LONG, || {
        counts(&of(&producer.events(), "checked")).len() == 20
    });
    stage.wait_marked(60);
    let checked = producer.stop();
    assert!(
        counts(&of(&checked, "checked")).values().all(|times| *times == 1),
        "none of those that are ended"
    );
    let producer = stage.producer(60, 10, "unknown", "unknown");
    wait_until("the last ten are asked for", LONG, || {
        counts(&of(&producer.events(), "checked")).len() == 10
    });
    producer.stop();
    assert!(end_of(&stage.broker, HALF) >= 100);
    stage.broker.stop();
    // Java's asks for what ours left, and for nothing else.
    let mut stage = Stage::start(dir.path(), &namesrv, Flavour::Java(version), PATIENT);
    stage.broker.wait_for_topic("Orders");
    let producer = stage.producer(70, 1, "commit", "commit");
    wait_until("the last ten are asked for", LONG, || {
        counts(&of(&producer.events(), "checked")).len() == 10
    });
    let consumer = [
        ("ns", &namesrv.address() as &str),
        ("topic", "Orders"),
        ("group", "readers"),
    ];
    let consumer = Client::start(JAVA_4, dir.path(), "consume", &consumer);
    let committed = |number: usize| match number {
        0..60 => matches!(number % 6, 0 | 2 | 3),
        _ => true,
    };
    consumer.wait_count("received", expected(71, 1, committed).len(), LONG);
    let checked = counts(&of(&producer.stop(), "checked"));
    let asked = expected(70, 1, |number| number >= 60);
    assert!(checked.keys().eq(asked.keys()), "{checked:?}");
    // Java's asks again for what it has not marked yet, and delivers each commit.
    let received = counts(&of(&consumer.stop(), "received"));
    assert!(
        received.keys().eq(expected(71, 1, committed).keys()),
        "{received:?}"
    );
    for (body, times) in received {
        let commits = checked.get(&body).copied().unwrap_or(1);
        assert!(times <= commits, "{body} came {times} times");
    }
    stage.broker.stop();
}

#[test]
fn java_4_9_and_ours_take_over_each_others_transactions() {
    change_hands("4.9.7");
}

#[test]
fn java_5_3_and_ours_take_over_each_others_transactions() {
    change_hands("5.3.3");
}
