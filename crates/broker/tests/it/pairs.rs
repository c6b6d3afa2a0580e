//! A master and its slave, both whole brokers of this process, without a name server: `haMasterAddress` says where the master is.

use std::borrow::Cow;
use std::path::Path;
use std::time::Instant;

use broker::settings::{BrokerRole, Settings};
use protocol::code::{request, response};
use protocol::header::broker::{
    ConsumerSendMsgBackRequestHeader, OffsetResponseHeader, QueueRequestHeader, RuntimeInfoRequestHeader,
    TopicRequestHeader, UpdateConsumerOffsetRequestHeader,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::*;

/// A slave that follows its master by its own settings alone.
pub(crate) struct Pair {
    pub(crate) master: Fixture,
    pub(crate) slave: Fixture,
}

impl Pair {
    /// The master's store may be there already.
    pub(crate) async fn new(master: TempDir, role: BrokerRole) -> Pair {
        Pair::of(master, role, |_| {}).await
    }

    pub(crate) async fn of(master: TempDir, role: BrokerRole, change: impl FnOnce(&mut Settings)) -> Pair {
        let master = Fixture::in_folder(master, |settings| {
            change(settings);
            leads(role)(settings);
        })
        .await;
        let slave = Fixture::new(follows(master.port)).await;
        Pair { master, slave }
    }
}

/// A master for slaves of this host.
pub(crate) fn leads(role: BrokerRole) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.store.broker_role = role;
        settings.store.ha_listen_port = settings.server.listen_port + 1;
        settings.store.ha_allowed_slaves = Some("127.0.0.1".to_owned());
    }
}

pub(crate) fn follows(port: u16) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.store.broker_role = BrokerRole::Slave;
        settings.broker.broker_id = 1;
        settings.store.ha_master_address = Some(format!("127.0.0.1:{}", port + 1));
    }
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < WITHIN, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn answer(fixture: &Fixture, code: i32) -> serde_json::Value {
    let answer = fixture.ask(code, &(), "").await;
    assert_eq!(answer.code, response::SUCCESS, "{code}: {:?}", answer.remark);
    protocol::body::read(&answer.body).unwrap()
}

pub(crate) async fn max_offset(fixture: &Fixture, topic: &str) -> i64 {
    let queue = QueueRequestHeader {
        topic: Cow::Borrowed(topic),
        queue_id: 0,
    };
    let answer = fixture.ask(request::GET_MAX_OFFSET, &queue, "").await;
    answer.header::<OffsetResponseHeader>().unwrap().offset
}

pub(crate) async fn bodies(fixture: &Fixture, topic: &str) -> Vec<Vec<u8>> {
    let pull = fixture.pull(&from(topic, 0, 0)).await;
    let records = records(&pull.body);
    records.iter().map(|record| record.body().to_vec()).collect()
}

