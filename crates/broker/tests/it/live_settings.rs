//! Settings that an operator changes while the broker runs, and that act at once: each is changed in some test, which
//! looks at what the broker does.

use std::borrow::Cow;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::settings::Settings;
use cluster::{Process, Wire, frame};
use protocol::Frame;
use protocol::code::{request, response};
use protocol::header::broker::*;
use remoting::Body;
use serde_json::Value;
use settings::{Applies, Group};
use tempfile::TempDir;
use tokio::sync::mpsc::error::TryRecvError;

use crate::fixture::*;
use crate::name_servers::{Reply, Scripted, count, wait_until};
use crate::registration::{list, name_server};
use crate::{
    cold_reads, drain, filters, groups, live_flush, live_retention, name_servers, replies, slaves,
    sync_flush, transactions,
};

/// Longer than a client of these tests waits for an answer.
const LONG_MS: u64 = 600_000;

/// The keys of all tests.
const TESTED: &[&[&str]] = &[
    &LONGEST,
    &READS,
    &SENDS,
    &FIRST_USE,
    &POLLING,
    &PERMISSION,
    &NOTICES,
    &CAPACITIES,
    &REGISTRATION,
    &FILTERS,
    &filters::SQL92,
    &LEVELS,
    &name_servers::NAME_SERVERS,
    &sync_flush::SYNC_FLUSH,
    &live_flush::COMMIT_LOG,
    &live_flush::CONSUME_QUEUE,
    &live_retention::RETENTION,
    &slaves::SLAVES,
    &transactions::LIVE,
    &groups::SLOW,
    &replies::STORED,
    &cold_reads::LIVE,
    &drain::DRAIN,
    &SLOW_REQUESTS,
];

#[test]
fn every_live_setting_is_tested() {
    let all = Settings::default();
    let rows = all
        .sections()
        .into_iter()
        .flat_map(|section| section.rows().iter());
    let mut live: Vec<&str> = rows
        .filter(|row| row.applies == Applies::Live)
        .map(|row| row.key)
        .collect();
    let mut tested = TESTED.concat();
    live.sort_unstable();
    tested.sort_unstable();
    assert_eq!(tested, live);
}

