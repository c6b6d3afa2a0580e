//! mqconsole: every page and every change against ours and Java's servers, requests that are forged, servers that hang or lie, many
//! browsers.

use crate::asks::{self, HEART_BEAT, QUERY_CONSUMER_OFFSET, wait_until};
use crate::check::{JAVA_4, LONG};
use cluster::{Broker, Client, Cluster, Flavour, NameServer, Process, Wire, free_port, our_program};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(40);
const UPDATE_CONSUMER_OFFSET: i32 = 15;
const SEND_BACK: i32 = 36;
const CREATE_TOPICS: i32 = 18;
const REGISTER_BROKER: i32 = 103;
const PASSWORD: &str = "open sesame & co";

/// A running console, and a browser with its cookie.
struct Console {
    port: u16,
    process: Process,
    cookie: String,
    token: String,
}

/// What it answers.
struct Page {
    status: u16,
    head: String,
    body: String,
}

impl Page {
    /// A header's value.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// What stands between two texts, the first such place.
    fn between(&self, before: &str, after: &str) -> Option<&str> {
        self.body
            .split_once(before)?
            .1
            .split_once(after)
            .map(|(found, _)| found)
    }
}

/// Sends bytes, and reads until the server closes.
fn exchange(port: u16, request: &str) -> Page {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that is cut off may end by a reset.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    Page {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    pairs.join("&")
}

impl Console {
    fn start(namesrv: &str, dir: &Path, password: Option<&str>) -> Console {
        let port = free_port();
        let mut command = Command::new(our_program("mqconsole"));
        command
            .args(["-n", namesrv, "--port", &port.to_string()])
            .env("ROCKETMQ_HOME", dir)
            .env_remove("NAMESRV_ADDR")
            .env_remove("JAVA_OPTS")
            .env_remove("JAVA_OPT")
            .env_remove("MQCONSOLE_PASSWORD");
        if let Some(password) = password {
            command.env("MQCONSOLE_PASSWORD", password);
        }
        let process = Process::start("mqconsole", command, &dir.join(format!("console-{port}.out")));
        process.wait_for("where it is", START, |line| {
            line.contains("The console is at").then_some(())
        });
        Console {
            port,
            process,
            cookie: String::new(),
            token: String::new(),
        }
    }

    fn get_as(&self, path: &str, lang: &str) -> Page {
        let (port, cookie) = (self.port, &self.cookie);
        exchange(
            port,
            &format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAccept-Language: {lang}\r\nCookie: {cookie}\r\n\r\n"
            ),
        )
    }

    fn get(&self, path: &str) -> Page {
        self.get_as(path, "en")
    }

    /// A page that is there, without a word of something that could not be asked.
    fn page(&self, path: &str) -> String {
        let page = self.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        assert!(!page.body.contains("role=\"alert\""), "{path}: {}", page.body);
        page.body
    }

    /// A table of a page.
    fn table(&self, path: &str, id: &str) -> Vec<Value> {
        let separator = if path.contains('?') { "&" } else { "?" };
        let page = self.get(&format!("{path}{separator}export={id}.json"));
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        serde_json::from_str(&page.body).unwrap_or_else(|why| panic!("{path}: {why}: {}", page.body))
    }

    fn post_with(&self, path: &str, fields: &[(&str, &str)], headers: &str) -> Page {
        let (port, cookie, body) = (self.port, &self.cookie, form(fields));
        exchange(
            port,
            &format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nCookie: {cookie}\r\n{headers}\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    }

    /// A change by a form of the console's own.
    fn change(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let token = [("token", self.token.as_str())];
        let fields: Vec<(&str, &str)> = token.into_iter().chain(fields.iter().copied()).collect();
        let done = self.post_with(
            path,
            &fields,
            &format!("Origin: http://127.0.0.1:{}\r\n", self.port),
        );
        assert_eq!(done.status, 303, "{path}: {}", done.body);
        let shown = self.get(done.header("location").unwrap());
        assert_eq!(shown.status, 200);
        assert!(shown.body.contains("notice good"), "{path}: {}", shown.body);
        shown.body
    }

    fn log_in(&mut self) {
        let done = self.post_with(
            "/login",
            &[("name", "Ann"), ("password", PASSWORD), ("back", "/topics")],
            "",
        );
        assert_eq!(
            (done.status, done.header("location")),
            (303, Some("/topics")),
            "{}",
            done.body
        );
        let cookie = done.header("set-cookie").unwrap();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
        self.cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self.get("/topics");
        self.token = page.between("name=\"token\" value=\"", "\"").unwrap().to_owned();
    }
}

/// A member that says nothing of itself, and consumes nothing.
fn join(wire: &mut Wire, group: &str, topic: &str) {
    let body = format!(
        r#"{{"clientID":"10.0.0.1@1","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"{group}","messageModel":"CLUSTERING","subscriptionDataSet":[{{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"{topic}"}}],"unitMode":false}}],"producerDataSet":[{{"groupName":"senders"}}]}}"#
    );
    assert_eq!(wire.ask(HEART_BEAT, &[], body.as_bytes()).unwrap().code(), 0);
}

fn committed(wire: &mut Wire, group: &str, topic: &str) -> Option<String> {
    let fields = [("consumerGroup", group), ("topic", topic), ("queueId", "0")];
    let answer = wire.ask(QUERY_CONSUMER_OFFSET, &fields, b"").unwrap();
    answer.field("offset").map(str::to_owned)
}

fn ends(console: &Console, topic: &str) -> i64 {
    let path = format!("/topic?name={}", encode(topic));
    let page = console.get(&format!("{path}&export=queues.json"));
    let rows: Vec<Value> = serde_json::from_str(&page.body).unwrap_or_default();
    rows.iter().map(|row| row["max"].as_i64().unwrap()).sum()
}

fn pages_and_changes(flavour: Flavour) {
    let cluster = Cluster::of(flavour, flavour, &[]);
    let mut console = Console::start(&cluster.namesrv.address(), cluster.path(), Some(PASSWORD));
    let broker = cluster.broker.address();
    // A broker of 4.9 does not tell of itself in its first second.
    wait_until("the broker tells of itself", SOON, || {
        let page = console.get("/").body;
        page.contains("answers") && !page.contains("role=\"alert\"")
    });
    console.log_in();
    // A topic, with a name that a browser could take for markup if it were let.
    let queues = [("read", "1"), ("write", "1"), ("perm", "6"), ("order", "false")];
    let named = |name, more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        [("name", name), ("cluster", "DefaultCluster")]
            .into_iter()
            .chain(more.iter().copied())
            .collect()
    };
    let shown = console.change("/topic/save", &named("Orders", &queues));
    assert!(shown.contains("Ann") && shown.contains(&broker), "{shown}");
    cluster.broker.wait_for_topic("Orders");
    assert!(console.page("/topics").contains("/topic?name=Orders"));
    // The member stays connected while it is looked at.
    let member = seed(&cluster);
    look_at_pages(&console, &broker);
    look_for_messages(&console);
    move_group(&cluster, &console, member);
    send_again(&console);
    // Changed, then deleted; not by who does not write its name once more.
    console.change(
        "/topic/save",
        &named(
            "Orders",
            &[("read", "3"), ("write", "3"), ("perm", "4"), ("order", "false")],
        ),
    );
    wait_until("the topic has other queues", SOON, || {
        console.table("/topics", "topics")[0]["readQueues"] == 3
    });
    let token = console.token.clone();
    let refused = console.post_with(
        "/topic/delete",
        &[
            ("token", &token),
            ("name", "Orders"),
            ("cluster", "DefaultCluster"),
            ("again", "Order"),
        ],
        "",
    );
    assert_eq!(refused.status, 400);
    console.change("/topic/delete", &named("Orders", &[("again", "Orders")]));
    wait_until("the topic is gone", SOON, || {
        console.get("/topic?name=Orders").status == 404
    });
    let log = console.process.lines().join("\n");
    for part in [
        "change by=\"Ann\" from=\"127.0.0.1:",
        "topic Orders in cluster",
        "delete topic Orders",
        "dead letters to group readers",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let changes = console.table("/changes", "changes");
    assert_eq!(changes.len(), log.matches("change by=").count());
    let out = console.post_with("/logout", &[("token", &console.token)], "");
    assert_eq!(out.status, 303);
    assert_eq!(console.get("/changes").status, 403);
}

/// Messages, a group that has consumed none, and a dead letter.
fn seed(cluster: &Cluster) -> Wire {
    let mut wire = asks::connect(&cluster.broker);
    for number in 0..20 {
        let properties = format!(
            "KEYS\u{1}order{number}\u{2}TAGS\u{1}{}\u{2}UNIQ_KEY\u{1}ID{number:030}\u{2}",
            if number % 2 == 0 { "Paid" } else { "<b>Open" }
        );
        let body = format!("{{\"number\":{number},\"note\":\"<script>alert({number})</script> größer\"}}");
        let answer = asks::send(&mut wire, "Orders", "0", &properties, body.as_bytes());
        assert_eq!(answer.code(), 0, "{}", answer.remark());
    }
    join(&mut wire, "readers", "Orders");
    let fields = [
        ("consumerGroup", "readers"),
        ("topic", "Orders"),
        ("queueId", "0"),
        ("commitOffset", "4"),
    ];
    assert_eq!(wire.ask(UPDATE_CONSUMER_OFFSET, &fields, b"").unwrap().code(), 0);
    // The first message has its place in the answer to a send: the log of a Java broker may begin elsewhere.
    let first = asks::send(&mut wire, "Orders", "0", "", b"given up");
    let place = first.field("msgId").unwrap();
    let offset = i64::from_str_radix(&place[place.len() - 16..], 16)
        .unwrap()
        .to_string();
    let fields = [
        ("offset", offset.as_str()),
        ("group", "readers"),
        ("delayLevel", "-1"),
        ("originTopic", "Orders"),
        ("maxReconsumeTimes", "3"),
    ];
    let answer = wire.ask(SEND_BACK, &fields, b"").unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
    cluster.broker.wait_for_topic("%DLQ%readers");
    cluster.broker.wait_for_topic("%RETRY%readers");
    wire
}

fn look_at_pages(console: &Console, broker: &str) {
    wait_until("the dead letter is counted", SOON, || {
        console
            .table("/dead-letters", "groups")
            .iter()
            .any(|row| row["group"] == "readers" && row["messages"] == 1)
    });
    wait_until("the group's lag is known", SOON, || {
        console
            .table("/topics", "topics")
            .iter()
            .any(|row| row["topic"] == "Orders" && row["lag"] == 17)
    });
    let address = encode(broker);
    let paths = [
        ("/", "broker-a"),
        (&format!("/broker?address={address}"), "putTps"),
        ("/topics?all=1", "%RETRY%readers"),
        ("/topic?name=Orders", "readers"),
        ("/groups", "readers"),
        ("/groups?all=1", "TOOLS_CONSUMER"),
        ("/messages?topic=Orders", "order19"),
        ("/dead-letters", "readers"),
        ("/dead-letters?group=readers", "given up"),
        ("/dead-letters?group=nobody", "given no message up"),
        ("/producers", "Producers"),
        ("/settings", "autoCreateTopicEnable"),
        (
            &format!("/settings?broker={address}&settings.q=longPolling"),
            "Hold empty pulls",
        ),
        ("/changes", "Orders"),
        ("/login", "Password"),
    ];
    for (path, part) in paths {
        let page = console.page(path);
        assert!(page.contains(part), "{path} lacks {part}: {page}");
        assert!(
            !page.contains("<script>alert") && !page.contains("<b>Open"),
            "{path}"
        );
        let chinese = console.get_as(path, "zh-CN,zh;q=0.9");
        assert_eq!(chinese.status, 200);
        assert!(
            chinese.body.contains("<html lang=\"zh\"") && chinese.body.contains("消费组"),
            "{path}"
        );
        let policy = chinese.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(
            !chinese.body.contains(" style=") && !chinese.body.contains(" onclick"),
            "{path}"
        );
    }
    // A group is there with what its one member does not tell.
    let group = console.get("/group?name=readers");
    assert!(
        group.body.contains("10.0.0.1@1") && group.body.contains("CLUSTERING"),
        "{}",
        group.body
    );
    let queues = console.table("/group?name=readers", "queues");
    let own = queues.iter().find(|row| row["topic"] == "Orders").unwrap();
    assert_eq!(
        (&own["end"], &own["at"], &own["lag"]),
        (&21.into(), &4.into(), &17.into()),
        "{own}"
    );
    let csv = console.get("/topics?export=topics.csv&topics.q=ord");
    assert!(
        csv.body.starts_with("topic,kind,") && csv.body.contains("\r\nOrders,"),
        "{}",
        csv.body
    );
    assert!(csv.header("content-disposition").unwrap().contains("topics.csv"));
    let doctor = console.page("/doctor");
    assert!(
        doctor.contains("dead letters") && doctor.contains("group readers"),
        "{doctor}"
    );
    for (path, status) in [
        ("/nothing", 404),
        ("/topic?name=Nobody", 404),
        ("/topic", 400),
        ("/group?name=nobody", 404),
        ("/broker?address=127.0.0.1%3A1", 404),
        ("/settings?broker=127.0.0.1%3A1", 404),
        ("/messages?topic=Orders&from=yesterday", 400),
        ("/topics?export=nothing.json", 404),
    ] {
        assert_eq!(console.get(path).status, status, "{path}");
    }
}

fn look_for_messages(console: &Console) {
    let found = |query: &str| console.table(&format!("/messages?topic=Orders&{query}"), "messages");
    let id = format!("ID{:030}", 7);
    for (query, count) in [
        (format!("id={id}"), 1),
        ("key=order3".to_owned(), 1),
        ("key=nothing".to_owned(), 0),
        ("from=10m&tag=Paid".to_owned(), 10),
        (format!("text={}", encode("\"number\":1")), 11),
        ("from=10m&to=0".to_owned(), usize::MAX),
    ] {
        if count == usize::MAX {
            assert_eq!(
                console.get(&format!("/messages?topic=Orders&{query}")).status,
                400
            );
            continue;
        }
        // The index of a broker follows its log.
        wait_until(&query, SOON, || found(&query).len() == count);
    }
    let path = format!("/message?topic=Orders&id={id}");
    let page = console.page(&path);
    for part in [
        "&lt;script&gt;alert(7)&lt;/script&gt; größer",
        "readers",
        "&lt;b&gt;Open",
        "No trace is recorded",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let properties = console.table(&path, "properties");
    assert!(
        properties
            .iter()
            .any(|row| row["name"] == "KEYS" && row["value"] == "order7")
    );
    let body = console.get(&format!("/message/body?topic=Orders&id={id}"));
    assert_eq!(body.header("content-type"), Some("application/octet-stream"));
    assert!(
        body.header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    assert_eq!(
        body.body,
        "{\"number\":7,\"note\":\"<script>alert(7)</script> größer\"}"
    );
}

fn move_group(cluster: &Cluster, console: &Console, member: Wire) {
    let preview = |to: &str| {
        console.table(
            &format!("/group/reset?group=readers&topic=Orders&to={to}"),
            "moves",
        )
    };
    let row = &preview("end")[0];
    assert_eq!(
        (&row["at"], &row["to"], &row["skipped"]),
        (&4.into(), &21.into(), &17.into()),
        "{row}"
    );
    let mut wire = asks::connect(&cluster.broker);
    assert_eq!(
        committed(&mut wire, "readers", "Orders").as_deref(),
        Some("4"),
        "a preview changes nothing"
    );
    let row = &preview("2001-01-01")[0];
    assert_eq!((&row["to"], &row["again"]), (&0.into(), &4.into()), "{row}");
    let fields = [("group", "readers"), ("topic", "Orders"), ("to", "-1")];
    let told = console.change("/group/reset", &fields);
    assert!(told.contains("→ 21, broker and members are told"), "{told}");
    // Where the broker leaves it to the members, and they do not go, it is set when they are gone.
    drop(member);
    wait_until("the group is at the end", SOON, || {
        console.change("/group/reset", &fields);
        committed(&mut wire, "readers", "Orders").as_deref() == Some("21")
    });
}

fn send_again(console: &Console) {
    let id = format!("ID{:030}", 7);
    let before = ends(console, "Orders");
    let page = console.page(&format!("/message?topic=Orders&id={id}"));
    assert!(page.contains("/message/resend"));
    console.change("/message/resend", &[("topic", "Orders"), ("id", &id)]);
    wait_until("the message is there twice", SOON, || {
        ends(console, "Orders") == before + 1
    });
    let letters = console.get("/dead-letters?group=readers");
    let pick = letters
        .between("name=\"pick\" value=\"", "\"")
        .unwrap()
        .to_owned();
    let before = ends(console, "%RETRY%readers");
    console.change("/dead-letters/resend", &[("group", "readers"), ("pick", &pick)]);
    wait_until("the group's retry topic has it", SOON, || {
        ends(console, "%RETRY%readers") == before + 1
    });
    let again = console.table("/messages?topic=%25RETRY%25readers", "messages");
    assert_eq!(again[0]["body"], "given up");
    let id = again[0]["id"].as_str().unwrap();
    let path = format!("/message?topic=%25RETRY%25readers&id={id}");
    // The index of a broker follows its log.
    wait_until("the message is found by its id", SOON, || {
        console.get(&path).status == 200
    });
    let properties = console.table(&path, "properties");
    let is_kept = |row: &Value| row["name"] == "RETRY_TOPIC" && row["value"] == "Orders";
    assert!(properties.iter().any(is_kept), "{properties:?}");
}

#[test]
fn every_page_and_change_with_ours() {
    pages_and_changes(Flavour::Ours);
}

#[test]
fn every_page_and_change_with_4() {
    pages_and_changes(Flavour::Java("4.9.7"));
}

#[test]
fn every_page_and_change_with_5() {
    pages_and_changes(Flavour::Java("5.3.3"));
}

/// A member that tells what it does, and goes where a reset sends it.
#[test]
fn a_member_in_java() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = asks::connect(&cluster.broker);
    asks::create_topic(&mut wire, "Orders", "1");
    cluster.broker.wait_for_topic("Orders");
    let namesrv = cluster.namesrv.address();
    let options = [("ns", namesrv.as_str()), ("topic", "Orders"), ("group", "java")];
    let consumer = Client::start(JAVA_4, cluster.path(), "consume", &options);
    for number in 0..10 {
        let body = format!("order {number}");
        assert_eq!(
            asks::send(&mut wire, "Orders", "0", "", body.as_bytes()).code(),
            0
        );
    }
    consumer.wait_count("received", 10, LONG);
    let mut console = Console::start(&namesrv, cluster.path(), Some(PASSWORD));
    console.log_in();
    wait_until("the member has the queue", SOON, || {
        let queues = console.table("/group?name=java", "queues");
        queues
            .iter()
            .any(|row| row["topic"] == "Orders" && row["member"].is_string() && row["lag"] == 0)
    });
    let members = console.table("/group?name=java", "members");
    assert_eq!(members.len(), 1);
    assert_eq!(members[0]["wants"], "Orders:*", "{members:?}");
    let client = members[0]["client"].as_str().unwrap();
    let path = format!("/group/member?group=java&client={}", encode(client));
    let page = console.page(&path);
    assert!(
        page.contains("PROP_CONSUME_TYPE") && !page.contains("java.lang.Thread"),
        "{page}"
    );
    let queues = console.table(&path, "queues");
    assert!(
        queues
            .iter()
            .any(|row| row["topic"] == "Orders" && row["at"] == 10),
        "{queues:?}"
    );
    let stacks = console.page(&format!("{path}&stacks=1"));
    assert!(stacks.contains("ConsumeMessageThread"), "{stacks}");
    let consumed = console.table("/messages?topic=Orders", "messages");
    let id = consumed[0]["id"].as_str().unwrap();
    let path = format!("/message?topic=Orders&id={}", encode(id));
    wait_until("the message is consumed", SOON, || {
        let page = console.get(&path);
        page.status == 200 && page.body.contains(">consumed<")
    });
    let fields = [("group", "java"), ("topic", "Orders"), ("to", "2001-01-01")];
    console.change("/group/reset", &fields);
    consumer.wait_count("received", 20, LONG);
}

#[test]
fn forged_requests_change_nothing() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let namesrv = cluster.namesrv.address();
    let mut console = Console::start(&namesrv, cluster.path(), Some(PASSWORD));
    let fields = [
        ("name", "Forged"),
        ("cluster", "DefaultCluster"),
        ("read", "1"),
        ("write", "1"),
        ("perm", "6"),
    ];
    let status = |console: &Console, token: &str, headers: &str| {
        let token = [("token", token)];
        let fields: Vec<(&str, &str)> = token.into_iter().chain(fields).collect();
        console.post_with("/topic/save", &fields, headers).status
    };
    assert_eq!(status(&console, "", ""), 403, "nobody is logged in");
    let wrong = console.post_with("/login", &[("name", "Eve"), ("password", "open sesame")], "");
    assert!(wrong.status == 403 && wrong.header("set-cookie").is_none());
    console.log_in();
    let token = console.token.clone();
    assert_eq!(status(&console, "", ""), 403, "a form without its token");
    assert_eq!(
        status(&console, &token.replace(['0', '1'], "2"), ""),
        403,
        "a form with another"
    );
    assert_eq!(
        status(&console, &token, "Origin: http://evil.example.com\r\n"),
        403
    );
    assert_eq!(status(&console, &token, "Sec-Fetch-Site: cross-site\r\n"), 403);
    // By GET, with another name of this host, with another cookie.
    let get = console.get(&format!("/topic/save?{}&token={token}", form(&fields)));
    assert_eq!(get.status, 404);
    let port = console.port;
    let rebound = exchange(
        port,
        "GET /topics HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(rebound.status, 421);
    assert!(!rebound.body.contains("TBW102"));
    let other = Console {
        port,
        process: Process::start("true", Command::new("true"), &cluster.path().join("true.out")),
        cookie: "mqconsole=".to_owned() + &"0".repeat(64),
        token: token.clone(),
    };
    assert_eq!(status(&other, &token, ""), 403);
    assert!(
        console
            .table("/topics?all=1", "topics")
            .iter()
            .all(|row| row["topic"] != "Forged")
    );
    // Without a password nothing can be changed at all, nor anybody log in.
    let closed = Console::start(&namesrv, cluster.path(), None);
    assert_eq!(status(&closed, "", ""), 403);
    let login = closed.post_with("/login", &[("name", "A"), ("password", "")], "");
    assert!(login.status == 403 && login.header("set-cookie").is_none());
    assert!(closed.page("/topics").contains("read-only"));
    // Who guesses has to wait, also with the right one.
    for _ in 0..6 {
        console.post_with("/login", &[("name", "Eve"), ("password", "guess")], "");
    }
    let late = console.post_with("/login", &[("name", "Eve"), ("password", PASSWORD)], "");
    assert_eq!(late.status, 429);
    assert_eq!(status(&console, &token, ""), 303, "who is logged in stays so");
}

#[test]
fn a_name_server_that_hangs_or_lies() {
    let dir = tempfile::tempdir().unwrap();
    // It takes connections, and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let console = Console::start(&address, dir.path(), None);
    let started = Instant::now();
    let page = console.get("/");
    assert_eq!(page.status, 502, "{}", page.body);
    assert!(
        page.body.contains(&address) && page.body.contains("can be reached from here"),
        "{}",
        page.body
    );
    assert!(
        started.elapsed() < Duration::from_secs(12),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(console.get("/healthz").status, 200);
    // It answers what is no frame.
    let garbage = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = garbage.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        for stream in garbage.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 64];
            match stream.read(&mut asked) {
                Ok(length) if length > 0 && asked.starts_with(b"end") => return,
                _ => {
                    let _ = stream.write_all(b"\xff\xff\xff\xffHTTP/1.1 200 OK\r\n\r\n<script>");
                }
            }
        }
    });
    let console = Console::start(&address, dir.path(), None);
    let page = console.get("/topics");
    assert_eq!(page.status, 502, "{}", page.body);
    assert!(!page.body.contains("<script>"));
    drop(console);
    TcpStream::connect(&address).unwrap().write_all(b"end").unwrap();
    answering.join().unwrap();
}

