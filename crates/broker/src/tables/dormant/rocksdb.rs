//! Tables that a broker of 5.x kept in RocksDB (`storeType=defaultRocksDB` or `configManagerVersion=v2`): nobody here can
//! read them, and a start without them would look as if all topics, groups and offsets were lost.
//!
//! Names: RocketMQ 5.3.3, RocksDBTopicConfigManager, RocksDBSubscriptionGroupManager, RocksDBConsumerOffsetManager,
//! ConfigStorage.

use std::path::Path;

use disk::Disk;

use crate::tables::LoadError;

/// Directory below `config/`, and the file that would hold the same.
const DIRECTORIES: [(&str, &str); 6] = [
    ("topics", "topics.json"),
    ("subscriptionGroups", "subscriptionGroup.json"),
    ("consumerOffsets", "consumerOffset.json"),
    ("rdb", "topics.json"),
    ("rdb", "subscriptionGroup.json"),
    ("rdb", "consumerOffset.json"),
];
/// Every RocksDB has this file.
const MARK: &str = "CURRENT";
/// Longest mark and table that is looked at, bytes.
const MARK_MAX: u64 = 4096;
const FILE_MAX: u64 = 1 << 30;

/// Refuses the start where tables are in RocksDB alone; where the file is there, too, it counts, as in Java, and a
/// warning says so.
pub fn check<D: Disk>(disk: &D, config: &Path) -> Result<(), LoadError> {
    for (directory, file) in DIRECTORIES {
        let directory = config.join(directory);
        if disk.read_small(&directory.join(MARK), MARK_MAX)?.is_none() {
            continue;
        }
        let file = config.join(file);
        let (directory, name) = (directory.display().to_string(), file.display().to_string());
        if disk.read_small(&file, FILE_MAX)?.is_none() {
            return Err(LoadError::RocksDb {
                directory,
                file: name,
            });
        }
        tracing::warn!("{directory} holds tables in RocksDB that are not read; {name} counts");
    }
    Ok(())
}
