//! The clusters of `conf/2m-2s-sync` and `conf/2m-2s-async` with Java's, Go's and Node's clients at work, while brokers are killed,
//! frozen and cut off; and a slave whose disk is full, or that its master has left behind.

use crate::check::*;
use crate::full_disk::SmallDisk;
use crate::replication::{
    Pair, end, eventually, eventually_or, log_of, runtime, send_body, send_one, take_role,
};
use cluster::{Broker, Brokers, Client, Event, Flavour, Language, Proxy, Wire, repository};
use std::collections::BTreeSet;
use std::time::Duration;

const CREATE_TOPIC: i32 = 17;
const SLAVE_NOT_AVAILABLE: i64 = 11;
const FLUSH_SLAVE_TIMEOUT: i64 = 12;
pub(crate) const TOPIC: &str = "T";

/// Clients of each language.
fn languages(kind: &str) -> [(&'static str, Language); 3] {
    let java = match kind {
        "sync" => JAVA_4,
        _ => JAVA_5,
    };
    [("java", java), ("go", Language::Go), ("node", Language::Node)]
}

/// Two masters with a slave each.
pub(crate) struct TwoPairs(pub(crate) Brokers);

impl TwoPairs {
    pub(crate) fn start(kind: &str) -> TwoPairs {
        let conf = repository().join(format!("conf/2m-2s-{kind}"));
        let pairs = TwoPairs(Brokers::of_files(&conf, &[("slaveTimeout", "1000")]));
        for master in ["broker-a", "broker-b"] {
            let fields = [
                ("topic", TOPIC),
                ("defaultTopic", "TBW102"),
                ("readQueueNums", "4"),
                ("writeQueueNums", "4"),
                ("perm", "6"),
                ("topicFilterType", "SINGLE_TAG"),
                ("topicSysFlag", "0"),
                ("order", "false"),
            ];
            let mut wire = Wire::connect(&pairs.broker(master).address()).unwrap();
            assert_eq!(wire.ask(CREATE_TOPIC, &fields, b"").unwrap().code(), 0);
            pairs.wait_in_sync(master);
        }
        for broker in pairs.0.brokers.values() {
            broker.wait_for_topic(TOPIC);
        }
        pairs
    }

    pub(crate) fn broker(&self, name: &str) -> &Broker {
        &self.0.brokers[name]
    }

    pub(crate) fn broker_mut(&mut self, name: &str) -> &mut Broker {
        self.0.brokers.get_mut(name).unwrap()
    }

    /// Waits until a slave follows a master, so that a send is answered SEND_OK; also of an ASYNC_MASTER, which does not wait for that.
    pub(crate) fn wait_in_sync(&self, master: &str) {
        let mut wire = Wire::connect(&self.broker(master).address()).unwrap();
        eventually("a send is acknowledged", || send_one(&mut wire, "Warm") == 0);
        let sent = end(self.broker(master));
        self.wait_follows(master, sent);
    }

    /// Waits until a slave's log has a position.
    pub(crate) fn wait_follows(&self, master: &str, position: i64) {
        let slave = self.broker(&format!("{master}-s"));
        eventually("the slave follows", || end(slave) >= position);
    }

    pub(crate) fn client(&self, language: Language, command: &str, options: &[(&str, &str)]) -> Client {
        let namesrv = self.0.namesrv.address();
        let all = [&[("ns", namesrv.as_str()), ("topic", TOPIC)], options].concat();
        Client::start(language, self.0.path(), command, &all)
    }

    /// Consumers of some languages, in groups of their own.
    fn consumers(&self, prefix: &str, languages: &[(&str, Language)]) -> Vec<Client> {
        let start = |(name, language): &(&str, Language)| {
            let group = format!("{prefix}-{name}");
            self.client(*language, "consume", &[("group", &group)])
        };
        languages.iter().map(start).collect()
    }
}

/// A producer and a consumer of each language, at work on [`TOPIC`] all the time.
pub(crate) struct AtWork {
    pub(crate) senders: Vec<Client>,
    consumers: Vec<Client>,
}

impl AtWork {
    /// `start` starts a client by its language, command and options.
    pub(crate) fn start(start: impl Fn(Language, &str, &[(&str, &str)]) -> Client) -> AtWork {
        let languages = languages("sync");
        let sender = |(name, language): &(&str, Language)| {
            let options = [
                ("until", "stdin"),
                ("prefix", *name),
                ("pause", "10"),
                ("timeout", "3000"),
                ("size", "200"),
            ];
            start(*language, "send", &options)
        };
        let senders = languages.iter().map(sender).collect();
        let consumer = |(name, language): &(&str, Language)| start(*language, "consume", &[("group", *name)]);
        let consumers = languages.iter().map(consumer).collect();
        let work = AtWork { senders, consumers };
        work.wait_more(50);
        work
    }

    /// The same with a cluster's clients.
    fn with(cluster: &cluster::Cluster) -> AtWork {
        let start = |language, command: &str, options: &[(&str, &str)]| {
            client(
                language,
                cluster,
                command,
                &[&[("topic", TOPIC)], options].concat(),
            )
        };
        AtWork::start(start)
    }

    /// Each producer sends so many more.
    pub(crate) fn wait_more(&self, more: usize) {
        wait_more(&self.senders, more);
    }

    /// Each consumer gets what is stored so far.
    pub(crate) fn wait_received(&self) {
        let bodies = stored(&self.senders, false);
        for consumer in &self.consumers {
            wait_received(consumer, &bodies, "what is stored so far");
        }
    }

    /// All producers end; each consumer gets everything that was stored, says so to the master, and ends. So does its slave know.
    pub(crate) fn finish(self, master: &Broker, slave: &Broker) {
        let mut bodies = BTreeSet::new();
        for sender in self.senders {
            let sent = of(&sender.stop(), "sent");
            assert!(sent.iter().any(|event| event.status == "SEND_OK"));
            bodies.extend(sent.into_iter().map(|event| event.body));
        }
        for consumer in &self.consumers {
            wait_received(consumer, &bodies, "everything");
        }
        for (group, _) in languages("sync") {
            wait_until_told(master, TOPIC, group);
            let told = progress(master, TOPIC, group);
            eventually("the slave has the offsets", || {
                progress(slave, TOPIC, group) == told
            });
        }
        for consumer in self.consumers {
            consumer.stop();
        }
    }
}

/// Bodies of what was stored: SEND_OK says also that it is as safe as the settings ask.
fn stored(senders: &[Client], only_ok: bool) -> BTreeSet<String> {
    let events = senders.iter().flat_map(|sender| of(&sender.events(), "sent"));
    let counts = |event: &Event| !only_ok || event.status == "SEND_OK";
    events.filter(counts).map(|event| event.body).collect()
}

/// Waits until a consumer has received all of these.
pub(crate) fn wait_received(consumer: &Client, bodies: &BTreeSet<String>, what: &str) {
    let mut lacks = 0;
    let has_all = eventually_or(&mut || {
        let events = of(&consumer.events(), "received");
        let got: BTreeSet<String> = events.into_iter().map(|event| event.body).collect();
        lacks = bodies.difference(&got).count();
        lacks == 0
    });
    let (name, all) = (consumer.process().name(), bodies.len());
    assert!(
        has_all.is_some(),
        "{name} has not {what}: it lacks {lacks} of {all}"
    );
}

/// Each sender sends so many more.
pub(crate) fn wait_more(senders: &[Client], more: usize) {
    let before: Vec<usize> = senders.iter().map(|sender| sender.count("sent")).collect();
    for (sender, before) in senders.iter().zip(before) {
        sender.wait_count("sent", before + more, LONG);
    }
}

/// Kills, restarts and freezes brokers under load.
fn lives_through(kind: &str) {
    let mut pairs = TwoPairs::start(kind);
    let languages = languages(kind);
    let senders: Vec<Client> = languages
        .into_iter()
        .map(|(name, language)| {
            let options = [
                ("until", "stdin"),
                ("prefix", name),
                ("pause", "5"),
                ("timeout", "3000"),
                ("size", "200"),
            ];
            pairs.client(language, "send", &options)
        })
        .collect();
    let consumers = pairs.consumers("first", &languages);
    wait_more(&senders, 200);

    // A master dies. What was acknowledged is read from its slave by groups that have read nothing yet; under async what the slave had
    // when it died.
    let before = stored(&senders, true);
    let reached = end(pairs.broker("broker-a"));
    pairs.wait_follows("broker-a", reached);
    let before = match kind {
        "sync" => stored(&senders, true),
        _ => before,
    };
    pairs.broker_mut("broker-a").kill();
    // Go's client asks nobody but a master where a group begins.
    let late = pairs.consumers("late", &[languages[0], languages[2]]);
    for consumer in consumers.iter().chain(&late) {
        wait_received(consumer, &before, "all from before the kill");
    }
    // The other pair takes all the time.
    wait_more(&senders, 50);
    pairs.broker_mut("broker-a").restart();
    pairs.wait_in_sync("broker-a");

    // A slave dies and comes back, and is frozen; its master takes all the time.
    pairs.broker_mut("broker-b-s").kill();
    wait_more(&senders, 50);
    pairs.broker_mut("broker-b-s").restart();
    pairs.wait_in_sync("broker-b");
    pairs.broker("broker-b-s").process.signal("STOP");
    wait_more(&senders, 5);
    pairs.broker("broker-b-s").process.signal("CONT");
    pairs.wait_in_sync("broker-b");

    // A master is frozen for longer than a client waits, and goes on.
    pairs.broker("broker-b").process.signal("STOP");
    senders[0].wait_count("failed", senders[0].count("failed") + 1, LONG);
    pairs.broker("broker-b").process.signal("CONT");
    wait_more(&senders, 50);

    for sender in &senders {
        assert!(sender.count("sent") > 0);
    }
    let mut events = Vec::new();
    for sender in senders {
        events.extend(of(&sender.stop(), "sent"));
    }
    let all: BTreeSet<String> = events.into_iter().map(|event| event.body).collect();
    for consumer in consumers.iter().chain(&late) {
        wait_received(consumer, &all, "everything");
    }
    // A consumer that began when the master was dead tells offsets to the slave alone until it looks for routes again (30 s).
    for master in ["broker-a", "broker-b"] {
        for group in GROUPS {
            wait_until_told(pairs.broker(master), TOPIC, group);
        }
    }
    for consumer in consumers.into_iter().chain(late) {
        consumer.stop();
    }
    settle(&pairs, &languages);
}

/// Groups of all consumers.
const GROUPS: [&str; 5] = ["first-java", "late-java", "first-go", "first-node", "late-node"];

/// Afterwards: logs are the same, offsets are kept, and nobody reads anything twice.
fn settle(pairs: &TwoPairs, languages: &[(&str, Language)]) {
    for master in ["broker-a", "broker-b"] {
        let slave = format!("{master}-s");
        let len = end(pairs.broker(master));
        pairs.wait_follows(master, len);
        let [of_master, of_slave] = [master, &slave].map(|name| log_of(&pairs.broker(name).store()));
        for (start, bytes) in &of_master {
            let used = usize::try_from(len - start).unwrap().min(bytes.len());
            assert!(
                bytes[..used] == of_slave[start][..used],
                "{master}: the file at {start}"
            );
        }
        for group in GROUPS {
            let told = progress(pairs.broker(master), TOPIC, group);
            eventually("the slave has the offsets", || {
                progress(pairs.broker(&slave), TOPIC, group) == told
            });
        }
    }
    let again = pairs.consumers("first", languages);
    let more = pairs.client(JAVA_4, "send", &[("count", "16"), ("prefix", "last")]);
    let last = of(&more.finish(LONG), "sent");
    let last: BTreeSet<String> = last.into_iter().map(|event| event.body).collect();
    for consumer in again {
        wait_received(&consumer, &last, "the last");
        let got: BTreeSet<String> = of(&consumer.stop(), "received")
            .into_iter()
            .map(|event| event.body)
            .collect();
        assert_eq!(got, last, "offsets were kept");
    }
}

#[test]
fn clients_live_through_it_on_2m_2s_sync() {
    lives_through("sync");
}

#[test]
fn clients_live_through_it_on_2m_2s_async() {
    lives_through("async");
}

/// A network that loses everything between a SYNC_MASTER and its slave, and closes nothing.
#[test]
fn a_partition_holds_up_no_more_than_it_must_and_heals() {
    let cluster = cluster::Cluster::of(
        Flavour::Ours,
        Flavour::Ours,
        &[
            ("brokerRole", "SYNC_MASTER"),
            ("slaveTimeout", "500"),
            ("haHousekeepingInterval", "2000"),
            ("haSendHeartbeatInterval", "500"),
        ],
    );
    let wire = Proxy::to(format!("127.0.0.1:{}", cluster.broker.port + 1));
    let slave = Broker::start_in(
        "broker-a-s",
        (Flavour::Ours, cluster::Jvm::Small),
        cluster.path(),
        "broker-a",
        &cluster.namesrv.address(),
        &[
            ("brokerRole", "SLAVE"),
            ("brokerId", "1"),
            ("haMasterAddress", &wire.address()),
            ("haHousekeepingInterval", "2000"),
            ("haSendHeartbeatInterval", "500"),
        ],
    );
    let pair = Pair { cluster, slave };
    pair.wait_for_slave();
    let mut client = Wire::connect(&pair.master().address()).unwrap();
    for _ in 0..2 {
        wire.cut();
        assert_eq!(send_one(&mut client, TOPIC), FLUSH_SLAVE_TIMEOUT);
        eventually("the master knows that it has no slave", || {
            send_one(&mut client, TOPIC) == 11
        });
        wire.mend();
        pair.wait_for_slave();
        pair.assert_same_log();
    }
}

/// Settings may name a broker that was made a slave since: nobody copies its log, or cuts after it.
#[test]
fn a_slave_is_nobodys_master() {
    let mut pair = Pair::start(Flavour::Ours, Flavour::Ours, &[], &[]);
    pair.wait_for_slave();
    // Name servers know no master.
    pair.cluster.broker.kill();
    let other = Broker::start_in(
        "broker-a-other",
        (Flavour::Ours, cluster::Jvm::Small),
        pair.cluster.path(),
        "broker-a",
        &pair.cluster.namesrv.address(),
        &[
            ("brokerRole", "SLAVE"),
            ("brokerId", "2"),
            ("haMasterAddress", &format!("127.0.0.1:{}", pair.slave.port + 1)),
        ],
    );
    let is_told = |line: &String| line.contains("the broker there is a slave itself");
    eventually("it was told", || other.process.lines().iter().any(is_told));
    assert_eq!(end(&other), 0);
}

/// The slave's disk is full, and then it is not: the master goes on, and the slave goes on where it was.
#[test]
fn a_slave_whose_disk_is_full_goes_on_when_it_has_space() {
    let cluster = cluster::Cluster::of(
        Flavour::Ours,
        Flavour::Ours,
        &[
            ("brokerRole", "SYNC_MASTER"),
            ("slaveTimeout", "500"),
            ("mappedFileSizeCommitLog", "1048576"),
        ],
    );
    let disk = SmallDisk::mount(cluster.path(), &cluster.path().join("broker-a-s/store"));
    let launcher = disk.launcher();
    let slave = Broker::start_under(
        &launcher.each_ref().map(String::as_str),
        Flavour::Ours,
        (cluster.path(), "broker-a-s"),
        "broker-a",
        &cluster.namesrv.address(),
        &[
            ("brokerRole", "SLAVE"),
            ("brokerId", "1"),
            ("mappedFileSizeCommitLog", "1048576"),
            ("maxHashSlotNum", "1000"),
            ("maxIndexNum", "4000"),
        ],
    );
    let pair = Pair { cluster, slave };
    pair.wait_for_slave();
    let mut wire = Wire::connect(&pair.master().address()).unwrap();
    // A topic that the slave could not keep would be refused before its log is full.
    const BALLAST: &str = "Ballast";
    for topic in [TOPIC, BALLAST] {
        eventually("the topic is on both", || {
            send_body(&mut wire, topic, b"first") == 0
        });
    }
    let work = AtWork::with(&pair.cluster);
    for _ in 0..2 {
        disk.fill();
        // There may be space that was reserved.
        eventually("the slave takes no more", || {
            let code = send_body(&mut wire, BALLAST, &[b'x'; 300_000]);
            // A heartbeat is enough for a slave without space to end the connection, and then it is away for most of the time.
            [FLUSH_SLAVE_TIMEOUT, SLAVE_NOT_AVAILABLE].contains(&code)
        });
        // It is the slave that lacks something, and says so.
        pair.slave.process.wait_for("why it stands", LONG, |line| {
            line.contains("what came can not be appended").then_some(())
        });
        assert!(runtime(&pair.slave)["masterConnection"].contains("can not be appended"));
        // Clients hear of it at most that their messages are on one broker.
        work.wait_more(20);
        work.wait_received();
        disk.clear();
        pair.wait_for_slave();
        let sent = end(pair.master());
        eventually("the slave goes on where it was", || end(&pair.slave) >= sent);
    }
    work.finish(pair.master(), &pair.slave);
    eventually("the slave has the whole log", || {
        end(&pair.slave) == end(pair.master())
    });
    let len = end(pair.master());
    let [of_master, of_slave] = [log_of(&pair.master().store()), log_of(&disk.path())];
    for (start, bytes) in &of_master {
        let used = usize::try_from(len - start).unwrap().min(bytes.len());
        assert!(bytes[..used] == of_slave[start][..used], "the file at {start}");
    }
}

/// What a master with old files expires at its next look.
fn of_short_memory() -> Vec<(&'static str, String)> {
    let hours: Vec<String> = (0..24).map(|hour| format!("{hour:02}")).collect();
    vec![
        ("brokerRole", "ASYNC_MASTER".to_owned()),
        ("mappedFileSizeCommitLog", "1048576".to_owned()),
        ("deleteWhen", hours.join(";")),
    ]
}

fn min(broker: &Broker) -> i64 {
    runtime(broker)["commitLogMinOffset"].parse().unwrap()
}

/// As if days had gone by since a broker wrote its log: it deletes what lies before `position`, and more.
fn expire(broker: &mut Broker, position: i64) {
    broker.stop();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(100 * 3600);
    for file in std::fs::read_dir(broker.store().join("commitlog")).unwrap() {
        let file = std::fs::File::options().write(true).open(file.unwrap().path());
        file.unwrap().set_modified(long_ago).unwrap();
    }
    broker.restart();
    eventually("retention has overtaken the other", || min(broker) > position);
}

/// Ten files of messages that no client compresses.
const MUCH: [(&str, &str); 4] = [
    ("topic", TOPIC),
    ("count", "1500"),
    ("size", "3900"),
    ("mode", "async"),
];

/// The master has deleted what the slave would need next: it says so, keeps what it has aside, and begins anew with what there is.
#[test]
fn a_slave_behind_its_masters_retention_begins_anew() {
    let tuning = of_short_memory();
    let tuning: Vec<(&str, &str)> = tuning.iter().map(|(key, value)| (*key, value.as_str())).collect();
    // Without that, a consumer which wants what is not there waits for the master, as in Java.
    let of_slave = [
        ("mappedFileSizeCommitLog", "1048576"),
        ("offsetCheckInSlave", "true"),
    ];
    let mut pair = Pair::start(Flavour::Ours, Flavour::Ours, &tuning, &of_slave);
    send(JAVA_4, &pair.cluster, &MUCH);
    pair.assert_same_log();
    let had = end(&pair.slave);
    pair.slave.stop();
    send(
        JAVA_4,
        &pair.cluster,
        &[&MUCH[..], &[("prefix", "more")]].concat(),
    );
    expire(&mut pair.cluster.broker, had);
    pair.slave.restart();
    pair.slave
        .process
        .wait_for("it says what it drops", LONG, |line| {
            (line.contains("were cut off") && line.contains("kept in")).then_some(())
        });
    pair.assert_same_log();
    assert_eq!(min(&pair.slave), min(pair.master()));
    // And it can be read.
    let last = send(JAVA_4, &pair.cluster, &[("topic", TOPIC), ("prefix", "last")]);
    pair.assert_same_log();
    pair.cluster.broker.kill();
    let reader = client(
        JAVA_4,
        &pair.cluster,
        "consume",
        &[("topic", TOPIC), ("group", "later")],
    );
    let last = last.into_iter().map(|event| event.body).collect();
    wait_received(&reader, &last, "the last");
}

/// The same to a broker that has acknowledged messages as a master, which its successor never had: it does not drop them by itself.
#[test]
fn an_old_master_behind_its_successors_retention_is_not_cut() {
    let tuning = of_short_memory();
    let tuning: Vec<(&str, &str)> = tuning.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut pair = Pair::start(Flavour::Ours, Flavour::Ours, &tuning, &tuning[1..]);
    pair.slave.stop();
    let options = [("topic", TOPIC), ("count", "100"), ("prefix", "alone")];
    send(JAVA_4, &pair.cluster, &options);
    let had = end(pair.master());
    pair.cluster.broker.kill();
    take_role(&mut pair.slave, "ASYNC_MASTER", "0");
    send(JAVA_4, &pair.cluster, &MUCH);
    expire(&mut pair.slave, had);
    take_role(&mut pair.cluster.broker, "SLAVE", "1");
    let old = &pair.cluster.broker;
    old.process.wait_for("it says what to do", LONG, |line| {
        (line.contains("nothing is cut") && line.contains("Make this broker the master again")).then_some(())
    });
    assert_eq!(end(old), had);
}
