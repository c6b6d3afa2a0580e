//! Access control: ours beside Java's own broker, request by request; real clients with their hooks; Java's tools.

use crate::check::*;
use acl::Credentials;
use cluster::{Answer, Broker, Client, Event, Flavour, Language, NameServer, Wire, java_mqadmin};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ACCOUNTS: &str = "\
globalWhiteRemoteAddresses:
- 10.10.103.*
accounts:
- accessKey: RocketMQ
  secretKey: 12345678
  whiteRemoteAddress:
  admin: false
  defaultTopicPerm: DENY
  defaultGroupPerm: SUB
  topicPerms:
  - Allowed=PUB|SUB
  - ReadOnly=SUB
  - Denied=DENY
  groupPerms:
  - deniedgroup=DENY
- accessKey: adminuser
  secretKey: 12345678
  admin: true
";

const USER: [(&str, &str); 2] = [("access", "RocketMQ"), ("secret", "12345678")];

/// A name server and brokers with accounts.
struct Guarded {
    brokers: Vec<Broker>,
    namesrv: NameServer,
    dir: TempDir,
}

impl Guarded {
    fn new(flavours: &[(Flavour, &str)]) -> Guarded {
        let dir = tempfile::Builder::new()
            .prefix("rocketmq-e2e-")
            .tempdir()
            .unwrap();
        let namesrv = NameServer::start(Flavour::Ours, dir.path());
        let brokers = flavours
            .iter()
            .map(|(flavour, name)| {
                let conf = dir.path().join(name).join("conf");
                fs::create_dir_all(&conf).unwrap();
                fs::write(conf.join("plain_acl.yml"), ACCOUNTS).unwrap();
                let tuning = [("aclEnable", "true")];
                Broker::start(*flavour, dir.path(), name, &namesrv.address(), &tuning)
            })
            .collect();
        Guarded {
            brokers,
            namesrv,
            dir,
        }
    }

    fn client(&self, language: Language, command: &str, options: &[(&str, &str)]) -> Client {
        let namesrv = self.namesrv.address();
        let all = [&[("ns", namesrv.as_str())], options].concat();
        Client::start(language, self.dir.path(), command, &all)
    }

    fn accounts_file(&self, broker: &str) -> std::path::PathBuf {
        self.dir.path().join(broker).join("conf/plain_acl.yml")
    }
}

fn asked(
    broker: &Broker,
    who: Option<(&str, &str)>,
    code: i32,
    fields: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut fields = fields.to_vec();
    let more = who.map(|(key, secret)| Credentials::new(key, secret).sign(&fields, &[body.as_bytes()]));
    let more = more.unwrap_or_default();
    fields.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    let mut wire = Wire::connect(&broker.address()).unwrap();
    wire.ask(code, &fields, body.as_bytes()).unwrap()
}

/// Code and the text of a refusal: up to the line of Java's source, and up to the rule of ours.
fn told(answer: &Answer) -> (i64, String) {
    let remark = answer.remark();
    let refused = remark.starts_with("org.apache.rocketmq.acl.common.AclException: ");
    let end = [", org.apache.rocketmq.acl.plain", ", account "];
    let end = end
        .iter()
        .filter_map(|end| remark.find(end))
        .min()
        .unwrap_or(remark.len());
    match refused {
        true => (answer.code(), remark[..end].to_owned()),
        // What comes after the gate is not what is compared here.
        false => (0, String::new()),
    }
}

const HEARTBEAT: &str = r#"{"clientID":"c@1","producerDataSet":[{"groupName":"p"}],"consumerDataSet":[{"groupName":"GROUP",
    "consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",
    "subscriptionDataSet":[{"topic":"TOPIC","subString":"*","subVersion":5,"tagsSet":[],"codeSet":[]}]}]}"#;

