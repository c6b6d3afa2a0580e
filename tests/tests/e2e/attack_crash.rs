//! kill -9 at the very first acknowledgement, and configuration files that say more than the log.

use crate::asks::*;
use cluster::{Broker, Cluster, Flavour, Wire};
use std::fs;
use std::time::Duration;

const ALL_TOPICS: i32 = 21;
const ROUNDS: usize = 20;

fn topics(wire: &mut Wire) -> String {
    let answer = wire.ask(ALL_TOPICS, &[], b"").unwrap();
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Sends to one new topic twice on one write: only the first makes it, both are acknowledged.
#[test]
fn an_acknowledged_message_has_its_topic_after_kill_9() {
    let mut cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[("flushDiskType", "SYNC_FLUSH")]);
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..4).map(|number| format!("New_{round}_{number}")).collect();
        let mut wires: Vec<Wire> = (0..2).map(|_| connect(&cluster.broker)).collect();
        // Both connections send to every topic: one of them makes it.
        for wire in &mut wires {
            let frames = names
                .iter()
                .zip(0..)
                .map(|(name, opaque)| send_frame(opaque, name, "0", "", name.as_bytes()));
            wire.write(&frames.collect::<Vec<_>>().concat()).unwrap();
        }
        // The first SUCCESS that comes on the second connection.
        let answer = wires[1].read().unwrap();
        cluster.broker.process.signal("KILL");
        if answer.code() == 0 {
            acknowledged.push(names[usize::try_from(answer.opaque()).unwrap()].clone());
        }
        // What else had been acknowledged when it died.
        for wire in &mut wires {
            while let Ok(answer) = wire.read() {
                if answer.code() == 0 {
                    acknowledged.push(names[usize::try_from(answer.opaque()).unwrap()].clone());
                }
            }
        }
        cluster.broker.kill();
        cluster.broker.restart();
    }
    assert!(acknowledged.len() >= ROUNDS / 2, "{acknowledged:?}");
    let mut wire = connect(&cluster.broker);
    let known = topics(&mut wire);
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|name| !known.contains(&format!("\"{name}\"")))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {}: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    for name in &acknowledged {
        assert!(
            pull_all(&mut wire, name, "0").contains(&name.clone().into_bytes()),
            "{name}"
        );
    }
}

/// `config/` was kept and the log was lost: what is delayed from now on is delivered.
#[test]
fn a_delay_offset_beyond_its_queue_is_brought_back() {
    let mut cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let delayed = |broker: &Broker, body: &[u8]| {
        let mut wire = connect(broker);
        create_topic(&mut wire, "Topic", "1");
        let answer = send(&mut wire, "Topic", "0", "DELAY\u{1}1\u{2}", body);
        assert_eq!(answer.code(), 0, "{}", answer.remark());
        wait_until("a delayed message is delivered", Duration::from_secs(10), || {
            pull_all(&mut wire, "Topic", "0").contains(&body.to_vec())
        });
    };
    for number in 0..3 {
        delayed(&cluster.broker, &[number]);
    }
    cluster.broker.stop();
    let store = cluster.broker.store();
    let offsets = fs::read_to_string(store.join("config/delayOffset.json")).unwrap();
    assert!(offsets.contains('3'), "{offsets}");
    for entry in fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("config") {
            continue;
        }
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    cluster.broker.restart();
    let said = "delayOffset.json said that level 1 is delivered up to 3, where its queue has no such message: it goes on at 0";
    let named = |line: &str| line.contains(said).then_some(());
    cluster
        .broker
        .process
        .wait_for("a line about it", Duration::from_secs(20), named);
    delayed(&cluster.broker, b"after the loss");
}

/// A disk that is mounted over the store's folder, or whose folder is replaced: what is there is another store.
#[test]
fn a_broker_whose_folder_is_replaced_ends_and_leaves_what_is_there() {
    let mut cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    create_topic(&mut wire, "Topic", "1");
    wire.write(&send_frame(1, "Topic", "0", "", b"kept")).unwrap();
    assert_eq!(wire.read().unwrap().code(), 0);
    let (store, away) = (cluster.broker.store(), cluster.path().join("away"));
    fs::rename(&store, &away).unwrap();
    fs::create_dir_all(store.join("commitlog")).unwrap();
    let ended = cluster.broker.process.wait_exit(Duration::from_secs(60));
    assert_eq!(ended.code(), Some(1));
    let lines = cluster.broker.process.lines();
    let told = |line: &String| line.contains("is not the folder any more that this broker has opened");
    assert!(lines.iter().any(told), "{lines:#?}");
    assert_eq!(fs::read_dir(store.join("commitlog")).unwrap().count(), 0);
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    cluster.broker.restart();
    let mut wire = connect(&cluster.broker);
    let max = wire
        .ask(GET_MAX_OFFSET, &[("topic", "Topic"), ("queueId", "0")], b"")
        .unwrap();
    assert_eq!(max.field("offset"), Some("1"));
}
