//! The files under `config/`, as Java's broker wrote them (`tests/java/ConfigTool.java` made those in `tests/golden`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use broker::run::start;
use protocol::body::TopicConfig;
use protocol::body::broker::SubscriptionGroupConfig;
use protocol::code::{request, response};
use protocol::header::broker::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::*;
use crate::still::Still;

const VERSIONS: [&str; 2] = ["4.9.7", "5.3.3"];

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/java-{version}"))
}

/// Name to content.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn json(content: &[u8]) -> Value {
    protocol::body::read(content).unwrap()
}

/// A folder with a store that has nothing but these configuration files.
fn folder(files: &BTreeMap<String, Vec<u8>>) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("store/config");
    std::fs::create_dir_all(&config).unwrap();
    for (name, content) in files {
        std::fs::write(config.join(name), content).unwrap();
    }
    (dir, config)
}

/// Everything of `part` is in `whole`, at the same place.
fn assert_contains(whole: &Value, part: &Value, place: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, part) in part {
                // Ours leaves out a map without entries, which Java's readers take for the same.
                match whole.get(key) {
                    Some(whole) => assert_contains(whole, part, &format!("{place}.{key}")),
                    None => assert_eq!(part, &serde_json::json!({}), "{place}.{key} is gone"),
                }
            }
        }
        _ => assert_eq!(whole, part, "{place}"),
    }
}

