//! doctor and brokers that tell of members that are not as they should be: what can not be made with real ones in a moment.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start programs and fail by panicking"
)]

mod canned;

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// A member that wants this of Stock, and has queue 1 of broker-a since 2023 without consuming of it.
fn member(id: &str, expression: &str, queue: &str) -> String {
    let queue = match queue {
        "" => String::new(),
        id => format!(
            r#"{{"brokerName":"broker-a","queueId":{id},"topic":"Stock"}}:{{"cachedMsgCount":3,"lastConsumeTimestamp":1700000000123}}"#
        ),
    };
    format!(
        "307 {id}\n{{\"mqTable\":{{{queue}}},\"properties\":{{\"PROP_CONSUME_TYPE\":\"CONSUME_PASSIVELY\"}},\
         \"subscriptionSet\":[{{\"subString\":\"{expression}\",\"topic\":\"Stock\"}}]}}\n"
    )
}

/// A broker that has started so many seconds after now.
fn status(host: &str, seconds: i64, more: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    format!(
        "28 {host}\n{{\"table\":{{\"bootTimestamp\":\"{}\",\"runtime\":\"[ 0 days, 0 hours, 1 minutes, 0 seconds ]\",\
         \"brokerVersionDesc\":\"V4_9_7\"{more}}}}}\n",
        now + (seconds - 60) * 1000
    )
}

/// What it finds of servers that answer so: places by checks.
async fn found(answers: String) -> BTreeMap<String, String> {
    let servers = canned::Canned::start(0, answers.leak()).unwrap();
    let port = servers.port;
    let told = tokio::task::spawn_blocking(move || {
        let output = Command::new(env!("CARGO_BIN_EXE_mqadmin"))
            .args(["doctor", "-w", "0", "--json", "-n"])
            .arg(format!("127.0.0.1:{port}"))
            .env_remove("ROCKETMQ_HOME")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let findings = said
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        findings
            .filter_map(|finding| {
                let (place, what) = (text(&finding["place"])?, text(&finding["finding"])?);
                let what = format!("{place}: {what}").replace(&port.to_string(), "PORT");
                Some((text(&finding["check"])?, what))
            })
            .collect()
    });
    let told = told.await.unwrap();
    servers.stop().await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn members_clocks_and_disks() {
    let client = r#"{"clientAddr":"127.0.0.9:53012","clientId":"ID","language":"JAVA","version":409}"#;
    let [x, y] = ["x@1", "y@1"].map(|id| client.replace("ID", id));
    let answers = [
        format!(
            "203\n{{\"connectionSet\":[{x},{y}],\"consumeType\":\"CONSUME_PASSIVELY\",\"messageModel\":\"CLUSTERING\",\
             \"subscriptionTable\":{{\"Stock\":{{\"subString\":\"*\",\"topic\":\"Stock\"}}}}}}\n"
        ),
        member("x@1", "*", "1"),
        member("y@1", "Paid", ""),
        status("127.0.0.1", 0, ""),
        status("127.0.0.2", 0, r#","commitLogMaxOffset":"7""#),
        status("127.0.0.3", -100, r#","commitLogDiskRatio":"0.97""#).replace("V4_9_7", "V5_3_3"),
    ];
    let found = found(answers.concat()).await;
    for (check, part) in [
        (
            "subscriptionsDiffer",
            "group readers: its members subscribe differently, and miss messages: x@1 want Stock:*; y@1 want Stock:Paid",
        ),
        (
            "queueWithoutOwner",
            "MessageQueue [topic=Stock, brokerName=broker-a, queueId=0], MessageQueue",
        ),
        ("clockApart", "broker-b (id 0) at 127.0.0.3:PORT: its clock is "),
        (
            "consumerStuck",
            "x@1 MessageQueue [topic=Stock, brokerName=broker-a, queueId=1] can't consume",
        ),
        (
            "diskFull",
            "broker-b (id 0) at 127.0.0.3:PORT: its disk is 97 % full",
        ),
        (
            "versionsMixed",
            "V4_9_7 at 127.0.0.1:PORT, 127.0.0.2:PORT; V5_3_3 at 127.0.0.3:PORT",
        ),
    ] {
        let what = found
            .get(check)
            .unwrap_or_else(|| panic!("no {check}: {found:#?}"));
        assert!(what.contains(part), "{what}");
    }
    let same = [
        answers[0].clone(),
        member("x@1", "*", "1"),
        member("y@1", "*", "0"),
    ];
    let found = self::found(same.concat()).await;
    assert!(!found.contains_key("subscriptionsDiffer"), "{found:#?}");
}
