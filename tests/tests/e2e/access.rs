//! Access control: ours beside Java's own broker, request by request; real clients with their hooks; Java's tools.

use crate::check::*;
use crate::replication::eventually;
use acl::Credentials;
use cluster::{
    Answer, Broker, Client, Event, Flavour, Jvm, Language, NameServer, Wire, free_port, java_mqadmin,
    java_mqadmin_session, our_program,
};
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
        Guarded::tuned(flavours, &[])
    }

    fn tuned(flavours: &[(Flavour, &str)], more: &[(&str, &str)]) -> Guarded {
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
                let tuning = [&[("aclEnable", "true")], more].concat();
                Broker::start(*flavour, dir.path(), name, &namesrv.address(), &tuning)
            })
            .collect();
        Guarded {
            brokers,
            namesrv,
            dir,
        }
    }

    /// A slave of the first broker, which signs what it asks its master.
    fn slave(&self) -> Broker {
        let conf = self.dir.path().join("slave/conf");
        fs::create_dir_all(&conf).unwrap();
        fs::write(conf.join("plain_acl.yml"), ACCOUNTS).unwrap();
        let tuning = [
            ("aclEnable", "true"),
            ("brokerRole", "SLAVE"),
            ("brokerId", "1"),
            (
                "innerClientAuthenticationCredentials",
                r#"{"accessKey":"adminuser","secretKey":"12345678"}"#,
            ),
        ];
        let (kind, name) = ((Flavour::Ours, Jvm::Small), self.brokers[0].name.as_str());
        Broker::start_in(
            "slave",
            kind,
            self.dir.path(),
            name,
            &self.namesrv.address(),
            &tuning,
        )
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

fn make_topic_as_admin(broker: &Broker, topic: &str) {
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "4"),
        ("writeQueueNums", "4"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    let made = asked(broker, Some(("adminuser", "12345678")), 17, &fields, "");
    assert_eq!(made.code(), 0, "{}", made.remark());
    broker.wait_for_topic(topic);
}

/// The unmodified clients with their hooks: what they may is done, what they may not is told as Java's broker tells it.
fn hooks(language: Language) {
    let guarded = Guarded::new(&[(Flavour::Ours, "broker-a")]);
    if language == Language::Node {
        // It sends to no topic that is not there.
        for topic in ["Allowed", "Denied"] {
            make_topic_as_admin(&guarded.brokers[0], topic);
        }
    }
    // Node's client keeps the remark of a refusal to itself.
    let refusal = |text: &'static str| match language {
        Language::Node => "still failed",
        _ => text,
    };
    let send = |topic: &str, more: &[(&str, &str)]| {
        let options = [&[("topic", topic), ("count", "20"), ("keys", "k\u{e9}")], more].concat();
        guarded.client(language, "send", &options).finish(LONG)
    };
    let sent = send("Allowed", &USER);
    assert_eq!(of(&sent, "sent").len(), 20, "{:?}", errors(&sent));
    all_say(
        &send("Denied", &USER),
        refusal("No default permission for topic:Denied"),
    );
    // Node's client has no batches; what else it sends is as much.
    let batch = match language {
        Language::Node => vec![USER[0], USER[1]],
        _ => vec![USER[0], USER[1], ("mode", "batch"), ("batch", "10")],
    };
    let sent = send("Allowed", &batch);
    assert_eq!(of(&sent, "sent").len(), 20, "{:?}", errors(&sent));
    all_say(
        &send("Denied", &batch),
        refusal("No default permission for topic:Denied"),
    );
    // Node's client dies where it may not take its leave either.
    if language != Language::Node {
        let wrong = [("access", "RocketMQ"), ("secret", "87654321")];
        let refused = send("Allowed", &wrong);
        all_say(&refused, "Check signature failed for accessKey=RocketMQ");
        all_say(&send("Allowed", &[]), "No accessKey is configured");
    }
    let consumer = guarded.client(
        language,
        "consume",
        &[USER[0], USER[1], ("topic", "Allowed"), ("group", "anygroup")],
    );
    consumer.wait_count("received", 40, LONG);
    consumer.stop();
}

