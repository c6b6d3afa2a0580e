//! What a broker must know of its own past before it follows another: who wrote its log, what SUCCESS meant, how long its files are.

use broker::settings::{BrokerRole, Settings};
use disk::MmapDisk as Disk;
use protocol::code::{request, response};
use tempfile::TempDir;

use crate::fixture::*;
use crate::pairs::{
    Pair, answer, bodies, commit, committed, delete, eventually, follows, leads, max_offset, send_all,
};
use crate::registration::name_server;

fn history(dir: &TempDir) -> String {
    std::fs::read_to_string(dir.path().join("store/roleHistory")).unwrap()
}

/// The disk takes the history before the first send is answered by what it says: without that, nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn success_means_less_only_when_the_history_says_so_on_disk() {
    let disk = Disk::default();
    let fixture = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), |settings| {
        leads(BrokerRole::SyncMaster)(settings);
        settings.store.in_sync_replicas = 2;
    })
    .await;
    let path = fixture.dir.path().join("store/roleHistory");
    disk.faults().fail_syncs(&path);
    let refused = fixture
        .ask(request::UPDATE_BROKER_CONFIG, &(), "inSyncReplicas=1\n")
        .await;
    let remark = refused.remark.clone().unwrap_or_default();
    assert!(
        remark.contains("nothing is changed: the history of roles"),
        "{remark}"
    );
    // Nobody else has a message: it is refused still.
    let answer = fixture.send(&to("Topic", 0, ""), b"one").await;
    assert_ne!(answer.code, response::SUCCESS);
    disk.faults().mend_syncs();
    fixture.set("inSyncReplicas=1\n").await;
    let text = history(&fixture.dir);
    assert!(text.ends_with(" alone\n"), "{text}");
    assert_eq!(
        fixture.send(&to("Topic", 0, ""), b"two").await.code,
        response::SUCCESS
    );
}

/// What Java's broker wrote on the store between two runs may have been acknowledged by it alone: a slave does not cut it.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_broker_wrote_between_two_runs_is_not_cut() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["one"]).await;
    eventually("the slave has all", async || {
        bodies(&pair.slave, "Topic").await == [b"one"]
    })
    .await;
    let dir = pair.master.stop().await;
    let before = history(&dir);
    // Java's leaves the file as it finds it.
    let other = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    send_all(&other, "Topic", &["of another"]).await;
    let dir = other.stop().await;
    std::fs::write(dir.path().join("store/roleHistory"), before).unwrap();

    let kept = pair.slave.stop().await;
    let promoted = Fixture::in_folder(kept, leads(BrokerRole::AsyncMaster)).await;
    send_all(&promoted, "Topic", &["three"]).await;
    let old = Fixture::in_folder(dir, follows(promoted.port)).await;
    let mut said = String::new();
    eventually("it stops", async || {
        said = old.runtime().await["masterConnection"].clone();
        said.contains("acknowledged")
    })
    .await;
    assert_eq!(
        bodies(&old, "Topic").await,
        [b"one".to_vec(), b"of another".to_vec()]
    );
}

/// What is on disk decides, on both sides.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_size_than_the_settings_say_are_copied() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["one"]).await;
    eventually("the slave has all", async || {
        bodies(&pair.slave, "Topic").await == [b"one"]
    })
    .await;
    let (master, slave) = (pair.master.stop().await, pair.slave.stop().await);
    let twice = |settings: &mut Settings| settings.store.mapped_file_size_commit_log = 2 << 20;
    let master = Fixture::in_folder(master, |settings| {
        leads(BrokerRole::AsyncMaster)(settings);
        twice(settings);
    })
    .await;
    send_all(&master, "Topic", &["two"]).await;
    let all = [b"one", b"two"];
    let slave = Fixture::in_folder(slave, |settings| {
        follows(master.port)(settings);
        twice(settings);
    })
    .await;
    eventually("the old slave has all", async || {
        bodies(&slave, "Topic").await == all
    })
    .await;
    let new = Fixture::new(follows(master.port)).await;
    eventually("a new slave has all", async || bodies(&new, "Topic").await == all).await;
    let other = Fixture::new(|settings| {
        follows(master.port)(settings);
        twice(settings);
    })
    .await;
    eventually("files of another size are refused", async || {
        let said = other.runtime().await["masterConnection"].clone();
        said.contains("mappedFileSizeCommitLog=1048576")
    })
    .await;
}

