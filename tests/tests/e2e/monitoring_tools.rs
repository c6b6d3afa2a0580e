//! What rocketmq-exporter and rocketmq-dashboard ask, by the published admin library: ours answer what Java's broker answers.

use crate::asks::{connect, wait_until};
use crate::check::*;
use cluster::{Broker, Cluster, Flavour, Language, java_program};
use std::collections::{BTreeMap, BTreeSet};

const MESSAGES: &str = "20";
const GET_CONSUMER_LIST_BY_GROUP: i32 = 38;
const GET_CONSUMER_RUNNING_INFO: i32 = 307;

/// Name of what is read to what was read.
type Read = BTreeMap<String, String>;

/// A producer with traces, a consumer, a delayed message and one that was given up; then the program.
fn read_from(flavour: Flavour, version: &'static str) -> Read {
    let cluster = Cluster::of(flavour, flavour, &[("traceTopicEnable", "true")]);
    let language = Language::Java(version);
    let producer = client(
        language,
        &cluster,
        "send",
        &[
            ("topic", "T"),
            ("group", "P"),
            ("count", MESSAGES),
            ("keys", "key"),
            ("tags", "A"),
            ("trace", "yes"),
            ("beat", "yes"),
            ("linger", "yes"),
        ],
    );
    producer.wait_count("sent", 20, LONG);
    let delayed = [
        ("topic", "T"),
        ("count", "1"),
        ("prefix", "later"),
        ("delay", "1"),
    ];
    send(language, &cluster, &delayed);
    let consumer = client(language, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    consumer.wait_count("received", 21, LONG);
    wait_until_told(&cluster.broker, "T", "g");
    wait_for_retry_queue(&cluster.broker);
    let namesrv = cluster.namesrv.address();
    let lines = java_program(
        version,
        cluster.path(),
        "Monitoring",
        &[&namesrv, "T", "g", "P", "key3"],
    );
    assert_eq!(lines.last().map(String::as_str), Some("@@ end"), "{lines:#?}");
    let mut read = Read::new();
    for (name, value) in lines.iter().filter_map(|line| line.split_once('\t')) {
        match items(value) {
            Some(items) => read.extend(items.map(|item| (format!("{name}: {item}"), "there".to_owned()))),
            None => {
                // Many of a kind say the same, or the set of what they say.
                let values = read.entry(name.to_owned()).or_default();
                if !values.split(" | ").any(|told| told == value) {
                    let separator = if values.is_empty() { "" } else { " | " };
                    values.push_str(&format!("{separator}{value}"));
                }
            }
        }
    }
    producer.stop();
    consumer.stop();
    read
}

/// A client finds its retry topic in its own time.
fn wait_for_retry_queue(broker: &Broker) {
    let mut wire = connect(broker);
    wait_until("the consumer has its retry queue", LONG, || {
        let members = wire.ask(GET_CONSUMER_LIST_BY_GROUP, &[("consumerGroup", "g")], b"");
        let members: serde_json::Value = serde_json::from_slice(&members.unwrap().body).unwrap();
        let id = members["consumerIdList"][0].as_str().unwrap();
        let fields = [("consumerGroup", "g"), ("clientId", id)];
        let info = wire.ask(GET_CONSUMER_RUNNING_INFO, &fields, b"").unwrap();
        String::from_utf8_lossy(&info.body).contains("%RETRY%g")
    });
}

/// Items of a list that Java has printed.
fn items(value: &str) -> Option<impl Iterator<Item = &str>> {
    let inner = value.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.contains('[')).then(|| inner.split(", "))
}

/// What is otherwise than in one of Java's: `docs/differences.md` has what users may notice.
struct Known {
    /// How the name of what is read ends.
    name: &'static str,
    java: &'static str,
    ours: &'static str,
    /// By chance, as by the minute in which Java was asked.
    may_be_alike: bool,
}

const fn differs(name: &'static str, java: &'static str, ours: &'static str) -> Known {
    Known {
        name,
        java,
        ours,
        may_be_alike: false,
    }
}