/// Every kind of request, by an account that may and one that may not: the same code and the same text from both brokers.
#[test]
fn verdicts_are_javas() {
    let guarded = Guarded::new(&[(Flavour::Ours, "broker-a"), (Flavour::Java("4.9.7"), "broker-b")]);
    let [ours, java] = guarded.brokers.as_slice() else {
        panic!("two brokers")
    };
    let user = Some(("RocketMQ", "12345678"));
    let heartbeat = |group: &str, topic: &str| HEARTBEAT.replace("GROUP", group).replace("TOPIC", topic);
    let send = |topic: &'static str| {
        vec![
            ("a", "p"),
            ("b", topic),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", "0"),
            ("f", "0"),
            ("g", "1700000000000"),
            ("h", "0"),
            ("i", "KEYS\u{1}k1\u{2}TAGS\u{1}\u{4e2d}\u{2}"),
            ("j", "0"),
            ("k", "false"),
            ("m", "false"),
        ]
    };
    let long_send = |topic: &'static str| {
        vec![
            ("producerGroup", "p"),
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", "0"),
            ("sysFlag", "0"),
            ("bornTimestamp", "1700000000000"),
            ("flag", "0"),
        ]
    };
    let pull = |topic: &'static str, group: &'static str| {
        vec![
            ("consumerGroup", group),
            ("topic", topic),
            ("queueId", "0"),
            ("queueOffset", "0"),
            ("maxMsgNums", "1"),
            ("sysFlag", "0"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "0"),
            ("subscription", "*"),
            ("subVersion", "0"),
        ]
    };
    let offset = |topic: &'static str, group: &'static str| {
        vec![
            ("consumerGroup", group),
            ("topic", topic),
            ("queueId", "0"),
            ("commitOffset", "0"),
        ]
    };
    let group = |name: &'static str| vec![("consumerGroup", name), ("clientID", "c@1")];
    let query = |topic: &'static str| {
        vec![
            ("topic", topic),
            ("key", "k"),
            ("maxNum", "1"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "1"),
        ]
    };
    let back = |name: &'static str| {
        vec![
            ("offset", "0"),
            ("group", name),
            ("delayLevel", "0"),
            ("originTopic", "Allowed"),
        ]
    };
    let (allowed, denied) = (heartbeat("anygroup", "Allowed"), heartbeat("anygroup", "Denied"));
    let denied_group = heartbeat("deniedgroup", "Allowed");
    let mut refusals = 0;
    for (who, code, fields, body) in [
        (user, 310, send("Allowed"), "hello"),
        (user, 310, send("ReadOnly"), "hello"),
        (user, 310, send("Denied"), "hello"),
        (user, 310, send("Unlisted"), "hello"),
        (user, 310, send("RMQ_SYS_TRACE_TOPIC"), "hello"),
        (user, 10, long_send("Allowed"), "hello"),
        (user, 10, long_send("Denied"), "hello"),
        (None, 310, send("Allowed"), "hello"),
        (Some(("RocketMQ", "wrongsecret")), 310, send("Allowed"), "hello"),
        (Some(("stranger", "12345678")), 310, send("Allowed"), "hello"),
        (user, 11, pull("ReadOnly", "anygroup"), ""),
        (user, 11, pull("Denied", "anygroup"), ""),
        (user, 11, pull("ReadOnly", "deniedgroup"), ""),
        (user, 12, query("ReadOnly"), ""),
        (user, 12, query("Denied"), ""),
        (user, 15, offset("ReadOnly", "anygroup"), ""),
        (user, 15, offset("Denied", "anygroup"), ""),
        (user, 15, offset("ReadOnly", "deniedgroup"), ""),
        (user, 34, vec![], allowed.as_str()),
        (user, 34, vec![], denied.as_str()),
        (user, 34, vec![], denied_group.as_str()),
        (user, 35, group("deniedgroup"), ""),
        (user, 36, back("deniedgroup"), ""),
        (user, 38, group("anygroup"), ""),
        (user, 38, group("deniedgroup"), ""),
        (user, 30, vec![("topic", "Denied"), ("queueId", "0")], ""),
        (user, 14, offset("Denied", "deniedgroup"), ""),
        (user, 17, vec![("topic", "New")], ""),
        (user, 25, vec![], "maxMessageSize=65536"),
        (user, 200, vec![], "{}"),
        (user, 207, vec![("groupName", "g")], ""),
        (user, 215, vec![("topic", "Allowed")], ""),
        (user, 28, vec![], ""),
        (None, 28, vec![], ""),
        (Some(("adminuser", "12345678")), 310, send("Anything"), "hello"),
        (Some(("adminuser", "12345678")), 52, vec![], ""),
    ] {
        let [of_ours, of_java] = [ours, java].map(|broker| told(&asked(broker, who, code, &fields, body)));
        assert_eq!(of_ours, of_java, "{who:?} {code} {fields:?}");
        refusals += i32::from(of_java.0 != 0);
    }
    assert!(refusals > 20, "{refusals}");
}

