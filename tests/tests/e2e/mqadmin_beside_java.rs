//! Our mqadmin beside Java's: every command of 4.9.8 against servers of ours, of 4.9.7 and of 5.3.3; and beside 5.3.3's tool.
//!
//! What Java's tool printed of Java's servers is in `tests/golden/mqadmin`, masked as here: it takes seconds a command. `GOLDEN=write`
//! runs it and writes the files anew.

use crate::mqadmin::{By, SETTINGS_OF_JAVA, STEPS, Scene, Step, comparable};
use crate::mqadmin_commands::Tools;
use cluster::{Flavour, repository};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// Java's tool, and the servers that it was run against.
#[derive(Clone, Copy)]
struct Beside {
    tool: &'static str,
    servers: &'static str,
}

impl Beside {
    const fn of(tool: &'static str, servers: &'static str) -> Beside {
        Beside { tool, servers }
    }

    fn name(self) -> String {
        match self.tool {
            "4.9.8" => format!("java-{}", self.servers),
            tool => format!("java-{}-by-{tool}", self.servers),
        }
    }
}

/// Lines that are otherwise on purpose: how [`Beside::name`] goes on behind `java-`, command, a part of a line of Java's or ours, and why.
const OTHERWISE: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "updateTopic",
        "No config item",
        "Java's prints the stack of a key that is not there yet, and goes on",
    ),
    (
        "",
        "updateTopic",
        "For more information",
        "the stack's second line",
    ),
    (
        "",
        "allocateMQ",
        "\"result\"",
        "Java's gives the queues out in the order of a hash table, ours by number",
    ),
    (
        "5.3.3",
        "clusterList",
        "NullPointerException",
        "4.9's tool does not find getTransferredTps, as 5.x spells it, and goes on",
    ),
    (
        "5.3.3",
        "exportConfigs",
        "",
        "4.9's tool ends in an error at a setting that 5.x has not",
    ),
    (
        "5.3.3",
        "exportMetrics",
        "",
        "4.9's tool ends in an error at what 5.x spells otherwise",
    ),
    (
        "5.3.3",
        "queryMsgById",
        "For more information",
        "of an exception's text",
    ),
    (
        "5.3.3",
        "queryMsgByUniqueKey",
        "For more information",
        "of an exception's text",
    ),
    (
        "5.3.3",
        "queryMsgByOffset",
        "For more information",
        "of an exception's text",
    ),
    (
        "5.3.3-by-5.3.3",
        "updateTopic",
        "TopicConfig [",
        "it has the attributes",
    ),
    (
        "5.3.3-by-5.3.3",
        "updateTopic",
        "create topic to",
        "in a line of its own",
    ),
    (
        "5.3.3-by-5.3.3",
        "updateTopic",
        "set broker orderConf",
        "in a line of its own",
    ),
    (
        "5.3.3-by-5.3.3",
        "updateTopicPerm",
        "TopicConfig [",
        "it has the attributes",
    ),
    (
        "5.3.3-by-5.3.3",
        "topicRoute",
        "\"cluster\"",
        "a comma, where something follows",
    ),
    (
        "5.3.3-by-5.3.3",
        "topicRoute",
        "enableActingMaster",
        "of a feature that is not here",
    ),
    ("5.3.3-by-5.3.3", "topicStatus", "Topic Put TPS", "in JSON"),
    (
        "5.3.3-by-5.3.3",
        "updateSubGroup",
        "SubscriptionGroupConfig",
        "more fields, in another form",
    ),
    (
        "5.3.3-by-5.3.3",
        "getConsumerConfig",
        "attributes",
        "a field of 5.x",
    ),
    (
        "5.3.3-by-5.3.3",
        "getConsumerConfig",
        "consumeMessageOrderly",
        "a field of 5.x",
    ),
    (
        "5.3.3-by-5.3.3",
        "getConsumerConfig",
        "consumeTimeoutMinute",
        "a field of 5.x",
    ),
    (
        "5.3.3-by-5.3.3",
        "getConsumerConfig",
        "groupRetryPolicy",
        "a field of 5.x",
    ),
    (
        "5.3.3-by-5.3.3",
        "getConsumerConfig",
        "groupSysFlag",
        "a field of 5.x",
    ),
    (
        "5.3.3-by-5.3.3",
        "getConsumerConfig",
        "subscriptionDataSet",
        "a field of 5.x",
    ),
    (
        "5.3.3-by-5.3.3",
        "clusterList",
        "",
        "columns for timers and whether a broker is active: in JSON",
    ),
    (
        "5.3.3-by-5.3.3",
        "queryMsgById",
        "MessageTrack [",
        "each in a line of its own",
    ),
    (
        "5.3.3-by-5.3.3",
        "queryMsgByOffset",
        "MessageTrack [",
        "each in a line of its own",
    ),
    (
        "5.3.3-by-5.3.3",
        "consumerProgress",
        "",
        "a column of what is inflight, and its total: in JSON",
    ),
    (
        "5.3.3-by-5.3.3",
        "resetOffsetByTime",
        "consumer offset by specified",
        "other words",
    ),
    (
        "5.3.3-by-5.3.3",
        "wipeWritePerm",
        "OK, ",
        "how many topics there are by then",
    ),
    (
        "5.3.3-by-5.3.3",
        "addWritePerm",
        "OK, ",
        "how many topics there are by then",
    ),
    (
        "5.3.3-by-5.3.3",
        "topicList",
        "%RETRY%",
        "retry topics of the groups that Java's tool reads with",
    ),
];