/// What is acknowledged has a slave; when the master is gone the slave serves who has signed, and refuses others.
#[test]
fn a_guarded_pair() {
    let mut guarded = Guarded::tuned(&[(Flavour::Ours, "broker-a")], &[("brokerRole", "SYNC_MASTER")]);
    let slave = guarded.slave();
    let admin = Some(("adminuser", "12345678"));
    let send = |count: &str| {
        let options = [USER[0], USER[1], ("topic", "Allowed"), ("count", count)];
        guarded.client(JAVA_4, "send", &options).finish(LONG)
    };
    eventually("a slave is in sync", || {
        let sent = send("1");
        of(&sent, "sent").iter().any(|event| event.status == "SEND_OK")
    });
    let sent = send("20");
    assert_eq!(of(&sent, "sent").len(), 20, "{:?}", errors(&sent));
    assert!(of(&sent, "sent").iter().all(|event| event.status == "SEND_OK"));
    // Its topics come over the signed connection.
    eventually("the slave has the topic", || {
        let topics = asked(&slave, admin, 21, &[], "");
        String::from_utf8_lossy(&topics.body).contains("Allowed")
    });
    guarded.brokers[0].kill();
    let consumer = guarded.client(
        JAVA_4,
        "consume",
        &[USER[0], USER[1], ("topic", "Allowed"), ("group", "anygroup")],
    );
    consumer.wait_count("received", 21, LONG);
    consumer.stop();
    let pull = [
        ("consumerGroup", "deniedgroup"),
        ("topic", "Allowed"),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "1"),
        ("sysFlag", "0"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subscription", "*"),
        ("subVersion", "0"),
    ];
    for (who, text) in [
        (None, "No accessKey is configured"),
        (
            Some(("RocketMQ", "12345678")),
            "No default permission for group:deniedgroup",
        ),
        (
            Some(("RocketMQ", "wrongsecret")),
            "Check signature failed for accessKey=RocketMQ",
        ),
    ] {
        let refused = asked(&slave, who, 11, &pull, "");
        assert!(refused.remark().contains(text), "{}", refused.remark());
    }
}

