//! What an operator has: metrics, health, a stop that clients do not notice.

use crate::check::*;
use cluster::{Broker, Cluster, Flavour, NameServer, Process, Wire, prom_lint};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(60);

/// Where a server's metrics are, as its log says.
pub(crate) fn metrics_address(process: &Process) -> String {
    process.wait_for("the address of metrics", WITHIN, |line| {
        let (_, rest) = line.split_once("metrics and health are at http://")?;
        rest.strip_suffix("/metrics").map(str::to_owned)
    })
}

/// Status and body of a page.
fn ask(address: &str, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    ask(address, "GET", path)
}

/// Asks again and again until a page has this status.
fn wait_for_status(address: &str, path: &str, status: u16) -> String {
    let until = Instant::now() + WITHIN;
    loop {
        let (found, body) = get(address, path);
        if found == status {
            return body;
        }
        assert!(Instant::now() < until, "{path} says {found}: {body}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A text's samples: series to value.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    let all: Vec<_> = pairs
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect();
    let map: BTreeMap<_, _> = all.iter().copied().collect();
    assert_eq!(map.len(), all.len(), "no series is told twice");
    map
}

/// The value of the one series of this name that has all these labels.
fn value(samples: &BTreeMap<&str, f64>, name: &str, labels: &[&str]) -> f64 {
    let found: Vec<_> = samples
        .iter()
        .filter(|(series, _)| {
            series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
        })
        .collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    *found[0].1
}

/// Nothing but what RocketMQ's names are: units that Prometheus would not use, and a total without its ending.
fn check_text(text: &str) {
    let said: Vec<String> = prom_lint(text)
        .into_iter()
        .filter(|line| {
            let is_unit_of_5_x = line.contains("_milliseconds ") && line.contains("use base unit");
            !is_unit_of_5_x
        })
        .collect();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn metrics_have_the_names_and_labels_of_5_x() {
    let cluster = Cluster::start(&[("metricsLabel", "zone:z1")]);
    make_topic(&cluster, "T");
    send(JAVA_5, &cluster, &[("topic", "T"), ("count", "20")]);
    let consumer = client(JAVA_5, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    consumer.wait_count("received", 21, LONG);
    wait_until_told(&cluster.broker, "T", "g");
    let address = metrics_address(&cluster.broker.process);
    let (status, text) = get(&address, "/metrics");
    assert_eq!(status, 200);
    check_text(&text);
    let all = samples(&text);
    let common = [
        "otel_scope_name=\"broker-meter\"",
        "cluster=\"DefaultCluster\"",
        "node_id=\"broker-a\"",
        "node_type=\"broker\"",
        "zone=\"z1\"",
    ];
    assert!(
        all.keys()
            .all(|series| common.iter().all(|label| series.contains(label)))
    );
    let put = ["topic=\"T\"", "message_type=\"normal\"", "is_system=\"false\""];
    assert_eq!(value(&all, "rocketmq_messages_in_total", &put), 21.0);
    assert!(value(&all, "rocketmq_throughput_in_total", &put) > 21.0 * 90.0);
    assert_eq!(value(&all, "rocketmq_message_size_count", &put), 21.0);
    let got = ["topic=\"T\"", "consumer_group=\"g\"", "is_system=\"false\""];
    assert_eq!(value(&all, "rocketmq_messages_out_total", &got), 21.0);
    let group = [
        "consumer_group=\"g\"",
        "topic=\"T\"",
        "is_retry=\"false\"",
        "is_system=\"false\"",
    ];
    for name in [
        "rocketmq_consumer_lag_messages",
        "rocketmq_consumer_lag_latency_milliseconds",
        "rocketmq_consumer_inflight_messages",
        "rocketmq_consumer_queueing_latency_milliseconds",
    ] {
        assert_eq!(value(&all, name, &group), 0.0, "{name}");
    }
    let client = [
        "consumer_group=\"g\"",
        "consume_mode=\"push\"",
        "language=\"java\"",
        "version=\"v5_3_3\"",
        "protocol_type=\"remoting\"",
    ];
    assert_eq!(value(&all, "rocketmq_consumer_connections", &client), 1.0);
    let sends = [
        "request_code=\"send_message_v2\"",
        "response_code=\"success\"",
        "is_long_polling=\"false\"",
        "result=\"success\"",
    ];
    assert_eq!(
        value(&all, "rocketmq_rpc_latency_milliseconds_count", &sends),
        21.0
    );
    assert_eq!(value(&all, "rocketmq_broker_permission", &[]), 6.0);
    assert_eq!(value(&all, "rocketmq_registration_known", &[]), 1.0);
    let bytes = value(&all, "rocketmq_storage_watermark_bytes", &["watermark=\"end\""]);
    assert!(bytes > 0.0);
    consumer.stop();

    let (_, text) = get(&metrics_address(&cluster.namesrv.process), "/metrics");
    check_text(&text);
    let all = samples(&text);
    assert_eq!(
        value(&all, "rocketmq_namesrv_brokers", &["node_type=\"namesrv\""]),
        1.0
    );
}

#[test]
fn series_end_with_their_group() {
    let cluster = Cluster::start(&[]);
    make_topic(&cluster, "T");
    let consumer = client(JAVA_4, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    consumer.wait_count("received", 1, LONG);
    let address = metrics_address(&cluster.broker.process);
    let text = || get(&address, "/metrics").1;
    assert!(text().contains("rocketmq_consumer_lag_messages{"));
    assert!(text().contains("consumer_group=\"g\""));
    consumer.stop();
    mqadmin(
        &cluster,
        &[
            "deleteSubGroup",
            "-b",
            &cluster.broker.address(),
            "-g",
            "g",
            "-r",
            "true",
        ],
    );
    let after = text();
    assert!(!after.contains("consumer_group=\"g\""), "{after}");
}

fn mqadmin(cluster: &Cluster, arguments: &[&str]) -> String {
    cluster::java_mqadmin("4.9.8", cluster.path(), &cluster.namesrv.address(), arguments)
}

#[test]
fn series_beyond_the_limit_are_counted() {
    let cluster = Cluster::start(&[("metricsOtelCardinalityLimit", "3")]);
    let address = metrics_address(&cluster.broker.process);
    let (_, text) = get(&address, "/metrics");
    check_text(&text);
    let all = samples(&text);
    assert!(value(&all, "rocketmq_metrics_series_dropped_total", &[]) > 0.0);
    let marks = all
        .keys()
        .filter(|series| series.starts_with("rocketmq_storage_watermark_bytes"));
    assert_eq!(marks.count(), 3);
}

#[test]
fn servers_of_one_host_have_ports_of_their_own_and_can_have_none() {
    let cluster = Cluster::start(&[]);
    let first = metrics_address(&cluster.broker.process);
    let (_, port) = first.rsplit_once(':').unwrap();
    let start = |name: &str, tuning: &[(&str, &str)]| {
        Broker::start(
            Flavour::Ours,
            cluster.path(),
            name,
            &cluster.namesrv.address(),
            tuning,
        )
    };
    let second = start("broker-b", &[]);
    assert_ne!(metrics_address(&second.process), first);
    let given = start("broker-c", &[("metricsPromExporterPort", port)]);
    let other = metrics_address(&given.process);
    assert_ne!(other, first);
    assert_eq!(get(&other, "/livez").0, 200);
    let said = given.process.lines();
    let warning = format!("metricsPromExporterPort={port} is taken");
    assert!(said.iter().any(|line| line.contains(&warning)), "{said:#?}");
    let off = start("broker-d", &[("metricsExporterType", "DISABLE")]);
    assert!(
        !off.process
            .lines()
            .iter()
            .any(|line| line.contains("metrics and health"))
    );
}

#[test]
fn health_says_what_is_missing() {
    let mut cluster = Cluster::start(&[("drainByHttpEnable", "true")]);
    let address = metrics_address(&cluster.broker.process);
    assert_eq!(get(&address, "/livez"), (200, "live\n".to_owned()));
    assert_eq!(get(&address, "/readyz"), (200, "ready\n".to_owned()));
    let (status, state) = get(&address, "/debug/state");
    assert!(
        status == 200 && state.contains("pulls wait for messages"),
        "{state}"
    );
    assert!(
        get(&address, "/debug/slow")
            .1
            .contains("requests took longer than 1000 ms")
    );
    let waiting = get(&address, "/debug/pulls");
    assert_eq!(waiting, (200, "0 pulls wait for messages\n".to_owned()));

    let port = cluster.namesrv.port;
    cluster.namesrv.process.signal("KILL");
    cluster.namesrv.process.wait_exit(WITHIN);
    let said = wait_for_status(&address, "/readyz", 503);
    assert_eq!(said, "no name server knows this broker\n");
    assert_eq!(get(&address, "/livez").0, 200);
    cluster.namesrv = NameServer::start_at(Flavour::Ours, cluster.path(), port);
    wait_for_status(&address, "/readyz", 200);

    assert_eq!(get(&address, "/drain").0, 405);
    // Another master, to which they can go.
    let _other = Broker::start(
        Flavour::Ours,
        cluster.path(),
        "broker-b",
        &cluster.namesrv.address(),
        &[],
    );
    assert_eq!(ask(&address, "POST", "/drain").0, 202);
    let said = wait_for_status(&address, "/readyz", 503);
    assert!(said.contains("producers are sent away"), "{said}");
}

#[test]
fn a_drain_by_http_is_off_by_default() {
    let cluster = Cluster::start(&[]);
    let address = metrics_address(&cluster.broker.process);
    assert_eq!(ask(&address, "POST", "/drain").0, 404);
}

/// What systemd hears of a broker.
#[test]
fn a_supervisor_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(WITHIN)).unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let notify = format!("NOTIFY_SOCKET={}", path.display());
    let launcher = ["env", notify.as_str(), "WATCHDOG_USEC=200000"];
    let mut broker = Broker::start_under(
        &launcher,
        Flavour::Ours,
        (dir.path(), "broker-a"),
        "broker-a",
        &namesrv.address(),
        &[],
    );
    let hear = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(wanted) {
                return;
            }
        }
    };
    hear("READY=1");
    hear("STATUS=serving");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    assert!(broker.stop().success());
    hear("STOPPING=1");
}

/// One of two masters is stopped and started again while Java's clients send and consume: no send fails, every message comes, and
/// the consumer stands still no longer than a pull.
#[test]
fn a_restart_of_one_of_two_masters_is_not_noticed() {
    let _alone = cluster::alone();
    let mut cluster = Cluster::start(&[("shutdownDrainMillis", "35000"), ("defaultTopicQueueNums", "4")]);
    let other = Broker::start(
        Flavour::Ours,
        cluster.path(),
        "broker-b",
        &cluster.namesrv.address(),
        &[("defaultTopicQueueNums", "4")],
    );
    mqadmin(
        &cluster,
        &[
            "updateTopic",
            "-c",
            "DefaultCluster",
            "-t",
            "T",
            "-r",
            "4",
            "-w",
            "4",
        ],
    );
    cluster.broker.wait_for_topic("T");
    other.wait_for_topic("T");
    let consumer = client(JAVA_4, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    let producer = client(
        JAVA_4,
        &cluster,
        "send",
        &[("topic", "T"), ("until", "stdin"), ("pause", "5")],
    );
    consumer.wait_count("received", 200, LONG);

    let begun = Instant::now();
    cluster.broker.process.signal("TERM");
    let mut longest = Duration::ZERO;
    while !cluster.broker.process.has_ended() {
        let since = Instant::now();
        consumer.wait_count("received", consumer.count("received") + 1, LONG);
        longest = longest.max(since.elapsed());
    }
    let stopped = begun.elapsed();
    cluster.broker.process.wait_exit(WITHIN);
    cluster.broker.restart();
    let restarted = begun.elapsed();
    consumer.wait_count("received", consumer.count("received") + 500, LONG);
    let events = producer.stop();
    let (sent, failed) = (of(&events, "sent"), of(&events, "failed"));
    consumer.wait_count("received", sent.len(), LONG);
    let received = of(&consumer.stop(), "received");
    println!(
        "{} sent, {} failed, {} received; stopped after {stopped:?}, back after {restarted:?}, longest pause {longest:?}",
        sent.len(),
        failed.len(),
        received.len()
    );
    assert!(failed.is_empty(), "{failed:#?}");
    assert_all_bodies(sent.into_iter().map(|event| event.body), &received);
    assert!(
        longest < Duration::from_secs(5),
        "the consumer stood still for {longest:?}"
    );
}

/// A stop without producers, or without another master, takes no longer than before.
#[test]
fn a_stop_does_not_wait_for_nobody() {
    let mut cluster = Cluster::start(&[("shutdownDrainMillis", "60000")]);
    make_topic(&cluster, "T");
    let producer = client(
        JAVA_4,
        &cluster,
        "send",
        &[("topic", "T"), ("until", "stdin"), ("pause", "50")],
    );
    producer.wait_count("sent", 10, LONG);
    let begun = Instant::now();
    cluster.broker.stop();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    producer.stop();
}

/// The lint itself can fail.
#[test]
fn the_lint_finds_what_is_wrong() {
    let said = prom_lint("# TYPE bad_count counter\nbad_count 1\n");
    assert!(said.iter().any(|line| line.contains("no help text")), "{said:?}");
    assert!(Command::new("go").arg("version").output().is_ok());
}

/// What a scrape costs with so many topics of eight queues, and so many groups that read ten topics each.
#[test]
fn a_scrape_of_many_topics_and_groups_holds_up_nobody() {
    let _alone = cluster::alone();
    const TOPICS: usize = 10_000;
    const GROUPS: usize = 1000;
    const EACH: usize = 10;
    let mut cluster = Cluster::start(&[("metricsOtelCardinalityLimit", "100000")]);
    cluster.broker.stop();
    let file = cluster.broker.store().join("config/topics.json");
    let mut topics: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for number in 0..TOPICS {
        let name = format!("Topic{number}");
        topics["topicConfigTable"][&name] = serde_json::json!({
            "topicName": name, "readQueueNums": 8, "writeQueueNums": 8, "perm": 6,
            "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": false,
        });
    }
    std::fs::write(&file, topics.to_string()).unwrap();
    cluster.broker.restart();

    let groups: Vec<_> = (0..GROUPS)
        .map(|group| {
            let subscriptions: Vec<_> = (0..EACH)
                .map(|at| {
                    let topic = format!("Topic{}", (group * EACH + at) % TOPICS);
                    serde_json::json!({
                        "topic": topic, "subString": "*", "subVersion": 1, "expressionType": "TAG",
                        "classFilterMode": false, "tagsSet": [], "codeSet": [],
                    })
                })
                .collect();
            serde_json::json!({
                "groupName": format!("Group{group}"), "consumeType": "CONSUME_PASSIVELY",
                "messageModel": "CLUSTERING", "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET",
                "unitMode": false, "subscriptionDataSet": subscriptions,
            })
        })
        .collect();
    let heartbeat = serde_json::json!({"clientID": "c@1", "producerDataSet": [], "consumerDataSet": groups});
    let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
    wire.wait_for_answers(WITHIN);
    let answer = wire.ask(34, &[], heartbeat.to_string().as_bytes()).unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());

    let address = metrics_address(&cluster.broker.process);
    let scraped = std::thread::spawn(move || {
        let begun = Instant::now();
        let (status, text) = get(&address, "/metrics");
        (begun.elapsed(), status, text)
    });
    let mut longest = Duration::ZERO;
    let mut asked = 0;
    while !scraped.is_finished() {
        let begun = Instant::now();
        let fields = [("topic", "Topic1"), ("queueId", "1")];
        assert_eq!(wire.ask(30, &fields, b"").unwrap().code(), 0);
        longest = longest.max(begun.elapsed());
        asked += 1;
    }
    let (took, status, text) = scraped.join().unwrap();
    assert_eq!(status, 200);
    let rows = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(rows("rocketmq_consumer_lag_messages{"), GROUPS * EACH);
    assert_eq!(rows("rocketmq_consumer_queue_lag_messages{"), GROUPS * EACH * 8);
    println!(
        "scrape of {} bytes, {} lines, took {took:?}; {asked} requests meanwhile, the longest took {longest:?}",
        text.len(),
        text.lines().count()
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(longest < took / 2, "a request waited {longest:?} of {took:?}");
}

#[test]
fn a_log_of_json() {
    let cluster = Cluster::start(&[("logFormat", "json")]);
    let line = cluster.broker.process.wait_for("a line of JSON", WITHIN, |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let message = line["message"].as_str()?;
        message.contains("metrics and health are at").then_some(line)
    });
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["broker"], "broker-a");
    assert!(line["time"].as_str().unwrap().ends_with("+08:00"), "{line}");
}
