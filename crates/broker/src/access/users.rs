//! Users and their policies of a running broker (5.x): `config/auth.json`.
//!
//! Read at the start; changed by tools and, on a slave, by what the master has. A change is in force at once, and on disk before it
//! is answered.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acl::{BadChange, Migrated, Refused, Rules, Users, migrated};
use arc_swap::ArcSwap;
use disk::Disk;
use parking_lot::Mutex;
use protocol::Frame;
use protocol::body::auth::{AclInfo, UserInfo};
use protocol::body::topic::DataVersion;
use serde::{Deserialize, Serialize};

use super::files;
use crate::settings::Settings;
use crate::tables::{self, Change, ConfigFile, Saver, load, pretty};

/// The file below `config/`.
const FILE: &str = "auth.json";
/// Longest file, bytes: the most users and policies fit with the names of fields around them.
const FILE_MAX_BYTES: u64 = 1 << 30;
/// Folders below `config/` where Java's broker has the same in RocksDB.
const OF_JAVA: [&str; 2] = ["users", "acls"];
/// Every RocksDB has this file.
const MARK: &str = "CURRENT";
/// Longest mark that is looked at, bytes.
const MARK_MAX: u64 = 4096;

/// Why a broker does not start with what it has of access control.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk.
    #[error("{0}")]
    Disk(#[from] disk::Error),
    /// Files of accounts.
    #[error("access control: {0}")]
    Accounts(#[from] files::LoadError),
    /// The file of users.
    #[error("{0}")]
    File(#[from] tables::LoadError),
    /// Java's store.
    #[error(
        "{directory} holds users or policies in RocksDB, which this broker can not read, and there is no {file}. Start this broker \
         beside the old one with an empty store and initAuthenticationUser, copy them with `mqadmin copyUser -f OLD -t NEW` and \
         `mqadmin copyAcl -f OLD -t NEW` of 5.3, and put the new broker's config/{FILE} here; or move the directory away to start \
         without what it holds"
    )]
    RocksDb {
        /// The directory.
        directory: String,
        /// The file that is missing.
        file: String,
    },
    /// What settings ask for can not be made.
    #[error("{key}: {why}")]
    Made {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        why: BadChange,
    },
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    acls: Vec<AclInfo>,
    data_version: DataVersion,
    users: Vec<UserInfo>,
}

/// Users and policies.
pub struct UserTable {
    /// What is looked at.
    pub rules: Rules,
    in_force: ArcSwap<Users>,
    /// One change at a time.
    version: Mutex<DataVersion>,
    /// What the settings ask for, also when a master has it otherwise.
    wanted: Vec<UserInfo>,
    saver: Saver,
    /// Version of the backup that was there in the file's place at the start, and the one after the start.
    backup: Option<(DataVersion, DataVersion)>,
}

/// Users as they are for the requests of one read.
pub struct Watch<'t> {
    users: arc_swap::Guard<Arc<Users>>,
    rules: &'t Rules,
}

impl Watch<'_> {
    /// Whether a request from there is served.
    pub fn judge(&self, frame: &Frame, peer: IpAddr) -> Result<(), Refused> {
        self.users.judge(self.rules, frame, peer)
    }
}

impl UserTable {
    /// Reads the file, and makes what the settings ask for. None where the settings ask for no users.
    ///
    /// # Errors
    /// The file, or what the settings ask for, makes no sense.
    pub fn load<D: Disk + Clone>(
        disk: &D,
        settings: &Settings,
        now: i64,
    ) -> Result<Option<Self>, StartError> {
        let config = settings.config_dir();
        if !settings.auth.has_users() {
            return Ok(None);
        }
        let path = config.join(FILE);
        let is_new = disk.read_small(&path, FILE_MAX_BYTES)?.is_none();
        if is_new {
            refuse_java_store(disk, &config, &path)?;
            make_private(disk, &path);
        }
        let saver = Saver::new(path.clone());
        let file: AuthFile = load(disk, &path)?.content(&saver);
        let users = Users::read(&file.users, &file.acls).map_err(|why| tables::LoadError::NotUnderstood {
            path: path.display().to_string(),
            why,
        })?;
        let table = Self {
            rules: rules(settings),
            in_force: ArcSwap::from_pointee(users),
            version: Mutex::new(file.data_version),
            wanted: Vec::new(),
            backup: saver
                .was_backup()
                .then_some((file.data_version, file.data_version)),
            saver,
        };
        let mut table = table.with_wanted(settings, now)?;
        if settings.auth.migrate_auth_from_v1_enabled {
            table.migrate(disk, settings, now)?;
        }
        let version = *table.version.lock();
        table.backup = table.backup.map(|(backup, _)| (backup, version));
        table.tell();
        Ok(Some(table))
    }

