//! The name server's settings.

use ::settings::launch::{self, Exit, Launch};
use ::settings::net::{ClientSection, ServerSection, TlsSection};
use ::settings::{
    Alias, Group, Hints, NotAKey, Report, Secret, Section, Severity, host, networks, networks_of,
    optional_path, path, settings,
};
use ipnet::IpNet;
use logs::LogSection;
use metrics::MetricsSection;
use remoting::tls::{ClientTls, ServerTls, TlsError};
use std::path::Path;
use std::sync::Arc;

const POOLS: &str = "requests are not handled by thread pools here, so there is nothing to size";
const QUEUES: &str = "no queue of waiting requests stands before a pool here; connections and requests in flight are limited instead";
const CONTROLLER: &str = "controller mode is not part of this release";

settings! {
    /// What the name server does (Java: NamesrvConfig).
    pub struct NamesrvSection, class "NamesrvConfig", important [];
    /// Route replies include orderTopicConf read from KV namespace ORDER_TOPIC_CONFIG.
    order_message_enable: bool = false, java "orderMessageEnable", since "4.9", applies Live;
    /// Installation directory, from the environment variable ROCKETMQ_HOME; printed, and not needed to start.
    rocketmq_home: Option<String> = host::variable("ROCKETMQ_HOME"),
        java "rocketmqHome", since "4.9", applies AtStart, read optional_path;
    /// File that keeps the KV configuration (JSON).
    kv_config_path: String = host::home_path("namesrv/kvConfig.json"),
        java "kvConfigPath", since "4.9", applies AtStart, read path;
    /// File that UPDATE_NAMESRV_CONFIG rewrites: that of -c, or ~/namesrv/changedSettings.properties, which a start without -c reads.
    config_store_path: String = host::home_path("namesrv/namesrv.properties"),
        java "configStorePath", since "4.9", applies AtStart, read path;
    /// ";"-separated keys that UPDATE_NAMESRV_CONFIG refuses.
    config_black_list: String = "configBlackList;configStorePath;kvConfigPath".to_owned(),
        java "configBlackList", since "4.9", applies AtStart;
    /// REGISTER_BROKER replies carry the ORDER_TOPIC_CONFIG table as body.
    return_order_topic_config_to_broker: bool = true,
        java "returnOrderTopicConfigToBroker", since "5.3", applies Live;
    /// Milliseconds between scans for dead brokers.
    scan_not_active_broker_interval: i64 = 5000,
        java "scanNotActiveBrokerInterval", since "5.3", applies AtStart, range 1..=i64::MAX;
    /// When a group has no master, show the smallest slave id as id 0 in routes (if the broker allows it).
    support_acting_master: bool = false, java "supportActingMaster", since "5.3", applies Live;
    /// Allow GET_ALL_TOPIC_LIST_FROM_NAMESERVER, else code 1 "disable".
    enable_all_topic_list: bool = true, java "enableAllTopicList", since "5.3", applies Live;
    /// Allow topic lists by cluster/unit, else code 1 "disable".
    enable_topic_list: bool = true, java "enableTopicList", since "5.3", applies Live;
    /// Send NOTIFY_MIN_BROKER_ID_CHANGE to a broker group.
    notify_min_broker_id_changed: bool = false, java "notifyMinBrokerIdChanged", since "5.3", applies Live;
    /// Refuse route queries for a while after start.
    need_wait_for_service: bool = false, java "needWaitForService", since "5.3", applies AtStart;
    /// How long that while is, seconds.
    wait_seconds_for_service: i32 = 45,
        java "waitSecondsForService", since "5.3", applies AtStart, range 0..=i32::MAX;
    /// A full registration removes that broker's topics missing from it.
    delete_topic_with_broker_registration: bool = false,
        java "deleteTopicWithBrokerRegistration", since "5.3", applies Live;
    /// Who may change settings, KV configuration, routes and registrations: networks and addresses, separated by commas. Not given
    /// and updateCredentials not either, everybody may, as in Java (docs/security.md).
    update_allowed_networks: Option<String> = None, java "updateAllowedNetworks", since "only here", applies AtStart,
        check networks;
    /// Who may change them from anywhere if his requests are signed: `{"accessKey":"a","secretKey":"s"}`, or a list of such.
    update_credentials: Secret = Secret::default(), java "updateCredentials", since "only here", applies AtStart;
    /// Memory that one registration may take while it is read, bytes: 256 and the text for each topic. What would take more, unpacked,
    /// is answered with code 29.
    registration_max_bytes: i64 = 134_217_728,
        java "registrationMaxBytes", since "only here", applies Live, range 1_048_576..=i64::MAX;
    inert {
        "productEnvName": String = "center", since "4.9", "only cluster-test mode reads it, which is not built";
        "clientRequestThreadPoolNums": i32 = "8", since "5.3", POOLS;
        "defaultThreadPoolNums": i32 = "16", since "5.3", POOLS;
        "clientRequestThreadPoolQueueCapacity": i32 = "50000", since "5.3", QUEUES;
        "defaultThreadPoolQueueCapacity": i32 = "10000", since "5.3", QUEUES;
        "unRegisterBrokerQueueCapacity": i32 = "3000", since "5.3", "brokers are removed at once, without a queue";
    }
    fixed {
        "clusterTest": bool = "false", since "4.9", "cluster-test mode is not built";
        "enableControllerInNamesrv": bool = "false", since "5.3", CONTROLLER;
    }
}

