//! A broker that is stopped, or dies, in between.

use crate::asks::send_frame;
use crate::check::*;
use cluster::{Broker, Client, Cluster, Flavour, Language, NameServer, Wire};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After a clean stop everything is there and a group goes on exactly where it was.
fn clean(language: Language) {
    let mut cluster = Cluster::start(&[]);
    make_topic(&cluster, "T");
    let options = [("topic", "T"), ("count", "5000"), ("mode", "async")];
    let first = send(language, &cluster, &options);
    let consumer = client(language, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    consumer.wait_count("received", 5001, LONG);
    wait_until_told(&cluster.broker, "T", "g");
    let before = without_first(of(&consumer.stop(), "received"));
    assert_same(&first, &before);

    let exit = cluster.broker.stop();
    // A JVM that is told to stop by SIGTERM ends with 128 + 15.
    assert!(exit.code() == Some(0) || exit.code() == Some(143), "{exit:?}");
    cluster.broker.restart();
    cluster.broker.wait_for_topic("T");

    let second = send(
        language,
        &cluster,
        &[
            ("topic", "T"),
            ("count", "5000"),
            ("from", "5000"),
            ("mode", "async"),
        ],
    );
    let consumer = client(language, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    consumer.wait_count("received", 5000, LONG);
    assert_same(&second, &of(&consumer.stop(), "received"));

    let all: Vec<_> = first.into_iter().chain(second).collect();
    let pulled = of(
        &client(JAVA_4, &cluster, "pull", &[("topic", "T")]).finish(LONG),
        "received",
    );
    assert_in_order(&pulled);
    assert_same(&all, &without_first(pulled));
}

#[test]
fn go_clean_restart() {
    clean(Language::Go);
}

#[test]
fn node_clean_restart() {
    clean(Language::Node);
}

#[test]
fn java_4_clean_restart() {
    clean(JAVA_4);
}

#[test]
fn java_5_clean_restart() {
    clean(JAVA_5);
}

/// Clients say each 30 s what they consume: who waits for that stands still for as long. A client whose pull fails asks again 3 s later.
#[test]
fn consumers_go_on_before_their_next_heartbeat() {
    let _alone = cluster::alone();
    const PAUSE_MAX: Duration = Duration::from_secs(10);
    let mut cluster = Cluster::start(&[]);
    make_topic(&cluster, "T");
    let groups = [
        ("java4", JAVA_4),
        ("java5", JAVA_5),
        ("node", Language::Node),
        ("go", Language::Go),
    ];
    let consumers = groups.map(|(group, language)| {
        let consumer = client(language, &cluster, "consume", &[("topic", "T"), ("group", group)]);
        consumer.wait_count("received", 1, LONG);
        consumer
    });
    assert!(cluster.broker.stop().success());
    cluster.broker.restart();
    cluster.broker.wait_for_topic("T");
    let since = Instant::now();
    let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
    for (queue, opaque) in ["0", "1", "2", "3"].into_iter().zip(0..) {
        wire.write(&send_frame(opaque, "T", queue, "", b"after")).unwrap();
        assert_eq!(wire.read().unwrap().code(), 0);
    }
    for consumer in consumers {
        consumer.wait_count("received", 5, LONG);
        let paused = since.elapsed();
        assert!(paused < PAUSE_MAX, "{}: {paused:?}", consumer.process().name());
    }
}

/// Under SYNC_FLUSH nothing that was acknowledged is lost by kill -9, and nothing moves.
fn killed(language: Language, kills: usize, each: usize) {
    let mut cluster = Cluster::start(&[("flushDiskType", "SYNC_FLUSH")]);
    // Small enough to be answered quickly after a restart, long enough for a busy machine.
    let sender = client(
        language,
        &cluster,
        "send",
        &[
            ("topic", "T"),
            ("until", "stdin"),
            ("timeout", "1000"),
            ("size", "300"),
            ("keys", "k"),
        ],
    );
    let mut answered = 0;
    for _ in 0..kills {
        answered += each;
        sender.wait_count("sent", answered, LONG);
        cluster.broker.kill();
        answered = sender.count("sent");
        cluster.broker.restart();
    }
    sender.wait_count("sent", answered + each, LONG);
    let events = sender.stop();
    let sent = of(&events, "sent");
    assert!(sent.iter().all(|event| event.status == "SEND_OK"));
    let acknowledged = places(&sent);
    cluster.broker.wait_for_topic("T");

    let pulled = of(
        &client(language, &cluster, "pull", &[("topic", "T")]).finish(LONG),
        "received",
    );
    assert_in_order(&pulled);
    let stored: BTreeMap<_, _> = places(&pulled);
    for (place, event) in &acknowledged {
        match stored.get(place) {
            Some(found) => assert_eq!(found.body, event.body, "at {place:?}"),
            None => panic!("acknowledged and lost: {event:?}"),
        }
    }
    // What else is there was being sent when the broker died, and its sender was told that it failed.
    assert!(
        stored.len() - acknowledged.len() <= of(&events, "failed").len(),
        "{} stored, {} acknowledged",
        stored.len(),
        acknowledged.len()
    );

    // The last message of a queue comes at once: nothing waits for what was lost.
    let sent = send(
        language,
        &cluster,
        &[("topic", "T"), ("count", "100"), ("prefix", "after")],
    );
    let consumer = client(
        language,
        &cluster,
        "consume",
        &[("topic", "T"), ("group", "g"), ("order", "yes")],
    );
    consumer.wait_count("received", stored.len() + sent.len(), Duration::from_secs(60));
    assert_in_order(&of(&consumer.stop(), "received"));
}

#[test]
fn java_4_killed_under_sync_flush() {
    // Java's broker takes seconds to start.
    match Flavour::from_env("E2E_BROKER") {
        Flavour::Ours | Flavour::Earlier(_) => killed(JAVA_4, 100, 20),
        Flavour::Java(_) => killed(JAVA_4, 4, 500),
    }
}

#[test]
fn java_5_killed_under_sync_flush() {
    killed(JAVA_5, 4, 500);
}

/// A broker registers with each of several name servers, and again with one that comes back empty.
#[test]
fn name_servers_come_and_go() {
    let flavour = Flavour::from_env("E2E_NAMESRV");
    let dir = tempfile::tempdir().unwrap();
    let (one_dir, two_dir) = (dir.path().join("one"), dir.path().join("two"));
    let (one, two) = (
        NameServer::start(flavour, &one_dir),
        NameServer::start(flavour, &two_dir),
    );
    let both = format!("{};{}", one.address(), two.address());
    let broker = Broker::start(
        Flavour::from_env("E2E_BROKER"),
        dir.path(),
        "broker-a",
        &both,
        &[],
    );
    let options = [("topic", "T"), ("count", "100"), ("ns", &*both)];
    let send = |prefix| {
        let options = [&options[..], &[("prefix", prefix)]].concat();
        Client::start(JAVA_4, dir.path(), "send", &options).finish(LONG)
    };
    assert_eq!(of(&send("both"), "sent").len(), 100);
    broker.wait_for_topic("T");

    let port = one.port;
    one.process.signal("KILL");
    one.process.wait_exit(Duration::from_secs(10));
    // The client asks the other one.
    assert_eq!(of(&send("one"), "sent").len(), 100);
    // Within half a minute the broker has told the new one.
    let again = NameServer::start_at(flavour, &one_dir, port);
    broker.wait_for_topic("T");
    drop((again, two));
}
