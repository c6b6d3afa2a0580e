//! Features of messages with the unmodified clients, in exact counts: traces, ways of compression, light message queues, refused
//! transactions, order when a member dies.

use crate::asks::{self, connect, pull_fields};
use crate::check::*;
use cluster::{Cluster, Event, Language};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";

/// How often each kind of trace tells of each message: a body has records, each with its kind first and an id somewhere.
fn traced(events: &[Event], ids: &BTreeSet<String>) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut traced: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for record in events.iter().flat_map(|event| event.body.split('\u{2}')) {
        let fields: Vec<&str> = record.split('\u{1}').collect();
        let of = fields.iter().find(|field| ids.contains(**field));
        let Some(id) = of else { continue };
        let kinds = traced.entry(fields[0].to_owned()).or_default();
        *kinds.entry((*id).to_owned()).or_default() += 1;
    }
    traced
}

/// The trace topic has one record of each send, and two of each consumption. `kinds`: those that this client writes.
fn tells_all(language: Language, kinds: &[&str]) {
    let cluster = Cluster::start(&[("traceTopicEnable", "true")]);
    make_topic(&cluster, "T");
    let options = [("topic", "T"), ("group", "g"), ("trace", "yes")];
    let consumer = client(language, &cluster, "consume", &options);
    let options = [
        ("topic", "T"),
        ("count", "50"),
        ("trace", "yes"),
        ("linger", "yes"),
    ];
    let producer = client(language, &cluster, "send", &options);
    producer.wait_count("sent", 50, LONG);
    let sent = of(&producer.events(), "sent");
    let ids: BTreeSet<String> = sent.into_iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), 50);
    consumer.wait_count("received", 51, LONG);
    let expected: BTreeMap<String, BTreeMap<String, usize>> = kinds
        .iter()
        .map(|kind| ((*kind).to_owned(), ids.iter().map(|id| (id.clone(), 1)).collect()))
        .collect();
    // Clients send traces in their own time, and lose some when they end.
    let started = Instant::now();
    loop {
        let pulled = client(JAVA_4, &cluster, "pull", &[("topic", TRACE_TOPIC)]).finish(LONG);
        let traced = traced(&of(&pulled, "received"), &ids);
        if traced == expected {
            break;
        }
        assert!(started.elapsed() < LONG, "{traced:#?}");
    }
    consumer.stop();
    producer.stop();
}

#[test]
fn java_4_traces() {
    tells_all(JAVA_4, &["Pub", "SubBefore", "SubAfter"]);
}

/// A consumer of 5.3.3 was seen to write traces of what 5.3.3's broker gives, and none of what ours does. MSG_REGION, a property that
/// brokers of 4.9 do not store, may be why.
#[test]
fn java_5_traces() {
    tells_all(JAVA_5, &["Pub"]);
}

/// Stored as the producer compressed it, with its flags, and whole at the consumer.
fn compressed(language: Language, kind: &str, flags: i32, readers: &[Language]) {
    const SIZE: usize = 20_000;
    let cluster = Cluster::start(&[]);
    make_topic(&cluster, "T");
    let size = SIZE.to_string();
    let options = [
        ("topic", "T"),
        ("count", "20"),
        ("size", size.as_str()),
        ("prefix", "large"),
        ("compress", kind),
    ];
    let sent = send(language, &cluster, &options);
    let mut wire = connect(&cluster.broker);
    let mut records = 0;
    for event in &sent {
        let (queue, offset) = (event.queue.to_string(), event.offset.to_string());
        let mut fields = pull_fields("T", &queue, &offset);
        fields.retain(|(name, _)| *name != "maxMsgNums");
        fields.push(("maxMsgNums", "1"));
        let answer = wire.ask(asks::PULL, &fields, b"").unwrap();
        assert_eq!(answer.code(), 0, "{}", answer.remark());
        let word = |at: usize| i32::from_be_bytes(answer.body[at..at + 4].try_into().unwrap());
        assert_eq!(word(36) & 0x701, flags, "flags of {event:?}");
        assert!(word(84) < 2_000, "{} bytes are stored", word(84));
        records += 1;
    }
    assert_eq!(records, 20);
    for (number, reader) in readers.iter().enumerate() {
        let group = format!("g{number}");
        let options = [("topic", "T"), ("group", group.as_str())];
        let consumer = client(*reader, &cluster, "consume", &options);
        consumer.wait_count("received", 21, LONG);
        let received = without_first(of(&consumer.stop(), "received"));
        assert!(
            received.iter().all(|event| event.body.len() == SIZE),
            "{reader:?}"
        );
        assert_same(&sent, &received);
    }
}