    /// The version of the backup that was there in the file's place at the start, while nobody has changed anything since.
    pub fn backup(&self) -> Option<DataVersion> {
        let (backup, after_start) = self.backup?;
        (*self.version.lock() == after_start).then_some(backup)
    }

    /// The version.
    pub fn version(&self) -> DataVersion {
        *self.version.lock()
    }

    /// Are requests looked at?
    pub fn is_asked(&self) -> bool {
        self.rules.authentication || self.rules.authorization
    }

    /// Looks once for all requests of a read.
    pub fn watch(&self) -> Watch<'_> {
        Watch {
            users: self.in_force.load(),
            rules: &self.rules,
        }
    }

    /// The users in force.
    pub fn users(&self) -> Arc<Users> {
        self.in_force.load_full()
    }

    /// Changes something. It is in force when this returns, and on disk when the change is saved.
    ///
    /// # Errors
    /// It is not to be; nothing is changed.
    pub fn change<E>(&self, now: i64, edit: impl FnOnce(&mut Users) -> Result<(), E>) -> Result<Change, E> {
        let mut version = self.version.lock();
        let mut users = Users::clone(&self.in_force.load());
        edit(&mut users)?;
        self.in_force.store(Arc::new(users));
        version.counter += 1;
        version.timestamp = now;
        Ok(self.saver.touch())
    }

    /// Takes over what a master has; those that this broker's settings ask for stay.
    ///
    /// # Errors
    /// It makes no sense; nothing is changed.
    pub fn replace(&self, now: i64, users: &[UserInfo], acls: &[AclInfo]) -> Result<(), String> {
        let mut new = Users::read(users, acls)?;
        for user in &self.wanted {
            if new.get(user.username.as_deref().unwrap_or_default()).is_none() {
                new.create(user).map_err(|e| e.to_string())?;
            }
        }
        let mut version = self.version.lock();
        let old = self.in_force.load();
        if old.list("") == new.list("") && old.list_acls("", "") == new.list_acls("", "") {
            return Ok(());
        }
        self.in_force.store(Arc::new(new));
        version.counter += 1;
        version.timestamp = now;
        self.saver.touch();
        Ok(())
    }

    fn with_wanted(mut self, settings: &Settings, now: i64) -> Result<Self, StartError> {
        for (key, user) in settings.wanted_users() {
            let is_there = |users: &Users| users.get(user.username.as_deref().unwrap_or_default()).is_some();
            if !is_there(&self.in_force.load()) {
                let made = self.change(now, |users| users.create(&user));
                made.map_err(|why| StartError::Made { key, why })?;
                let name = user.username.as_deref().unwrap_or_default();
                tracing::info!("access control: Super user {name} is made, as {key} says");
            }
            self.wanted.push(user);
        }
        Ok(self)
    }

    /// Makes users of accounts (5.3.3, AuthMigrator).
    fn migrate<D: Disk + Clone>(&self, disk: &D, settings: &Settings, now: i64) -> Result<(), StartError> {
        let Some(home) = &settings.broker.rocketmq_home else {
            return Ok(());
        };
        let (white, accounts) = files::read_once(disk, &PathBuf::from(home))?;
        if !white.is_empty() {
            tracing::warn!(
                "access control: globalWhiteRemoteAddresses ({}) are not migrated: every request of a user is signed",
                white.join(", ")
            );
        }
        for account in &accounts {
            let Migrated { user, acl, odd } = migrated(account);
            let name = &account.config.access_key;
            if self.in_force.load().get(name).is_some() {
                continue;
            }
            let made = self.change(now, |users| {
                users.create(&user)?;
                acl.iter().try_for_each(|acl| users.put_acl(acl))
            });
            made.map_err(|why| StartError::Made {
                key: "migrateAuthFromV1Enabled",
                why,
            })?;
            tracing::info!("access control: account {name} is migrated to a user");
            for odd in odd {
                tracing::warn!("access control: user {name}, migrated: {odd}");
            }
        }
        Ok(())
    }

    fn tell(&self) {
        let users = self.in_force.load();
        let on = |on: bool| if on { "on" } else { "off" };
        tracing::info!(
            "access control: {} users, authentication is {}, authorization is {}",
            users.len(),
            on(self.rules.authentication),
            on(self.rules.authorization)
        );
        if self.rules.authorization && !self.rules.authentication {
            tracing::warn!(
                "access control: authorizationEnabled without authenticationEnabled believes whatever name a request gives"
            );
        }
        if self.is_asked()
            && users
                .sorted()
                .iter()
                .all(|user| !user.is_super || !user.is_enabled)
        {
            tracing::warn!(
                "access control: there is no Super user, so that nobody can make users (initAuthenticationUser makes one)"
            );
        }
    }
}

