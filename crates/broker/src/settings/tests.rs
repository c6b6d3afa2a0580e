use super::*;
use settings::launch::Action;
use settings::{Applies, Properties, Severity};
use std::collections::BTreeSet;

/// Every key of RocketMQ 4.9.8's and 5.3.3's broker, from their classes.
const KEYS: &str = include_str!("../../tests/config_keys.tsv");

fn read(text: &str) -> (Settings, Report) {
    let mut settings = Settings::default();
    settings.broker.namesrv_addr = Some("127.0.0.1:9876".to_owned());
    let defaults = settings.clone();
    let properties = Properties::parse(text.as_bytes());
    let mut report = settings::load(&mut settings, &properties, Path::new("b.properties"), &HINTS);
    settings.complete(&defaults, &mut report);
    (settings, report)
}

/// As a start does that looks at no host.
fn load(launch: &Launch) -> Result<Loaded, Exit> {
    let loaded = super::read(launch)?;
    launch::decide(launch, &loaded.settings, &loaded.report)?;
    Ok(loaded)
}

/// Keys that Java's broker does not have; it passes over them.
const OURS: &[&str] = &[
    "acceptMissingCommitLog",
    "drainByHttpEnable",
    "haAllowedSlaves",
    "haCutMaxBytes",
    "haTlsEnable",
    "proxyProtocolNetworks",
    "serverBytesHeldPerAddressMax",
    "serverConnectionsPerAddressMax",
    "serverFrameBytesPerSecond",
    "serverHandshakesMax",
    "serverRequestsPerSecondPerAddress",
    "serverRequestsPerSecondPerConnection",
    "shutdownDrainMillis",
    "signatureFailuresMax",
    "signatureFailuresSeconds",
    "slowRequestMillis",
];

#[test]
fn every_key_of_java_is_known() {
    let settings = Settings::default();
    let mut seen = BTreeSet::new();
    for line in KEYS.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[key, class, java_type, in_4_9, in_5_3] = columns.as_slice() else {
            panic!("{line}")
        };
        if HINTS.aliases.iter().any(|alias| alias.key == key) {
            continue;
        }
        // Those of metrics stand in a section that both servers have.
        let (section, row) = settings
            .sections()
            .into_iter()
            .filter(|section| [class, "Metrics"].contains(&section.class()))
            .find_map(|section| Some((section, section.row(key)?)))
            .unwrap_or_else(|| panic!("{class} lacks {key}"));
        seen.insert((class, key));
        match row.applies {
            Applies::Inert(reason) | Applies::Fixed(reason) => assert!(reason.len() > 10, "{key}: {reason}"),
            Applies::AtStart | Applies::Live => assert!(row.doc.len() > 10, "{key}: {}", row.doc),
        }
        let plain = ["int", "long", "boolean", "double", "String"].contains(&java_type);
        assert!(
            !plain || row.java == java_type,
            "{key} is {java_type}, not {}",
            row.java
        );
        assert_eq!(row.since, if in_4_9 == "-" { "5.3" } else { "4.9" }, "{key}");
        check_default(section, key, if in_4_9 == "-" { in_5_3 } else { in_4_9 });
    }
    let known: usize = settings
        .sections()
        .iter()
        .filter(|section| !["Log", "Tls"].contains(&section.class()))
        .map(|section| section.rows().len())
        .sum();
    assert_eq!(
        known,
        seen.len() + OURS.len(),
        "the table has keys that Java has not"
    );
    for key in OURS {
        let row = settings.sections().iter().find_map(|section| section.row(key));
        assert_eq!(row.map(|row| row.since), Some("only here"), "{key}");
    }
    assert_eq!(
        seen.len() + 1,
        KEYS.lines().count() - 1,
        "one key of Java's is an alias here"
    );
}

/// Defaults are Java's, but for these.
fn check_default(section: &dyn Section, key: &str, java: &str) {
    let ours = section.get(key);
    let expected = match key {
        // Set by the server before the file is read.
        "listenPort" if section.class() == "NettyServerConfig" => Some("10911"),
        "haListenPort" => Some("0"),
        // 5.3.3's default: statistics of what is gone are gone too.
        "autoDeleteUnusedStats" => Some("true"),
        "useTLS" => Some("false"),
        // On by default, on loopback.
        "metricsExporterType" => Some("PROM"),
        // What is secret is shown as Java shows what is not there.
        "metricsGrpcExporterHeader" => None,
        _ if java == "null" => None,
        // Computed at start.
        _ if java.contains('<') => return,
        _ => Some(java),
    };
    assert_eq!(ours.as_deref(), expected, "{key}");
}

