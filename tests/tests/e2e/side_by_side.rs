//! One session of every request of 4.9 against our broker and Java's: right, with each field missing, with each field absurd. The
//! codes of the answers are compared.

use crate::asks::{self, connect};
use cluster::{Broker, Cluster, Flavour, RequestCode, Wire, request_codes};
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests that a broker of 4.9 serves, but those that change what the session needs, or that tests of their own compare
/// (sends, pulls, transactions, access control).
const CODES: &[i32] = &[
    12, 14, 15, 17, 21, 26, 28, 29, 30, 31, 32, 33, 35, 36, 38, 43, 45, 200, 201, 202, 203, 204, 207, 208,
    215, 222, 223, 300, 303, 305, 306, 307, 308, 309, 314, 315, 316, 317, 321, 328, 329,
];

const QUERY_MESSAGE: i32 = 12;
const DELETE_GROUP: i32 = 207;
const DELETE_TOPIC: i32 = 215;
const RESET_OFFSET: i32 = 222;

/// Where the answers differ, and why that is so: request, what is wrong with it, Java's code, ours (-1: no answer).
const KNOWN: &[(&str, &str, i64, i64, &str)] = &[
    (
        "GET_BROKER_RUNTIME_INFO",
        "right",
        1,
        0,
        "Java has no samples in its first second",
    ),
    ("QUERY_CONSUME_QUEUE", "queueId=-7", 0, 1, ASKED_BEFORE),
    ("QUERY_CONSUME_QUEUE", "topic=", 0, 1, ASKED_BEFORE),
    ("QUERY_CONSUME_QUEUE", "count=absurd", 0, 1, NO_NUMBER),
    ("QUERY_CONSUME_QUEUE", "index=absurd", 0, 1, NO_NUMBER),
    ("QUERY_CONSUME_QUEUE", "queueId=absurd", 0, 1, NO_NUMBER),
    ("CLONE_GROUP_OFFSET", "without", 0, 1, NO_NAME),
    ("QUERY_CORRECTION_OFFSET", "without compareGroup", 0, 1, NO_NAME),
    ("QUERY_CONSUMER_OFFSET", "without consumerGroup", 0, 1, NO_NAME),
    ("QUERY_CONSUME_TIME_SPAN", "without group", 0, 1, NO_NAME),
    ("QUERY_MESSAGE", "without", 22, 1, NO_NAME),
    ("UPDATE_CONSUMER_OFFSET", "without", 0, 1, NO_NAME),
    ("UPDATE_CONSUMER_OFFSET", "commitOffset=-7", 0, 1, NEVER_USED),
    ("UPDATE_CONSUMER_OFFSET", "queueId=-7", 0, 1, NEVER_USED),
    ("UPDATE_AND_CREATE_TOPIC", "readQueueNums=-7", 0, 1, NEVER_USED),
    ("UPDATE_AND_CREATE_TOPIC", "writeQueueNums=-7", 0, 1, NEVER_USED),
    ("UPDATE_AND_CREATE_TOPIC", "topicSysFlag=absurd", 0, 1, NO_NUMBER),
    (
        "CONSUMER_SEND_MSG_BACK",
        "maxReconsumeTimes=absurd",
        0,
        1,
        NO_NUMBER,
    ),
    (
        "UPDATE_AND_CREATE_TOPIC",
        "without topicFilterType",
        1,
        0,
        "it is SINGLE_TAG then",
    ),
    (
        "QUERY_MESSAGE",
        "maxNum=-7",
        1,
        22,
        "Java's list has a negative size",
    ),
    ("UPDATE_AND_CREATE_TOPIC", "attributes=", 0, 1, OF_5),
    ("QUERY_CONSUMER_OFFSET", "setZeroIfNotFound=", 0, 22, OF_5),
    ("INVOKE_BROKER_TO_RESET_OFFSET", "queueId=", 206, 1, OF_5),
    ("INVOKE_BROKER_TO_RESET_OFFSET", "offset=", 206, 1, OF_5),
];
const NO_NAME: &str = "Java looks for something called null";
const ASKED_BEFORE: &str = "Java makes a queue that somebody asks about";
const NEVER_USED: &str = "Java keeps what nobody could ever use";
const NO_NUMBER: &str = "Java takes a number that is none for a missing one";
const OF_5: &str = "Java's 4.9 does not know the field";

/// How long Java may think. What it does not answer it never does.
const PATIENCE: Duration = Duration::from_secs(3);

