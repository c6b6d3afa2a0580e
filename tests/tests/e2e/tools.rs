//! Java's own administration tool against the servers.

use crate::check::*;
use cluster::{Cluster, java_mqadmin};

fn administers(version: &str) {
    let cluster = Cluster::start(&[]);
    let broker = cluster.broker.address();
    let run = |arguments: &[&str], expected: &[&str]| {
        let said = java_mqadmin(version, cluster.path(), &cluster.namesrv.address(), arguments);
        for part in expected {
            assert!(said.contains(part), "{arguments:?} lacks {part:?}:\n{said}");
        }
        assert!(!said.contains("Exception"), "{arguments:?}:\n{said}");
        said
    };
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
