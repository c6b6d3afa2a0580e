//! Saving the JSON files under `store/config/` off the request path.
//!
//! A table marks itself changed and goes on; one task a file writes the newest state, so that a thousand changes in a
//! row cost a handful of writes. Who must not answer before a change is on disk leaves what is to be done then. Where SUCCESS means that
//! a slave has a message, a change is not safe before a slave has it, too.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use disk::Disk;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::watermark::Watermark;

/// Number of a change to a table; grows by one with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Change(i64);

impl Change {
    /// As a number, from 1 on.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// Why a change is not known to be safe.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SaveError {
    /// It is not on disk.
    #[error("{path} could not be written: {cause}")]
    Disk {
        /// The file.
        path: String,
        /// What the disk said.
        cause: String,
    },
    /// It is on disk.
    #[error("no slave has it yet")]
    NotCopied,
}

/// What is done when a change is safe, or the write that was to bring it to the disk failed; it is tried again later then.
pub type WhenSaved = Box<dyn FnOnce(Result<(), SaveError>) + Send>;

/// How long a slave may take to copy a change, ms: it hears of it at once.
const COPIED_WITHIN_MS: i64 = 2000;

/// Length, time of the last change and whether it is a folder; none if nothing is there.
type Seen = Option<(u64, i64, bool)>;

/// Somebody waits for a change.
struct Waiting {
    change: Change,
    deadline_ms: i64,
    /// The disk is enough.
    is_copy: bool,
    then: WhenSaved,
}

/// Tells which changes of a table are on disk.
pub struct Saver {
    path: PathBuf,
    changed: AtomicI64,
    wake: Notify,
    /// Wakes all who wait for a change.
    touched: Notify,
    saved: Watermark<Waiting>,
    /// What a slave has.
    copied: Watermark<Waiting>,
    /// No change is safe before.
    waits_for_copies: AtomicBool,
    /// There was no file at the start.
    was_missing: AtomicBool,
    /// What there was at the start was its backup.
    was_backup: AtomicBool,
    /// How the file was when this broker had read or written it last; nothing is known before.
    as_left: Mutex<Option<Seen>>,
    /// One write at a time: an older state must not replace a newer one.
    writing: Mutex<()>,
}

/// A table with a file under `config/`.
pub trait ConfigFile: Send + Sync + 'static {
    /// Which of its changes are on disk.
    fn saver(&self) -> &Saver;

    /// What is to be written now; of a new version where the file has one, since each writing follows a change.
    fn text(&self, now_ms: i64) -> Vec<u8>;

    /// Whether it is for the broker alone: secrets are in it.
    fn is_private(&self) -> bool {
        false
    }
}

impl Saver {
    /// A saver for the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            changed: AtomicI64::new(0),
            wake: Notify::new(),
            touched: Notify::new(),
            saved: Watermark::new(0),
            copied: Watermark::new(0),
            waits_for_copies: AtomicBool::new(false),
            was_missing: AtomicBool::new(false),
            was_backup: AtomicBool::new(false),
            as_left: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    /// Notes how the file is: it has just been read or written.
    pub fn note_as_left<D: Disk>(&self, disk: &D) {
        if let Some(seen) = self.seen(disk) {
            *self.as_left.lock() = Some(seen);
        }
    }