const SLOW_REQUESTS: [&str; 1] = ["slowRequestMillis"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_slow_changes_at_once() {
    let fixture = Fixture::new(|_| {}).await;
    let changes = Tested::new(&SLOW_REQUESTS);
    let make = async |from: usize| {
        let code = request::UPDATE_AND_CREATE_TOPIC_LIST;
        let made = fixture.ask(code, &(), list(from, from + 10_000)).await;
        assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
    };
    let count = || {
        let page = fixture.broker.as_ref().unwrap().state().page();
        let line = page.lines().find(|line| line.ends_with(" slow requests"));
        line.and_then(|line| line.split(' ').next()?.parse::<u64>().ok())
            .unwrap()
    };
    changes.set(&fixture, "slowRequestMillis=600000").await;
    make(0).await;
    assert_eq!(count(), 0);
    // Ten thousand topics are not read, made and saved in that.
    changes.set(&fixture, "slowRequestMillis=1").await;
    make(10_000).await;
    assert!(count() > 0);
}

const LONGEST: [&str; 1] = ["maxMessageSize"];

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_message_changes_at_once_both_ways() {
    let fixture = Fixture::new(|_| {}).await;
    let send = async |len: usize| fixture.send(&to("Topic", 0, ""), &vec![b'x'; len]).await.code;
    let changes = Tested::new(&LONGEST);
    assert_eq!(send(2000).await, response::SUCCESS);
    changes.set(&fixture, "maxMessageSize=1000\n").await;
    assert_eq!(send(1001).await, response::MESSAGE_ILLEGAL);
    assert_eq!(send(1000).await, response::SUCCESS);
    fixture.set("maxMessageSize=500000\n").await;
    assert_eq!(send(500_000).await, response::SUCCESS);
    assert_eq!(send(500_001).await, response::MESSAGE_ILLEGAL);
    let kept = std::fs::read_to_string(fixture.dir.path().join("broker.conf")).unwrap();
    assert_eq!(kept, "maxMessageSize=500000\n");
}

const READS: [&str; 8] = [
    "maxTransferCountOnMessageInMemory",
    "maxTransferBytesOnMessageInMemory",
    "accessMessageInMemoryMaxRatio",
    "maxTransferCountOnMessageInDisk",
    "maxTransferBytesOnMessageInDisk",
    "slaveReadEnable",
    "maxMsgsNumBatch",
    "defaultQueryMaxNum",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_reads_and_queries_change_at_once() {
    let fixture = Fixture::new(|_| {}).await;
    for _ in 0..10 {
        fixture.send(&to("Topic", 0, "KEYS\x01k\x02"), &[b'x'; 100]).await;
    }
    let changes = Tested::new(&READS);
    let suggested = async || {
        let answer = fixture.pull(&from("Topic", 0, 0)).await;
        let header: PullMessageResponseHeader = answer.header().unwrap();
        header.suggest_which_broker_id
    };
    let pulled = async || records(&fixture.pull(&from("Topic", 0, 0)).await.body).len();
    assert_eq!(pulled().await, 10);
    changes
        .set(&fixture, "maxTransferCountOnMessageInMemory=4\n")
        .await;
    assert_eq!(pulled().await, 4);
    changes
        .set(&fixture, "maxTransferBytesOnMessageInMemory=600\n")
        .await;
    assert_eq!(pulled().await, 2, "of some 230 bytes each");
    // Everything counts as being on disk.
    changes
        .set(
            &fixture,
            "accessMessageInMemoryMaxRatio=0\nmaxTransferCountOnMessageInDisk=3\n",
        )
        .await;
    assert_eq!(pulled().await, 3);
    // Who reads what is on disk is to ask a slave, if slaves may be read from.
    for (change, broker_id) in [("true", 1), ("false", 0)] {
        let change = format!("slaveReadEnable={change}\n");
        changes.set(&fixture, &change).await;
        assert_eq!(suggested().await, broker_id);
    }
    changes.set(&fixture, "maxTransferBytesOnMessageInDisk=1\n").await;
    assert_eq!(pulled().await, 1, "the first is always given");

    let query = QueryMessageRequestHeader {
        topic: Cow::Borrowed("Topic"),
        key: Cow::Borrowed("k"),
        max_num: 64,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
        unique_key_query: None,
    };
    let found = async || {
        let answer = fixture.ask(request::QUERY_MESSAGE, &query, "").await;
        records(&answer.body).len()
    };
    let started = Instant::now();
    while found().await < 10 {
        assert!(started.elapsed() < WITHIN, "the index is not built");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    changes.set(&fixture, "maxMsgsNumBatch=7\n").await;
    assert_eq!(found().await, 7);
    let unique = QueryMessageRequestHeader {
        unique_key_query: Some(true),
        ..query.clone()
    };
    for most in [6, 4] {
        let change = format!("defaultQueryMaxNum={most}\n");
        changes.set(&fixture, &change).await;
        let answer = fixture.ask(request::QUERY_MESSAGE, &unique, "").await;
        assert_eq!(records(&answer.body).len(), most);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_at_the_next_start_is_taken_and_kept() {
    let mut fixture = Fixture::new(|_| {}).await;
    fixture.set("defaultTopicQueueNums=3\ndeleteWhen=05\n").await;
    let shown = async |fixture: &Fixture| {
        let answer = fixture.ask(request::GET_BROKER_CONFIG, &(), "").await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let text = shown(&fixture).await;
    assert!(text.lines().any(|line| line == "deleteWhen=05"), "{text}");
    assert!(
        text.lines().any(|line| line == "defaultTopicQueueNums=8"),
        "{text}"
    );
    let kept = std::fs::read_to_string(fixture.dir.path().join("broker.conf")).unwrap();
    assert_eq!(kept, "deleteWhen=05\ndefaultTopicQueueNums=3\n");
    fixture.restart().await;
}

const SENDS: [&str; 2] = ["startAcceptSendRequestTimeStamp", "traceOn"];

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_let_in_and_told_of_traces_as_of_now() {
    let fixture = Fixture::new(|_| {}).await;
    let changes = Tested::new(&SENDS);
    let send = async || fixture.send(&to("Topic", 0, ""), b"x").await;
    for (trace, shown) in [("false", "false"), ("true", "true")] {
        changes.set(&fixture, &format!("traceOn={trace}\n")).await;
        let sent = send().await;
        assert_eq!(
            (sent.code, sent.field("TRACE_ON")),
            (response::SUCCESS, Some(shown))
        );
    }
    changes
        .set(&fixture, "startAcceptSendRequestTimeStamp=9999999999999\n")
        .await;
    assert_eq!(send().await.code, response::SYSTEM_ERROR);
    changes.set(&fixture, "startAcceptSendRequestTimeStamp=0\n").await;
    assert_eq!(send().await.code, response::SUCCESS);
}

const FIRST_USE: [&str; 2] = ["autoCreateTopicEnable", "autoCreateSubscriptionGroup"];

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_groups_are_made_on_first_use_while_that_is_on() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let namesrv = name_server(&dir, port).await;
    let address = format!("127.0.0.1:{port}");
    let fixture = Fixture::in_folder(dir, |s| {
        s.broker.namesrv_addr = Some(address.clone());
        s.broker.auto_create_topic_enable = false;
        s.broker.auto_create_subscription_group = false;
    })
    .await;
    let changes = Tested::new(&FIRST_USE);
    let send = async |topic: &str| fixture.send(&to(topic, 0, ""), b"x").await.code;
    assert_eq!(send("A").await, response::TOPIC_NOT_EXIST);
    // The second time it is there, and not to be drawn to.
    for round in 0..2 {
        changes.set(&fixture, "autoCreateTopicEnable=true\n").await;
        wait_until("the template can be written to", WITHIN, async || {
            fixture.registered_permission(&address, "TBW102").await == Some(7)
        })
        .await;
        assert_eq!(send(&format!("B{round}")).await, response::SUCCESS);
        changes.set(&fixture, "autoCreateTopicEnable=false\n").await;
        assert_eq!(send(&format!("C{round}")).await, response::TOPIC_NOT_EXIST);
        assert_eq!(send(&format!("B{round}")).await, response::SUCCESS, "it stays");
        wait_until("the template is only shown", WITHIN, async || {
            fixture.registered_permission(&address, "TBW102").await == Some(4)
        })
        .await;
    }

    let pull = async |group: &'static str| {
        let header = PullMessageRequestHeader {
            consumer_group: Cow::Borrowed(group),
            ..from("B0", 0, 0)
        };
        fixture.pull(&header).await.code
    };
    assert_eq!(pull("g1").await, response::SUBSCRIPTION_GROUP_NOT_EXIST);
    changes.set(&fixture, "autoCreateSubscriptionGroup=true\n").await;
    assert_eq!(pull("g1").await, response::SUCCESS);
    changes.set(&fixture, "autoCreateSubscriptionGroup=false\n").await;
    assert_eq!(pull("g2").await, response::SUBSCRIPTION_GROUP_NOT_EXIST);
    assert_eq!(pull("g1").await, response::SUCCESS, "it stays");
    fixture.stop().await;
    namesrv.shutdown().await;
}

/// Pulls behind the end of queue 0, and waits for so long if that is the client's matter.
async fn pull_end(fixture: &Fixture, suspend_ms: u64) -> (Frame, Duration) {
    let header = PullMessageRequestHeader {
        sys_flag: 6,
        suspend_timeout_millis: Some(suspend_ms as i64),
        ..from("Topic", 0, 1)
    };
    let started = Instant::now();
    let answer = fixture.pull(&header).await;
    (answer, started.elapsed())
}

/// Pulls, and changes the settings when the pull waits.
async fn pull_and_set(fixture: &Fixture, changes: &Tested, text: &str) -> Frame {
    let change = async {
        wait_until("a pull waits", WITHIN, async || {
            fixture.runtime().await["pullHoldSize"] == "1"
        })
        .await;
        changes.set(fixture, text).await;
    };
    let ((answer, _), ()) = tokio::join!(pull_end(fixture, LONG_MS), change);
    answer
}

const POLLING: [&str; 2] = ["longPollingEnable", "shortPollingTimeMills"];

#[tokio::test(flavor = "multi_thread")]
async fn pulls_wait_by_todays_rules_also_those_that_wait_already() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    let changes = Tested::new(&POLLING);
    let off = "longPollingEnable=false\nshortPollingTimeMills=600000\n";
    let held = pull_and_set(&fixture, &changes, off).await;
    assert_eq!(held.code, response::PULL_NOT_FOUND);
    let held = pull_and_set(&fixture, &changes, "shortPollingTimeMills=300\n").await;
    assert_eq!(held.code, response::PULL_NOT_FOUND);
    let (answer, took) = pull_end(&fixture, LONG_MS).await;
    assert_eq!(answer.code, response::PULL_NOT_FOUND);
    not_before(took, Duration::from_millis(300));
    changes.set(&fixture, "longPollingEnable=true\n").await;
    let (answer, took) = pull_end(&fixture, 1500).await;
    assert_eq!(answer.code, response::PULL_NOT_FOUND);
    not_before(took, Duration::from_millis(1500));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_kept_in_the_file_reaches_those_who_wait_all_the_same() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    // A folder where the file should be.
    std::fs::create_dir(fixture.dir.path().join("broker.conf")).unwrap();
    let change = async {
        wait_until("a pull waits", WITHIN, async || {
            fixture.runtime().await["pullHoldSize"] == "1"
        })
        .await;
        fixture
            .ask(request::UPDATE_BROKER_CONFIG, &(), "brokerPermission=2\n")
            .await
    };
    let ((held, _), answer) = tokio::join!(pull_end(&fixture, LONG_MS), change);
    assert_eq!(held.code, response::NO_PERMISSION);
    let (code, remark) = refused(&answer);
    assert_ne!(code, response::SUCCESS);
    assert!(remark.contains("in force but not in the file"), "{remark}");
}

/// A file of the change alone would start another broker, with an empty store.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_not_made_of_one_change() {
    let fixture = Fixture::new(|s| s.config_file_given = true).await;
    let file = fixture.dir.path().join("broker.conf");
    let update = async |text: &'static str| {
        let answer = fixture.ask(request::UPDATE_BROKER_CONFIG, &(), text).await;
        (answer.code, answer.remark.unwrap_or_default())
    };
    let (code, remark) = update("fileReservedTime=79\n").await;
    assert_ne!(code, response::SUCCESS);
    assert!(
        remark.contains("in force but not in the file") && remark.contains("broker.conf"),
        "{remark}"
    );
    assert!(!file.exists());
    // What it has become is what the next start reads.
    std::fs::write(&file, "brokerRole=SLAVE\n").unwrap();
    let (code, remark) = update("fileReservedTime=80\n").await;
    assert_ne!(code, response::SUCCESS);
    assert!(
        remark.contains("nothing is changed") && remark.contains("brokerId"),
        "{remark}"
    );
    std::fs::write(&file, "brokerName=b\n").unwrap();
    assert_eq!(update("fileReservedTime=80\n").await.0, response::SUCCESS);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept, "brokerName=b\nfileReservedTime=80\n");
}