/// From the first SUCCESS on that needs a slave which has just connected, what a message needs is on that slave, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_counts_again_has_what_success_promises() {
    let master = Fixture::new(|settings| {
        leads(BrokerRole::SyncMaster)(settings);
        settings.store.slave_timeout = 20_000;
    })
    .await;
    let mut slave = Fixture::new(follows(master.port)).await;
    for round in 0..5 {
        let (topic, group) = (format!("Topic{round}"), format!("group{round}"));
        eventually("the slave counts", async || {
            master.send(&to("Topic", 0, ""), b"body").await.code == response::SUCCESS
        })
        .await;
        let made = master.send(&to(&topic, 3, ""), b"body").await;
        assert_eq!(made.code, response::SUCCESS);
        let has_topic =
            answer(&slave, request::GET_ALL_TOPIC_CONFIG).await["topicConfigTable"][&topic].is_object();
        let config = format!(r#"{{"groupName":"{group}"}}"#);
        let made = master
            .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), config)
            .await;
        assert_eq!(made.code, response::SUCCESS);
        let groups = answer(&slave, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
        let has_group = groups["subscriptionGroupTable"][&group].is_object();
        assert_eq!((has_topic, has_group), (true, true), "round {round}");
        let kept = slave.stop().await;
        slave = Fixture::in_folder(kept, follows(master.port)).await;
    }
}

/// What consumers commit at a slave while its master is away outlives a restart of the slave, also for a group that the master has never
/// heard of; where a topic was deleted and made anew meanwhile, it says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn commits_at_a_slave_reach_the_master_that_comes_back() {
    let mut pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    for topic in ["Topic", "Anew"] {
        send_all(&pair.master, topic, &["body"; 9]).await;
    }
    for (group, topic, offset) in [("group", "Topic", 1), ("group", "Anew", 1)] {
        commit(&pair.master, group, topic, offset).await;
    }
    eventually("the slave has it", async || {
        committed(&pair.slave, "group", "Anew").await == 1
    })
    .await;
    let dir = pair.master.stop().await;
    for (group, topic, offset) in [("group", "Topic", 5), ("new", "Topic", 7), ("group", "Anew", 8)] {
        commit(&pair.slave, group, topic, offset).await;
    }
    let kept = pair.slave.stop().await;
    // The topic goes while the slave is away.
    let alone = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    delete(&alone, "Anew").await;
    send_all(&alone, "Anew", &["new"; 3]).await;
    pair.slave = Fixture::in_folder(kept, follows(alone.port)).await;
    for (group, offset) in [("group", 5), ("new", 7)] {
        for at in [&alone, &pair.slave] {
            eventually("both have it", async || {
                committed(at, group, "Topic").await == offset
            })
            .await;
        }
    }
    eventually("the slave has the new topic", async || {
        bodies(&pair.slave, "Anew").await == [b"new"; 3]
    })
    .await;
    assert!(committed(&alone, "group", "Anew").await.is_null());
    let kept = pair.slave.stop().await;
    let file = std::fs::read_to_string(kept.path().join("store/config/commitsForMaster.json")).unwrap();
    assert!(!file.contains("offset"), "{file}");
}

/// A stop delivers no delayed message any more once its slaves are given the last of the tables, however long a client keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn a_planned_takeover_delivers_no_delayed_message_twice() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["first"]).await;
    let _idle = tokio::net::TcpStream::connect(("127.0.0.1", pair.master.port))
        .await
        .unwrap();
    for level in [1, 2] {
        for _ in 0..300 {
            let properties = format!("DELAY\u{1}{level}\u{2}");
            let sent = pair.master.send(&to("Topic", 0, &properties), b"delayed").await;
            assert_eq!(sent.code, response::SUCCESS);
        }
    }
    commit(&pair.master, "group", "Topic", 1).await;
    pair.master.stop().await;
    let kept = pair.slave.stop().await;
    let promoted = Fixture::in_folder(kept, |_| {}).await;
    assert_eq!(committed(&promoted, "group", "Topic").await, 1);
    eventually("all are delivered", async || {
        let delivered = &answer(&promoted, request::GET_ALL_DELAY_OFFSET).await["offsetTable"];
        delivered["1"] == 300 && delivered["2"] == 300
    })
    .await;
    assert_eq!(max_offset(&promoted, "Topic").await, 601);
}

