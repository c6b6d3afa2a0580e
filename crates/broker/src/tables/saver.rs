//! Saving the JSON files under `store/config/` off the request path.
//!
//! A table marks itself changed and goes on; one task a file writes the newest state, so that a thousand changes in a
//! row cost a handful of writes. Who must not answer before a change is on disk leaves what is to be done then.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use disk::Disk;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::watermark::Watermark;

/// Number of a change to a table; grows by one with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Change(i64);

/// Why a change is not known to be on disk.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path} could not be written: {cause}")]
pub struct SaveError {
    /// The file.
    pub path: String,
    /// What the disk said.
    pub cause: String,
}

/// What is done when a change is on disk, or the write that was to bring it there failed; it is tried again later then.
pub type WhenSaved = Box<dyn FnOnce(Result<(), SaveError>) + Send>;

/// Tells which changes of a table are on disk.
pub struct Saver {
    path: PathBuf,
    changed: AtomicI64,
    wake: Notify,
    saved: Watermark<WhenSaved>,
    /// One write at a time: an older state must not replace a newer one.
    writing: Mutex<()>,
}

/// A table with a file under `config/`.
pub trait ConfigFile: Send + Sync + 'static {
    /// Which of its changes are on disk.
    fn saver(&self) -> &Saver;

    /// What is to be written now; of a new version where the file has one, since each writing follows a change.
    fn text(&self, now_ms: i64) -> Vec<u8>;
}

impl Saver {
    /// A saver for the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            changed: AtomicI64::new(0),
            wake: Notify::new(),
            saved: Watermark::new(0),
            writing: Mutex::default(),
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

