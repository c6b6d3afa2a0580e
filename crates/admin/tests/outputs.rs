//! What commands print of servers that know their answers by heart, beside what Java's tools have printed of the same ones.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start programs and fail by panicking"
)]

mod canned;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CASES: &str = include_str!("golden/cases.txt");

/// A line of the cases: name, whether the order of lines is Java's chance, words.
fn cases() -> impl Iterator<Item = (String, bool, Vec<String>)> {
    CASES.lines().map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next().unwrap();
        let name = name.trim_start_matches("5:").to_owned();
        (
            name.trim_end_matches('~').to_owned(),
            name.ends_with('~'),
            words.collect(),
        )
    })
}

fn mqadmin(port: u16, words: &[String], more: &[&str]) -> Output {
    let port = port.to_string();
    Command::new(env!("CARGO_BIN_EXE_mqadmin"))
        .args(words.iter().map(|word| word.replace("PORT", &port)))
        .args(["-n", &format!("127.0.0.1:{port}")])
        .args(more)
        .env("TZ", "UTC")
        .env_remove("ROCKETMQ_HOME")
        .env_remove("JAVA_OPT")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Lines in their order, or in that of the alphabet where Java has none.
fn lines(text: &str, any_order: bool) -> Vec<String> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if any_order {
        // Commas of JSON go with the order.
        lines
            .iter_mut()
            .for_each(|line| *line = line.trim_end_matches(',').to_owned());
        lines.sort();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_what_javas_print() {
    let servers = canned::Canned::start(0, "").unwrap();
    let port = servers.port;
    let differences = tokio::task::spawn_blocking(move || {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut differences = Vec::new();
        for (name, any_order, words) in cases() {
            let output = mqadmin(port, &words, &[]);
            let said = String::from_utf8(output.stdout)
                .unwrap()
                .replace(&port.to_string(), "10911");
            let java = std::fs::read_to_string(golden.join(format!("{name}.txt"))).unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            if lines(&said, any_order) != lines(&java, any_order)
                || !output.status.success()
                || !complaint.is_empty()
            {
                differences.push(format!(
                    "{name}: {}\n{complaint}\n-- ours\n{said}\n-- Java\n{java}",
                    output.status
                ));
            }
        }
        differences
    });
    let differences = differences.await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    servers.stop().await;
}

/// Commands whose listings other tests ask as JSON: `mqadmin_commands`, `mqadmin_search` and `mqadmin_doctor` of the end-to-end tests, and
/// the crate's own; and those that list nothing.
const JSON_ELSEWHERE: &[&str] = &[
    "allocateMQ",
    "checkMsgSendRT",
    "checkStore",
    "clusterRT",
    "doctor",
    "explainAcl",
    "queryMsgById",
    "queryMsgTraceById",
    "resumeCheckHalfMessage",
    "searchMsg",
    "sendMessage",
    "sendMsgStatus",
    "startMonitoring",
    "tail",
    "updateAclConfig",
    "updateSubGroupList",
    "updateTopicList",
    // Texts and files.
    "completion",
    "exportConfigs",
    "exportMetadata",
    "exportMetrics",
    "manual",
];

/// Every line is an object, and none of its names is empty. No command is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn commands_print_json() {
    let servers = canned::Canned::start(0, "").unwrap();
    let port = servers.port;
    tokio::task::spawn_blocking(move || {
        let mut seen = BTreeSet::new();
        for (name, _, words) in cases() {
            let output = mqadmin(port, &words, &["--json"]);
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{name}");
            for line in said.lines() {
                let value: serde_json::Value =
                    serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}: {e}: {line}"));
                let object = value.as_object().unwrap_or_else(|| panic!("{name}: {line}"));
                assert!(
                    object
                        .keys()
                        .all(|key| !key.is_empty() && !key.contains([' ', '#'])),
                    "{name}: {line}"
                );
            }
            // A group that is not there, and a time after all messages.
            let is_nothing = ["getConsumerConfig-unknown", "printMsg-d"].contains(&name.as_str());
            assert_eq!(said.is_empty(), is_nothing, "{name}");
            seen.insert(words[0].clone());
        }
        let help = Command::new(env!("CARGO_BIN_EXE_mqadmin"))
            .arg("help")
            .output()
            .unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let names = help.lines().filter_map(|line| line.strip_prefix("   "));
        let names = names.filter_map(|line| line.split(' ').next().filter(|name| !name.is_empty()));
        let forgotten: Vec<&str> = names
            .filter(|name| !seen.contains(*name) && !JSON_ELSEWHERE.contains(name))
            .collect();
        assert!(forgotten.is_empty() && seen.len() > 50, "{forgotten:?}");
    })
    .await
    .unwrap();
    servers.stop().await;
}