const PERMISSION: [&str; 1] = ["brokerPermission"];

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_permission_reaches_producers_consumers_and_those_who_wait() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let namesrv = name_server(&dir, port).await;
    let address = format!("127.0.0.1:{port}");
    let fixture = Fixture::in_folder(dir, |s| s.broker.namesrv_addr = Some(address.clone())).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    let changes = Tested::new(&PERMISSION);
    let held = pull_and_set(&fixture, &changes, "brokerPermission=2\n").await;
    assert_eq!(held.code, response::NO_PERMISSION);
    assert_eq!(pull_end(&fixture, LONG_MS).await.0.code, response::NO_PERMISSION);
    for permission in [4, 6] {
        let change = format!("brokerPermission={permission}\n");
        changes.set(&fixture, &change).await;
        wait_until("the name server is told", WITHIN, async || {
            fixture.registered_permission(&address, "Topic").await == Some(permission)
        })
        .await;
    }
    assert_eq!(fixture.pull(&from("Topic", 0, 0)).await.code, response::SUCCESS);
    fixture.stop().await;
    namesrv.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_permission_closes_ordered_topics() {
    let fixture = Fixture::new(|_| {}).await;
    let ordered =
        r#"{"topicConfigList":[{"topicName":"Topic","readQueueNums":1,"writeQueueNums":1,"order":true}]}"#;
    fixture
        .ask(request::UPDATE_AND_CREATE_TOPIC_LIST, &(), ordered)
        .await;
    let changes = Tested::new(&PERMISSION);
    for (permission, code) in [
        (6, response::SUCCESS),
        (4, response::NO_PERMISSION),
        (6, response::SUCCESS),
    ] {
        let change = format!("brokerPermission={permission}\n");
        changes.set(&fixture, &change).await;
        assert_eq!(fixture.send(&to("Topic", 0, ""), b"x").await.code, code);
    }
}

