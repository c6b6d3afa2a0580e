//! doctor of our mqadmin, against clusters with troubles made on purpose.

use crate::asks::{self, HEART_BEAT, create_topic};
use crate::mqadmin_commands::Tools;
use crate::replication::Pair;
use cluster::{Broker, Cluster, Flavour, Jvm, NameServer, Wire};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

const REGISTER_BROKER: i32 = 103;
const UPDATE_CONSUMER_OFFSET: i32 = 15;
const SEND_BACK: i32 = 36;

/// What `doctor` says, and its exit code.
fn doctor(tools: &Tools, options: &str) -> (Vec<Value>, Option<i32>) {
    let output = tools.output(&format!("doctor --json {options}"));
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(complaint, "", "{said}");
    let findings = said.lines().map(|line| serde_json::from_str(line).unwrap());
    (findings.collect(), output.status.code())
}

/// The checks that have found something, each with its places.
fn checks(findings: &[Value]) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .filter(|finding| finding["check"].is_string())
        .map(|finding| (text(&finding["check"]), text(&finding["place"])))
        .collect()
}

fn register(namesrv: &mut Wire, name: &str, id: &str, address: &str) {
    let fields = [
        ("brokerName", name),
        ("brokerAddr", address),
        ("clusterName", "DefaultCluster"),
        ("haServerAddr", "127.0.0.1:2"),
        ("brokerId", id),
        ("compressed", "false"),
        ("bodyCrc32", "0"),
    ];
    let body = br#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":1,"timestamp":1},"topicConfigTable":{}}}"#;
    let answer = namesrv.ask(REGISTER_BROKER, &fields, body).unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
}

/// A member that says nothing of itself, and consumes nothing.
fn join(wire: &mut Wire, group: &str) {
    let body = format!(
        r#"{{"clientID":"10.0.0.1@1","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"{group}","messageModel":"CLUSTERING","subscriptionDataSet":[{{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"T"}}],"unitMode":false}}],"producerDataSet":[]}}"#
    );
    assert_eq!(wire.ask(HEART_BEAT, &[], body.as_bytes()).unwrap().code(), 0);
}

/// Lets a group be at the beginning of the topic's queue.
fn commit(wire: &mut Wire, group: &str) {
    let fields = [
        ("consumerGroup", group),
        ("topic", "T"),
        ("queueId", "0"),
        ("commitOffset", "0"),
    ];
    assert_eq!(wire.ask(UPDATE_CONSUMER_OFFSET, &fields, b"").unwrap().code(), 0);
}

/// No topic and no group by the way. Not from its start on: then it has no topic that others wait for.
fn make_nothing(tools: &Tools, broker: &Broker) {
    for key in ["autoCreateTopicEnable", "autoCreateSubscriptionGroup"] {
        tools.ok(&format!(
            "updateBrokerConfig -b {} -k {key} -v false",
            broker.address()
        ));
    }
}

/// Gives the message at the beginning of the log up.
fn give_up(wire: &mut Wire, group: &str) {
    let fields = [
        ("offset", "0"),
        ("group", group),
        ("delayLevel", "-1"),
        ("originTopic", "T"),
        ("maxReconsumeTimes", "3"),
    ];
    let answer = wire.ask(SEND_BACK, &fields, b"").unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
}

#[test]
fn every_trouble_is_named() {
    let of_slave = [("fileReservedTime", "9")];
    let pair = Pair::start(
        Flavour::Ours,
        Flavour::Ours,
        &[("diskMaxUsedSpaceRatio", "10")],
        &of_slave,
    );
    let namesrv = &pair.cluster.namesrv;
    let dir = pair.cluster.path();
    let other = Broker::start(Flavour::Ours, dir, "broker-b", &namesrv.address(), &[]);
    let tools = Tools::new(&namesrv.address(), dir);
    make_nothing(&tools, &other);
    let mut master = asks::connect(pair.master());
    create_topic(&mut master, "T", "1");
    let mut of_other = asks::connect(&other);
    create_topic(&mut of_other, "Alone", "1");
    create_topic(&mut of_other, "T", "1");
    assert_eq!(
        asks::send(&mut of_other, "Alone", "0", "", b"another log").code(),
        0
    );
    for _ in 0..20 {
        assert_eq!(asks::send(&mut master, "T", "0", "", b"waits").code(), 0);
    }
    other.wait_for_topic("Alone");
    join(&mut master, "readers");
    commit(&mut master, "readers");
    commit(&mut master, "gone");
    give_up(&mut master, "readers");
    tools.ok("updateSubGroup -c DefaultCluster -g gone");
    // Brokers that are not who they seem to be.
    let mut registry = Wire::connect(&namesrv.address()).unwrap();
    register(&mut registry, "broker-a", "2", &other.address());
    register(&mut registry, "broker-c", "0", "127.0.0.1:1");
    // The member's connection stays as it is.
    let mut sender = asks::connect(pair.master());
    let is_over = AtomicBool::new(false);
    let (findings, code) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                asks::send(&mut sender, "T", "0", "", b"more");
                give_up(&mut sender, "readers");
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let told = doctor(&tools, "-w 2 -l 10");
        is_over.store(true, Ordering::Relaxed);
        told
    });
    let a = pair.master().address();
    let (fake, own) = (
        format!("broker-a (id 2) at {}", other.address()),
        format!("broker-a (id 0) at {a}"),
    );
    let slave = format!("broker-a (id 1) at {}", pair.slave.address());
    let expected = [
        ("addressUnreachable", "broker-c (id 0) at 127.0.0.1:1"),
        ("otherBroker", &fake),
        ("slaveOfAnotherLog", &fake),
        ("slaveBehind", &fake),
        ("settingsDiffer", &fake),
        ("settingsDiffer", &slave),
        ("consumersBehind", "group readers"),
        ("consumersGone", "group gone"),
        ("deadLettersGrow", "group readers"),
        ("topicOnOneBroker", "topic Alone"),
        ("autoCreateTopic", &own),
        ("autoCreateGroup", &own),
        ("diskFull", &own),
    ];
    let expected = expected.map(|(check, place)| (check.to_owned(), place.to_owned()));
    let found = checks(&findings);
    assert_eq!(found, BTreeSet::from(expected), "{findings:#?}");
    assert_eq!(code, Some(2));
    let weights = findings.iter().filter_map(|finding| finding["weight"].as_str());
    let weights: Vec<&str> = weights.collect();
    assert!(
        weights.is_sorted_by_key(|weight| ["error", "warning", "notice"].iter().position(|w| w == weight))
    );
    let of_slave = findings
        .iter()
        .find(|finding| finding["place"] == slave.as_str())
        .unwrap();
    assert!(
        of_slave["finding"]
            .as_str()
            .unwrap()
            .contains("fileReservedTime is 9 and not 72")
    );
}

