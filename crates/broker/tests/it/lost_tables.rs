//! A master that has lost tables gets them back from its slaves, as far as nobody has decided otherwise since.

use broker::settings::{BrokerRole, Settings};
use protocol::code::{request, response};
use settings::Section;
use tempfile::TempDir;

use crate::fixture::*;
use crate::pairs::{Pair, answer, bodies, commit, committed, delete, eventually, follows, leads, send_all};
use crate::users::{POLICY, ask, client, guarded, subject, text, user};

/// A master without `config/` takes from its slave what it has lost, and its slave does not become as poor as the master.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_has_lost_its_tables_gets_them_back_from_its_slave() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["one", "two"]).await;
    send_all(&pair.master, "Gone", &["old"]).await;
    let typed = protocol::header::broker::CreateTopicRequestHeader {
        topic: "Typed".into(),
        default_topic: None,
        read_queue_nums: 3,
        write_queue_nums: 3,
        perm: 6,
        topic_filter_type: None,
        topic_sys_flag: None,
        order: None,
        attributes: Some("+message.type=FIFO".into()),
    };
    let made = pair
        .master
        .ask(request::UPDATE_AND_CREATE_TOPIC, &typed, "")
        .await;
    assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
    let group = r#"{"groupName":"group","consumeEnable":false,"retryMaxTimes":7}"#;
    let made = pair
        .master
        .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
        .await;
    assert_eq!(made.code, response::SUCCESS);
    let group = r#"{"groupName":"decided","retryMaxTimes":7}"#;
    let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    assert_eq!(pair.master.ask(code, &(), group).await.code, response::SUCCESS);
    commit(&pair.master, "group", "Topic", 2).await;
    delete(&pair.master, "Gone").await;
    let topics =
        async |at: &Fixture| answer(at, request::GET_ALL_TOPIC_CONFIG).await["topicConfigTable"].clone();
    let groups = async |at: &Fixture| {
        answer(at, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await["subscriptionGroupTable"].clone()
    };
    let (mut had, mut had_groups) = (topics(&pair.master).await, groups(&pair.master).await);
    assert!(had["Gone"].is_null() && had["Typed"]["attributes"]["message.type"] == "FIFO");
    eventually("the slave has all", async || {
        topics(&pair.slave).await == had
            && groups(&pair.slave).await == had_groups
            && committed(&pair.slave, "group", "Topic").await == 2
    })
    .await;
    let port = pair.master.port;
    let dir = pair.master.stop().await;
    let kept = pair.slave.stop().await;
    std::fs::remove_dir_all(dir.path().join("store/config")).unwrap();
    let master = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    assert_ne!(master.port, port);
    // What has messages is there with as many queues as have any, what has none is not.
    let made = topics(&master).await;
    assert_eq!(
        (&made["Topic"]["writeQueueNums"], &made["Topic"]["readQueueNums"]),
        (&1.into(), &8.into())
    );
    had["Topic"]["readQueueNums"] = 8.into();
    assert!(made["Typed"].is_null(), "it is lost");
    // Clients were quicker than the slave, and an operator has made up his mind anew.
    let beat = heartbeat("c", "group", "Topic");
    assert_eq!(master.ask(request::HEART_BEAT, &(), beat).await.code, 0);
    send_all(&master, "Typed", &["early"]).await;
    let decided = r#"{"groupName":"decided","retryMaxTimes":9}"#;
    let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    assert_eq!(master.ask(code, &(), decided).await.code, 0);
    let made = topics(&master).await;
    let slave = Fixture::in_folder(kept, follows(master.port)).await;
    had_groups["decided"]["retryMaxTimes"] = 9.into();
    // Something may lie in the queues that it had meanwhile.
    for queues in ["readQueueNums", "writeQueueNums"] {
        let early = made["Typed"][queues].as_i64().unwrap().max(3);
        had["Typed"][queues] = early.into();
    }
    had["%RETRY%group"] = made["%RETRY%group"].clone();
    eventually("the master has all again", async || {
        topics(&master).await == had
            && groups(&master).await == had_groups
            && committed(&master, "group", "Topic").await == 2
    })
    .await;
    eventually("it says no more that it has lost something", async || {
        !master.runtime().await.contains_key("lost_tables")
    })
    .await;
    assert_eq!(topics(&slave).await, had);
    assert_eq!(bodies(&master, "Topic").await, bodies(&slave, "Topic").await);
}

