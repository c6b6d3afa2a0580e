//! Clients get their routes in time, whatever operators and large brokers ask meanwhile. In a program of its own: tests that
//! use up the processors must not run beside it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use cluster::{Flavour, NameServer, Wire};
use protocol::code::{request, response};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TOPICS: usize = 100_000;
const WITHIN: Duration = Duration::from_millis(50);
const SUCCESS: i64 = response::SUCCESS as i64;

/// The fields and the body of a registration with so many topics.
fn registration(
    name: &'static str,
    counter: usize,
    topics: usize,
) -> (Vec<(&'static str, &'static str)>, Vec<u8>) {
    let fields = vec![
        ("brokerName", name),
        ("brokerAddr", "10.0.0.1:10911"),
        ("clusterName", "DefaultCluster"),
        ("haServerAddr", "10.0.0.1:10912"),
        ("brokerId", "0"),
    ];
    let topics: Vec<String> = (0..topics)
        .map(|i| {
            format!(
                "\"topic-{i}\":{{\"topicName\":\"topic-{i}\",\"perm\":6,\"readQueueNums\":8,\"writeQueueNums\":8,\
                 \"topicSysFlag\":3}}"
            )
        })
        .collect();
    let body = format!(
        "{{\"topicConfigSerializeWrapper\":{{\"dataVersion\":{{\"counter\":{counter},\"timestamp\":1}},\
         \"topicConfigTable\":{{{}}}}}}}",
        topics.join(",")
    );
    (fields, body.into_bytes())
}

/// Asks again and again until it is told to stop; says how often it had been answered.
fn repeat(
    address: &str,
    stop: &Arc<AtomicBool>,
    begun: &mpsc::Sender<()>,
    mut ask: impl FnMut(&mut Wire) + Send + 'static,
) -> JoinHandle<usize> {
    let mut wire = Wire::connect(address).unwrap();
    let (stop, begun) = (Arc::clone(stop), begun.clone());
    std::thread::spawn(move || {
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            ask(&mut wire);
            answered += 1;
            if answered == 1 {
                begun.send(()).unwrap();
            }
        }
        answered
    })
}

#[test]
fn routes_come_in_time_beside_lists_of_all_topics() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let address = namesrv.address();
    let mut broker = Wire::connect(&address).unwrap();
    broker.wait_for_answers(Duration::from_secs(60));
    let (fields, body) = registration("broker-a", 1, TOPICS);
    let registered = broker.ask(request::REGISTER_BROKER, &fields, &body).unwrap();
    assert_eq!(registered.code(), SUCCESS, "{}", registered.remark());

    let stop = Arc::new(AtomicBool::new(false));
    let (begun, begins) = mpsc::channel();
    let cluster = [("cluster", "DefaultCluster")];
    let name = [("brokerName", "broker-a")];
    let lists: [(i32, &'static [(&str, &str)]); 5] = [
        (request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &[]),
        (request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &[]),
        (request::GET_TOPICS_BY_CLUSTER, Box::leak(Box::new(cluster))),
        (request::GET_UNIT_TOPIC_LIST, &[]),
        (request::WIPE_WRITE_PERM_OF_BROKER, Box::leak(Box::new(name))),
    ];
    let mut beside: Vec<JoinHandle<usize>> = lists
        .into_iter()
        .map(|(code, fields)| {
            repeat(&address, &stop, &begun, move |wire| {
                let answer = wire.ask(code, fields, b"").unwrap();
                assert_eq!(answer.code(), SUCCESS, "{code}: {}", answer.remark());
            })
        })
        .collect();
    // A broker with as many topics whose table changes each time, and goes and comes.
    let mut counter = 0;
    beside.push(repeat(&address, &stop, &begun, move |wire| {
        counter += 1;
        let (fields, body) = registration("broker-b", counter, TOPICS / 4);
        let answer = wire.ask(request::REGISTER_BROKER, &fields, &body).unwrap();
        assert_eq!(answer.code(), SUCCESS, "{}", answer.remark());
        if counter % 3 == 0 {
            let gone = wire.ask(request::UNREGISTER_BROKER, &fields, b"").unwrap();
            assert_eq!(gone.code(), SUCCESS);
        }
    }));
    for _ in &beside {
        begins.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    let mut client = Wire::connect(&address).unwrap();
    let mut slow_broker = Wire::connect(&address).unwrap();
    let (fields, body) = registration("broker-c", 1, 20);
    let mut times = Vec::new();
    for round in 0..1500 {
        let begin = Instant::now();
        if round % 10 == 0 {
            let alive = slow_broker.ask(request::REGISTER_BROKER, &fields, &body).unwrap();
            assert_eq!(alive.code(), SUCCESS, "{}", alive.remark());
        } else {
            let topic = format!("topic-{}", round * 61 % TOPICS);
            let route = client.ask(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", &topic)], b"");
            assert_eq!(route.unwrap().code(), SUCCESS);
        }
        times.push(begin.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let answered: Vec<usize> = beside.into_iter().map(|thread| thread.join().unwrap()).collect();
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    assert!(
        p99 < WITHIN,
        "p99 {p99:?}, longest {:?}, beside {answered:?} others",
        times[times.len() - 1]
    );
}
