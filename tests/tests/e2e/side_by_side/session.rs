//! What is asked: every request right, with each field missing, with each field absurd, with each body absurd.

use super::answer::{self, Masks, Parts};
use crate::asks;
use cluster::{Answer, Cluster, RequestCode, Wire, request_codes};
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests that a broker of 4.9 serves, in the order in which they are asked: what only reads, what makes something, what ends it.
pub(super) const BROKER: &[i32] = &[
    21, 201, 26, 28, 43, 45, 305, 328, 317, 30, 31, 32, 29, 33, 12, 14, 11, 202, 203, 204, 38, 208, 300, 303,
    308, 315, 321, 307, 309, 223, 222, 46, 34, 10, 310, 320, 36, 37, 323, 324, 325, 15, 314, 41, 42, 17, 200,
    25, 50, 51, 52, 53, 306, 316, 329, 35, 207, 215,
];
/// The same of a name server.
pub(super) const NAMESRV: &[i32] = &[
    105, 106, 206, 224, 304, 311, 312, 313, 319, 100, 101, 219, 322, 103, 205, 327, 318, 216, 104, 102,
];

const QUERY_MESSAGE: i32 = 12;
const LISTS_AFTER: [i32; 2] = [201, 43];
const END_TRANSACTION: i32 = 37;
const RESET_OFFSET: i32 = 222;

/// How long Java may think. What it does not answer it never does.
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers by request and what is wrong with it.
pub(super) type Answers = BTreeMap<(String, String), Parts>;

const TAGGED: &str = "KEYS\u{1}order1\u{2}TAGS\u{1}A\u{2}";
const REPLY: &str = "REPLY_TO_CLIENT\u{1}nobody\u{2}CORRELATION_ID\u{1}7\u{2}";
const HALF: &str = "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}makers\u{2}";
const HEARTBEAT: &str = r#"{"clientID":"member","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",
    "consumeType":"CONSUME_PASSIVELY","groupName":"members","messageModel":"CLUSTERING","subscriptionDataSet":[
    {"classFilterMode":false,"codeSet":[65],"expressionType":"TAG","subString":"A","subVersion":1,"tagsSet":["A"],
    "topic":"Stock"}],"unitMode":false}],"producerDataSet":[{"groupName":"makers"}]}"#;
const QUEUES: &str = r#"{"clientId":"member","consumerGroup":"members",
    "mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"Stock"}]}"#;
const REGISTRATION: &str = r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":
    {"counter":5,"timestamp":1700000000000},"topicConfigTable":{"Far":{"order":false,"perm":6,"readQueueNums":8,
    "topicFilterType":"SINGLE_TAG","topicName":"Far","topicSysFlag":3,"writeQueueNums":8}}}}"#;

/// Stands for a topic that nobody has sent to: its queues are empty, whatever was refused before.
const FRESH: &str = "Fresh";

/// The letters of SEND_MESSAGE_V2.
const LETTERS: [&str; 14] = [
    "producerGroup",
    "topic",
    "defaultTopic",
    "defaultTopicQueueNums",
    "queueId",
    "sysFlag",
    "bornTimestamp",
    "flag",
    "properties",
    "reconsumeTimes",
    "unitMode",
    "maxReconsumeTimes",
    "batch",
    "bname",
];