impl NamesrvSection {
    /// [`NamesrvSection::registration_max_bytes`] as a size.
    pub fn registration_max_bytes(&self) -> usize {
        usize::try_from(self.registration_max_bytes).unwrap_or(usize::MAX)
    }
}

/// Ports of metrics where none is given, below those of brokers.
const METRICS_PORTS: std::ops::RangeInclusive<u16> = 5528..=5556;

settings! {
    /// The controller that 5.x can run inside the name server (Java: ControllerConfig); it is not built.
    pub struct ControllerSection, class "ControllerConfig", important [];
    inert {
        "controllerThreadPoolNums": i32 = "16", since "5.3", CONTROLLER;
        "controllerRequestThreadPoolQueueCapacity": i32 = "50000", since "5.3", CONTROLLER;
        "controllerDLegerGroup": Option<String> = "null", since "5.3", CONTROLLER;
        "controllerDLegerPeers": Option<String> = "null", since "5.3", CONTROLLER;
        "controllerDLegerSelfId": Option<String> = "null", since "5.3", CONTROLLER;
        "mappedFileSize": i32 = "1073741824", since "5.3", CONTROLLER;
        "controllerStorePath": String = "", since "5.3", CONTROLLER;
        "enableElectUncleanMaster": bool = "false", since "5.3", CONTROLLER;
        "processReadEvent": bool = "false", since "5.3", CONTROLLER, shown "isProcessReadEvent";
        "notifyBrokerRoleChanged": bool = "true", since "5.3", CONTROLLER;
        "scanInactiveMasterInterval": i64 = "5000", since "5.3", CONTROLLER;
        "controllerType": String = "DLedger", since "5.3", CONTROLLER;
        "jraftConfig": String = "null", since "5.3", CONTROLLER;
        "electMasterMaxRetryCount": i32 = "3", since "5.3", CONTROLLER;
    }
}

settings! {
    /// The controller's consensus (Java: JraftConfig); it is not built.
    pub struct JraftSection, class "JraftConfig", important [];
    inert {
        "jRaftElectionTimeoutMs": i32 = "1000", since "5.3", CONTROLLER;
        "jRaftSnapshotIntervalSecs": i32 = "3600", since "5.3", CONTROLLER;
        "jRaftGroupId": String = "jRaft-Controller", since "5.3", CONTROLLER;
        "jRaftServerId": String = "localhost:9880", since "5.3", CONTROLLER;
        "jRaftInitConf": String = "localhost:9880,localhost:9881,localhost:9882", since "5.3", CONTROLLER;
        "jRaftControllerRPCAddr": String = "localhost:9770,localhost:9771,localhost:9772", since "5.3", CONTROLLER;
        "jRaftScanWaitTimeoutMs": i32 = "1000", since "5.3", CONTROLLER;
    }
}

/// All settings of a name server.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The name server itself.
    pub namesrv: NamesrvSection,
    /// The listening side.
    pub server: ServerSection,
    /// The calling side.
    pub client: ClientSection,
    /// Metrics and health.
    pub metrics: MetricsSection,
    /// The controller of 5.x.
    pub controller: ControllerSection,
    /// The controller's consensus.
    pub jraft: JraftSection,
    /// TLS.
    pub tls: TlsSection,
    /// The log.
    pub log: LogSection,
    /// `metricsPromExporterPort` was given, be it with its default.
    pub exporter_port_given: bool,
    /// The start read the file of `-c`.
    pub config_file_given: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            namesrv: NamesrvSection::default(),
            server: ServerSection {
                listen_port: 9876,
                ..ServerSection::default()
            },
            client: ClientSection::default(),
            metrics: MetricsSection::default(),
            controller: ControllerSection::default(),
            jraft: JraftSection::default(),
            tls: TlsSection::default(),
            log: LogSection::default(),
            exporter_port_given: false,
            config_file_given: false,
        }
    }
}