#[test]
fn a_cluster_that_is_well() {
    let pair = Pair::start(Flavour::Ours, Flavour::Ours, &[], &[]);
    let tools = Tools::new(&pair.cluster.namesrv.address(), pair.cluster.path());
    make_nothing(&tools, pair.master());
    make_nothing(&tools, &pair.slave);
    let mut wire = asks::connect(pair.master());
    create_topic(&mut wire, "T", "4");
    assert_eq!(asks::send(&mut wire, "T", "0", "", b"one").code(), 0);
    pair.assert_same_log();
    let (findings, code) = doctor(&tools, "-w 1");
    assert_eq!(checks(&findings), BTreeSet::new(), "{findings:#?}");
    assert_eq!(
        (code, &findings[0]["brokers"]),
        (Some(0), &2.into()),
        "{findings:#?}"
    );
    tools.has(
        "doctor -w 0 -c DefaultCluster",
        &["2 brokers, 1 topics and 0 groups", " 0 errors"],
    );
    assert!(tools.refused("doctor -c Nowhere").contains("Nowhere"));
    assert!(tools.refused("doctor -n 127.0.0.1:1").contains("127.0.0.1:1"));
    assert!(tools.refused("doctor -w soon").contains("--watch"));
}

/// Each registers again within ten seconds, and takes the place of the other.
#[test]
fn brokers_that_take_each_others_place() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let address = namesrv.address();
    let often = ("registerNameServerPeriod", "10000");
    let start = |folder: &str, name: &str, tuning: &[(&str, &str)]| {
        let tuning = [&[often], tuning].concat();
        Broker::start_in(
            folder,
            (Flavour::Ours, Jvm::Small),
            dir.path(),
            name,
            &address,
            &tuning,
        )
    };
    let slave = [("brokerRole", "SLAVE"), ("brokerId", "1")];
    let first = [
        start("a-1", "broker-a", &[]),
        start("b", "broker-b", &[]),
        start("b-1", "broker-b", &slave),
    ];
    let tools = Tools::new(&address, dir.path());
    let clashes = [
        ("twoMasters".to_owned(), "broker-a (id 0)".to_owned()),
        ("sameBrokerId".to_owned(), "broker-b (id 1)".to_owned()),
    ];
    // The time of it is also how far their registrations are from each other.
    let (findings, _) = doctor(&tools, "-w 2");
    let found = checks(&findings);
    assert!(
        !clashes.iter().any(|clash| found.contains(clash)),
        "{findings:#?}"
    );
    let second = [start("a-2", "broker-a", &[]), start("b-2", "broker-b", &slave)];
    let (findings, code) = doctor(&tools, "-w 12");
    let found = checks(&findings);
    assert!(clashes.iter().all(|clash| found.contains(clash)), "{findings:#?}");
    assert_eq!(code, Some(2));
    drop((first, second));
}

/// One name server is away, and the other is asked.
#[test]
fn a_name_server_that_is_away() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let both = format!("{};127.0.0.1:1", cluster.namesrv.address());
    let tools = Tools::new(&both, cluster.path());
    let (findings, code) = doctor(&tools, "-w 0");
    let away = ("nameServerAway".to_owned(), "name server 127.0.0.1:1".to_owned());
    assert!(checks(&findings).contains(&away), "{findings:#?}");
    assert_eq!(code, Some(2));
}

#[test]
fn javas_servers_are_looked_at() {
    let java = Flavour::Java("4.9.7");
    let cluster = Cluster::of(java, java, &[]);
    let mut wire = asks::connect(&cluster.broker);
    assert_eq!(asks::send(&mut wire, "T", "0", "", b"one").code(), 0);
    commit(&mut wire, "gone");
    let tools = Tools::new(&cluster.namesrv.address(), cluster.path());
    tools.ok("updateSubGroup -c DefaultCluster -g gone");
    let (findings, code) = doctor(&tools, "-w 1 -l 1");
    let names: BTreeSet<String> = checks(&findings).into_iter().map(|(check, _)| check).collect();
    let expected = ["autoCreateTopic", "autoCreateGroup", "consumersGone"].map(str::to_owned);
    assert_eq!(names, BTreeSet::from(expected), "{findings:#?}");
    assert_eq!(code, Some(2));
}
