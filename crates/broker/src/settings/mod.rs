//! Every setting a broker can be given, read from one flat properties file as Java reads it.

mod auth;
mod broker;
mod delay_levels;
mod rules;
mod store;

pub use auth::AuthSection;
pub use broker::BrokerSection;
pub use delay_levels::{BadLevel, DelayLevels};
pub use settings::net::{ClientSection, ServerSection, TlsSection};
pub use store::{BrokerRole, FlushDiskType, StoreSection};

use ipnet::IpNet;
use logs::LogSection;
use metrics::MetricsSection;
use settings::launch::{self, Exit, Launch};
use settings::{Alias, Group, Hints, NotAKey, Report, Section, host};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// All settings of a broker. Readers take one snapshot from a [`settings::Live`] a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The broker itself.
    pub broker: BrokerSection,
    /// The listening side.
    pub server: ServerSection,
    /// The calling side (name servers, master).
    pub client: ClientSection,
    /// Store and replication.
    pub store: StoreSection,
    /// Access control.
    pub auth: AuthSection,
    /// Metrics and health.
    pub metrics: MetricsSection,
    /// TLS.
    pub tls: TlsSection,
    /// The log.
    pub log: LogSection,
    /// One of [`IN_SYNC_KEYS`] was given, be it with its default: what SUCCESS of a SYNC_MASTER means is 5.x's rule.
    pub in_sync_given: bool,
    /// `metricsExporterType` was given, be it with its default.
    pub exporter_given: bool,
    /// The same of `metricsPromExporterPort`.
    pub exporter_port_given: bool,
    /// The start read the file of `-c`.
    pub config_file_given: bool,
}

/// The keys by which 5.x says how many brokers have what was acknowledged.
pub const IN_SYNC_KEYS: [&str; 4] = [
    "inSyncReplicas",
    "minInSyncReplicas",
    "allAckInSyncStateSet",
    "enableAutoInSyncReplicas",
];

impl Default for Settings {
    fn default() -> Self {
        let server = ServerSection {
            listen_port: 10_911,
            ..ServerSection::default()
        };
        Settings {
            broker: BrokerSection::default(),
            server,
            client: ClientSection::default(),
            store: StoreSection::default(),
            auth: AuthSection::default(),
            metrics: MetricsSection::default(),
            tls: TlsSection::default(),
            log: LogSection::default(),
            in_sync_given: false,
            exporter_given: false,
            exporter_port_given: false,
            config_file_given: false,
        }
    }
}

impl Group for Settings {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![
            &self.broker,
            &self.server,
            &self.client,
            &self.store,
            &self.auth,
            &self.metrics,
            &self.tls,
            &self.log,
        ]
    }

    fn sections_mut(&mut self) -> Vec<&mut dyn Section> {
        vec![
            &mut self.broker,
            &mut self.server,
            &mut self.client,
            &mut self.store,
            &mut self.auth,
            &mut self.metrics,
            &mut self.tls,
            &mut self.log,
        ]
    }

    fn allowed(&self, key: &str) -> Option<&'static str> {
        let is_port = key == "listenPort";
        is_port.then_some(
            "3 to 65534 (listenPort - 2 and listenPort + 1 are listened on, too; 65535 with a haListenPort)",
        )
    }
}

/// What was changed while a broker ran that was given no file.
const KEPT_FILE: &str = "changedSettings.properties";

/// The modules of this program that log.
pub const MODULES: &[&str] = &[
    "broker", "logs", "metrics", "process", "remoting", "settings", "store",
];

