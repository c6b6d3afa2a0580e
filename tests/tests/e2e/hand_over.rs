//! A broker's whole folder changes hands between running brokers, ours and Java's: messages, topics, and how far groups are.

use crate::check::*;
use cluster::{Broker, Client, Flavour, NameServer};
use std::path::Path;

/// Of each queue: its end, and where the group is.
fn places(broker: &Broker) -> Vec<(i64, i64)> {
    progress(broker, "Handed", "readers")
}

/// Sends messages `from..from + 20` and consumes until the broker has been told that they are.
fn send_and_consume(dir: &Path, namesrv: &NameServer, broker: &Broker, from: usize) {
    let (address, first) = (namesrv.address(), from.to_string());
    let options = [
        ("ns", address.as_str()),
        ("topic", "Handed"),
        ("group", "readers"),
        ("count", "20"),
        ("from", first.as_str()),
    ];
    let consumer = Client::start(JAVA_4, dir, "consume", &options);
    let sent = of(&Client::start(JAVA_4, dir, "send", &options).finish(LONG), "sent");
    assert_eq!(sent.len(), 20);
    consumer.wait_count("received", 20, LONG);
    wait_until_told(broker, "Handed", "readers");
    let mut received: Vec<String> = of(&consumer.stop(), "received")
        .into_iter()
        .map(|event| event.body)
        .collect();
    let mut expected: Vec<String> = sent.into_iter().map(|event| event.body).collect();
    received.sort();
    expected.sort();
    assert_eq!(received, expected, "each once, and none of before");
}

fn change_hands(version: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let start = |flavour| Broker::start(flavour, dir.path(), "broker-a", &namesrv.address(), &[]);
    let mut broker = start(Flavour::Ours);
    send_and_consume(dir.path(), &namesrv, &broker, 0);
    let mut before = places(&broker);
    broker.stop();
    for (turn, flavour) in [Flavour::Java(version), Flavour::Ours].into_iter().enumerate() {
        let mut broker = start(flavour);
        broker.wait_for_topic("Handed");
        assert_eq!(places(&broker), before, "{flavour:?}");
        send_and_consume(dir.path(), &namesrv, &broker, (turn + 1) * 20);
        before = places(&broker);
        assert_eq!(
            before.iter().map(|place| place.0).sum::<i64>(),
            (turn as i64 + 2) * 20
        );
        broker.stop();
    }
}

#[test]
fn java_4_9_takes_over_and_gives_back() {
    change_hands("4.9.7");
}

#[test]
fn java_5_3_takes_over_and_gives_back() {
    change_hands("5.3.3");
}