    /// Notes a change, to be written with the next one or when the file's period is over.
    pub fn touch_later(&self) -> Change {
        Change(self.changed.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The last change so far.
    pub fn latest(&self) -> Change {
        Change(self.changed.load(Ordering::Acquire))
    }

    /// Is this change on disk?
    pub fn is_saved(&self, change: Change) -> bool {
        self.saved.reached() >= change.0
    }

    /// Is there a change that is not on disk?
    pub fn is_behind(&self) -> bool {
        self.saved.reached() < self.changed.load(Ordering::Acquire)
    }

    /// Does `then` when `change` is on disk, when a try to write it failed, or at `deadline_ms`.
    pub fn when_saved(&self, change: Change, now_ms: i64, deadline_ms: i64, then: WhenSaved) {
        if let Some(then) = self.saved.park(change.0, now_ms, deadline_ms, then) {
            then(Ok(()));
        }
    }

    /// Gives those that have waited too long an error.
    pub fn expire(&self, now_ms: i64) {
        for then in self.saved.take_expired(now_ms) {
            then(Err(self.error("it took too long")));
        }
    }

    /// Waits until somebody waits for a change.
    pub async fn wait_for_any(&self) {
        self.saved.wait_for_any().await;
    }

    /// Waits until a change is to be written soon.
    pub async fn wait_for_change(&self) {
        self.wake.notified().await;
    }

    /// Nobody writes any more.
    pub fn stop(&self) {
        for then in self.saved.take_all() {
            then(Err(self.error("the broker is stopping")));
        }
    }

    fn error(&self, cause: &str) -> SaveError {
        SaveError {
            path: self.path.display().to_string(),
            cause: cause.to_owned(),
        }
    }
}

/// Writes the newest state of `file` if it has changed, and tells who waits. Waits for the disk.
pub fn save<D: Disk>(file: &dyn ConfigFile, disk: &D, now_ms: i64) -> Result<(), SaveError> {
    let saver = file.saver();
    let writing = saver.writing.lock();
    // Before the text is made: a change that comes meanwhile may be in it and is written again.
    let version = saver.changed.load(Ordering::Acquire);
    if saver.saved.reached() >= version {
        return Ok(());
    }
    let written = disk.write_small(&saver.path, &file.text(now_ms), true);
    drop(writing);
    match written {
        Ok(()) => {
            for then in saver.saved.advance(version) {
                then(Ok(()));
            }
            Ok(())
        }
        Err(e) => {
            let error = saver.error(&e.to_string());
            tracing::error!("{error}");
            // What came while this was written has a write of its own, soon, which may not fail.
            for then in saver.saved.take_to(version) {
                then(Err(error.clone()));
            }
            Err(error)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::Arc;

    use disk::SimDisk;

    use super::*;

    struct Counter {
        saver: Saver,
        value: Mutex<i64>,
    }

    impl ConfigFile for Counter {
        fn saver(&self) -> &Saver {
            &self.saver
        }

        fn text(&self, _now_ms: i64) -> Vec<u8> {
            self.value.lock().to_string().into_bytes()
        }
    }

    fn counter() -> (Counter, SimDisk) {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/config")).unwrap();
        let saver = Saver::new("/config/counter".into());
        let value = Mutex::new(0);
        (Counter { saver, value }, disk)
    }

    fn notes() -> (Arc<Mutex<Vec<bool>>>, impl Fn() -> WhenSaved) {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let made = Arc::clone(&notes);
        (notes, move || {
            let notes = Arc::clone(&made);
            Box::new(move |saved: Result<(), SaveError>| notes.lock().push(saved.is_ok()))
        })
    }

    #[test]
    fn who_waits_hears_after_the_file_is_written() {
        let (file, disk) = counter();
        let (notes, note) = notes();
        *file.value.lock() = 7;
        let change = file.saver.touch();
        file.saver.when_saved(change, 0, 1000, note());
        assert!(notes.lock().is_empty() && file.saver.is_behind());
        save(&file, &disk, 0).unwrap();
        assert_eq!(*notes.lock(), [true]);
        assert_eq!(disk.content(Path::new("/config/counter")).unwrap(), b"7");
        file.saver.when_saved(change, 0, 1000, note());
        assert_eq!(*notes.lock(), [true, true], "it is there already");
        assert!(file.saver.is_saved(change) && !file.saver.is_behind());
    }

    #[test]
    fn a_failed_write_is_told_and_tried_again() {
        let (file, disk) = counter();
        let (notes, note) = notes();
        let change = file.saver.touch();
        file.saver.when_saved(change, 0, 1000, note());
        disk.fail_nth(1);
        assert!(save(&file, &disk, 0).is_err());
        assert_eq!(*notes.lock(), [false]);
        assert!(!file.saver.is_saved(change));
        save(&file, &disk, 0).unwrap();
        assert!(file.saver.is_saved(change));
    }

    /// A change comes, and is waited for, while another is written.
    struct Meanwhile {
        counter: Counter,
        note: Mutex<Option<WhenSaved>>,
    }

    impl ConfigFile for Meanwhile {
        fn saver(&self) -> &Saver {
            self.counter.saver()
        }

        fn text(&self, now_ms: i64) -> Vec<u8> {
            let text = self.counter.text(now_ms);
            if let Some(note) = self.note.lock().take() {
                let later = self.saver().touch();
                self.saver().when_saved(later, now_ms, 1000, note);
            }
            text
        }
    }

    #[test]
    fn a_failed_write_is_not_told_to_who_came_later() {
        let (counter, disk) = counter();
        let (first, note_first) = notes();
        let (later, note_later) = notes();
        let file = Meanwhile {
            counter,
            note: Mutex::new(Some(note_later())),
        };
        let change = file.saver().touch();
        file.saver().when_saved(change, 0, 1000, note_first());
        disk.fail_nth(1);
        assert!(save(&file, &disk, 0).is_err());
        assert_eq!((&first.lock()[..], &later.lock()[..]), (&[false][..], &[][..]));
        save(&file, &disk, 0).unwrap();
        assert_eq!(*later.lock(), [true]);
        assert_eq!(*first.lock(), [false], "one answer each");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (file, _disk) = counter();
        let (notes, note) = notes();
        let change = file.saver.touch();
        file.saver.when_saved(change, 0, 1000, note());
        file.saver.expire(999);
        assert!(notes.lock().is_empty());
        file.saver.expire(1000);
        file.saver.when_saved(change, 0, 1000, note());
        file.saver.stop();
        assert_eq!(*notes.lock(), [false, false]);
    }
}