const NOTICES: [&str; 1] = ["notifyConsumerIdsChangedEnable"];

#[tokio::test(flavor = "multi_thread")]
async fn members_hear_of_each_other_while_that_is_on() {
    let fixture = Fixture::new(|_| {}).await;
    let changes = Tested::new(&NOTICES);
    let (first, mut notices, _keep_first) = fixture.own_connection().await;
    let beat = async |conn: &Arc<remoting::Connection>, id: &str| {
        let text = heartbeat(id, "g", "Topic");
        let answer = conn.invoke(request::HEART_BEAT, &(), Body::Bytes(text.into()), WITHIN);
        assert_eq!(answer.await.unwrap().code, response::SUCCESS);
    };
    beat(&first, "c1").await;
    assert_eq!(
        notices.recv().await.unwrap().code,
        request::NOTIFY_CONSUMER_IDS_CHANGED
    );
    let mut stays = Vec::new();
    for (number, (on, heard)) in [("false", 0), ("true", 1)].into_iter().enumerate() {
        let change = format!("notifyConsumerIdsChangedEnable={on}\n");
        changes.set(&fixture, &change).await;
        let (other, _others, keep) = fixture.own_connection().await;
        beat(&other, &format!("other{number}")).await;
        // What was written to the first before this answer has been read before it.
        beat(&first, "c1").await;
        for _ in 0..heard {
            notices.recv().await.unwrap();
        }
        assert_eq!(notices.try_recv().unwrap_err(), TryRecvError::Empty);
        // It stays: its leaving would be told, too.
        stays.push(keep);
    }
}