#[test]
fn files_of_tutorials_start_a_broker() {
    for (name, text, expected) in [
        (
            "tutorial-2m-2s-async.properties",
            include_str!("../../tests/files/tutorial-2m-2s-async.properties"),
            &[
                "tutorial:7: unknown key `brokerld` has no effect; did you mean `brokerId`?",
                "tutorial:22: `文件保留时间，默认48小时` is no key; a comment starts with #",
                "tutorial:25: `mapedFileSizeCommitLog` has no effect",
                "tutorial:27: `mapedFileSizeConsumeQueue` has no effect",
                "tutorial:36: unknown key `storrPathConsumeQueue` has no effect; it may stand for `storePathConsumeQueue`, \
                 which is no key either: the consume queues are always in <storePathRootDir>/consumequeue",
                "tutorial:38: unknown key `storePathIndex` has no effect: the index is always in <storePathRootDir>/index",
                "tutorial:40: unknown key `storeCheckpoint` has no effect",
                "tutorial:42: unknown key `abortFile` has no effect",
                "tutorial:44: unknown key `maxMessageBiz` has no effect; did you mean `maxMessageSize`?",
            ][..],
        ),
        (
            "tutorial-4.2-broker.conf",
            include_str!("../../tests/files/tutorial-4.2-broker.conf"),
            &[
                "tutorial:5: unknown key `brokerPort` has no effect: the port to listen on is `listenPort`",
                "tutorial:8: `brokerIP1=*.*.*.*` looks like a placeholder",
                "tutorial:11: `namesrvAddr=*.*.*.*:9876` looks like a placeholder",
            ],
        ),
        (
            "tutorial-docker-broker.conf",
            include_str!("../../tests/files/tutorial-docker-broker.conf"),
            &[
                "tutorial:16: `namesrvAddr=${ip}:9876` looks like a placeholder",
                "tutorial:18: `brokerIP1=${ip}` looks like a placeholder",
            ],
        ),
        (
            "tutorial-2m-2s-sync-a.properties",
            include_str!("../../tests/files/tutorial-2m-2s-sync-a.properties"),
            &[
                "`mapedFileSizeCommitLog` has no effect",
                "`mapedFileSizeConsumeQueue` has no effect",
                "unknown key `storePathConsumeQueue`",
                "unknown key `storePathIndex`",
                "unknown key `storeCheckpoint`",
                "unknown key `abortFile`",
                "tutorial:30: storePathRootDir=./../data/",
                "tutorial:32: storePathCommitLog=./../data/",
            ],
        ),
        (
            "tutorial-2m-2s-sync-b-s.properties",
            include_str!("../../tests/files/tutorial-2m-2s-sync-b-s.properties"),
            &[
                "`mapedFileSizeCommitLog` has no effect",
                "`mapedFileSizeConsumeQueue` has no effect",
                "unknown key `storePathConsumeQueue`",
                "unknown key `storePathIndex`",
                "unknown key `storeCheckpoint`",
                "unknown key `abortFile`",
                "tutorial:30: storePathRootDir=./../data/",
                "tutorial:32: storePathCommitLog=./../data/",
            ],
        ),
    ] {
        let (_, report) = read(text);
        assert!(!report.has_errors(), "{name}: {report}");
        let lines: Vec<String> = report
            .to_string()
            .replace("b.properties", "tutorial")
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(lines.len(), expected.len(), "{name}: {lines:#?}");
        for (line, part) in lines.iter().zip(expected) {
            assert!(line.contains(part), "{name}: {line}\n   lacks {part}");
        }
    }
}

/// What Java's `mqbroker -p` prints, less the time before each line: empty values for its nulls, `is…` for some keys.
#[test]
fn what_java_prints_is_read() {
    let home = tempfile::tempdir().unwrap();
    for text in [
        include_str!("../../tests/files/java-4.9.7-printed.properties"),
        include_str!("../../tests/files/java-5.3.3-printed.properties"),
    ] {
        let (settings, report) = read(&text.replace("/home/mq", &home.path().display().to_string()));
        // 5.x prints a listenPort that it does not use before the one that it does.
        let odd: Vec<String> = report
            .at_least(Severity::Warning)
            .map(|finding| finding.text.clone())
            .filter(|text| !text.starts_with("`listenPort` was already set to `6888`"))
            .collect();
        assert_eq!(odd, [""; 0]);
        assert_eq!(settings.server.listen_port, 10_911);
        // Of the command line or the environment.
        assert_eq!(settings.broker.namesrv_addr.as_deref(), Some("127.0.0.1:9876"));
    }
}

