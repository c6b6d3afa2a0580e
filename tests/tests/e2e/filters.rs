//! SQL92 filters with the unmodified clients, in exact counts, and a broker's filters that change hands.

use crate::check::*;
use cluster::{Broker, Client, Cluster, Event, Flavour, Language, NameServer};
use std::path::Path;

const ON: (&str, &str) = ("enablePropertyFilter", "true");
/// Every hundredth message of a thousand, and ten in a row.
const FEW: &str = "name = 'n7' AND number BETWEEN 500 AND 599 OR number > 989 AND NOT (other IS NOT NULL)";

fn is_of_few(event: &Event) -> bool {
    let number: i32 = event.body.split('-').nth(1).unwrap().parse().unwrap();
    (number % 10 == 7 && (500..=599).contains(&number)) || number > 989
}

/// A cluster, and a thousand messages that it was given, of which the expression means these.
fn given(language: Language, tuning: &[(&str, &str)]) -> (Cluster, Vec<Event>) {
    let cluster = Cluster::start(tuning);
    make_topic(&cluster, "T");
    let options = [
        ("topic", "T"),
        ("count", "1000"),
        ("numbered", "yes"),
        ("prefix", "m"),
    ];
    let sent = send(language, &cluster, &options);
    let few: Vec<Event> = sent.into_iter().filter(is_of_few).collect();
    assert_eq!(few.len(), 20);
    (cluster, few)
}

/// A push consumer gets what its expression means and no more; the group's offset goes on over the others.
fn push(language: Language) {
    let (cluster, mut few) = given(language, &[ON]);
    let options = [("topic", "T"), ("group", "g"), ("sql", FEW)];
    let consumer = client(language, &cluster, "consume", &options);
    consumer.wait_count("received", few.len(), LONG);
    // What comes while it waits.
    let more = [
        ("topic", "T"),
        ("count", "30"),
        ("from", "980"),
        ("numbered", "yes"),
        ("prefix", "late"),
    ];
    few.extend(send(language, &cluster, &more).into_iter().filter(is_of_few));
    assert_eq!(few.len(), 40);
    consumer.wait_count("received", few.len(), LONG);
    wait_until_told(&cluster.broker, "T", "g");
    assert_same(&few, &of(&consumer.stop(), "received"));
}

#[test]
fn java_4_push_by_sql() {
    push(JAVA_4);
}

#[test]
fn java_5_push_by_sql() {
    push(JAVA_5);
}

#[test]
fn go_push_by_sql() {
    push(Language::Go);
}

/// A pull consumer sends its expression with each pull.
#[test]
fn java_pulls_by_sql() {
    for language in [JAVA_4, JAVA_5] {
        let (cluster, few) = given(language, &[ON]);
        for (command, count) in [("pull", "0"), ("lite", "20")] {
            let options = [("topic", "T"), ("sql", FEW), ("count", count)];
            let received = client(language, &cluster, command, &options).finish(LONG);
            assert_same(&few, &of(&received, "received"));
        }
    }
}

#[test]
fn a_consumer_whose_expression_is_refused_does_not_start() {
    for (tuning, sql, text) in [
        (
            &[ON][..],
            "number >",
            "CODE: 23  DESC: org.apache.rocketmq.filter.parser.ParseException: Encountered \"<EOF>\"",
        ),
        (
            &[ON][..],
            "number > 'x'",
            "CODE: 23  DESC: java.lang.RuntimeException: Value ''x'' cannot be compared.",
        ),
        (
            &[][..],
            "number > 1",
            "CODE: 1  DESC: The broker does not support consumer to filter message by SQL92",
        ),
    ] {
        let cluster = Cluster::start(tuning);
        make_topic(&cluster, "T");
        let options = [("topic", "T"), ("sql", sql), ("refused", "yes")];
        let events = client(JAVA_5, &cluster, "consume", &options).finish(LONG);
        let failed = of(&events, "failed");
        assert!(failed[0].error.starts_with(text), "{failed:?}");
    }
}

