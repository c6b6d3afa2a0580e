//! Rules between settings, and between a setting and this machine: everything a start would refuse.
//!
//! `--check-config` and the start both come through here, and the start asks nothing else of the settings' values, so that
//! the one never passes what the other refuses.

use super::{BrokerRole, HINTS, IN_SYNC_KEYS, Settings};
use crate::access::no_codes;
use crate::address::literal;
use crate::settings::DelayLevels;
use crate::store_settings;
use disk::SystemClock;
use protocol::body::auth::UserInfo;
use remoting::Limits;
use remoting::tls::{ClientTls, ServerTls, TlsError};
use settings::{Report, Secret, Severity, check_addresses, host, launch};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use store::StoreSettings;

/// What a send has in its frame besides the body, bytes: header and properties.
const FRAME_ROOM_BYTES: usize = 64 * 1024;

const CREDENTIALS: &str = "innerClientAuthenticationCredentials";
const INIT_USER: &str = "initAuthenticationUser";
const MIGRATE: &str = "migrateAuthFromV1Enabled";

/// A name and its secret as JSON. What a wrong text has is not repeated: a secret is in it.
fn pair_of(key: &str, text: &Secret, names: [&str; 2]) -> Result<Option<(String, String)>, String> {
    let Some(text) = text.reveal() else {
        return Ok(None);
    };
    let fields = serde_json::from_str::<serde_json::Value>(text).ok();
    let field = |name| {
        let text = fields.as_ref()?.get(name)?.as_str()?;
        (!text.trim().is_empty()).then(|| text.to_owned())
    };
    let [name, secret] = names;
    match (field(name), field(secret)) {
        (Some(name), Some(secret)) => Ok(Some((name, secret))),
        _ => Err(format!(
            "{key}: it should be {{\"{name}\":\"...\",\"{secret}\":\"...\"}}"
        )),
    }
}

/// Ports of metrics where none is given: rocketmq-exporter, which is on many hosts, has 5557.
const METRICS_PORTS: std::ops::RangeInclusive<u16> = 5558..=5587;

