//! Each trouble, made by hand, and a cluster that has none.

use super::super::running_info::RunningInfo;
use super::sight::{Broker, Clash, Dead, Group, Proof, Sight, is_loopback, span_ms};
use super::{Weight, examine};
use protocol::body::namesrv::{BrokerData, ClusterInfo};
use protocol::body::{MessageQueue, TopicConfig};
use std::collections::BTreeMap;
use std::time::Duration;

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn broker(name: &str, id: i64, port: u16) -> Broker {
    let status = pairs(&[
        ("brokerVersionDesc", "V4_9_8"),
        ("commitLogDiskRatio", "0.5"),
        ("commitLogMaxOffset", "5000"),
    ]);
    Broker {
        cluster: "C".to_owned(),
        name: name.to_owned(),
        id,
        address: format!("10.0.0.1:{port}"),
        status: [status.clone(), status],
        settings: pairs(&[
            ("brokerName", name),
            ("brokerId", &id.to_string()),
            ("autoCreateTopicEnable", "false"),
            ("brokerIP2", "10.0.0.1"),
            ("haListenPort", "10912"),
            ("fileReservedTime", "72"),
        ]),
        clock_ms: Some(10),
        topics: [("Orders".to_owned(), TopicConfig::default())].into(),
        ..Broker::default()
    }
}

fn queue(queue_id: i32) -> MessageQueue {
    MessageQueue {
        broker_name: "a".to_owned(),
        queue_id,
        topic: "Orders".to_owned(),
    }
}