    /// How the file is; none for a folder that can not be listed.
    fn seen<D: Disk>(&self, disk: &D) -> Option<Seen> {
        let (folder, name) = (self.path.parent()?, self.path.file_name()?);
        let entries = disk.list(folder).ok()?;
        let found = entries.into_iter().find(|entry| name == entry.name.as_str());
        Some(found.map(|entry| (entry.len, entry.modified_ms, entry.is_dir)))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// There is no file, neither it nor its backup.
    pub fn is_missing(&self) {
        self.was_missing.store(true, Ordering::Release);
    }

    /// There is only its backup, which lacks the last changes; the file is to be written again.
    pub fn is_backup(&self) {
        self.was_backup.store(true, Ordering::Release);
        self.touch();
    }

    /// Was there only its backup at the start?
    pub fn was_backup(&self) -> bool {
        self.was_backup.load(Ordering::Acquire)
    }

    /// Does what there was at the start lack changes that somebody has made?
    pub fn lacks_changes(&self) -> bool {
        self.was_missing() || self.was_backup()
    }

    /// Was there no file at the start?
    pub fn was_missing(&self) -> bool {
        self.was_missing.load(Ordering::Acquire)
    }

    /// Whether somebody has removed the file, or has put something else in its place, since this broker had read or written it.
    fn is_anothers<D: Disk>(&self, disk: &D) -> bool {
        match (&*self.as_left.lock(), self.seen(disk)) {
            (Some(left), Some(seen)) => *left != seen,
            _ => false,
        }
    }

    /// A folder that cannot be listed says nothing against it.
    fn is_there<D: Disk>(&self, disk: &D) -> bool {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return true;
        };
        let entries = disk.list(folder);
        entries.map_or(true, |entries| {
            entries.iter().any(|entry| name == entry.name.as_str())
        })
    }

    /// Notes a change, to be written soon.
    pub fn touch(&self) -> Change {
        let change = self.touch_later();
        self.wake.notify_one();
        self.touched.notify_waiters();
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

    /// Is this change on disk, and with a slave where that is waited for?
    pub fn is_safe(&self, change: Change) -> bool {
        self.saved.reached() >= change.0 && !self.waits_for_copy(change)
    }

    fn waits_for_copy(&self, change: Change) -> bool {
        self.waits_for_copies.load(Ordering::SeqCst) && self.copied.reached() < change.0
    }

    /// Is there a change that is not on disk?
    pub fn is_behind(&self) -> bool {
        self.saved.reached() < self.changed.load(Ordering::Acquire)
    }

    /// Does `then` when `change` is safe, when a try to write it failed, or at `deadline_ms`; a slave is not waited for as long.
    pub fn when_saved(&self, change: Change, now_ms: i64, deadline_ms: i64, then: WhenSaved) {
        self.park(
            now_ms,
            Waiting {
                change,
                deadline_ms,
                is_copy: false,
                then,
            },
        );
    }

    /// As [`Saver::when_saved`], for a change that comes from a slave, which has it: the slave can not say so while it waits.
    pub fn when_written(&self, change: Change, now_ms: i64, deadline_ms: i64, then: WhenSaved) {
        self.park(
            now_ms,
            Waiting {
                change,
                deadline_ms,
                is_copy: true,
                then,
            },
        );
    }

    fn park(&self, now_ms: i64, waiting: Waiting) {
        let (change, deadline_ms) = (waiting.change, waiting.deadline_ms);
        if let Some(waiting) = self.saved.park(change.0, now_ms, deadline_ms, waiting) {
            self.when_copied(waiting, now_ms);
        }
    }

    /// The second step.
    fn when_copied(&self, waiting: Waiting, now_ms: i64) {
        if waiting.is_copy || !self.waits_for_copy(waiting.change) {
            return (waiting.then)(Ok(()));
        }
        let deadline = waiting.deadline_ms.min(now_ms + COPIED_WITHIN_MS);
        let number = waiting.change.0;
        if let Some(waiting) = self.copied.park(number, now_ms, deadline, waiting) {
            (waiting.then)(Ok(()));
        }
        // The last slave may have left in between.
        if !self.waits_for_copies.load(Ordering::SeqCst) {
            self.wait_for_copies(false);
        }
    }

    /// A slave has all up to this change.
    pub fn copied(&self, number: i64) {
        let latest = self.changed.load(Ordering::Acquire);
        for waiting in self.copied.advance(number.min(latest)) {
            (waiting.then)(Ok(()));
        }
    }

    /// Whether a change is safe only with a slave.
    pub fn wait_for_copies(&self, waits: bool) {
        self.waits_for_copies.store(waits, Ordering::SeqCst);
        if !waits {
            for waiting in self.copied.take_all() {
                (waiting.then)(Ok(()));
            }
        }
    }

    /// Gives those that have waited too long an error.
    pub fn expire(&self, now_ms: i64) {
        for waiting in self.saved.take_expired(now_ms) {
            (waiting.then)(Err(self.error("it took too long")));
        }
        for waiting in self.copied.take_expired(now_ms) {
            (waiting.then)(Err(SaveError::NotCopied));
        }
    }

    /// Waits until somebody waits for a change.
    pub async fn wait_for_any(&self) {
        tokio::select! {
            () = self.saved.wait_for_any() => {}
            () = self.copied.wait_for_any() => {}
        }
    }

    /// Ends with the next change that is to be written soon.
    pub fn touched(&self) -> Notified<'_> {
        self.touched.notified()
    }