async fn log_end(fixture: &Fixture) -> String {
    fixture.runtime().await["commitLogMaxOffset"].clone()
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/java-5.3.3")
        .join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_only_knows_the_address_copies_log_tables_and_what_5_x_keeps() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("store/config");
    std::fs::create_dir_all(&config).unwrap();
    for name in ["messageRequestMode.json", "timermetrics"] {
        std::fs::copy(golden(name), config.join(name)).unwrap();
    }
    let pair = Pair::new(dir, BrokerRole::AsyncMaster).await;
    let master = &pair.master;
    assert_eq!(master.send(&to("Topic", 0, ""), b"body").await.code, 0);
    let group = r#"{"groupName":"group"}"#;
    master
        .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
        .await;
    let commit = UpdateConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed("group"),
        topic: Cow::Borrowed("Topic"),
        queue_id: 0,
        commit_offset: 1,
    };
    master.ask(request::UPDATE_CONSUMER_OFFSET, &commit, "").await;
    for (code, table) in [
        (request::GET_ALL_TOPIC_CONFIG, "topicConfigTable"),
        (
            request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG,
            "subscriptionGroupTable",
        ),
        (request::GET_ALL_CONSUMER_OFFSET, "offsetTable"),
        (request::GET_ALL_MESSAGE_REQUEST_MODE, "messageRequestModeMap"),
        (request::GET_TIMER_METRICS, "timingCount"),
    ] {
        let there = answer(master, code).await[table].clone();
        assert!(
            there.as_object().is_some_and(|table| !table.is_empty()),
            "{table}"
        );
        // The start may still be making topics.
        eventually(table, async || {
            answer(&pair.slave, code).await[table] == answer(master, code).await[table]
        })
        .await;
    }
    // What was copied is in the slave's files.
    let kept = pair.slave.stop().await;
    for name in ["messageRequestMode.json", "timermetrics"] {
        let file = std::fs::read(kept.path().join("store/config").join(name)).unwrap();
        assert_eq!(file, std::fs::read(golden(name)).unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_says_how_far_its_masters_disk_is() {
    let rarely = |settings: &mut Settings| {
        settings.store.flush_interval_commit_log = 600_000;
        settings.store.flush_commit_log_thorough_interval = 600_000;
    };
    let pair = Pair::of(TempDir::new().unwrap(), BrokerRole::AsyncMaster, rarely).await;
    assert_eq!(pair.master.send(&to("Topic", 0, ""), b"body").await.code, 0);
    let info = pair.master.runtime().await;
    let number = |key: &str| -> i64 { info[key].trim_end_matches(" B").parse().unwrap() };
    let (end, left) = (number("commitLogMaxOffset"), number("remainHowManyDataToFlush"));
    assert!(left > 0, "nothing has synced it");
    eventually("the slave has all", async || {
        pair.slave.runtime().await["commitLogMaxOffset"] == end.to_string()
    })
    .await;
    let mut last = serde_json::Value::Null;
    eventually("the slave has asked since", async || {
        last = answer(&pair.slave, request::GET_BROKER_HA_STATUS).await["haClientRuntimeInfo"].clone();
        let behind = pair.slave.runtime().await["masterBehindBytes"].clone();
        last["maxOffset"] == end && behind == "0"
    })
    .await;
    eventually("what is durable is said", async || {
        last = answer(&pair.slave, request::GET_BROKER_HA_STATUS).await["haClientRuntimeInfo"].clone();
        last["masterFlushOffset"] == end - left
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_the_master_deletes_goes_and_what_is_made_anew_stays() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    let (master, slave) = (&pair.master, &pair.slave);
    let send = async |topic: &str, body: &str| {
        assert_eq!(master.send(&to(topic, 0, ""), body.as_bytes()).await.code, 0);
    };
    let delete = async |topic: &str| {
        let header = TopicRequestHeader {
            topic: Cow::Borrowed(topic),
        };
        let deleted = master.ask(request::DELETE_TOPIC_IN_BROKER, &header, "").await;
        assert_eq!(deleted.code, response::SUCCESS, "{:?}", deleted.remark);
    };
    for number in 0..5 {
        for topic in ["Gone", "Anew", "Stays"] {
            send(topic, &format!("old {number}")).await;
        }
    }
    let commit = |topic| UpdateConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed("g"),
        topic: Cow::Borrowed(topic),
        queue_id: 0,
        commit_offset: 4,
    };
    for topic in ["Gone", "Anew", "Stays"] {
        master
            .ask(request::UPDATE_CONSUMER_OFFSET, &commit(topic), "")
            .await;
    }
    let offsets = async || answer(slave, request::GET_ALL_CONSUMER_OFFSET).await["offsetTable"].clone();
    eventually("the slave has all", async || {
        offsets().await.as_object().is_some_and(|table| table.len() == 3)
            && log_end(slave).await == log_end(master).await
    })
    .await;
    delete("Gone").await;
    // The slave may hear of both at once, or between them.
    delete("Anew").await;
    send("Anew", "new 0").await;
    send("Anew", "new 1").await;
    eventually("the slave has deleted", async || {
        max_offset(slave, "Gone").await == 0 && max_offset(slave, "Anew").await == 2
    })
    .await;
    eventually("the slave has the topic that was made anew", async || {
        bodies(slave, "Anew").await == [b"new 0", b"new 1"]
    })
    .await;
    assert_eq!(max_offset(slave, "Stays").await, 5);
    eventually("their offsets are gone", async || {
        let left = offsets().await;
        left.as_object().unwrap().keys().eq(["Stays@g"])
    })
    .await;
    // It goes on, and a restart builds nothing of the old ones.
    send("Anew", "new 2").await;
    send("Gone", "back").await;
    eventually("what comes later comes", async || {
        max_offset(slave, "Anew").await == 3 && max_offset(slave, "Gone").await == 1
    })
    .await;
    // What was served a moment ago may have been the old topic's entry.
    let table =
        async |at: &Fixture| answer(at, request::GET_ALL_TOPIC_CONFIG).await["topicConfigTable"].clone();
    eventually("the topics are the master's", async || {
        table(slave).await == table(master).await
    })
    .await;
    let port = master.port;
    let kept = pair.slave.stop().await;
    std::fs::remove_file(kept.path().join("store/checkpoint")).unwrap();
    std::fs::remove_dir_all(kept.path().join("store/consumequeue")).unwrap();
    let slave = Fixture::in_folder(kept, follows(port)).await;
    assert_eq!(bodies(&slave, "Anew").await, [b"new 0", b"new 1", b"new 2"]);
    eventually("it knows the topic", async || {
        bodies(&slave, "Gone").await == [b"back"]
    })
    .await;
}

/// A slave that is behind is given the rest before its master ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_stops_gives_its_slave_the_whole_log() {
    let slowly = |settings: &mut Settings| {
        settings.store.ha_flow_control_enable = true;
        settings.store.max_ha_transfer_byte_in_second = 1 << 20;
    };
    let Pair { mut master, slave } = Pair::of(TempDir::new().unwrap(), BrokerRole::AsyncMaster, slowly).await;
    assert_eq!(master.send(&to("Topic", 0, ""), b"first").await.code, 0);
    eventually("the slave follows", async || {
        log_end(&slave).await == log_end(&master).await
    })
    .await;
    let body = [7; 100_000];
    for _ in 0..15 {
        assert_eq!(master.send(&to("Topic", 0, ""), &body).await.code, 0);
    }
    let end: i64 = log_end(&master).await.parse().unwrap();
    assert!(
        log_end(&slave).await.parse::<i64>().unwrap() < end,
        "it is behind"
    );
    master.broker.take().unwrap().stop().await;
    assert_eq!(log_end(&slave).await.parse::<i64>().unwrap(), end);
}

/// One that takes nothing holds it up for a while only.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_does_not_wait_for_ever_for_a_slave_at_its_stop() {
    let mut master = Fixture::new(|settings| {
        settings.store.ha_listen_port = settings.server.listen_port + 1;
        settings.store.ha_allowed_slaves = Some("127.0.0.1".to_owned());
    })
    .await;
    assert_eq!(master.send(&to("Topic", 0, ""), b"body").await.code, 0);
    let address = ("127.0.0.1", master.port + 1);
    let mut mute = tokio::net::TcpStream::connect(address).await.unwrap();
    mute.write_all(&0i64.to_be_bytes()).await.unwrap();
    eventually("it is known", async || {
        master
            .runtime()
            .await
            .keys()
            .any(|key| key.starts_with("slave_127.0.0.1"))
    })
    .await;
    let begun = Instant::now();
    master.broker.take().unwrap().stop().await;
    let took = begun.elapsed();
    assert!((3..10).contains(&took.as_secs()), "{took:?}");
    let mut rest = Vec::new();
    mute.read_to_end(&mut rest).await.unwrap();
}

/// What a SYNC_MASTER has answered, whoever takes over can serve: the slave has the topic, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_master_answers_when_its_slave_has_topic_and_group() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::SyncMaster).await;
    let (master, slave) = (&pair.master, &pair.slave);
    eventually("the slave is near", async || {
        master.send(&to("First", 0, ""), b"body").await.code == 0
    })
    .await;
    let topics = async || answer(slave, request::GET_ALL_TOPIC_CONFIG).await["topicConfigTable"].clone();
    let groups = async || {
        answer(slave, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await["subscriptionGroupTable"].clone()
    };
    // From here on the slave has said what it has.
    eventually("the slave's tables are there", async || {
        !topics().await["First"].is_null()
    })
    .await;
    for number in 0..20 {
        let topic = format!("Made {number}").replace(' ', "-");
        assert_eq!(master.send(&to(&topic, 0, ""), b"body").await.code, 0, "{topic}");
        assert!(
            !topics().await[&topic].is_null(),
            "{topic} is where its message is"
        );
        let group = format!(r#"{{"groupName":"group-{number}","consumeEnable":false}}"#);
        let made = master
            .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
            .await;
        assert_eq!(made.code, response::SUCCESS);
        assert_eq!(groups().await[format!("group-{number}")]["consumeEnable"], false);
    }
    let gone = TopicRequestHeader {
        topic: Cow::Borrowed("Made-7"),
    };
    let deleted = master.ask(request::DELETE_TOPIC_IN_BROKER, &gone, "").await;
    assert_eq!(deleted.code, response::SUCCESS);
    assert!(topics().await["Made-7"].is_null());
}

/// The slave has all that was answered before the stop began, for whoever makes it the master now.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_stops_gives_its_slave_the_tables() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    let (master, slave) = (pair.master, pair.slave);
    assert_eq!(master.send(&to("Warm", 0, ""), b"body").await.code, 0);
    eventually("the slave is connected", async || {
        bodies(&slave, "Warm").await == [b"body"]
    })
    .await;
    // The second is told to a look that began after the connection.
    for topic in ["Look-1", "Look-2"] {
        assert_eq!(master.send(&to(topic, 0, ""), b"body").await.code, 0);
        eventually("the slave asks for tables", async || {
            let topics = answer(&slave, request::GET_ALL_TOPIC_CONFIG).await;
            !topics["topicConfigTable"][topic].is_null()
        })
        .await;
    }
    let group = r#"{"groupName":"last","consumeEnable":false}"#;
    master
        .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
        .await;
    assert_eq!(master.send(&to("Last", 0, ""), b"body").await.code, 0);
    for topic in ["Warm", "Last"] {
        let commit = UpdateConsumerOffsetRequestHeader {
            consumer_group: Cow::Borrowed("last"),
            topic: Cow::Borrowed(topic),
            queue_id: 0,
            commit_offset: 1,
        };
        let committed = master.ask(request::UPDATE_CONSUMER_OFFSET, &commit, "").await;
        assert_eq!(committed.code, response::SUCCESS);
    }
    let started = Instant::now();
    let _kept = master.stop().await;
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
    let topics = answer(&slave, request::GET_ALL_TOPIC_CONFIG).await;
    assert!(!topics["topicConfigTable"]["Last"].is_null());
    let groups = answer(&slave, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
    assert_eq!(groups["subscriptionGroupTable"]["last"]["consumeEnable"], false);
    let offsets = answer(&slave, request::GET_ALL_CONSUMER_OFFSET).await;
    for topic in ["Warm", "Last"] {
        assert_eq!(
            offsets["offsetTable"][format!("{topic}@last")]["0"],
            1,
            "{offsets}"
        );
    }
}

/// Clients send back to where the message was stored, which may be a slave by now. Its log is its master's, whatever it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_takes_no_message_back() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    assert_eq!(pair.master.send(&to("Topic", 0, ""), b"body").await.code, 0);
    let end = log_end(&pair.master).await;
    eventually("the slave has all", async || log_end(&pair.slave).await == end).await;
    let header = ConsumerSendMsgBackRequestHeader {
        offset: 0,
        group: Cow::Borrowed("group"),
        delay_level: 1,
        origin_msg_id: None,
        origin_topic: None,
        unit_mode: None,
        max_reconsume_times: None,
    };
    let asked = pair.slave.ask(request::CONSUMER_SEND_MSG_BACK, &header, "").await;
    assert_eq!(asked.code, response::SYSTEM_ERROR, "{:?}", asked.remark);
    assert_eq!(log_end(&pair.slave).await, end);
}

pub(crate) async fn commit(at: &Fixture, group: &str, topic: &str, offset: i64) {
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed(group),
        topic: Cow::Borrowed(topic),
        queue_id: 0,
        commit_offset: offset,
    };
    let committed = at.ask(request::UPDATE_CONSUMER_OFFSET, &header, "").await;
    assert_eq!(committed.code, response::SUCCESS);
}