/// A member that wants this and has these queues.
fn member(expression: &str, queues: &[i32]) -> RunningInfo {
    let subscription = format!(r#"{{"topic":"Orders","subString":"{expression}"}}"#);
    let retry = r#"{"topic":"%RETRY%g","subString":"*"}"#;
    let text = format!(
        r#"{{"properties":{{"PROP_CONSUME_TYPE":"CONSUME_PASSIVELY"}},"subscriptionSet":[{subscription},{retry}]}}"#
    );
    let mut info: RunningInfo = protocol::body::read(text.as_bytes()).unwrap();
    info.mq_table = queues.iter().map(|id| (queue(*id), Default::default())).collect();
    info
}

/// Two masters and a slave, and a group of two members: all is well.
fn well() -> Sight {
    let groups = vec![Group {
        name: "g".to_owned(),
        is_push: true,
        members: [
            ("x".to_owned(), member("*", &[0])),
            ("y".to_owned(), member("*", &[1])),
        ]
        .into(),
        queues: [queue(0), queue(1)].into(),
        ..Group::default()
    }];
    let info = ClusterInfo {
        broker_addr_table: [(
            "a".to_owned(),
            BrokerData {
                broker_name: "a".to_owned(),
                cluster: "C".to_owned(),
                broker_addrs: [(0, "10.0.0.1:1".to_owned())].into(),
                ..BrokerData::default()
            },
        )]
        .into(),
        ..ClusterInfo::default()
    };
    Sight {
        namesrvs: vec![
            ("10.0.0.9:9876".to_owned(), Ok(info.clone())),
            ("10.0.0.8:9876".to_owned(), Ok(info)),
        ],
        brokers: vec![broker("a", 0, 1), broker("a", 1, 2), broker("b", 0, 3)],
        groups,
        watched: Duration::from_secs(5),
        level: 100,
        ..Sight::default()
    }
}

/// The one finding of a cluster that is well but for this.
fn check(weight: Weight, name: &str, parts: &[&str], spoil: impl FnOnce(&mut Sight)) {
    let mut sight = well();
    spoil(&mut sight);
    let findings = examine(&sight);
    let [finding] = findings.as_slice() else {
        panic!("{name}: {findings:#?}");
    };
    assert_eq!((finding.weight, finding.check), (weight, name), "{finding:#?}");
    let text = format!("{}: {}", finding.place, finding.finding);
    for part in parts {
        assert!(text.contains(part), "{name} lacks {part:?}: {text}");
    }
    assert!(!finding.advice.is_empty());
}

#[test]
fn nothing_is_wrong() {
    assert_eq!(examine(&well()), []);
}

#[test]
fn name_servers() {
    check(
        Weight::Error,
        "nameServerAway",
        &["10.0.0.8:9876: gone"],
        |sight| {
            sight.namesrvs[1].1 = Err("gone".to_owned());
        },
    );
    let differ = ["10.0.0.8:9876: does not know a (id 0) at 10.0.0.1:1"];
    check(Weight::Error, "nameServersDiffer", &differ, |sight| {
        sight.namesrvs[1].1 = Ok(ClusterInfo::default());
    });
}

#[test]
fn places_that_are_taken_twice() {
    for (id, name) in [(0, "twoMasters"), (1, "sameBrokerId")] {
        check(
            Weight::Error,
            name,
            &["10.0.0.1:1 and 10.0.0.1:7 take turns"],
            |sight| {
                sight.clashes.push(Clash {
                    name: "a".to_owned(),
                    id,
                    addresses: vec!["10.0.0.1:1".to_owned(), "10.0.0.1:7".to_owned()],
                });
            },
        );
    }
    check(
        Weight::Error,
        "otherBroker",
        &["b (id 0) at 10.0.0.1:3: says that it is z (id 0)"],
        |sight| {
            sight.brokers[2]
                .settings
                .insert("brokerName".to_owned(), "z".to_owned());
        },
    );
}

#[test]
fn addresses() {
    check(
        Weight::Error,
        "addressUnreachable",
        &["a (id 1) at 10.0.0.1:2", "refused"],
        |sight| {
            sight.brokers[1].away = Some("refused".to_owned());
        },
    );
    let untold = ["a (id 0)", "does not tell its topics: too long"];
    check(Weight::Warning, "notTold", &untold, |sight| {
        sight.brokers[0].untold.push("its topics: too long".to_owned());
    });
    let refuses = ["a (id 1)", "no permission"];
    check(Weight::Error, "brokerRefuses", &refuses, |sight| {
        sight.brokers[1].away = Some("no permission".to_owned());
        sight.brokers[1].refuses = true;
    });
    check(Weight::Error, "addressLoopback", &["127.0.0.1:2"], |sight| {
        sight.brokers[1].address = "127.0.0.1:2".to_owned();
    });
    let mut sight = well();
    sight.brokers[1].address = "127.0.0.1:2".to_owned();
    sight.namesrvs[0].0 = "127.0.0.1:9876".to_owned();
    assert_eq!(examine(&sight), [], "all of it is on this host");
    for (address, expected) in [
        ("[::1]:9876", true),
        ("10.0.0.1:1", false),
        ("example.org:1", false),
    ] {
        assert_eq!(is_loopback(address), expected, "{address}");
    }
}

#[test]
fn disks() {
    let fill = |ratio: &'static str| {
        move |sight: &mut Sight| {
            sight.brokers[0].status[1].insert("consumeQueueDiskRatio".to_owned(), ratio.to_owned());
        }
    };
    check(
        Weight::Error,
        "diskFull",
        &["93 % full: it takes no messages"],
        fill("0.93"),
    );
    check(
        Weight::Warning,
        "diskFull",
        &["76 % full: files are deleted"],
        fill("0.76"),
    );
    check(Weight::Warning, "diskFull", &["60 % full"], |sight| {
        fill("0.6")(sight);
        sight.brokers[0]
            .settings
            .insert("diskMaxUsedSpaceRatio".to_owned(), "55".to_owned());
    });
}

#[test]
fn clocks() {
    check(
        Weight::Warning,
        "clockApart",
        &["b (id 0)", "7 s behind of this host's"],
        |sight| {
            sight.brokers[2].clock_ms = Some(-7_100);
        },
    );
    check(
        Weight::Notice,
        "clockApart",
        &["this host", "9 s behind of that of every broker"],
        |sight| {
            for broker in &mut sight.brokers {
                broker.clock_ms = Some(9_000);
            }
        },
    );
    assert_eq!(
        span_ms("[ 1 days, 2 hours, 3 minutes, 4 seconds ]"),
        Some(93_784_000)
    );
    assert_eq!(span_ms("[ soon ]"), None);
}

