//! Every request code with fields and bodies that cannot be: missing, negative, huge, not numbers, names that are paths.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Process;
use crate::wire::{Wire, frame};

/// A request code of RocketMQ and the fields of its header.
#[derive(Clone, Debug)]
pub struct RequestCode {
    /// The code.
    pub code: i32,
    /// RocketMQ's name of it.
    pub name: &'static str,
    /// Field and Java type.
    pub fields: Vec<(&'static str, &'static str)>,
}

/// Every request code of 4.9.8 and 5.3.3.
///
/// # Panics
/// The table in this crate is damaged.
pub fn request_codes() -> Vec<RequestCode> {
    let lines = include_str!("request_codes.tsv").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('\t');
            let mut next = || columns.next().expect("code, name, fields");
            let code = next().parse().expect("a code is a number");
            let name = next();
            let fields = next().split_whitespace();
            let fields = fields
                .map(|field| field.split_once(':').expect("field:type"))
                .collect();
            RequestCode { code, name, fields }
        })
        .collect()
}

/// What a field is set to in turn.
const VALUES: [&str; 17] = [
    "",
    " ",
    "-1",
    "-2147483649",
    "-9223372036854775808",
    "2147483647",
    "9223372036854775807",
    "99999999999999999999",
    "1e309",
    "many",
    "../../escaped",
    "/tmp/escaped",
    "%RETRY%../escaped",
    "a/b",
    "nul\u{0}byte",
    "new\nline INFO forged",
    "名字",
];

/// Bytes of a huge field: more than any name may have, and few enough that all of them are soon sent.
const HUGE: usize = 256 << 10;
/// Requests that are under way at once.
const TOGETHER: usize = 64;
/// How long any answer may take. A debug build on a busy machine reads a huge body in seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A value that the server could make sense of.
fn plausible(field: &str, java_type: &str) -> &'static str {
    match (field, java_type) {
        ("suspendTimeoutMillis", _) => "100",
        (_, "String") => "plausible",
        (_, "Boolean" | "boolean") => "false",
        (_, "BoundaryType") => "lower",
        _ => "0",
    }
}

/// Bodies that no request can want, and those that some could if their names and numbers were others.
fn bodies() -> Vec<Vec<u8>> {
    let huge = "x".repeat(HUGE);
    let mut all: Vec<Vec<u8>> = [
        "",
        "{",
        "{}",
        "[]",
        "null",
        "0",
        "\u{0}",
        "=",
        "key=value\n",
        "configStorePath=../../escaped\nkvConfigPath=../../escaped\nbrokerConfigPath=../../escaped\n",
        "storePathRootDir=../../escaped\nstorePathCommitLog=../../escaped\n",
        "maxMessageSize=-1\n",
        "listenPort=many\n",
        r#"{"clientID":null,"producerDataSet":null,"consumerDataSet":[null]}"#,
        r#"{"topicConfigList":[null],"groupConfigList":[null],"subscriptionGroupConfigList":[null]}"#,
        r#"[{"groupName":null}]"#,
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    all.push(vec![0xFF; 1000]);
    // What a recursive reader would overflow its stack with.
    all.push(vec![b'['; 200_000]);
    all.push(r#"{"a":"#.repeat(100_000).into_bytes());
    for name in [
        "../../escaped",
        "/tmp/escaped",
        "",
        "nul\\u0000byte",
        huge.as_str(),
    ] {
        let topic = format!(r#"{{"topicName":"{name}","readQueueNums":1,"writeQueueNums":1,"perm":6}}"#);
        let group = format!(r#"{{"groupName":"{name}","retryQueueNums":-1}}"#);
        let queues = format!(
            r#"[{{"topic":"{name}","brokerName":"{name}","queueId":-1}},{{"topic":"{name}","brokerName":"broker-a","queueId":2147483647}}]"#
        );
        all.extend([
            topic.clone().into_bytes(),
            group.clone().into_bytes(),
            format!(r#"{{"topicConfigList":[{topic}],"groupConfigList":[{group}]}}"#).into_bytes(),
            format!(r#"{{"clientId":"{name}","consumerGroup":"{name}","mqSet":{queues}}}"#).into_bytes(),
            format!(
                r#"{{"clientID":"{name}","producerDataSet":[{{"groupName":"{name}"}}],"consumerDataSet":[{{"groupName":"{name}",
                "consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",
                "subscriptionDataSet":[{{"topic":"{name}","subString":"{name}","tagsSet":["{name}"],"codeSet":[1]}}]}}]}}"#
            )
            .into_bytes(),
            format!(r#"{{"offsetTable":{{"{name}":9223372036854775807}},"table":{{"{name}":"{name}"}}}}"#).into_bytes(),
        ]);
    }
    all
}

/// Asks one server, and demands one answer for each request.
#[derive(Debug)]
pub struct Asker {
    wire: Wire,
    next_opaque: i32,
    waiting: HashSet<i64>,
    asked: usize,
}

impl Asker {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens there.
    pub fn new(address: &str) -> Asker {
        let mut wire = Wire::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        wire.wait_for_answers(PATIENCE);
        Asker {
            wire,
            next_opaque: 1,
            waiting: HashSet::new(),
            asked: 0,
        }
    }

    /// Asks for this code in every absurd way.
    ///
    /// # Panics
    /// A request has no answer, or more than one, or the connection is closed.
    pub fn ask_absurdly(&mut self, code: &RequestCode) {
        let plain: Vec<(&str, &str)> = code
            .fields
            .iter()
            .map(|(field, java_type)| (*field, plausible(field, java_type)))
            .collect();
        self.ask(code, &[], b"");
        self.ask(code, &plain, b"");
        let huge = "x".repeat(HUGE);
        for at in 0..plain.len() {
            let mut fields = plain.clone();
            fields.remove(at);
            self.ask(code, &fields, b"");
            for value in VALUES.iter().chain([&huge.as_str()]) {
                let mut fields = plain.clone();
                fields[at].1 = value;
                self.ask(code, &fields, b"body");
            }
        }
        for body in bodies() {
            self.ask(code, &plain, &body);
        }
        self.settle(code, 0);
    }

    /// How many requests were answered.
    pub fn asked(&self) -> usize {
        self.asked
    }

    fn ask(&mut self, code: &RequestCode, fields: &[(&str, &str)], body: &[u8]) {
        let request = frame(code.code, self.next_opaque, fields, body);
        let large = request.len() > HUGE / 2;
        let written = self.wire.write(&request);
        written.unwrap_or_else(|error| panic!("{} {}: {error}", code.code, code.name));
        self.waiting.insert(self.next_opaque.into());
        self.next_opaque += 1;
        // Large ones one by one, or both sides could wait for the other to read.
        self.settle(code, if large { 0 } else { TOGETHER });
    }

    /// Reads until no more than so many requests are under way.
    fn settle(&mut self, code: &RequestCode, most: usize) {
        while self.waiting.len() > most {
            let answer = self.wire.read();
            let answer = answer.unwrap_or_else(|error| {
                let mut waiting: Vec<_> = self.waiting.iter().collect();
                waiting.sort();
                panic!(
                    "{} {}: {error}; without an answer: {waiting:?}",
                    code.code, code.name
                )
            });
            // The server may tell or ask something itself.
            if answer.flag() & 1 == 0 {
                continue;
            }
            let opaque = answer.opaque();
            assert!(
                self.waiting.remove(&opaque),
                "{} {}: an answer to {opaque} that nobody waits for: {:?}",
                code.code,
                code.name,
                answer.header
            );
            self.asked += 1;
        }
    }
}

/// Every path below a folder.
fn paths_below(dir: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
            all.insert(entry.path());
        }
    }
    all
}

