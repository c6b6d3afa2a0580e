//! A master and its slaves: ours, Java's, and mixed. `E2E_NAMESRV` chooses the name server.

use crate::check::*;
use cluster::{Broker, Client, Cluster, Event, Flavour, Jvm, Wire, java_mqadmin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SEND: i32 = 10;
const RUNTIME_INFO: i32 = 28;
const GET_ALL_TOPIC_CONFIG: i32 = 21;
const GET_ALL_CONSUMER_OFFSET: i32 = 43;
const GET_ALL_SUBSCRIPTIONGROUP_CONFIG: i32 = 201;
const GET_ALL_DELAY_OFFSET: i32 = 45;

const SLAVE: [(&str, &str); 2] = [("brokerRole", "SLAVE"), ("brokerId", "1")];

/// A cluster whose broker is the master of one slave.
pub(crate) struct Pair {
    pub(crate) cluster: Cluster,
    pub(crate) slave: Broker,
}

impl Pair {
    pub(crate) fn start(
        master: Flavour,
        slave: Flavour,
        of_master: &[(&str, &str)],
        of_slave: &[(&str, &str)],
    ) -> Pair {
        Pair::at(
            Flavour::from_env("E2E_NAMESRV"),
            [master, slave],
            of_master,
            of_slave,
        )
    }

    fn at(
        namesrv: Flavour,
        [master, slave]: [Flavour; 2],
        of_master: &[(&str, &str)],
        of_slave: &[(&str, &str)],
    ) -> Pair {
        let cluster = Cluster::of(namesrv, master, of_master);
        let namesrv = cluster.namesrv.address();
        let tuning = [&SLAVE[..], of_slave].concat();
        let slave = Broker::start_in(
            "broker-a-s",
            (slave, Jvm::Small),
            cluster.path(),
            "broker-a",
            &namesrv,
            &tuning,
        );
        Pair { cluster, slave }
    }

    pub(crate) fn master(&self) -> &Broker {
        &self.cluster.broker
    }

    /// Waits until a send to a SYNC_MASTER is answered SEND_OK: a slave is there.
    pub(crate) fn wait_for_slave(&self) {
        let mut wire = Wire::connect(&self.master().address()).unwrap();
        eventually("a slave is in sync", || send_one(&mut wire, "Warm") == 0);
    }

    /// Waits until the slave has all of the master's log, and compares the files.
    pub(crate) fn assert_same_log(&self) {
        assert_same_log(self.master(), &self.slave);
    }

    /// Waits until the slave's tables are those of its master.
    fn assert_same_tables(&self) {
        for (code, table) in [
            (GET_ALL_TOPIC_CONFIG, "topicConfigTable"),
            (GET_ALL_SUBSCRIPTIONGROUP_CONFIG, "subscriptionGroupTable"),
            (GET_ALL_CONSUMER_OFFSET, "offsetTable"),
            (GET_ALL_DELAY_OFFSET, "offsetTable"),
        ] {
            let mut found = (Value::Null, Value::Null);
            eventually_or(&mut || {
                let master = used(&body(self.master(), code)[table]);
                // A slave of 4.9 has the delay offsets in the file only.
                let slave = match code {
                    GET_ALL_DELAY_OFFSET => delay_file(&self.slave),
                    _ => body(&self.slave, code),
                };
                let slave = used(&slave[table]);
                found = (master, slave);
                is_in(&found.0, &found.1) && is_in(&found.1, &found.0)
            })
            .unwrap_or_else(|| panic!("{code} is not the same on both: {found:?}"));
        }
    }
}

/// Waits until a slave has all of its master's log, and compares the files.
pub(crate) fn assert_same_log(master: &Broker, slave: &Broker) {
    eventually("the slave has the whole log", || end(slave) == end(master));
    let len = end(master);
    let [master, slave] = [master, slave].map(|broker| log_of(&broker.store()));
    assert_eq!(
        master.keys().collect::<Vec<_>>(),
        slave.keys().collect::<Vec<_>>(),
        "files of the logs"
    );
    for (start, bytes) in &master {
        // Behind the log's end a broker may have prepared the file as it likes.
        let used = usize::try_from(len - start).unwrap().min(bytes.len());
        assert!(
            bytes[..used] == slave[start][..used],
            "the logs differ in the file at {start}"
        );
    }
}

/// What clients made; each version has other topics and groups of its own.
fn used(table: &Value) -> Value {
    let entries = table.as_object().expect("a table").iter();
    let ours = |key: &str| ["T", "g", "%RETRY%g", "T@g"].contains(&key) || key.parse::<i32>().is_ok();
    let used = entries.filter(|(key, _)| ours(key));
    Value::Object(used.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Whether everything that both know of is the same: 5.x has fields that 4.9 has not.
fn is_in(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(key, value)| match whole.get(key) {
            Some(other) => is_in(value, other),
            None => !["T", "g", "%RETRY%g", "T@g", "0", "1"].contains(&key.as_str()),
        }),
        _ => part == whole,
    }
}

pub(crate) fn eventually_or(is_so: &mut dyn FnMut() -> bool) -> Option<()> {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > LONG {
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(())
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually_or(&mut is_so).unwrap_or_else(|| panic!("not in time: {what}"));
}

pub(crate) fn send_one(wire: &mut Wire, topic: &str) -> i64 {
    send_body(wire, topic, b"one")
}

pub(crate) fn send_body(wire: &mut Wire, topic: &str, body: &[u8]) -> i64 {
    let fields = [
        ("producerGroup", "p"),
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", ""),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
        ("batch", "false"),
    ];
    wire.ask(SEND, &fields, body).unwrap().code()
}

fn body(broker: &Broker, code: i32) -> Value {
    let mut wire = Wire::connect(&broker.address()).unwrap();
    let answer = wire.ask(code, &[], b"").unwrap();
    assert_eq!(answer.code(), 0, "{code}: {answer:?}");
    let text = String::from_utf8(answer.body).unwrap();
    // fastjson writes numbers as keys without quotes.
    let quoted = quote_numbers(&text);
    serde_json::from_str(&quoted).unwrap_or_else(|e| panic!("{code}: {e}: {quoted}"))
}

fn delay_file(broker: &Broker) -> Value {
    let file = std::fs::read_to_string(broker.store().join("config/delayOffset.json"));
    file.ok()
        .and_then(|text| serde_json::from_str(&quote_numbers(&text)).ok())
        .unwrap_or(serde_json::json!({"offsetTable": {}}))
}

/// `{1:2}` becomes `{"1":2}`.
fn quote_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', ',']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        let blank = tail.len() - tail.trim_start().len();
        let digits = tail.trim_start().bytes().take_while(u8::is_ascii_digit).count();
        let is_key = digits > 0 && tail[blank + digits..].trim_start().starts_with(':');
        if is_key {
            out.push('"');
            out.push_str(&tail[blank..blank + digits]);
            out.push('"');
            rest = &tail[blank + digits..];
        } else {
            rest = tail;
        }
    }
    out + rest
}

