//! The benchmark programs, against brokers of both kinds.

use cluster::{Cluster, Flavour, our_program};
use std::process::{Command, Stdio};

/// Runs a program to its end; returns what it said.
fn run(class: &str, arguments: &[&str]) -> String {
    let output = Command::new(our_program("mqadmin"))
        .arg("--class")
        .arg(format!("org.apache.rocketmq.example.benchmark.{class}"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}{complained}");
    said
}

/// What follows `name` in a line, up to the next comma or blank.
fn figure(line: &str, name: &str) -> f64 {
    let (_, behind) = line
        .split_once(&format!("{name} "))
        .unwrap_or_else(|| panic!("no {name}: {line}"));
    let end = behind.find([',', ' ']).unwrap_or(behind.len());
    behind[..end]
        .parse()
        .unwrap_or_else(|e| panic!("{name}: {e}: {line}"))
}

/// Two brokers are loaded in turns and compared, whichever brokers they are.
#[test]
fn two_brokers_are_loaded_in_turns() {
    let ours = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let javas = Cluster::of(Flavour::Ours, Flavour::Java("4.9.7"), &[]);
    let addresses = [&ours, &javas].map(|cluster| cluster.namesrv.address());
    let pids = [&ours, &javas].map(|cluster| cluster.broker.process.pid().to_string());
    let mut arguments = vec![
        "-n",
        &addresses[0],
        "--against",
        &addresses[1],
        "--observe",
        &pids[0],
    ];
    arguments.extend([
        "--observeAgainst",
        &pids[1],
        "-w",
        "4",
        "-s",
        "1000",
        "--seconds",
        "1",
    ]);
    for (class, batch) in [("Producer", 1.0), ("BatchProducer", 16.0)] {
        let said = run(class, &arguments);
        let turns: Vec<_> = said.lines().filter(|line| line.starts_with("-- ")).collect();
        let expected = [1, 2].map(|round| addresses.each_ref().map(|at| format!("-- round {round}, {at}")));
        assert_eq!(turns, expected.concat(), "{said}");
        let totals: Vec<_> = said.lines().filter(|line| line.contains(" total: ")).collect();
        assert_eq!(totals.len(), 4, "{said}");
        for line in totals {
            let count = figure(line, "total:");
            assert!(count > 0.0 && count % batch == 0.0, "{line}");
            assert!(line.contains(" MB/s; latency ms p50 "), "{line}");
        }
        assert_eq!(
            said.matches("CPU seconds per million messages, peak memory")
                .count(),
            4,
            "{said}"
        );
        let last = said.lines().last().unwrap();
        let head = format!("{} / {}: ", addresses[0], addresses[1]);
        let ratios = last.strip_prefix(&head).unwrap_or_else(|| panic!("{last}"));
        for name in [
            "messages/s",
            "MB/s",
            "p50",
            "p99",
            "p99.9",
            "max",
            "broker CPU",
            "peak memory",
        ] {
            assert!(figure(ratios, name) > 0.0, "{last}");
        }
        // Bodies of one length: both ratios say the same, but for what came between two looks.
        let (messages, bytes) = (figure(ratios, "messages/s"), figure(ratios, "MB/s"));
        assert!((messages / bytes - 1.0).abs() < 0.05, "{last}");
        // A JVM and a program of some megabytes.
        assert!(figure(ratios, "peak memory") < 1.0, "{last}");
    }
}

/// A turn that does not end would never let the other one begin.
#[test]
fn turns_need_an_end() {
    let output = Command::new(our_program("mqadmin"))
        .args(["--class", "org.apache.rocketmq.example.benchmark.Producer"])
        .args(["-n", "127.0.0.1:1", "--against", "127.0.0.1:2"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--against needs --seconds"), "{said}");
}
