//! Every command of Java's mqadmin against our servers and against Java's: what it prints is compared, but for values of time and
//! size.

use crate::asks::{self, connect};
use crate::check::*;
use cluster::{Client, Cluster, Flavour, java_mqadmin_session};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How two outputs are compared.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum By {
    /// All lines, in any order: lists come from tables that have none.
    Lines,
    /// The names before `:` or `=`: what Java's server tells, ours tells, too. Values are sizes, times and paths.
    Names,
    /// What its lines are of, a topic and a group: the figures depend on when a broker takes its samples.
    Subjects,
    /// That neither is an error: everything it prints is a time.
    Success,
}

/// A command, and how its outputs are compared.
pub(crate) struct Step(pub(crate) &'static [&'static str], pub(crate) By);

/// `B`: the broker's address; `ID`: the id of the seventh message, `OFFSET_ID`, `QUEUE` and `OFFSET` its place; `C`: the id of the
/// consumer; `DIR`: a folder.
pub(crate) const STEPS: &[Step] = &[
    Step(
        &[
            "updateTopic",
            "-c",
            "DefaultCluster",
            "-t",
            "Made",
            "-r",
            "5",
            "-w",
            "3",
        ],
        By::Lines,
    ),
    Step(
        &[
            "updateTopic",
            "-b",
            "B",
            "-t",
            "Ordered",
            "-r",
            "2",
            "-w",
            "2",
            "-o",
            "true",
        ],
        By::Lines,
    ),
    Step(
        &["updateTopicPerm", "-b", "B", "-t", "Made", "-p", "4"],
        By::Lines,
    ),
    Step(
        &["updateTopicPerm", "-b", "B", "-t", "Made", "-p", "4"],
        By::Lines,
    ),
    Step(
        &["updateTopicPerm", "-c", "DefaultCluster", "-t", "Made", "-p", "6"],
        By::Lines,
    ),
    Step(&["topicRoute", "-t", "Made"], By::Lines),
    Step(&["topicRoute", "-t", "Made", "-l"], By::Lines),
    Step(&["topicRoute", "-t", "Unknown"], By::Lines),
    Step(&["topicStatus", "-t", "Stock"], By::Lines),
    Step(&["topicStatus", "-t", "Unknown"], By::Lines),
    Step(&["topicClusterList", "-t", "Stock"], By::Lines),
    Step(&["topicList"], By::Lines),
    Step(&["topicList", "-c"], By::Lines),
    Step(
        &["allocateMQ", "-t", "Made", "-i", "10.0.0.1,10.0.0.2"],
        By::Lines,
    ),
    Step(&["updateOrderConf", "-t", "Ordered", "-m", "get"], By::Lines),
    Step(
        &[
            "updateOrderConf",
            "-t",
            "Ordered",
            "-m",
            "put",
            "-v",
            "broker-a:2",
        ],
        By::Lines,
    ),
    Step(&["updateOrderConf", "-t", "Ordered", "-m", "delete"], By::Lines),
    Step(
        &[
            "updateSubGroup",
            "-c",
            "DefaultCluster",
            "-g",
            "made",
            "-r",
            "3",
            "-q",
            "2",
            "-s",
            "false",
        ],
        By::Lines,
    ),
    Step(&["getConsumerConfig", "-g", "made"], By::Lines),
    Step(&["getConsumerConfig", "-g", "unknown"], By::Lines),
    Step(
        &["updateKvConfig", "-s", "E2E", "-k", "key", "-v", "value"],
        By::Lines,
    ),
    Step(&["deleteKvConfig", "-s", "E2E", "-k", "key"], By::Lines),
    Step(&["clusterList"], By::Lines),
    Step(&["clusterList", "-m"], By::Names),
    Step(&["brokerStatus", "-b", "B"], By::Names),
    Step(&["brokerStatus", "-c", "DefaultCluster"], By::Names),
    Step(&["getBrokerConfig", "-b", "B"], By::Names),
    Step(&["getBrokerConfig", "-c", "DefaultCluster"], By::Names),
    Step(&["getNamesrvConfig"], By::Names),
    Step(
        &["updateNamesrvConfig", "-k", "orderMessageEnable", "-v", "false"],
        By::Lines,
    ),
    Step(
        &["updateBrokerConfig", "-b", "B", "-k", "traceOn", "-v", "true"],
        By::Lines,
    ),
    Step(
        &[
            "updateBrokerConfig",
            "-c",
            "DefaultCluster",
            "-k",
            "traceOn",
            "-v",
            "true",
        ],
        By::Lines,
    ),
    Step(&["queryMsgById", "-i", "OFFSET_ID"], By::Lines),
    Step(
        &["queryMsgById", "-i", "OFFSET_ID", "-g", "readers", "-d", "C"],
        By::Lines,
    ),
    Step(&["queryMsgByKey", "-t", "Stock", "-k", "order6"], By::Lines),
    Step(&["queryMsgByKey", "-t", "Stock", "-k", "none"], By::Lines),
    Step(&["queryMsgByUniqueKey", "-t", "Stock", "-i", "ID"], By::Lines),
    Step(
        &[
            "queryMsgByOffset",
            "-t",
            "Stock",
            "-b",
            "broker-a",
            "-i",
            "QUEUE",
            "-o",
            "OFFSET",
        ],
        By::Lines,
    ),
    Step(&["queryMsgTraceById", "-i", "ID"], By::Lines),
    Step(
        &[
            "queryCq", "-t", "Stock", "-q", "QUEUE", "-i", "0", "-c", "2", "-b", "B",
        ],
        By::Lines,
    ),
    Step(
        &[
            "queryCq", "-t", "Stock", "-q", "QUEUE", "-i", "0", "-c", "2", "-b", "B", "-g", "readers",
        ],
        By::Lines,
    ),
    Step(
        &["queryCq", "-t", "Stock", "-q", "9", "-i", "0", "-b", "B"],
        By::Lines,
    ),
    Step(&["printMsg", "-t", "Stock"], By::Lines),
    Step(
        &[
            "printMsgByQueue",
            "-t",
            "Stock",
            "-a",
            "broker-a",
            "-i",
            "QUEUE",
            "-f",
            "true",
            "-p",
            "true",
        ],
        By::Lines,
    ),
    Step(
        &[
            "consumeMessage",
            "-t",
            "Stock",
            "-b",
            "broker-a",
            "-i",
            "QUEUE",
            "-o",
            "0",
            "-c",
            "2",
            "-g",
            "looks",
        ],
        By::Lines,
    ),
    Step(
        &["producerConnection", "-g", "e2e_transactions", "-t", "Stock"],
        By::Lines,
    ),
    Step(&["producerConnection", "-g", "unknown", "-t", "Stock"], By::Lines),
    Step(&["producer", "-b", "B"], By::Lines),
    Step(&["consumerConnection", "-g", "readers"], By::Lines),
    Step(&["consumerConnection", "-g", "unknown"], By::Lines),
    Step(&["consumerProgress", "-g", "readers"], By::Lines),
    Step(&["consumerProgress", "-g", "readers", "-s", "true"], By::Lines),
    // Its list has the rates of the last minute, in whole numbers.
    Step(&["consumerProgress"], By::Success),
    Step(&["consumerStatus", "-g", "readers"], By::Lines),
    Step(&["consumerStatus", "-g", "readers", "-i", "C"], By::Names),
    Step(&["consumerStatus", "-g", "readers", "-i", "nobody"], By::Lines),
    Step(&["brokerConsumeStats", "-b", "B"], By::Lines),
    Step(&["statsAll", "-t", "Stock"], By::Subjects),
    Step(
        &["resetOffsetByTime", "-g", "readers", "-t", "Stock", "-s", "0"],
        By::Lines,
    ),
    Step(
        &["resetOffsetByTime", "-g", "looks", "-t", "Stock", "-s", "-1"],
        By::Lines,
    ),
    Step(
        &["skipAccumulatedMessage", "-g", "readers", "-t", "Stock"],
        By::Lines,
    ),
    Step(
        &[
            "cloneGroupOffset",
            "-s",
            "readers",
            "-d",
            "cloned",
            "-t",
            "Stock",
            "-o",
            "true",
        ],
        By::Lines,
    ),
    Step(&["wipeWritePerm", "-b", "broker-a"], By::Lines),
    Step(&["addWritePerm", "-b", "broker-a"], By::Lines),
    Step(&["cleanExpiredCQ", "-b", "B"], By::Lines),
    Step(&["cleanExpiredCQ", "-c", "DefaultCluster"], By::Lines),
    Step(&["deleteExpiredCommitLog", "-b", "B"], By::Lines),
    Step(&["cleanUnusedTopic", "-b", "B"], By::Lines),
    Step(
        &[
            "sendMessage",
            "-t",
            "Made",
            "-p",
            "body",
            "-k",
            "key",
            "-c",
            "tag",
            "-b",
            "broker-a",
            "-i",
            "1",
        ],
        By::Lines,
    ),
    Step(
        &["sendMsgStatus", "-b", "broker-a", "-s", "64", "-c", "2"],
        By::Success,
    ),
    Step(
        &["checkMsgSendRT", "-t", "Made", "-a", "3", "-s", "64"],
        By::Success,
    ),
    Step(&["exportMetadata", "-b", "B", "-f", "DIR"], By::Lines),
    Step(
        &["exportMetadata", "-c", "DefaultCluster", "-f", "DIR"],
        By::Lines,
    ),
    Step(&["exportConfigs", "-c", "DefaultCluster", "-f", "DIR"], By::Lines),
    Step(&["exportMetrics", "-c", "DefaultCluster", "-f", "DIR"], By::Lines),
    Step(&["deleteSubGroup", "-b", "B", "-g", "made"], By::Lines),
    Step(&["deleteTopic", "-c", "DefaultCluster", "-t", "Made"], By::Lines),
    Step(&["topicList"], By::Lines),
];