/// Its producers still know the queues that no message had come to, and one with a single queue for the order's sake keeps that.
#[tokio::test(flavor = "multi_thread")]
async fn producers_of_a_topic_that_is_made_of_its_queues_go_on() {
    let fixture = Fixture::new(|_| {}).await;
    send_all(&fixture, "Topic", &["one"]).await;
    let dir = fixture.stop().await;
    std::fs::remove_dir_all(dir.path().join("store/config")).unwrap();
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    for (queue, code) in [
        (0, response::SUCCESS),
        (7, response::SUCCESS),
        (8, response::SYSTEM_ERROR),
    ] {
        let sent = fixture.send(&to("Topic", queue, ""), b"body").await;
        assert_eq!(sent.code, code, "{queue}: {:?}", sent.remark);
    }
    let topics = answer(&fixture, request::GET_ALL_TOPIC_CONFIG).await;
    assert_eq!(topics["topicConfigTable"]["Topic"]["writeQueueNums"], 1);
}

/// A slave that has lost its files as well, or never had any, has nothing to give back: another may have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_without_tables_does_not_keep_another_from_giving_them_back() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    send_all(&pair.master, "Topic", &["one"]).await;
    let group = r#"{"groupName":"group","retryMaxTimes":7}"#;
    let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    assert_eq!(pair.master.ask(code, &(), group).await.code, response::SUCCESS);
    let retries = async |at: &Fixture| {
        let groups = answer(at, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
        groups["subscriptionGroupTable"]["group"]["retryMaxTimes"].as_i64()
    };
    let queues = async |at: &Fixture| {
        let topics = answer(at, request::GET_ALL_TOPIC_CONFIG).await;
        topics["topicConfigTable"]["Topic"]["writeQueueNums"].as_i64()
    };
    let had = queues(&pair.master).await;
    assert_ne!(had, Some(1));
    eventually("the slave has all", async || {
        retries(&pair.slave).await == Some(7) && bodies(&pair.slave, "Topic").await.len() == 1
    })
    .await;
    let (dir, kept) = (pair.master.stop().await, pair.slave.stop().await);
    std::fs::remove_dir_all(dir.path().join("store/config")).unwrap();
    let master = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    let new = Fixture::new(follows(master.port)).await;
    eventually("the new slave has what there is", async || {
        queues(&new).await == Some(1) && bodies(&new, "Topic").await.len() == 1
    })
    .await;
    let lost = master.runtime().await["lost_tables"].clone();
    assert!(lost.contains("change_groups"), "{lost}");
    let whole = Fixture::in_folder(kept, follows(master.port)).await;
    for at in [&master, &new, &whole] {
        eventually("all have it", async || {
            retries(at).await == Some(7) && queues(at).await == had
        })
        .await;
    }
    eventually("nothing is lost any more", async || {
        !master.runtime().await.contains_key("lost_tables")
    })
    .await;
}