#[test]
fn names_of_brokers_are_no_markup() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = Wire::connect(&cluster.namesrv.address()).unwrap();
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>";
    let fields = [
        ("brokerName", evil),
        ("brokerAddr", "127.0.0.1:1"),
        ("clusterName", evil),
        ("haServerAddr", "127.0.0.1:2"),
        ("brokerId", "0"),
        ("compressed", "false"),
        ("bodyCrc32", "0"),
    ];
    let body = br#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":1,"timestamp":1},"topicConfigTable":{}}}"#;
    assert_eq!(wire.ask(REGISTER_BROKER, &fields, body).unwrap().code(), 0);
    let mut member = asks::connect(&cluster.broker);
    asks::create_topic(&mut member, "T", "1");
    let body = r#"{"clientID":"<script>alert(3)</script>'\"","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"<script>alert(4)</script>","subVersion":1,"tagsSet":[],"topic":"T"}],"unitMode":false}],"producerDataSet":[{"groupName":"<script>alert(5)</script>"}]}"#;
    assert_eq!(member.ask(HEART_BEAT, &[], body.as_bytes()).unwrap().code(), 0);
    let mut console = Console::start(&cluster.namesrv.address(), cluster.path(), Some(PASSWORD));
    console.log_in();
    let query = format!(
        "?topics.q={0}&name={0}&group={0}&client={0}&topic={0}&id={0}&from={0}&address={0}&broker={0}&back={0}&export=",
        encode(evil)
    );
    for path in [
        "/",
        "/topics",
        "/groups",
        "/producers",
        "/settings",
        "/doctor",
        "/group?name=g",
        "/topic?name=T",
    ] {
        let page = console.get(path);
        assert!(
            page.status == 200 || page.status == 502,
            "{path}: {}",
            page.status
        );
        assert!(
            !page.body.contains("<script>alert") && !page.body.contains("<img"),
            "{path}: {}",
            page.body
        );
    }
    assert!(console.get("/").body.contains("&lt;script&gt;alert(1)"));
    assert!(
        console
            .get("/group?name=g")
            .body
            .contains("&lt;script&gt;alert(3)")
    );
    for path in [
        "/",
        "/topics",
        "/topic",
        "/group",
        "/group/member",
        "/group/reset",
        "/message",
        "/messages",
        "/broker",
        "/settings",
        "/dead-letters",
        "/login",
        "/nothing",
        "/preference",
    ] {
        let page = console.get(&format!("{path}{query}"));
        assert!(
            !page.body.contains("<script>alert") && !page.body.contains("<img"),
            "{path}: {}",
            page.body
        );
        assert!(page.header("location").is_none_or(|to| to == "/"), "{path}");
    }
}