/// Commands that are not compared, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("startMonitoring", "runs for ever"),
    ("clusterRT", "runs for ever"),
    ("updateAclConfig", "access control has tests of its own"),
    ("deleteAclConfig", "access control has tests of its own"),
    ("clusterAclConfigVersion", "access control has tests of its own"),
    ("updateGlobalWhiteAddr", "access control has tests of its own"),
];

/// Commands of 5.x for what a broker of 4.9 does not have.
const OF_5: &[&str] = &[
    "updateTopicList",
    "updateSubGroupList",
    "setConsumeMode",
    "addBroker",
    "removeBroker",
    "resetMasterFlushOffset",
    "updateStaticTopic",
    "remappingStaticTopic",
    "exportMetadataInRocksDB",
    "exportPopRecord",
    "haStatus",
    "getSyncStateSet",
    "getBrokerEpoch",
    "getControllerMetaData",
    "getControllerConfig",
    "updateControllerConfig",
    "electMaster",
    "cleanBrokerMetadata",
    "dumpCompactionLog",
    "getColdDataFlowCtrInfo",
    "updateColdDataFlowCtrGroupConfig",
    "removeColdDataFlowCtrGroupConfig",
    "setCommitLogReadAheadMode",
    "createUser",
    "updateUser",
    "deleteUser",
    "getUser",
    "listUser",
    "copyUser",
    "createAcl",
    "updateAcl",
    "deleteAcl",
    "getAcl",
    "listAcl",
    "copyAcl",
    "rocksDBConfigToJson",
    "checkRocksdbCqWriteProgress",
];

