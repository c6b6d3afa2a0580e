//! Holes that RocketMQ had and these servers must not have, each by its number. (2023-37582 is the name server's.)

use protocol::code::{request, response};
use protocol::header::Short;
use settings::Section;

use crate::fixture::*;

/// Everything below a folder, but what the broker itself keeps there.
fn files(dir: &std::path::Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => all.push(path.strip_prefix(dir).unwrap().display().to_string()),
            }
        }
    }
    all.sort();
    all
}

/// CVE-2019-17572: a send to a topic whose name is a path makes folders where that leads.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_no_paths() {
    let fixture = Fixture::new(|_| {}).await;
    let outside = |dir: &std::path::Path| -> Vec<String> {
        files(dir)
            .into_iter()
            .filter(|file| !file.starts_with("store/"))
            .collect()
    };
    let before = outside(fixture.dir.path());
    for name in [
        "../../../evil",
        "..",
        "a/b",
        "/tmp/evil",
        "a\\..\\b",
        ".",
        "a\u{0}b",
        "%RETRY%../../evil",
    ] {
        let send = fixture.send(&to(name, 0, ""), b"x").await;
        assert_ne!(send.code, response::SUCCESS, "{name:?}");
        let fields = [
            ("topic", name),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "1"),
            ("writeQueueNums", "1"),
        ];
        let more = [
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("order", "false"),
        ];
        let fields: Vec<(&str, &str)> = [&fields[..], &more].concat();
        let made = fixture
            .ask(request::UPDATE_AND_CREATE_TOPIC, &fields.as_slice(), "")
            .await;
        assert_ne!(made.code, response::SUCCESS, "{name:?}");
        let group = serde_json::json!({ "groupName": name }).to_string();
        let made = fixture
            .ask(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group)
            .await;
        assert_ne!(made.code, response::SUCCESS, "{name:?}");
    }
    assert_eq!(outside(fixture.dir.path()), before);
    let queues = fixture.dir.path().join("store/consumequeue");
    let made = if queues.exists() {
        files(&queues)
    } else {
        Vec::new()
    };
    assert!(!made.iter().any(|file| file.contains("evil")), "{made:?}");
    fixture.stop().await;
}

/// CVE-2023-33246: settings that are sent become part of a command line.
#[tokio::test(flavor = "multi_thread")]
async fn settings_are_no_commands() {
    let fixture = Fixture::new(|_| {}).await;
    let proof = fixture.dir.path().join("proof");
    let touch = format!("touch {}", proof.display());
    for text in [
        format!("rocketmqHome=-c $@|sh . echo {touch};\nfilterServerNums=1\n"),
        format!("rocketmqHome=$({touch})\nfilterServerNums=1\n"),
        format!("namesrvAddr=127.0.0.1:1;$({touch})\n"),
        format!("brokerConfigPath=`{touch}`\nfilterServerNums=1\n"),
    ] {
        let _whatever = fixture.ask(request::UPDATE_BROKER_CONFIG, &(), text).await;
    }
    // It still serves, and nothing was run: nothing here runs anything.
    assert_eq!(
        fixture.send(&to("Topic", 0, ""), b"x").await.code,
        response::SUCCESS
    );
    fixture.stop().await;
    assert!(!proof.exists());
}

/// CVE-2023-33246's second way: a store or a file of settings that is moved by a request.
#[tokio::test(flavor = "multi_thread")]
async fn settings_move_no_file_to_where_a_request_says() {
    let fixture = Fixture::new(|_| {}).await;
    let elsewhere = fixture.dir.path().join("elsewhere");
    for key in ["brokerConfigPath", "configBlackList"] {
        let text = format!("{key}={}", elsewhere.display());
        let refused = fixture.ask(request::UPDATE_BROKER_CONFIG, &(), text).await;
        assert_ne!(refused.code, response::SUCCESS, "{key}");
    }
    let dir = fixture.stop().await;
    assert!(!elsewhere.exists());
    drop(dir);
}

/// CVE-2024-23321: an answer about settings, logs, statistics has secrets in it.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_answer() {
    const SECRETS: [&str; 3] = ["rootsecret", "innersecret", "keysecret"];
    let fixture = Fixture::new(|settings| {
        for (key, value) in [
            (
                "authenticationMetadataProvider",
                "org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider",
            ),
            (
                "initAuthenticationUser",
                r#"{"username":"root","password":"rootsecret"}"#,
            ),
            (
                "innerClientAuthenticationCredentials",
                r#"{"accessKey":"in","secretKey":"innersecret"}"#,
            ),
        ] {
            settings.auth.set(key, value).unwrap();
        }
        settings.tls.set("tls.server.keyPassword", "keysecret").unwrap();
    })
    .await;
    let users = [request::AUTH_GET_USER, request::AUTH_LIST_USER];
    let codes = cluster::request_codes();
    for code in codes
        .iter()
        .map(|code| code.code)
        .filter(|code| !users.contains(code))
    {
        let fields = [("username", "root")];
        let fields = fields.as_slice();
        let answer = fixture.ask(code, &fields, "");
        // Some wait for a peer that does not come.
        let Ok(answer) = tokio::time::timeout(WITHIN, answer).await else {
            panic!("{code} is not answered")
        };
        let said = format!("{:?} {}", answer, String::from_utf8_lossy(&answer.body));
        for secret in SECRETS {
            assert!(!said.contains(secret), "{code}: {said}");
        }
    }
    // Nor in the refusal of what would change them.
    let changes = "innerClientAuthenticationCredentials={\"accessKey\":\"innersecret\"}";
    let refused = fixture.ask(request::UPDATE_BROKER_CONFIG, &(), changes).await;
    assert!(!refused.remark.unwrap_or_default().contains("innersecret"));
    let send = fixture
        .ask(request::SEND_MESSAGE_V2, &Short(&to("Topic", 0, "")), "x")
        .await;
    assert_eq!(send.code, response::SUCCESS);
    fixture.stop().await;
}
