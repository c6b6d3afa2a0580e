//! Offsets of a broadcasting consumer, which it keeps itself: `FOLDER/CLIENT/GROUP/offsets.json`, in the form of RocketMQ's
//! LocalFileOffsetStore, `{"offsetTable":{{queue}:offset}}` with the queue as quoted text.
#![allow(
    clippy::disallowed_methods,
    reason = "the program that consumes says when offsets are kept"
)]

use crate::Error;
use parking_lot::Mutex;
use protocol::body::{self, MessageQueue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OnDisk {
    #[serde(with = "body::object_keys")]
    offset_table: BTreeMap<MessageQueue, i64>,
}

/// The offsets and their file.
pub(crate) struct LocalOffsets {
    path: PathBuf,
    table: Mutex<BTreeMap<MessageQueue, i64>>,
}

impl LocalOffsets {
    /// Reads the file; a missing one is empty.
    pub(crate) fn load(path: PathBuf) -> Result<LocalOffsets, Error> {
        let failed = |cause: String| Error::Offsets {
            path: path.display().to_string(),
            cause,
        };
        let table = match std::fs::read(&path) {
            Ok(bytes) => {
                body::read::<OnDisk>(&bytes)
                    .map_err(|e| failed(e.to_string()))?
                    .offset_table
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(failed(e.to_string())),
        };
        Ok(LocalOffsets {
            path,
            table: Mutex::new(table),
        })
    }

    pub(crate) fn get(&self, queue: &MessageQueue) -> Option<i64> {
        self.table.lock().get(queue).copied()
    }

    pub(crate) fn set(&self, queue: &MessageQueue, offset: i64) {
        self.table.lock().insert(queue.clone(), offset);
    }

    /// Writes the file by way of a second one, so that a crash leaves the old or the new one.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let on_disk = OnDisk {
            offset_table: self.table.lock().clone(),
        };
        let failed = |e: std::io::Error| Error::Offsets {
            path: self.path.display().to_string(),
            cause: e.to_string(),
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let beside = self.path.with_extension("json.tmp");
        let mut file = std::fs::File::create(&beside).map_err(failed)?;
        file.write_all(&body::write(&on_disk))
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        std::fs::rename(&beside, &self.path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c/g/offsets.json");
        let queue = MessageQueue {
            topic: "T".into(),
            broker_name: "b".into(),
            queue_id: 1,
        };
        let offsets = LocalOffsets::load(path.clone()).unwrap();
        assert_eq!(offsets.get(&queue), None);
        offsets.set(&queue, 7);
        offsets.save().unwrap();
        assert_eq!(LocalOffsets::load(path.clone()).unwrap().get(&queue), Some(7));
        std::fs::write(
            &path,
            r#"{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:9}}"#,
        )
        .unwrap();
        assert_eq!(
            LocalOffsets::load(path).unwrap().get(&queue),
            Some(9),
            "as Java writes it"
        );
    }
}
