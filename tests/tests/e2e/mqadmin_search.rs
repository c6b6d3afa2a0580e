//! searchMsg and tail of our mqadmin, and resumeCheckHalfMessage of what searchMsg finds.

use crate::asks;
use crate::mqadmin_commands::Tools;
use cluster::{Cluster, Flavour, Process};
use serde_json::Value;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";

/// The bodies of what is found, in its order.
fn bodies(found: &[Value]) -> Vec<&str> {
    found
        .iter()
        .map(|message| message["body"].as_str().unwrap())
        .collect()
}

#[test]
fn messages_are_found() {
    found_on(Flavour::Ours);
}

fn found_on(flavour: Flavour) {
    let cluster = Cluster::of(flavour, flavour, &[]);
    let tools = Tools::new(&cluster.namesrv.address(), cluster.path());
    tools.ok("updateTopic -c DefaultCluster -t Found -r 3 -w 3");
    cluster.broker.wait_for_topic("Found");
    let mut ids = Vec::new();
    for number in 0..6 {
        let tag = if number % 2 == 0 { "Even" } else { "Odd" };
        let sent = tools.json(&format!(
            "sendMessage -t Found -p body-{number} -k key{number} -c {tag} -b broker-a -i {}",
            number % 3
        ));
        ids.push(sent[0]["msgId"].as_str().unwrap().to_owned());
    }
    // The last of them is in its queue.
    tools.until("searchMsg -t Found -k key5", "body-5");
    let all = tools.json("searchMsg -t Found");
    assert_eq!(
        bodies(&all),
        ["body-0", "body-1", "body-2", "body-3", "body-4", "body-5"]
    );
    let second = all[1]["storeTimestamp"].as_i64().unwrap();
    let found = |options: &str| {
        let found = tools.json(&format!("searchMsg -t Found {options}"));
        bodies(&found).join(" ")
    };
    for (options, expected) in [
        ("-s Odd", "body-1 body-3 body-5"),
        ("-s Odd||Even -m 2", "body-0 body-1"),
        ("-w dy-4", "body-4"),
        ("-k key3", "body-3"),
        ("-b 1h -e 0s -m 1", "body-0"),
        (&format!("-i {}", ids[2]), "body-2"),
        (
            &format!("-i {}", all[4]["offsetMsgId"].as_str().unwrap()),
            "body-4",
        ),
        (&format!("-b {second} -m 1"), "body-1"),
        (&format!("-k key5 -b {second}"), "body-5"),
    ] {
        assert_eq!(found(options), expected, "{options}");
    }
    tools.has(
        "searchMsg -t Found -w body-2",
        &["  tag=Even  keys=key2\n    body-2\n"],
    );
    tools.has(
        "searchMsg -t Found -w body-2 -f hex",
        &["62 6f 64 79 2d 32", "|body-2|\n"],
    );
    let said = tools.ok("searchMsg -t Found -f json -m 1");
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["body"], "body-0");
    for (options, reason) in [
        ("-w nothing", "no message of Found is as wanted"),
        (
            "-i 7F00000100000001000000000000FFFF",
            "no message of Found is as wanted",
        ),
        ("-s None", "no message of Found is as wanted"),
        ("-k key1 -e 1000", "no message of Found is as wanted"),
        ("-m 0", "--maxNum is `0`"),
        ("-f xml", "--format is `xml`"),
        ("-b 2 -e 1", "later than"),
        ("-i 1 -k 2", "do not go together"),
        ("-c klingon", "klingon"),
    ] {
        let sentence = tools.refused(&format!("searchMsg -t Found {options}"));
        assert!(sentence.contains(reason), "{options}: {sentence}");
    }
    assert!(tools.refused("searchMsg -t Unknown").contains("Unknown"));
    followed(&tools, &cluster);
}