/// Commands that ours refuses, and why.
const REFUSED: &[(&str, &str)] = &[(
    "exportMetadata -b B -f DIR",
    "Java's writes nothing then, says nothing and succeeds",
)];

type Said = BTreeSet<String>;

/// Where what Java's tool printed is kept.
fn golden(beside: Beside) -> PathBuf {
    repository().join(format!("tests/golden/mqadmin/{}.txt", beside.name()))
}

/// What Java's tool printed, by command.
fn javas(beside: Beside) -> BTreeMap<String, Said> {
    if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        write(beside);
    }
    let text = fs::read_to_string(golden(beside)).unwrap();
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    let mut command = String::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(name) => {
                command = name.to_owned();
                said.entry(command.clone()).or_default();
            }
            None => {
                said.entry(command.clone()).or_default().insert(line.to_owned());
            }
        }
    }
    said
}

fn write(beside: Beside) {
    let java = Flavour::Java(beside.servers);
    let scene = Scene::new(java);
    let said = scene.run(beside.tool);
    scene.end();
    let mut text = String::new();
    for (number, (step, lines)) in STEPS.iter().zip(said).enumerate() {
        text += &format!("$ {}\n", name(number, step));
        for line in normal(comparable(&lines, step.1)) {
            text += &format!("{line}\n");
        }
    }
    fs::create_dir_all(golden(beside).parent().unwrap()).unwrap();
    fs::write(golden(beside), text).unwrap();
}

/// Lines without what is chance: the order of properties, which is that of a hash table, how long something took, and the words of a
/// reason.
fn normal(lines: BTreeSet<String>) -> Said {
    lines
        .into_iter()
        .map(|line| {
            let line = within(&line, "roperties={", "}", sorted);
            let line = within(&line, "Properties: {", "}", sorted);
            let line = within(&line, "spentTimeMills=", "]", |_| "N".to_owned());
            // A reason may go on in the next line.
            let line = line.replace("exceptionDesc=null]", "exceptionDesc=none]");
            match line
                .split_once("exceptionDesc=org.apache")
                .or(line.split_once("exceptionDesc=no route"))
            {
                Some((before, _)) => format!("{before}exceptionDesc=WHY"),
                None => line,
            }
        })
        .collect()
}

/// The line with another text between these two.
fn within(line: &str, from: &str, to: &str, change: impl Fn(&str) -> String) -> String {
    let parts = line.split_once(from).and_then(|(before, rest)| {
        let (inner, after) = rest.split_once(to)?;
        Some((before, inner, after))
    });
    match parts {
        Some((before, inner, after)) => format!("{before}{from}{}{to}{after}", change(inner)),
        None => line.to_owned(),
    }
}