/// A start from another folder would be one without the files.
fn warn_of_relative(report: &mut Report, key: &str, path: &Path) {
    if path.is_absolute() {
        return;
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = format!(
        "{key}={}: it is taken from the folder that the broker is started in, which makes it {}; started in another one it has other \
         files: write the whole path",
        path.display(),
        whole.display()
    );
    report.about(Severity::Warning, key, text);
}

impl Settings {
    /// Completes what was read by the rules of RocketMQ's BrokerStartup, and reports what does not fit together.
    pub(super) fn complete(&mut self, defaults: &Settings, report: &mut Report) {
        self.announce_where_it_listens(report);
        self.check_name_servers(report);
        self.check_role(defaults, report);
        self.check_ports(report);
        self.check_places(report);
        self.check_sizes(report);
        self.check_levels(report);
        self.check_access(report);
        self.check_tls(report);
        self.check_metrics(report);
        self.log.check(super::MODULES, report);
    }

    fn check_metrics(&mut self, report: &mut Report) {
        self.exporter_given = report.is_set("metricsExporterType");
        self.exporter_port_given = report.is_set("metricsPromExporterPort");
        self.metrics.check(report);
    }

    /// Where metrics and health are; none if they are off.
    pub fn metrics_place(&self) -> Option<metrics::Place> {
        let given = &self.metrics;
        let place = metrics::Place {
            exporter: self.exporter_given.then(|| given.metrics_exporter_type.clone()),
            host: given.metrics_prom_exporter_host.clone(),
            port: self
                .exporter_port_given
                .then_some(given.metrics_prom_exporter_port as u16),
            own_address: self.broker.broker_ip1.clone(),
            usual: METRICS_PORTS,
        };
        (!place.is_off()).then_some(place)
    }

    /// A broker that listens on one address is reached nowhere else.
    fn announce_where_it_listens(&mut self, report: &Report) {
        let listens = self.server.bind_address.parse::<IpAddr>();
        let Ok(address) = listens.map(|address| address.to_canonical()) else {
            return;
        };
        let broker = &mut self.broker;
        if address.is_unspecified() {
            return;
        }
        for (key, announced) in [
            ("brokerIP1", &mut broker.broker_ip1),
            ("brokerIP2", &mut broker.broker_ip2),
        ] {
            if !report.is_set(key) {
                *announced = address.to_string();
            }
        }
    }

    fn check_tls(&mut self, report: &mut Report) {
        let use_tls = self.client.use_tls;
        self.tls.check(
            report,
            |tls| ServerTls::of(&|key| tls.property(key)).map(drop),
            |tls| ClientTls::of_server(use_tls, &|key| tls.property(key)).map(drop),
        );
        let is_off = self.tls.server_mode == "disabled";
        if self.store.ha_tls_enable && self.store.broker_role != BrokerRole::Slave && is_off {
            let text = "haTlsEnable=true: no slave could connect with tls.server.mode=disabled";
            report.about(Severity::Error, "haTlsEnable", text);
        }
    }

    /// TLS of the listeners, where it is spoken.
    ///
    /// # Errors
    /// Its files can not be read, or make no sense.
    pub fn server_tls(&self) -> Result<Option<Arc<ServerTls>>, TlsError> {
        ServerTls::of(&|key| self.tls.property(key))
    }

    /// TLS of the broker's own requests, where it is spoken.
    ///
    /// # Errors
    /// Its files can not be read, or make no sense.
    pub fn client_tls(&self) -> Result<Option<ClientTls>, TlsError> {
        ClientTls::of_server(self.client.use_tls, &|key| self.tls.property(key))
    }

    /// TLS of a slave with its master's port of replication, where it is spoken.
    ///
    /// # Errors
    /// Its files can not be read, or make no sense.
    pub fn replication_tls(&self) -> Result<Option<ClientTls>, TlsError> {
        match self.store.ha_tls_enable {
            true => ClientTls::of_server(true, &|key| self.tls.property(key)),
            false => Ok(None),
        }
    }

    fn check_access(&self, report: &mut Report) {
        let no_home = self.broker.rocketmq_home.is_none();
        if self.broker.acl_enable && no_home {
            let text = "aclEnable=true: the accounts are in ROCKETMQ_HOME/conf/plain_acl.yml, and ROCKETMQ_HOME is not set";
            report.about(Severity::Error, "aclEnable", text);
        }
        if let Err(text) = self.credentials() {
            report.about(Severity::Error, CREDENTIALS, text);
        }
        let auth = &self.auth;
        if let Err(text) = self.init_user() {
            report.about(Severity::Error, INIT_USER, text);
        }
        if !auth.has_users() {
            for (key, given) in [
                (INIT_USER, auth.init_authentication_user.reveal().is_some()),
                (MIGRATE, auth.migrate_auth_from_v1_enabled),
            ] {
                if given {
                    let text = format!("{key} makes users, and there are none without authenticationEnabled");
                    report.about(Severity::Warning, key, text);
                }
            }
            return;
        }
        if auth.migrate_auth_from_v1_enabled && no_home {
            let text = format!(
                "{MIGRATE}=true: the accounts are in ROCKETMQ_HOME/conf/plain_acl.yml, and ROCKETMQ_HOME is not set"
            );
            report.about(Severity::Error, MIGRATE, text);
        }
        if self.broker.acl_enable && (auth.authentication_enabled || auth.authorization_enabled) {
            let text = "aclEnable and users: a request has to be let in by both, as in 5.3.0 to 5.3.2";
            report.about(Severity::Warning, "aclEnable", text);
        }
        for (key, list) in [
            ("authenticationWhitelist", &auth.authentication_whitelist),
            ("authorizationWhitelist", &auth.authorization_whitelist),
        ] {
            for name in no_codes(list.as_deref().unwrap_or_default()) {
                let text = format!("{key}: `{name}` is no code of a request, and does nothing in a broker");
                report.about(Severity::Warning, key, text);
            }
        }
    }

    /// Who the broker is when it asks others.
    ///
    /// # Errors
    /// The text is not what it should be; what it is instead is not said.
    pub fn credentials(&self) -> Result<Option<acl::Credentials>, String> {
        let secret = &self.auth.inner_client_authentication_credentials;
        let pair = pair_of(CREDENTIALS, secret, ["accessKey", "secretKey"])?;
        Ok(pair.map(|(key, secret)| acl::Credentials::new(&key, &secret)))
    }

    /// The Super user to begin with.
    fn init_user(&self) -> Result<Option<(String, String)>, String> {
        pair_of(
            INIT_USER,
            &self.auth.init_authentication_user,
            ["username", "password"],
        )
    }

    /// Super users that are to be there, each with the setting that asks for it.
    pub fn wanted_users(&self) -> Vec<(&'static str, UserInfo)> {
        let secret = &self.auth.inner_client_authentication_credentials;
        let inner = pair_of(CREDENTIALS, secret, ["accessKey", "secretKey"]);
        [(INIT_USER, self.init_user()), (CREDENTIALS, inner)]
            .into_iter()
            .filter_map(|(key, pair)| {
                // The texts were checked when they were read.
                let (name, password) = pair.ok()??;
                let user = UserInfo {
                    password: Some(password),
                    user_status: Some("enable".to_owned()),
                    user_type: Some("Super".to_owned()),
                    username: Some(name),
                };
                Some((key, user))
            })
            .collect()
    }

    /// Whether a start would refuse the file once it says `text`. It is read as a start reads it.
    ///
    /// # Errors
    /// What the start would say.
    pub fn check_next_start(&self, text: &[u8]) -> Result<(), String> {
        let mut next = Settings::before_file(self.broker.broker_config_path.clone());
        let defaults = next.clone();
        let mut report = launch::read_bytes(text, &self.config_file(), &mut next, &HINTS);
        next.complete(&defaults, &mut report);
        report.no_errors()
    }

    fn check_name_servers(&self, report: &mut Report) {
        match &self.broker.namesrv_addr {
            // A file's list was checked when it was read; this one may be of the command line or the environment.
            Some(list) => {
                if let Err(text) = check_addresses(list) {
                    report.about(Severity::Error, "namesrvAddr", format!("namesrvAddr: {text}"));
                }
            }
            None if report.is_unfilled("namesrvAddr") => {
                let text = "namesrvAddr: all that it says is a placeholder, so no name server is known and clients will not find this \
                            broker: fill it in, or take the line out";
                report.about(Severity::Unworkable, "namesrvAddr", text);
            }
            None => {
                let text = "no name server is known (-n, namesrvAddr or NAMESRV_ADDR): clients will not find this broker";
                report.add(Severity::Warning, text);
            }
        }
    }

    /// What clients will find who ask the name server at `server`, where that is nothing: the broker is told as the loopback, which
    /// is what a start before the network finds.
    pub fn unreachable_from(&self, server: IpAddr) -> Option<String> {
        let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        let announced = literal(&self.broker.broker_ip1).filter(|ip| is_loopback(*ip))?;
        (!is_loopback(server)).then(|| {
            format!(
                "brokerIP1={announced}, which clients are told, is the loopback, and the name server {server} is on another host: \
                 nobody there comes through; set brokerIP1 to this host's address"
            )
        })
    }

    /// For a start, which waits for no name service: the check tries all of it.
    pub(crate) fn warn_of_loopback(&self, report: &mut Report) {
        let servers = self.broker.namesrv_addrs();
        let mut ips = servers.iter().filter_map(|address| {
            let (host, _port) = address.rsplit_once(':')?;
            literal(host)
        });
        if let Some(text) = ips.find_map(|ip| self.unreachable_from(ip)) {
            report.about(Severity::Warning, "brokerIP1", text);
        }
    }

    fn check_role(&mut self, defaults: &Settings, report: &mut Report) {
        let (role, id) = (self.store.broker_role, self.broker.broker_id);
        self.in_sync_given = IN_SYNC_KEYS.iter().any(|key| report.is_set(key));
        if role == BrokerRole::SyncMaster && self.in_sync_given && !self.waits_for_slaves() {
            let text = "inSyncReplicas=1 is this broker alone: as in 5.x, a SYNC_MASTER waits for no slave then. \
                        inSyncReplicas=2 waits for one";
            report.about(Severity::Warning, "inSyncReplicas", text);
        }
        self.check_least_in_sync(report);
        match role {
            BrokerRole::AsyncMaster | BrokerRole::SyncMaster if id != 0 => {
                let text = format!(
                    "brokerId={id} is not used: brokerRole={role} makes it 0 (a slave has brokerRole=SLAVE)"
                );
                report.about(Severity::Warning, "brokerId", text);
                self.broker.broker_id = 0;
            }
            BrokerRole::Slave if id <= 0 => {
                let text = format!("Slave's brokerId must be > 0, but brokerId={id}");
                report.about(Severity::Error, "brokerId", text);
            }
            BrokerRole::Slave => {
                // Java takes ten percent off the default before it reads the file, so that a given value stays.
                let memory = &mut self.store.access_message_in_memory_max_ratio;
                if *memory == defaults.store.access_message_in_memory_max_ratio {
                    *memory -= 10;
                }
            }
            BrokerRole::AsyncMaster | BrokerRole::SyncMaster => {}
        }
    }

    /// More brokers that must be in sync than are waited for: it works as in 5.x, and is seldom meant.
    fn check_least_in_sync(&self, report: &mut Report) {
        let (waited_for, least) = (self.store.in_sync_replicas, self.store.min_in_sync_replicas);
        if least <= waited_for {
            return;
        }
        let consequence = match self.store.enable_auto_in_sync_replicas
            || self.store.all_ack_in_sync_state_set
        {
            true => "inSyncReplicas counts for nothing".to_owned(),
            false => format!(
                "a SYNC_MASTER refuses sends while fewer than {least} brokers are in sync, and says SUCCESS when {waited_for} have the \
                 message"
            ),
        };
        let text =
            format!("minInSyncReplicas={least} is more than inSyncReplicas={waited_for}: {consequence}");
        report.about(Severity::Warning, "minInSyncReplicas", text);
    }

    fn check_ports(&mut self, report: &mut Report) {
        let port = self.server.listen_port;
        if port < 3 {
            let text = format!(
                "listenPort={port} must be 3 or more: listenPort - 2 is the port of the fast (VIP) listener"
            );
            report.about(Severity::Error, "listenPort", text);
        }
        let ha_port = &mut self.store.ha_listen_port;
        if *ha_port == 0 {
            // Unlike Java 4.9.8: a port that was given counts, as in 5.x; 4.9.8 overwrites it with this one.
            *ha_port = port.saturating_add(1);
            if port >= 65_535 {
                let text = format!(
                    "listenPort={port} leaves no room for the port of replication, listenPort + 1, and haListenPort is not given"
                );
                report.about(Severity::Error, "listenPort", text);
            }
        } else if *ha_port == port || *ha_port == port - 2 {
            let text = format!(
                "haListenPort={ha_port} is taken by this broker itself: it listens on listenPort={port} and on listenPort - 2"
            );
            report.about(Severity::Error, "haListenPort", text);
        }
        if let Err(text) = store_settings::server(self, 0) {
            report.about(Severity::Error, "bindAddress", text);
        }
    }

    /// The store's folders: they are known, and can be written.
    fn check_places(&self, report: &mut Report) {
        let root = self.store.store_path_root_dir.as_str();
        if root.is_empty() {
            let text = "no home directory is known (HOME is not set, and the user database has none for this user), so there \
                        is no default for the store: set storePathRootDir";
            report.add(Severity::Error, text);
            return;
        }
        warn_of_relative(report, "storePathRootDir", Path::new(root));
        if let Some(why) = host::unusable_dir(Path::new(root)) {
            report.about(
                Severity::Error,
                "storePathRootDir",
                format!("storePathRootDir={root}: {why}"),
            );
        }
        for below in ["commitlog", "config", "consumequeue", "index"] {
            let is_elsewhere = below == "commitlog" && self.store.store_path_commit_log.is_some();
            let dir = Path::new(root).join(below);
            // What is not there yet is made in the root.
            if let Some(why) = host::unusable_dir(&dir).filter(|_| !is_elsewhere && dir.exists()) {
                let text = format!("storePathRootDir={root}: {why}");
                report.about(Severity::Error, "storePathRootDir", text);
            }
        }
        if self.store.store_path_commit_log.is_none() {
            return;
        }
        for dir in self.store.commit_log_dirs() {
            warn_of_relative(report, "storePathCommitLog", &dir);
            if let Some(why) = host::unusable_dir(&dir) {
                let text = format!("storePathCommitLog={}: {why}", dir.display());
                report.about(Severity::Error, "storePathCommitLog", text);
            }
        }
    }

    /// Levels of the disk that are held to the bounds that Java has.
    fn check_levels(&self, report: &mut Report) {
        let store = &self.store;
        let counts = store_settings::tuned(self, StoreSettings::default());
        for (key, given, counts) in [
            (
                "diskMaxUsedSpaceRatio",
                store.disk_max_used_space_ratio,
                counts.disk_max_used_percent,
            ),
            (
                "diskSpaceCleanForciblyRatio",
                store.disk_space_clean_forcibly_ratio,
                counts.disk_clean_forcibly_percent,
            ),
            (
                "diskSpaceWarningLevelRatio",
                store.disk_space_warning_level_ratio,
                counts.disk_warning_percent,
            ),
        ] {
            if u32::try_from(given) != Ok(counts) {
                let bound = if given.unsigned_abs() > counts {
                    "most"
                } else {
                    "least"
                };
                let text = format!(
                    "{key}={given} counts as {counts}, the {bound} that these servers and Java's take"
                );
                report.about(Severity::Warning, key, text);
            }
        }
    }

    fn check_sizes(&self, report: &mut Report) {
        let levels = match DelayLevels::parse(&self.store.message_delay_level) {
            Ok(levels) => levels,
            Err(bad) => return report.about(Severity::Error, "messageDelayLevel", bad.to_string()),
        };
        let store = match store_settings::of(self, levels.as_ms(), &SystemClock).checked() {
            Ok(store) => store,
            Err(bad) => return report.about(Severity::Error, bad.setting, bad.to_string()),
        };
        let (frame, size) = (Limits::default().frame_max_bytes, self.store.max_message_size);
        if size as usize > frame - FRAME_ROOM_BYTES {
            let text = format!(
                "maxMessageSize={size}: a frame has at most {frame} bytes with everything in it; the connection of a larger \
                 one is closed, as in Java"
            );
            report.about(Severity::Unworkable, "maxMessageSize", text);
        }
        if i64::from(size) > store.max_record_bytes() {
            let text = format!(
                "maxMessageSize={size}: a message has to fit into a log file, and mappedFileSizeCommitLog={} takes records \
                 of {} bytes at most",
                store.commitlog_file_size,
                store.max_record_bytes()
            );
            let key = match report.is_set("maxMessageSize") {
                true => "maxMessageSize",
                false => "mappedFileSizeCommitLog",
            };
            report.about(Severity::Warning, key, text);
        }
    }
}