pub(crate) fn runtime(broker: &Broker) -> BTreeMap<String, String> {
    let info = body(broker, RUNTIME_INFO);
    serde_json::from_value(info["table"].clone()).unwrap()
}

pub(crate) fn end(broker: &Broker) -> i64 {
    runtime(broker)["commitLogMaxOffset"].parse().unwrap()
}

/// Each file of a log by where it begins.
pub(crate) fn log_of(store: &Path) -> BTreeMap<i64, Vec<u8>> {
    let files = std::fs::read_dir(store.join("commitlog")).unwrap();
    let mut log: BTreeMap<i64, Vec<u8>> = files
        .map(|file| {
            let path = file.unwrap().path();
            let start = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            (start, std::fs::read(path).unwrap())
        })
        .collect();
    // A file that was made ahead holds nothing yet.
    log.retain(|_, bytes| bytes.iter().any(|byte| *byte != 0));
    log
}

/// Everything is the same on both sides after sends, consumption and delayed messages, over ends of files.
fn copies(master: Flavour, slave: Flavour, role: &str) {
    copies_at(Flavour::from_env("E2E_NAMESRV"), master, slave, role);
}

fn copies_at(namesrv: Flavour, master: Flavour, slave: Flavour, role: &str) {
    let of_master = [
        ("brokerRole", role),
        // By default a SYNC_MASTER of 5.x waits for nobody.
        ("inSyncReplicas", "2"),
    ];
    let waits_by_default = master != Flavour::Java("5.3.3") || role != "SYNC_MASTER";
    let of_master = &of_master[..if waits_by_default { 1 } else { 2 }];
    let pair = Pair::at(
        namesrv,
        [master, slave],
        of_master,
        &[("slaveReadEnable", "true")],
    );
    if role == "SYNC_MASTER" {
        pair.wait_for_slave();
    }
    make_topic(&pair.cluster, "T");
    let consumer = client(
        JAVA_4,
        &pair.cluster,
        "consume",
        &[("topic", "T"), ("group", "g")],
    );
    let options = [
        ("topic", "T"),
        ("count", "4000"),
        ("mode", "async"),
        ("size", "6000"),
        ("keys", "k"),
    ];
    let sent = send(JAVA_4, &pair.cluster, &options);
    let delayed = [("topic", "T"), ("count", "20"), ("from", "4000"), ("delay", "1")];
    send(JAVA_4, &pair.cluster, &delayed);
    consumer.wait_count("received", 4021, LONG);
    wait_until_told(pair.master(), "T", "g");
    consumer.stop();
    pair.assert_same_log();
    pair.assert_same_tables();
    // A consumer that reads from the slave gets the same.
    let mut wire = Wire::connect(&pair.slave.address()).unwrap();
    // 5.x is busy for whatever its slave does not take.
    let refusal = if slave == Flavour::Java("5.3.3") { 2 } else { 14 };
    assert_eq!(send_one(&mut wire, "T"), refusal, "a slave takes no messages");
    let Pair { mut cluster, slave } = pair;
    cluster.broker.kill();
    let pulled = client(JAVA_4, &cluster, "consume", &[("topic", "T"), ("group", "later")]);
    pulled.wait_count("received", sent.len(), LONG);
    drop(slave);
}