#[test]
fn java_compresses_by_each_way() {
    for (kind, flags) in [("LZ4", 0x101), ("ZSTD", 0x201), ("ZLIB", 0x301)] {
        compressed(JAVA_4, kind, flags, &[JAVA_4, JAVA_5]);
        compressed(JAVA_5, kind, flags, &[JAVA_5]);
    }
}

#[test]
fn light_queues_have_what_names_them() {
    for language in [JAVA_4, JAVA_5] {
        let cluster = Cluster::start(&[("enableLmq", "true"), ("enableMultiDispatch", "true")]);
        make_topic(&cluster, "T");
        let mut expected = BTreeMap::from([("%LMQ%one", Vec::new()), ("%LMQ%two", Vec::new())]);
        for (prefix, names) in [("a", "%LMQ%one,%LMQ%two"), ("b", "%LMQ%two")] {
            let options = [
                ("topic", "T"),
                ("count", "50"),
                ("prefix", prefix),
                ("light", names),
            ];
            for event in send(language, &cluster, &options) {
                for name in names.split(',') {
                    expected
                        .get_mut(name)
                        .unwrap()
                        .push(event.body.clone().into_bytes());
                }
            }
        }
        let mut wire = connect(&cluster.broker);
        for (name, expected) in &expected {
            let limit = Duration::from_secs(20);
            asks::wait_until("the queue is built", limit, || {
                let fields = [("topic", *name), ("queueId", "0")];
                let end = wire.ask(asks::GET_MAX_OFFSET, &fields, b"").unwrap();
                end.field("offset") == Some(expected.len().to_string().as_str())
            });
            assert_eq!(
                asks::pull_all(&mut wire, name, "0"),
                *expected,
                "{language:?} {name}"
            );
        }
        // And the topic itself has them once.
        let ends = progress(&cluster.broker, "T", "nobody");
        assert_eq!(ends.iter().map(|(end, _)| end).sum::<i64>(), 101);
    }
}

#[test]
fn transactions_are_refused_where_they_are_not_wanted() {
    for language in [JAVA_4, JAVA_5] {
        let cluster = Cluster::start(&[("rejectTransactionMessage", "true")]);
        make_topic(&cluster, "T");
        let options = [("topic", "T"), ("count", "10")];
        let producer = client(language, &cluster, "transact", &options);
        producer.wait_count("all", 1, LONG);
        let failed = of(&producer.stop(), "failed");
        assert_eq!(failed.len(), 10);
        for event in &failed {
            assert!(event.error.contains("CODE: 16"), "{event:?}");
            assert!(
                event.error.contains("sending transaction message is forbidden"),
                "{event:?}"
            );
        }
        let ends = progress(&cluster.broker, "T", "nobody");
        assert_eq!(
            ends.iter().map(|(end, _)| end).sum::<i64>(),
            1,
            "what made the topic"
        );
    }
}

/// A member that is killed gives up its queues when their locks are over; the other goes on in order, where it was or before.
#[test]
fn order_outlives_a_member() {
    for language in [JAVA_4, JAVA_5] {
        let cluster = Cluster::start(&[]);
        make_topic(&cluster, "T");
        let member = |instance| {
            let options = [
                ("topic", "T"),
                ("group", "g"),
                ("instance", instance),
                ("order", "yes"),
            ];
            client(language, &cluster, "consume", &options)
        };
        let (one, two) = (member("one"), member("two"));
        let started = Instant::now();
        let mut sent: Vec<Event> = Vec::new();
        while [&one, &two].map(|member| member.count("received")).contains(&0) {
            assert!(started.elapsed() < LONG, "the queues were never shared");
            let prefix = format!("a{}", sent.len());
            let options = [("topic", "T"), ("count", "100"), ("prefix", prefix.as_str())];
            sent.extend(send(language, &cluster, &options));
        }
        one.process().signal("KILL");
        let options = [("topic", "T"), ("count", "400"), ("prefix", "late")];
        sent.extend(send(language, &cluster, &options));
        wait_until_told(&cluster.broker, "T", "g");
        let (of_one, of_two) = (of(&one.events(), "received"), of(&two.stop(), "received"));
        let all: Vec<Event> = of_one.iter().chain(&of_two).cloned().collect();
        assert_all_bodies(sent.iter().map(|event| event.body.clone()), &all);
        for received in [of_one, of_two] {
            let mut next: BTreeMap<i32, i64> = BTreeMap::new();
            for event in &received {
                let next = next.entry(event.queue).or_insert(event.offset);
                assert_eq!(
                    event.offset, *next,
                    "{language:?}: queue {} is out of order",
                    event.queue
                );
                *next += 1;
            }
        }
    }
}