impl ConfigFile for UserTable {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn is_private(&self) -> bool {
        true
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        let version = self.version.lock();
        let users = self.in_force.load();
        pretty(&AuthFile {
            acls: users.list_acls("", ""),
            data_version: *version,
            users: users.list(""),
        })
    }
}

fn rules(settings: &Settings) -> Rules {
    let codes = |list: &Option<String>| -> HashSet<i32> {
        let items = list.as_deref().unwrap_or_default().split(',');
        items.filter_map(|item| item.trim().parse().ok()).collect()
    };
    let auth = &settings.auth;
    Rules {
        authentication: auth.authentication_enabled,
        authorization: auth.authorization_enabled,
        unsigned: codes(&auth.authentication_whitelist),
        unauthorized: codes(&auth.authorization_whitelist),
        cluster: settings.broker.broker_cluster_name.clone(),
    }
}

/// Refuses the start where users are in RocksDB alone: it would look as if all of them were lost.
fn refuse_java_store<D: Disk>(disk: &D, config: &Path, file: &Path) -> Result<(), StartError> {
    for directory in OF_JAVA.map(|name| config.join(name)) {
        if disk.read_small(&directory.join(MARK), MARK_MAX)?.is_some() {
            return Err(StartError::RocksDb {
                directory: directory.display().to_string(),
                file: file.display().to_string(),
            });
        }
    }
    Ok(())
}

/// Passwords are for the broker alone. A disk that is full takes no file; the start goes on, as with every other table.
fn make_private<D: Disk>(disk: &D, path: &Path) {
    let made = disk
        .write_small(path, b"", false)
        .and_then(|()| disk.make_private(path));
    if let Err(e) = made {
        tracing::warn!(
            "access control: {} could not be made for the broker alone: {e}",
            path.display()
        );
    }
}