/// A server that is asked absurdly, and what must stay as it is.
#[derive(Debug)]
pub struct Watched<'a> {
    process: &'a Process,
    dir: PathBuf,
    before: BTreeSet<PathBuf>,
    resident_kib: u64,
}

impl<'a> Watched<'a> {
    /// Notes what is in the folder and how much memory the server has now.
    ///
    /// # Panics
    /// The server has ended.
    pub fn new(process: &'a Process, dir: &Path) -> Watched<'a> {
        Watched {
            process,
            dir: dir.to_owned(),
            before: paths_below(dir),
            resident_kib: process.resident_kib().expect("the server runs"),
        }
    }

    /// Nothing is new in the folder but below what `may_grow` names, the server runs, has not panicked, and has grown by no more
    /// than so many MiB.
    ///
    /// # Panics
    /// One of these is not so.
    pub fn check(&self, may_grow: &[&Path], most_mib: u64) {
        let new: Vec<PathBuf> = paths_below(&self.dir)
            .difference(&self.before)
            .filter(|path| may_grow.iter().all(|grows| !path.starts_with(grows)))
            .cloned()
            .collect();
        assert!(new.is_empty(), "written outside: {new:?}");
        let escaped: Vec<PathBuf> = paths_below(&self.dir)
            .into_iter()
            .filter(|path| path.to_string_lossy().contains("escaped"))
            .collect();
        assert!(escaped.is_empty(), "a name became a path: {escaped:?}");
        assert!(!Path::new("/tmp/escaped").exists(), "a name became a path");
        let lines = self.process.lines();
        let panicked: Vec<_> = lines.iter().filter(|line| line.contains("panic")).collect();
        assert!(panicked.is_empty(), "{panicked:?}");
        let now = self.process.resident_kib().expect("the server runs");
        let grown_mib = now.saturating_sub(self.resident_kib) >> 10;
        assert!(grown_mib <= most_mib, "the server has grown by {grown_mib} MiB");
    }

    /// No request has written a line of the log.
    ///
    /// # Panics
    /// One has.
    pub fn check_log(&self) {
        let lines = self.process.lines();
        let forged: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("line INFO forged"))
            .collect();
        assert!(forged.is_empty(), "{forged:?}");
    }
}