pub(crate) async fn committed(at: &Fixture, group: &str, topic: &str) -> serde_json::Value {
    let table = &answer(at, request::GET_ALL_CONSUMER_OFFSET).await["offsetTable"];
    table[format!("{topic}@{group}")]["0"].clone()
}

/// Consumers that read from the slave while the master is away commit there. The master hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_at_a_slave_is_told_the_master() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    let (master, slave) = (&pair.master, &pair.slave);
    assert_eq!(master.send(&to("Topic", 0, ""), b"body").await.code, 0);
    let commit = async |at: &Fixture, offset| commit(at, "group", "Topic", offset).await;
    let committed = async |at: &Fixture| committed(at, "group", "Topic").await;
    commit(master, 10).await;
    eventually("the slave has it", async || committed(slave).await == 10).await;
    commit(slave, 50).await;
    eventually("the master has it", async || committed(master).await == 50).await;
    assert_eq!(committed(slave).await, 50);
    // What the master knows already is not taken back.
    commit(slave, 20).await;
    eventually("the slave has the master's", async || {
        committed(slave).await == 50
    })
    .await;
    assert_eq!(committed(master).await, 50);
}

pub(crate) async fn delete(fixture: &Fixture, topic: &str) {
    let header = TopicRequestHeader {
        topic: Cow::Borrowed(topic),
    };
    let deleted = fixture.ask(request::DELETE_TOPIC_IN_BROKER, &header, "").await;
    assert_eq!(deleted.code, response::SUCCESS, "{:?}", deleted.remark);
}