/// With bitmaps in the extensions of the queues: the same messages, before and after the filter came.
#[test]
fn bitmaps_change_nothing_that_is_received() {
    let tuning = [
        ON,
        ("enableConsumeQueueExt", "true"),
        ("enableCalcFilterBitMap", "true"),
    ];
    let (cluster, mut few) = given(JAVA_4, &tuning);
    let options = [("topic", "T"), ("group", "g"), ("sql", FEW)];
    let consumer = client(JAVA_4, &cluster, "consume", &options);
    consumer.wait_count("received", few.len(), LONG);
    for prefix in ["one", "two"] {
        let more = [
            ("topic", "T"),
            ("count", "1000"),
            ("numbered", "yes"),
            ("prefix", prefix),
        ];
        few.extend(send(JAVA_4, &cluster, &more).into_iter().filter(is_of_few));
    }
    consumer.wait_count("received", 60, LONG);
    wait_until_told(&cluster.broker, "T", "g");
    assert_same(&few, &of(&consumer.stop(), "received"));
}

/// The filter of the group as the file has it.
fn filter(broker: &Broker) -> serde_json::Value {
    let text = std::fs::read(broker.store().join("config/consumerFilter.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
    file["filterDataByTopic"]["Handed"]["groupFilterData"]["readers"].clone()
}

/// Ten of a hundred messages are for the group.
fn send_and_consume(dir: &Path, namesrv: &NameServer, broker: &Broker, prefix: &str) {
    let address = namesrv.address();
    let all = [
        ("ns", address.as_str()),
        ("topic", "Handed"),
        ("group", "readers"),
        ("sql", "name = 'n3'"),
    ];
    let consumer = Client::start(JAVA_4, dir, "consume", &all);
    let options = [
        ("ns", address.as_str()),
        ("topic", "Handed"),
        ("count", "100"),
        ("numbered", "yes"),
        ("prefix", prefix),
    ];
    let sent = of(&Client::start(JAVA_4, dir, "send", &options).finish(LONG), "sent");
    assert_eq!(sent.len(), 100);
    consumer.wait_count("received", 10, LONG);
    wait_until_told(broker, "Handed", "readers");
    let mut received: Vec<String> = of(&consumer.stop(), "received")
        .into_iter()
        .map(|event| event.body)
        .collect();
    received.sort();
    let expected: Vec<String> = (0..10).map(|ten| format!("{prefix}-{}", ten * 10 + 3)).collect();
    let mut expected = expected;
    expected.sort();
    assert_eq!(received, expected);
}

/// The filter is born once: each broker goes on with the bitmaps that the other one wrote.
fn change_hands(version: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let tuning = [
        ON,
        ("enableConsumeQueueExt", "true"),
        ("enableCalcFilterBitMap", "true"),
    ];
    let start = |flavour| Broker::start(flavour, dir.path(), "broker-a", &namesrv.address(), &tuning);
    let mut born = serde_json::Value::Null;
    let turns = [
        Flavour::Ours,
        Flavour::Java(version),
        Flavour::Ours,
        Flavour::Java(version),
    ];
    for (turn, flavour) in turns.into_iter().enumerate() {
        let mut broker = start(flavour);
        if turn > 0 {
            broker.wait_for_topic("Handed");
        }
        send_and_consume(dir.path(), &namesrv, &broker, &format!("turn{turn}"));
        broker.stop();
        let kept = filter(&broker);
        assert_eq!(kept["expression"], "name = 'n3'", "{flavour:?}");
        assert!(born.is_null() || kept["bornTime"] == born, "{flavour:?}: {kept}");
        born = kept["bornTime"].clone();
    }
}

#[test]
fn filters_go_to_java_4_9_and_back() {
    change_hands("4.9.7");
}

#[test]
fn filters_go_to_java_5_3_and_back() {
    change_hands("5.3.3");
}