/// Java's have counted nothing until a minute is over.
const TIMES: Known = Known {
    name: "28 putMessageDistributeTime",
    java: "none yet",
    ours: "[<=0ms][0~10ms][10~50ms][50~100ms][100~200ms][200~500ms][500ms~1s][1~2s][2~3s][3~4s][4~5s][5~10s][10s~]",
    may_be_alike: true,
};

fn compare(version: &'static str, known: &[Known]) {
    // What is told of the last seconds is compared, too.
    let _alone = cluster::alone();
    let [ours, java] = std::thread::scope(|scope| {
        [Flavour::Ours, Flavour::Java(version)]
            .map(|flavour| scope.spawn(move || read_from(flavour, version)))
            .map(|thread| thread.join().unwrap())
    });
    assert!(java.len() > 180, "{}: {java:#?}", java.len());
    let said = |read: &Read, name: &str| read.get(name).cloned().unwrap_or_else(|| "nothing".to_owned());
    let names: BTreeSet<&String> = java.keys().chain(ours.keys()).collect();
    let found: Vec<(&str, String, String)> = names
        .into_iter()
        .map(|name| (name.as_str(), said(&java, name), said(&ours, name)))
        .filter(|(_, java, ours)| java != ours)
        .collect();
    let is = |known: &Known, (name, java, ours): &(&str, String, String)| {
        name.ends_with(known.name) && java.starts_with(known.java) && ours.starts_with(known.ours)
    };
    let unknown: Vec<_> = found
        .iter()
        .filter(|found| !known.iter().any(|known| is(known, found)))
        .collect();
    assert!(unknown.is_empty(), "(what, Java {version}, ours): {unknown:#?}");
    for known in known.iter().filter(|known| !known.may_be_alike) {
        assert!(
            found.iter().any(|found| is(known, found)),
            "{} differs no longer",
            known.name
        );
    }
}

/// Ours is 4.9.8.
#[test]
fn tools_of_4_9_read_what_they_read_of_javas() {
    let old_page = "17 No topic route info in name server for the topic: ";
    compare(
        "4.9.7",
        &[
            differs("28 brokerVersion", "407", "409"),
            differs("28 brokerVersionDesc", "text | V4_9_7", "text | V4_9_8"),
            // 4.9.7 names another page of the FAQ behind it.
            differs("203 NoSuchGroup refused", old_page, old_page),
            differs("300 NoSuchTopic refused", old_page, old_page),
            TIMES,
        ],
    );
}

#[test]
fn tools_of_5_3_read_what_they_read_of_javas() {
    let only_java = |name| differs(name, "there", "nothing");
    compare(
        "5.3.3",
        &[
            differs("28 brokerVersion", "479", "409"),
            differs("28 brokerVersionDesc", "text | V5_3_3", "text | V4_9_8"),
            TIMES,
            only_java("201 groups: CID_RMQ_SYS_TRANS"),
            only_java("properties: MSG_REGION"),
            only_java("properties: TRACE_ON"),
            only_java("properties: WAIT"),
            // Made with the first half message.
            only_java("topics: RMQ_SYS_TRANS_HALF_TOPIC"),
            only_java("topics: RMQ_SYS_TRANS_OP_HALF_TOPIC"),
            // Of features that are not here.
            only_java(": CHECKPOINT_TOPIC"),
            only_java(": rmq_sys_REVIVE_LOG_DefaultCluster"),
            only_java(": rmq_sys_SYNC_BROKER_MEMBER_broker-a"),
            only_java(": rmq_sys_wheel_timer"),
            // Java takes the topic for a group that consumes it.
            only_java("300 T groups: T"),
            only_java("300 %RETRY%g groups: %RETRY%g"),
            Known {
                name: "300 %RETRY%g groups: g",
                java: "nothing",
                ours: "there",
                may_be_alike: true,
            },
            differs("(300, 203, 208, 106) T", "UNKNOWN", "nothing"),
            // Offsets of a group that there is not.
            differs(
                "222 nobody online refused",
                "26 Group Offline does not exist",
                "1 THe consumer group <Offline> not exist",
            ),
            differs(
                "208, 202, 29, 15 refused",
                "26 Group Offline not exist!",
                "nothing",
            ),
            differs("208, 202, 29, 15 offset", "nothing", "0 0"),
            differs("208, 202, 29, 15 queues", "nothing", "4"),
        ],
    );
}
