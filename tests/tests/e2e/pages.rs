//! What pages, rules and boards name is there: messages in the source, metrics on the servers, figures among the measured ones.

use crate::operations::{get, metrics_address};
use crate::replication::eventually;
use crate::yaml::{documents, list_at, text_at};
use cluster::{Broker, Flavour, NameServer, Wire, repository};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const HEARTBEAT: &str = r#"{"clientID":"c","producerDataSet":[],"consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY",
    "messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","unitMode":false,"subscriptionDataSet":[{"topic":"T",
    "subString":"*","subVersion":1,"classFilterMode":false,"tagsSet":[],"codeSet":[],"expressionType":"TAG"}]}]}"#;

fn page(name: &str) -> String {
    fs::read_to_string(repository().join("docs").join(name)).unwrap()
}

/// What stands in code in the first cell of each row of a page's tables.
fn first_cells(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split("` |").next().unwrap().to_owned())
        .collect()
}

/// The source of the servers and of what clients of ours say; a text that goes on in the next line is one.
fn source() -> String {
    let mut text = String::new();
    for name in [
        "broker", "namesrv", "store", "remoting", "disk", "process", "settings", "acl", "client",
    ] {
        let mut folders = vec![repository().join("crates").join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let file = fs::read_to_string(&path).unwrap();
                    // What only tests say nobody reads in a log.
                    text.push_str(file.split("#[cfg(test)]\nmod tests").next().unwrap());
                }
            }
        }
    }
    let mut joined = String::new();
    for part in text.split("\\\n") {
        joined.push_str(part.trim_start_matches(' '));
    }
    joined
}

#[test]
fn each_message_of_the_page_is_said_by_a_server() {
    let source = source();
    let messages = first_cells(&page("troubleshooting.md"));
    assert!(messages.len() > 25, "{messages:?}");
    let mut unsaid = Vec::new();
    for message in messages {
        let parts: Vec<&str> = message
            .split('…')
            .map(str::trim)
            .filter(|part| part.len() > 3)
            .collect();
        assert!(
            parts.iter().any(|part| part.len() > 14),
            "too little of {message}"
        );
        unsaid.extend(
            parts
                .iter()
                .filter(|part| !source.contains(**part))
                .map(|part| format!("{part} ({message})")),
        );
    }
    assert!(unsaid.is_empty(), "nobody says {unsaid:#?}");
}

/// The figures are those of the last comparison with Java: whoever writes that anew renews the page.
#[test]
fn each_figure_of_the_page_was_measured() {
    let measured = page("benchmarks.md");
    let capacity = page("capacity.md");
    let figures: Vec<&str> = capacity
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .collect();
    assert!(figures.len() > 10, "{figures:?}");
    let cells: BTreeSet<&str> = measured.split('|').map(str::trim).collect();
    for figure in figures {
        assert!(cells.contains(figure), "{figure} is in no table of benchmarks.md");
    }
}

/// Metrics of an expression with the labels that it asks for.
fn metrics_of(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(is_name) {
        rest = &rest[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            let (inside, behind) = inner.split_once('}').unwrap();
            rest = behind;
            labels = inside
                .split(',')
                .map(|matcher| matcher.split(['=', '!']).next().unwrap().to_owned())
                .collect();
        }
        if name.starts_with("rocketmq_") || name.starts_with("process_") {
            found.push((name.to_owned(), labels));
        }
    }
    found
}

#[test]
fn metrics_are_found_in_expressions() {
    let found = metrics_of(
        "histogram_quantile(0.99, sum by (le) (rate(rocketmq_a_bucket{x=~\"b|c\",y=\"1\"}[5m]))) / process_b > 1",
    );
    let labels = vec!["x".to_owned(), "y".to_owned()];
    assert_eq!(
        found,
        [
            ("rocketmq_a_bucket".to_owned(), labels),
            ("process_b".to_owned(), Vec::new())
        ]
    );
}