/// What tools change, and what they are refused, code by code.
#[test]
fn changes_of_accounts_are_answered_as_java_answers_them() {
    let guarded = Guarded::new(&[(Flavour::Ours, "broker-a"), (Flavour::Java("4.9.7"), "broker-b")]);
    let admin = Some(("adminuser", "12345678"));
    let update = |key: &'static str, secret: &'static str, more: &[(&'static str, &'static str)]| {
        [
            &[("accessKey", key), ("secretKey", secret), ("admin", "false")],
            more,
        ]
        .concat()
    };
    let answers = |code, fields: &[(&str, &str)]| {
        guarded
            .brokers
            .iter()
            .map(|broker| {
                let answer = asked(broker, admin, code, fields, "");
                (answer.code(), answer.remark().to_owned())
            })
            .collect::<Vec<_>>()
    };
    for (code, fields) in [
        (
            50,
            update("newuser1", "secret99", &[("topicPerms", "topicX=PUB,topicY=SUB")]),
        ),
        (50, update("RocketMQ", "12345678", &[("defaultTopicPerm", "SUB")])),
        (50, update("newuser1", "secret99", &[("topicPerms", "topicX")])),
        (50, update("newuser1", "secret99", &[("groupPerms", "g=pub")])),
        (
            50,
            update("newuser1", "secret99", &[("whiteRemoteAddress", "1.2.3")]),
        ),
        (
            50,
            update("newuser1", "secret99", &[("whiteRemoteAddress", "192.168.1.5-2")]),
        ),
        (51, vec![("accessKey", "newuser1")]),
        (51, vec![("accessKey", "newuser1")]),
        (53, vec![("globalWhiteAddrs", "10.10.103.*,10.10.154.*")]),
        (
            53,
            vec![
                ("globalWhiteAddrs", "10.1.1.1"),
                ("aclFileFullPath", "/nowhere.yml"),
            ],
        ),
    ] {
        let answers = answers(code, &fields);
        assert_eq!(answers[0], answers[1], "{code} {fields:?}");
    }
    // All but the secret, which is not repeated.
    let [ours, java] = answers(50, &update("short", "secret99", &[])).try_into().unwrap();
    assert_eq!(ours.0, java.0);
    assert_eq!(ours.1, java.1.replace("secret99", "******"));
    // What is in the files is the same, but for the time of the change and how a `*` is quoted.
    let texts = ["broker-a", "broker-b"].map(|broker| {
        let text = fs::read_to_string(guarded.accounts_file(broker)).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.contains("timestamp"))
            .map(|line| line.replace(['\'', '"'], ""));
        lines.collect::<Vec<_>>().join("\n")
    });
    assert_eq!(texts[0], texts[1]);
    // Bodies and versions.
    let [configs, infos] = [54, 52].map(|code| {
        let answers: Vec<_> = guarded
            .brokers
            .iter()
            .map(|broker| asked(broker, admin, code, &[], ""))
            .collect();
        answers
    });
    assert_eq!(
        String::from_utf8_lossy(&configs[0].body),
        String::from_utf8_lossy(&configs[1].body)
    );
    let digits = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let version = |answer: &Answer| digits(answer.field("version").unwrap());
    assert_eq!(version(&infos[0]), version(&infos[1]));
    assert_eq!(infos[0].field("clusterName"), infos[1].field("clusterName"));
}

fn errors(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter(|event| event.event == "failed")
        .map(|event| event.error.clone())
        .collect()
}

/// Every failure says this.
fn all_say(events: &[Event], text: &str) {
    let errors = errors(events);
    assert!(
        !errors.is_empty() && errors.iter().all(|error| error.contains(text)),
        "{text}: {errors:?}"
    );
}

/// The unmodified clients with their hooks: what they may is done, what they may not is told as Java's broker tells it.
fn hooks(language: Language) {
    let guarded = Guarded::new(&[(Flavour::Ours, "broker-a")]);
    let send = |topic: &str, more: &[(&str, &str)]| {
        let options = [&[("topic", topic), ("count", "20"), ("keys", "k\u{e9}")], more].concat();
        guarded.client(language, "send", &options).finish(LONG)
    };
    let sent = send("Allowed", &USER);
    assert_eq!(of(&sent, "sent").len(), 20, "{:?}", errors(&sent));
    let batch = [USER[0], USER[1], ("mode", "batch"), ("batch", "10")];
    let sent = send("Allowed", &batch);
    assert_eq!(of(&sent, "sent").len(), 20, "{:?}", errors(&sent));
    all_say(&send("Denied", &USER), "No default permission for topic:Denied");
    all_say(&send("Denied", &batch), "No default permission for topic:Denied");
    let wrong = [("access", "RocketMQ"), ("secret", "87654321")];
    all_say(
        &send("Allowed", &wrong),
        "Check signature failed for accessKey=RocketMQ",
    );
    all_say(&send("Allowed", &[]), "No accessKey is configured");
    let consumer = guarded.client(
        language,
        "consume",
        &[USER[0], USER[1], ("topic", "Allowed"), ("group", "anygroup")],
    );
    consumer.wait_count("received", 40, LONG);
    consumer.stop();
}