const CAPACITIES: [&str; 3] = [
    "sendThreadPoolQueueCapacity",
    "pullThreadPoolQueueCapacity",
    "queryThreadPoolQueueCapacity",
];

#[tokio::test(flavor = "multi_thread")]
async fn capacities_are_shown_and_queries_kept_to_theirs() {
    const QUERIES: i32 = 500;
    let fixture = Fixture::new(|_| {}).await;
    fixture.send(&to("Topic", 0, ""), b"x").await;
    let changes = Tested::new(&CAPACITIES);
    let fields = [
        ("topic", "Topic"),
        ("key", "k"),
        ("maxNum", "1"),
        ("beginTimestamp", "0"),
        ("endTimestamp", "9999999999999"),
    ];
    let all: Vec<u8> = (0..QUERIES)
        .flat_map(|opaque| frame(request::QUERY_MESSAGE, opaque, &fields, b""))
        .collect();
    let busy = || {
        let mut wire = Wire::connect(&format!("127.0.0.1:{}", fixture.port)).unwrap();
        wire.write(&all).unwrap();
        let codes = (0..QUERIES).map(|_| wire.read().unwrap().code());
        codes
            .filter(|code| *code == i64::from(response::SYSTEM_BUSY))
            .count()
    };
    assert_eq!(tokio::task::block_in_place(busy), 0);
    changes.set(&fixture, "queryThreadPoolQueueCapacity=1\n").await;
    assert!(tokio::task::block_in_place(busy) > 0);
    changes
        .set(
            &fixture,
            "sendThreadPoolQueueCapacity=11\npullThreadPoolQueueCapacity=12\n",
        )
        .await;
    let shown = fixture.runtime().await;
    for (family, capacity) in [("send", "11"), ("pull", "12"), ("query", "1")] {
        assert_eq!(shown[&format!("{family}ThreadPoolQueueCapacity")], capacity);
    }
}