#[test]
fn ours_copies_ours() {
    copies(Flavour::Ours, Flavour::Ours, "SYNC_MASTER");
}

#[test]
fn ours_copies_java_4_9() {
    copies(Flavour::Java("4.9.7"), Flavour::Ours, "SYNC_MASTER");
}

#[test]
fn ours_copies_java_5_3() {
    copies(Flavour::Java("5.3.3"), Flavour::Ours, "ASYNC_MASTER");
}

#[test]
fn java_4_9_copies_ours() {
    copies(Flavour::Ours, Flavour::Java("4.9.7"), "SYNC_MASTER");
}

#[test]
fn java_5_3_copies_ours() {
    copies(Flavour::Ours, Flavour::Java("5.3.3"), "ASYNC_MASTER");
}

const NAMESRV_4: Flavour = Flavour::Java("4.9.7");
const NAMESRV_5: Flavour = Flavour::Java("5.3.3");

#[test]
fn ours_copies_ours_async() {
    copies_at(NAMESRV_5, Flavour::Ours, Flavour::Ours, "ASYNC_MASTER");
}

#[test]
fn ours_copies_java_4_9_async() {
    copies_at(NAMESRV_4, Flavour::Java("4.9.7"), Flavour::Ours, "ASYNC_MASTER");
}

#[test]
fn ours_copies_java_5_3_sync() {
    copies_at(NAMESRV_5, Flavour::Java("5.3.3"), Flavour::Ours, "SYNC_MASTER");
}

#[test]
fn java_4_9_copies_ours_async() {
    copies_at(NAMESRV_4, Flavour::Ours, Flavour::Java("4.9.7"), "ASYNC_MASTER");
}

#[test]
fn java_5_3_copies_ours_sync() {
    copies_at(NAMESRV_5, Flavour::Ours, Flavour::Java("5.3.3"), "SYNC_MASTER");
}

/// Gives a broker another role, by its file and a restart.
pub(crate) fn take_role(broker: &mut Broker, role: &str, id: &str) {
    let text = std::fs::read_to_string(broker.config_file()).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("brokerRole=") && !line.starts_with("brokerId="));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let text = format!("{text}brokerRole={role}\nbrokerId={id}\n");
    std::fs::write(broker.config_file(), text).unwrap();
    broker.restart();
}