#[test]
fn what_is_printed_is_read() {
    for action in [Action::PrintAll, Action::PrintImportant] {
        let launch = Launch {
            action,
            ..Launch::default()
        };
        let text = load(&launch).unwrap_err().text;
        assert!(text.lines().count() > 9, "{text}");
        let (_, report) = read(&text);
        let odd: Vec<String> = report
            .at_least(Severity::Warning)
            .map(ToString::to_string)
            .collect();
        assert_eq!(odd, [""; 0]);
    }
}

#[test]
fn values_of_tutorials_arrive() {
    let (settings, _) = read(include_str!("../../tests/files/tutorial-2m-2s-sync-a.properties"));
    assert_eq!(settings.broker.broker_name, "broker-a");
    assert_eq!(settings.store.broker_role, BrokerRole::SyncMaster);
    assert_eq!(settings.store.flush_disk_type, FlushDiskType::SyncFlush);
    assert_eq!(
        settings.store.mapped_file_size_consume_queue, 6_000_000,
        "the old spelling has no effect, as in releases since 4.6: both servers make the same files"
    );
    assert_eq!(
        settings.store.commit_log_dirs(),
        [PathBuf::from("./../data/master1/commitlog")]
    );
    assert_eq!(
        (settings.server.listen_port, settings.store.ha_listen_port),
        (10_911, 10_912)
    );
    let (settings, _) = read(include_str!(
        "../../tests/files/tutorial-2m-2s-sync-b-s.properties"
    ));
    assert_eq!(
        (
            settings.broker.broker_id,
            settings.store.access_message_in_memory_max_ratio
        ),
        (1, 30)
    );
}

#[test]
fn rules_between_settings() {
    let (settings, report) = read("brokerId=3\n");
    assert_eq!(settings.broker.broker_id, 0);
    assert!(
        report.to_string().contains("brokerRole=ASYNC_MASTER makes it 0"),
        "{report}"
    );
    for (text, part) in [
        ("brokerRole=SLAVE\n", "Slave's brokerId must be > 0"),
        ("namesrvAddr=localhost\n", "`localhost` has no port"),
        ("listenPort=2\n", "listenPort=2 must be 3 or more"),
        ("listenPort=abc\n", "allowed: 3 to 65534 ("),
        ("listenPort=0\n", "allowed: 3 to 65534 ("),
        ("brokerRole=MASTER\n", "ASYNC_MASTER, SYNC_MASTER, SLAVE"),
        ("flushDiskType=ASYNC_MASTER\n", "SYNC_FLUSH, ASYNC_FLUSH"),
        ("deleteWhen=24\n", "hours from 00 to 23"),
        (
            "authenticationStrategy=org.apache.rocketmq.auth.authentication.strategy.StatefulAuthenticationStrategy\n",
            "each request is decided anew",
        ),
        (
            "authorizationMetadataProvider=a.b.C\n",
            "only org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider",
        ),
        (
            "initAuthenticationUser={\"username\":\"a\"}\n",
            "it should be {\"username\":\"...\",\"password\":\"...\"}",
        ),
        (
            "innerClientAuthenticationCredentials={\"accessKey\":\"a\"}\n",
            "it should be",
        ),
        ("messageDelayLevel=1s  5s\n", "numbers with s, m, h or d"),
        ("brokerName=\n", "any text but nothing"),
        ("storeType=defaultRocksDB\n", "never in RocksDB"),
    ] {
        let report = read(text).1;
        assert!(
            report.has_errors() && report.to_string().contains(part),
            "{text}: {report}"
        );
    }
    assert_eq!(read("haListenPort=5\n").0.store.ha_listen_port, 5);
    assert_eq!(read("deleteWhen=04;16\n").0.store.delete_hours(), [4, 16]);
}