#[test]
fn slaves() {
    check(
        Weight::Error,
        "slaveOfAnotherLog",
        &["a (id 1)", "another message at 77"],
        |sight| {
            sight.brokers[1].proof = Some(Proof::Other(77));
        },
    );
    let end = |sight: &mut Sight, broker: usize, look: usize, end: &str| {
        sight.brokers[broker].status[look].insert("commitLogMaxOffset".to_owned(), end.to_owned());
    };
    check(
        Weight::Error,
        "slaveOfAnotherLog",
        &["ends at 6000", "at 5000"],
        |sight| {
            end(sight, 1, 0, "6000");
            end(sight, 1, 1, "6000");
        },
    );
    check(
        Weight::Error,
        "slaveBehind",
        &["lacks 1000 bytes", "does not move"],
        |sight| {
            end(sight, 1, 0, "4000");
            end(sight, 1, 1, "4000");
        },
    );
    let far = |sight: &mut Sight, first: &str, last: &str| {
        end(sight, 0, 0, "5000000");
        end(sight, 0, 1, "5000000");
        end(sight, 1, 0, first);
        end(sight, 1, 1, last);
    };
    check(Weight::Warning, "slaveBehind", &["catches up"], |sight| {
        far(sight, "1000", "2000")
    });
    let mut sight = well();
    far(&mut sight, "1000", "4999999");
    assert_eq!(examine(&sight), [], "it is nearly there");
    check(
        Weight::Error,
        "slaveOfAnotherMaster",
        &["follows 10.0.0.7:10912"],
        |sight| {
            let ha = r#"{"haClientRuntimeInfo":{"masterAddr":"10.0.0.7:10912"}}"#;
            sight.brokers[1].ha = protocol::body::read(ha.as_bytes()).ok();
        },
    );
    // A second, empty master beside the one that the slave copies: the slave's log is the good one's.
    let mut sight = well();
    let ha = r#"{"haClientRuntimeInfo":{"masterAddr":"10.0.0.7:10912"}}"#;
    sight.brokers[1].ha = protocol::body::read(ha.as_bytes()).ok();
    sight.brokers[1].proof = Some(Proof::Other(77));
    let advised: Vec<(&str, String)> = examine(&sight)
        .into_iter()
        .map(|finding| (finding.check, finding.advice))
        .collect();
    assert!(
        matches!(
            &advised[..],
            [("slaveOfAnotherMaster", first), ("slaveOfAnotherLog", then)]
                if first.contains("find out which has the messages") && then.contains("do nothing to its store")
        ),
        "{advised:#?}"
    );
    check(
        Weight::Warning,
        "settingsDiffer",
        &["fileReservedTime is 9 and not 72"],
        |sight| {
            let settings = &mut sight.brokers[1].settings;
            settings.insert("fileReservedTime".to_owned(), "9".to_owned());
            settings.insert("storePathRootDir".to_owned(), "/elsewhere".to_owned());
        },
    );
    // Whoever raises it as he is told throws away what the slave keeps because of it.
    let mut sight = well();
    for (number, most) in [(0, "64000000"), (1, "100000")] {
        let settings = &mut sight.brokers[number].settings;
        settings.insert("haCutMaxBytes".to_owned(), most.to_owned());
    }
    assert!(
        examine(&sight)
            .iter()
            .all(|finding| finding.check != "settingsDiffer")
    );
}