/// The message that commands look for.
const SEVENTH: usize = 6;

/// Its id, as clients make them.
fn id(number: usize) -> String {
    format!("7F00000100002A9F18B4AAC2000000{number:02}")
}

/// Settings that Java prints and ours does not: numbers of its threads, and the old name of haMaxGapNotInSync.
pub(crate) const SETTINGS_OF_JAVA: &[&str] = &[
    "clientCallbackExecutorThreads",
    "endTransactionThreadPoolNums",
    "haSlaveFallbehindMax",
    "heartbeatThreadPoolNums",
    "processReplyMessageThreadPoolNums",
    "pullMessageThreadPoolNums",
    "putMessageFutureThreadPoolNums",
    "queryMessageThreadPoolNums",
    "sendMessageThreadPoolNums",
];

/// Servers with twenty messages, a consumer that has read them, and a producer.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    offset_id: String,
    consumer: Client,
    producer: Client,
}

impl Scene {
    pub(crate) fn new(flavour: Flavour) -> Scene {
        // Java makes the topic of half messages with its first check.
        let tuning = [("transactionCheckInterval", "3600000")];
        let cluster = Cluster::of(flavour, flavour, &tuning);
        let mut offset_id = String::new();
        let mut wire = connect(&cluster.broker);
        // The same places, ids and times everywhere.
        for number in 0..20 {
            let text = format!(
                "KEYS\u{1}order{number}\u{2}UNIQ_KEY\u{1}{}\u{2}TAGS\u{1}Paid\u{2}WAIT\u{1}true\u{2}",
                id(number)
            );
            let (queue, body) = ((number % 4).to_string(), format!("m-{number}"));
            let sent = asks::send(&mut wire, "Stock", &queue, &text, body.as_bytes());
            assert_eq!(sent.code(), 0, "{}", sent.remark());
            if number == SEVENTH {
                offset_id = sent.field("msgId").unwrap().to_owned();
            }
        }
        cluster.broker.wait_for_topic("Stock");
        let consumer = client(
            JAVA_4,
            &cluster,
            "consume",
            &[("topic", "Stock"), ("group", "readers")],
        );
        consumer.wait_count("received", 20, LONG);
        wait_until_told(&cluster.broker, "Stock", "readers");
        let producer = client(
            JAVA_4,
            &cluster,
            "transact",
            &[("topic", "Stock"), ("count", "0")],
        );
        Scene {
            offset_id,
            cluster,
            consumer,
            producer,
        }
    }