/// Everything that a start refuses, or that cannot work, is refused by the check, with its line.
#[test]
fn the_check_refuses_what_the_start_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.display();
    for (text, part) in [
        ("brokerName=broker-a # the first".to_owned(), "starts no comment"),
        ("brokerClusterName=c // cluster".to_owned(), "starts no comment"),
        ("brokerName=\"broker-a\"".to_owned(), "without quotes"),
        ("namesrvAddr=a:1,b:2".to_owned(), "`;` separates"),
        ("namesrvAddr=http://a:9876".to_owned(), "a scheme"),
        ("namesrvAddr=<ip>:9876".to_owned(), "no host's name"),
        ("namesrvAddr=10.0.0:9876".to_owned(), "no IPv4 address"),
        ("brokerIP1=10.0.0.1:10911".to_owned(), "without a port"),
        ("brokerIP2=你的ip".to_owned(), "no host's name"),
        ("bindAddress=eth0".to_owned(), "an IP address of this host"),
        ("listenPort=65535".to_owned(), "no room"),
        ("listenPort=2".to_owned(), "3 or more"),
        ("haListenPort=10911".to_owned(), "taken by this broker itself"),
        ("haListenPort=10909".to_owned(), "taken by this broker itself"),
        ("haListenPort=65536".to_owned(), "0 to 65535"),
        ("mappedFileSizeCommitLog=1024".to_owned(), "4096 to"),
        ("mappedFileSizeCommitLog=100".to_owned(), "4096 to"),
        ("mappedFileSizeConsumeQueue=19".to_owned(), "20 to"),
        (
            "mappedFileSizeConsumeQueue=2147483640".to_owned(),
            "to 2147483627",
        ),
        ("maxIndexNum=107000000".to_owned(), "maxIndexNum is 107000000"),
        ("maxMessageSize=2147483647".to_owned(), "to 2147418103"),
        ("messageDelayLevel=1s 5x".to_owned(), "s, m, h or d"),
        // As Java: it does not start with it either.
        ("messageDelayLevel=".to_owned(), "s, m, h or d"),
        ("haMasterAddress=10.0.0.1".to_owned(), "it has no port"),
        (
            "haMasterAddress=10.0.0.1:10912;10.0.0.2:10912".to_owned(),
            "it has",
        ),
        (format!("storePathRootDir={file}"), "no directory"),
        (format!("storePathRootDir={file}/store"), "in the way"),
        (format!("storePathCommitLog={file}"), "no directory"),
        ("storePathRootDir=\"/data".to_owned(), "without quotes"),
        ("storePathRootDir=D:/store".to_owned(), "Windows"),
        (
            "storePathRootDir=${surely.not.set}/store".to_owned(),
            "surely.not.set",
        ),
        ("storePathRootDir=".to_owned(), "a path"),
        ("logLevels=debgu".to_owned(), "`debug` is meant?"),
    ] {
        let (_, report) = read(&format!("\n{text}\n"));
        let place = "error: b.properties:2: ";
        let found = report.to_string();
        assert!(
            found
                .lines()
                .any(|line| line.starts_with(place) && line.contains(part)),
            "{text}: {found}"
        );
    }
}

/// Values that can be stored, but not as somebody may expect, are warned of.
#[test]
fn what_works_only_in_part_is_warned_of() {
    for (text, part) in [
        ("maxMessageSize=16777216", "a frame has at most 16777216 bytes"),
        (
            "mappedFileSizeCommitLog=1048576",
            "takes records of 1048568 bytes",
        ),
        ("inSyncReplicas=1\nbrokerRole=SYNC_MASTER", "waits for no slave"),
        (
            "minInSyncReplicas=3\ninSyncReplicas=2\nbrokerRole=SYNC_MASTER",
            "more than inSyncReplicas=2: a SYNC_MASTER refuses sends while fewer than 3 brokers are in sync",
        ),
        (
            "minInSyncReplicas=3\ninSyncReplicas=2\nenableAutoInSyncReplicas=true",
            "inSyncReplicas counts for nothing",
        ),
    ] {
        let (_, report) = read(&format!("\n{text}\n"));
        let found = report.to_string();
        assert!(!report.has_errors(), "{found}");
        assert!(
            found.starts_with("warning: b.properties:2: ") && found.contains(part),
            "{found}"
        );
    }
}

/// UPDATE_BROKER_CONFIG must not write a file that the next start refuses.
#[test]
fn a_change_that_the_next_start_would_refuse_is_known_before() {
    let check = |text: &str| Settings::default().check_next_start(text.as_bytes());
    let with = |key: &str, value: &str| check(&format!("haListenPort=10950\n{key}={value}\n"));
    assert_eq!(with("listenPort", "10960"), Ok(()));
    // The port of replication, which is not given here, moves along.
    assert_eq!(check("listenPort=10914\n"), Ok(()));
    assert_eq!(with("flushDiskType", "SYNC_FLUSH"), Ok(()));
    for (key, value, part) in [
        ("listenPort", "10950", "taken by this broker itself"),
        ("brokerRole", "SLAVE", "brokerId must be > 0"),
        ("maxIndexNum", "107000000", "maxIndexNum is 107000000"),
        ("brokerName", "a # b", "starts no comment"),
    ] {
        let refused = with(key, value).unwrap_err();
        assert!(refused.contains(part), "{refused}");
    }
}