#[test]
fn java_4_signs() {
    hooks(JAVA_4);
}

#[test]
fn java_5_signs() {
    hooks(JAVA_5);
}

#[test]
fn java_4_signs_binary_headers() {
    hooks(Language::JavaBinary("4.9.8"));
}

#[test]
fn go_signs() {
    hooks(Language::Go);
}

/// mqadmin of 4.9.8, with an admin's key in its `tools.yml`.
#[test]
fn javas_tools_change_accounts() {
    let guarded = Guarded::new(&[(Flavour::Ours, "broker-a")]);
    let conf = guarded.dir.path().join("conf");
    fs::create_dir_all(&conf).unwrap();
    let broker = guarded.brokers[0].address();
    let run =
        |arguments: &[&str]| java_mqadmin("4.9.8", guarded.dir.path(), &guarded.namesrv.address(), arguments);
    let update = [
        "updateAclConfig",
        "-b",
        &broker,
        "-a",
        "newuser1",
        "-s",
        "secret99",
        "-t",
        "Made=PUB",
    ];
    let refused = run(&update);
    assert!(refused.contains("No accessKey is configured"), "{refused}");
    fs::write(
        conf.join("tools.yml"),
        "accessKey: adminuser\nsecretKey: 12345678\n",
    )
    .unwrap();
    let made = run(&update);
    assert!(made.contains("create or update plain access config to"), "{made}");
    let new = Some(("newuser1", "secret99"));
    let send = [
        ("b", "Made"),
        ("a", "p"),
        ("e", "0"),
        ("g", "1"),
        ("f", "0"),
        ("c", "TBW102"),
        ("d", "1"),
    ];
    assert_eq!(asked(&guarded.brokers[0], new, 310, &send, "x").code(), 0);
    let version = run(&["clusterAclConfigVersion", "-b", &broker]);
    assert!(
        version.contains("plain_acl.yml") && version.contains("broker-a"),
        "{version}"
    );
    let white = run(&["updateGlobalWhiteAddr", "-b", &broker, "-g", "127.0.0.1"]);
    assert!(
        white.contains("update global white remote addresses to"),
        "{white}"
    );
    assert_eq!(asked(&guarded.brokers[0], None, 310, &send, "x").code(), 0);
    let deleted = run(&["deleteAclConfig", "-b", &broker, "-a", "newuser1"]);
    assert!(
        deleted.contains("delete plain access config account from"),
        "{deleted}"
    );
    let text = fs::read_to_string(guarded.accounts_file("broker-a")).unwrap();
    assert!(
        !text.contains("newuser1") && text.contains("Allowed=PUB|SUB"),
        "{text}"
    );
}

/// The file is written again and again while clients send: nobody who may is refused.
#[test]
fn accounts_change_under_load() {
    let guarded = Guarded::new(&[(Flavour::Ours, "broker-a")]);
    let options = [USER[0], USER[1], ("topic", "Allowed"), ("until", "stdin")];
    let producer = guarded.client(JAVA_4, "send", &options);
    producer.wait_count("sent", 100, LONG);
    let file = guarded.accounts_file("broker-a");
    let broker = &guarded.brokers[0];
    let send = [
        ("b", "Any"),
        ("a", "p"),
        ("e", "0"),
        ("g", "1"),
        ("f", "0"),
        ("c", "TBW102"),
        ("d", "1"),
    ];
    for round in 0..3 {
        let key = format!("lateruser{round}");
        let more = format!("{ACCOUNTS}- accessKey: {key}\n  secretKey: 12345678\n  defaultTopicPerm: PUB\n");
        replace(&file, &more);
        let who = Some((key.as_str(), "12345678"));
        let deadline = Instant::now() + LONG;
        // Nothing tells a client when a file is in force: it asks again.
        while asked(broker, who, 310, &send, "x").code() != 0 {
            assert!(Instant::now() < deadline, "{key}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let events = producer.stop();
    assert_eq!(errors(&events), Vec::<String>::new());
}

fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, file).unwrap();
}