fn followed(tools: &Tools, cluster: &Cluster) {
    assert!(tools.refused("tail -t Unknown").contains("Unknown"));
    tools.refused("tail -t Found -l -1");
    // Those of before come first, then those that are sent now; all but the tag's are left out.
    let words = ["tail", "-t", "Found", "-s", "Odd", "-l", "1", "-m", "4", "--json"];
    let tail = Process::start("tail", tools.command(&words), &cluster.path().join("tail.out"));
    tail.wait_until("what was there", LONG, |lines| (lines.len() >= 2).then_some(()));
    for (tag, body) in [("Even", "new-0"), ("Odd", "new-1"), ("Odd", "new-2")] {
        tools.ok(&format!("sendMessage -t Found -p {body} -c {tag}"));
    }
    assert_eq!(tail.wait_exit(LONG).code(), Some(0));
    let told: Vec<Value> = tail
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut told = bodies(&told);
    told.sort_unstable();
    assert_eq!(told, ["body-3", "body-5", "new-1", "new-2"]);
}

/// A broker that goes away is named once, and followed again when it is back.
#[test]
fn a_broker_that_comes_back_is_followed() {
    let mut cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let tools = Tools::new(&cluster.namesrv.address(), cluster.path());
    tools.ok("updateTopic -c DefaultCluster -t Found -r 1 -w 1");
    cluster.broker.wait_for_topic("Found");
    tools.ok("sendMessage -t Found -p before");
    let words = ["tail", "-t", "Found", "-l", "1", "-m", "2"];
    let tail = Process::start("tail", tools.command(&words), &cluster.path().join("tail.out"));
    tail.wait_for("what was there", LONG, |line| {
        line.contains("before").then_some(())
    });
    cluster.broker.kill();
    let address = cluster.broker.address();
    tail.wait_for("the broker is named", LONG, |line| {
        line.contains(&address).then_some(())
    });
    cluster.broker.restart();
    tools.until("sendMessage -t Found -p after", "SEND_OK");
    assert_eq!(tail.wait_exit(LONG).code(), Some(1));
}

/// A half message that nobody answers for is given up, and once more each time that it is resumed.
fn resumed_on(flavour: Flavour) {
    let tuning = [
        ("transactionCheckInterval", "300"),
        ("transactionTimeOut", "100"),
        ("transactionCheckMax", "1"),
    ];
    let cluster = Cluster::of(flavour, flavour, &tuning);
    let tools = Tools::new(&cluster.namesrv.address(), cluster.path());
    tools.ok("updateTopic -c DefaultCluster -t Orders -r 1 -w 1");
    cluster.broker.wait_for_topic("Orders");
    let id = "7F00000100002A9F18B4AAC2000000AB";
    let half = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}nobody\u{2}UNIQ_KEY\u{1}{id}\u{2}");
    let mut wire = asks::connect(&cluster.broker);
    let sent = asks::send(&mut wire, "Orders", "0", &half, b"half");
    assert_eq!(sent.code(), 0, "{}", sent.remark());
    let given_up = || -> Vec<Value> {
        let said = tools.output(&format!("searchMsg -t {GIVEN_UP} --json")).stdout;
        let lines = String::from_utf8(said).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let wait_given_up = |times: usize| {
        asks::wait_until("it is given up", LONG, || given_up().len() == times);
    };
    wait_given_up(1);
    for sentence in [
        tools.refused(&format!("resumeCheckHalfMessage -i {}", id.replace("AB", "AC"))),
        // Nothing is resumed where one of several is not there.
        tools.refused(&format!("resumeCheckHalfMessage -i {id},none")),
    ] {
        assert!(
            sentence.contains(&format!("{GIVEN_UP} has no message ")),
            "{sentence}"
        );
    }
    asks::wait_until("it is found by its id", LONG, || {
        tools
            .output(&format!("searchMsg -t {GIVEN_UP} -i {id}"))
            .status
            .success()
    });
    assert_eq!(given_up().len(), 1);
    tools.has(
        &format!("resumeCheckHalfMessage -i {id}"),
        &[&format!(
            "resume check of half message {id} in {} success.\n",
            cluster.broker.address()
        )],
    );
    wait_given_up(2);
    let of_broker = given_up()[1]["offsetMsgId"].as_str().unwrap().to_owned();
    let told = tools.json(&format!("resumeCheckHalfMessage -i {of_broker}"));
    assert_eq!(told[0]["brokerAddr"], cluster.broker.address());
    wait_given_up(3);
}

#[test]
fn what_was_given_up_is_checked_again() {
    resumed_on(Flavour::Ours);
}