pub(crate) async fn send_all(fixture: &Fixture, topic: &str, bodies: &[&str]) {
    for body in bodies {
        assert_eq!(fixture.send(&to(topic, 0, ""), body.as_bytes()).await.code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_slave_gives_no_place_to_what_its_master_has_deleted() {
    let dir = TempDir::new().unwrap();
    let master = Fixture::in_folder(dir, |_| {}).await;
    for _ in 0..3 {
        send_all(&master, "Anew", &["old"; 5]).await;
        delete(&master, "Anew").await;
    }
    send_all(&master, "Anew", &["new"; 3]).await;
    let pair = Pair::new(master.stop().await, BrokerRole::AsyncMaster).await;
    eventually("the slave has all", async || {
        bodies(&pair.slave, "Anew").await == [b"new"; 3]
    })
    .await;
    assert_eq!(pair.slave.runtime().await["messagesWithTakenOffset"], "0");
}

/// What a master deleted after its slave had gone is there again when that is made the master, and then on both.
#[tokio::test(flavor = "multi_thread")]
async fn deletions_of_a_former_master_become_those_of_its_master() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["old"; 4]).await;
    eventually("the slave has all", async || {
        bodies(&pair.slave, "Topic").await == [b"old"; 4]
    })
    .await;
    let promoted = pair.slave.stop().await;
    delete(&pair.master, "Topic").await;
    assert_eq!(max_offset(&pair.master, "Topic").await, 0);
    let former = pair.master.stop().await;
    let master = Fixture::in_folder(promoted, |settings| {
        settings.store.ha_listen_port = settings.server.listen_port + 1;
        settings.store.ha_allowed_slaves = Some("127.0.0.1".to_owned());
    })
    .await;
    send_all(&master, "Topic", &["new"; 2]).await;
    let slave = Fixture::in_folder(former, follows(master.port)).await;
    let all = [b"old", b"old", b"old", b"old", b"new", b"new"];
    assert_eq!(bodies(&master, "Topic").await, all);
    eventually("the slave has what its master serves", async || {
        bodies(&slave, "Topic").await == all
    })
    .await;
}

/// A slave may be behind: its consumers are not told that their offsets are wrong, unless it is to check them.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_has_consumers_wait_for_what_it_does_not_have() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["body"; 4]).await;
    eventually("the slave has all", async || {
        bodies(&pair.slave, "Topic").await == [b"body"; 4]
    })
    .await;
    let port = pair.master.port;
    let asked = [4, 5, 7, 1000, -1].map(|offset| from("Topic", 0, offset));
    let asked = asked.into_iter().chain([from("Topic", 1, 3)]);
    let asked: Vec<_> = asked
        .map(|pull| protocol::header::broker::PullMessageRequestHeader { sys_flag: 4, ..pull })
        .collect();
    let answers = async |slave: &Fixture| {
        let mut answers = Vec::new();
        for pull in &asked {
            let answer = slave.pull(pull).await;
            let header = answer
                .header::<protocol::header::broker::PullMessageResponseHeader>()
                .unwrap();
            answers.push((
                answer.code,
                header.next_begin_offset,
                header.suggest_which_broker_id,
            ));
        }
        answers
    };
    let (wait, moved) = (response::PULL_RETRY_IMMEDIATELY, response::PULL_OFFSET_MOVED);
    assert_eq!(
        answers(&pair.slave).await,
        [
            (response::PULL_NOT_FOUND, 4, 0),
            (wait, 5, 0),
            (wait, 7, 0),
            (wait, 1000, 0),
            (wait, -1, 0),
            (wait, 3, 0),
        ]
    );
    let slave = Fixture::in_folder(pair.slave.stop().await, |settings| {
        follows(port)(settings);
        settings.store.offset_check_in_slave = true;
    })
    .await;
    assert_eq!(
        answers(&slave).await,
        [
            (response::PULL_NOT_FOUND, 4, 0),
            (moved, 4, 0),
            (moved, 4, 0),
            (moved, 4, 0),
            (moved, 0, 0),
            (moved, 0, 0),
        ]
    );
}

