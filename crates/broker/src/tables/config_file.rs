//! Loading the JSON files under `store/config/`, with Java's fallback to `.bak`.

use std::path::{Path, PathBuf};

use disk::Disk;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::saver::Saver;

/// Longest configuration file that is read, bytes: a million topics with long names fit.
const FILE_MAX_BYTES: u64 = 1 << 30;

/// Why the broker does not start with what is under `config/`.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The disk.
    #[error("{0}")]
    Disk(#[from] disk::Error),
    /// The table is there, but in RocksDB.
    #[error(
        "{directory} holds a table in RocksDB and there is no {file}: this broker keeps tables in files. Write the file \
         with the old broker's `mqadmin rocksDBConfigToJson`, or move the directory away to start without what it holds"
    )]
    RocksDb {
        /// Where RocksDB is.
        directory: String,
        /// The file that is missing.
        file: String,
    },
    /// A file of ours that nobody else writes says what nobody understands.
    #[error("{path}: {why}; mend it, or move it away to start without what it says")]
    NotUnderstood {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Neither the file nor its backup can be read.
    #[error(
        "{path} can not be read ({why}), nor can {backup} ({backup_why}); mend one of them, or move both away to start \
         without what they hold"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
        /// Its backup.
        backup: String,
        /// What is wrong with that.
        backup_why: String,
    },
}

/// What was found of a configuration file.
pub enum Found<T> {
    /// The file itself.
    File(T),
    /// Its backup only; the file is to be written again.
    Backup(T),
    /// Nothing that can be read.
    Nothing,
}

impl<T: Default> Found<T> {
    /// The content, an empty table if there is none, which `saver` is told; has `saver` write a file again that only its backup was
    /// left of.
    pub fn content(self, saver: &Saver) -> T {
        match self {
            Found::File(content) => content,
            Found::Backup(content) => {
                saver.is_backup();
                content
            }
            Found::Nothing => {
                saver.is_missing();
                T::default()
            }
        }
    }
}

/// What is wrong with a file, and what it holds.
struct Damage {
    why: String,
    content: Vec<u8>,
}

/// Reads a configuration file of JSON by Java's rule (RocketMQ 4.9.8, ConfigManager.load): the file, else its `.bak`;
/// a damaged backup refuses the start, and if there is no backup the table is empty.
///
/// Unlike Java: a damaged file is moved to `<file>.damaged`, so that the next save does not destroy what an operator
/// might mend by hand, nor put it in place of the backup.
pub fn load<D: Disk, T: DeserializeOwned>(disk: &D, path: &Path) -> Result<Found<T>, LoadError> {
    let read = |path: &Path| -> disk::Result<Option<Result<T, Damage>>> {
        let content = disk.read_small(path, FILE_MAX_BYTES)?;
        let content = content.filter(|text| !text.iter().all(u8::is_ascii_whitespace));
        Ok(content.map(|content| {
            protocol::body::read(&content).map_err(|e| Damage {
                why: e.to_string(),
                content,
            })
        }))
    };
    let damage = match read(path)? {
        Some(Ok(content)) => return Ok(Found::File(content)),
        Some(Err(damage)) => Some(damage),
        None => None,
    };
    let backup = with_suffix(path, ".bak");
    let found = match (read(&backup)?, &damage) {
        (Some(Ok(content)), None) => {
            tracing::warn!("{} is missing or empty, its backup is used", path.display());
            Found::Backup(content)
        }
        (Some(Ok(content)), Some(Damage { why, .. })) => {
            tracing::error!("{} is damaged ({why}), its backup is used", path.display());
            Found::Backup(content)
        }
        (Some(Err(of_backup)), damage) => {
            let missing = || "it is missing or empty".to_owned();
            return Err(LoadError::Damaged {
                path: path.display().to_string(),
                why: damage.as_ref().map_or_else(missing, |damage| damage.why.clone()),
                backup: backup.display().to_string(),
                backup_why: of_backup.why,
            });
        }
        (None, Some(Damage { why, .. })) => {
            tracing::error!(
                "{} is damaged ({why}) and has no backup: the start is without what it holds",
                path.display()
            );
            Found::Nothing
        }
        (None, None) => Found::Nothing,
    };
    if let Some(Damage { content, .. }) = damage {
        let aside = with_suffix(path, ".damaged");
        tracing::error!("what was damaged is kept as {}", aside.display());
        disk.write_small(&aside, &content, false)?;
        disk.remove_file(path)?;
    }
    Ok(found)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The text of a configuration file, in fastjson's indented form.
pub fn pretty<T: Serialize>(value: &T) -> Vec<u8> {
    protocol::body::write_pretty(value).into()
}