fn sync_pair() -> Pair {
    let pair = Pair::start(
        Flavour::Ours,
        Flavour::Ours,
        &[
            ("brokerRole", "SYNC_MASTER"),
            ("flushDiskType", "SYNC_FLUSH"),
            ("slaveTimeout", "1000"),
        ],
        &[("flushDiskType", "SYNC_FLUSH")],
    );
    pair.wait_for_slave();
    make_topic(&pair.cluster, "T");
    pair
}

/// A sender that goes on until it is told to stop, whatever happens.
fn steady_sender(cluster: &Cluster) -> Client {
    let options = [
        ("topic", "T"),
        ("until", "stdin"),
        ("timeout", "2000"),
        ("size", "300"),
    ];
    client(JAVA_4, cluster, "send", &options)
}

/// Everything that was answered SEND_OK is in a group's hands when it has read all.
fn assert_kept(cluster: &Cluster, sent: &[Event]) {
    let kept: Vec<Event> = sent
        .iter()
        .filter(|event| event.status == "SEND_OK")
        .cloned()
        .collect();
    assert!(!kept.is_empty());
    static READERS: AtomicU32 = AtomicU32::new(0);
    let group = format!("reader-{}", READERS.fetch_add(1, Ordering::Relaxed));
    let reader = client(JAVA_4, cluster, "consume", &[("topic", "T"), ("group", &group)]);
    let bodies = || kept.iter().map(|event| event.body.clone());
    let started = Instant::now();
    loop {
        let got: std::collections::BTreeSet<String> = of(&reader.events(), "received")
            .into_iter()
            .map(|event| event.body)
            .collect();
        if bodies().all(|body| got.contains(&body)) {
            break;
        }
        assert!(started.elapsed() < LONG, "{} of {}", got.len(), kept.len());
        std::thread::sleep(Duration::from_millis(100));
    }
    reader.stop();
}

/// The master dies and its slave is made the master; the old one comes back as its slave, and has what it alone had taken from it.
#[test]
fn a_slave_takes_over_and_the_old_master_heals() {
    let mut pair = sync_pair();
    let sender = steady_sender(&pair.cluster);
    sender.wait_count("sent", 500, LONG);
    // From here on the slave takes nothing: what the master stores is not promised to anybody.
    pair.slave.kill();
    sender.wait_count("sent", sender.count("sent") + 20, LONG);
    pair.cluster.broker.kill();
    let sent = of(&sender.stop(), "sent");
    assert!(
        sent.iter().any(|event| event.status == "SLAVE_NOT_AVAILABLE"),
        "the slave was away"
    );
    take_role(&mut pair.slave, "SYNC_MASTER", "0");
    pair.slave.wait_for_topic("T");
    assert_kept(&pair.cluster, &sent);
    let mut wire = Wire::connect(&pair.slave.address()).unwrap();
    assert_eq!(send_one(&mut wire, "T"), 11, "it has no slave yet");
    take_role(&mut pair.cluster.broker, "SLAVE", "1");
    let Pair { cluster, slave } = &mut pair;
    std::mem::swap(&mut cluster.broker, slave);
    pair.wait_for_slave();
    pair.assert_same_log();
    let healed = pair.slave.process.lines();
    assert!(
        healed
            .iter()
            .any(|line| line.contains("were cut off") && line.contains("they are kept in")),
        "{healed:#?}"
    );
    assert_kept(&pair.cluster, &sent);
    let more = send(
        JAVA_4,
        &pair.cluster,
        &[("topic", "T"), ("count", "50"), ("prefix", "later")],
    );
    assert_kept(&pair.cluster, &more);
}

