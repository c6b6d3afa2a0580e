//! The files under `config/` change hands: written by RocketMQ's own classes, kept and changed by our broker, read by theirs.
//!
//! (What ours makes of each file is the test `config_files` of the crate `broker`.)

use crate::asks::{PULL, QUERY_CONSUMER_OFFSET, pull_fields, send};
use crate::check::*;
use cluster::{Broker, Flavour, NameServer, Wire};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const COMMIT_OFFSET: i32 = 15;
const PULL_OFFSET_MOVED: i64 = 21;

/// What Java's classes find under `STORE/config`: file to content, as they print it.
fn java_reads(version: &str, store: &Path) -> BTreeMap<String, Value> {
    let tool = cluster::repository().join("crates/broker/tests/java/ConfigTool.java");
    let mut command = cluster::java(&cluster::java_servers(version), store);
    command.arg(tool).arg("read").arg(store);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(name, _)| !name.contains(' '))
        .map(|(name, table)| {
            let strict =
                protocol::body::read(table.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}: {table}"));
            (name.to_owned(), strict)
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn change_hands(version: &str, files: usize) {
    let golden = cluster::repository().join(format!("crates/broker/tests/golden/java-{version}"));
    let dir = tempfile::tempdir().unwrap();
    // Java's classes may write what they read, so they get a copy.
    copy(&golden, &dir.path().join("before/config"));
    let before = java_reads(version, &dir.path().join("before"));
    assert_eq!(before.len(), files, "{:?}", before.keys());

    copy(&golden, &dir.path().join("broker-a/store/config"));
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let mut broker = Broker::start(Flavour::Ours, dir.path(), "broker-a", &namesrv.address(), &[]);
    let address = namesrv.address();
    let options = [
        ("ns", address.as_str()),
        ("topic", "Fresh"),
        ("count", "8"),
        ("group", "fresh"),
    ];
    cluster::Client::start(JAVA_4, dir.path(), "send", &options).finish(LONG);
    let consumer = cluster::Client::start(JAVA_4, dir.path(), "consume", &options);
    consumer.wait_count("received", 8, LONG);
    consumer.stop();
    broker.stop();
    let after = java_reads(version, &broker.store());

    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    // How far a consumer says it is when it stops is its own business; that it said so of each queue is what was written.
    let committed = &after["consumerOffset.json"]["offsetTable"]["Fresh@fresh"];
    let queues: Vec<&String> = committed.as_object().unwrap().keys().collect();
    assert_eq!(queues, ["0", "1", "2", "3"]);
    assert_eq!(
        after["topics.json"]["topicConfigTable"]["Fresh"]["writeQueueNums"],
        4
    );
    for (name, before) in &before {
        let after = &after[name];
        let tables: &[&str] = match name.as_str() {
            "topics.json" => &["topicConfigTable"],
            "subscriptionGroup.json" => &["subscriptionGroupTable", "forbiddenTable"],
            "consumerOffset.json" => &["offsetTable"],
            "consumerFilter.json" => {
                let filter = |table: &Value| {
                    let mut filter = table["filterDataByTopic"]["Orders"]["groupFilterData"]["group"].clone();
                    filter["deadTime"].take();
                    filter
                };
                assert_eq!(filter(after)["expression"], "a > 1 AND b IS NOT NULL");
                assert_eq!(filter(after), filter(before));
                continue;
            }
            "delayOffset.json" => {
                // The log these offsets belong to is not here: each level begins where its queue does.
                let levels = before["offsetTable"].as_object().unwrap();
                let from_the_start: BTreeMap<&String, i64> = levels.keys().map(|level| (level, 0)).collect();
                assert_eq!(
                    after["offsetTable"],
                    serde_json::json!(from_the_start),
                    "{version}"
                );
                continue;
            }
            "lmqConsumerOffset.json" => &["lmqOffsetTable", "offsetTable"],
            _ => {
                assert_eq!(after, before, "{version} {name}");
                continue;
            }
        };
        for table in tables {
            let (after, before) = (&after[table], &before[table]);
            for (key, before) in before.as_object().into_iter().flatten() {
                assert_eq!(&after[key], before, "{version} {name} {table} {key}");
            }
        }
    }
}

#[test]
fn java_4_9_reads_the_tables_we_changed() {
    change_hands("4.9.7", 6);
}

#[test]
fn java_5_3_reads_the_tables_we_changed() {
    change_hands("5.3.3", 12);
}

/// `config/` was not mounted, or not restored: nothing else would say so. What was sent can be read all the same.
#[test]
fn a_start_without_the_topics_that_have_messages_makes_them_again() {
    let mut cluster = cluster::Cluster::start(&[("autoCreateTopicEnable", "true")]);
    let send = |cluster: &cluster::Cluster| {
        let address = cluster.namesrv.address();
        let options = [("ns", address.as_str()), ("topic", "Mounted"), ("count", "8")];
        cluster::Client::start(JAVA_4, cluster.path(), "send", &options).finish(LONG);
    };
    send(&cluster);
    cluster.broker.restart();
    let named = |line: &str| {
        line.contains("topics.json is missing")
            .then(|| line.contains("Mounted"))
    };
    assert!(
        !cluster
            .broker
            .process
            .lines()
            .iter()
            .any(|line| named(line).is_some())
    );
    assert!(cluster.broker.stop().success());
    std::fs::remove_dir_all(cluster.broker.store().join("config")).unwrap();
    cluster.broker.restart();
    let is_named = cluster.broker.process.wait_for("a line", LONG, named);
    assert!(is_named);
    let address = cluster.namesrv.address();
    let options = [("ns", address.as_str()), ("topic", "Mounted"), ("group", "reads")];
    let consumer = cluster::Client::start(JAVA_4, cluster.path(), "consume", &options);
    consumer.wait_count("received", 8, LONG);
    consumer.stop();
}

/// No server changes the offsets of consumers when it starts: one behind the end of its queue is told as it is, and the pull from there
/// names the end.
#[test]
fn consumer_offsets_behind_the_end_are_left_as_they_are_at_a_start() {
    for flavour in [Flavour::Ours, Flavour::Java("4.9.7"), Flavour::Java("5.3.3")] {
        let dir = tempfile::tempdir().unwrap();
        let namesrv = NameServer::start(Flavour::Ours, dir.path());
        let mut broker = Broker::start(flavour, dir.path(), "broker-a", &namesrv.address(), &[]);
        let queue = [("consumerGroup", "asks"), ("topic", "Ahead"), ("queueId", "0")];
        let mut wire = Wire::connect(&broker.address()).unwrap();
        for body in [b"0", b"1", b"2"] {
            assert_eq!(send(&mut wire, "Ahead", "0", "", body).code(), 0);
        }
        // 5.x takes offsets of groups alone that it knows: the first pull makes one.
        wire.ask(PULL, &pull_fields("Ahead", "0", "0"), b"").unwrap();
        let commit = [&queue[..], &[("commitOffset", "2")]].concat();
        let committed = wire.ask(COMMIT_OFFSET, &commit, b"").unwrap();
        assert_eq!(committed.code(), 0, "{flavour:?}: {}", committed.remark());
        broker.stop();
        let file = broker.store().join("config/consumerOffset.json");
        let of_file = || {
            let text = std::fs::read(&file).unwrap();
            let table: Value = protocol::body::read(&text).unwrap();
            table["offsetTable"]["Ahead@asks"]["0"].clone()
        };
        assert_eq!(of_file(), 2, "{flavour:?}");
        let text = r#"{"offsetTable":{"Ahead@asks":{0:9}}}"#;
        std::fs::write(&file, text).unwrap();
        broker.restart();
        let mut wire = Wire::connect(&broker.address()).unwrap();
        let answer = wire.ask(QUERY_CONSUMER_OFFSET, &queue, b"").unwrap();
        assert_eq!(answer.field("offset"), Some("9"), "{flavour:?}");
        let pulled = wire.ask(PULL, &pull_fields("Ahead", "0", "9"), b"").unwrap();
        let told = (pulled.code(), pulled.field("nextBeginOffset"));
        assert_eq!(told, (PULL_OFFSET_MOVED, Some("3")), "{flavour:?}");
        broker.stop();
        assert_eq!(of_file(), 9, "{flavour:?}");
    }
}