#[test]
fn the_account_of_tools_yml_signs() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = dir.path().join("broker-a/conf");
    fs::create_dir_all(&accounts).unwrap();
    let keys = "accessKey: adminuser\n  secretKey: 12345678\n";
    fs::write(
        accounts.join("plain_acl.yml"),
        format!("accounts:\n- {keys}  admin: true\n"),
    )
    .unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let _broker = Broker::start(
        Flavour::Ours,
        dir.path(),
        "broker-a",
        &namesrv.address(),
        &[("aclEnable", "true")],
    );
    let stranger = Console::start(&namesrv.address(), dir.path(), None);
    let page = stranger.get("/").body;
    assert!(
        page.contains("role=\"alert\"") && page.contains("refuses"),
        "{page}"
    );
    let topics = stranger.get("/topics");
    assert!(
        topics.status == 502 && topics.body.contains("conf/tools.yml"),
        "{}",
        topics.body
    );
    let conf = dir.path().join("conf");
    fs::create_dir_all(&conf).unwrap();
    fs::write(conf.join("tools.yml"), keys.replace("\n  ", "\n")).unwrap();
    let known = Console::start(&namesrv.address(), dir.path(), None);
    assert!(known.page("/").contains("answers"));
    assert!(known.page("/topics?all=1").contains("TBW102"));
}