/// An ASYNC_MASTER has said SUCCESS for what its slave does not have: as a slave it does not take that back by itself.
#[test]
fn what_a_master_acknowledged_alone_is_not_cut() {
    let mut pair = Pair::start(
        Flavour::Ours,
        Flavour::Ours,
        &[("brokerRole", "ASYNC_MASTER")],
        &[],
    );
    make_topic(&pair.cluster, "T");
    pair.assert_same_log();
    pair.slave.stop();
    let alone = send(
        JAVA_4,
        &pair.cluster,
        &[("topic", "T"), ("count", "20"), ("prefix", "alone")],
    );
    pair.cluster.broker.kill();
    take_role(&mut pair.slave, "ASYNC_MASTER", "0");
    let mut wire = Wire::connect(&pair.slave.address()).unwrap();
    assert_eq!(send_one(&mut wire, "T"), 0);
    take_role(&mut pair.cluster.broker, "SLAVE", "1");
    let old = &pair.cluster.broker;
    old.process.wait_for("it says what to do", LONG, |line| {
        (line.contains("nothing is cut") && line.contains("Make this broker the master again")).then_some(())
    });
    assert!(runtime(old)["masterConnection"].contains("nothing is cut"));
    // The operator takes its word: it is the master again, and nothing is lost.
    pair.slave.stop();
    pair.cluster.broker.stop();
    take_role(&mut pair.cluster.broker, "ASYNC_MASTER", "0");
    pair.cluster.broker.wait_for_topic("T");
    assert_kept(&pair.cluster, &alone);
}

/// A slave dies, comes back, is frozen, goes on; its master serves all the time, and says what an answer is worth.
#[test]
fn a_slave_that_comes_and_goes() {
    let mut pair = sync_pair();
    let sender = steady_sender(&pair.cluster);
    sender.wait_count("sent", 200, LONG);
    for _ in 0..2 {
        pair.slave.kill();
        sender.wait_count("sent", sender.count("sent") + 200, LONG);
        pair.slave.restart();
        pair.wait_for_slave();
    }
    pair.slave.process.signal("STOP");
    let consumer = client(
        JAVA_4,
        &pair.cluster,
        "consume",
        &[("topic", "T"), ("group", "meanwhile")],
    );
    let so_far = sender.count("sent");
    sender.wait_count("sent", so_far + 2, LONG);
    // Readers wait for nobody.
    consumer.wait_count("received", so_far, LONG);
    consumer.stop();
    pair.slave.process.signal("CONT");
    pair.wait_for_slave();
    let sent = of(&sender.stop(), "sent");
    let statuses: std::collections::BTreeSet<&str> = sent.iter().map(|event| event.status.as_str()).collect();
    assert_eq!(
        statuses.into_iter().collect::<Vec<_>>(),
        ["FLUSH_SLAVE_TIMEOUT", "SEND_OK", "SLAVE_NOT_AVAILABLE"]
    );
    pair.assert_same_log();
    assert_kept(&pair.cluster, &sent);
}

/// A topic is deleted and made anew while the slave follows, and once more while it is away. Whoever is the master then has what was sent
/// since, and gives no offset twice.
#[test]
fn a_topic_that_was_deleted_and_made_anew_is_the_same_on_its_slave() {
    const DELETE_TOPIC: i32 = 215;
    let delete = |pair: &Pair| {
        let mut wire = Wire::connect(&pair.master().address()).unwrap();
        assert_eq!(wire.ask(DELETE_TOPIC, &[("topic", "T")], b"").unwrap().code(), 0);
    };
    let sends = |pair: &Pair, prefix: &str, count: &str| {
        let options = [("topic", "T"), ("count", count), ("prefix", prefix)];
        send(JAVA_5, &pair.cluster, &options)
    };
    let ends = |broker: &Broker| -> Vec<i64> {
        progress(broker, "T", "nobody")
            .into_iter()
            .map(|(end, _)| end)
            .collect()
    };
    let sum = |broker: &Broker| ends(broker).iter().sum::<i64>();
    // The slave promises what its disk has: what it is told to have deleted is there with it.
    let mut pair = Pair::start(
        Flavour::Ours,
        Flavour::Ours,
        &[("brokerRole", "ASYNC_MASTER")],
        &[("flushDiskType", "SYNC_FLUSH")],
    );
    make_topic(&pair.cluster, "T");
    pair.wait_for_slave();
    sends(&pair, "first", "40");
    delete(&pair);
    eventually("the slave has deleted the topic, too", || sum(&pair.slave) <= 0);
    sends(&pair, "second", "12");
    assert_eq!(sum(pair.master()), 12);
    eventually("the slave has what was sent since", || {
        ends(&pair.slave) == ends(pair.master())
    });

    pair.slave.kill();
    sends(&pair, "third", "8");
    delete(&pair);
    let last = sends(&pair, "last", "4");
    pair.slave.restart();
    pair.wait_for_slave();
    eventually("the slave has what was sent since", || {
        ends(&pair.slave) == ends(pair.master())
    });
    assert_eq!(sum(&pair.slave), 4);

    pair.cluster.broker.kill();
    take_role(&mut pair.slave, "ASYNC_MASTER", "0");
    pair.slave.wait_for_topic("T");
    let options = [("topic", "T"), ("group", "readers")];
    let reader = client(JAVA_5, &pair.cluster, "consume", &options);
    reader.wait_count("received", last.len(), LONG);
    let more = sends(&pair, "more", "4");
    assert_eq!(sum(&pair.slave), 8, "offsets go on where they were");
    reader.wait_count("received", last.len() + more.len(), LONG);
    let mut got: Vec<String> = of(&reader.stop(), "received")
        .into_iter()
        .map(|event| event.body)
        .collect();
    got.sort();
    let sent = last.iter().chain(&more).map(|event| event.body.clone());
    let mut sent: Vec<String> = sent.collect();
    sent.sort();
    assert_eq!(got, sent);
}