/// Offsets that can never be saved are found out before they are taken.
#[test]
fn folders_of_the_store_that_cannot_be_written_refuse_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().display();
    for below in ["commitlog", "config", "consumequeue", "index"] {
        let text = format!("storePathRootDir={root}\n");
        assert!(!read(&text).1.has_errors());
        // Whoever runs the tests may be allowed everything; a file in the way stops all.
        let path = dir.path().join(below);
        std::fs::write(&path, "").unwrap();
        let found = read(&text).1.to_string();
        let expected =
            format!("error: b.properties:1: storePathRootDir={root}: {root}/{below} is no directory");
        assert!(found.contains(&expected), "{found}");
        std::fs::remove_file(&path).unwrap();
    }
}

/// As where a broker is started before the network.
#[test]
fn the_loopback_told_to_name_servers_elsewhere_is_warned_of() {
    for (announced, servers, is_told) in [
        ("127.0.0.1", "10.9.9.9:9876", true),
        ("127.0.0.1", "127.0.0.1:9876;10.9.9.9:9876", true),
        ("::1", "[2001:db8::1]:9876", true),
        ("127.0.0.1", "127.0.0.1:9876;[::1]:9876", false),
        ("10.9.9.8", "10.9.9.9:9876", false),
    ] {
        let (settings, _) = read(&format!("brokerIP1={announced}\nnamesrvAddr={servers}\n"));
        let mut report = Report::default();
        settings.warn_of_loopback(&mut report);
        let said = report.to_string();
        assert_eq!(
            said.contains(&format!("warning: brokerIP1={announced}, which")),
            is_told,
            "{said}"
        );
    }
}

#[test]
fn a_slave_has_a_name_of_its_own_on_its_host() {
    let (settings, _) = read("brokerName=broker-a\nbrokerRole=SLAVE\nbrokerId=1\n");
    assert_eq!(settings.own_name(), "broker-a_1");
    assert_eq!(read("brokerName=broker-a\n").0.own_name(), "broker-a_0");
}

#[test]
fn boot_lines() {
    let mut settings = Settings::default();
    settings.broker.broker_name = "mao".to_owned();
    settings.broker.broker_ip1 = "172.27.80.1".to_owned();
    settings.broker.namesrv_addr = None;
    let head = "The broker[mao, 172.27.80.1:10911] boot success. serializeType=JSON";
    assert_eq!(settings.boot_success(), head);
    settings.broker.namesrv_addr = Some("127.0.0.1:9876".to_owned());
    assert_eq!(
        settings.boot_success(),
        format!("{head} and name server is 127.0.0.1:9876")
    );
}

#[test]
fn an_announced_ipv6_address_has_brackets() {
    for (given, announced) in [
        ("::1", "[::1]:10911"),
        ("[::1]", "[::1]:10911"),
        ("10.0.0.1", "10.0.0.1:10911"),
        ("mq.example.com", "mq.example.com:10911"),
    ] {
        let (settings, report) = read(&format!("brokerIP1={given}\n"));
        assert!(!report.has_errors(), "{report}");
        assert_eq!(settings.broker_addr(), announced);
    }
    assert_eq!(read("brokerIP2=::1\n").0.ha_addr(10_912), "[::1]:10912");
}

/// Whoever listens on one address is not announced at another, unless the file says so.
#[test]
fn a_broker_is_announced_where_it_listens() {
    let default = Settings::default();
    let host = [&*default.broker.broker_ip1, &*default.broker.broker_ip2];
    for (file, announced) in [
        ("bindAddress=0.0.0.0\n", host),
        ("bindAddress=127.0.0.1\n", ["127.0.0.1", "127.0.0.1"]),
        (
            "bindAddress=127.0.0.1\nbrokerIP1=10.0.0.1\n",
            ["10.0.0.1", "127.0.0.1"],
        ),
        (
            "bindAddress=127.0.0.1\nbrokerIP2=10.0.0.1\n",
            ["127.0.0.1", "10.0.0.1"],
        ),
    ] {
        let broker = read(file).0.broker;
        assert_eq!([&*broker.broker_ip1, &*broker.broker_ip2], announced, "{file}");
    }
}