/// Expressions of rules and boards.
fn expressions() -> Vec<String> {
    let monitoring = repository().join("conf/monitoring");
    let mut all = Vec::new();
    for group in list_at(&documents(&monitoring.join("alerts.yml"))[0], "/groups") {
        let mut names = BTreeSet::new();
        for rule in list_at(group, "/rules") {
            assert!(names.insert(text_at(rule, "/alert")), "{rule}");
            assert!(
                ["warning", "critical"].contains(&text_at(rule, "/labels/severity")),
                "{rule}"
            );
            assert!(!text_at(rule, "/annotations/summary").is_empty());
            all.push(text_at(rule, "/expr").to_owned());
        }
    }
    let board: Value = serde_json::from_slice(&fs::read(monitoring.join("grafana.json")).unwrap()).unwrap();
    let mut ids = BTreeSet::new();
    for panel in board["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            all.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            all.push(variable["query"].as_str().unwrap().to_owned());
        }
    }
    for expression in &all {
        let count = |c| expression.matches(c).count();
        assert_eq!(
            (count('('), count('{'), count('[')),
            (count(')'), count('}'), count(']')),
            "{expression}"
        );
    }
    all
}

/// Names of a text's series, each with all labels that one of them has.
fn told(text: &str, names: &mut BTreeMap<String, BTreeSet<String>>) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels
            .split("\",")
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        names.entry(name.to_owned()).or_default().extend(labels);
    }
}

/// A message that was sent, pulled, and given up, so that everything has been counted once.
fn use_all(broker: &Broker) -> Wire {
    let mut wire = Wire::connect(&broker.address()).unwrap();
    let mut ask = |code: i32, fields: &[(&str, &str)], body: &[u8]| {
        let answer = wire.ask(code, fields, body).unwrap();
        assert_eq!(answer.code(), 0, "{code}: {}", answer.remark());
        answer
    };
    let send = [
        ("producerGroup", "p"),
        ("topic", "T"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "1"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", ""),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
    ];
    ask(10, &send, b"hello");
    ask(34, &[], HEARTBEAT.as_bytes());
    let pull = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "32"),
        ("sysFlag", "4"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subscription", "*"),
        ("subVersion", "0"),
    ];
    ask(11, &pull, b"");
    let offset = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "0"),
        ("commitOffset", "1"),
    ];
    ask(15, &offset, b"");
    let back = [
        ("offset", "0"),
        ("group", "g"),
        ("delayLevel", "-1"),
        ("originMsgId", "m"),
        ("originTopic", "T"),
        ("unitMode", "false"),
        ("maxReconsumeTimes", "16"),
    ];
    ask(36, &back, b"");
    wire
}

fn slave(dir: &Path, namesrv: &str) -> Broker {
    let tuning = [("brokerRole", "SLAVE"), ("brokerId", "1")];
    Broker::start_under(&[], Flavour::Ours, (dir, "slave"), "broker-a", namesrv, &tuning)
}

#[test]
fn each_metric_of_rules_and_boards_is_told_by_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let tuning = [("flushDiskType", "SYNC_FLUSH")];
    let master = Broker::start(Flavour::Ours, dir.path(), "broker-a", &namesrv.address(), &tuning);
    let slave = slave(dir.path(), &namesrv.address());
    // The consumer stays as long as its connection does.
    let _wire = use_all(&master);
    let addresses = [&master.process, &slave.process, &namesrv.process].map(metrics_address);
    let wanted: Vec<_> = expressions()
        .iter()
        .flat_map(|expression| metrics_of(expression))
        .collect();
    assert!(wanted.len() > 30, "{wanted:?}");
    let missing = || -> Vec<String> {
        let mut names = BTreeMap::new();
        for address in &addresses {
            told(&get(address, "/metrics").1, &mut names);
        }
        let lacks = |(name, labels): &(String, Vec<String>)| match names.get(name) {
            None => Some(name.clone()),
            Some(has) => {
                let label = labels.iter().find(|label| !has.contains(*label))?;
                Some(format!("{name}{{{label}}}"))
            }
        };
        wanted.iter().filter_map(lacks).collect()
    };
    let mut last = Vec::new();
    eventually("every metric", || {
        let now = missing();
        if now != last {
            println!("not told yet: {now:?}");
            last = now;
        }
        last.is_empty()
    });
}
