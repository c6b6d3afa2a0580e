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

/// What guides for 4.x write. Both take the sizes of today's spelling, which nothing says here, by default.
const OF_A_GUIDE: [(&str, &str); 4] = [
    ("mapedFileSizeCommitLog", "536870912"),
    ("mapedFileSizeConsumeQueue", "300000"),
    ("mappedFileSizeCommitLog", ""),
    ("mappedFileSizeConsumeQueue", ""),
];

/// What guides write in today's spelling.
const OF_TODAYS_GUIDE: [(&str, &str); 2] = [
    ("mappedFileSizeCommitLog", "536870912"),
    ("mappedFileSizeConsumeQueue", "300000"),
];

/// Each in its turn finds what those before it left, and goes on with it. `tuning` stands in the file of all.
fn change_hands(flavours: [Flavour; 3], tuning: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let mut before = Vec::new();
    for (turn, flavour) in flavours.into_iter().enumerate() {
        let mut broker = Broker::start(flavour, dir.path(), "broker-a", &namesrv.address(), tuning);
        if turn > 0 {
            broker.wait_for_topic("Handed");
            assert_eq!(places(&broker), before, "{flavour:?}");
        }
        send_and_consume(dir.path(), &namesrv, &broker, turn * 20);
        before = places(&broker);
        assert_eq!(
            before.iter().map(|place| place.0).sum::<i64>(),
            (turn as i64 + 1) * 20
        );
        broker.stop();
    }
}

#[test]
fn java_4_9_takes_over_and_gives_back() {
    change_hands([Flavour::Ours, Flavour::Java("4.9.7"), Flavour::Ours], &[]);
}

#[test]
fn java_5_3_takes_over_and_gives_back() {
    change_hands([Flavour::Ours, Flavour::Java("5.3.3"), Flavour::Ours], &[]);
}

/// An unchanged file of a guide, in both directions.
fn a_guides_file_changes_hands(java: &'static str, tuning: &[(&str, &str)]) {
    for flavours in [
        [Flavour::Ours, Flavour::Java(java), Flavour::Ours],
        [Flavour::Java(java), Flavour::Ours, Flavour::Java(java)],
    ] {
        change_hands(flavours, tuning);
    }
}

#[test]
fn a_guides_file_for_4_x_changes_hands_with_4_9() {
    a_guides_file_changes_hands("4.9.7", &OF_A_GUIDE);
}

#[test]
fn a_guides_file_for_4_x_changes_hands_with_5_3() {
    a_guides_file_changes_hands("5.3.3", &OF_A_GUIDE);
}

#[test]
fn a_guides_file_of_today_changes_hands_with_4_9() {
    a_guides_file_changes_hands("4.9.7", &OF_TODAYS_GUIDE);
}

#[test]
fn a_guides_file_of_today_changes_hands_with_5_3() {
    a_guides_file_changes_hands("5.3.3", &OF_TODAYS_GUIDE);
}
