//! What bad input gets: an answer with Java's code where Java has one, a closed connection where the frame itself is broken,
//! and nothing else: no touched file, no panic, no harm to others.

use cluster::{Cluster, Flavour, Wire, frame};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const SEND: i32 = 10;
const PULL: i32 = 11;
const ROUTE: i32 = 105;
const WAIT: Duration = Duration::from_secs(10);

/// A send with every field, some replaced. An empty replacement leaves the field out.
fn send_fields<'a>(replaced: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    with(
        &[
            ("producerGroup", "g"),
            ("topic", "BadInput"),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", "0"),
            ("sysFlag", "0"),
            ("bornTimestamp", "1700000000000"),
            ("flag", "0"),
            ("properties", ""),
            ("reconsumeTimes", "0"),
            ("unitMode", "false"),
        ],
        replaced,
    )
}

/// A pull with every field, some replaced.
fn pull_fields<'a>(replaced: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    with(
        &[
            ("consumerGroup", "g"),
            ("topic", "BadInput"),
            ("queueId", "0"),
            ("queueOffset", "0"),
            ("maxMsgNums", "32"),
            ("sysFlag", "4"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "0"),
            ("subscription", "*"),
            ("subVersion", "0"),
        ],
        replaced,
    )
}

fn with<'a>(
    fields: &[(&'static str, &'static str)],
    replaced: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<(&'a str, &'a str)> = fields.to_vec();
    for (key, value) in replaced {
        match all.iter_mut().find(|field| field.0 == *key) {
            Some(field) => field.1 = value,
            None => all.push((key, value)),
        }
    }
    all.retain(|(_, value)| !value.is_empty());
    all
}

/// 4.9's code, which is also ours, or 5.x's where that differs.
fn code(four: i64, five: i64) -> i64 {
    match Flavour::from_env("E2E_BROKER") {
        Flavour::Java("5.3.3") => five,
        Flavour::Java(_) | Flavour::Ours | Flavour::Earlier(_) => four,
    }
}