/// Of messages that have expired before the slave came only the master's queue knows: who takes over gives their offsets to no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_knows_the_ends_of_queues_whose_messages_have_expired() {
    let master = Fixture::new(|_| {}).await;
    send_all(&master, "Expired", &["body"; 5]).await;
    let large = "x".repeat(400_000);
    send_all(&master, "Other", &[large.as_str(); 4]).await;
    let dir = master.stop().await;
    std::fs::remove_file(dir.path().join("store/commitlog/00000000000000000000")).unwrap();
    let pair = Pair::new(dir, BrokerRole::AsyncMaster).await;
    assert_eq!(max_offset(&pair.master, "Expired").await, 5);
    eventually("the slave knows the queue", async || {
        max_offset(&pair.slave, "Expired").await == 5
            && log_end(&pair.slave).await == log_end(&pair.master).await
    })
    .await;
    let kept = pair.slave.stop().await;
    drop(pair.master);
    let promoted = Fixture::in_folder(kept, |_| {}).await;
    send_all(&promoted, "Expired", &["next"]).await;
    assert_eq!(max_offset(&promoted, "Expired").await, 6);
    let pull = promoted.pull(&from("Expired", 0, 5)).await;
    let found = records(&pull.body);
    let found: Vec<_> = found.iter().map(|record| record.body()).collect();
    assert_eq!(found, [b"next"]);
}

