//! The JSON files under `store/config/`: loading with Java's fallback to `.bak`, and saving off the request path.
//!
//! A table marks itself changed and goes on; one task a file writes the newest state, so that a thousand changes in a
//! row cost a handful of writes. Who must not answer before the change is on disk waits for its number.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use disk::Disk;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Number of a change to a table; grows by one with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Change(u64);

/// Why a file could not be saved.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path} could not be written: {cause}")]
pub struct SaveError {
    /// The file.
    pub path: String,
    /// What the disk said.
    pub cause: String,
}

/// Longest configuration file that is read: a million topics with long names fit.
const FILE_MAX_BYTES: u64 = 1 << 30;

/// Tells which changes of a table are on disk.
pub struct Saver {
    path: PathBuf,
    changed: AtomicU64,
    wake: Notify,
    saved: watch::Sender<(u64, Option<SaveError>)>,
}

impl Saver {
    /// A saver for the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            changed: AtomicU64::new(0),
            wake: Notify::new(),
            saved: watch::channel((0, None)).0,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a change, to be written soon.
    pub fn touch(&self) -> Change {
        let change = self.touch_later();
        self.wake.notify_one();
        change
    }

    /// Notes a change, to be written with the next one or when [`Saver::run`]'s period is over.
    pub fn touch_later(&self) -> Change {
        Change(self.changed.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Waits until `change` is on disk. An error says that a try to write it failed; it is tried again later.
    pub async fn saved(&self, change: Change) -> Result<(), SaveError> {
        let mut saved = self.saved.subscribe();
        let state = saved
            .wait_for(|(version, error)| *version >= change.0 || error.is_some())
            .await;
        match state {
            Ok(state) if state.0 >= change.0 => Ok(()),
            Ok(state) => Err(state.1.clone().unwrap_or_else(|| self.stopped())),
            Err(_) => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> SaveError {
        SaveError {
            path: self.path.display().to_string(),
            cause: "the broker is stopping".to_owned(),
        }
    }

    /// Writes the newest state whenever it changed: at once after [`Saver::touch`], and each `period` if given. Ends
    /// after a last write when `stop` is cancelled.
    pub async fn run<D: Disk + Clone>(
        &self,
        disk: D,
        render: impl Fn() -> Vec<u8>,
        period: Option<Duration>,
        stop: CancellationToken,
    ) {
        loop {
            let stopping = match period {
                Some(period) => tokio::select! {
                    () = stop.cancelled() => true,
                    () = self.wake.notified() => false,
                    () = tokio::time::sleep(period) => false,
                },
                None => tokio::select! {
                    () = stop.cancelled() => true,
                    () = self.wake.notified() => false,
                },
            };
            let failed = self.write(&disk, &render).await.is_err();
            if stopping {
                return;
            }
            if failed {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => self.wake.notify_one(),
                }
            }
        }
    }

    async fn write<D: Disk + Clone>(&self, disk: &D, render: &impl Fn() -> Vec<u8>) -> Result<(), SaveError> {
        let version = self.changed.load(Ordering::Acquire);
        if self.saved.borrow().0 >= version {
            return Ok(());
        }
        let (disk, path, text) = (disk.clone(), self.path.clone(), render());
        let written = tokio::task::spawn_blocking(move || disk.write_small(&path, &text, true)).await;
        let cause = match written {
            Ok(Ok(())) => {
                self.saved.send_replace((version, None));
                return Ok(());
            }
            Ok(Err(e)) => e.to_string(),
            Err(e) => e.to_string(),
        };
        let error = SaveError {
            path: self.path.display().to_string(),
            cause,
        };
        tracing::error!("{error}");
        self.saved.send_modify(|state| state.1 = Some(error.clone()));
        Err(error)
    }
}

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
    /// The content, an empty table if there is none; has `saver` write a file again that only its backup was left of.
    pub fn content(self, saver: &Saver) -> T {
        match self {
            Found::File(content) => content,
            Found::Backup(content) => {
                saver.touch();
                content
            }
            Found::Nothing => T::default(),
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