fn right(field: &str, java_type: &str) -> &'static str {
    match (field, java_type) {
        ("topic" | "defaultTopic", _) => "Stock",
        ("srcGroup" | "group" | "consumerGroup" | "groupName" | "compareGroup" | "producerGroup", _) => {
            "readers"
        }
        ("destGroup", _) => "others",
        ("key", _) => "order1",
        ("statsName", _) => "TOPIC_PUT_NUMS",
        ("statsKey", _) => "Stock",
        ("clientID" | "clientId" | "clientAddr", _) => "nobody",
        ("topicFilterType", _) => "SINGLE_TAG",
        ("perm", _) => "6",
        ("readQueueNums" | "writeQueueNums", _) => "4",
        ("maxNum" | "count", _) => "10",
        ("endTimestamp", _) => "9000000000000",
        ("boundaryType", _) => "lower",
        ("setZeroIfNotFound", _) => "true",
        (_, "Boolean" | "boolean") => "false",
        (_, "String") => "",
        _ => "0",
    }
}

struct Session {
    address: String,
    wire: Wire,
    answers: BTreeMap<(String, String), (i64, String)>,
}

impl Session {
    fn new(broker: &Broker) -> Session {
        let mut wire = connect(broker);
        for number in 0..8 {
            let text = format!("KEYS\u{1}order{number}\u{2}TAGS\u{1}A\u{2}");
            let queue = (number % 4).to_string();
            assert_eq!(asks::send(&mut wire, "Stock", &queue, &text, b"x").code(), 0);
        }
        let by_key = [
            ("topic", "Stock"),
            ("key", "order1"),
            ("maxNum", "1"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "9000000000000"),
        ];
        asks::wait_until("the index is built", PATIENCE * 10, || {
            wire.ask(QUERY_MESSAGE, &by_key, b"").unwrap().code() == 0
        });
        wire.wait_for_answers(PATIENCE);
        Session {
            address: broker.address(),
            wire,
            answers: BTreeMap::new(),
        }
    }

    fn ask(&mut self, code: &RequestCode, what: String, fields: &[(&str, &str)]) {
        let answer = match self.wire.ask(code.code, fields, b"") {
            Ok(answer) => (
                answer.code(),
                answer.remark().lines().next().unwrap_or("").to_owned(),
            ),
            Err(_) => {
                self.wire = Wire::connect(&self.address).unwrap();
                self.wire.wait_for_answers(PATIENCE);
                (-1, String::new())
            }
        };
        self.answers.insert((code.name.to_owned(), what), answer);
    }

    fn run(&mut self) {
        let mut codes = request_codes();
        codes.retain(|code| CODES.contains(&code.code));
        // What deletes comes last.
        codes.sort_by_key(|code| (matches!(code.code, DELETE_GROUP | DELETE_TOPIC), code.code));
        for code in &codes {
            let all: Vec<(&str, &str)> = code
                .fields
                .iter()
                .map(|(field, java_type)| match (code.code, *field) {
                    // Whatever queue, whatever offset: the form of the tool of 4.9.
                    (RESET_OFFSET, "queueId" | "offset") => (*field, "-1"),
                    _ => (*field, right(field, java_type)),
                })
                .collect();
            self.ask(code, "right".to_owned(), &all);
            for (at, (field, _)) in code.fields.iter().enumerate() {
                let mut fields = all.clone();
                fields.remove(at);
                self.ask(code, format!("without {field}"), &fields);
                for absurd in ["absurd", "-7"] {
                    let mut fields = all.clone();
                    fields[at].1 = absurd;
                    self.ask(code, format!("{field}={absurd}"), &fields);
                }
            }
        }
    }
}

#[test]
fn ours_answers_as_java_does() {
    let mut answers = [Flavour::Ours, Flavour::Java("4.9.7")].map(|flavour| {
        let cluster = Cluster::of(flavour, flavour, &[]);
        let mut session = Session::new(&cluster.broker);
        session.run();
        session.answers
    });
    let java = std::mem::take(&mut answers[1]);
    let ours = std::mem::take(&mut answers[0]);
    assert!(java.len() > 200, "{}", java.len());
    let mut differences = Vec::new();
    for (key, java) in &java {
        let ours = &ours[key];
        let is_known = |known: &&(&str, &str, i64, i64, &str)| {
            (known.0, known.2, known.3) == (key.0.as_str(), java.0, ours.0) && key.1.starts_with(known.1)
        };
        if java.0 != ours.0 && KNOWN.iter().find(is_known).is_none() {
            differences.push(format!("{} {}: {java:?}, ours {ours:?}", key.0, key.1));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {}:\n{}",
        differences.len(),
        java.len(),
        differences.join("\n")
    );
}
