//! Which consumers were connected when the broker stopped: `config/consumerConnection.json`.
//!
//! ```text
//! {"savedAt":1700000000000,"groups":{"group":{"connectionSet":[…],"subscriptionTable":{…},…}}}
//! ```
//!
//! - `savedAt`: when the stop began, ms since 1970.
//! - `groups`: each as GET_CONSUMER_CONNECTION_LIST (203) shows it.
//!
//! The file is written at a stop and read at the next start. Java's broker has no such file and leaves it alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use disk::Disk;
use parking_lot::Mutex;
use protocol::body::broker::ConsumerConnection;
use protocol::body::de;
use serde::{Deserialize, Serialize};

use super::config_file::{self, LoadError, pretty};
use super::saver::{ConfigFile, Saver};
use crate::clients::MEMBER_EXPIRES_MS;

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    #[serde(deserialize_with = "de::scalar")]
    saved_at: i64,
    #[serde(deserialize_with = "de::or_default")]
    groups: BTreeMap<String, ConsumerConnection>,
}

/// Consumers at the last stop, and at this one.
pub struct ConsumerConnectionFile {
    file: Mutex<File>,
    saver: Saver,
}

impl ConsumerConnectionFile {
    /// Loads the file at `path`.
    pub fn load<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, LoadError> {
        let saver = Saver::new(path);
        let file: File = config_file::load(disk, saver.path())?.content(&saver);
        Ok(Self {
            file: Mutex::new(file),
            saver,
        })
    }

    /// Who was connected at the last stop, once; nobody if a member that is silent for so long has left its group.
    pub fn take(&self, now: i64) -> BTreeMap<String, ConsumerConnection> {
        let file = std::mem::take(&mut *self.file.lock());
        match (0..=MEMBER_EXPIRES_MS).contains(&now.saturating_sub(file.saved_at)) {
            true => file.groups,
            false => BTreeMap::new(),
        }
    }

    /// The broker begins to stop, and these are connected.
    pub fn note(&self, groups: BTreeMap<String, ConsumerConnection>, now: i64) {
        // A broker that never had consumers makes no file.
        if !groups.is_empty() || !self.saver.was_missing() {
            self.saver.touch_later();
        }
        *self.file.lock() = File {
            saved_at: now,
            groups,
        };
    }
}

impl ConfigFile for ConsumerConnectionFile {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        pretty(&*self.file.lock())
    }
}
