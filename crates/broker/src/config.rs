//! The settings while the broker runs: read by everybody, changed by UPDATE_BROKER_CONFIG, kept in the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{Clock, Disk};
use ha::{InSync, Rule};
use parking_lot::Mutex;
use protocol::body::topic::DataVersion;
use settings::{Group, Live, Properties, Refused, Secret, Updated};
use store::Store;

use crate::settings::{BrokerRole, FlushDiskType, IN_SYNC_KEYS, Settings};
use crate::store_settings;

impl Settings {
    /// Is this broker a slave?
    pub fn is_slave(&self) -> bool {
        self.store.broker_role == BrokerRole::Slave
    }

    /// What a send of a SYNC_MASTER waits for: one slave, as in 4.9, unless a key says how many as in 5.x. Nothing on other brokers.
    pub fn replication_rule(&self) -> Option<Rule> {
        if self.store.broker_role != BrokerRole::SyncMaster {
            return None;
        }
        let s = &self.store;
        let behind_max = i64::from(s.ha_max_gap_not_in_sync);
        let is_told = self.in_sync_given
            || (s.in_sync_replicas, s.min_in_sync_replicas) != (1, 1)
            || s.all_ack_in_sync_state_set
            || s.enable_auto_in_sync_replicas;
        Some(match is_told {
            false => Rule::OneSlave { behind_max },
            true => Rule::InSync(InSync {
                replicas: s.in_sync_replicas.max(0) as usize,
                replicas_min: s.min_in_sync_replicas.max(0) as usize,
                auto: s.enable_auto_in_sync_replicas,
                all: s.all_ack_in_sync_state_set,
                behind_max,
            }),
        })
    }

    /// Is SUCCESS never said before a slave has the message?
    pub fn waits_for_slaves(&self) -> bool {
        match self.replication_rule() {
            None => false,
            Some(Rule::OneSlave { .. }) => true,
            // Where the number follows who is in sync, only the least one is sure.
            Some(Rule::InSync(rule)) if rule.auto || rule.all => rule.replicas_min > 1,
            Some(Rule::InSync(rule)) => rule.replicas > 1,
        }
    }

    /// Does a send wait for the disk?
    pub fn is_sync_flush(&self) -> bool {
        self.store.flush_disk_type == FlushDiskType::SyncFlush
    }

    /// `config/` below the store's root.
    pub fn config_dir(&self) -> PathBuf {
        PathBuf::from(&self.store.store_path_root_dir).join("config")
    }
}

/// The value of a key as a log may have it.
fn shown<'v>(settings: &Settings, key: &str, value: &'v str) -> &'v str {
    let mut settings = settings.clone();
    for section in settings.sections_mut() {
        // It is a good one, and what is secret takes every text.
        let _taken = section.set(key, value);
        if section.get(key).is_some_and(|shown| shown == Secret::SHOWN) {
            return Secret::SHOWN;
        }
    }
    value
}

/// Longest settings file that is rewritten, bytes.
pub(crate) const FILE_MAX_BYTES: u64 = 1 << 20;

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// A key or value that is refused; nothing was changed.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The next start would refuse what the file would say; nothing was changed.
    #[error("nothing is changed, the next start would refuse it: {0}")]
    NextStart(String),
    /// What has to be on disk before such a change is not; nothing was changed.
    #[error("nothing is changed: {0}")]
    NotNoted(String),
    /// The change is in force, the file is not written.
    #[error("the change is in force but not in the file: {0}")]
    NotSaved(#[from] disk::Error),
}

/// What an update changed.
pub struct SettingsChange {
    /// In force until now.
    pub before: Arc<Settings>,
    /// In force from now on.
    pub after: Arc<Settings>,
    /// When, ms since 1970.
    pub now_ms: i64,
}

impl SettingsChange {
    /// Whether what `of` picks is another than before.
    pub fn concerns<T: PartialEq>(&self, of: impl Fn(&Settings) -> T) -> bool {
        of(&self.before) != of(&self.after)
    }
}

/// Somebody who reads settings too seldom to notice a change at once, or who keeps what an old setting made.
pub trait SettingsListener: Send + Sync {
    /// The settings are to change. What must be on disk before they are in force is written here.
    ///
    /// # Errors
    /// Nothing is changed, and this is why.
    fn before(&self, _change: &SettingsChange) -> Result<(), String> {
        Ok(())
    }

    /// The settings have changed, or been written again as they were. No lock is held.
    fn changed(&self, change: &SettingsChange);
}

/// The settings in force, their version and their file; and who has to be told of some: the store and the listeners.
pub struct ConfigStore<D: Disk> {
    live: Arc<Live<Settings>>,
    store: Arc<Store<D>>,
    listeners: Vec<Arc<dyn SettingsListener>>,
    version: Mutex<DataVersion>,
    disk: D,
    clock: Arc<dyn Clock>,
}