impl Group for Settings {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![
            &self.namesrv,
            &self.server,
            &self.client,
            &self.metrics,
            &self.controller,
            &self.jraft,
            &self.tls,
            &self.log,
        ]
    }

    fn sections_mut(&mut self) -> Vec<&mut dyn Section> {
        vec![
            &mut self.namesrv,
            &mut self.server,
            &mut self.client,
            &mut self.metrics,
            &mut self.controller,
            &mut self.jraft,
            &mut self.tls,
            &mut self.log,
        ]
    }
}

/// The modules of this program that log.
pub const MODULES: &[&str] = &["logs", "metrics", "namesrv", "process", "remoting", "settings"];

/// Old spellings, and keys of tutorials.
pub const HINTS: Hints = Hints {
    aliases: &[Alias {
        key: "enableTransparentRetry",
        now: None,
        known_in: "5.2.0 to 5.3.1 only",
    }],
    not_keys: &[
        NotAKey {
            key: "brokerName",
            instead: "it is a key of brokers",
        },
        NotAKey {
            key: "brokerClusterName",
            instead: "it is a key of brokers",
        },
        NotAKey {
            key: "brokerId",
            instead: "it is a key of brokers",
        },
        NotAKey {
            key: "brokerRole",
            instead: "it is a key of brokers",
        },
        NotAKey {
            key: "brokerIP1",
            instead: "it is a key of brokers",
        },
        NotAKey {
            key: "storePathRootDir",
            instead: "it is a key of brokers",
        },
        NotAKey {
            key: "aclEnable",
            instead: "it is a key of brokers",
        },
        NotAKey {
            key: "namesrvAddr",
            instead: "it tells brokers and clients where name servers are",
        },
        NotAKey {
            key: "bindPort",
            instead: "the port to listen on is `listenPort`",
        },
        NotAKey {
            key: "port",
            instead: "the port to listen on is `listenPort`",
        },
    ],
};

/// Settings that were read, with everything found on the way.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Findings for the log; those of [`settings::Severity::Warning`] belong on stderr too.
    pub report: Report,
}

/// What was changed while a name server ran that was given no file.
const KEPT_FILE: &str = "changedSettings.properties";

/// The line that RocketMQ prints when a name server serves.
pub const BOOT_SUCCESS: &str = "The Name Server boot success. serializeType=JSON";

/// Reads the settings of a command line: defaults, then the file. A file given by `-c` is also the one that
/// UPDATE_NAMESRV_CONFIG rewrites, whatever configStorePath says in it (NamesrvStartup). What comes of them, `launch::decide` says.
///
/// # Errors
/// The file can not be read.
pub fn read(launch: &Launch) -> Result<Loaded, Exit> {
    let mut settings = Settings::default();
    let kept = host::home().map(|home| home.join("namesrv").join(KEPT_FILE));
    let mut report = launch::read(launch, &mut settings, &HINTS, kept.as_deref())?;
    let file = match &launch.config_file {
        Some(path) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        // Unlike Java, which writes all its settings into `~/namesrv/namesrv.properties` then, and reads it never.
        None => kept,
    };
    if let Some(path) = file {
        settings.namesrv.config_store_path = path.to_string_lossy().into_owned();
    }
    settings.config_file_given = launch.config_file.is_some();
    settings.complete(&mut report);
    Ok(Loaded { settings, report })
}

impl Settings {
    fn complete(&mut self, report: &mut Report) {
        self.check_places(report);
        self.check_tls(report);
        self.check_updates(report);
        self.exporter_port_given = report.is_set("metricsPromExporterPort");
        self.metrics.check(report);
        self.log.check(MODULES, report);
    }

    /// Whether a start would refuse the file once it says `text`. It is read as a start reads it.
    ///
    /// # Errors
    /// What the start would say.
    pub fn check_next_start(&self, text: &[u8]) -> Result<(), String> {
        let mut next = Settings::default();
        let file = Path::new(&self.namesrv.config_store_path);
        let mut report = launch::read_bytes(text, file, &mut next, &HINTS);
        next.complete(&mut report);
        report.no_errors()
    }