/// The ends of the master's files would be taken for damage, or its records not fit.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_with_other_log_files_says_so_and_copies_nothing() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["body"]).await;
    eventually("the slave has all", async || {
        bodies(&pair.slave, "Topic").await == [b"body"]
    })
    .await;
    let port = pair.master.port;
    for len in [1 << 19, 1 << 21] {
        let slave = Fixture::new(|settings| {
            follows(port)(settings);
            settings.store.mapped_file_size_commit_log = len;
        })
        .await;
        let mut said = String::new();
        eventually("it says why", async || {
            said = slave.runtime().await["masterConnection"].clone();
            said.contains("mappedFileSizeCommitLog")
        })
        .await;
        let files = format!("log have {} bytes and those here {len}:", 1 << 20);
        assert!(said.contains(&files), "{said}");
        assert_eq!(log_end(&slave).await, "0");
    }
}

/// Java's limit of a frame is for requests: a slave that lacks a table for its size would lack it when it takes over.
#[tokio::test(flavor = "multi_thread")]
async fn tables_larger_than_a_frame_of_java_reach_the_slave() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    let note = "x".repeat(1 << 20);
    for number in 0..20 {
        let group = format!(r#"{{"groupName":"group{number}","note":"{note}"}}"#);
        let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
        let answer = pair.master.ask(code, &(), group).await;
        assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    }
    eventually("the slave has the last", async || {
        let path = pair.slave.dir.path().join("store/config/subscriptionGroup.json");
        let len = std::fs::metadata(&path).map_or(0, |file| file.len());
        len > 20 << 20
    })
    .await;
}