/// delayOffset.json as it is right beside a log that is not there: a level that went on where it was would pass over all
/// messages until its new queue is as long as the old one.
fn from_the_start(content: &[u8]) -> Value {
    let mut file = json(content);
    for offset in file["offsetTable"].as_object_mut().unwrap().values_mut() {
        *offset = 0.into();
    }
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_javas_files_is_lost_when_tables_change() {
    for version in VERSIONS {
        let before = files(&golden(version));
        let (dir, config) = folder(&before);
        let fixture = Fixture::in_folder(dir, |_| {}).await;
        let topic = CreateTopicRequestHeader {
            topic: "New".into(),
            default_topic: None,
            read_queue_nums: 1,
            write_queue_nums: 1,
            perm: 6,
            topic_filter_type: None,
            topic_sys_flag: None,
            order: None,
            attributes: Some("+message.type=DELAY".into()),
        };
        // What a tool of 4.9 says of a topic: nothing of attributes.
        let orders = CreateTopicRequestHeader {
            topic: "Orders".into(),
            read_queue_nums: 6,
            attributes: None,
            ..topic.clone()
        };
        for header in [topic, orders] {
            let made = fixture.ask(request::UPDATE_AND_CREATE_TOPIC, &header, "").await;
            assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
        }
        let group = r#"{"groupName":"new","retryMaxTimes":5}"#;
        let made = fixture
            .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
            .await;
        assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
        let commit = UpdateConsumerOffsetRequestHeader {
            consumer_group: "group".into(),
            topic: "Orders".into(),
            queue_id: 1,
            commit_offset: 8,
        };
        fixture.ask(request::UPDATE_CONSUMER_OFFSET, &commit, "").await;
        let dir = fixture.stop().await;
        let after = files(&config);

        let is_5 = version.starts_with("5.");
        for (name, content) in &before {
            let Some(now) = after.get(name) else {
                panic!("{version}: {name} is gone");
            };
            let (mut then, changed) = match name.as_str() {
                "topics.json" => {
                    let mut then = json(content);
                    let orders = &mut then["topicConfigTable"]["Orders"];
                    // What Java's brokers make of such a request, too; but they take `order` away.
                    for (key, value) in [
                        ("readQueueNums", 6.into()),
                        ("topicFilterType", "SINGLE_TAG".into()),
                        ("topicSysFlag", 0.into()),
                        ("writeQueueNums", 1.into()),
                    ] {
                        orders[key] = value;
                    }
                    let made = &json(now)["topicConfigTable"]["New"]["attributes"]["message.type"];
                    assert_eq!(made, "DELAY");
                    (then, true)
                }
                "subscriptionGroup.json" => {
                    assert_eq!(json(now)["subscriptionGroupTable"]["new"]["retryMaxTimes"], 5);
                    (json(content), true)
                }
                "consumerOffset.json" => {
                    let mut then = json(content);
                    then["offsetTable"]["Orders@group"]["1"] = 8.into();
                    // Made from the others by Java, which does not read it.
                    then.as_object_mut().unwrap().remove("groupTopicMap");
                    (then, is_5)
                }
                "consumerFilter.json" => {
                    let mut then = json(content);
                    let filter = &mut then["filterDataByTopic"]["Orders"]["groupFilterData"]["group"];
                    let now = &json(now)["filterDataByTopic"]["Orders"]["groupFilterData"]["group"];
                    assert!(now["deadTime"].as_i64() >= filter["bornTime"].as_i64());
                    filter["dead"] = Value::Bool(true);
                    filter["deadTime"] = now["deadTime"].clone();
                    (then, false)
                }
                "delayOffset.json" => (from_the_start(content), is_5),
                // Nobody changed it, so nobody wrote it.
                _ => {
                    assert_eq!(now, content, "{version}: {name}");
                    continue;
                }
            };
            let now = json(now);
            if changed && then.get("dataVersion").is_some() {
                let (was, is) = (then["dataVersion"].take(), &now["dataVersion"]);
                assert!(
                    is["counter"].as_i64() > was["counter"].as_i64(),
                    "{version}: {name}"
                );
                if is_5 {
                    assert_eq!(is["stateVersion"], was["stateVersion"], "{name}");
                }
                then["dataVersion"] = is.clone();
            }
            assert_contains(&now, &then, &format!("{version} {name}"));
        }
        drop(dir);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_leaves_the_static_topics_and_the_offsets() {
    let (dir, config) = folder(&files(&golden("5.3.3")));
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    for topic in ["Mapped", "Orders"] {
        let header = TopicRequestHeader { topic: topic.into() };
        let deleted = fixture.ask(request::DELETE_TOPIC_IN_BROKER, &header, "").await;
        assert_eq!(deleted.code, response::SUCCESS);
    }
    let _dir = fixture.stop().await;
    let after = files(&config);
    let mappings = json(&after["topicQueueMapping.json"]);
    assert_eq!(mappings["topicQueueMappingInfoMap"], serde_json::json!({}));
    assert_eq!(mappings["dataVersion"]["counter"], 8);
    let offsets = json(&after["consumerOffset.json"]);
    let left: Vec<_> = offsets["offsetTable"].as_object().unwrap().keys().collect();
    assert_eq!(left, ["%RETRY%group@group"]);
}

/// Every file of JSON that 5.3.3 has.
fn names() -> impl Iterator<Item = (String, Vec<u8>)> {
    let binary = |name: &str| name == "timercheck" || name == "lmqConsumerOffset.json";
    files(&golden("5.3.3"))
        .into_iter()
        .filter(move |(name, _)| !binary(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_replaced_by_its_backup_and_kept_aside() {
    let mut on_disk = BTreeMap::new();
    for (name, content) in names() {
        on_disk.insert(format!("{name}.bak"), content.clone());
        on_disk.insert(name, content[..content.len() / 2].to_vec());
    }
    let (dir, config) = folder(&on_disk);
    let _dir = Fixture::in_folder(dir, |_| {}).await.stop().await;
    let after = files(&config);
    for (name, content) in names() {
        assert_eq!(after[&format!("{name}.damaged")], on_disk[&name], "{name}");
        // Tables that change by themselves are compared above.
        let same = |value: &Value| {
            [
                "offsetTable",
                "table",
                "topicQueueMappingInfoMap",
                "messageRequestModeMap",
                "timingCount",
                "transactionCount",
            ]
            .iter()
            .find_map(|key| value.get(key).cloned())
        };
        let now = json(&after[&name]);
        let then = match name.as_str() {
            "delayOffset.json" => from_the_start(&content),
            _ => json(&content),
        };
        assert_eq!(same(&now), same(&then), "{name}");
        assert_ne!(now, serde_json::json!({}), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_a_backup_lacks_are_made_again_where_messages_tell_of_them() {
    for left in [&b""[..], b"{ cut off", b"gone"] {
        let fixture = Fixture::new(|_| {}).await;
        for topic in ["First", "Last"] {
            let sent = fixture.send(&to(topic, 3, ""), topic.as_bytes()).await;
            assert_eq!(sent.code, response::SUCCESS);
        }
        let dir = fixture.stop().await;
        let path = dir.path().join("store/config/topics.json");
        let mut backup = json(&std::fs::read(&path).unwrap());
        let table = backup["topicConfigTable"].as_object_mut().unwrap();
        table.remove("Last").unwrap();
        std::fs::write(path.with_extension("json.bak"), backup.to_string()).unwrap();
        match left {
            b"gone" => std::fs::remove_file(&path).unwrap(),
            left => std::fs::write(&path, left).unwrap(),
        }
        let fixture = Fixture::in_folder(dir, |_| {}).await;
        for topic in ["First", "Last"] {
            let found = fixture.pull(&from(topic, 3, 0)).await;
            assert_eq!(found.code, response::SUCCESS, "{topic}: {:?}", found.remark);
            assert_eq!(records(&found.body)[0].body(), topic.as_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_backup_is_damaged_too_refuses_the_start_and_is_left_alone() {
    for (name, content) in names() {
        let on_disk = BTreeMap::from([
            (name.clone(), content[..content.len() / 2].to_vec()),
            (format!("{name}.bak"), b"[not an object]".to_vec()),
        ]);
        let (dir, config) = folder(&on_disk);
        let Err(error) = start(settings(&dir, cluster::free_port())).await else {
            panic!("{name}: the broker started");
        };
        let text = error.to_string();
        for part in [config.join(&name), config.join(format!("{name}.bak"))] {
            assert!(text.contains(&part.display().to_string()), "{text}");
        }
        assert_eq!(files(&config), on_disk, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_in_rocksdb_alone_refuse_the_start() {
    for (directory, file) in [
        ("topics", "topics.json"),
        ("subscriptionGroups", "subscriptionGroup.json"),
        ("consumerOffsets", "consumerOffset.json"),
        ("rdb", "consumerOffset.json"),
    ] {
        let mut on_disk = files(&golden("5.3.3"));
        let content = on_disk.remove(file).unwrap();
        let (dir, config) = folder(&on_disk);
        std::fs::create_dir(config.join(directory)).unwrap();
        std::fs::write(config.join(directory).join("CURRENT"), "MANIFEST-000005\n").unwrap();
        let Err(error) = start(settings(&dir, cluster::free_port())).await else {
            panic!("{directory}: the broker started");
        };
        let text = error.to_string();
        assert!(
            text.contains(&config.join(directory).display().to_string()),
            "{text}"
        );
        assert!(text.contains(&config.join(file).display().to_string()), "{text}");
        // With the file, the directory is left alone, as Java leaves it.
        std::fs::write(config.join(file), content).unwrap();
        Fixture::in_folder(dir, |_| {}).await.stop().await;
    }
}

/// A tool that is not Java's may write null for what it does not set, and so may a hand; Java's classes then keep their defaults.
#[test]
fn a_null_in_a_request_is_the_default_of_the_class() {
    let broker = Still::new(|_| {});
    let group = r#"{"groupName":"GROUP","retryQueueNums":null,"retryMaxTimes":null,"consumeEnable":null,
        "consumeBroadcastEnable":null,"consumeFromMinEnable":null,"notifyConsumerIdsChangedEnable":null,
        "whichBrokerWhenConsumeSlowly":null,"brokerId":null}"#;
    let one = group.replace("GROUP", "one");
    let list = format!(r#"{{"groupConfigList":[{}]}}"#, group.replace("GROUP", "listed"));
    let topic = r#"{"topicName":"NewTopic","readQueueNums":null,"writeQueueNums":null,"perm":null,"order":null,
        "topicFilterType":null,"topicSysFlag":null,"attributes":null}"#;
    let topics = format!(r#"{{"topicConfigList":[{topic}]}}"#);
    for (code, body) in [
        (request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, one),
        (request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, list),
        (request::UPDATE_AND_CREATE_TOPIC_LIST, topics),
    ] {
        let made = broker.ask(code, &(), body);
        assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
    }
    let groups = &broker.parts.tables.groups;
    for name in ["one", "listed"] {
        assert_eq!(*groups.get(name).unwrap(), default_group(name));
    }
    let made = broker.parts.tables.topics.get("NewTopic").unwrap();
    assert_eq!(*made, default_topic("NewTopic"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_in_a_file_is_the_default_of_the_class() {
    let nulls = BTreeMap::from([
        (
            "topics.json".to_owned(),
            br#"{"dataVersion":null,"topicConfigTable":{"Old":{"topicName":"Old","perm":null,"readQueueNums":null,
                "writeQueueNums":null,"order":null}}}"#
                .to_vec(),
        ),
        (
            "subscriptionGroup.json".to_owned(),
            br#"{"forbiddenTable":null,"subscriptionGroupTable":{"old":{"groupName":"old","consumeEnable":null,
                "retryQueueNums":null,"retryMaxTimes":"","whichBrokerWhenConsumeSlowly":null}}}"#
                .to_vec(),
        ),
    ]);
    let (dir, config) = folder(&nulls);
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    let dir = fixture.stop().await;
    let file = |name: &str| json(&std::fs::read(config.join(name)).unwrap());
    let topics = file("topics.json");
    assert_eq!(
        topics["topicConfigTable"]["Old"],
        serde_json::to_value(default_topic("Old")).unwrap()
    );
    let groups = file("subscriptionGroup.json");
    assert_eq!(
        groups["subscriptionGroupTable"]["old"],
        serde_json::to_value(default_group("old")).unwrap()
    );
    drop(dir);
}

fn default_group(name: &str) -> SubscriptionGroupConfig {
    SubscriptionGroupConfig {
        group_name: name.to_owned(),
        ..SubscriptionGroupConfig::default()
    }
}

fn default_topic(name: &str) -> TopicConfig {
    TopicConfig {
        topic_name: name.to_owned(),
        ..TopicConfig::default()
    }
}