    /// Waits until a change is to be written soon.
    pub async fn wait_for_change(&self) {
        self.wake.notified().await;
    }

    /// Nobody writes any more.
    pub fn stop(&self) {
        for waiting in self.saved.take_all() {
            (waiting.then)(Err(self.error("the broker is stopping")));
        }
        for waiting in self.copied.take_all() {
            (waiting.then)(Err(SaveError::NotCopied));
        }
    }

    fn error(&self, cause: &str) -> SaveError {
        SaveError::Disk {
            path: self.path.display().to_string(),
            cause: cause.to_owned(),
        }
    }
}

/// Writes the newest state of `file` for the last time: if it has changed, and if somebody has removed the file while the broker ran.
/// What fails is in the log, and may be tried again. Waits for the disk.
///
/// # Errors
/// It could not be written, and is older than it could be.
pub fn save_at_the_end<D: Disk>(file: &dyn ConfigFile, disk: &D, now_ms: i64) -> Result<(), SaveError> {
    let saver = file.saver();
    if saver.is_anothers(disk) {
        tracing::warn!(
            "{} was removed or changed while the broker ran: it is written again",
            saver.path.display()
        );
        if let Err(error) = keep_aside(saver, disk, now_ms) {
            tracing::warn!("what lies there is not kept: {error}");
        }
        saver.touch_later();
    }
    let saved = save(file, disk, now_ms);
    saver.stop();
    saved
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
    let written = write(file, disk, now_ms);
    drop(writing);
    match written {
        Ok(()) => {
            for waiting in saver.saved.advance(version) {
                saver.when_copied(waiting, now_ms);
            }
            Ok(())
        }
        Err(e) => {
            let error = saver.error(&e.to_string());
            tracing::error!("{error}");
            // What came while this was written has a write of its own, soon, which may not fail.
            for waiting in saver.saved.take_to(version) {
                (waiting.then)(Err(error.clone()));
            }
            Err(error)
        }
    }
}

/// What somebody has put in the place of a file, if it is more than nothing, is kept beside it.
fn keep_aside<D: Disk>(saver: &Saver, disk: &D, now_ms: i64) -> disk::Result<()> {
    if !matches!(saver.seen(disk), Some(Some((len, _, is_dir))) if len > 0 || is_dir) {
        return Ok(());
    }
    let mut aside = saver.path.as_os_str().to_os_string();
    aside.push(format!(".moved-{now_ms}"));
    let aside = PathBuf::from(aside);
    disk.rename(&saver.path, &aside)?;
    tracing::warn!("what lay there is kept as {}", aside.display());
    Ok(())
}

