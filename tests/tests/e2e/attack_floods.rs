//! Peers that ask for much and read nothing, or leave much behind: memory stays bounded and others are served.

use crate::asks::*;
use cluster::{Broker, Cluster, Flavour, Wire, frame};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ALL_TOPICS: i32 = 21;
const CREATE_TOPIC_LIST: i32 = 18;
const DELETE_TOPIC: i32 = 215;
const LOCK: i32 = 41;
const MIB: u64 = 1 << 10;
/// What a flood may add to the broker's memory, KiB: what is under way on one connection, a few times over.
const GROWTH_KIB: u64 = 150 * MIB;
/// How long somebody else may wait beyond what the machine makes everybody wait.
const WAIT: Duration = Duration::from_millis(500);

/// The longest wait of somebody who asks for an offset each few ms until `stop`.
fn longest_wait(broker: &Broker, stop: &AtomicBool) -> Duration {
    let mut wire = connect(broker);
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let answer = wire.ask(GET_MAX_OFFSET, &[("topic", "TBW102"), ("queueId", "0")], b"");
        assert_eq!(answer.unwrap().code(), 0);
        longest = longest.max(started.elapsed());
        // The pace of the load.
        std::thread::sleep(Duration::from_millis(5));
    }
    longest
}

/// Runs a flood and looks at what it did. A broker that nobody floods tells what the machine does to one meanwhile.
fn flooded(cluster: &Cluster, flood: impl FnOnce(&Broker) -> Vec<Wire>) {
    let calm = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let broker = &cluster.broker;
    let resident = || broker.process.resident_kib().expect("the broker runs");
    let before = resident();
    let stop = AtomicBool::new(false);
    let (kept, waited, machine) = std::thread::scope(|scope| {
        let waits = [broker, &calm.broker].map(|broker| {
            let stop = &stop;
            scope.spawn(move || longest_wait(broker, stop))
        });
        let kept = flood(broker);
        // What the flood left behind is worked off.
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        let [waited, machine] = waits.map(|wait| wait.join().unwrap());
        (kept, waited, machine)
    });
    let grown = resident().saturating_sub(before);
    drop(kept);
    assert!(grown <= GROWTH_KIB, "the broker has grown by {} MiB", grown >> 10);
    assert!(
        waited <= WAIT + machine,
        "others waited {waited:?}, those of a broker without a flood {machine:?}"
    );
}