/// Old spellings, and keys of tutorials.
pub const HINTS: Hints = Hints {
    aliases: &[
        Alias {
            key: "mapedFileSizeCommitLog",
            // Read, it would give a new store files that Java's broker does not start on with the same settings.
            now: None,
            known_in: "releases up to 4.5.1; today's key is mappedFileSizeCommitLog",
        },
        Alias {
            key: "mapedFileSizeConsumeQueue",
            now: None,
            known_in: "releases up to 4.5.1; today's key is mappedFileSizeConsumeQueue, in bytes, 20 for each message",
        },
        Alias {
            key: "haSlaveFallbehindMax",
            now: Some("haMaxGapNotInSync"),
            known_in: "4.x",
        },
        Alias {
            key: "memTableFlushInterval",
            now: Some("memTableFlushIntervalMs"),
            known_in: "5.1.4",
        },
        Alias {
            key: "batchWriteKvCqSize",
            now: None,
            known_in: "5.3.1 only",
        },
        Alias {
            key: "transferMetadataJsonToRocksdb",
            now: None,
            known_in: "5.3.1 only",
        },
        Alias {
            key: "transferOffsetJsonToRocksdb",
            now: None,
            known_in: "5.3.1 only",
        },
        Alias {
            key: "timerEnableDisruptor",
            now: None,
            known_in: "what 5.x prints with -p; no release reads it",
        },
        Alias {
            key: "timerCheckMetricsWhen",
            now: None,
            known_in: "what 5.x prints with -p; no release reads it",
        },
        Alias {
            key: "timerWarmEnable",
            now: None,
            known_in: "what 5.x prints with -p; no release reads it",
        },
        Alias {
            key: "timerStopDequeue",
            now: None,
            known_in: "what 5.x prints with -p; no release reads it",
        },
        Alias {
            key: "enableTransparentRetry",
            now: None,
            known_in: "5.2.0 to 5.3.1 only",
        },
    ],
    not_keys: &[
        NotAKey {
            key: "updateAllowedNetworks",
            instead: "it is a key of the name server",
        },
        NotAKey {
            key: "updateCredentials",
            instead: "it is a key of the name server",
        },
        NotAKey {
            key: "kvConfigPath",
            instead: "it is a key of the name server",
        },
        NotAKey {
            key: "storePathConsumeQueue",
            instead: "the consume queues are always in <storePathRootDir>/consumequeue",
        },
        NotAKey {
            key: "storePathIndex",
            instead: "the index is always in <storePathRootDir>/index",
        },
        NotAKey {
            key: "storeCheckpoint",
            instead: "the checkpoint is always <storePathRootDir>/checkpoint",
        },
        NotAKey {
            key: "abortFile",
            instead: "the abort file is always <storePathRootDir>/abort",
        },
        NotAKey {
            key: "brokerPort",
            instead: "the port to listen on is `listenPort`",
        },
        NotAKey {
            key: "brokerIP",
            instead: "the address that clients are given is `brokerIP1`",
        },
        NotAKey {
            key: "namesrvAddress",
            instead: "the name servers are `namesrvAddr`",
        },
        NotAKey {
            key: "nameServerAddr",
            instead: "the name servers are `namesrvAddr`",
        },
        NotAKey {
            key: "clusterName",
            instead: "the cluster is `brokerClusterName`",
        },
        NotAKey {
            key: "storePath",
            instead: "the store is `storePathRootDir`",
        },
        NotAKey {
            key: "checkTransactionMessageEnable",
            instead: "3.x had it; transactions are always checked (transactionCheckInterval, transactionCheckMax)",
        },
    ],
};

/// Settings that were read and completed, with everything found on the way.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Findings for the log; those of [`settings::Severity::Warning`] belong on stderr too.
    pub report: Report,
}

/// Reads the settings of a command line: defaults, then the environment (`NAMESRV_ADDR`, `ROCKETMQ_HOME`), then the file, then
/// `-n`; completed and checked against each other by the rules of RocketMQ's BrokerStartup. What comes of them, `launch::decide` says.
///
/// # Errors
/// The file can not be read.
pub fn read(launch: &Launch) -> Result<Loaded, Exit> {
    let mut settings = Settings::before_file(launch.config_file.as_deref().map(absolute));
    let defaults = settings.clone();
    let kept = settings.kept_file();
    let mut report = launch::read(launch, &mut settings, &HINTS, kept.as_deref())?;
    if launch.namesrv_addr.is_some() {
        settings.broker.namesrv_addr.clone_from(&launch.namesrv_addr);
    }
    settings.config_file_given = launch.config_file.is_some();
    settings.complete(&defaults, &mut report);
    Ok(Loaded { settings, report })
}