fn sorted(pairs: &str) -> String {
    let mut pairs: Vec<&str> = pairs.split(", ").collect();
    pairs.sort_unstable();
    pairs.join(", ")
}

/// Some commands are there twice.
fn name(number: usize, step: &Step) -> String {
    format!("{number:02} {}", step.0.join(" "))
}

/// Where ours says something else of such servers than Java's of its own.
fn differences(flavour: Flavour, beside: Beside) -> Vec<String> {
    let javas = javas(beside);
    let name_of = beside.name();
    let release = name_of.trim_start_matches("java-");
    let is_ours = flavour == Flavour::Ours;
    let scene = Scene::new(flavour);
    scene.wait_for_retry_offset();
    let tools = Tools::new(&scene.cluster.namesrv.address(), scene.cluster.path());
    let members = tools.json("consumerConnection -g readers");
    let client_id = members[0]["clientId"].as_str().unwrap().to_owned();
    let mut differences = Vec::new();
    for (number, step) in STEPS.iter().enumerate() {
        let words = scene.words("4.9.8", &client_id, step);
        let namesrv = scene.cluster.namesrv.address();
        let words = words.iter().map(String::as_str).chain(["-n", &namesrv]);
        let words: Vec<&str> = words.collect();
        let output = tools.command(&words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complaint) = (text(&output.stdout), text(&output.stderr));
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let name = name(number, step);
        let is_compared = |line: &String| {
            let is_otherwise = |(of, command, part, _): &(&str, &str, &str, &str)| {
                (of.is_empty() || *of == release) && *command == step.0[0] && line.contains(part)
            };
            let is_of_java = is_ours && SETTINGS_OF_JAVA.contains(&line.as_str());
            !(is_of_java || OTHERWISE.iter().any(is_otherwise))
        };
        let ours = normal(comparable(&scene.hide(&lines, &client_id), step.1));
        let ours: Said = ours.into_iter().filter(is_compared).collect();
        let java: Said = javas[&name]
            .iter()
            .filter(|line| is_compared(line))
            .cloned()
            .collect();
        let is_error = java.iter().any(|line| line.contains("Exception"));
        let is_refused = REFUSED.iter().any(|(command, _)| *command == step.0.join(" "));
        if is_error || is_refused {
            // One sentence in place of a stack, and an exit code that says so.
            if output.status.code() != Some(1) || complaint.lines().count() != 1 {
                differences.push(format!(
                    "{name}\n  Java: {java:#?}\n  ours: {} {complaint}{said}",
                    output.status
                ));
            }
            continue;
        }
        let missing: Vec<_> = java.difference(&ours).collect();
        let more: Vec<_> = match step.1 {
            By::Names => Vec::new(),
            _ => ours.difference(&java).collect(),
        };
        if !(output.status.success() && missing.is_empty() && more.is_empty()) {
            differences.push(format!(
                "{name}: {} {complaint}\n  Java alone: {missing:#?}\n  ours alone: {more:#?}",
                output.status
            ));
        }
    }
    scene.end();
    differences
}

fn compare(flavour: Flavour, beside: Beside) {
    let differences = differences(flavour, beside);
    assert!(
        differences.is_empty(),
        "{} of {}:\n{}",
        differences.len(),
        STEPS.len(),
        differences.join("\n")
    );
}

#[test]
fn ours_of_ours() {
    compare(Flavour::Ours, Beside::of("4.9.8", "4.9.7"));
}

#[test]
fn ours_of_java_4() {
    compare(Flavour::Java("4.9.7"), Beside::of("4.9.8", "4.9.7"));
}

#[test]
fn ours_of_java_5() {
    compare(Flavour::Java("5.3.3"), Beside::of("4.9.8", "5.3.3"));
}

/// What 5.3.3's tool has besides, docs/mqadmin.md lists.
#[test]
fn ours_of_java_5_beside_5s_tool() {
    compare(Flavour::Java("5.3.3"), Beside::of("5.3.3", "5.3.3"));
}
