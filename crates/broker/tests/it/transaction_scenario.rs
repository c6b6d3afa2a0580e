//! What a producer does to a broker, so that what Java's brokers and ours store and say can be compared byte by byte. Only one
//! transaction is open at a time: the order is the same each time. The checks are set to two, and to follow soon.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use cluster::{Answer, Wire};

const SEND: i32 = 10;
const HEART_BEAT: i32 = 34;
const END: i32 = 37;
const MAX_OFFSET: i32 = 30;
const CHECK: i64 = 39;
const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const HALF_FIELDS: [(&str, &str); 10] = [
    ("producerGroup", "tp"),
    ("topic", "Trans"),
    ("defaultTopic", "TBW102"),
    ("defaultTopicQueueNums", "4"),
    ("queueId", "1"),
    ("sysFlag", "4"),
    ("bornTimestamp", ""),
    ("flag", ""),
    ("reconsumeTimes", "0"),
    ("unitMode", "false"),
];

/// One producer's connection, and what was said on it.
pub(crate) struct Recording {
    wire: Wire,
    said: Vec<String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn now_ms() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis().to_string()
}

impl Recording {
    /// Connects, and does everything. Returns a line for each answer and each question, and one for each record of the log.
    ///
    /// # Panics
    /// The broker is not there, or does not what it should.
    pub(crate) fn make(address: &str) -> Vec<String> {
        let mut wire = Wire::connect(address).unwrap();
        wire.wait_for_answers(Duration::from_secs(20));
        let mut recording = Recording {
            wire,
            said: Vec::new(),
        };
        recording.run();
        recording.said
    }

    fn say(&mut self, step: &str, answer: &Answer) {
        let remark = answer.remark().lines().next().unwrap_or_default();
        self.said
            .push(format!("ANSWER {step} {} {remark}", answer.code()));
    }

    /// Sends a half message; returns queue offset and log offset.
    fn half(&mut self, name: &str, flag: &str, more: &str) -> (String, String) {
        let born = now_ms();
        let text = format!(
            "KEYS\u{1}k{name}\u{2}TRAN_MSG\u{1}true\u{2}UNIQ_KEY\u{1}7F00000100002A139A5500000000{name}\u{2}WAIT\u{1}true\u{2}\
             PGROUP\u{1}tp\u{2}TAGS\u{1}TagA{more}"
        );
        let mut fields = HALF_FIELDS.to_vec();
        (fields[6].1, fields[7].1) = (&born, flag);
        fields.push(("properties", &text));
        let answer = self.wire.ask(SEND, &fields, name.as_bytes()).unwrap();
        self.say(&format!("half-{name}"), &answer);
        let id = answer.field("msgId").unwrap();
        let at = i64::from_str_radix(&id[16..], 16).unwrap();
        (answer.field("queueOffset").unwrap().to_owned(), at.to_string())
    }

    fn end(&mut self, step: &str, place: &(String, String), how: &str, group: &str) {
        let fields = [
            ("producerGroup", group),
            ("tranStateTableOffset", place.0.as_str()),
            ("commitLogOffset", place.1.as_str()),
            ("commitOrRollback", how),
            ("fromTransactionCheck", "false"),
            ("msgId", "7F00000100002A139A5500000000X"),
        ];
        let answer = self.wire.ask(END, &fields, b"").unwrap();
        self.say(step, &answer);
    }

    /// Waits for CHECK_TRANSACTION_STATE; returns the place that it names.
    fn check(&mut self, step: &str) -> (String, String) {
        self.wire.wait_for_answers(Duration::from_secs(20));
        loop {
            let asked = self.wire.read().unwrap();
            if asked.code() == CHECK {
                let place = ["tranStateTableOffset", "commitLogOffset"]
                    .map(|name| asked.field(name).unwrap().to_owned());
                let (queue, log, flag) = (&place[0], &place[1], asked.flag());
                let body = hex(&masked(&asked.body));
                self.said
                    .push(format!("CHECK {step} {queue} {log} {flag} {body}"));
                let [queue, log] = place;
                return (queue, log);
            }
        }
    }

    fn wait_for(&mut self, topic: &str, end: i64) {
        let started = Instant::now();
        self.wire.wait_for_answers(Duration::from_secs(20));
        loop {
            let answer = self
                .wire
                .ask(MAX_OFFSET, &[("topic", topic), ("queueId", "0")], b"")
                .unwrap();
            if answer
                .field("offset")
                .is_some_and(|offset| offset.parse::<i64>().unwrap() >= end)
            {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{topic} does not reach {end}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn run(&mut self) {
        let beat = r#"{"clientID":"c@1","consumerDataSet":[],"producerDataSet":[{"groupName":"tp"}]}"#;
        assert_eq!(self.wire.ask(HEART_BEAT, &[], beat.as_bytes()).unwrap().code(), 0);
        let a = self.half("A", "5", "");
        let other = |at: &str| (a.0.clone(), at.to_owned());
        self.end("wrong-group", &a, "8", "other");
        self.end("wrong-table-offset", &("7".to_owned(), a.1.clone()), "8", "tp");
        self.end("no-record", &other("99999"), "8", "tp");
        self.end("no-record-rollback", &other("99999"), "12", "tp");
        self.end("commit-A", &a, "8", "tp");
        let b = self.half("B", "5", "");
        self.end("rollback-B", &b, "12", "tp");
        // One that is asked for.
        self.half("C", "0", "");
        let c = self.check("C");
        self.end("commit-C", &c, "8", "tp");
        // One that is given up.
        self.half("E", "0", "");
        self.check("E1");
        self.check("E2");
        self.wait_for("TRANS_CHECK_MAX_TIME_TOPIC", 1);
        // One that is immune, until it is put back.
        let d = self.half("D", "0", "\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}1000");
        self.wait_for(HALF, d.0.parse::<i64>().unwrap() + 2);
    }
}

/// A record without what is another each time: times and hosts.
fn masked(record: &[u8]) -> Vec<u8> {
    let mut record = record.to_vec();
    record[40..72].fill(0);
    record
}

/// The records of the log's first file, up to the first that was put back for its immunity.
pub(crate) fn records(log_dir: &Path) -> Vec<String> {
    let log = std::fs::read(log_dir.join("00000000000000000000")).unwrap();
    let (mut rest, mut lines) = (&log[..], Vec::new());
    loop {
        let len = i32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        assert!(len > 0, "nothing was put back for its immunity");
        let record = hex(&masked(&rest[..len]));
        rest = &rest[len..];
        let is_last = record.contains(&hex(b"TRAN_PREPARED_QUEUE_OFFSET"));
        lines.push(format!("RECORD {record}"));
        if is_last {
            return lines;
        }
    }
}