/// The file is named in full, because the server may be asked to rewrite it later.
fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .to_string_lossy()
        .into_owned()
}

impl Settings {
    /// What a start has before it reads its file.
    fn before_file(config_path: Option<String>) -> Settings {
        let mut settings = Settings::default();
        settings.broker.namesrv_addr = host::variable("NAMESRV_ADDR");
        settings.broker.broker_config_path = config_path;
        settings
    }

    /// The address given to clients and name servers.
    pub fn broker_addr(&self) -> String {
        address(&self.broker.broker_ip1, self.server.listen_port)
    }

    /// Where slaves replicate from, who connect to this port.
    pub fn ha_addr(&self, port: u16) -> String {
        address(&self.broker.broker_ip2, i32::from(port))
    }

    /// The broker's name on this host, as Java calls a broker's own log folder (BrokerStartup, `isolateLogEnable`): its name,
    /// which a slave has from its master, and its id.
    pub fn own_name(&self) -> String {
        format!("{}_{}", self.broker.broker_name, self.broker.broker_id)
    }

    /// The line that RocketMQ prints when a broker serves.
    pub fn boot_success(&self) -> String {
        let head = format!(
            "The broker[{}, {}] boot success. serializeType=JSON",
            self.broker.broker_name,
            self.broker_addr()
        );
        match &self.broker.namesrv_addr {
            Some(list) => format!("{head} and name server is {list}"),
            None => head,
        }
    }

    /// The file that UPDATE_BROKER_CONFIG writes: the one given by `-c`, else one that starts without `-c` read.
    ///
    /// Unlike Java, which writes all its settings into `~/store/config/broker.properties` then, and reads it never.
    pub fn config_file(&self) -> PathBuf {
        match &self.broker.broker_config_path {
            Some(path) => PathBuf::from(path),
            None => self
                .kept_file()
                .unwrap_or_else(|| self.config_dir().join(KEPT_FILE)),
        }
    }

    /// That file: below the default store, wherever the store is moved by what stands in it.
    fn kept_file(&self) -> Option<PathBuf> {
        Some(host::home()?.join("store/config").join(KEPT_FILE))
    }
}

impl BrokerSection {
    /// The name servers, one by one.
    pub fn namesrv_addrs(&self) -> Vec<String> {
        let list = self.namesrv_addr.as_deref().unwrap_or_default();
        list.split(';')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

impl StoreSection {
    /// Directories of the commitlog; several are separated by `,` (RocketMQ's MULTI_PATH_SPLITTER).
    pub fn commit_log_dirs(&self) -> Vec<PathBuf> {
        match &self.store_path_commit_log {
            Some(paths) => paths_of(paths),
            None => vec![Path::new(&self.store_path_root_dir).join("commitlog")],
        }
    }

    /// Where slaves may connect from that no name server knows.
    pub fn ha_allowed_networks(&self) -> Vec<IpNet> {
        // The text was checked when it was read.
        let networks = self
            .ha_allowed_slaves
            .as_deref()
            .and_then(::settings::networks_of);
        networks.unwrap_or_default()
    }

    /// Directories that only keep old commitlog files.
    pub fn read_only_commit_log_dirs(&self) -> Vec<PathBuf> {
        self.read_only_commit_log_store_paths
            .as_deref()
            .map(paths_of)
            .unwrap_or_default()
    }

    /// Hours of the day at which expired files are deleted.
    pub fn delete_hours(&self) -> Vec<u8> {
        self.delete_when
            .split(';')
            .filter_map(|hour| hour.trim().parse().ok())
            .collect()
    }
}

/// A host and a port; an IPv6 address gets its brackets.
fn address(host: &str, port: i32) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

fn paths_of(list: &str) -> Vec<PathBuf> {
    list.split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests;
