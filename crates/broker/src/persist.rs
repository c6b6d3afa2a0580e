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

/// Reads a configuration file by Java's rule: the file, else its `.bak`, else nothing.
///
/// Unlike Java: a damaged file is kept aside as `<file>.damaged`, so that the next save does not destroy what an
/// operator might mend by hand.
pub fn load<D: Disk, T: DeserializeOwned>(disk: &D, path: &Path) -> disk::Result<Option<T>> {
    let backup = with_suffix(path, ".bak");
    for candidate in [path, backup.as_path()] {
        let text = match disk.read_small(candidate, FILE_MAX_BYTES)? {
            Some(text) if !text.iter().all(u8::is_ascii_whitespace) => text,
            _ => continue,
        };
        match protocol::body::read(&text) {
            Ok(value) => {
                if candidate != path {
                    tracing::warn!("{} is missing or damaged, its backup is used", path.display());
                }
                return Ok(Some(value));
            }
            Err(e) => {
                let aside = with_suffix(candidate, ".damaged");
                tracing::error!(
                    "{} is damaged ({e}), kept as {}",
                    candidate.display(),
                    aside.display()
                );
                if let Err(e) = disk.write_small(&aside, &text, false) {
                    tracing::error!("{e}");
                }
            }
        }
    }
    Ok(None)
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