#[test]
fn printed_settings() {
    let launch = Launch {
        action: Action::PrintAll,
        ..Launch::default()
    };
    let exit = load(&launch).unwrap_err();
    assert_eq!(exit.code, 0);
    for line in [
        "brokerRole=ASYNC_MASTER",
        "listenPort=10911",
        "isEnableBatchPush=false",
        "deleteWhen=04",
    ] {
        assert_eq!(
            exit.text.lines().filter(|found| *found == line).count(),
            1,
            "{line} in {}",
            exit.text
        );
    }
    let printed: BTreeSet<&str> = exit
        .text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let settings = Settings::default();
    for row in settings.sections().iter().flat_map(|section| section.rows()) {
        assert!(printed.contains(row.shown), "{} is not printed", row.shown);
    }
    let important = load(&Launch {
        action: Action::PrintImportant,
        ..Launch::default()
    })
    .unwrap_err()
    .text;
    assert!(
        important.contains("brokerClusterName=DefaultCluster\n"),
        "{important}"
    );
    assert!(!important.contains("haListenPort"), "{important}");
}

#[test]
fn command_line_counts_more_than_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "namesrvAddr=file:1\nbrokerName=b\n").unwrap();
    let mut launch = Launch {
        config_file: Some(file.path().to_owned()),
        ..Launch::default()
    };
    let settings = load(&launch).unwrap().settings;
    assert_eq!(settings.broker.namesrv_addrs(), ["file:1"]);
    assert_eq!(settings.config_file(), file.path());
    launch.namesrv_addr = Some("a:1;b:2".to_owned());
    assert_eq!(
        load(&launch).unwrap().settings.broker.namesrv_addrs(),
        ["a:1", "b:2"]
    );
    launch.config_file = Some(PathBuf::from("/nowhere/broker.conf"));
    let exit = load(&launch).unwrap_err();
    assert!(
        exit.code != 0 && exit.complaint.contains("/nowhere/broker.conf"),
        "{exit:?}"
    );
}

#[test]
fn files_in_conf_have_nothing_odd() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf");
    let mut ports = std::collections::BTreeMap::new();
    for set in ["2m-noslave", "2m-2s-async", "2m-2s-sync", "."] {
        for entry in std::fs::read_dir(conf.join(set)).unwrap() {
            let path = entry.unwrap().path();
            let is_log = path.extension().is_some_and(|extension| extension == "xml");
            if path.is_dir() || is_log || path.ends_with("namesrv.properties") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let (settings, report) = read(&text);
            let found = report.to_string();
            assert!(report.findings.is_empty(), "{}: {found}", path.display());
            if set == "." {
                continue;
            }
            let port = settings.server.listen_port;
            for taken in [port - 2, port, settings.store.ha_listen_port] {
                let other = ports.insert((set, taken), path.clone());
                assert_eq!(other, None, "port {taken} of {}", path.display());
            }
            let root = settings.store.store_path_root_dir;
            assert!(
                root.starts_with(&*host::home().unwrap().to_string_lossy()) && !root.contains("${"),
                "{root}"
            );
        }
    }
    assert_eq!(ports.len(), 3 * (2 + 4 + 4));
}

#[test]
fn keys_of_the_name_server_are_said_to_be_its() {
    let (_, report) = read("updateAllowedNetworks=10.0.0.0/8\nkvConfigPath=/kv.json\nupdateCredential=[]\n");
    let report = report.to_string();
    for part in [
        "`updateAllowedNetworks` has no effect: it is a key of the name server",
        "`kvConfigPath` has no effect: it is a key of the name server",
        "`updateCredential` has no effect; it may stand for `updateCredentials`, which is no key either: it is a key of the name server",
    ] {
        assert!(report.contains(part), "{report}");
    }
}

/// The page is made from the table: `UPDATE_DOCS=1 cargo test -p broker` writes it.
#[test]
fn the_page_of_settings_is_this_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings-broker.md");
    let head = "# Settings of the broker\n\nMade from the tables in `crates/broker/src/settings`. One flat properties file sets them all; `mqbroker -p` prints them.\n";
    let page = format!(
        "{head}{}",
        settings::page(
            &Settings::default(),
            &[
                "brokerName",
                "brokerIP1",
                "brokerIP2",
                "storePathRootDir",
                "rocketmqHome"
            ]
        )
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == page,
        "docs/settings-broker.md is out of date"
    );
}