    pub(crate) fn words(&self, version: &str, client_id: &str, step: &Step) -> Vec<String> {
        let mut words = Vec::new();
        for word in step.0 {
            words.push(match *word {
                "B" => self.cluster.broker.address(),
                "ID" => id(SEVENTH),
                "OFFSET_ID" => self.offset_id.clone(),
                "QUEUE" => (SEVENTH % 4).to_string(),
                "OFFSET" => (SEVENTH / 4).to_string(),
                "C" => client_id.to_owned(),
                "DIR" => self.cluster.path().display().to_string(),
                word => word.to_owned(),
            });
        }
        // 5.x wants the topic, too.
        if words[0] == "queryMsgById" && version.starts_with("5.") {
            words.extend(["-t".to_owned(), "Stock".to_owned()]);
        }
        words
    }

    /// Waits until the consumer has said where it is in its retry topic. A client says that only after its first pull of it
    /// came back empty, 15 to 20 s after its start; progress is printed with that topic from then on.
    pub(crate) fn wait_for_retry_offset(&self) {
        const GET_CONSUME_STATS: i32 = 208;
        let mut wire = connect(&self.cluster.broker);
        let started = Instant::now();
        loop {
            let answer = wire
                .ask(GET_CONSUME_STATS, &[("consumerGroup", "readers")], b"")
                .unwrap();
            if String::from_utf8_lossy(&answer.body).contains("%RETRY%readers") {
                return;
            }
            assert!(started.elapsed() < LONG, "{:?}", &answer.body);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What each command printed.
    pub(crate) fn run(&self, version: &str) -> Vec<Vec<String>> {
        self.wait_for_retry_offset();
        let namesrv = self.cluster.namesrv.address();
        let run =
            |commands: &[Vec<String>]| java_mqadmin_session(version, self.cluster.path(), &namesrv, commands);
        let of_group = ["consumerConnection", "-g", "readers"]
            .map(str::to_owned)
            .to_vec();
        let listed = run(&[of_group]);
        let client_id = listed[0]
            .iter()
            .find_map(|line| line.split_whitespace().find(|word| word.contains("@")))
            .unwrap_or_else(|| panic!("{listed:?}"))
            .to_owned();
        let commands: Vec<Vec<String>> = STEPS
            .iter()
            .map(|step| self.words(version, &client_id, step))
            .collect();
        let said = run(&commands).into_iter();
        said.map(|lines| self.hide(&lines, &client_id)).collect()
    }

    /// Lines without what is of this scene alone.
    pub(crate) fn hide(&self, lines: &[String], client_id: &str) -> Vec<String> {
        let hide = |line: &String| {
            // A last line that has no end has the mark of the session behind it.
            let line = line
                .trim_end_matches("@@ end")
                .replace(&self.cluster.broker.address(), "BROKER")
                .replace(&self.cluster.namesrv.address(), "NAMESRV")
                .replace(client_id, "CLIENT")
                .replace("V4_9_7", "V4_9_8")
                // What 5.x's tool makes of what a broker of 4.9 does not say.
                .replace("trackType=UNKNOWN", "trackType=CONSUMED")
                .replace(&self.cluster.path().display().to_string(), "DIR");
            // Nor does it say that it is active.
            match line.contains("V4_9_8") {
                true => line
                    .trim_end_matches(" false")
                    .trim_end_matches(" true")
                    .to_owned(),
                false => line,
            }
        };
        lines.iter().map(hide).collect()
    }

    pub(crate) fn end(self) {
        self.consumer.stop();
        self.producer.stop();
    }
}

/// A word without what differs from run to run.
fn masked(word: &str) -> String {
    let bare = word.trim_matches(|c: char| "[](){},;\"".contains(c));
    let is_time = bare.len() >= 8 && bare.chars().all(|c| c.is_ascii_digit() || "-:,.#".contains(c));
    let is_number = bare.parse::<f64>().is_ok() && bare.contains(['.', 'E']);
    match () {
        // How long a consumer took, ms.
        () if bare.starts_with("spentTimeMills=") => word.replace(bare, "spentTimeMills=N"),
        () if bare.contains("127.0.0.1:") || bare.contains('@') => word.replace(bare, "ADDRESS"),
        () if is_time || is_number => word.replace(bare, "N"),
        () => masked_runs(word),
    }
}

/// Long numbers are times; longer ones in hexadecimal are ids.
fn masked_runs(word: &str) -> String {
    let (mut out, mut rest) = (String::new(), word);
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(char::is_ascii_hexdigit).count();
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let len = match (run, digits) {
            (16.., _) => run,
            (_, 9..) => digits,
            _ => 0,
        };
        if len > 0 {
            out.push('N');
            rest = &rest[len..];
        } else {
            // A run that is too short is passed as a whole: its end is no run of its own.
            let passed = run.max(first.len_utf8());
            out.push_str(&rest[..passed]);
            rest = &rest[passed..];
        }
    }
    out
}

pub(crate) fn comparable(lines: &[String], by: By) -> BTreeSet<String> {
    let lines = lines
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty());
    // Frames of a stack are not what a command tells.
    let lines = lines.filter(|line| !line.starts_with("at ") && !line.starts_with("..."));
    // Where to read more moved with the releases.
    let lines = lines.filter(|line| !line.starts_with("See http"));
    match by {
        By::Lines => lines
            .map(|line| line.split_whitespace().map(masked).collect::<Vec<_>>().join(" "))
            .collect(),
        By::Names => lines
            .filter_map(|line| {
                Some(
                    line.split_once([':', '='])?
                        .0
                        .split_whitespace()
                        .last()?
                        .to_owned(),
                )
            })
            .collect(),
        By::Subjects => lines
            .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
            .collect(),
        By::Success => lines
            .filter(|line| line.contains("Exception"))
            .map(str::to_owned)
            .collect(),
    }
}

