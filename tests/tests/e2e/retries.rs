//! What consumers fail to consume: how often and at which levels it comes again, and what is in the dead letter queue, in exact counts.
//! The same scenes with Java's broker say the same, but for one delay.

use crate::check::*;
use cluster::{Cluster, Event, Flavour, Language, Tuning, Wire};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// All levels are short.
const SHORT: Tuning<'static> = &[("messageDelayLevel", "1s 1s 1s 1s 1s 1s 1s 1s")];
const GO: Language = Language::Go;
const COUNT: usize = 10;
const QUERY_CONSUMER_OFFSET: i32 = 14;
const GET_MAX_OFFSET: i32 = 30;

/// What a consumer does with its messages.
#[derive(Clone, Copy)]
struct Scene {
    order: &'static str,
    /// How often it fails with each message.
    fails: &'static str,
    /// How often it may come again.
    retries: &'static str,
}

/// What comes of it.
struct Outcome<'a> {
    /// How often the consumer gets each message.
    times: i32,
    /// How many messages each delay level has had, level 1 first.
    levels: &'a [i64],
    /// How often those in the dead letter queue say that they were consumed in vain; none are there otherwise.
    dead: Option<i32>,
}

fn end(cluster: &Cluster, topic: &str, queue: usize) -> i64 {
    let queue = queue.to_string();
    let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
    let answer = wire.ask(GET_MAX_OFFSET, &[("topic", topic), ("queueId", &queue)], b"");
    answer.unwrap().field("offset").unwrap().parse().unwrap()
}

/// Where the group is in the only queue of a topic.
fn consumed(cluster: &Cluster, topic: &str) -> i64 {
    let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
    let fields = [("consumerGroup", "g"), ("topic", topic), ("queueId", "0")];
    let answer = wire.ask(QUERY_CONSUMER_OFFSET, &fields, b"").unwrap();
    answer.field("offset").map_or(0, |offset| offset.parse().unwrap())
}

fn wait(what: &str, until: impl Fn() -> bool) {
    let started = Instant::now();
    while !until() {
        assert!(started.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Body, keys and tag of each, and how often it was consumed in vain before: one entry a receipt.
fn receipts(events: &[Event]) -> BTreeMap<(String, String, String), Vec<i32>> {
    let mut all: BTreeMap<_, Vec<i32>> = BTreeMap::new();
    for event in events {
        let message = (event.body.clone(), event.keys.clone(), event.tag.clone());
        all.entry(message).or_default().push(event.reconsume);
    }
    all
}

fn play(broker: Flavour, language: Language, scene: Scene, Outcome { times, levels, dead }: Outcome<'_>) {
    let dead_count = if dead.is_some() { N } else { 0 };
    let cluster = Cluster::of(Flavour::Ours, broker, SHORT);
    make_topic(&cluster, "T");
    let count = COUNT.to_string();
    let options = [
        ("topic", "T"),
        ("count", &count),
        ("prefix", "m"),
        ("keys", "k"),
        ("tags", "A,B"),
    ];
    let sent = send(JAVA_4, &cluster, &options);
    let options = [
        ("topic", "T"),
        ("group", "g"),
        ("sub", "A || B"),
        ("order", scene.order),
        ("fails", scene.fails),
        ("retries", scene.retries),
    ];
    let consumer = client(language, &cluster, "consume", &options);
    consumer.wait_count("received", COUNT * times as usize, LONG);
    wait_until_told(&cluster.broker, "T", "g");
    // A consumer that is stopped before it hears that a message is taken back sends it once more.
    wait("the consumer has not said that it is done", || {
        consumed(&cluster, "%RETRY%g") == end(&cluster, "%RETRY%g", 0)
    });
    wait("there are too few dead letters", || {
        end(&cluster, "%DLQ%g", 0) >= dead_count
    });
    let mut received = receipts(&of(&consumer.stop(), "received"));
    received.values_mut().for_each(|times| times.sort_unstable());
    let expected: BTreeMap<_, _> = receipts(&sent)
        .into_keys()
        .map(|(body, _, _)| {
            let number: usize = body.rsplit('-').next().unwrap().parse().unwrap();
            let tag = if number.is_multiple_of(2) { "A" } else { "B" };
            (
                (body, format!("k{number}"), tag.to_owned()),
                (0..times).collect::<Vec<i32>>(),
            )
        })
        .collect();
    assert_eq!(received, expected, "{language:?}");

    let parked: Vec<i64> = (0..8)
        .map(|queue| end(&cluster, "SCHEDULE_TOPIC_XXXX", queue))
        .collect();
    assert_eq!(parked, levels, "{language:?}: levels that were used");
    assert_eq!(end(&cluster, "%DLQ%g", 0), dead_count, "{language:?}");
    if let Some(in_vain) = dead {
        let options = [("topic", "%DLQ%g"), ("group", "undertaker")];
        let reader = client(JAVA_4, &cluster, "pull", &options);
        let letters = receipts(&of(&reader.finish(LONG), "received"));
        let messages = expected.into_keys();
        let expected: BTreeMap<_, _> = messages.map(|message| (message, vec![in_vain])).collect();
        assert_eq!(letters, expected, "{language:?}");
    }
}

const IN_VAIN: Scene = Scene {
    order: "no",
    fails: "100",
    retries: "3",
};
const TWICE: Scene = Scene {
    order: "no",
    fails: "2",
    retries: "3",
};
const NEVER_AGAIN: Scene = Scene {
    order: "no",
    fails: "100",
    retries: "0",
};
const IN_ORDER: Scene = Scene {
    order: "yes",
    fails: "100",
    retries: "3",
};

const N: i64 = COUNT as i64;

fn concurrent(broker: Flavour, language: Language) {
    let outcome = Outcome {
        times: 4,
        levels: &[0, 0, N, N, N, 0, 0, 0],
        dead: Some(4),
    };
    play(broker, language, IN_VAIN, outcome);
    let outcome = Outcome {
        times: 3,
        levels: &[0, 0, N, N, 0, 0, 0, 0],
        dead: None,
    };
    play(broker, language, TWICE, outcome);
}

fn all(broker: Flavour, language: Language) {
    concurrent(broker, language);
    let outcome = Outcome {
        times: 1,
        levels: &[0; 8],
        dead: Some(1),
    };
    play(broker, language, NEVER_AGAIN, outcome);
    // The client keeps the message, and sends it to the dead itself, with a delay: 4.9's broker heeds that.
    let outcome = Outcome {
        times: 4,
        levels: match broker {
            Flavour::Java(_) => &[0, 0, 0, 0, 0, N, 0, 0],
            _ => &[0; 8],
        },
        // A client of 5.x counts its last try as well.
        dead: Some(if language == JAVA_5 { 4 } else { 3 }),
    };
    play(broker, language, IN_ORDER, outcome);
}

#[test]
fn java_4_fails_to_consume() {
    all(Flavour::Ours, JAVA_4);
}

#[test]
fn java_5_fails_to_consume() {
    all(Flavour::Ours, JAVA_5);
}

#[test]
fn go_fails_to_consume() {
    concurrent(Flavour::Ours, GO);
}

#[test]
fn javas_broker_says_the_same() {
    all(Flavour::Java("4.9.7"), JAVA_4);
}