#[test]
fn topics() {
    check(
        Weight::Warning,
        "topicOnOneBroker",
        &["topic Alone: is on b alone, one of 2 in C"],
        |sight| {
            for topic in ["Alone", "%RETRY%g", "b", "C", "RMQ_SYS_TRACE_TOPIC"] {
                sight.brokers[2]
                    .topics
                    .insert(topic.to_owned(), TopicConfig::default());
            }
        },
    );
    let dead = |ever: i64, now: i64| BTreeMap::from([("%DLQ%g".to_owned(), Dead { ever, now })]);
    check(
        Weight::Error,
        "deadLettersGrow",
        &["group g: 3 more", "9 lie"],
        |sight| {
            sight.brokers[0].dead = [dead(10, 2), dead(12, 4)];
            sight.brokers[2].dead = [dead(5, 5), dead(6, 5)];
        },
    );
    check(Weight::Notice, "deadLetters", &["4 messages"], |sight| {
        sight.brokers[0].dead = [dead(10, 4), dead(10, 4)];
    });
    let mut sight = well();
    sight.brokers[0].dead = [dead(10, 0), dead(10, 0)];
    assert_eq!(examine(&sight), [], "they are deleted by now");
}

#[test]
fn groups() {
    let differ = ["group g", "x want Orders:*; y want Orders:Paid"];
    check(Weight::Error, "subscriptionsDiffer", &differ, |sight| {
        sight.groups[0]
            .members
            .insert("y".to_owned(), member("Paid", &[1]));
    });
    let free = ["none of its 2 members has MessageQueue [topic=Orders, brokerName=a, queueId=1]"];
    check(Weight::Error, "queueWithoutOwner", &free, |sight| {
        sight.groups[0].members.insert("y".to_owned(), member("*", &[]));
    });
    let mut sight = well();
    sight.groups[0].members.insert("y".to_owned(), member("*", &[]));
    sight.groups[0].silent.push("z".to_owned());
    assert_eq!(examine(&sight), [], "z may have it");
}

#[test]
fn messages_that_wait() {
    let wait = |group: &'static str, first: i64, last: i64| {
        move |sight: &mut Sight| {
            let of = |messages| BTreeMap::from([((group.to_owned(), "Orders".to_owned()), messages)]);
            sight.brokers[0].waiting = [of(first), of(last)];
        }
    };
    check(
        Weight::Error,
        "consumersBehind",
        &["500 messages of Orders wait for its 2 members, 100 more"],
        wait("g", 400, 500),
    );
    check(
        Weight::Notice,
        "consumersBehind",
        &["400 messages", "no more than before"],
        wait("g", 500, 400),
    );
    check(
        Weight::Warning,
        "consumersGone",
        &["group h: 400 messages", "no member"],
        wait("h", 400, 400),
    );
    let mut sight = well();
    wait("g", 1, 99)(&mut sight);
    assert_eq!(examine(&sight), [], "that is no more than usual");
}

#[test]
fn habits() {
    check(Weight::Warning, "autoCreateTopic", &["a (id 0)"], |sight| {
        sight.brokers[0]
            .settings
            .insert("autoCreateTopicEnable".to_owned(), "true".to_owned());
        sight.brokers[1]
            .settings
            .insert("autoCreateTopicEnable".to_owned(), "true".to_owned());
    });
    check(Weight::Notice, "autoCreateGroup", &["b (id 0)"], |sight| {
        sight.brokers[2]
            .settings
            .insert("autoCreateSubscriptionGroup".to_owned(), "true".to_owned());
    });
    check(
        Weight::Notice,
        "versionsMixed",
        &["V4_9_8 at 10.0.0.1:1, 10.0.0.1:2; V5_3_3 at 10.0.0.1:3"],
        |sight| {
            sight.brokers[2].status[0].insert("brokerVersionDesc".to_owned(), "V5_3_3".to_owned());
        },
    );
}

#[test]
fn the_worst_comes_first() {
    let mut sight = well();
    sight.brokers[2].status[0].insert("brokerVersionDesc".to_owned(), "V5_3_3".to_owned());
    sight.brokers[0]
        .settings
        .insert("autoCreateTopicEnable".to_owned(), "true".to_owned());
    sight.brokers[1].away = Some("refused".to_owned());
    let weights: Vec<Weight> = examine(&sight).iter().map(|finding| finding.weight).collect();
    assert_eq!(weights, [Weight::Error, Weight::Warning, Weight::Notice]);
}