    /// Folder of its log where another name server of the host has the usual one.
    pub fn own_folder(&self) -> String {
        format!("namesrv-{}", self.server.listen_port)
    }

    fn check_tls(&mut self, report: &mut Report) {
        let use_tls = self.client.use_tls;
        self.tls.check(
            report,
            |tls| ServerTls::of(&|key| tls.property(key)).map(drop),
            |tls| ClientTls::of_server(use_tls, &|key| tls.property(key)).map(drop),
        );
    }

    /// Where metrics and health are; none if they are off.
    pub fn metrics_place(&self) -> Option<metrics::Place> {
        let given = &self.metrics;
        let place = metrics::Place {
            // It is on loopback unless a host is given: 5.x's name server has no such port, to which others could have come.
            exporter: Some(given.metrics_exporter_type.clone())
                .filter(|kind| metrics::exporter(kind) == Some("DISABLE")),
            host: given.metrics_prom_exporter_host.clone(),
            port: self
                .exporter_port_given
                .then_some(given.metrics_prom_exporter_port as u16),
            own_address: String::new(),
            usual: METRICS_PORTS,
        };
        (!place.is_off()).then_some(place)
    }

    fn check_updates(&self, report: &mut Report) {
        if let Err(text) = self.update_signers() {
            report.about(Severity::Error, "updateCredentials", text);
        }
    }

    /// Where changes may come from, where that is said.
    ///
    /// # Errors
    /// It is no list of networks.
    pub fn update_networks(&self) -> Result<Option<Vec<IpNet>>, String> {
        let Some(list) = &self.namesrv.update_allowed_networks else {
            return Ok(None);
        };
        let networks = networks_of(list)
            .ok_or_else(|| format!("updateAllowedNetworks: `{list}` is no list of networks"))?;
        Ok(Some(networks))
    }

    /// Names and secrets by which changes may be signed, where that is said.
    ///
    /// # Errors
    /// The text is not what it should be; what it is instead is not said.
    pub fn update_signers(&self) -> Result<Option<Vec<(String, String)>>, String> {
        let Some(text) = self.namesrv.update_credentials.reveal() else {
            return Ok(None);
        };
        let wrong = || {
            "updateCredentials: it should be {\"accessKey\":\"...\",\"secretKey\":\"...\"}, or a list of such"
                .to_owned()
        };
        let given = match serde_json::from_str(text).map_err(|_| wrong())? {
            serde_json::Value::Array(list) => list,
            one => vec![one],
        };
        let field = |of: &serde_json::Value, name| {
            let text = of.get(name)?.as_str()?;
            (!text.trim().is_empty()).then(|| text.to_owned())
        };
        let pairs: Option<Vec<_>> = given
            .iter()
            .map(|of| Some((field(of, "accessKey")?, field(of, "secretKey")?)))
            .collect();
        pairs
            .filter(|pairs| !pairs.is_empty())
            .ok_or_else(wrong)
            .map(Some)
    }

    /// TLS of the listener, where it is spoken.
    ///
    /// # Errors
    /// Its files can not be read, or make no sense.
    pub fn server_tls(&self) -> Result<Option<Arc<ServerTls>>, TlsError> {
        ServerTls::of(&|key| self.tls.property(key))
    }

    /// TLS of the name server's own requests, where it is spoken.
    ///
    /// # Errors
    /// Its files can not be read, or make no sense.
    pub fn client_tls(&self) -> Result<Option<ClientTls>, TlsError> {
        ClientTls::of_server(self.client.use_tls, &|key| self.tls.property(key))
    }

