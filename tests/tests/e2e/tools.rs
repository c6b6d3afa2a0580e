//! Java's own administration tool against the servers.

use crate::check::*;
use cluster::{Cluster, java_mqadmin};

/// Runs a command; what it prints must have every part of `expected`.
fn run_command(version: &str, cluster: &Cluster, arguments: &[&str], expected: &[&str]) -> String {
    let said = java_mqadmin(version, cluster.path(), &cluster.namesrv.address(), arguments);
    for part in expected {
        assert!(said.contains(part), "{arguments:?} lacks {part:?}:\n{said}");
    }
    assert!(!said.contains("Exception"), "{arguments:?}:\n{said}");
    said
}

fn administers(version: &str) {
    let cluster = Cluster::start(&[]);
    let broker = cluster.broker.address();
    let run = |arguments: &[&str], expected: &[&str]| run_command(version, &cluster, arguments, expected);
    run(
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
        &[
            &format!("create topic to {broker} success."),
            "readQueueNums=5, writeQueueNums=3",
        ],
    );
    run(&["topicList"], &["Made", "TBW102"]);
    let route = run(
        &["topicRoute", "-t", "Made"],
        &["\"brokerName\":\"broker-a\"", &broker],
    );
    let route: String = route.split_whitespace().collect();
    assert!(
        route.contains("\"readQueueNums\":5,") && route.contains("\"writeQueueNums\":3"),
        "{route}"
    );

    let sent = send(
        JAVA_4,
        &cluster,
        &[("topic", "Made"), ("count", "30"), ("keys", "order")],
    );
    assert!(
        sent.iter().all(|event| event.queue < 3),
        "a queue that is not written was written"
    );
    let consumer = client(
        JAVA_4,
        &cluster,
        "consume",
        &[("topic", "Made"), ("group", "readers")],
    );
    consumer.wait_count("received", 30, LONG);

    run(&["consumerConnection", "-g", "readers"], &["Made", "CLUSTERING"]);
    run(
        &["brokerStatus", "-b", &broker],
        &["bootTimestamp", "msgPutTotalTodayNow", "commitLogMaxOffset"],
    );
    run(&["clusterList"], &["DefaultCluster", "broker-a", &broker]);
    consumer.stop();
    run(
        &["consumerProgress", "-g", "readers"],
        &["Made", "broker-a", "Diff Total: 0"],
    );

    run(
        &[
            "updateBrokerConfig",
            "-b",
            &broker,
            "-k",
            "autoCreateTopicEnable",
            "-v",
            "false",
        ],
        &["update broker config success"],
    );
    run(
        &["getBrokerConfig", "-b", &broker],
        &["autoCreateTopicEnable", "false", "brokerName", "broker-a"],
    );
    let refused = of(
        &client(JAVA_4, &cluster, "send", &[("topic", "Unmade")]).finish(LONG),
        "failed",
    );
    assert_eq!(refused.len(), 1);
    run(
        &[
            "updateBrokerConfig",
            "-b",
            &broker,
            "-k",
            "maxMessageSize",
            "-v",
            "64",
        ],
        &["update broker config success"],
    );
    run(
        &[
            "updateBrokerConfig",
            "-b",
            &broker,
            "-k",
            "defaultTopicQueueNums",
            "-v",
            "9",
        ],
        &["update broker config success"],
    );
    for said in [
        "maxMessageSize=64 is in force",
        "defaultTopicQueueNums=9 takes effect after a restart",
    ] {
        let log = &cluster.broker.process;
        log.wait_for(said, LONG, |line| line.contains(said).then_some(()));
    }
    let options = [("topic", "Made"), ("size", "65")];
    let refused = of(&client(JAVA_4, &cluster, "send", &options).finish(LONG), "failed");
    assert!(refused[0].error.contains("CODE: 13"), "{}", refused[0].error);

    run(
        &[
            "updateSubGroup",
            "-c",
            "DefaultCluster",
            "-g",
            "written",
            "-r",
            "3",
        ],
        &["written"],
    );
    run(
        &["updateKvConfig", "-s", "E2E", "-k", "key", "-v", "value"],
        &["success"],
    );
    run(
        &["wipeWritePerm", "-b", "broker-a"],
        &["wipe write perm of broker[broker-a]", "OK"],
    );
    run(
        &["addWritePerm", "-b", "broker-a"],
        &["add write perm of broker[broker-a]", "OK"],
    );
    run(
        &["deleteTopic", "-c", "DefaultCluster", "-t", "Made"],
        &["delete topic [Made] from NameServer success."],
    );
    let topics = run(&["topicList"], &["TBW102"]);
    assert!(!topics.lines().any(|line| line.trim() == "Made"), "{topics}");
}