/// The stock mqadmin of 5.x shows how slaves stand, and clusterList of both versions who is whose slave.
#[test]
fn tools_show_how_slaves_stand() {
    let pair = Pair::start(
        Flavour::Ours,
        Flavour::Ours,
        &[("brokerRole", "SYNC_MASTER")],
        &[],
    );
    pair.wait_for_slave();
    pair.assert_same_log();
    let namesrv = pair.cluster.namesrv.address();
    let admin = |version, arguments: &[&str]| java_mqadmin(version, pair.cluster.path(), &namesrv, arguments);
    let of_master = admin("5.3.3", &["haStatus", "-b", &pair.master().address()]);
    for part in ["#SlaveNum\t1", "#InSyncSlaveNum\t1", "127.0.0.1:"] {
        let blanks = of_master.split_whitespace().collect::<Vec<_>>().join("\t");
        assert!(blanks.contains(part), "{part}: {of_master}");
    }
    let of_slave = admin("5.3.3", &["haStatus", "-b", &pair.slave.address()]);
    let master = format!("127.0.0.1:{}", pair.master().port + 1);
    assert!(of_slave.contains(&master), "{of_slave}");
    for version in ["4.9.8", "5.3.3"] {
        let list = admin(version, &["clusterList"]);
        for broker in [pair.master(), &pair.slave] {
            assert!(list.contains(&broker.address()), "{version}: {list}");
        }
        let status = admin(version, &["brokerStatus", "-b", &pair.slave.address()]);
        assert!(
            status.contains("masterBehindBytes") && status.contains("connected for"),
            "{status}"
        );
    }
}

/// An operator's slip: a slave is promoted while its master lives.
#[test]
fn two_masters_of_one_name_are_said_by_both() {
    let tuning = [
        ("brokerRole", "ASYNC_MASTER"),
        ("registerNameServerPeriod", "10000"),
    ];
    let mut pair = Pair::start(
        Flavour::Ours,
        Flavour::Ours,
        &tuning,
        &[("registerNameServerPeriod", "10000")],
    );
    assert!(pair.slave.stop().success());
    take_role(&mut pair.slave, "ASYNC_MASTER", "0");
    let namesrv = pair.cluster.namesrv.address();
    let brokers = [pair.master(), &pair.slave];
    for (broker, other) in [(brokers[1], brokers[0]), (brokers[0], brokers[1])] {
        let said = format!(
            "two masters of broker-a: {} has registered as brokerId=0 at name server {namesrv}, and so does this broker, {}.",
            other.address(),
            broker.address()
        );
        broker.process.wait_for(&said, LONG, |line| {
            (line.contains("ERROR") && line.contains(&said)).then_some(())
        });
    }
}

