//! Every way of sending, by every client: 10,000 messages, compared one by one after they were consumed in order.

use crate::check::*;
use cluster::{Cluster, Language};

const COUNT: usize = 10_000;

fn ten_thousand(language: Language, mode: &str) {
    let cluster = Cluster::start(&[]);
    let count = COUNT.to_string();
    let topic = format!("Topic_{mode}");
    make_topic(&cluster, &topic);
    let sent = send(
        language,
        &cluster,
        &[
            ("topic", &topic),
            ("mode", mode),
            ("count", &count),
            ("prefix", mode),
            ("tags", "TagA,TagB,TagC"),
            ("keys", "key"),
            ("size", "200"),
        ],
    );
    let consumer = client(
        language,
        &cluster,
        "consume",
        &[("topic", &topic), ("group", "g"), ("order", "yes")],
    );
    consumer.wait_count("received", COUNT + 1, LONG);
    let received = of(&consumer.stop(), "received");
    assert_in_order(&received);
    let received = without_first(received);
    assert_eq!(received.len(), COUNT);
    if mode == "oneway" {
        places(&received);
        assert_all_bodies((0..COUNT).map(|number| body(mode, number)), &received);
    } else {
        assert_eq!(sent.len(), COUNT);
        assert_same(&sent, &received);
    }
    for event in received.iter().step_by(97) {
        let number: usize = event.body.split(['-', '.']).nth(1).unwrap().parse().unwrap();
        assert_eq!(event.body, body(mode, number));
        assert_eq!(event.tag, ["TagA", "TagB", "TagC"][number % 3], "{event:?}");
        assert_eq!(event.keys, format!("key{number}"), "{event:?}");
    }
}

/// The body that the drivers make of `prefix`, a number and a size of 200.
fn body(prefix: &str, number: usize) -> String {
    let mut body = format!("{prefix}-{number}.");
    while body.len() < 200 {
        body.push(char::from(b'a' + u8::try_from(body.len() % 26).unwrap()));
    }
    body
}

#[test]
fn java_4_sync() {
    ten_thousand(JAVA_4, "sync");
}

#[test]
fn java_4_async() {
    ten_thousand(JAVA_4, "async");
}

#[test]
fn java_4_oneway() {
    ten_thousand(JAVA_4, "oneway");
}

#[test]
fn java_4_batch() {
    ten_thousand(JAVA_4, "batch");
}

#[test]
fn java_5_sync() {
    ten_thousand(JAVA_5, "sync");
}

#[test]
fn java_5_async() {
    ten_thousand(JAVA_5, "async");
}

#[test]
fn java_5_oneway() {
    ten_thousand(JAVA_5, "oneway");
}

#[test]
fn java_5_batch() {
    ten_thousand(JAVA_5, "batch");
}

#[test]
fn java_4_binary_headers() {
    ten_thousand(Language::JavaBinary("4.9.8"), "sync");
}

#[test]
fn java_5_binary_headers() {
    ten_thousand(Language::JavaBinary("5.3.3"), "async");
}

#[test]
fn java_vip_channel() {
    let cluster = Cluster::start(&[]);
    let sent = send(
        JAVA_4,
        &cluster,
        &[("topic", "Vip"), ("count", "100"), ("vip", "true")],
    );
    let received = of(
        &client(JAVA_4, &cluster, "pull", &[("topic", "Vip")]).finish(LONG),
        "received",
    );
    assert_same(&sent, &received);
}

#[test]
fn go_sync() {
    ten_thousand(Language::Go, "sync");
}

#[test]
fn go_async() {
    ten_thousand(Language::Go, "async");
}

#[test]
fn go_oneway() {
    ten_thousand(Language::Go, "oneway");
}

#[test]
fn go_batch() {
    ten_thousand(Language::Go, "batch");
}

#[test]
fn node_sync() {
    ten_thousand(Language::Node, "sync");
}

#[test]
fn node_async() {
    ten_thousand(Language::Node, "async");
}
