//! Plain requests on a wire of one's own, for tests that say every field.

use cluster::{Answer, Broker, Wire, frame};
use std::time::{Duration, Instant};

pub(crate) const SEND: i32 = 10;
pub(crate) const PULL: i32 = 11;
pub(crate) const CREATE_TOPIC: i32 = 17;
pub(crate) const UPDATE_CONFIG: i32 = 25;
pub(crate) const RUNTIME_INFO: i32 = 28;
pub(crate) const GET_MAX_OFFSET: i32 = 30;
pub(crate) const QUERY_CONSUMER_OFFSET: i32 = 14;
pub(crate) const HEART_BEAT: i32 = 34;

/// A send as a frame; the queue and the properties are text.
pub(crate) fn send_frame(opaque: i32, topic: &str, queue: &str, properties: &str, body: &[u8]) -> Vec<u8> {
    let fields = [
        ("producerGroup", "asks"),
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", queue),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", properties),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
    ];
    frame(SEND, opaque, &fields, body)
}

pub(crate) fn send(wire: &mut Wire, topic: &str, queue: &str, properties: &str, body: &[u8]) -> Answer {
    wire.write(&send_frame(7, topic, queue, properties, body))
        .unwrap();
    wire.read().unwrap()
}

/// Fields of a pull that is not held.
pub(crate) fn pull_fields<'a>(topic: &'a str, queue: &'a str, offset: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("consumerGroup", "asks"),
        ("topic", topic),
        ("queueId", queue),
        ("queueOffset", offset),
        ("maxMsgNums", "32"),
        ("sysFlag", "4"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subscription", "*"),
        ("subVersion", "0"),
    ]
}

/// The bodies of all messages of a queue, in order.
pub(crate) fn pull_all(wire: &mut Wire, topic: &str, queue: &str) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut offset = "0".to_owned();
    loop {
        let answer = wire.ask(PULL, &pull_fields(topic, queue, &offset), b"").unwrap();
        if answer.code() != 0 {
            return bodies;
        }
        let mut rest = &answer.body[..];
        while !rest.is_empty() {
            let word = |at: usize| i32::from_be_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
            // Body length at 84 and body behind it, with an IPv4 born and store host.
            bodies.push(rest[88..88 + word(84)].to_vec());
            rest = &rest[word(0)..];
        }
        offset = answer.field("nextBeginOffset").unwrap().to_owned();
    }
}

/// Makes a topic.
pub(crate) fn create_topic(wire: &mut Wire, topic: &str, queues: &str) {
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", queues),
        ("writeQueueNums", queues),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    let answer = wire.ask(CREATE_TOPIC, &fields, b"").unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
}

/// Changes settings of a broker that runs.
pub(crate) fn set(wire: &mut Wire, text: &str) {
    let answer = wire.ask(UPDATE_CONFIG, &[], text.as_bytes()).unwrap();
    assert_eq!(answer.code(), 0, "{text}: {}", answer.remark());
}

/// Connects to a broker.
pub(crate) fn connect(broker: &Broker) -> Wire {
    let mut wire = Wire::connect(&broker.address()).unwrap();
    wire.wait_for_answers(Duration::from_secs(60));
    wire
}

/// Asks until something is so; fails after `limit`.
pub(crate) fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        // Nothing tells a test of it: this paces the loop.
        std::thread::sleep(Duration::from_millis(20));
    }
}