/// 48 KB of requests, whose answers are 890 MB.
#[test]
fn a_peer_that_asks_for_all_topics_and_does_not_read() {
    let _alone = cluster::alone();
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = connect(&cluster.broker);
    let topic = |number: usize| {
        format!(
            r#"{{"topicName":"Topic_{number}_{}","readQueueNums":8,"writeQueueNums":8,"perm":6}}"#,
            "x".repeat(60)
        )
    };
    let list: Vec<String> = (0..5_000).map(topic).collect();
    let body = format!(r#"{{"topicConfigList":[{}]}}"#, list.join(","));
    assert_eq!(
        wire.ask(CREATE_TOPIC_LIST, &[], body.as_bytes()).unwrap().code(),
        0
    );
    // Memory that the first such answer takes and the allocator keeps.
    assert_eq!(wire.ask(ALL_TOPICS, &[], b"").unwrap().code(), 0);
    flooded(&cluster, |broker| {
        let mut mute = connect(broker);
        let asked: Vec<u8> = (0..600)
            .flat_map(|opaque| frame(ALL_TOPICS, opaque, &[], b""))
            .collect();
        mute.give_up_writing_after(Duration::from_secs(2));
        // A broker that no longer reads does right.
        let _ = mute.write(&asked);
        vec![mute]
    });
}

/// Pulls that wait, each with a subscription of 8 MB.
#[test]
fn held_pulls_with_long_subscriptions() {
    let _alone = cluster::alone();
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    create_topic(&mut connect(&cluster.broker), "Topic", "1");
    let long = "x".repeat(8_000_000);
    flooded(&cluster, |broker| {
        let mut wires = Vec::new();
        for _ in 0..60 {
            let mut wire = connect(broker);
            let mut fields = pull_fields("Topic", "0", "0");
            for field in &mut fields {
                match field.0 {
                    "sysFlag" => field.1 = "6",
                    "suspendTimeoutMillis" => field.1 = "20000",
                    "subscription" => field.1 = &long,
                    _ => {}
                }
            }
            wire.give_up_writing_after(Duration::from_secs(2));
            let _ = wire.write(&frame(PULL, 1, &fields, b""));
            wires.push(wire);
        }
        wires
    });
}

/// Locks of queues, groups and clients that do not exist.
#[test]
fn locks_with_names_that_are_made_up() {
    let _alone = cluster::alone();
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    flooded(&cluster, |broker| {
        let mut wire = connect(broker);
        let long = "x".repeat(200);
        for round in 0..40 {
            let queue = |number: usize| {
                format!(r#"{{"topic":"{long}_{round}_{number}","brokerName":"{long}","queueId":{number}}}"#)
            };
            let queues: Vec<String> = (0..10_000).map(queue).collect();
            let body = format!(
                r#"{{"clientId":"{long}","consumerGroup":"group_{round}","mqSet":[{}]}}"#,
                queues.join(",")
            );
            // Refused or not: it is answered.
            wire.ask(LOCK, &[], body.as_bytes()).unwrap();
        }
        vec![wire]
    });
}

/// Heartbeats whose groups have names of 8 MB.
#[test]
fn heartbeats_with_long_names() {
    let _alone = cluster::alone();
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    flooded(&cluster, |broker| {
        let mut wires = Vec::new();
        for number in 0..40 {
            let mut wire = connect(broker);
            let long = format!("{number}{}", "x".repeat(8_000_000));
            let beat = format!(
                r#"{{"clientID":"c{number}","producerDataSet":[{{"groupName":"{long}"}}],"consumerDataSet":[]}}"#
            );
            wire.ask(HEART_BEAT, &[], beat.as_bytes()).unwrap();
            wires.push(wire);
        }
        wires
    });
}

/// The others' offsets while a topic of very many queues is deleted.
#[test]
fn a_topic_of_many_queues_is_deleted_beside_others() {
    let _alone = cluster::alone();
    let cluster = Cluster::of(
        Flavour::Ours,
        Flavour::Ours,
        &[("mappedFileSizeConsumeQueue", "2000")],
    );
    let mut wire = connect(&cluster.broker);
    let queues = 5_000;
    create_topic(&mut wire, "Wide", &queues.to_string());
    for first in (0..queues).step_by(50) {
        let frames = (first..first + 50).map(|queue| send_frame(queue, "Wide", &queue.to_string(), "", b"x"));
        wire.write(&frames.collect::<Vec<_>>().concat()).unwrap();
        for _ in 0..50 {
            assert_eq!(wire.read().unwrap().code(), 0);
        }
    }
    flooded(&cluster, |_| {
        let answer = wire.ask(DELETE_TOPIC, &[("topic", "Wide")], b"").unwrap();
        assert_eq!(answer.code(), 0, "{}", answer.remark());
        Vec::new()
    });
}

/// Settings that are written to the disk over and over.
#[test]
fn settings_are_changed_beside_others() {
    let _alone = cluster::alone();
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    flooded(&cluster, |broker| {
        let mut wire = connect(broker);
        for _ in 0..5 {
            let asked =
                (0..64).flat_map(|opaque| frame(UPDATE_CONFIG, opaque, &[], b"maxMessageSize=4194304\n"));
            wire.write(&asked.collect::<Vec<_>>()).unwrap();
            for _ in 0..64 {
                assert_eq!(wire.read().unwrap().code(), 0);
            }
        }
        vec![wire]
    });
}

/// Frames of 16 MiB that never end: others' large sends are refused on a connection that stays, and taken when the frames
/// have been cut off.
#[test]
fn frames_that_never_end() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    create_topic(&mut connect(&cluster.broker), "Topic", "1");
    let mut mute = Vec::new();
    // All but the end of each frame; first large ones, then what fits beside them.
    for len in [16_000_000, 1_000_000] {
        let mut frame = send_frame(1, "Topic", "0", "", &vec![b'x'; len]);
        frame.truncate(len - 1000);
        let refused = loop {
            let mut wire = connect(&cluster.broker);
            wire.write(&frame).unwrap();
            wire.wait_for_answers(Duration::from_millis(100));
            match wire.read() {
                Ok(answer) => break answer,
                Err(_) => mute.push(wire),
            }
            assert!(mute.len() < 100, "no frame was refused");
        };
        assert_eq!(refused.code(), 2, "{}", refused.remark());
    }
    assert!(mute.len() >= 3, "the room is larger than a few frames");
    let mut wire = connect(&cluster.broker);
    let large = vec![b'y'; 4_000_000];
    let answer = send(&mut wire, "Topic", "0", "", &large);
    assert_eq!(answer.code(), 2, "{}", answer.remark());
    assert!(answer.remark().contains("try again later"), "{}", answer.remark());
    assert_eq!(send(&mut wire, "Topic", "0", "", b"small").code(), 0);
    wait_until("the frames are cut off", Duration::from_secs(60), || {
        send(&mut wire, "Topic", "0", "", &large).code() == 0
    });
    for mut wire in mute {
        assert!(wire.is_closed_within(Duration::from_secs(60)));
    }
    assert_eq!(
        pull_all(&mut wire, "Topic", "0").concat(),
        [b"small", &large[..]].concat()
    );
}

/// A check of a load balancer, or a scanner, that comes again and again and speaks something else.
#[test]
fn what_is_no_request_fills_no_log() {
    const TIMES: usize = 300;
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let started = Instant::now();
    for server in [cluster.broker.address(), cluster.namesrv.address()] {
        for _ in 0..TIMES {
            let mut stream = TcpStream::connect(&server).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            // Read as far as the end: by then the line would be written.
            let mut nothing = Vec::new();
            let _ = stream.read_to_end(&mut nothing);
        }
    }
    let seconds = started.elapsed().as_secs() as usize + 1;
    for process in [&cluster.broker.process, &cluster.namesrv.process] {
        let lines = process.lines();
        let lines = lines
            .iter()
            .filter(|line| line.contains("closed: it sent"))
            .count();
        assert!((1..=seconds).contains(&lines), "{lines} lines in {seconds} s");
    }
}
