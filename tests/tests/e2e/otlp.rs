//! Metrics that a broker pushes: what a collector hears of ours and of Java's 5.3.3, and what stands in the log.

use crate::asks;
use crate::check::*;
use crate::operations::{get, metrics_address};
use crate::replication::eventually;
use cluster::{Cluster, Flavour, Language, Process, otlp_collector};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(60);

/// A collector that runs, and its address.
fn collector(dir: &std::path::Path) -> (Process, String) {
    let program = Command::new(otlp_collector());
    let process = Process::start("collector", program, &dir.join("collector.out"));
    let address = process.wait_for("its address", WITHIN, |line| {
        line.strip_prefix("collecting at ").map(str::to_owned)
    });
    (process, address)
}

/// What it has been pushed.
fn pushed(collector: &Process) -> Vec<Value> {
    let lines = collector.lines();
    let metrics = lines.iter().filter(|line| line.starts_with('{'));
    metrics.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The sum over all pushes of a counter's series with these labels.
fn counted(pushed: &[Value], name: &str, labels: &[(&str, &str)]) -> f64 {
    let of_name = pushed.iter().filter(|metric| metric["name"] == name);
    let points = of_name.flat_map(|metric| metric["points"].as_array().unwrap());
    points
        .filter(|point| {
            labels
                .iter()
                .all(|(label, value)| point["labels"][label] == *value)
        })
        .map(|point| point["value"].as_f64().unwrap())
        .sum()
}

/// How a metric is told: everything but its values.
fn form(metric: &Value) -> String {
    let mut labels: Vec<String> = metric["points"][0]["labels"]
        .as_object()
        .unwrap()
        .iter()
        .map(
            |(name, value)| match value.as_str().unwrap().starts_with("bool ") {
                true => format!("{name} (boolean)"),
                false => name.clone(),
            },
        )
        .collect();
    labels.sort();
    format!(
        "scope {}, unit {}, {}, delta {}, monotonic {}, buckets {}, labels {labels:?}",
        metric["scope"],
        metric["unit"],
        metric["kind"],
        metric["delta"],
        metric["monotonic"],
        metric["points"][0]["bounds"]
    )
}

/// Each metric's form, once 21 messages were sent and received.
fn forms(flavour: Flavour) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let (collector, address) = collector(dir.path());
    let target = format!("http://{address}");
    let cluster = Cluster::of(
        flavour,
        flavour,
        &[
            ("metricsExporterType", "OTLP_GRPC"),
            ("metricsGrpcExporterTarget", &target),
            ("metricsGrpcExporterHeader", "team:a,tier:b"),
            ("metricGrpcExporterIntervalInMills", "1000"),
            ("metricsInDelta", "true"),
            ("metricsLabel", "zone:z1"),
        ],
    );
    make_topic(&cluster, "T");
    send(JAVA_5, &cluster, &[("topic", "T"), ("count", "20")]);
    let consumer = client(JAVA_5, &cluster, "consume", &[("topic", "T"), ("group", "g")]);
    consumer.wait_count("received", 21, LONG);
    let half = asks::send(
        &mut asks::connect(&cluster.broker),
        "T",
        "0",
        "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}nobody\u{2}UNIQ_KEY\u{1}7F00000100002A9F18B4AAC2000000AB\u{2}",
        b"half",
    );
    assert_eq!(half.code(), 0, "{}", half.remark());
    let is_open = |metric: &Value| {
        let point = &metric["points"][0];
        metric["name"] == "rocketmq_half_messages" && point["labels"]["topic"] == "T" && point["value"] == 1.0
    };
    let of_topic = [
        ("topic", "T"),
        ("zone", "z1"),
        ("aggregation", "delta"),
        ("is_system", "bool false"),
    ];
    eventually("each message is counted once, in and out", || {
        let pushed = pushed(&collector);
        counted(&pushed, "rocketmq_messages_in_total", &of_topic) == 21.0
            && counted(&pushed, "rocketmq_messages_out_total", &of_topic) == 21.0
            && pushed
                .iter()
                .any(|metric| metric["name"] == "rocketmq_consumer_lag_messages")
            && pushed.iter().any(is_open)
    });
    consumer.stop();
    let pushed = pushed(&collector);
    for metric in &pushed {
        let header: BTreeSet<&str> = metric["header"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(
            header.contains("team:a") && header.contains("tier:b"),
            "{header:?}"
        );
        for point in metric["points"].as_array().unwrap() {
            assert_eq!(point["begins"], true, "{metric}");
        }
    }
    pushed
        .iter()
        .map(|metric| (metric["name"].as_str().unwrap().to_owned(), form(metric)))
        .collect()
}

#[test]
fn a_collector_hears_what_it_hears_of_5_3() {
    let [ours, java] = std::thread::scope(|scope| {
        [Flavour::Ours, Flavour::Java("5.3.3")]
            .map(|flavour| scope.spawn(move || forms(flavour)))
            .map(|thread| thread.join().unwrap())
    });
    let mut missing: Vec<&String> = java.keys().filter(|name| !ours.contains_key(*name)).collect();
    // Of features that are not here (docs/metrics.md).
    missing.retain(|name| {
        !["_pop_", "_timer_", "_timing_"]
            .iter()
            .any(|part| name.contains(part))
    });
    assert!(missing.is_empty(), "{missing:?}");
    let both: Vec<&String> = java.keys().filter(|name| ours.contains_key(*name)).collect();
    assert!(both.len() > 20, "{both:?}");
    assert!(java.contains_key("rocketmq_half_messages"));
    for name in both {
        assert_eq!(ours[name], java[name], "{name}");
    }
}

/// What an hour's interval has not brought yet comes with the stop.
#[test]
fn a_stop_pushes_what_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (collector, address) = collector(dir.path());
    let target = format!("http://{address}");
    let mut cluster = Cluster::start(&[
        ("metricsExporterType", "OTLP_GRPC"),
        ("metricsGrpcExporterTarget", &target),
        ("metricGrpcExporterIntervalInMills", "3600000"),
        ("metricsInDelta", "true"),
    ]);
    send(Language::Go, &cluster, &[("topic", "T"), ("count", "10")]);
    assert!(pushed(&collector).is_empty());
    assert!(cluster.broker.stop().success());
    let of_topic = [("topic", "T"), ("message_type", "normal")];
    eventually("each message is counted once", || {
        counted(&pushed(&collector), "rocketmq_messages_in_total", &of_topic) == 10.0
    });
}