#[test]
fn java_4_mqadmin() {
    administers("4.9.8");
}

#[test]
fn java_5_mqadmin() {
    administers("5.3.3");
}

/// Commands that look for single messages.
fn finds_messages(version: &str) {
    let cluster = Cluster::start(&[]);
    let run = |arguments: &[&str], expected: &[&str]| run_command(version, &cluster, arguments, expected);
    let sent = send(
        JAVA_4,
        &cluster,
        &[
            ("topic", "Found"),
            ("count", "20"),
            ("keys", "order"),
            ("tags", "Paid"),
        ],
    );
    let seventh = &sent[7];
    let (queue, offset) = (seventh.queue.to_string(), seventh.offset.to_string());
    let by_key = run(&["queryMsgByKey", "-t", "Found", "-k", "order7"], &[&seventh.id]);
    let line: Vec<&str> = by_key
        .lines()
        .find(|line| line.starts_with(&seventh.id))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(line, [&seventh.id, &queue, &offset], "{by_key}");
    assert!(!by_key.contains(&sent[8].id), "{by_key}");

    let labelled = [("Topic:", "Found"), ("Tags:", "[Paid]"), ("Keys:", "[order7]")];
    let shows = |said: &str| {
        let words: Vec<&str> = said.split_whitespace().collect();
        for (label, value) in labelled
            .iter()
            .chain(&[("ID:", queue.as_str()), ("Offset:", offset.as_str())])
        {
            assert!(
                words.windows(2).any(|pair| pair == [*label, *value]),
                "{label} {value}:\n{said}"
            );
        }
    };
    shows(&run(
        &["queryMsgByUniqueKey", "-t", "Found", "-i", &seventh.id],
        &[],
    ));
    // What the tool makes of QUERY_NOT_FOUND.
    let unknown = [
        "queryMsgByUniqueKey",
        "-t",
        "Found",
        "-i",
        "7F0000017C5118B4AAC2000000000000",
    ];
    let none = java_mqadmin(version, cluster.path(), &cluster.namesrv.address(), &unknown);
    assert!(
        none.contains("CODE: 208  DESC: query message by key finished, but no message."),
        "{none}"
    );
    // 4.9 knows no -t here.
    let topic: &[&str] = if version.starts_with("4.") {
        &[]
    } else {
        &["-t", "Found"]
    };
    shows(&run(
        &[&["queryMsgById", "-i", &seventh.offset_id], topic].concat(),
        &[],
    ));
    shows(&run(
        &[
            "queryMsgByOffset",
            "-t",
            "Found",
            "-b",
            "broker-a",
            "-i",
            &queue,
            "-o",
            &offset,
        ],
        &[],
    ));
    let printed = run(&["printMsg", "-t", "Found"], &[]);
    assert!(sent.iter().all(|event| printed.contains(&event.id)), "{printed}");
}

#[test]
fn java_4_mqadmin_finds_messages() {
    finds_messages("4.9.8");
}

#[test]
fn java_5_mqadmin_finds_messages() {
    finds_messages("5.3.3");
}
