//! Too few descriptors, and a standard output that takes nothing.

use crate::asks::*;
use cluster::{Broker, Cluster, Flavour, NameServer, Wire};
use std::time::Duration;

const IDLE: usize = 1_100;

/// A broker under a limit of open files, as many clients as it lets in, and one send to something new.
fn with_limit(limit: &str) {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let launcher = ["prlimit", limit];
    let broker = Broker::start_under(
        &launcher,
        Flavour::Ours,
        (dir.path(), "broker-a"),
        "broker-a",
        &namesrv.address(),
        &[],
    );
    let mut client = connect(&broker);
    create_topic(&mut client, "Topic", "16");
    assert_eq!(send(&mut client, "Topic", "0", "", b"before").code(), 0);
    // The kernel takes connections that the broker does not.
    let idle: Vec<Wire> = (0..IDLE)
        .filter_map(|_| Wire::connect(&broker.address()).ok())
        .collect();
    for queue in 1..16 {
        let answer = send(&mut client, "Topic", &queue.to_string(), "", b"meanwhile");
        assert_eq!(answer.code(), 0, "queue {queue}: {}", answer.remark());
    }
    drop(idle);
    // Afterwards all is as before, without a restart.
    wait_until("a new client is served", Duration::from_secs(20), || {
        Wire::connect(&broker.address())
            .and_then(|mut wire| wire.ask(GET_MAX_OFFSET, &[("topic", "Topic"), ("queueId", "0")], b""))
            .is_ok_and(|answer| answer.code() == 0)
    });
    let answer = client.ask(RUNTIME_INFO, &[], b"").unwrap();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains(r#""storeHealth":"OK""#), "{text}");
}

#[test]
fn a_soft_limit_of_1024_files_and_more_clients_than_that() {
    with_limit("--nofile=1024:4096");
}

#[test]
fn a_hard_limit_of_1024_files_and_more_clients_than_that() {
    with_limit("--nofile=1024:1024");
}

/// A limit of a file's size (SIGXFSZ) that no log file fits in: sends are refused, and the process lives.
#[test]
fn a_limit_of_a_files_size_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let launcher = ["prlimit", "--fsize=2000000"];
    let broker = Broker::start_under(
        &launcher,
        Flavour::Ours,
        (dir.path(), "broker-a"),
        "broker-a",
        &namesrv.address(),
        &[],
    );
    let mut client = connect(&broker);
    create_topic(&mut client, "Topic", "1");
    for _ in 0..3 {
        let answer = send(&mut client, "Topic", "0", "", b"x");
        assert_ne!(answer.code(), 0, "a log file of 16 MiB where 2 MB are allowed");
    }
    let answer = client
        .ask(GET_MAX_OFFSET, &[("topic", "Topic"), ("queueId", "0")], b"")
        .unwrap();
    assert_eq!((answer.code(), answer.field("offset")), (0, Some("0")));
    assert!(!broker.process.has_ended());
}

/// What else ends a process by default and must not end a server.
#[test]
fn signals_that_do_not_end_a_server() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    for process in [&cluster.broker.process, &cluster.namesrv.process] {
        for signal in ["QUIT", "USR1", "USR2", "ALRM", "PIPE", "XFSZ"] {
            process.signal(signal);
        }
    }
    let mut client = connect(&cluster.broker);
    create_topic(&mut client, "Topic", "1");
    assert_eq!(send(&mut client, "Topic", "0", "", b"after").code(), 0);
    cluster.broker.wait_for_topic("Topic");
    assert!(!cluster.broker.process.has_ended() && !cluster.namesrv.process.has_ended());
}

/// Everybody's thread dump: a page of state in the log.
#[test]
fn sigquit_leaves_a_page_of_state_in_the_log() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    for process in [&cluster.broker.process, &cluster.namesrv.process] {
        let before = process.lines().len();
        process.signal("QUIT");
        process.wait_until("a page of state", Duration::from_secs(20), |lines| {
            (lines.len() >= before + 3).then_some(())
        });
    }
}