/// Runs a test with a client that sent before and must be able to afterwards, on its old connection and on a new one.
fn unharmed(test: impl FnOnce(&Cluster)) {
    let cluster = Cluster::start(&[]);
    let mut other = Wire::connect(&cluster.broker.address()).unwrap();
    assert_eq!(other.ask(SEND, &send_fields(&[]), b"before").unwrap().code(), 0);
    let files = entries(cluster.path());
    test(&cluster);
    assert_eq!(
        other.ask(SEND, &send_fields(&[]), b"after").unwrap().code(),
        0,
        "another client was harmed"
    );
    let mut new = Wire::connect(&cluster.broker.address()).unwrap();
    assert_eq!(
        new.ask(SEND, &send_fields(&[]), b"after").unwrap().code(),
        0,
        "no new client is served"
    );
    assert_eq!(entries(cluster.path()), files, "files appeared outside the store");
    for process in [&cluster.broker.process, &cluster.namesrv.process] {
        let panics: Vec<String> = process
            .lines()
            .into_iter()
            .filter(|line| line.contains("panicked at"))
            .collect();
        assert!(panics.is_empty(), "{}: {panics:?}", process.name());
    }
    let queues = entries(&cluster.broker.store().join("consumequeue"));
    let known = [
        "BadInput",
        "SCHEDULE_TOPIC_XXXX",
        "RMQ_SYS_TRANS_HALF_TOPIC",
        "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    ];
    assert!(
        queues
            .iter()
            .all(|name| known.contains(&name.as_str()) || name.starts_with("rmq_sys_")),
        "{queues:?}"
    );
}

fn entries(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

fn bytes(total: u32, head: u32, rest: &[u8]) -> Vec<u8> {
    [&total.to_be_bytes()[..], &head.to_be_bytes(), rest].concat()
}

#[test]
fn broken_frames_close_their_connection() {
    unharmed(|cluster| {
        for address in [cluster.broker.address(), cluster.namesrv.address()] {
            for (what, frame) in [
                ("a length of nothing", bytes(0, 0, b"")),
                ("a length below the header's own", bytes(3, 0, b"")),
                ("a negative length", bytes(0x8000_0010, 0, b"{}")),
                ("longer than 16 MiB", bytes((16 << 20) + 1, 2, b"{}")),
                ("a header longer than the frame", bytes(6, 200, b"{}")),
                ("an unknown serialize type", bytes(6, 9 << 24 | 2, b"{}")),
                ("a header that is no JSON", bytes(14, 10, b"not json!!")),
                ("a JSON header that is no object", bytes(9, 5, b"[1,2]")),
                (
                    "a binary header that ends early",
                    bytes(8, 1 << 24 | 4, &[0, 10, 0, 1]),
                ),
                ("a binary header with a remark longer than itself", {
                    let header = [
                        &[0, 105, 0, 1, 0x99][..],
                        &7u32.to_be_bytes(),
                        &[0; 4],
                        &[0x7f, 0xff, 0xff, 0xff],
                    ]
                    .concat();
                    bytes(4 + header.len() as u32, 1 << 24 | header.len() as u32, &header)
                }),
                (
                    "another protocol",
                    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
                ),
            ] {
                let mut wire = Wire::connect(&address).unwrap();
                wire.write(&frame).unwrap();
                assert!(
                    wire.is_closed_within(WAIT),
                    "{what} did not close the connection to {address}"
                );
            }
        }
    });
}

#[test]
fn frames_may_come_in_any_pieces() {
    unharmed(|cluster| {
        let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
        let frame = frame(SEND, 41, &send_fields(&[]), b"in pieces");
        for byte in &frame {
            wire.write(&[*byte]).unwrap();
        }
        let answer = wire.read().unwrap();
        assert_eq!((answer.code(), answer.opaque()), (0, 41));
        // Many in one write, a part of the next in it too.
        let mut many = Vec::new();
        for opaque in 0..50 {
            many.extend(cluster::frame(SEND, opaque, &send_fields(&[]), b"many"));
        }
        let (first, second) = many.split_at(many.len() - 30);
        wire.write(first).unwrap();
        wire.write(second).unwrap();
        let opaques: BTreeSet<i64> = (0..50).map(|_| wire.read().unwrap().opaque()).collect();
        assert_eq!(opaques, (0..50).collect());
    });
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_frame() {
    unharmed(|cluster| {
        let whole = frame(SEND, 1, &send_fields(&[]), &[b'x'; 5000]);
        for cut in [1, 4, 7, 100, 4000] {
            let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
            wire.write(&whole[..cut]).unwrap();
        }
    });
}

#[test]
fn unknown_codes_are_answered() {
    unharmed(|cluster| {
        let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
        for code in [9999, 0, -1, 65_535] {
            let answer = wire.ask(code, &[], b"").unwrap();
            assert_eq!(answer.code(), 3, "{code}: {answer:?}");
            assert_eq!(answer.remark(), format!(" request type {code} not supported"));
        }
        if Flavour::from_env("E2E_NAMESRV") != Flavour::Java("4.9.7") {
            let mut wire = Wire::connect(&cluster.namesrv.address()).unwrap();
            assert_eq!(wire.ask(9999, &[], b"").unwrap().code(), 3);
        }
    });
}

#[test]
fn sends_that_cannot_be() {
    let long = "t".repeat(128);
    let properties = format!("KEYS\u{1}{}", "p".repeat(33_000));
    let big = vec![b'x'; (4 << 20) + 1];
    unharmed(|cluster| {
        let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
        let illegal = code(1, 29);
        for (what, replaced, body, expected) in [
            (
                "a slash in the topic",
                &[("topic", "a/b")][..],
                &b"x"[..],
                illegal,
            ),
            ("a way up", &[("topic", "..")], b"x", illegal),
            (
                "a longer way up",
                &[("topic", "../../../../tmp/e2e")],
                b"x",
                illegal,
            ),
            ("NUL in the topic", &[("topic", "a\0b")], b"x", illegal),
            ("a blank in the topic", &[("topic", "a b")], b"x", illegal),
            ("a topic of 128 letters", &[("topic", &long)], b"x", illegal),
            ("a topic of Chinese letters", &[("topic", "主题")], b"x", illegal),
            (
                "a topic that is the broker's own",
                &[("topic", "SCHEDULE_TOPIC_XXXX")],
                b"x",
                16,
            ),
            (
                "another of its own",
                &[("topic", "RMQ_SYS_TRANS_HALF_TOPIC")],
                b"x",
                16,
            ),
            (
                "a topic nobody may make",
                &[("topic", "Fresh"), ("defaultTopic", "Nowhere")],
                b"x",
                17,
            ),
            ("a queue that is not there", &[("queueId", "64")], b"x", illegal),
            ("a queue that is no number", &[("queueId", "first")], b"x", 1),
            ("no topic", &[("topic", "")], b"x", 1),
            ("no queue", &[("queueId", "")], b"x", 1),
            ("a body that is too long", &[], &big, 13),
            (
                "properties that are too long",
                &[("properties", &properties)],
                b"x",
                13,
            ),
            ("any queue", &[("queueId", "-1")], b"x", 0),
            (
                "properties without a value",
                &[("properties", "KEYS\u{2}\u{1}\u{1}\u{2}TAGS")],
                b"x",
                0,
            ),
            (
                "properties of separators",
                &[("properties", "\u{2}\u{2}\u{1}\u{1}\u{2}")],
                b"x",
                0,
            ),
            ("a field nobody knows", &[("surprise", "1")], b"x", 0),
        ] {
            let answer = wire.ask(SEND, &send_fields(replaced), body).unwrap();
            // Which of 5.x's codes a topic gets that is missing altogether is no promise of Java's.
            let same = answer.code() == expected || (expected == 1 && answer.code() == illegal);
            assert!(
                same,
                "{what}: {} instead of {expected}: {}",
                answer.code(),
                answer.remark()
            );
        }
    });
}

#[test]
fn pulls_that_cannot_be() {
    unharmed(|cluster| {
        let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
        let illegal = code(1, 29);
        for (what, replaced, expected) in [
            ("a queue below nothing", &[("queueId", "-1")][..], &[illegal][..]),
            ("a queue that is not there", &[("queueId", "1000")], &[illegal]),
            ("a topic that is not there", &[("topic", "Nowhere")], &[17]),
            ("a way up", &[("topic", "../../tmp")], &[17, illegal]),
            ("an offset below nothing", &[("queueOffset", "-5")], &[21]),
            (
                "an offset far beyond",
                &[("queueOffset", "9223372036854775807")],
                &[21],
            ),
            ("an offset that is no number", &[("queueOffset", "1x")], &[1]),
            (
                "no subscription and no consumer",
                &[("sysFlag", "0"), ("consumerGroup", "stranger")],
                &[24],
            ),
            ("no messages wanted", &[("maxMsgNums", "-1")], &[0, 1, 19, 20]),
        ] {
            let answer = wire.ask(PULL, &pull_fields(replaced), b"").unwrap();
            let code = answer.code();
            assert!(
                expected.contains(&code),
                "{what}: {code} instead of {expected:?}: {}",
                answer.remark()
            );
        }
    });
}

#[test]
fn routes_that_cannot_be() {
    unharmed(|cluster| {
        let mut wire = Wire::connect(&cluster.namesrv.address()).unwrap();
        for topic in ["Nowhere", "../../etc/passwd", "a\0b", ""] {
            let answer = wire.ask(ROUTE, &[("topic", topic)], b"").unwrap();
            assert_eq!(answer.code(), 17, "{topic:?}: {answer:?}");
        }
        let no_topic = wire.ask(ROUTE, &[], b"").unwrap();
        assert!([1, 17].contains(&no_topic.code()), "{no_topic:?}");
    });
}

/// A client that asks and never reads is not answered into memory without end, and what it held is given back.
#[test]
fn a_client_that_never_reads() {
    const CONFIG: i32 = 26;
    /// So many requests are some 80 MB, far more than the kernels of both ends keep; the answers to them would be ten gigabytes.
    const REQUESTS: usize = 1_000_000;
    unharmed(|cluster| {
        let mut greedy = Wire::connect(&cluster.broker.address()).unwrap();
        greedy.give_up_writing_after(Duration::from_secs(2));
        let request = frame(CONFIG, 1, &[], b"");
        let many = request.repeat(1000);
        let mut sent = 0;
        while sent < REQUESTS && greedy.write(&many).is_ok() {
            sent += 1000;
        }
        if Flavour::from_env("E2E_BROKER") == Flavour::Ours {
            let resident = cluster.broker.process.resident_kib().unwrap();
            assert!(
                sent < REQUESTS,
                "everything was read from a client that reads nothing"
            );
            assert!(resident < 150 << 10, "{resident} KiB");
        }
    });
}

/// Bytes at random, from a seed that is printed when they do harm.
#[test]
fn random_bytes() {
    unharmed(|cluster| {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..200 {
            let address = if round % 2 == 0 {
                cluster.broker.address()
            } else {
                cluster.namesrv.address()
            };
            let len = 1 + (next() % 600) as usize;
            let mut noise: Vec<u8> = (0..len).map(|_| (next() >> 32) as u8).collect();
            // Half of them with a length that fits, so that they get as far as the header.
            if round % 4 < 2 && noise.len() > 8 {
                let total = (noise.len() - 4) as u32;
                let head = ((next() % 2) as u32 * (1 << 24)) | (total - 4).min((next() % 300) as u32);
                noise[..4].copy_from_slice(&total.to_be_bytes());
                noise[4..8].copy_from_slice(&head.to_be_bytes());
            }
            let mut wire = Wire::connect(&address).unwrap();
            // The server may have closed it already.
            let _ = wire.write(&noise);
        }
    });
}