/// Names in a text with commas that are no codes.
pub(crate) fn no_codes(list: &str) -> BTreeSet<String> {
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .filter(|item| item.parse::<i32>().is_err())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use disk::SimDisk;
    use settings::Section;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        settings.store.store_path_root_dir = "/store".to_owned();
        settings.broker.rocketmq_home = Some("/home".to_owned());
        for (key, value) in pairs {
            settings.auth.set(key, value).unwrap();
        }
        settings
    }

    const ON: (&str, &str) = ("authenticationEnabled", "true");

    fn open(disk: &SimDisk, pairs: &[(&str, &str)]) -> Result<UserTable, StartError> {
        Ok(UserTable::load(disk, &settings(pairs), 7)?.unwrap())
    }

    fn names(table: &UserTable) -> Vec<String> {
        let users = table.users();
        users.sorted().iter().map(|user| user.name().to_owned()).collect()
    }

    #[test]
    fn what_was_changed_is_there_after_a_start() {
        let disk = SimDisk::new();
        assert!(UserTable::load(&disk, &settings(&[]), 7).unwrap().is_none());
        let init = ("initAuthenticationUser", r#"{"username":"root","password":"pw"}"#);
        let inner = (
            "innerClientAuthenticationCredentials",
            r#"{"accessKey":"inner","secretKey":"s"}"#,
        );
        let table = open(&disk, &[ON, init, inner]).unwrap();
        assert_eq!(names(&table), ["inner", "root"]);
        assert!(table.users().sorted().iter().all(|user| user.is_super));
        let alice: UserInfo = protocol::body::read(br#"{"username":"alice","password":"pw"}"#).unwrap();
        table.change(8, |users| users.create(&alice)).unwrap();
        assert_eq!(
            table.change(9, |users| users.create(&alice)).err(),
            Some(BadChange::Exists)
        );
        tables::save(&table, &disk, 9).unwrap();
        let again = open(&disk, &[ON, init]).unwrap();
        assert_eq!(names(&again), ["alice", "inner", "root"]);
        assert!(!again.saver.is_behind(), "nothing is made anew");
        let version = *again.version.lock();
        assert_eq!((version.counter, version.timestamp), (3, 8));
    }

    #[test]
    fn a_slave_has_what_its_master_has_and_what_its_settings_ask_for() {
        let disk = SimDisk::new();
        let inner = (
            "innerClientAuthenticationCredentials",
            r#"{"accessKey":"inner","secretKey":"s"}"#,
        );
        let table = open(&disk, &[ON, inner]).unwrap();
        let master: Vec<UserInfo> = protocol::body::read(br#"[{"username":"bob","password":"pw"}]"#).unwrap();
        let acls: Vec<AclInfo> = protocol::body::read(
            br#"[{"subject":"User:bob","policies":[{"entries":[{"resource":"*","actions":["Get"],"decision":"Allow"}]}]}]"#,
        )
        .unwrap();
        table.replace(8, &master, &acls).unwrap();
        assert_eq!(names(&table), ["bob", "inner"]);
        let change = table.saver.latest();
        table.replace(9, &master, &acls).unwrap();
        assert_eq!(table.saver.latest(), change, "nothing to write");
        // Without passwords it is no copy.
        let hidden: Vec<UserInfo> = protocol::body::read(br#"[{"username":"bob"}]"#).unwrap();
        assert!(table.replace(9, &hidden, &[]).unwrap_err().contains("`bob`"));
        assert_eq!(names(&table), ["bob", "inner"]);
    }

    #[test]
    fn accounts_become_users() {
        let disk = SimDisk::new();
        let file = "accounts:\n- {accessKey: oldaccount, secretKey: 12345678, topicPerms: [a=PUB]}\n";
        disk.write_small(Path::new("/home/conf/acl/team.yml"), file.as_bytes(), false)
            .unwrap();
        let migrate = ("migrateAuthFromV1Enabled", "true");
        let table = open(&disk, &[ON, migrate]).unwrap();
        assert_eq!(names(&table), ["oldaccount"]);
        assert_eq!(table.users().list_acls("", "").len(), 1);
        // No account file is made for that.
        assert_eq!(
            disk.read_small(Path::new("/home/conf/plain_acl.yml"), 9).unwrap(),
            None
        );
        table
            .change(9, |users| users.delete_acl("User:oldaccount", None, ""))
            .unwrap();
        tables::save(&table, &disk, 9).unwrap();
        let again = open(&disk, &[ON, migrate]).unwrap();
        assert!(
            again.users().list_acls("", "").is_empty(),
            "who is there is left as it is"
        );
    }

    #[test]
    fn users_of_javas_broker_are_not_passed_over() {
        let disk = SimDisk::new();
        disk.write_small(
            Path::new("/store/config/acls/CURRENT"),
            b"MANIFEST-000004\n",
            false,
        )
        .unwrap();
        let refused = open(&disk, &[ON]).err().unwrap().to_string();
        assert!(
            refused.starts_with("/store/config/acls holds users or policies in RocksDB"),
            "{refused}"
        );
        assert!(refused.contains("mqadmin copyUser") && refused.contains("/store/config/auth.json"));
        // Without users nobody asks.
        assert!(UserTable::load(&disk, &settings(&[]), 7).unwrap().is_none());
        disk.write_small(Path::new("/store/config/auth.json"), b"{}", false)
            .unwrap();
        assert!(open(&disk, &[ON]).is_ok());
    }

    #[test]
    fn a_file_that_makes_no_sense_refuses_the_start() {
        let disk = SimDisk::new();
        let text =
            br#"{"users":[{"username":"a","password":"p"}],"acls":[{"subject":"User:b","policies":[]}]}"#;
        disk.write_small(Path::new("/store/config/auth.json"), text, false)
            .unwrap();
        let refused = open(&disk, &[ON]).err().unwrap().to_string();
        assert!(
            refused.starts_with("/store/config/auth.json: policies of `User:b`: "),
            "{refused}"
        );
    }

    #[test]
    fn passwords_are_for_the_broker_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&[
            ON,
            ("initAuthenticationUser", r#"{"username":"root","password":"pw"}"#),
        ]);
        settings.store.store_path_root_dir = dir.path().display().to_string();
        let disk = disk::MmapDisk::default();
        let table = UserTable::load(&disk, &settings, 7).unwrap().unwrap();
        tables::save(&table, &disk, 9).unwrap();
        let mode = std::fs::metadata(dir.path().join("config/auth.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