const REGISTRATION: [&str; 5] = [
    "compressedRegister",
    "forceRegister",
    "enableSingleTopicRegister",
    "registerNameServerPeriod",
    "registerBrokerTimeoutMills",
];

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_are_told_in_todays_way() {
    let mut namesrv = Scripted::start(|_| Reply::Success).await;
    let mut mute = Scripted::start(|_| Reply::Nothing).await;
    let fixture = Fixture::new(|s| {
        s.broker.namesrv_addr = Some(namesrv.address.clone());
        s.broker.register_name_server_period = 60_000;
        s.broker.register_broker_timeout_mills = 60_000;
    })
    .await;
    let changes = Tested::new(&REGISTRATION);
    let compressed = |headers: &[Value], shown: &str| {
        headers.iter().any(|header| {
            header["code"] == request::REGISTER_BROKER && header["extFields"]["compressed"] == shown
        })
    };
    namesrv.wait_until(|headers| compressed(headers, "false")).await;
    changes.set(&fixture, "compressedRegister=true\n").await;
    fixture.set("brokerPermission=4\n").await;
    namesrv.wait_until(|headers| compressed(headers, "true")).await;

    assert_eq!(namesrv.count(request::QUERY_DATA_VERSION), 0);
    changes.set(&fixture, "forceRegister=false\n").await;
    fixture.set("brokerPermission=6\n").await;
    namesrv
        .wait_until(|headers| count(headers, request::QUERY_DATA_VERSION) >= 1)
        .await;

    // A topic that is made before this registration is over would be told by another whole one.
    let registered = |headers: &Vec<Value>| {
        let asked = headers
            .iter()
            .rposition(|header| header["code"] == request::QUERY_DATA_VERSION);
        asked.is_some_and(|asked| count(&headers[asked..], request::REGISTER_BROKER) >= 1)
    };
    namesrv.wait_until(registered).await;
    assert_eq!(namesrv.count(request::REGISTER_TOPIC_IN_NAMESRV), 0);
    changes.set(&fixture, "enableSingleTopicRegister=true\n").await;
    fixture.send(&to("Single", 0, ""), b"x").await;
    namesrv
        .wait_until(|headers| count(headers, request::REGISTER_TOPIC_IN_NAMESRV) >= 1)
        .await;

    // The period of a minute has begun already.
    let asked = namesrv.count(request::QUERY_DATA_VERSION);
    changes.set(&fixture, "registerNameServerPeriod=10000\n").await;
    namesrv
        .wait_until(|headers| count(headers, request::QUERY_DATA_VERSION) > asked)
        .await;

    // Who does not answer is given up and tried again.
    changes.set(&fixture, "registerBrokerTimeoutMills=50\n").await;
    fixture.set(&format!("namesrvAddr={}\n", mute.address)).await;
    mute.wait_until(|headers| count(headers, request::REGISTER_BROKER) >= 2)
        .await;
    fixture.stop().await;
}

const FILTERS: [&str; 1] = ["filterDataCleanTimeSpan"];

#[tokio::test(flavor = "multi_thread")]
async fn filters_of_consumers_that_are_gone_go_when_todays_time_is_over() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("store/config");
    std::fs::create_dir_all(&config).unwrap();
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/java-4.9.7/consumerFilter.json"
    );
    std::fs::copy(golden, config.join("consumerFilter.json")).unwrap();
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    let is_kept = || {
        let text = std::fs::read_to_string(config.join("consumerFilter.json")).unwrap();
        text.contains("IS NOT NULL")
    };
    assert!(is_kept());
    let changes = Tested::new(&FILTERS);
    changes.set(&fixture, "filterDataCleanTimeSpan=0\n").await;
    wait_until("it is dropped", WITHIN, async || !is_kept()).await;
}

const LEVELS: [&str; 1] = ["logLevels"];

/// A process of its own: the log is one for all brokers of a process.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_more_and_less_at_once() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let file = dir.path().join("broker.conf");
    let text = format!(
        "brokerName=broker-a\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={port}\nstorePathRootDir={}/store\n\
         mappedFileSizeCommitLog=1048576\n",
        dir.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.arg("-c").arg(&file).env("HOME", dir.path());
    command.env_remove("ROCKETMQ_LOG").env_remove("NAMESRV_ADDR");
    let process = Process::start("broker", command, &dir.path().join("out"));
    process.wait_for("boot", WITHIN, |line| line.contains("boot success").then_some(()));
    let client = remoting::Client::new(remoting::ClientSettings::default());
    let address = format!("127.0.0.1:{port}");
    let changes = Tested::new(&LEVELS);
    let set = async |text: &str| {
        let body = Body::Bytes(text.to_owned().into());
        let answer = client.invoke(&address, request::UPDATE_BROKER_CONFIG, &(), body, WITHIN);
        assert_eq!(answer.await.unwrap().code, response::SUCCESS, "{text}");
    };
    let log = dir.path().join("logs/rocketmqlogs/broker.log");
    let logged = || std::fs::read_to_string(&log).unwrap_or_default() + &process.lines().join("\n");
    // A name server that is away is mentioned once a minute, and under debug each time it is tried.
    changes.note("logLevels=debug\n");
    set("logLevels=debug\n").await;
    set("namesrvAddr=127.0.0.1:1\n").await;
    wait_until("a line of that level", WITHIN, async || {
        logged().contains("DEBUG")
    })
    .await;
    set("logLevels=error\n").await;
    set("traceOn=false\n").await;
    assert!(!logged().contains("traceOn=false"), "{}", logged());
    set("logLevels=info\n").await;
    set("traceOn=true\n").await;
    wait_until("a line of that level", WITHIN, async || {
        logged().contains("traceOn=true")
    })
    .await;
}
