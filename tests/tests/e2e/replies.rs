//! Requests and replies of real clients: each request has its own reply, once, or its timeout.

use crate::asks::{connect, wait_until};
use crate::check::*;
use cluster::{Broker, Client, Cluster, Language};
use std::collections::BTreeMap;

const REPLIES: &str = "DefaultCluster_REPLY_TOPIC";
const GET_MAX_OFFSET: i32 = 30;

/// How many replies the broker has kept.
fn kept(broker: &Broker) -> i64 {
    let answer = connect(broker).ask(GET_MAX_OFFSET, &[("topic", REPLIES), ("queueId", "0")], b"");
    answer.unwrap().field("offset").unwrap().parse().unwrap()
}

/// Somebody who replies and has its queues.
fn replier(language: Language, cluster: &Cluster, options: &[(&str, &str)]) -> Client {
    make_topic(cluster, "Questions");
    let replier = client(
        language,
        cluster,
        "reply",
        &[&[("topic", "Questions")], options].concat(),
    );
    replier.wait_count("received", 1, LONG);
    replier
}

/// Sorted bodies of one kind of events.
fn bodies(events: &[cluster::Event], kind: &str) -> Vec<String> {
    let mut bodies: Vec<String> = of(events, kind).into_iter().map(|event| event.body).collect();
    bodies.sort();
    bodies
}

fn expected(numbers: impl Iterator<Item = usize>, text: impl Fn(usize) -> String) -> Vec<String> {
    let mut all: Vec<String> = numbers.map(text).collect();
    all.sort();
    all
}

/// Each request gets its own reply; those that nobody replies to time out, in their time.
fn asks_and_replies(asks: Language, replies: Language) {
    let cluster = Cluster::start(&[]);
    let replier = replier(replies, &cluster, &[("mute", "4")]);
    // The other way is broken in 5.3.3.
    let mode = if asks == JAVA_5 { "callback" } else { "sync" };
    let begun = std::time::Instant::now();
    let asked = client(
        asks,
        &cluster,
        "ask",
        &[
            ("topic", "Questions"),
            ("count", "50"),
            ("within", "4000"),
            ("mode", mode),
        ],
    )
    .finish(LONG);
    assert!(begun.elapsed().as_secs() >= 40, "ten of them wait four seconds");
    let is_mute = |number: &usize| number % 5 == 4;
    let answered = expected((0..50).filter(|n| !is_mute(n)), |n| format!("re:m-{n}"));
    assert_eq!(bodies(&asked, "received"), answered);
    let timed_out = of(&asked, "failed");
    assert_eq!(
        bodies(&asked, "failed"),
        expected((0..50).filter(is_mute), |n| format!("m-{n}"))
    );
    for event in &timed_out {
        assert!(event.error.contains("RequestTimeoutException"), "{}", event.error);
    }
    let tags: BTreeMap<String, usize> =
        of(&asked, "received")
            .into_iter()
            .fold(BTreeMap::new(), |mut all, event| {
                *all.entry(event.tag).or_default() += 1;
                all
            });
    assert_eq!(tags, BTreeMap::from([("Reply".to_owned(), 40)]));
    let told = replier.stop();
    assert_eq!(bodies(&told, "sent"), answered, "each was taken");
    assert_eq!(of(&told, "received").len(), 51, "each question came once");
    assert_eq!(of(&told, "failed"), []);
    assert_eq!(kept(&cluster.broker), 40, "and they are kept");
}

#[test]
fn java_4_asks_java_4() {
    asks_and_replies(JAVA_4, JAVA_4);
}

#[test]
fn java_5_asks_java_5() {
    asks_and_replies(JAVA_5, JAVA_5);
}

#[test]
fn java_4_asks_java_5() {
    asks_and_replies(JAVA_4, JAVA_5);
}

/// Whose question it was is gone when the reply comes: whoever replies hears that, and the reply is kept.
#[test]
fn a_reply_that_comes_too_late_is_an_error() {
    let cluster = Cluster::start(&[]);
    make_topic(&cluster, "Questions");
    let asked = client(
        JAVA_4,
        &cluster,
        "ask",
        &[("topic", "Questions"), ("count", "3"), ("within", "3000")],
    )
    .finish(LONG);
    assert_eq!(of(&asked, "failed").len(), 3);
    let late = client(JAVA_4, &cluster, "reply", &[("topic", "Questions")]);
    late.wait_count("failed", 3, LONG);
    let told = late.stop();
    for event in of(&told, "failed") {
        assert!(
            event
                .error
                .contains("CODE: 1  DESC: push reply message fail, channel of <")
                && event.error.contains("> not found."),
            "{}",
            event.error
        );
    }
    assert_eq!(of(&told, "sent"), []);
    wait_until("the replies are kept", LONG, || kept(&cluster.broker) == 3);
}

/// Replies are large and compressed, and not kept.
#[test]
fn large_replies_that_are_not_kept() {
    let cluster = Cluster::start(&[("storeReplyMessageEnable", "false")]);
    let replier = replier(JAVA_5, &cluster, &[]);
    let asked = client(
        JAVA_4,
        &cluster,
        "ask",
        &[
            ("topic", "Questions"),
            ("count", "5"),
            ("size", "100000"),
            ("within", "20000"),
        ],
    )
    .finish(LONG);
    let received = of(&asked, "received");
    assert_eq!(received.len(), 5);
    for event in &received {
        assert!(
            event.body.starts_with("re:m-") && event.body.len() == 100_003,
            "{}",
            event.body.len()
        );
    }
    assert_eq!(of(&replier.stop(), "sent").len(), 5);
    assert_eq!(kept(&cluster.broker), 0);
}