    /// The folder of the KV configuration is known, and can be written.
    fn check_places(&self, report: &mut Report) {
        let text = self.namesrv.kv_config_path.as_str();
        let file = Path::new(text);
        if text.is_empty() {
            let text = "no home directory is known (HOME is not set, and the user database has none for this user), so there \
                        is no default for the KV configuration: set kvConfigPath";
            report.add(Severity::Error, text);
        } else if file.is_dir() {
            let text = format!("kvConfigPath={text} is a directory; it is a file's name");
            report.about(Severity::Error, "kvConfigPath", text);
        } else if let Some(why) = file.parent().and_then(host::unusable_dir) {
            report.about(
                Severity::Error,
                "kvConfigPath",
                format!("kvConfigPath={text}: {why}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::settings::Applies;
    use ::settings::launch::Action;
    use std::collections::BTreeSet;

    /// As a start does that looks at no host.
    fn load(launch: &Launch) -> Result<Loaded, Exit> {
        let loaded = read(launch)?;
        launch::decide(launch, &loaded.settings, &loaded.report)?;
        Ok(loaded)
    }

    /// Every key of RocketMQ 4.9.8's and 5.3.3's name server, from their classes.
    const KEYS: &str = include_str!("../tests/config_keys.tsv");

    #[test]
    fn every_key_of_java_is_known() {
        let settings = Settings::default();
        let mut seen = BTreeSet::new();
        for line in KEYS.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let &[key, class, java_type, in_4_9, in_5_3] = columns.as_slice() else {
                panic!("{line}")
            };
            // Keys that the controller shares with the name server stand in the latter's section, those of metrics in their own.
            let sections = settings.sections();
            let own = sections
                .iter()
                .filter(|section| [class, "Metrics"].contains(&section.class()))
                .find_map(|section| Some((*section, section.row(key)?)));
            let row = own
                .map(|(_, row)| row)
                .or_else(|| sections[0].row(key))
                .unwrap_or_else(|| panic!("{class} lacks {key}"));
            if let Some((section, _)) = own {
                seen.insert((class, key));
                check_default(section, key, if in_4_9 == "-" { in_5_3 } else { in_4_9 });
            }
            match row.applies {
                Applies::Inert(reason) | Applies::Fixed(reason) => {
                    assert!(reason.len() > 10, "{key}: {reason}")
                }
                Applies::AtStart | Applies::Live => assert!(row.doc.len() > 10, "{key}: {}", row.doc),
            }
            let plain = ["int", "long", "boolean", "double", "String"].contains(&java_type);
            assert!(
                !plain || row.java == java_type,
                "{key} is {java_type}, not {}",
                row.java
            );
        }
        let known: usize = settings
            .sections()
            .iter()
            .filter(|section| !["Log", "Tls"].contains(&section.class()))
            .map(|section| {
                section
                    .rows()
                    .iter()
                    .filter(|row| row.since != "only here")
                    .count()
            })
            .sum();
        assert_eq!(known, seen.len(), "the table has keys that Java has not");
    }

    #[test]
    fn who_may_change_what_is_checked_when_it_is_read() {
        for (key, bad) in [
            ("updateAllowedNetworks", "10.1.*.*"),
            ("updateAllowedNetworks", "10.1.0.0/16,,127.0.0.1"),
        ] {
            let mut settings = Settings::default();
            assert!(settings.namesrv.set(key, bad).is_err(), "{bad}");
        }
        for bad in [
            "hunter2",
            "[ ]",
            r#"{"accessKey":"a"}"#,
            r#"[{"accessKey":"a","secretKey":" "}]"#,
        ] {
            let mut settings = Settings::default();
            settings.namesrv.set("updateCredentials", bad).expect("any text");
            let mut report = Report::default();
            settings.check_updates(&mut report);
            assert!(
                report.has_errors() && !report.to_string().contains(bad),
                "{bad}: {report}"
            );
        }
        let mut settings = Settings::default();
        let secret = r#"{"accessKey":"broker","secretKey":"verysecret"}"#;
        settings
            .namesrv
            .set("updateCredentials", secret)
            .expect("any text");
        for printed in [
            ::settings::text(&settings),
            ::settings::printed_text(&settings),
            ::settings::important_text(&settings),
            format!("{settings:?}"),
        ] {
            assert!(!printed.contains("verysecret"), "{printed}");
        }
    }

    fn check_default(section: &dyn Section, key: &str, java: &str) {
        let expected = match key {
            "listenPort" => Some("9876"),
            "useTLS" => Some("false"),
            // On by default, on loopback.
            "metricsExporterType" => Some("PROM"),
            // What is secret is shown as Java shows what is not there.
            "metricsGrpcExporterHeader" => None,
            "null" => None,
            _ if java == "null" => None,
            _ if java.contains('<') => return,
            _ => Some(java),
        };
        assert_eq!(section.get(key).as_deref(), expected, "{key}");
    }

    #[test]
    fn file_and_printed_settings() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "listenPort=19876\nconfigStorePath=/other\nnamesrvAddr=a:1\n",
        )
        .unwrap();
        let mut launch = Launch {
            config_file: Some(file.path().to_owned()),
            ..Launch::default()
        };
        let loaded = load(&launch).unwrap();
        assert_eq!(loaded.settings.server.listen_port, 19_876);
        assert_eq!(
            loaded.settings.namesrv.config_store_path,
            file.path().to_string_lossy()
        );
        assert!(
            loaded.report.to_string().contains("where name servers are"),
            "{}",
            loaded.report
        );
        launch.action = Action::PrintAll;
        let text = load(&launch).unwrap_err().text;
        assert!(
            text.contains("\nlistenPort=19876\n") && text.contains("\norderMessageEnable=false\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_printed_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for action in [Action::PrintAll, Action::PrintImportant] {
            let mut launch = Launch {
                action,
                ..Launch::default()
            };
            std::fs::write(file.path(), load(&launch).unwrap_err().text).unwrap();
            launch.action = Action::Check;
            launch.config_file = Some(file.path().to_owned());
            let checked = load(&launch).unwrap_err();
            assert_eq!(checked.code, 0);
            assert!(
                checked.text.contains(": 0 errors, 0 warnings, "),
                "{}",
                checked.text
            );
        }
    }

    #[test]
    fn bad_values_do_not_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\nlistenPort=98 76\n").unwrap();
        let exit = load(&Launch {
            config_file: Some(file.path().to_owned()),
            ..Launch::default()
        })
        .unwrap_err();
        assert_ne!(exit.code, 0);
        assert!(
            exit.complaint.contains(":2: bad value of `listenPort`: `98 76`"),
            "{}",
            exit.complaint
        );
    }

    #[test]
    fn a_kv_file_that_cannot_be_written_does_not_start() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        std::fs::write(&taken, "").unwrap();
        let config = dir.path().join("namesrv.properties");
        for (path, part) in [
            (dir.path().to_owned(), "is a directory"),
            (taken.join("kv.json"), "is no directory"),
            ("\"/data".into(), "without quotes"),
        ] {
            std::fs::write(&config, format!("kvConfigPath={}\n", path.display())).unwrap();
            let exit = load(&Launch {
                config_file: Some(config.clone()),
                ..Launch::default()
            })
            .unwrap_err();
            assert!(
                exit.complaint.contains(":1: ") && exit.complaint.contains(part),
                "{}",
                exit.complaint
            );
        }
    }

