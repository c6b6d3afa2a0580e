//! The history of roles: `roleHistory` in the store's root.
//!
//! It tells what this broker may have acknowledged as a master, which a slave does not cut: [`ha::Reigns`]. A broker without the file
//! whose log is not empty was Java's, or an older release's, and may have acknowledged all of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Disk;
use ha::Reigns;
use parking_lot::Mutex;
use store::Store;

use crate::config::{SettingsChange, SettingsListener};
use crate::settings::Settings;
use crate::tables::{Change, ConfigFile, LoadError, Saver, save};

/// Longest history that is read, bytes: a line a change of role.
const FILE_MAX_BYTES: u64 = 16 << 20;

/// What this broker acknowledged as a master.
pub struct RoleHistory {
    reigns: Mutex<Reigns>,
    saver: Saver,
}

impl RoleHistory {
    /// Loads the file in the store's root `root`; the log ends at `end`.
    pub fn load<D: Disk>(disk: &D, root: &Path, end: i64) -> Result<Self, LoadError> {
        let path = root.join("roleHistory");
        let reigns = match disk.read_small(&path, FILE_MAX_BYTES)? {
            None => Reigns::of_unknown_log(end),
            Some(text) => Self::parse(&path, &text)?,
        };
        let saver = Saver::new(path);
        saver.touch();
        Ok(Self {
            reigns: Mutex::new(reigns),
            saver,
        })
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Reigns, LoadError> {
        let refusal = |why: String| LoadError::NotUnderstood {
            path: path.display().to_string(),
            why,
        };
        let text = std::str::from_utf8(text).map_err(|e| refusal(e.to_string()))?;
        text.parse()
            .map_err(|e: ha::NotUnderstood| refusal(e.to_string()))
    }

    /// The broker is a master from here on, whose log ends at `end` and is synced; `alone` if SUCCESS needs no slave.
    pub fn begin(&self, end: i64, alone: bool) {
        self.reigns.lock().begin(end, alone);
        self.saver.touch();
    }

    /// The broker is a slave from here on.
    pub fn begin_as_slave(&self, end: i64) {
        self.reigns.lock().begin_as_slave(end);
        self.saver.touch();
    }

    /// SUCCESS means something else from here on.
    pub fn change(&self, end: i64, alone: bool) {
        let mut reigns = self.reigns.lock();
        reigns.end(end);
        reigns.begin(end, alone);
        self.saver.touch();
    }

    /// Nobody is answered any more.
    pub fn end(&self, end: i64) {
        self.reigns.lock().end(end);
        self.saver.touch();
    }

    /// The log was cut.
    pub fn cut(&self, at: i64) {
        self.reigns.lock().cut(at);
        self.saver.touch();
    }

    /// Slaves have acknowledged everything before `acknowledged`, and the log begins at `min`: for the file's next period.
    pub fn note(&self, acknowledged: i64, min: i64) {
        let mut reigns = self.reigns.lock();
        let before = reigns.clone();
        reigns.note_acknowledged(acknowledged);
        reigns.forget_before(min);
        if *reigns != before {
            self.saver.touch_later();
        }
    }

    /// A slave at this address reports. The change is to be on disk before its reports count.
    pub fn note_slave(&self, address: &str) -> Option<Change> {
        let is_new = self.reigns.lock().note_slave(address);
        is_new.then(|| self.saver.touch())
    }

    /// As [`RoleHistory::note_slave`], and writes it. Waits for the disk.
    ///
    /// # Errors
    /// It is not on disk: what the slave reports must not count.
    pub fn save_slave<D: Disk>(
        &self,
        address: &str,
        disk: &D,
        now_ms: i64,
    ) -> Result<(), crate::tables::SaveError> {
        match self.note_slave(address) {
            Some(_) => save(self, disk, now_ms),
            None => Ok(()),
        }
    }

    /// As it stands.
    pub fn reigns(&self) -> Reigns {
        self.reigns.lock().clone()
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.saver.path().to_owned()
    }
}

impl ConfigFile for RoleHistory {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        self.reigns.lock().to_string().into_bytes()
    }
}

/// Notes that the settings of a master say something else about slaves.
pub struct HistoryListener<D: Disk> {
    /// What is acknowledged.
    pub history: Arc<RoleHistory>,
    /// Where the log ends.
    pub store: Arc<Store<D>>,
}

impl<D: Disk> SettingsListener for HistoryListener<D> {
    fn changed(&self, change: &SettingsChange) {
        if change.concerns(Settings::waits_for_slaves) && !change.after.is_slave() {
            let end = self.store.max_physical().0;
            self.history.change(end, !change.after.waits_for_slaves());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use disk::SimDisk;

    use super::*;

    fn disk() -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/store")).unwrap();
        disk
    }

    #[test]
    fn the_history_of_a_start_goes_on_with_that_of_the_last() {
        let disk = disk();
        let history = RoleHistory::load(&disk, Path::new("/store"), 0).unwrap();
        history.begin(0, false);
        history.save_slave("10.0.0.2", &disk, 1).unwrap();
        history.note(500, 0);
        save(&history, &disk, 2).unwrap();
        let again = RoleHistory::load(&disk, Path::new("/store"), 700).unwrap();
        again.begin_as_slave(700);
        assert_eq!(
            again.reigns().to_string(),
            "from=0 until=700 acknowledged=500 doubtful=700 slaves=10.0.0.2\n"
        );
    }

    #[test]
    fn a_slave_is_on_disk_before_its_reports_count() {
        let disk = disk();
        let history = RoleHistory::load(&disk, Path::new("/store"), 0).unwrap();
        history.begin(0, false);
        save(&history, &disk, 0).unwrap();
        disk.fail_nth(1);
        assert!(history.save_slave("10.0.0.2", &disk, 1).is_err());
        let text = || String::from_utf8(disk.content(&history.path()).unwrap()).unwrap();
        assert!(!text().contains("10.0.0.2"));
        save(&history, &disk, 2).unwrap();
        assert!(text().contains("10.0.0.2"));
    }

    #[test]
    fn a_log_without_a_history_may_all_be_acknowledged_and_a_damaged_history_is_said() {
        let disk = disk();
        let unknown = RoleHistory::load(&disk, Path::new("/store"), 900).unwrap();
        assert!(
            unknown
                .reigns()
                .acknowledged_behind(899, 900, "10.0.0.2")
                .is_some()
        );
        disk.put(Path::new("/store/roleHistory"), b"from=0 sometimes\n");
        let error = RoleHistory::load(&disk, Path::new("/store"), 900)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("/store/roleHistory") && error.contains("line 1"),
            "{error}"
        );
    }
}