/// A slave asks all day long, and its request waits for a change on purpose: no operator is to look for what was slow.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_for_a_slave_is_not_slow() {
    let change = |settings: &mut Settings| settings.broker.slow_request_millis = 2000;
    let pair = Pair::of(TempDir::new().unwrap(), BrokerRole::AsyncMaster, change).await;
    let master = &pair.master;
    eventually("the slave is connected", async || {
        let info = master.runtime().await;
        info.keys().any(|key| key.starts_with("slave_"))
    })
    .await;
    // Topics and groups that the start still makes end it early.
    eventually("held until its time is over", async || {
        let mut info = master.runtime().await;
        let mut has = |table: &str| info.remove(table).map(Cow::Owned);
        let look = RuntimeInfoRequestHeader {
            has_topics: has("change_topics"),
            has_groups: has("change_groups"),
            wait_ms: Some(2500),
            ..RuntimeInfoRequestHeader::default()
        };
        let asked = Instant::now();
        let answer = master.ask(request::GET_BROKER_RUNTIME_INFO, &look, "").await;
        assert_eq!(answer.code, response::SUCCESS);
        asked.elapsed().as_millis() >= 2500
    })
    .await;
    let page = master.broker.as_ref().unwrap().state().page();
    assert!(page.contains("\n0 slow requests\n"), "{page}");
}

/// The log goes by TLS between a master and a slave that are told so; others are closed with a word, and a master that is not takes both.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_by_tls_where_that_is_wanted() {
    for master_has in [true, false] {
        let master = Fixture::new(|settings| {
            leads(BrokerRole::SyncMaster)(settings);
            settings.store.ha_tls_enable = master_has;
        })
        .await;
        let slave = Fixture::new(|settings| {
            follows(master.port)(settings);
            settings.store.ha_tls_enable = true;
        })
        .await;
        let large = vec![b'x'; 900_000];
        eventually("the slave counts", async || {
            master.send(&to("Topic", 0, ""), &large).await.code == response::SUCCESS
        })
        .await;
        for number in 0..20u32 {
            let body = if number % 2 == 0 { &large[..] } else { b"small" };
            let sent = master.send(&to("Topic", 0, ""), body).await;
            assert_eq!(sent.code, response::SUCCESS);
        }
        assert_eq!(log_end(&slave).await, log_end(&master).await);
        let pulled = slave.pull(&from("Topic", 0, 0)).await;
        assert_eq!(records(&pulled.body)[0].body(), large);
    }
    let master = Fixture::new(|settings| {
        leads(BrokerRole::SyncMaster)(settings);
        settings.store.ha_tls_enable = true;
    })
    .await;
    // What comes is plain, and nobody answers.
    let mut plain = tokio::net::TcpStream::connect(("127.0.0.1", master.port + 1))
        .await
        .unwrap();
    plain.write_all(&0i64.to_be_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(WITHIN, plain.read_to_end(&mut answer)).await;
    assert!(ended.expect("it is closed").is_err() || answer.is_empty());
    let sent = master.send(&to("Topic", 0, ""), b"body").await;
    assert_eq!(sent.code, response::SLAVE_NOT_AVAILABLE);
}
