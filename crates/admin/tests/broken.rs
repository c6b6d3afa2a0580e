//! Servers that break off: at once, in the middle of an answer, with half a body, with what is no frame. Every command ends soon, with
//! one sentence for each server and exit code 1.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start programs and fail by panicking"
)]

mod canned;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const CASES: &str = include_str!("golden/cases.txt");

/// How a server breaks off.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It takes the request and closes.
    Closes,
    /// It says how long its answer is, sends a part of it, and closes.
    HalfAFrame,
    /// The answer is whole, its body is not.
    HalfABody,
    /// It speaks something else.
    NoFrame,
}

/// A server on a port of 127.0.0.1 and 127.0.0.3 that breaks off so, for as long as the process lives.
fn broken(way: Way) -> u16 {
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = first.local_addr().unwrap().port();
    for listener in [first, TcpListener::bind(("127.0.0.3", port)).unwrap()] {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || serve(stream.unwrap(), way));
            }
        });
    }
    port
}

fn serve(mut stream: TcpStream, way: Way) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        if stream.read_exact(&mut request).is_err() {
            return;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let opaque: String = text
            .split_once("\"opaque\":")
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect())
            .unwrap_or_default();
        let header = format!(r#"{{"code":0,"flag":1,"language":"JAVA","opaque":{opaque},"version":401}}"#);
        let body = br#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0"#;
        let mut answer = Vec::new();
        answer.extend((4 + header.len() as u32 + body.len() as u32).to_be_bytes());
        answer.extend((header.len() as u32).to_be_bytes());
        answer.extend(header.as_bytes());
        answer.extend(body);
        // Who is gone does not hear it.
        let _ = match way {
            Way::Closes => return,
            Way::HalfAFrame => {
                let _ = stream.write_all(&answer[..answer.len() - 9]);
                return;
            }
            Way::HalfABody => stream.write_all(&answer),
            Way::NoFrame => {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                return;
            }
        };
    }
}

fn mqadmin(words: &[String], port: u16, namesrv: u16) -> (Output, Duration) {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_mqadmin"))
        .args(words.iter().map(|word| word.replace("PORT", &port.to_string())))
        .args(["-n", &format!("127.0.0.1:{namesrv}")])
        .env_remove("ROCKETMQ_HOME")
        .env_remove("JAVA_OPT")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output, started.elapsed())
}

/// The words of every case, but for those that would run on.
fn cases() -> impl Iterator<Item = (String, Vec<String>)> {
    CASES.lines().map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        (words.next().unwrap(), words.collect())
    })
}

/// What is wrong with how a command ended, if something is.
fn complaint(name: &str, way: Way, (output, took): &(Output, Duration)) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complaint) = (text(&output.stdout), text(&output.stderr));
    let is_clear = complaint.contains("127.0.0.") && !complaint.contains("panicked");
    let is_short = (1..=3).contains(&complaint.lines().count());
    let is_right = output.status.code() == Some(1) && is_clear && is_short && *took < Duration::from_secs(10);
    (!is_right).then(|| {
        format!(
            "{name} {way:?}: {} after {took:?}\n{complaint}\n{said}",
            output.status
        )
    })
}

const WAYS: [Way; 4] = [Way::Closes, Way::HalfAFrame, Way::HalfABody, Way::NoFrame];

#[test]
fn name_servers_that_break_off() {
    let mut wrong = Vec::new();
    for way in WAYS {
        let port = broken(way);
        for (name, words) in cases() {
            // What a broker is asked for, and writes, needs no name server.
            if words.iter().any(|word| word.contains("PORT")) {
                continue;
            }
            let ended = mqadmin(&words, port, port);
            let has_told_each = ["wipeWritePerm", "addWritePerm"].contains(&words[0].as_str());
            // Where all that is wanted is that a server does something, an answer's body is not looked at.
            let looks_not = matches!(way, Way::HalfABody)
                && [
                    "updateKvConfig",
                    "deleteKvConfig",
                    "updateNamesrvConfig",
                    "updateOrderConf",
                ]
                .contains(&words[0].as_str());
            if looks_not || matches!(way, Way::HalfABody) && words[0] == "getNamesrvConfig" {
                continue;
            }
            wrong
                .extend(complaint(&name, way, &ended).filter(|_| !has_told_each || ended.0.status.success()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The name server is well, and knows brokers that are not.
#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_break_off() {
    for way in WAYS {
        let port = broken(way);
        let group = |name: &str, host: &str| {
            format!(
                r#"{{"brokerAddrs":{{0:"{host}:{port}"}},"brokerName":"{name}","cluster":"DefaultCluster","enableActingMaster":false}}"#
            )
        };
        let (a, b) = (group("broker-a", "127.0.0.1"), group("broker-b", "127.0.0.3"));
        let queues =
            r#"{"brokerName":"broker-a","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":2}"#;
        let answers = format!(
            "106\n{{\"brokerAddrTable\":{{\"broker-a\":{a},\"broker-b\":{b}}},\"clusterAddrTable\":{{\"DefaultCluster\":[\"broker-a\",\"broker-b\"]}}}}\n\
             105\n{{\"brokerDatas\":[{a},{b}],\"filterServerTable\":{{}},\"queueDatas\":[{queues}]}}\n"
        );
        let servers = canned::Canned::start(0, answers.leak()).unwrap();
        let namesrv = servers.port;
        let wrong = tokio::task::spawn_blocking(move || {
            let asks_brokers = |words: &[String]| {
                let of_namesrv = [
                    "topicRoute",
                    "topicClusterList",
                    "topicList",
                    "updateOrderConf",
                    "allocateMQ",
                    "getNamesrvConfig",
                    "updateNamesrvConfig",
                    "updateKvConfig",
                    "deleteKvConfig",
                    "wipeWritePerm",
                    "addWritePerm",
                ];
                !of_namesrv.contains(&words[0].as_str())
            };
            // With half a body only what reads one is in trouble.
            let reads = |words: &[String]| {
                let name = words[0].as_str();
                [
                    "topicStatus",
                    "clusterList",
                    "brokerStatus",
                    "consumerConnection",
                    "producerConnection",
                    "producer",
                    "getConsumerConfig",
                    "brokerConsumeStats",
                    "queryCq",
                    "haStatus",
                ]
                .contains(&name)
            };
            let mut wrong = Vec::new();
            for (name, words) in cases().filter(|(_, words)| asks_brokers(words)) {
                // What is so already needs no broker.
                if name == "updateTopicPerm-same" {
                    continue;
                }
                if matches!(way, Way::HalfABody) && !reads(&words) {
                    continue;
                }
                let ended = mqadmin(&words, port, namesrv);
                wrong.extend(complaint(&name, way, &ended));
            }
            wrong
        });
        let wrong = wrong.await.unwrap();
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        servers.stop().await;
    }
}