/// It takes the connection, and never answers.
#[test]
fn a_mute_collector_holds_up_a_stop_for_seconds_at_most() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", mute.local_addr().unwrap());
    let mut cluster = Cluster::start(&[
        ("metricsExporterType", "OTLP_GRPC"),
        ("metricsGrpcExporterTarget", &target),
        ("metricGrpcExporterTimeOutInMills", "60000"),
    ]);
    send(Language::Go, &cluster, &[("topic", "T"), ("count", "1")]);
    let begun = Instant::now();
    assert!(cluster.broker.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let lines = cluster.broker.process.lines();
    let told = lines
        .iter()
        .filter(|line| line.contains("metrics of the last moments are not pushed"));
    assert_eq!(told.count(), 1, "{lines:#?}");
}

#[test]
fn a_collector_that_is_not_there_is_told_of_and_holds_up_nobody() {
    let cluster = Cluster::start(&[
        ("metricsExporterType", "OTLP_GRPC"),
        ("metricsGrpcExporterTarget", "http://127.0.0.1:9"),
        ("metricGrpcExporterIntervalInMills", "100"),
    ]);
    let process = &cluster.broker.process;
    process.wait_for("a warning", WITHIN, |line| {
        line.contains("metrics can not be pushed: ").then_some(())
    });
    send(Language::Go, &cluster, &[("topic", "T"), ("count", "10")]);
    let address = metrics_address(process);
    eventually("failures are counted", || {
        let (_, text) = get(&address, "/metrics");
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with("rocketmq_metrics_pushes_total{"));
        lines.any(|line| line.contains("result=\"failure\"") && !line.ends_with(" 0"))
    });
    let lines = process.lines();
    let warnings = lines.iter().filter(|line| line.contains("can not be pushed"));
    assert_eq!(warnings.count(), 1, "{lines:#?}");
}

#[test]
fn metrics_in_the_log_are_json() {
    let cluster = Cluster::start(&[
        ("metricsExporterType", "LOG"),
        ("metricLoggingExporterIntervalInMills", "500"),
    ]);
    let told: Value = cluster
        .broker
        .process
        .wait_for("metrics in the log", WITHIN, |line| {
            let (_, text) = line.split_once(" - {\"resource\"")?;
            Some(serde_json::from_str(&format!("{{\"resource\"{text}")).unwrap())
        });
    let scope = &told["scopeMetrics"][0];
    assert_eq!(scope["scope"]["name"], "broker-meter");
    let metrics = scope["metrics"].as_array().unwrap();
    let permission = metrics
        .iter()
        .find(|metric| metric["name"] == "rocketmq_broker_permission")
        .unwrap();
    assert_eq!(
        permission["gauge"]["dataPoints"][0]["asDouble"], 6.0,
        "{permission}"
    );
}