fn right(code: i32, field: &str, java_type: &str) -> &'static str {
    let letter = field.bytes().next().filter(|_| field.len() == 1);
    let field = letter.map_or(field, |letter| LETTERS[usize::from(letter - b'a')]);
    match (code, field, java_type) {
        (324 | 325, "properties", _) => REPLY,
        (10 | 310 | 320 | 324 | 325, "topic", _) => FRESH,
        (320, "properties", _) => "",
        (320, "batch", _) => "true",
        (17, "topic", _) => "Made",
        (216, "topic", _) | (103 | 104 | 205 | 322 | 327, "topic", _) => "Far",
        (103 | 104 | 205 | 322 | 327, "brokerName", _) => "broker-b",
        (103 | 104 | 322, "brokerAddr", _) => "127.0.0.1:1",
        (103, "haServerAddr", _) => "127.0.0.1:2",
        (216, "clusterName", _) => "",
        (38 | 203, _, _) => "members",
        (204, _, _) => "makers",
        // Whatever queue, whatever offset: the form of the tool of 4.9.
        (RESET_OFFSET, "queueId" | "offset", _) => "-1",
        (100..=102 | 219, "namespace", _) => "space",
        (100..=102, "key", _) => "key",
        (100, "value", _) => "value",
        (36, "originTopic", _) => "Stock",
        (36, "maxReconsumeTimes", _) => "16",
        (36, "originMsgId", _) => "7F00000100002A9F0000000000000000",
        (35, "clientID", _) => "member",
        (35, "producerGroup", _) => "makers",
        (35, "consumerGroup", _) => "members",
        (11, "maxMsgNums", _) => "32",
        (11, "sysFlag", _) => "4",
        (11, "subscription", _) => "*",
        (11, "expressionType", _) => "TAG",
        (_, "commitOrRollback", _) => "8",
        (_, "properties", _) => TAGGED,
        (_, "bornTimestamp", _) => "1700000000000",
        (_, "topic", _) => "Stock",
        (_, "defaultTopic", _) => "TBW102",
        (_, "defaultTopicQueueNums", _) => "4",
        (_, "srcGroup" | "group" | "consumerGroup" | "groupName" | "compareGroup", _) => "readers",
        (_, "producerGroup", _) => "makers",
        (_, "destGroup", _) => "others",
        (_, "key", _) => "order1",
        (_, "statsName", _) => "TOPIC_PUT_NUMS",
        (_, "statsKey", _) => "Stock",
        (_, "clientID" | "clientId" | "clientAddr", _) => "nobody",
        (_, "topicFilterType", _) => "SINGLE_TAG",
        (_, "perm", _) => "6",
        (_, "readQueueNums" | "writeQueueNums", _) => "4",
        (_, "maxNum" | "count", _) => "10",
        (_, "endTimestamp", _) => "9000000000000",
        (_, "boundaryType", _) => "lower",
        (_, "setZeroIfNotFound", _) => "true",
        (_, "cluster" | "clusterName", _) => "DefaultCluster",
        (_, "brokerName", _) => "broker-a",
        (_, "accessKey" | "secretKey", _) => "12345678",
        (_, _, "Boolean" | "boolean") => "false",
        (_, _, "String") => "",
        _ => "0",
    }
}

fn right_body(code: i32) -> Option<Vec<u8>> {
    let text = match code {
        10 | 310 | 324 | 325 => "x",
        320 => return Some([entry(b"one"), entry(b"two")].concat()),
        25 => "maxTransferCountOnMessageInMemory=31",
        34 => HEARTBEAT,
        41 | 42 => QUEUES,
        46 => {
            r#"{"clientId":"member","group":"members","subscriptionData":{"expressionType":"SQL92","subString":"a > 1",
            "subVersion":1,"tagsSet":[],"codeSet":[],"topic":"Stock","classFilterMode":false}}"#
        }
        103 => REGISTRATION,
        200 => r#"{"groupName":"made","retryMaxTimes":3}"#,
        318 => "waitSecondsForService=45",
        322 => r#"{"counter":5,"timestamp":1700000000000}"#,
        _ => return None,
    };
    Some(text.as_bytes().to_vec())
}

/// An entry of a batch.
fn entry(body: &[u8]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).expect("short").to_be_bytes();
    let mut out = Vec::new();
    out.extend(word(4 * 5 + body.len() + 2));
    out.extend([0; 12]);
    out.extend(word(body.len()));
    out.extend(body);
    out.extend([0; 2]);
    out
}

/// A server that is asked.
pub(super) struct Session {
    address: String,
    wire: Wire,
    masks: Masks,
    answers: Answers,
}

impl Session {
    /// With the broker of a cluster, after some messages, members and offsets.
    pub(super) fn with_broker(cluster: &Cluster) -> Session {
        let mut session = Session::new(cluster, cluster.broker.address());
        let wire = &mut session.wire;
        asks::create_topic(wire, "Stock", "4");
        for number in 0..8 {
            let text = format!("KEYS\u{1}order{number}\u{2}TAGS\u{1}A\u{2}");
            let queue = (number % 4).to_string();
            assert_eq!(asks::send(wire, "Stock", &queue, &text, b"x").code(), 0);
        }
        let by_key = [
            ("topic", "Stock"),
            ("key", "order7"),
            ("maxNum", "1"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "9000000000000"),
        ];
        asks::wait_until("the index is built", PATIENCE * 10, || {
            wire.ask(QUERY_MESSAGE, &by_key, b"").unwrap().code() == 0
        });
        let beat = wire.ask(asks::HEART_BEAT, &[], HEARTBEAT.as_bytes()).unwrap();
        assert_eq!(beat.code(), 0, "{}", beat.remark());
        // Java has no samples in its first second.
        asks::wait_until("the broker tells its state", PATIENCE * 10, || {
            wire.ask(asks::RUNTIME_INFO, &[], b"").unwrap().code() == 0
        });
        session
    }

