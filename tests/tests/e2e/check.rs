//! Comparing what was sent with what was received.

use cluster::{Broker, Client, Cluster, Event, Language, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a client may take for ten thousand messages on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) const JAVA_4: Language = Language::Java("4.9.8");
pub(crate) const JAVA_5: Language = Language::Java("5.3.3");

/// Makes a topic by sending one message with a client that can: ali-ons does not make topics.
pub(crate) fn make_topic(cluster: &Cluster, topic: &str) {
    send(
        JAVA_4,
        cluster,
        &[("topic", topic), ("count", "1"), ("prefix", "first")],
    );
    cluster.broker.wait_for_topic(topic);
}

/// Everything but the message of [`make_topic`].
pub(crate) fn without_first(events: Vec<Event>) -> Vec<Event> {
    events
        .into_iter()
        .filter(|event| event.body != "first-0")
        .collect()
}

const QUERY_CONSUMER_OFFSET: i32 = 14;
const GET_MAX_OFFSET: i32 = 30;

/// Of each of a topic's four queues: its end, and where the group is (-1: nowhere).
pub(crate) fn progress(broker: &Broker, topic: &str, group: &str) -> Vec<(i64, i64)> {
    let mut wire = Wire::connect(&broker.address()).unwrap();
    let mut ask = |code, queue| {
        let fields = [("consumerGroup", group), ("topic", topic), ("queueId", queue)];
        let answer = wire.ask(code, &fields, b"").unwrap();
        answer
            .field("offset")
            .map_or(-1, |offset| offset.parse().unwrap())
    };
    ["0", "1", "2", "3"]
        .map(|queue| (ask(GET_MAX_OFFSET, queue), ask(QUERY_CONSUMER_OFFSET, queue)))
        .to_vec()
}

/// Waits until the broker has been told that the group has consumed everything. Clients say so in their own time, every five
/// seconds; one that is stopped before has received more than it says.
pub(crate) fn wait_until_told(broker: &Broker, topic: &str, group: &str) {
    let started = Instant::now();
    while progress(broker, topic, group)
        .iter()
        .any(|(end, offset)| end != offset)
    {
        assert!(started.elapsed() < LONG, "{:?}", progress(broker, topic, group));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Starts a client against a cluster.
pub(crate) fn client(
    language: Language,
    cluster: &Cluster,
    command: &str,
    options: &[(&str, &str)],
) -> Client {
    let namesrv = cluster.namesrv.address();
    let mut all = vec![("ns", namesrv.as_str())];
    all.extend_from_slice(options);
    Client::start(language, cluster.path(), command, &all)
}

/// Sends and waits until everything is answered; every message must have been stored.
pub(crate) fn send(language: Language, cluster: &Cluster, options: &[(&str, &str)]) -> Vec<Event> {
    let events = client(language, cluster, "send", options).finish(LONG);
    let failed = of(&events, "failed");
    assert!(
        failed.is_empty(),
        "{} failed, the first: {:?}",
        failed.len(),
        failed[0]
    );
    let sent = of(&events, "sent");
    for event in &sent {
        assert_eq!(event.status, "SEND_OK", "{event:?}");
    }
    sent
}

/// Events of one kind.
pub(crate) fn of(events: &[Event], kind: &str) -> Vec<Event> {
    events
        .iter()
        .filter(|event| event.event == kind)
        .cloned()
        .collect()
}

/// Events by their place in the store; no place may occur twice.
pub(crate) fn places(events: &[Event]) -> BTreeMap<(i32, i64), &Event> {
    let mut places = BTreeMap::new();
    for event in events {
        if let Some(other) = places.insert((event.queue, event.offset), event) {
            panic!(
                "two messages at queue {} offset {}: {other:?} and {event:?}",
                event.queue, event.offset
            );
        }
    }
    places
}

/// Every message that was sent was received, once, at the place that its sender was told; nothing else was.
pub(crate) fn assert_same(sent: &[Event], received: &[Event]) {
    let (sent, received) = (places(sent), places(received));
    for (place, event) in &sent {
        match received.get(place) {
            Some(got) => {
                assert_eq!(got.body, event.body, "at {place:?}");
                assert!(
                    event.id.is_empty() || got.id == event.id,
                    "{event:?} came as {got:?}"
                );
            }
            None => panic!(
                "{event:?} was never received ({} of {})",
                received.len(),
                sent.len()
            ),
        }
    }
    for (place, event) in &received {
        assert!(sent.contains_key(place), "{event:?} was never sent");
    }
}

/// Every body was received at least once.
pub(crate) fn assert_all_bodies(bodies: impl IntoIterator<Item = String>, received: &[Event]) {
    let got: BTreeSet<&str> = received.iter().map(|event| event.body.as_str()).collect();
    let missing: Vec<String> = bodies
        .into_iter()
        .filter(|body| !got.contains(body.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "{} missing, the first: {}",
        missing.len(),
        missing[0]
    );
}

/// Messages of each queue came in the order of their offsets, without a gap.
pub(crate) fn assert_in_order(received: &[Event]) {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for event in received {
        let next = next.entry(event.queue).or_insert(0);
        assert_eq!(
            event.offset, *next,
            "queue {} out of order: {event:?}",
            event.queue
        );
        *next += 1;
    }
}