fn write<D: Disk>(file: &dyn ConfigFile, disk: &D, now_ms: i64) -> disk::Result<()> {
    let path = &file.saver().path;
    let is_new = file.is_private() && !file.saver().is_there(disk);
    if is_new {
        disk.write_small(path, b"", false)?;
        disk.make_private(path)?;
    }
    disk.write_small(path, &file.text(now_ms), !is_new)?;
    file.saver().note_as_left(disk);
    Ok(())
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
        assert!(file.saver.is_safe(change) && !file.saver.is_behind());
    }

    #[test]
    fn a_file_that_was_removed_is_written_again_at_the_end_and_one_that_never_was_is_not() {
        let path = Path::new("/config/counter");
        for (is_loaded, is_written, comes_back) in
            [(false, false, false), (true, false, true), (false, true, true)]
        {
            let (file, disk) = counter();
            match is_loaded {
                true => disk.put(path, b"0"),
                false => file.saver.is_missing(),
            }
            file.saver.note_as_left(&disk);
            if is_written {
                file.saver.touch();
                save(&file, &disk, 0).unwrap();
            }
            disk.take(path);
            *file.value.lock() = 3;
            save_at_the_end(&file, &disk, 0).unwrap();
            let content = disk.content(path);
            assert_eq!(
                content,
                comes_back.then(|| b"3".to_vec()),
                "{is_loaded} {is_written}"
            );
        }
    }

    #[test]
    fn a_file_that_somebody_has_changed_is_written_again_at_the_end() {
        let path = Path::new("/config/counter");
        for other in ["", "another, and an older one"] {
            let (file, disk) = counter();
            *file.value.lock() = 3;
            file.saver.touch();
            save(&file, &disk, 0).unwrap();
            disk.put(path, other.as_bytes());
            save_at_the_end(&file, &disk, 7).unwrap();
            assert_eq!(disk.content(path).unwrap(), b"3");
            let kept = disk.content(Path::new("/config/counter.moved-7"));
            assert_eq!(kept.unwrap_or_default(), other.as_bytes());
        }
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
        assert!(!file.saver.is_safe(change));
        save(&file, &disk, 0).unwrap();
        assert!(file.saver.is_safe(change));
    }

    #[test]
    fn a_change_that_a_slave_has_given_does_not_wait_for_slaves() {
        let (file, disk) = counter();
        let (notes, note) = notes();
        file.saver.wait_for_copies(true);
        let change = file.saver.touch();
        file.saver.when_written(change, 0, 30_000, note());
        assert!(notes.lock().is_empty());
        save(&file, &disk, 0).unwrap();
        assert_eq!(*notes.lock(), [true]);
        file.saver.when_written(change, 0, 30_000, note());
        assert_eq!(*notes.lock(), [true, true], "it is there already");
    }

    #[test]
    fn a_change_is_safe_when_a_slave_has_it_if_slaves_are_waited_for() {
        let (file, disk) = counter();
        let (notes, note) = notes();
        file.saver.wait_for_copies(true);
        let first = file.saver.touch();
        file.saver.when_saved(first, 0, 30_000, note());
        save(&file, &disk, 0).unwrap();
        assert!(notes.lock().is_empty() && !file.saver.is_safe(first));
        // What nobody has made yet, nobody can have.
        file.saver.copied(1_000_000);
        assert_eq!(*notes.lock(), [true]);
        let second = file.saver.touch();
        file.saver.copied(first.number());
        save(&file, &disk, 0).unwrap();
        assert!(file.saver.is_safe(first) && !file.saver.is_safe(second));
        // It is slow, and then it is gone.
        file.saver.when_saved(second, 0, 30_000, note());
        file.saver.expire(COPIED_WITHIN_MS - 1);
        assert_eq!(*notes.lock(), [true]);
        file.saver.expire(COPIED_WITHIN_MS);
        assert_eq!(*notes.lock(), [true, false]);
        file.saver.when_saved(second, 0, 30_000, note());
        file.saver.wait_for_copies(false);
        assert_eq!(*notes.lock(), [true, false, true]);
        assert!(file.saver.is_safe(second));
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
