//! What operators' hands do: terminals that close, variables that are missing, settings that cannot work, and what the log
//! says of it all.

use crate::asks::*;
use crate::first_hour::Machine;
use cluster::{Cluster, Flavour, Wire};
use std::fs;
use std::process::Command;
use std::time::Duration;

const CREATE_TOPICS: i32 = 18;
const GROUP: i32 = 200;
const DELETE_GROUP: i32 = 207;
const DELETE_TOPIC: i32 = 215;

/// Without HOME the store is where the password database says that home is, and nothing is made where one happens to stand.
#[test]
fn without_home_the_store_is_in_the_users_home() {
    let ran = Machine::new().run(
        r#"
        mkdir /usr/local/work
        cd /usr/local/work
        env -u HOME -u ROCKETMQ_LOG_TO /usr/local/rocketmq/lib/broker --log-to stdout >/root/broker 2>&1 &
        wait_for "boot success" /root/broker
        kill $!
        wait $! || true
        echo "here: [$(ls /usr/local/work)]"
        ls /root/store
        "#,
    );
    ran.has(&["here: []", "commitlog"]);
}

/// A standard output that takes nothing.
#[test]
fn a_full_or_closed_standard_output_ends_no_server() {
    let ran = Machine::new().run(
        r#"
        cd /usr/local/rocketmq/bin
        sh mqnamesrv >/dev/full 2>&1 &
        sh mqbroker -n 127.0.0.1:9876 >/dev/full 2>&1 &
        wait_for "boot success" /root/logs/rocketmqlogs/namesrv.log
        wait_for "boot success" /root/logs/rocketmqlogs/broker.log
        NAMESRV_ADDR=127.0.0.1:9876 sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        sh mqshutdown broker
        rm /root/logs/rocketmqlogs/broker.log
        (sh mqbroker -n 127.0.0.1:9876; echo "ended with $?" >/root/ended) | true &
        wait_for "boot success" /root/logs/rocketmqlogs/broker.log
        NAMESRV_ADDR=127.0.0.1:9876 sh tools.sh org.apache.rocketmq.example.quickstart.Producer
        sh mqshutdown broker
        wait_for "ended with 0" /root/ended
        "#,
    );
    assert_eq!(ran.count("sendStatus=SEND_OK"), 2000, "{}", ran.text);
}

fn ask(wire: &mut Wire, code: i32, fields: &[(&str, &str)], body: &str) {
    let answer = wire.ask(code, fields, body.as_bytes()).unwrap();
    assert_eq!(answer.code(), 0, "{code}: {}", answer.remark());
}

/// Who made, changed and deleted what is in the log, with the address that it came from.
#[test]
fn what_is_made_and_deleted_leaves_a_line_with_the_callers_address() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    let process = &cluster.broker.process;
    let mut said = |what: &str, act: &mut dyn FnMut(&mut Wire)| {
        let before = process.lines().len();
        act(&mut wire);
        process.wait_until(what, Duration::from_secs(20), |lines| {
            let line = lines[before..]
                .iter()
                .find(|line| line.contains("Named_") && line.contains("127.0.0.1:"));
            line.map(|_| ())
        });
    };
    said("a topic is made", &mut |wire| {
        create_topic(wire, "Named_topic", "4")
    });
    said("a topic is changed", &mut |wire| {
        create_topic(wire, "Named_topic", "8")
    });
    said("a topic of a list is made", &mut |wire| {
        let list = r#"{"topicConfigList":[{"topicName":"Named_in_list","readQueueNums":4,"writeQueueNums":4,"perm":6}]}"#;
        ask(wire, CREATE_TOPICS, &[], list)
    });
    said("a topic is made by a send", &mut |wire| {
        assert_eq!(send(wire, "Named_by_send", "0", "", b"x").code(), 0);
    });
    let group = |retries: i32| {
        format!(r#"{{"groupName":"Named_group","consumeEnable":true,"retryMaxTimes":{retries}}}"#)
    };
    said("a group is made", &mut |wire| ask(wire, GROUP, &[], &group(3)));
    said("a group is changed", &mut |wire| ask(wire, GROUP, &[], &group(4)));
    said("a group is deleted", &mut |wire| {
        ask(wire, DELETE_GROUP, &[("groupName", "Named_group")], "")
    });
    said("a topic is deleted", &mut |wire| {
        ask(wire, DELETE_TOPIC, &[("topic", "Named_topic")], "")
    });
}

/// What works in part is told with its line, and starts: guides and Java's files have it.
#[test]
fn the_check_tells_what_works_only_in_part() {
    let dir = tempfile::tempdir().unwrap();
    for text in [
        "brokerIP1=*.*.*.*\n",
        "inSyncReplicas=1\nbrokerRole=SYNC_MASTER\n",
    ] {
        let (success, said) = check(dir.path(), text);
        assert!(success && said.contains("broker.conf:1:"), "{text}: {said}");
    }
}

/// What `--check-config` says of a file with this text, and whether it passes.
fn check(dir: &std::path::Path, text: &str) -> (bool, String) {
    let file = dir.join("broker.conf");
    fs::write(&file, text).unwrap();
    let output = Command::new(cluster::our_program("broker"))
        .arg("-c")
        .arg(&file)
        .arg("--check-config")
        .env("HOME", dir)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Whatever the start refuses, the check refuses; and both refuse what cannot work.
#[test]
fn the_check_refuses_what_can_not_work() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().display();
    fs::write(dir.path().join("file"), "").unwrap();
    let mut passed = Vec::new();
    for text in [
        "brokerName=broker-a # the first one\n".to_owned(),
        "namesrvAddr=127.0.0.1:9876,127.0.0.2:9876\n".to_owned(),
        "namesrvAddr=http://127.0.0.1:9876\n".to_owned(),
        "namesrvAddr=127.0.0.1\n".to_owned(),
        "brokerIP1=1.2.3\n".to_owned(),
        "listenPort=10911\nhaListenPort=10911\n".to_owned(),
        "listenPort=10911\nhaListenPort=10909\n".to_owned(),
        "listenPort=1\n".to_owned(),
        "listenPort=65535\n".to_owned(),
        "listenPort=70000\n".to_owned(),
        "mappedFileSizeCommitLog=100\n".to_owned(),
        format!("storePathRootDir={root}/file\n"),
        format!("storePathRootDir={root}/file/below\n"),
        "storePathRootDir=/proc/store\n".to_owned(),
        "flushDiskType=SYNC_MASTER\n".to_owned(),
        "namesrvAddr=*.*.*.*:9876\n".to_owned(),
        "namesrvAddr=x.x.x.x:9876\n".to_owned(),
        "namesrvAddr=${ip}:9876\n".to_owned(),
        "namesrvAddr=<ip>:9876\n".to_owned(),
        "brokerIP1=<ip>\n".to_owned(),
        "maxMessageSize=33554432\n".to_owned(),
    ] {
        let (success, said) = check(dir.path(), &text);
        // The line that is wrong is named.
        let line = text.lines().count();
        if success || !said.contains(&format!("broker.conf:{line}:")) {
            passed.push((text, said));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}