/// Held by each comparison: eight virtual machines at once are too many.
static ALONE: Mutex<()> = Mutex::new(());

fn compare(version: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scenes = [Scene::new(Flavour::Ours), Scene::new(Flavour::Java("4.9.7"))];
    let [ours, java] = [&scenes[0], &scenes[1]].map(|scene| scene.run(version));
    let mut differences = Vec::new();
    for ((step, ours), java) in STEPS.iter().zip(ours).zip(java) {
        let (ours, java) = (comparable(&ours, step.1), comparable(&java, step.1));
        let is_lost = |line: &String| line.contains("not supported") || line.contains("NullPointerException");
        if java.iter().any(is_lost) {
            // The tool wants more than a broker of 4.9 has. Ours has it.
            if ours.iter().any(|line| line.contains("Exception")) {
                differences.push(format!("{:?}\n  ours: {ours:#?}", step.0));
            }
            continue;
        }
        let missing = java.difference(&ours);
        let missing: Vec<_> = missing
            .filter(|line| !SETTINGS_OF_JAVA.contains(&line.as_str()))
            .collect();
        let more: Vec<_> = match step.1 {
            By::Names => Vec::new(),
            _ => ours.difference(&java).collect(),
        };
        if !(missing.is_empty() && more.is_empty()) {
            differences.push(format!(
                "{:?}\n  Java alone: {missing:#?}\n  ours alone: {more:#?}",
                step.0
            ));
        }
    }
    for scene in scenes {
        scene.end();
    }
    assert!(
        differences.is_empty(),
        "{} of {}:\n{}",
        differences.len(),
        STEPS.len(),
        differences.join("\n")
    );
}

#[test]
fn java_4_tells_of_ours_what_it_tells_of_javas() {
    compare("4.9.8");
}

#[test]
fn java_5_tells_of_ours_what_it_tells_of_javas() {
    compare("5.3.3");
}

/// No command is forgotten.
#[test]
fn every_command_is_here() {
    let folder = tempfile::tempdir().unwrap();
    let run: BTreeSet<&str> = STEPS.iter().map(|step| step.0[0]).collect();
    let left_out: BTreeSet<&str> = LEFT_OUT
        .iter()
        .map(|(name, _)| *name)
        .chain(OF_5.iter().copied())
        .collect();
    for version in ["4.9.8", "5.3.3"] {
        let listed = java_mqadmin_session(version, folder.path(), "", &[Vec::new()]);
        let commands: Vec<&str> = listed[0]
            .iter()
            .filter_map(|line| line.strip_prefix("   ")?.split_whitespace().next())
            .collect();
        assert!(commands.len() > 50, "{listed:?}");
        for command in commands {
            assert!(
                run.contains(command) || left_out.contains(command),
                "{version}: {command}"
            );
        }
    }
}