    /// With the name server of a cluster.
    pub(super) fn with_namesrv(cluster: &Cluster) -> Session {
        Session::new(cluster, cluster.namesrv.address())
    }

    fn new(cluster: &Cluster, address: String) -> Session {
        let mut wire = Wire::connect(&address).unwrap();
        wire.wait_for_answers(PATIENCE);
        let folder = cluster.path().display().to_string();
        let (broker, namesrv) = (cluster.broker.address(), cluster.namesrv.address());
        let masks = Masks::new(&broker, &namesrv, &folder, &wire);
        Session {
            address,
            wire,
            masks,
            answers: Answers::new(),
        }
    }

    fn raw(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let answer = self.wire.ask(code, fields, body).ok();
        if answer.is_none() {
            self.wire = Wire::connect(&self.address).unwrap();
            self.wire.wait_for_answers(PATIENCE);
            self.masks.add_client(&self.wire);
        }
        answer
    }

    fn ask(&mut self, code: &RequestCode, what: String, fields: &[(&str, &str)], body: &[u8]) {
        let half = (code.code == END_TRANSACTION).then(|| self.half_message());
        let fresh = format!("{FRESH}{}", self.answers.len());
        let mut fields = fields.to_vec();
        for (name, value) in &mut fields {
            if *value == FRESH {
                *value = &fresh;
            }
            if let (true, Some(half)) = (*value == "0", &half) {
                match *name {
                    "commitLogOffset" => *value = &half.log,
                    "tranStateTableOffset" => *value = &half.queue,
                    _ => {}
                }
            }
        }
        let parts = match self.raw(code.code, &fields, body) {
            Some(answer) => answer::parts(&answer, &self.masks),
            None => answer::none(),
        };
        self.answers.insert((code.name.to_owned(), what), parts);
    }

    /// Stores a half message: each can be ended once.
    fn half_message(&mut self) -> Half {
        let fields = [
            ("producerGroup", "makers"),
            ("topic", "Stock"),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", "0"),
            ("sysFlag", "4"),
            ("bornTimestamp", "1700000000000"),
            ("flag", "0"),
            ("properties", HALF),
            ("reconsumeTimes", "0"),
            ("unitMode", "false"),
        ];
        let answer = self.raw(asks::SEND, &fields, b"half").expect("an answer");
        assert_eq!(answer.code(), 0, "{}", answer.remark());
        let id = answer.field("msgId").expect("an id");
        let log = i64::from_str_radix(&id[16..], 16).expect("an id ends with an offset");
        Half {
            log: log.to_string(),
            queue: answer.field("queueOffset").expect("an offset").to_owned(),
        }
    }

    /// Asks for everything in `order`, and in the end for the tables.
    pub(super) fn run(mut self, order: &[i32]) -> Answers {
        let codes = request_codes();
        let find = |code: &i32| codes.iter().find(|known| known.code == *code);
        let of_order = |code| find(code).unwrap_or_else(|| panic!("{code} is in the table"));
        for code in order.iter().map(of_order) {
            self.ask_all(code);
        }
        for code in LISTS_AFTER
            .iter()
            .filter(|code| order.contains(code))
            .map(of_order)
        {
            self.ask(code, "afterwards".to_owned(), &[], b"");
        }
        self.answers
    }

    fn ask_all(&mut self, code: &RequestCode) {
        let all: Vec<(&str, &str)> = code
            .fields
            .iter()
            .map(|(field, java_type)| (*field, right(code.code, field, java_type)))
            .collect();
        let body = right_body(code.code);
        let bytes = body.as_deref().unwrap_or_default();
        self.ask(code, "right".to_owned(), &all, bytes);
        for (at, (field, _)) in code.fields.iter().enumerate() {
            let mut fields = all.clone();
            fields.remove(at);
            self.ask(code, format!("without {field}"), &fields, bytes);
            for absurd in ["absurd", "-7", "99999"] {
                let mut fields = all.clone();
                fields[at].1 = absurd;
                self.ask(code, format!("{field}={absurd}"), &fields, bytes);
            }
        }
        if body.is_some() {
            for absurd in ["", "absurd", "{}", "[]"] {
                self.ask(code, format!("body {absurd}"), &all, absurd.as_bytes());
            }
        }
    }
}

/// Where a half message is.
struct Half {
    log: String,
    queue: String,
}