/// The same log with a bad sector is no other log: the master has the record, and nothing that was acknowledged goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_former_master_whose_disk_has_damaged_its_last_record_heals() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    let all = ["one", "two", "a body that is long enough"];
    send_all(&pair.master, "Topic", &all).await;
    let expected = all.map(|body| body.as_bytes().to_vec());
    eventually("the slave has all", async || {
        bodies(&pair.slave, "Topic").await == expected
    })
    .await;
    let (old, kept) = (pair.master.stop().await, pair.slave.stop().await);
    let path = old.path().join("store/commitlog/00000000000000000000");
    let mut log = std::fs::read(&path).unwrap();
    let at = log.windows(4).rposition(|bytes| bytes == b"long").unwrap();
    log[at..at + 4].copy_from_slice(b"bent");
    std::fs::write(&path, log).unwrap();
    let promoted = Fixture::in_folder(kept, leads(BrokerRole::AsyncMaster)).await;
    let old = Fixture::in_folder(old, follows(promoted.port)).await;
    let has_it = async || {
        let pull = old.pull(&from("Topic", 0, 0)).await;
        pull.body.windows(4).any(|bytes| bytes == b"long")
    };
    eventually("the record is as it was", has_it).await;
    assert_eq!(bodies(&old, "Topic").await, expected);
    send_all(&promoted, "Topic", &["next"]).await;
    eventually("it follows", async || bodies(&old, "Topic").await.len() == 4).await;
}

/// A master that has lost its notes of deletions knows of none before: its slave keeps its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_its_deletions_brings_nothing_back_on_its_slave() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["old"; 3]).await;
    delete(&pair.master, "Topic").await;
    send_all(&pair.master, "Topic", &["new"; 2]).await;
    eventually("the slave has the new topic", async || {
        bodies(&pair.slave, "Topic").await == [b"new"; 2]
    })
    .await;
    let (master, slave) = (pair.master.stop().await, pair.slave.stop().await);
    std::fs::remove_file(master.path().join("store/deletedTopics")).unwrap();
    let master = Fixture::in_folder(master, leads(BrokerRole::AsyncMaster)).await;
    let slave = Fixture::in_folder(slave, follows(master.port)).await;
    // What it deletes from now on it tells.
    send_all(&master, "Other", &["old"]).await;
    eventually("the slave has the other", async || {
        max_offset(&slave, "Other").await == 1
    })
    .await;
    delete(&master, "Other").await;
    eventually("the other goes", async || max_offset(&slave, "Other").await == 0).await;
    assert_eq!(bodies(&slave, "Topic").await, [b"new"; 2]);
    assert_eq!(max_offset(&slave, "Topic").await, 2);
}

/// A slave that does not take its master's log takes no tables from there either: it may be the only one who has any.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_has_lost_its_store_takes_nothing_from_its_slave() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["one", "two"]).await;
    let group = r#"{"groupName":"group"}"#;
    let made = pair
        .master
        .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
        .await;
    assert_eq!(made.code, response::SUCCESS);
    let has_all = async |at: &Fixture| {
        let topics = answer(at, request::GET_ALL_TOPIC_CONFIG).await;
        let groups = answer(at, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
        topics["topicConfigTable"]["Topic"].is_object()
            && groups["subscriptionGroupTable"]["group"].is_object()
            && bodies(at, "Topic").await.len() == 2
    };
    eventually("the slave has all", async || has_all(&pair.slave).await).await;
    pair.master.stop().await;
    let kept = pair.slave.stop().await;
    let empty = Fixture::new(leads(BrokerRole::AsyncMaster)).await;
    send_all(&empty, "Other", &["other"]).await;
    let slave = Fixture::in_folder(kept, follows(empty.port)).await;
    eventually("the slave refuses the log", async || {
        let said = slave.runtime().await["masterConnection"].clone();
        said.contains("no record of this log is in the master's")
    })
    .await;
    let behind = slave.runtime().await["masterBehindBytes"].clone();
    assert!(behind.starts_with("unknown"), "{behind}");
    // It has asked since, and more than once.
    let asked = async || {
        let page = slave.runtime().await["masterBehindBytes"].clone();
        let age = page
            .split(' ')
            .nth_back(2)
            .and_then(|age| age.parse::<i64>().ok());
        age.unwrap_or(i64::MAX)
    };
    for _ in 0..2 {
        eventually("some time passes", async || asked().await > 100).await;
        eventually("it asks again", async || asked().await < 100).await;
    }
    let kept = slave.stop().await;
    let promoted = Fixture::in_folder(kept, leads(BrokerRole::AsyncMaster)).await;
    assert!(has_all(&promoted).await);
}