/// Behind a balancer the client's address is the one that is white or not.
#[test]
fn a_balancers_client_has_its_own_address() {
    let balanced = Guarded::tuned(
        &[(Flavour::Ours, "broker-a")],
        &[("proxyProtocolNetworks", "127.0.0.1")],
    );
    let plain = Guarded::new(&[(Flavour::Ours, "broker-a")]);
    let ask = |guarded: &Guarded, client: &str| {
        let mut wire = Wire::connect(&guarded.brokers[0].address()).unwrap();
        let header = format!("PROXY TCP4 {client} 127.0.0.1 5555 10911\r\n");
        wire.write(header.as_bytes()).unwrap();
        wire.ask(28, &[], b"").map(|answer| answer.code())
    };
    assert_eq!(ask(&balanced, "10.10.103.7").unwrap(), 0);
    assert_eq!(ask(&balanced, "10.10.104.7").unwrap(), 1);
    // Nobody may say so who is not listed.
    assert!(ask(&plain, "10.10.103.7").is_err());
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

#[test]
fn node_signs() {
    hooks(Language::Node);
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

const PACKAGE: &str = "org.apache.rocketmq.auth";

/// A name server and brokers with users and policies of 5.x.
fn with_users(flavours: &[(Flavour, &str)]) -> Guarded {
    let dir = tempfile::Builder::new()
        .prefix("rocketmq-e2e-")
        .tempdir()
        .unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let users = format!("{PACKAGE}.authentication.provider.LocalAuthenticationMetadataProvider");
    let policies = format!("{PACKAGE}.authorization.provider.LocalAuthorizationMetadataProvider");
    let tuning = [
        ("authenticationEnabled", "true"),
        ("authorizationEnabled", "true"),
        ("authenticationMetadataProvider", users.as_str()),
        ("authorizationMetadataProvider", policies.as_str()),
        (
            "initAuthenticationUser",
            r#"{"username":"root","password":"rootpw"}"#,
        ),
    ];
    let brokers = flavours
        .iter()
        .map(|(flavour, name)| Broker::start(*flavour, dir.path(), name, &namesrv.address(), &tuning))
        .collect();
    Guarded {
        brokers,
        namesrv,
        dir,
    }
}

/// A name and its secret.
type Who = Option<(&'static str, &'static str)>;
/// A field of a header.
type Field<'a> = (&'a str, &'a str);

const ROOT: Who = Some(("root", "rootpw"));
const ALICE: Who = Some(("alice", "alicepw"));

/// Code and the text of a refusal; ours has the rule behind it.
fn told_of_users(answer: &Answer) -> (i64, String) {
    let remark = answer.remark();
    match answer.code() {
        16 => (
            16,
            remark.find(" (").map_or(remark, |end| &remark[..end]).to_owned(),
        ),
        // What comes after the gate is not what is compared here.
        _ => (0, String::new()),
    }
}

fn entry(resource: &str, actions: &str, decision: &str) -> String {
    let actions = actions.replace(',', "\",\"");
    format!(
        r#"{{"policies":[{{"entries":[{{"resource":"{resource}","actions":["{actions}"],"decision":"{decision}"}}]}}]}}"#
    )
}

/// The main kinds of requests, by users that may and by one that may not: the same code and the same text from both brokers.
#[test]
fn verdicts_on_users_are_javas() {
    let guarded = with_users(&[(Flavour::Ours, "broker-a"), (Flavour::Java("5.3.3"), "broker-b")]);
    let [ours, java] = guarded.brokers.as_slice() else {
        panic!("two brokers")
    };
    for broker in [ours, java] {
        let set = |code, fields: &[(&str, &str)], body: &str| {
            let answer = asked(broker, ROOT, code, fields, body);
            assert_eq!(
                answer.code(),
                0,
                "{} {code} {body}: {}",
                broker.name,
                answer.remark()
            );
        };
        set(3001, &[("username", "alice")], r#"{"password":"alicepw"}"#);
        set(
            3001,
            &[("username", "gone")],
            r#"{"password":"gonepw","userStatus":"disable"}"#,
        );
        for (resource, actions, decision) in [
            ("Topic:Allowed", "Pub,Sub", "Allow"),
            ("Topic:Read*", "Sub,Get", "Allow"),
            ("Topic:Denied", "All", "Deny"),
            ("Topic:Made*", "Create,Delete", "Allow"),
            ("Group:any*", "Sub,Get,Delete", "Allow"),
        ] {
            set(
                3006,
                &[("subject", "User:alice")],
                &entry(resource, actions, decision),
            );
        }
    }
    let heartbeat = |group: &str, topic: &str| HEARTBEAT.replace("GROUP", group).replace("TOPIC", topic);
    let lock = |group: &str, topic: &str| {
        format!(
            r#"{{"consumerGroup":"{group}","clientId":"c@1","mqSet":[{{"topic":"{topic}","brokerName":"b","queueId":0}}]}}"#
        )
    };
    let send = |topic: &'static str| {
        let pairs = [
            ("a", "p"),
            ("b", topic),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", "0"),
            ("f", "0"),
        ];
        let more = [
            ("g", "1700000000000"),
            ("h", "0"),
            ("i", "TAGS\u{1}\u{4e2d}\u{2}"),
            ("j", "0"),
            ("k", "false"),
        ];
        [&pairs[..], &more].concat()
    };
    let long_send = |topic: &'static str| {
        let pairs = [
            ("producerGroup", "p"),
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("queueId", "0"),
        ];
        let more = [
            ("defaultTopicQueueNums", "4"),
            ("sysFlag", "0"),
            ("bornTimestamp", "1"),
            ("flag", "0"),
        ];
        [&pairs[..], &more].concat()
    };
    let pull = |topic: &'static str, group: &'static str| {
        let pairs = [
            ("consumerGroup", group),
            ("topic", topic),
            ("queueId", "0"),
            ("queueOffset", "0"),
        ];
        let more = [
            ("maxMsgNums", "1"),
            ("sysFlag", "0"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "0"),
        ];
        [&pairs[..], &more, &[("subscription", "*"), ("subVersion", "0")]].concat()
    };
    let offset = |topic: &'static str, group: &'static str| {
        vec![
            ("consumerGroup", group),
            ("topic", topic),
            ("queueId", "0"),
            ("commitOffset", "0"),
        ]
    };
    let both = |topic: &'static str, group: &'static str| {
        vec![("consumerGroup", group), ("topic", topic), ("group", group)]
    };
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
    let queue = |topic: &'static str| vec![("topic", topic), ("queueId", "0"), ("timestamp", "0")];
    let create = |topic: &'static str| {
        let pairs = [
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "1"),
            ("writeQueueNums", "1"),
        ];
        let more = [
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
        ];
        [&pairs[..], &more].concat()
    };
    let beats = [
        ("anygroup", "Allowed"),
        ("anygroup", "Denied"),
        ("other", "Allowed"),
    ]
    .map(|(g, t)| heartbeat(g, t));
    let locks = [
        ("anygroup", "Allowed"),
        ("anygroup", "Denied"),
        ("other", "Allowed"),
    ]
    .map(|(g, t)| lock(g, t));
    let mut cases: Vec<(Who, i32, Vec<Field<'_>>, &str)> = vec![
        (None, 310, send("Allowed"), "hello"),
        (Some(("alice", "wrong")), 310, send("Allowed"), "hello"),
        (Some(("nobody", "x")), 310, send("Allowed"), "hello"),
        (Some(("gone", "gonepw")), 310, send("Allowed"), "hello"),
        (ROOT, 310, send("Anything"), "hello"),
        (ROOT, 3005, vec![], ""),
        (None, 28, vec![], ""),
        (ALICE, 28, vec![], ""),
        (ALICE, 34, vec![], &beats[0]),
        (ALICE, 34, vec![], &beats[1]),
        (ALICE, 34, vec![], &beats[2]),
        (ALICE, 41, vec![], &locks[0]),
        (ALICE, 41, vec![], &locks[1]),
        (ALICE, 42, vec![], &locks[2]),
        (ALICE, 17, create("MadeHere"), ""),
        (ALICE, 17, create("Allowed"), ""),
        (ALICE, 215, vec![("topic", "MadeHere")], ""),
        (ALICE, 215, vec![("topic", "Allowed")], ""),
        (ALICE, 207, vec![("groupName", "anygroup")], ""),
        (ALICE, 207, vec![("groupName", "other")], ""),
        (ALICE, 36, back("other"), ""),
        (ALICE, 3001, vec![("username", "eve")], r#"{"password":"x"}"#),
        (ALICE, 3003, vec![("username", "eve")], ""),
        (ALICE, 3005, vec![], ""),
        (ALICE, 3009, vec![("subject", "User:alice")], ""),
        (ALICE, 204, vec![("producerGroup", "p")], ""),
        (
            ALICE,
            315,
            vec![("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "Allowed")],
            "",
        ),
        (ALICE, 317, vec![("isOrder", "false")], ""),
        (ALICE, 328, vec![], ""),
    ];
    for topic in ["Allowed", "ReadOnly", "Denied", "Unlisted", "RMQ_SYS_TRACE_TOPIC"] {
        cases.push((ALICE, 310, send(topic), "hello"));
        cases.push((ALICE, 320, send(topic), "hello"));
        cases.push((ALICE, 10, long_send(topic), "hello"));
        cases.push((ALICE, 12, query(topic), ""));
        for code in [29, 30, 31, 32] {
            cases.push((ALICE, code, queue(topic), ""));
        }
        for code in [202, 300, 351] {
            cases.push((ALICE, code, vec![("topic", topic)], ""));
        }
        for group in ["anygroup", "other"] {
            cases.push((ALICE, 11, pull(topic, group), ""));
            cases.push((ALICE, 14, offset(topic, group), ""));
            cases.push((ALICE, 15, offset(topic, group), ""));
            for code in [35, 38, 203, 208, 303, 309, 321, 343, 345, 352] {
                cases.push((ALICE, code, both(topic, group), ""));
            }
        }
    }
    let (mut refusals, mut differences) = (0, Vec::new());
    for (who, code, fields, body) in cases {
        let [of_ours, of_java] =
            [ours, java].map(|broker| told_of_users(&asked(broker, who, code, &fields, body)));
        if of_ours != of_java {
            differences.push(format!(
                "{who:?} {code} {fields:?}: {of_ours:?}, Java {of_java:?}"
            ));
        }
        refusals += i32::from(of_java.0 != 0);
    }
    assert_eq!(differences, Vec::<String>::new());
    assert!(refusals > 100, "{refusals}");
    // The first message is of a topic that alice may not read: Java gives her group a copy of it.
    let [of_ours, of_java] =
        [ours, java].map(|broker| told_of_users(&asked(broker, ALICE, 36, &back("anygroup"), "")));
    assert_eq!((of_ours.0, of_java.0), (16, 0), "{}", of_ours.1);
}

/// What tools change, and what they are refused, code by code.
#[test]
fn changes_of_users_are_answered_as_java_answers_them() {
    let guarded = with_users(&[(Flavour::Ours, "broker-a"), (Flavour::Java("5.3.3"), "broker-b")]);
    let alice = [("username", "alice")];
    let subject = [("subject", "User:alice")];
    let two = format!(
        r#"{{"policies":[{{"policyType":"Default","entries":[{{"resource":"Topic:*","actions":["Get"],"decision":"Deny","sourceIps":["10.0.0.0/8","::1"]}}]}},{}]}}"#,
        r#"{"policyType":"custom","entries":[{"resource":"group:G1","actions":["sub"],"decision":"allow"}]}"#
    );
    let steps: Vec<(i32, &[Field<'_>], String)> = vec![
        (3001, &alice, r#"{"password":"alicepw","userType":"Normal","userStatus":"enable"}"#.into()),
        (3001, &alice, r#"{"password":"other"}"#.into()),
        (3001, &[], r#"{"password":"other"}"#.into()),
        (3001, &[("username", "bob")], "{}".into()),
        (3001, &[("username", "bob")], r#"{"password":"bobpw","userType":"Super"}"#.into()),
        (3004, &alice, String::new()),
        (3004, &[("username", "nobody")], String::new()),
        (3004, &[], String::new()),
        (3002, &alice, r#"{"password":"","userStatus":"disable"}"#.into()),
        (3004, &alice, String::new()),
        (3002, &alice, r#"{"userStatus":"enable","userType":"Normal","password":"new"}"#.into()),
        (3002, &[("username", "nobody")], r#"{"password":"x"}"#.into()),
        (3005, &[], String::new()),
        (3005, &[("filter", "li")], String::new()),
        (3005, &[("filter", "zzz")], String::new()),
        (3009, &subject, String::new()),
        (3010, &[], String::new()),
        (3006, &subject, entry("Topic:T1", "Pub,Sub", "Allow")),
        (3006, &subject, entry("Topic:Pre*", "All", "Deny")),
        (3009, &subject, String::new()),
        (3007, &subject, entry("Topic:T1", "Get", "Deny")),
        (3007, &subject, two),
        (3009, &subject, String::new()),
        (3010, &[("subjectFilter", "ali")], String::new()),
        (3010, &[("subjectFilter", "ali"), ("resourceFilter", "T1")], String::new()),
        (3010, &[("subjectFilter", "zzz")], String::new()),
        (3006, &[("subject", "User:nobody")], entry("Topic:T1", "Pub", "Allow")),
        (3006, &subject, entry("", "Pub", "Allow")),
        (3006, &subject, entry("Topic:T1", "Any", "Allow")),
        (3006, &subject, entry("Topic:T1", "Pub", "Maybe")),
        (3006, &subject, r#"{"policies":[{"entries":[{"resource":"*","actions":[],"decision":"Allow"}]}]}"#.into()),
        (
            3006,
            &subject,
            r#"{"policies":[{"entries":[{"resource":"*","actions":["Pub"],"decision":"Allow","sourceIps":["10.1"]}]}]}"#.into(),
        ),
        (3008, &[("subject", "User:alice"), ("resource", "Topic:T1")], String::new()),
        (3009, &subject, String::new()),
        (3008, &[("subject", "User:alice"), ("resource", "Topic:*"), ("policyType", "Default")], String::new()),
        (3009, &subject, String::new()),
        (3008, &subject, String::new()),
        (3009, &subject, String::new()),
        (3008, &subject, String::new()),
        (3009, &[("subject", "User:nobody")], String::new()),
        (3003, &alice, String::new()),
        (3003, &alice, String::new()),
        (3005, &[], String::new()),
    ];
    let mut differences = Vec::new();
    for (code, fields, body) in steps {
        let answers = guarded.brokers.iter().map(|broker| {
            let answer = asked(broker, ROOT, code, fields, &body);
            let remark = answer.remark().to_owned();
            // Java's remark of a success is that it has none.
            let remark = Some(remark).filter(|_| answer.code() != 0).unwrap_or_default();
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            (answer.code(), remark, body)
        });
        let answers: Vec<_> = answers.collect();
        if answers[0] != answers[1] {
            differences.push(format!(
                "{code} {fields:?} {body}: {:?}, Java {:?}",
                answers[0], answers[1]
            ));
        }
    }
    assert_eq!(differences, Vec::<String>::new());
}

/// mqadmin of 5.3.3: users and policies are made, read, changed, deleted; and copied from Java's broker, whose store is not read here.
#[test]
fn javas_tools_of_5_change_users() {
    let guarded = with_users(&[(Flavour::Ours, "broker-a"), (Flavour::Java("5.3.3"), "broker-b")]);
    let conf = guarded.dir.path().join("conf");
    fs::create_dir_all(&conf).unwrap();
    fs::write(conf.join("tools.yml"), "accessKey: root\nsecretKey: rootpw\n").unwrap();
    let (ours, java) = (guarded.brokers[0].address(), guarded.brokers[1].address());
    let lines: Vec<String> = [
        "createUser -b OURS -u alice -p alicepw -t Normal",
        "getUser -b OURS -u alice",
        "updateUser -b OURS -u alice -p newpw",
        "listUser -b OURS",
        "createAcl -b OURS -s User:alice -r Topic:T1,Group:* -a Pub,Sub -i 10.0.0.0/8,127.0.0.1 -d Allow",
        "getAcl -b OURS -s User:alice",
        "updateAcl -b OURS -s User:alice -r Topic:T1 -a Pub -d Deny",
        "listAcl -b OURS",
        "deleteAcl -b OURS -s User:alice -r Group:*",
        "getAcl -b OURS -s User:alice",
        "deleteUser -b OURS -u alice",
        "createUser -b JAVA -u carol -p carolpw -t Super",
        "createAcl -b JAVA -s User:carol -r Topic:C* -a All -d Allow",
        "copyUser -f JAVA -t OURS -u carol",
        "copyAcl -f JAVA -t OURS -s User:carol",
    ]
    .map(|line| line.replace("OURS", &ours).replace("JAVA", &java))
    .into();
    let commands: Vec<Vec<String>> = lines
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect();
    let said = java_mqadmin_session("5.3.3", guarded.dir.path(), &guarded.namesrv.address(), &commands);
    let said: Vec<String> = said.iter().map(|lines| lines.join("\n")).collect();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (at, expected) in [
        (0, &["create user to", "success"][..]),
        (1, &["alice alicepw Normal enable"]),
        (2, &["update user to", "success"]),
        (3, &["alice newpw Normal enable", "root rootpw Super enable"]),
        (4, &["create acl to", "success"]),
        (
            5,
            &["User:alice Custom Topic:T1 [Pub, Sub] [10.0.0.0/8, 127.0.0.1] Allow"],
        ),
        (6, &["update acl to", "success"]),
        (7, &["User:alice Custom Topic:T1 [Pub]", "Deny", "Group:*"]),
        (8, &["delete acl to", "success"]),
        (10, &["delete user to", "success"]),
    ] {
        for part in expected {
            assert!(
                words(&said[at]).contains(part),
                "{}: {part}: {}",
                lines[at],
                said[at]
            );
        }
    }
    assert!(
        !said[9].contains("Group:*") && said[9].contains("Topic:T1"),
        "{}",
        said[9]
    );
    let carol = asked(&guarded.brokers[0], ROOT, 3004, &[("username", "carol")], "");
    assert_eq!(
        String::from_utf8_lossy(&carol.body),
        r#"{"password":"carolpw","userStatus":"enable","userType":"Super","username":"carol"}"#,
        "{}",
        said[13]
    );
    let acl = asked(&guarded.brokers[0], ROOT, 3009, &[("subject", "User:carol")], "");
    assert!(
        String::from_utf8_lossy(&acl.body).contains("Topic:C*"),
        "{}",
        said[14]
    );
}

/// The command that operators type: what it prints, and its exit code.
#[test]
fn mqadmin_says_why_somebody_would_be_refused() {
    let guarded = with_users(&[(Flavour::Ours, "broker-a")]);
    let broker = &guarded.brokers[0];
    let made = asked(
        broker,
        ROOT,
        3001,
        &[("username", "alice")],
        r#"{"password":"alicepw"}"#,
    );
    assert_eq!(made.code(), 0);
    let policy = entry("Topic:Orders*", "Pub", "Allow");
    assert_eq!(
        asked(broker, ROOT, 3006, &[("subject", "User:alice")], &policy).code(),
        0
    );
    let conf = guarded.dir.path().join("conf");
    fs::create_dir_all(&conf).unwrap();
    let explained = |resource: &str| {
        let output = std::process::Command::new(our_program("mqadmin"))
            .env("ROCKETMQ_HOME", guarded.dir.path())
            .args([
                "explainAcl",
                "-b",
                &broker.address(),
                "-u",
                "alice",
                "-a",
                "10.1.1.7",
            ])
            .args(["-r", resource, "-o", "Pub"])
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said.concat())
    };
    let (code, said) = explained("Topic:Orders1");
    assert!(
        code == Some(1) && said.contains("username cannot be null."),
        "{said}"
    );
    fs::write(conf.join("tools.yml"), "accessKey: root\nsecretKey: rootpw\n").unwrap();
    assert_eq!(
        explained("Topic:Orders1"),
        (
            Some(0),
            "allowed\nusers allowed: Custom policy of User:alice: Topic:Orders* Pub Allow\n".to_owned()
        )
    );
    let refused = "refused\nusers refused: User:alice has no permission to access Topic:Other from 10.1.1.7, no matched policies. \
                   (Pub is needed)\n";
    assert_eq!(explained("Topic:Other"), (Some(2), refused.to_owned()));
    let (code, said) = explained("Other");
    assert!(
        code == Some(1) && said.contains("`Other` is no resource"),
        "{said}"
    );
}

/// A name server that takes signed changes alone: brokers that sign are found by clients, also Java's; others are not.
#[test]
fn brokers_sign_for_a_name_server_that_asks_for_it() {
    let dir = tempfile::Builder::new()
        .prefix("rocketmq-e2e-")
        .tempdir()
        .unwrap();
    let inner = r#"{"accessKey":"broker","secretKey":"brokerpw"}"#;
    let closed = [("updateCredentials", inner)];
    let namesrv = NameServer::start_with(Flavour::Ours, dir.path(), free_port(), &closed);
    // Java's broker does not start with credentials and nowhere to make their user.
    let users = format!("{PACKAGE}.authentication.provider.LocalAuthenticationMetadataProvider");
    let signs = [
        ("innerClientAuthenticationCredentials", inner),
        ("authenticationMetadataProvider", users.as_str()),
    ];
    let start = |flavour, name| Broker::start(flavour, dir.path(), name, &namesrv.address(), &signs);
    // Each is started when the name server knows it.
    let _brokers = [
        start(Flavour::Ours, "broker-a"),
        start(Flavour::Java("5.3.3"), "broker-b"),
    ];
    let mut wire = Wire::connect(&namesrv.address()).unwrap();
    let stranger = [
        ("clusterName", "DefaultCluster"),
        ("brokerName", "broker-stranger"),
        ("brokerId", "0"),
        ("brokerAddr", "127.0.0.1:1"),
        ("haServerAddr", "127.0.0.1:2"),
    ];
    assert_eq!(wire.ask(103, &stranger, b"{}").unwrap().code(), 16);
    let put = [("namespace", "n"), ("key", "k"), ("value", "v")];
    assert_eq!(wire.ask(100, &put, b"").unwrap().code(), 16);
    let cluster = String::from_utf8_lossy(&wire.ask(106, &[], b"").unwrap().body).into_owned();
    for (name, is_there) in [("broker-a", true), ("broker-b", true), ("broker-stranger", false)] {
        assert_eq!(cluster.contains(name), is_there, "{name}: {cluster}");
    }
}
