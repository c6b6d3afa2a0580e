//! The namespaced key-value configuration and its file, `kvConfig.json` (RocketMQ's KVConfigManager).
//!
//! The file is `{"configTable":{"namespace":{"key":"value"}}}`. A change is answered only after it is on disk.

use crate::file;
use crate::limits::{KV_MAX, TooLong, within};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use protocol::body::{self, KvTable};
use remoting::lane::MayWait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The namespace whose keys are order topics and whose values their queues (`broker-a:8;broker-b:8`).
pub const ORDER_TOPICS: &str = "ORDER_TOPIC_CONFIG";

type Table = BTreeMap<String, BTreeMap<String, String>>;

/// The table, and the text of each namespace: a namespace may be large, and each registration asks for one.
#[derive(Default)]
struct Namespaces {
    table: Table,
    texts: BTreeMap<String, Bytes>,
}

impl Namespaces {
    fn of(table: Table) -> Namespaces {
        let texts = table.iter().map(|(namespace, keys)| {
            let table = keys.clone();
            (namespace.clone(), body::write(&KvTable { table }))
        });
        Namespaces {
            texts: texts.collect(),
            table,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OnDisk {
    config_table: Option<Table>,
}

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("cannot read the KV configuration {path}: {cause}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        cause: std::io::Error,
    },
    /// It is damaged.
    #[error("the KV configuration {path} is damaged: {cause}; mend it, or move it away to start without")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        cause: protocol::body::BodyError,
    },
    /// Nothing is in it.
    #[error(
        "the KV configuration {path} is empty: what it held is lost; {backup}move it away to start without"
    )]
    Empty {
        /// The file.
        path: String,
        /// What to do with the backup that Java makes, if there is one.
        backup: String,
    },
    /// It would grow beyond what it may have. The change was not made.
    #[error("nothing was changed: {0}")]
    TooLong(#[from] TooLong),
    /// It could not be written. The change was not made.
    #[error("nothing was changed: cannot write the KV configuration {path}: {cause}")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        cause: std::io::Error,
    },
}

/// The table. Cheap to clone.
#[derive(Clone)]
pub struct KvConfig {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    namespaces: RwLock<Namespaces>,
    /// One change at a time, from the old table to the new file.
    changing: Mutex<()>,
    /// Longest text of the file.
    max_bytes: usize,
}

fn bytes_of(table: &Table) -> usize {
    let pairs = |keys: &BTreeMap<String, String>| keys.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
    table
        .iter()
        .map(|(namespace, keys)| namespace.len() + pairs(keys))
        .sum()
}

impl KvConfig {
    /// Reads the file; a missing one is an empty table.
    ///
    /// Unlike Java: a damaged file is an error, not an empty table that the next change writes over it.
    pub fn load(path: PathBuf) -> Result<KvConfig, Error> {
        let shown = || path.display().to_string();
        let bytes = file::read(&path).map_err(|cause| Error::Read { path: shown(), cause })?;
        let table = match bytes {
            None => Table::new(),
            // A full disk or a power cut leaves nothing of a file, and Java's name server writes none like it.
            Some(bytes) if bytes.trim_ascii().is_empty() => {
                let path = shown();
                let backup = match PathBuf::from(format!("{path}.bak")).exists() {
                    true => format!("put {path}.bak, which is one change older, in its place, or "),
                    false => String::new(),
                };
                return Err(Error::Empty { path, backup });
            }
            Some(bytes) => {
                let read = body::read::<OnDisk>(&bytes);
                read.map_err(|cause| Error::Damaged { path: shown(), cause })?
                    .config_table
                    .unwrap_or_default()
            }
        };
        Ok(KvConfig::of(path, table, KV_MAX))
    }

    fn of(path: PathBuf, table: Table, max_bytes: usize) -> KvConfig {
        KvConfig {
            inner: Arc::new(Inner {
                path,
                namespaces: RwLock::new(Namespaces::of(table)),
                changing: Mutex::new(()),
                max_bytes,
            }),
        }
    }

    /// One value.
    pub fn get(&self, namespace: &str, key: &str) -> Option<String> {
        let namespaces = self.inner.namespaces.read();
        namespaces.table.get(namespace)?.get(key).cloned()
    }

    /// All of a namespace, as JSON; `None` when it was never written. One whose last key was deleted is empty.
    pub fn namespace(&self, namespace: &str) -> Option<Bytes> {
        self.inner.namespaces.read().texts.get(namespace).cloned()
    }