/// Users and policies are under `config/`, too.
#[tokio::test(flavor = "multi_thread")]
async fn users_come_back_from_a_slave() {
    let as_itself = |settings: &mut Settings| {
        guarded(settings);
        let inner = r#"{"accessKey":"inner","secretKey":"innerpw"}"#;
        let key = "innerClientAuthenticationCredentials";
        settings.auth.set(key, inner).unwrap();
    };
    let leads = |settings: &mut Settings| {
        as_itself(settings);
        leads(BrokerRole::AsyncMaster)(settings);
    };
    let master = Fixture::new(leads).await;
    let slave = Fixture::new(|settings| {
        as_itself(settings);
        follows(master.port)(settings);
    })
    .await;
    let root = client("root", "rootpw");
    let alice = r#"{"password":"alicepw"}"#;
    let code = request::AUTH_CREATE_USER;
    assert_eq!(ask(&master, &root, code, &user("alice"), alice).await.code, 0);
    let (code, of_alice) = (request::AUTH_CREATE_ACL, subject("User:alice"));
    assert_eq!(ask(&master, &root, code, &of_alice, POLICY).await.code, 0);
    let sends = async |at: &Fixture| {
        let sent = protocol::header::Short(&to("Orders1", 0, ""));
        let alice = client("alice", "alicepw");
        ask(at, &alice, request::SEND_MESSAGE_V2, &sent, "x").await.code
    };
    assert_eq!(sends(&master).await, response::SUCCESS);
    let is_known = async |at: &Fixture| {
        let acl = ask(at, &root, request::AUTH_GET_ACL, &of_alice, "").await;
        text(&acl).contains("Topic:Orders*")
    };
    let end = async |broker: &Fixture| broker.runtime().await["commitLogMaxOffset"].clone();
    eventually("the slave has all", async || {
        is_known(&slave).await && end(&slave).await == end(&master).await
    })
    .await;
    let (dir, kept) = (master.stop().await, slave.stop().await);
    std::fs::remove_dir_all(dir.path().join("store/config")).unwrap();
    let master = Fixture::in_folder(dir, leads).await;
    assert!(!is_known(&master).await, "it is lost");
    let slave = Fixture::in_folder(kept, |settings| {
        as_itself(settings);
        follows(master.port)(settings);
    })
    .await;
    eventually("the master knows her again", async || is_known(&master).await).await;
    assert_eq!(sends(&master).await, response::SUCCESS);
    assert!(is_known(&slave).await);
}

/// Half of a file is left; its backup says what the file said before `change`.
fn leave_the_backup(dir: &TempDir, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let file = dir.path().join("store/config").join(name);
    let text = std::fs::read(&file).unwrap();
    let mut before = protocol::body::read(&text).unwrap();
    change(&mut before);
    let backup = file.with_file_name(format!("{name}.bak"));
    std::fs::write(backup, protocol::body::write_pretty(&before)).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
}

/// A version that is a change older.
fn older(table: &mut serde_json::Value) {
    for (part, step) in [("counter", 1), ("timestamp", 1000)] {
        let number = &mut table["dataVersion"][part];
        *number = (number.as_i64().unwrap() - step).into();
    }
}

async fn make_topic(at: &Fixture, topic: &str, queues: i32) {
    let header = protocol::header::broker::CreateTopicRequestHeader {
        topic: topic.into(),
        default_topic: None,
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: None,
        topic_sys_flag: None,
        order: None,
        attributes: None,
    };
    let made = at.ask(request::UPDATE_AND_CREATE_TOPIC, &header, "").await;
    assert_eq!(made.code, response::SUCCESS, "{:?}", made.remark);
}