/// A slave asks the broker whose log it copies, whichever master the name servers name: what it has would be of two brokers.
#[tokio::test(flavor = "multi_thread")]
async fn the_master_that_is_asked_is_the_one_that_is_copied() {
    let dir = TempDir::new().unwrap();
    let port = cluster::free_port();
    let namesrv = name_server(&dir, port).await;
    let address = format!("127.0.0.1:{port}");
    let registered = |settings: &mut Settings| settings.broker.namesrv_addr = Some(address.clone());
    let named = Fixture::new(|settings| {
        leads(BrokerRole::AsyncMaster)(settings);
        registered(settings);
    })
    .await;
    let given = Fixture::new(leads(BrokerRole::AsyncMaster)).await;
    send_all(&named, "Named", &["named"]).await;
    send_all(&given, "Given", &["given"; 3]).await;
    // By another name of the same place the name server's word counts.
    let slave = Fixture::new(|settings| {
        follows(named.port)(settings);
        settings.store.ha_master_address = Some(format!("localhost:{}", named.port + 1));
        registered(settings);
    })
    .await;
    eventually("it follows", async || bodies(&slave, "Named").await == [b"named"]).await;
    slave.stop().await;
    let slave = Fixture::new(|settings| {
        follows(given.port)(settings);
        registered(settings);
    })
    .await;
    eventually("it follows the one that is given", async || {
        bodies(&slave, "Given").await.len() == 3
    })
    .await;
    eventually("it is registered", async || {
        slave.broker.as_ref().unwrap().missing().is_empty()
    })
    .await;
    // Where the name server's master is known by now.
    send_all(&given, "Later", &["later"]).await;
    eventually("it goes on", async || bodies(&slave, "Later").await.len() == 1).await;
    let topics = answer(&slave, request::GET_ALL_TOPIC_CONFIG).await["topicConfigTable"].clone();
    assert!(topics["Named"].is_null() && topics["Given"].is_object());
    namesrv.shutdown().await;
}

/// A power cut takes from the master what its slave had, and a consumer had read there: where the slave's log is cut, the commit is.
#[tokio::test(flavor = "multi_thread")]
async fn commits_of_what_is_cut_are_told_no_master() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["kept"; 3]).await;
    commit(&pair.master, "group", "Topic", 1).await;
    eventually("the slave has it", async || {
        committed(&pair.slave, "group", "Topic").await == 1
    })
    .await;
    let (old, kept) = (pair.master.stop().await, pair.slave.stop().await);
    let before = TempDir::new().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([old.path().join("store"), before.path().to_owned()])
        .status();
    assert!(copied.unwrap().success());
    let master = Fixture::in_folder(old, leads(BrokerRole::AsyncMaster)).await;
    let slave = Fixture::in_folder(kept, follows(master.port)).await;
    send_all(&master, "Topic", &["lost"; 2]).await;
    eventually("the slave has all", async || {
        bodies(&slave, "Topic").await.len() == 5
    })
    .await;
    // Its master is gone when the consumer commits.
    master.stop().await;
    commit(&slave, "group", "Topic", 5).await;
    let kept = slave.stop().await;
    let master = Fixture::in_folder(before, leads(BrokerRole::AsyncMaster)).await;
    let slave = Fixture::in_folder(kept, follows(master.port)).await;
    eventually(
        "the slave is cut, and the master hears of what was read",
        async || bodies(&slave, "Topic").await.len() == 3 && committed(&master, "group", "Topic").await == 3,
    )
    .await;
    send_all(&master, "Topic", &["new"; 2]).await;
    eventually("the slave has what is new", async || {
        bodies(&slave, "Topic").await.len() == 5
    })
    .await;
    for broker in [&master, &slave] {
        assert_eq!(committed(broker, "group", "Topic").await, 3);
    }
}

