//! Records what a Java broker stores and says about transactions: `record_transactions 4.9.7 > tests/golden/java-4.9.7/transactions.txt`.
//!
//! Lines of the output: `ANSWER step code remark`, `CHECK step queue-offset log-offset hex` (header and body of CHECK_TRANSACTION_STATE), and
//! at the end the records of the log, `RECORD hex`. Only one transaction is open at a time, so that the order is the same each time.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the tests")]
#![allow(clippy::disallowed_methods, reason = "it reads a Java broker's files")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cluster::{Answer, Cluster, Flavour, Wire};

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
    ("flag", "5"),
    ("reconsumeTimes", "0"),
    ("unitMode", "false"),
];

struct Recording {
    wire: Wire,
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
    fn say(step: &str, answer: &Answer) {
        println!(
            "ANSWER {step} {} {}",
            answer.code(),
            answer.remark().replace('\n', "\\n")
        );
    }

    /// Sends a half message; returns queue offset and log offset.
    fn half(&mut self, name: &str, more: &str) -> (String, String) {
        let born = now_ms();
        let text = format!(
            "KEYS\u{1}k{name}\u{2}TRAN_MSG\u{1}true\u{2}UNIQ_KEY\u{1}7F00000100002A139A5500000000{name}\u{2}WAIT\u{1}true\u{2}\
             PGROUP\u{1}tp\u{2}TAGS\u{1}TagA{more}"
        );
        let mut fields = HALF_FIELDS.to_vec();
        fields[6].1 = &born;
        fields.push(("properties", &text));
        let answer = self.wire.ask(SEND, &fields, name.as_bytes()).unwrap();
        Self::say(&format!("half-{name}"), &answer);
        println!("  {:?}", answer.header.get("extFields"));
        let id = answer.field("msgId").unwrap();
        let at = i64::from_str_radix(&id[16..], 16).unwrap();
        (answer.field("queueOffset").unwrap().to_owned(), at.to_string())
    }

    fn end(&mut self, step: &str, place: &(String, String), how: &str, group: &str, check: &str) {
        let fields = [
            ("producerGroup", group),
            ("tranStateTableOffset", place.0.as_str()),
            ("commitLogOffset", place.1.as_str()),
            ("commitOrRollback", how),
            ("fromTransactionCheck", check),
            ("msgId", "7F00000100002A139A5500000000X"),
        ];
        self.wire.wait_for_answers(Duration::from_secs(2));
        match self.wire.ask(END, &fields, b"") {
            Ok(answer) => Self::say(step, &answer),
            Err(_) => println!("ANSWER {step} none"),
        }
    }

    /// Waits for CHECK_TRANSACTION_STATE; returns the place that it names.
    fn check(&mut self, step: &str) -> (String, String) {
        self.wire.wait_for_answers(Duration::from_secs(20));
        loop {
            let asked = self.wire.read().unwrap();
            if asked.code() == CHECK {
                let place = ["tranStateTableOffset", "commitLogOffset"]
                    .map(|name| asked.field(name).unwrap().to_owned());
                println!(
                    "CHECK {step} {} {} {} {}",
                    place[0],
                    place[1],
                    asked.flag(),
                    hex(&asked.body)
                );
                println!("  {:?}", asked.header.get("extFields"));
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
        let a = self.half("A", "");
        self.end("wrong-group", &a, "8", "other", "false");
        self.end(
            "wrong-table-offset",
            &("7".to_owned(), a.1.clone()),
            "8",
            "tp",
            "false",
        );
        self.end(
            "no-record",
            &(a.0.clone(), "99999".to_owned()),
            "8",
            "tp",
            "false",
        );
        self.end(
            "no-record-rollback",
            &(a.0.clone(), "99999".to_owned()),
            "12",
            "tp",
            "false",
        );
        self.end("unknown", &a, "0", "tp", "false");
        self.end("absurd", &a, "5", "tp", "false");
        self.end("commit-A", &a, "8", "tp", "false");
        self.end("commit-A-again", &a, "8", "tp", "false");
        let b = self.half("B", "");
        self.end("rollback-B", &b, "12", "tp", "false");
        // One that is asked for.
        self.half("C", "");
        let c = self.check("C");
        self.end("commit-C", &c, "8", "tp", "true");
        // One that is given up.
        self.half("E", "");
        self.check("E1");
        self.check("E2");
        self.wait_for("TRANS_CHECK_MAX_TIME_TOPIC", 1);
        // One that is immune, and committed when it has been put back.
        let d = self.half("D", "\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}1000");
        let end = d.0.parse::<i64>().unwrap() + 2;
        self.wait_for(HALF, end);
        self.end("commit-D", &d, "8", "tp", "false");
        self.wait_for("Nothing", 0);
        std::thread::sleep(Duration::from_secs(6));
    }
}

fn records(store: &std::path::Path) {
    let mut files: Vec<_> = std::fs::read_dir(store.join("commitlog"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let log = std::fs::read(&files[0]).unwrap();
    let mut at = 0;
    loop {
        let len = i32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
        if len == 0 {
            return;
        }
        println!("RECORD {}", hex(&log[at..at + len]));
        at += len;
    }
}

fn main() {
    let version = std::env::args().nth(1).unwrap();
    let flavour = match version.as_str() {
        "4.9.7" => Flavour::Java("4.9.7"),
        "5.3.3" => Flavour::Java("5.3.3"),
        _ => Flavour::Ours,
    };
    let tuning = [
        ("transactionCheckInterval", "1500"),
        ("transactionTimeOut", "1000"),
        ("transactionCheckMax", "2"),
        ("waitTimeMillsInSendQueue", "20000"),
        ("transactionOpBatchInterval", "300"),
    ];
    let mut cluster = Cluster::of(Flavour::Ours, flavour, &tuning);
    let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
    wire.wait_for_answers(Duration::from_secs(20));
    Recording { wire }.run();
    cluster.broker.stop();
    records(&cluster.broker.store());
    for file in ["consumerOffset.json", "topics.json"] {
        let text = std::fs::read_to_string(cluster.broker.store().join("config").join(file)).unwrap();
        println!("FILE {file} {}", text.replace(['\n', '\t'], ""));
    }
}