async fn make_group(at: &Fixture, group: &str, retries: i32) {
    let text = format!(r#"{{"groupName":"{group}","retryMaxTimes":{retries}}}"#);
    let code = request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    assert_eq!(at.ask(code, &(), text).await.code, response::SUCCESS);
}

/// A backup lacks the last changes. The slave, which has them, gives them back, and does not become as poor as the master.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_backup_lacks_comes_back_from_the_slave() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    let master = &pair.master;
    for topic in ["Kept", "Grown", "Decided", "Last", "Empty"] {
        make_topic(master, topic, 12).await;
    }
    for group in ["kept", "changed", "decided", "removed", "last"] {
        make_group(master, group, 7).await;
    }
    for topic in ["Last", "Kept"] {
        send_all(master, topic, &["one", "two"]).await;
        assert_eq!(bodies(master, topic).await.len(), 2);
        commit(master, "kept", topic, 2).await;
    }
    let topics =
        async |at: &Fixture| answer(at, request::GET_ALL_TOPIC_CONFIG).await["topicConfigTable"].clone();
    let groups = async |at: &Fixture| {
        answer(at, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await["subscriptionGroupTable"].clone()
    };
    let (mut had, mut had_groups) = (topics(master).await, groups(master).await);
    eventually("the slave has all", async || {
        topics(&pair.slave).await == had
            && groups(&pair.slave).await == had_groups
            && committed(&pair.slave, "kept", "Kept").await == 2
            && bodies(&pair.slave, "Last").await.len() == 2
    })
    .await;
    let (dir, kept) = (pair.master.stop().await, pair.slave.stop().await);
    leave_the_backup(&dir, "topics.json", |file| {
        older(file);
        let table = file["topicConfigTable"].as_object_mut().unwrap();
        assert!(table.remove("Last").is_some() && table.remove("Empty").is_some());
        table["Grown"]["perm"] = 4.into();
        table["Decided"]["perm"] = 4.into();
    });
    leave_the_backup(&dir, "subscriptionGroup.json", |file| {
        older(file);
        let table = file["subscriptionGroupTable"].as_object_mut().unwrap();
        assert!(table.remove("last").is_some());
        for group in ["changed", "decided"] {
            table[group]["retryMaxTimes"] = 3.into();
        }
    });
    leave_the_backup(&dir, "consumerOffset.json", |file| {
        for (pair, offset) in [("Last@kept", 1), ("Kept@kept", 1)] {
            file["offsetTable"][pair]["0"] = offset.into();
        }
    });
    let master = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    assert!(topics(&master).await["Empty"].is_null(), "it is lost");
    // An operator has made up his mind anew.
    make_topic(&master, "Decided", 16).await;
    make_group(&master, "decided", 9).await;
    let gone = protocol::header::broker::DeleteSubscriptionGroupRequestHeader {
        group_name: "removed".into(),
        clean_offset: None,
        remove_offset: None,
    };
    let code = request::DELETE_SUBSCRIPTIONGROUP;
    assert_eq!(master.ask(code, &gone, "").await.code, response::SUCCESS);
    // A group begins anew.
    commit(&master, "kept", "Kept", 0).await;
    had["Decided"] = topics(&master).await["Decided"].clone();
    had_groups["decided"]["retryMaxTimes"] = 9.into();
    had_groups.as_object_mut().unwrap().remove("removed");
    let slave = Fixture::in_folder(kept, follows(master.port)).await;
    for at in [&master, &slave] {
        eventually("both have all", async || {
            topics(at).await == had
                && groups(at).await == had_groups
                && committed(at, "kept", "Last").await == 2
                && committed(at, "kept", "Kept").await == 0
        })
        .await;
    }
    eventually("it says no more that it has lost something", async || {
        !master.runtime().await.contains_key("old_tables")
    })
    .await;
}

/// A slave that was away longer than the backup is old gives none of its tables back, and does not keep another from doing so.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_whose_tables_are_older_than_the_backup_gives_none_back() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    make_group(&pair.master, "group", 3).await;
    send_all(&pair.master, "Topic", &["one"]).await;
    let retries = async |at: &Fixture| {
        let groups = answer(at, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
        groups["subscriptionGroupTable"]["group"]["retryMaxTimes"].as_i64()
    };
    eventually("the slave has all", async || {
        retries(&pair.slave).await == Some(3) && bodies(&pair.slave, "Topic").await.len() == 1
    })
    .await;
    let kept = pair.slave.stop().await;
    make_group(&pair.master, "group", 5).await;
    make_group(&pair.master, "group", 7).await;
    let dir = pair.master.stop().await;
    leave_the_backup(&dir, "subscriptionGroup.json", |file| {
        file["subscriptionGroupTable"]["group"]["retryMaxTimes"] = 5.into();
    });
    let master = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    let slave = Fixture::in_folder(kept, follows(master.port)).await;
    eventually("the slave has what the master has", async || {
        retries(&slave).await == Some(5)
    })
    .await;
    assert_eq!(retries(&master).await, Some(5));
    let old = master.runtime().await["old_tables"].clone();
    assert!(old.starts_with("change_groups:"), "{old}");
}

/// Each has what the other lacks.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_lacks_a_table_itself_gives_back_the_others() {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    make_topic(&pair.master, "Empty", 12).await;
    make_group(&pair.master, "group", 7).await;
    send_all(&pair.master, "Topic", &["one"]).await;
    let queues = async |at: &Fixture| {
        let topics = answer(at, request::GET_ALL_TOPIC_CONFIG).await;
        topics["topicConfigTable"]["Empty"]["writeQueueNums"].as_i64()
    };
    let retries = async |at: &Fixture| {
        let groups = answer(at, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
        groups["subscriptionGroupTable"]["group"]["retryMaxTimes"].as_i64()
    };
    let has_all = async |at: &Fixture| queues(at).await == Some(12) && retries(at).await == Some(7);
    eventually("the slave has all", async || {
        has_all(&pair.slave).await && bodies(&pair.slave, "Topic").await.len() == 1
    })
    .await;
    let (dir, kept) = (pair.master.stop().await, pair.slave.stop().await);
    let lose = |dir: &TempDir, name: &str| {
        for name in [name.to_owned(), format!("{name}.bak")] {
            std::fs::remove_file(dir.path().join("store/config").join(name)).unwrap();
        }
    };
    lose(&dir, "topics.json");
    lose(&kept, "subscriptionGroup.json");
    let master = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    assert_eq!(queues(&master).await, None, "it is lost");
    let slave = Fixture::in_folder(kept, follows(master.port)).await;
    for at in [&master, &slave] {
        eventually("both have all", async || has_all(at).await).await;
    }
}

/// What users may do, too.
#[tokio::test(flavor = "multi_thread")]
async fn users_that_a_backup_lacks_come_back_from_a_slave() {
    let as_itself = |settings: &mut Settings| {
        guarded(settings);
        let inner = r#"{"accessKey":"inner","secretKey":"innerpw"}"#;
        let key = "innerClientAuthenticationCredentials";
        settings.auth.set(key, inner).unwrap();
    };
    let leads = |settings: &mut Settings| {
        as_itself(settings);
        leads(BrokerRole::AsyncMaster)(settings);
    };
    let master = Fixture::new(leads).await;
    let slave = Fixture::new(|settings| {
        as_itself(settings);
        follows(master.port)(settings);
    })
    .await;
    let root = client("root", "rootpw");
    let code = request::AUTH_CREATE_USER;
    for name in ["alice", "bob"] {
        let text = format!(r#"{{"password":"{name}pw"}}"#);
        assert_eq!(ask(&master, &root, code, &user(name), &text).await.code, 0);
    }
    let code = request::AUTH_CREATE_ACL;
    assert_eq!(
        ask(&master, &root, code, &subject("User:bob"), POLICY).await.code,
        0
    );
    let of_bob = async |at: &Fixture| {
        let acl = ask(at, &root, request::AUTH_GET_ACL, &subject("User:bob"), "").await;
        text(&acl).to_owned()
    };
    let sends = async |at: &Fixture, password: &str| {
        let sent = protocol::header::Short(&to("Orders1", 0, ""));
        let bob = client("bob", password);
        ask(at, &bob, request::SEND_MESSAGE_V2, &sent, "x").await.code
    };
    assert_eq!(sends(&master, "bobpw").await, response::SUCCESS);
    let had = of_bob(&master).await;
    let end = async |broker: &Fixture| broker.runtime().await["commitLogMaxOffset"].clone();
    eventually("the slave has all", async || {
        of_bob(&slave).await == had && end(&slave).await == end(&master).await
    })
    .await;
    let (dir, kept) = (master.stop().await, slave.stop().await);
    leave_the_backup(&dir, "auth.json", |file| {
        older(file);
        for user in file["users"].as_array_mut().unwrap() {
            if user["username"] == "bob" {
                user["password"] = "earlier".into();
            }
        }
        file["users"]
            .as_array_mut()
            .unwrap()
            .retain(|user| user["username"] != "alice");
        file["acls"][0]["policies"][0]["entries"][0]["resource"] = "Topic:Else".into();
    });
    let master = Fixture::in_folder(dir, leads).await;
    assert_ne!(sends(&master, "bobpw").await, response::SUCCESS, "it is lost");
    let slave = Fixture::in_folder(kept, |settings| {
        as_itself(settings);
        follows(master.port)(settings);
    })
    .await;
    eventually("the master knows them again", async || {
        let alice = ask(&master, &root, request::AUTH_GET_USER, &user("alice"), "").await;
        text(&alice).contains("alice") && of_bob(&master).await == had
    })
    .await;
    assert_eq!(sends(&master, "bobpw").await, response::SUCCESS);
    assert_eq!(of_bob(&slave).await, had);
}

/// Of how far delayed messages were delivered only what the backup says is left.
fn leave_older_delays(dir: &TempDir) {
    leave_the_backup(dir, "delayOffset.json", |file| {
        file["offsetTable"]["1"] = 1.into()
    });
}

/// Nothing is left of how far delayed messages were delivered.
fn lose_delays(dir: &TempDir) {
    let file = dir.path().join("store/config/delayOffset.json");
    std::fs::remove_file(&file).unwrap();
    // There is one if it was written more than once.
    let _none = std::fs::remove_file(file.with_extension("json.bak"));
}

/// What was delivered of delayed messages is not delivered again by a master that has lost how far it was: its slave knows, and the master
/// waits for it. What is parked behind that is delivered.
#[tokio::test(flavor = "multi_thread")]
async fn delayed_messages_that_were_delivered_are_not_delivered_again() {
    for lose in [lose_delays, leave_older_delays] {
        delivered_messages_stay_delivered(lose).await;
    }
}

async fn delivered_messages_stay_delivered(lose: fn(&TempDir)) {
    let pair = Pair::new(TempDir::new().unwrap(), BrokerRole::AsyncMaster).await;
    for body in ["one", "two"] {
        let sent = pair
            .master
            .send(&to("Later", 0, "DELAY\u{1}1\u{2}"), body.as_bytes())
            .await;
        assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    }
    let delays =
        async |at: &Fixture| answer(at, request::GET_ALL_DELAY_OFFSET).await["offsetTable"]["1"].as_i64();
    eventually("both are delivered, and the slave knows that", async || {
        delays(&pair.slave).await == Some(2) && bodies(&pair.slave, "Later").await.len() == 2
    })
    .await;
    let (dir, kept) = (pair.master.stop().await, pair.slave.stop().await);
    lose(&dir);
    let master = Fixture::in_folder(dir, leads(BrokerRole::AsyncMaster)).await;
    let lost = master.runtime().await["lost_tables"].clone();
    assert!(lost.split(' ').any(|table| table == "change_delays"), "{lost}");
    let slave = Fixture::in_folder(kept, follows(master.port)).await;
    eventually("the slave has said what it knows", async || {
        !master.runtime().await.contains_key("lost_tables")
    })
    .await;
    assert_eq!(master.runtime().await["scheduleMessageOffset_1"], "2,2");
    let sent = master.send(&to("Later", 0, "DELAY\u{1}1\u{2}"), b"three").await;
    assert_eq!(sent.code, response::SUCCESS);
    eventually("the third is delivered", async || {
        bodies(&master, "Later")
            .await
            .last()
            .is_some_and(|body| body == b"three")
    })
    .await;
    assert_eq!(bodies(&master, "Later").await, [&b"one"[..], b"two", b"three"]);
    drop(slave);
}

/// Without a slave they are, as by Java.
#[tokio::test(flavor = "multi_thread")]
async fn delayed_messages_are_delivered_again_where_nobody_knows_that_they_were() {
    let fixture = Fixture::new(|_| {}).await;
    let sent = fixture.send(&to("Later", 0, "DELAY\u{1}1\u{2}"), b"one").await;
    assert_eq!(sent.code, response::SUCCESS);
    eventually("it is delivered", async || {
        bodies(&fixture, "Later").await.len() == 1
    })
    .await;
    let dir = fixture.stop().await;
    lose_delays(&dir);
    let fixture = Fixture::in_folder(dir, |_| {}).await;
    assert_eq!(bodies(&fixture, "Later").await.len(), 1);
    eventually("it is delivered again", async || {
        bodies(&fixture, "Later").await.len() == 2
    })
    .await;
}