/// A slave says that it has a topic when its own file says so: whoever takes over starts from that.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_a_slave_can_not_keep_is_promised_to_nobody() {
    let master = Fixture::new(leads(BrokerRole::SyncMaster)).await;
    let disk = Disk::default();
    let slave = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), follows(master.port)).await;
    let send = async |topic: &str| master.send(&to(topic, 0, ""), b"body").await.code;
    eventually("the slave counts", async || {
        send("Topic").await == response::SUCCESS
    })
    .await;
    let path = slave.dir.path().join("store/config/topics.json");
    disk.faults().fail_syncs(&path);
    assert_eq!(send("New").await, response::FLUSH_SLAVE_TIMEOUT);
    let table = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
    let is_kept = || table(&std::fs::read(&path).unwrap())["topicConfigTable"]["New"].is_object();
    assert!(!is_kept());
    disk.faults().mend_syncs();
    eventually("it is promised", async || send("New").await == response::SUCCESS).await;
    assert!(is_kept());
}

/// Either of two slaves may be the one that takes over.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_promised_when_every_slave_has_it() {
    let master = Fixture::new(leads(BrokerRole::SyncMaster)).await;
    let disk = Disk::default();
    let one = Fixture::on_disk(disk.clone(), TempDir::new().unwrap(), follows(master.port)).await;
    let other = Fixture::new(|settings| {
        follows(master.port)(settings);
        settings.broker.broker_id = 2;
    })
    .await;
    let send = async |topic: &str| master.send(&to(topic, 0, ""), b"body").await.code;
    let has = async |at: &Fixture, topic: &str| {
        let topics = answer(at, request::GET_ALL_TOPIC_CONFIG).await;
        topics["topicConfigTable"][topic].is_object()
    };
    eventually("both slaves count", async || {
        let sent = send("Topic").await == response::SUCCESS;
        sent && has(&one, "Topic").await && has(&other, "Topic").await
    })
    .await;
    disk.faults()
        .fail_syncs(&one.dir.path().join("store/config/topics.json"));
    assert_eq!(send("New").await, response::FLUSH_SLAVE_TIMEOUT);
    assert!(has(&other, "New").await, "it is not for the other one");
    disk.faults().mend_syncs();
    eventually("it is promised", async || send("New").await == response::SUCCESS).await;
    // One that is gone is not waited for.
    one.stop().await;
    eventually("it is promised without", async || {
        send("Last").await == response::SUCCESS
    })
    .await;
}

/// A copy of the log of a broker with another name is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_another_name_is_no_master() {
    let master = Fixture::new(leads(BrokerRole::AsyncMaster)).await;
    send_all(&master, "Topic", &["body"]).await;
    let slave = Fixture::new(|settings| {
        follows(master.port)(settings);
        settings.broker.broker_name = "broker-b".to_owned();
    })
    .await;
    eventually("it says so", async || {
        let said = slave.runtime().await["masterConnection"].clone();
        said.contains("the broker there is broker-a, and this one a slave of broker-b")
    })
    .await;
    assert_eq!(slave.runtime().await["commitLogMaxOffset"], "0");
}

/// Whoever is taken out of the list is sent nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_connect_is_asked_again_when_the_list_changes() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["one"]).await;
    eventually("the slave has it", async || {
        bodies(&pair.slave, "Topic").await.len() == 1
    })
    .await;
    pair.master.set("haAllowedSlaves=127.0.0.9\n").await;
    let is_connected = async || {
        let info = pair.master.runtime().await;
        info.keys().any(|key| key.starts_with("slave_"))
    };
    eventually("it is closed", async || !is_connected().await).await;
    send_all(&pair.master, "Topic", &["two"]).await;
    let refused = async || {
        pair.master.runtime().await["slavesRefused"]
            .parse::<u64>()
            .unwrap()
    };
    eventually("it tries in vain", async || refused().await > 1).await;
    assert_eq!(bodies(&pair.slave, "Topic").await, [b"one"]);
    pair.master.set("haAllowedSlaves=127.0.0.1\n").await;
    eventually("it follows again", async || {
        bodies(&pair.slave, "Topic").await.len() == 2
    })
    .await;
}