/// A second slave that was made with the first one's file.
#[test]
fn two_slaves_of_one_id_are_said_by_both() {
    let often = [("registerNameServerPeriod", "10000")];
    let pair = Pair::start(
        Flavour::Ours,
        Flavour::Ours,
        &[("brokerRole", "ASYNC_MASTER")],
        &often,
    );
    let namesrv = pair.cluster.namesrv.address();
    let second = Broker::start_in(
        "broker-a-copy",
        (Flavour::Ours, Jvm::Small),
        pair.cluster.path(),
        "broker-a",
        &namesrv,
        &[&SLAVE[..], &often].concat(),
    );
    for (broker, other) in [(&second, &pair.slave), (&pair.slave, &second)] {
        let said = format!(
            "two slaves of broker-a with brokerId=1: {} has registered at name server {namesrv}, and so does this broker, {}.",
            other.address(),
            broker.address()
        );
        broker.process.wait_for(&said, LONG, |line| {
            (line.contains("ERROR") && line.contains(&said)).then_some(())
        });
    }
}

/// The master dies with transactions open, of which some were asked for and some were just ended. Its slave knows from the log which those
/// are: it asks for the others alone, and takes what clients end at it.
#[test]
fn a_slave_that_takes_over_knows_which_transactions_are_open() {
    const COUNT: usize = 200;
    const MARKS: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
    let checks = [
        ("transactionCheckInterval", "3000"),
        // Long enough for a client that ends its transactions at once.
        ("transactionTimeOut", "5000"),
        ("transactionCheckMax", "1000"),
    ];
    let master = [&[("brokerRole", "SYNC_MASTER")], &checks[..]].concat();
    let mut pair = Pair::start(Flavour::Ours, Flavour::Ours, &master, &checks);
    pair.wait_for_slave();
    make_topic(&pair.cluster, "T");
    let count = COUNT.to_string();
    let options = [
        ("topic", "T"),
        ("count", count.as_str()),
        ("local", "commit,rollback,unknown,unknown"),
        ("check", "rollback,commit,commit,rollback"),
    ];
    let producer = client(JAVA_4, &pair.cluster, "transact", &options);
    producer.wait_count("sent", COUNT, LONG);
    producer.wait_count("checked", 10, LONG);
    let marks = |broker: &Broker| {
        progress(broker, MARKS, "nobody")
            .first()
            .map_or(0, |(end, _)| *end)
    };
    eventually("the slave has what the producer has ended", || {
        marks(&pair.slave) >= COUNT as i64 / 2
    });
    pair.cluster.broker.kill();
    pair.slave.kill();
    take_role(&mut pair.slave, "ASYNC_MASTER", "0");
    pair.slave.wait_for_topic("T");
    std::mem::swap(&mut pair.cluster.broker, &mut pair.slave);

    let options = [("topic", "T"), ("group", "readers")];
    let reader = client(JAVA_4, &pair.cluster, "consume", &options);
    // What made the topic comes, too.
    reader.wait_count("received", 1 + COUNT / 2, LONG);
    eventually("every transaction is ended", || {
        runtime(pair.master())["transactionsNotLookedAt"] == "0"
    });
    let later = [
        ("topic", "T"),
        ("from", count.as_str()),
        ("count", "20"),
        ("instance", "later"),
        ("local", "commit,rollback"),
        ("check", "rollback,commit"),
    ];
    let later = client(JAVA_4, &pair.cluster, "transact", &later);
    later.wait_count("sent", 20, LONG);
    reader.wait_count("received", 1 + COUNT / 2 + 10, LONG);
    later.stop();
    let counts = |events: Vec<Event>| {
        let mut counts = vec![0; COUNT + 20];
        for event in events {
            if let Some(number) = event.body.strip_prefix("m-") {
                counts[number.parse::<usize>().unwrap()] += 1;
            }
        }
        counts
    };
    let asked = counts(of(&producer.stop(), "checked"));
    let received = counts(of(&reader.stop(), "received"));
    for (number, asked) in asked.into_iter().enumerate().take(COUNT) {
        let comes = received[number];
        let is_right = match number % 4 {
            0 => asked == 0 && comes == 1,
            1 => asked == 0 && comes == 0,
            // Each answer ends it: the one that the master heard, or did not hear, and that of a client that was too slow.
            2 => (1..=asked).contains(&comes),
            _ => asked >= 1 && comes == 0,
        };
        assert!(
            is_right,
            "m-{number} was asked for {asked} times, and came {comes} times"
        );
    }
    for (number, comes) in received.into_iter().enumerate().skip(COUNT) {
        assert_eq!(comes, usize::from(number % 2 == 0), "m-{number}");
    }
}