/// One broker that is away is named, what the other tells is shown, and the exit code says that something is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_named() {
    let servers = canned::Canned::start(0, "").unwrap();
    let port = servers.port;
    tokio::task::spawn_blocking(move || {
        let status = |topic: &str| {
            let output = mqadmin(port, &["topicStatus", "-t", topic].map(str::to_owned), &[]);
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        let away = "can not connect to 127.0.0.1:1: Connection refused (os error 111)\n";
        let (code, said, complaint) = status("Half");
        assert_eq!((code, complaint.as_str()), (Some(1), away));
        assert_eq!(said.lines().count(), 3, "{said}");
        let (code, said, complaint) = status("Gone");
        assert_eq!((code, said.as_str(), complaint.as_str()), (Some(1), "", away));
    })
    .await
    .unwrap();
    servers.stop().await;
}

/// A name server that is away is passed over where one is enough; what each has to be told ends at it.
#[tokio::test(flavor = "multi_thread")]
async fn several_name_servers() {
    let servers = canned::Canned::start(0, "").unwrap();
    let port = servers.port;
    tokio::task::spawn_blocking(move || {
        let run = |line: &str, namesrv: String| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mqadmin"));
            command
                .args(line.split(' '))
                .env("NAMESRV_ADDR", namesrv)
                .env_remove("ROCKETMQ_HOME");
            let output = command.stdin(Stdio::null()).output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        let one_away = format!("127.0.0.1:1;127.0.0.1:{port}");
        let (code, said, complaint) = run("topicClusterList -t Stock", one_away.clone());
        assert_eq!(
            (code, said.as_str(), complaint.as_str()),
            (Some(0), "DefaultCluster\n", "")
        );
        let (code, said, complaint) = run("updateKvConfig -s S -k k -v v", one_away.clone());
        assert_eq!((code, said.as_str()), (Some(1), ""));
        assert!(complaint.contains("127.0.0.1:1: "), "{complaint}");
        let (code, said, complaint) = run("wipeWritePerm -b broker-a", one_away);
        assert_eq!(code, Some(1), "{complaint}");
        assert!(
            said.contains("127.0.0.1:1] Failed\n") && said.contains(" OK, 13\n"),
            "{said}"
        );
        let both = format!("127.0.0.1:{port};127.0.0.2:{port}");
        let (code, said, _) = run("addWritePerm -b broker-a", both);
        assert_eq!((code, said.matches(" OK, 14\n").count()), (Some(0), 2), "{said}");
    })
    .await
    .unwrap();
    servers.stop().await;
}

/// Files that Java's exportMetadata, exportConfigs and exportMetrics have written, and the options that they were given.
const EXPORTS: [(&str, &str); 6] = [
    ("topic", "exportMetadata -b 127.0.0.1:PORT -t"),
    ("topic-special", "exportMetadata -b 127.0.0.1:PORT -t -s"),
    ("subscriptionGroup", "exportMetadata -b 127.0.0.1:PORT -g"),
    ("metadata", "exportMetadata -c DefaultCluster"),
    ("configs", "exportConfigs -c DefaultCluster"),
    ("metrics", "exportMetrics -c DefaultCluster"),
];

#[tokio::test(flavor = "multi_thread")]
async fn files_have_what_javas_have() {
    let servers = canned::Canned::start(0, "").unwrap();
    let port = servers.port;
    tokio::task::spawn_blocking(move || {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        for (name, line) in EXPORTS {
            let folder = tempfile::tempdir().unwrap();
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            words.extend(["-f".to_owned(), folder.path().display().to_string()]);
            let output = mqadmin(port, &words, &[]);
            assert!(output.status.success(), "{name}");
            let file = name.trim_end_matches("-special");
            let ours = folder.path().join(format!("{file}.json"));
            let said = format!("export {} success", ours.display());
            assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), said);
            let [ours, java] = [ours, golden.join(format!("export-{name}.json"))].map(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
                let object = value.as_object_mut().unwrap();
                // A time, and a field that 4.9's tool does not know.
                object.remove("exportTime");
                if let Some(version) = object.get_mut("dataVersion") {
                    version.as_object_mut().unwrap().remove("stateVersion");
                }
                value
            });
            // Each tool says its own version.
            let ours = ours
                .to_string()
                .replace("\"rocketmqVersion\":\"V4_9_8\"", "\"rocketmqVersion\":\"V4_9_7\"");
            assert_eq!(ours, java.to_string(), "{name}");
        }
    })
    .await
    .unwrap();
    servers.stop().await;
}