impl<D: Disk> ConfigStore<D> {
    /// Around the settings the broker started with. The listeners are told in their order.
    pub fn new(
        live: Arc<Live<Settings>>,
        store: Arc<Store<D>>,
        listeners: Vec<Arc<dyn SettingsListener>>,
        disk: D,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let version = DataVersion {
            timestamp: clock.now_ms(),
            ..DataVersion::default()
        };
        Self {
            live,
            store,
            listeners,
            version: Mutex::new(version),
            disk,
            clock,
        }
    }

    /// Applies properties text, keeps it in the file and tells the listeners.
    pub fn update(&self, text: &str) -> Result<(), UpdateError> {
        let (change, saved) = self.apply(text)?;
        // What could not be written is in force all the same.
        for listener in &self.listeners {
            listener.changed(&change);
        }
        Ok(saved?)
    }

    /// Everything but the listeners; second, whether the file could be written.
    fn apply(&self, text: &str) -> Result<(SettingsChange, Result<(), disk::Error>), UpdateError> {
        // One update at a time: the lock also guards the file.
        let mut version = self.version.lock();
        let before = self.live.snapshot();
        let mut changed = (*before).clone();
        let black_list = changed.broker.config_black_list.clone();
        let updated = settings::update(&mut changed, &Properties::parse(text.as_bytes()), &black_list)?;
        // As at a start from the file that will have it.
        changed.in_sync_given |= updated
            .live
            .iter()
            .any(|(key, _)| IN_SYNC_KEYS.contains(&key.as_str()));
        let file = changed.config_file();
        let text = self.text_to_keep(&file, &changed, &updated);
        if let Ok(text) = &text {
            changed.check_next_start(text).map_err(UpdateError::NextStart)?;
        }
        let change = SettingsChange {
            before,
            after: Arc::new(changed.clone()),
            now_ms: self.clock.now_ms(),
        };
        for listener in &self.listeners {
            listener.before(&change).map_err(UpdateError::NotNoted)?;
        }
        version.counter += 1;
        version.timestamp = change.now_ms;
        for line in updated.unknown_lines(&changed) {
            tracing::warn!("UPDATE_BROKER_CONFIG: {line}");
        }
        for (kept, what) in [
            (&updated.live, "is in force"),
            (&updated.at_next_start, "takes effect after a restart"),
            (
                &updated.without_effect,
                "is kept in the file and has no effect here",
            ),
        ] {
            for (key, value) in kept {
                let value = shown(&changed, key, value);
                tracing::info!("UPDATE_BROKER_CONFIG: {key}={value} {what}");
            }
        }
        let at_start = self.store.settings().clone();
        self.store.tune(&store_settings::tuned(&changed, at_start));
        if let Err(bad) = logs::set_levels(&changed.log.log_levels) {
            tracing::warn!("logLevels: {bad}");
        }
        self.live.store(changed);
        let saved = text.and_then(|text| self.disk.write_small(&file, &text, true));
        match &saved {
            Ok(()) if updated.to_keep().next().is_none() => {}
            Ok(()) => tracing::info!("UPDATE_BROKER_CONFIG: kept in {}", file.display()),
            Err(error) => tracing::error!("UPDATE_BROKER_CONFIG: not kept in {}: {error}", file.display()),
        }
        Ok((change, saved))
    }

    /// What the file should say.
    fn text_to_keep(
        &self,
        file: &Path,
        changed: &Settings,
        updated: &Updated,
    ) -> Result<Vec<u8>, disk::Error> {
        let old = self.disk.read_small(file, FILE_MAX_BYTES)?;
        settings::edit_kept(old.as_deref(), changed.config_file_given, updated)
            .map_err(|gone| disk::Error::new(disk::Operation::Read, file, gone))
    }

    /// The version as JSON, and all settings as `key=value` lines.
    pub fn text(&self) -> (String, String) {
        let version = serde_json::to_string(&*self.version.lock()).expect("plain numbers");
        (version, settings::text(&*self.live.snapshot()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Section;

    #[test]
    fn secrets_are_not_shown() {
        let settings = Settings::default();
        let secret = r#"{"accessKey":"a","secretKey":"s"}"#;
        for key in ["innerClientAuthenticationCredentials", "initAuthenticationUser"] {
            assert_eq!(shown(&settings, key, secret), "******");
            let mut given = settings.clone();
            given.auth.set(key, secret).expect("any text");
            let printed = settings::text(&given);
            assert!(printed.contains(&format!("{key}=******\n")), "{printed}");
            assert!(!format!("{given:?}").contains("secretKey"));
        }
        assert_eq!(shown(&settings, "brokerName", "b"), "b");
    }
}