    /// Sets a value. Waits for the disk.
    ///
    /// # Errors
    /// It is not on disk; nothing was changed.
    pub fn put(&self, namespace: &str, key: &str, value: &str, _: MayWait) -> Result<(), Error> {
        self.change(|table| {
            let old = table
                .entry(namespace.to_owned())
                .or_default()
                .insert(key.to_owned(), value.to_owned());
            let what = if old.is_some() {
                "update config item"
            } else {
                "create new config item"
            };
            tracing::info!("putKVConfig {what}, Namespace: {namespace} Key: {key} Value: {value}");
        })
    }

    /// Deletes a key. Waits for the disk.
    ///
    /// # Errors
    /// It is not on disk; nothing was changed.
    pub fn delete(&self, namespace: &str, key: &str, _: MayWait) -> Result<(), Error> {
        self.change(|table| {
            let old = table.get_mut(namespace).and_then(|keys| keys.remove(key));
            tracing::info!(
                "deleteKVConfig delete a config item, Namespace: {namespace} Key: {key} Value: {old:?}"
            );
        })
    }

    fn change(&self, change: impl FnOnce(&mut Table)) -> Result<(), Error> {
        let _one_at_a_time = self.inner.changing.lock();
        let mut table = self.inner.namespaces.read().table.clone();
        let old_len = bytes_of(&table);
        change(&mut table);
        let text = body::write(&OnDisk {
            config_table: Some(table.clone()),
        });
        // One that is too long already, from a file, may still be made shorter.
        if bytes_of(&table) > old_len {
            within("the KV configuration", text.len(), self.inner.max_bytes)?;
        }
        file::replace(&self.inner.path, &text).map_err(|cause| Error::Write {
            path: self.inner.path.display().to_string(),
            cause,
        })?;
        let namespaces = Namespaces::of(table);
        let old = std::mem::replace(&mut *self.inner.namespaces.write(), namespaces);
        drop(old);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoting::lane::may_wait as may;

    #[test]
    fn kept_in_javas_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv/kvConfig.json");
        let kv = KvConfig::load(path.clone()).unwrap();
        assert_eq!(kv.namespace("N"), None);
        kv.put("N", "k", "v", may()).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            r#"{"configTable":{"N":{"k":"v"}}}"#
        );
        let again = KvConfig::load(path.clone()).unwrap();
        assert_eq!(again.get("N", "k").as_deref(), Some("v"));
        again.delete("N", "k", may()).unwrap();
        assert_eq!(
            KvConfig::load(path).unwrap().namespace("N"),
            Some(Bytes::from_static(b"{\"table\":{}}"))
        );
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        std::fs::write(&path, "{\"configTable\":{\"N\":").unwrap();
        let error = KvConfig::load(path.clone()).err().map(|e| e.to_string()).unwrap();
        assert!(error.contains("kvConfig.json"), "{error}");
    }

    /// As a full disk leaves it.
    #[test]
    fn an_emptied_file_is_damaged_and_its_backup_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        std::fs::write(&path, "\n").unwrap();
        let error = || KvConfig::load(path.clone()).err().map(|e| e.to_string()).unwrap();
        assert!(error().contains("kvConfig.json is empty"), "{}", error());
        assert!(!error().contains(".bak"), "{}", error());
        std::fs::write(folder.path().join("kvConfig.json.bak"), "{}").unwrap();
        assert!(error().contains("put "), "{}", error());
        assert!(error().contains("kvConfig.json.bak"), "{}", error());
    }

    #[test]
    fn a_failed_write_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let kv = KvConfig::load(folder.path().join("kv.json")).unwrap();
        kv.put("N", "k", "1", may()).unwrap();
        let table = kv.inner.namespaces.read().table.clone();
        let elsewhere = KvConfig::of(blocked.join("kv.json"), table, KV_MAX);
        assert!(elsewhere.put("N", "k", "2", may()).is_err());
        assert_eq!(elsewhere.get("N", "k").as_deref(), Some("1"));
    }

    #[test]
    fn it_has_a_size_at_which_it_only_shrinks() {
        let folder = tempfile::tempdir().unwrap();
        let kv = KvConfig::load(folder.path().join("kv.json")).unwrap();
        kv.put("N", "k", &"x".repeat(100), may()).unwrap();
        kv.put("N", "l", &"x".repeat(100), may()).unwrap();
        let table = kv.inner.namespaces.read().table.clone();
        let full = KvConfig::of(folder.path().join("kv.json"), table, 150);
        let refused = full.put("N", "m", "x", may()).unwrap_err();
        assert!(
            matches!(refused, Error::TooLong(TooLong { max: 150, .. })),
            "{refused}"
        );
        assert_eq!(full.get("N", "m"), None);
        full.delete("N", "k", may()).unwrap();
        full.put("N", "m", "x", may()).unwrap();
    }
}