    #[test]
    fn keys_of_brokers_are_said_to_be_theirs() {
        let properties = ::settings::Properties::parse(b"brokerName=a\naclEnable=true\n");
        let file = std::path::Path::new("namesrv.properties");
        let report = ::settings::load(&mut Settings::default(), &properties, file, &HINTS).to_string();
        for part in [
            ":1: unknown key `brokerName` has no effect: it is a key of brokers",
            ":2: unknown key `aclEnable` has no effect: it is a key of brokers",
        ] {
            assert!(report.contains(part), "{report}");
        }
    }

    #[test]
    fn metrics_that_would_be_pushed_and_levels_of_nothing_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("namesrv.properties");
        std::fs::write(
            &config,
            "metricsExporterType=OTLP_GRPC\nmetricsLabel=zone\nlogLevels=info,brokr=debug\n",
        )
        .unwrap();
        let loaded = load(&Launch {
            config_file: Some(config),
            ..Launch::default()
        });
        let report = loaded.unwrap().report.to_string();
        for part in [
            ":1: metricsExporterType=OTLP_GRPC: nothing is pushed without metricsGrpcExporterTarget",
            ":2: metricsLabel: `zone`",
            ":3: logLevels: nothing is logged by a module `brokr`",
        ] {
            assert!(report.contains(part), "{report}");
        }
    }

    /// The page is made from the table: `UPDATE_DOCS=1 cargo test -p namesrv` writes it.
    #[test]
    fn the_page_of_settings_is_this_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings-namesrv.md");
        let head = "# Settings of the name server\n\nMade from the table in `crates/namesrv/src/settings.rs`. One flat properties file sets them all; `mqnamesrv -p` prints them.\n";
        let page = format!(
            "{head}{}",
            ::settings::page(
                &Settings::default(),
                &["kvConfigPath", "configStorePath", "rocketmqHome"]
            )
        );
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap() == page,
            "docs/settings-namesrv.md is out of date"
        );
    }
}