#[test]
fn many_browsers_and_greedy_ones() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let mut wire = asks::connect(&cluster.broker);
    let console = Console::start(&cluster.namesrv.address(), cluster.path(), Some(PASSWORD));
    // A hundred at once, each with its page.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| console.get("/topics?all=1").status))
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    // Many that connect and say nothing, or go on saying: a further one is answered all the same.
    let mut idle: Vec<TcpStream> = (0..400)
        .map(|_| TcpStream::connect(("127.0.0.1", console.port)).unwrap())
        .collect();
    for stream in idle.iter_mut().skip(300) {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ");
    }
    assert_eq!(console.get("/").status, 200);
    drop(idle);
    let long = format!(
        "GET /?q={} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "x".repeat(100_000)
    );
    assert_ne!(exchange(console.port, &long).status, 200);
    let big = "x".repeat(300 * 1024);
    assert_eq!(
        console
            .post_with("/login", &[("name", "A"), ("password", &big[..90_000])], "")
            .status,
        413
    );
    let unknown = exchange(
        console.port,
        "DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(unknown.status, 405);
    // Ten thousand topics are one page, soon, and no memory that stays.
    let topics: Vec<Value> = (0..10_000)
        .map(|number| json!({"topicName": format!("topic-of-many-{number:05}"), "readQueueNums": 1, "writeQueueNums": 1, "perm": 6}))
        .collect();
    let body = json!({ "topicConfigList": topics }).to_string();
    let answer = wire.ask(CREATE_TOPICS, &[], body.as_bytes()).unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
    wait_until("all topics are shown", SOON, || {
        console.table("/topics", "topics").len() >= 10_000
    });
    let started = Instant::now();
    let page = console.page("/topics?topics.sort=-topic&topics.q=many");
    let took = started.elapsed();
    assert!(
        page.contains("topic-of-many-09999") && page.contains("1 / 100"),
        "{page}"
    );
    // What a build without optimization may take, on a busy machine.
    assert!(took < Duration::from_secs(3), "{took:?}");
    let resident = console.process.resident_kib().unwrap();
    assert!(resident < 120 * 1024, "{resident} KiB");
}
