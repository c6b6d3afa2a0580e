//! The history of roles: `roleHistory` in the store's root.
//!
//! It tells what this broker may have acknowledged as a master, which a slave does not cut: [`ha::Reigns`]. A broker without the file
//! whose log is not empty was Java's, or an older release's, and may have acknowledged all of it.
//!
//! A line before that says where the log ended when this broker was stopped: `end=POSITION`. It is not there while the broker runs, or
//! when it was killed. A log that is longer at the next start was written by somebody else meanwhile, Java's broker for example, who
//! may have acknowledged what it wrote.
//!
//! More lines say where the log has damage between sound records, the first of it. A master goes on behind it; once it is a slave, its
//! master may have what is missing there, of one place and not of another.
//!
//! - `hole=POSITION`: a power cut or a bad disk has left it. The next master that has what follows sends it.
//! - `copied=POSITION..POSITION`: a master had it, too. Only a master that has a record there sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    state: Mutex<State>,
    /// How often what SUCCESS means has changed.
    changes: AtomicU64,
    saver: Saver,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    reigns: Reigns,
    damage: LogDamage,
    /// Where the log ended when the broker was stopped.
    ended: Option<i64>,
}

/// What a start has seen of who ran last.
#[derive(Clone, Copy, Debug)]
pub struct LastRun {
    /// Where the log ends.
    pub end: i64,
    /// Whoever it was has stopped, and was not killed.
    pub is_clean: bool,
    /// It was not this broker: the checkpoint is another's.
    pub is_others: bool,
}

/// Places of each kind that are kept: what is copied anew from one on heals what is behind, too.
const DAMAGE_MAX: usize = 64;

/// Where the log has damage, with sound records behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogDamage {
    /// That of this broker's disk.
    pub holes: BTreeSet<i64>,
    /// That of a master's, which was copied, and where the log goes on.
    pub copied: BTreeMap<i64, i64>,
}

impl LogDamage {
    fn retain(&mut self, is_there: impl Fn(i64) -> bool) {
        self.holes.retain(|at| is_there(*at));
        self.copied.retain(|at, _| is_there(*at));
    }

    fn add_hole(&mut self, at: i64) {
        self.holes.insert(at);
        if self.holes.len() > DAMAGE_MAX {
            self.holes.pop_last();
        }
    }

    fn add_copied(&mut self, copied: Range<i64>) {
        self.copied.insert(copied.start, copied.end);
        if self.copied.len() > DAMAGE_MAX {
            self.copied.pop_last();
        }
    }
}

impl RoleHistory {
    /// Loads the file in the store's root `root`; the log ends at `end`.
    pub fn load<D: Disk>(disk: &D, root: &Path, end: i64) -> Result<Self, LoadError> {
        let path = root.join("roleHistory");
        let unknown = || State {
            reigns: Reigns::of_unknown_log(end),
            // Nothing is behind it, whoever ran.
            ended: Some(end),
            ..State::default()
        };
        let state = match disk.read_small(&path, FILE_MAX_BYTES)? {
            None => unknown(),
            Some(text) => match Self::parse(&path, &text) {
                Ok(state) => state,
                Err(why) => {
                    let aside = root.join("roleHistory.damaged");
                    tracing::error!(
                        "{why}; it is kept as {}, and this broker may have acknowledged all of its log: as a slave it cuts nothing of it",
                        aside.display()
                    );
                    disk.write_small(&aside, &text, false)?;
                    unknown()
                }
            },
        };
        let saver = Saver::new(path);
        saver.touch();
        Ok(Self {
            state: Mutex::new(state),
            changes: AtomicU64::new(0),
            saver,
        })
    }

    fn parse(path: &Path, text: &[u8]) -> Result<State, String> {
        let refusal = |why: String| format!("{}: {why}", path.display());
        let text = std::str::from_utf8(text).map_err(|e| refusal(e.to_string()))?;
        let (mut damage, mut reigns) = (LogDamage::default(), text);
        let mut value_of = |key: &str| {
            let (value, others) = reigns.strip_prefix(key)?.split_once('\n')?;
            reigns = others;
            Some(value.trim())
        };
        let position = |value: &str| {
            let position = value.parse::<i64>();
            position.map_err(|e| refusal(format!("the position {value}: {e}")))
        };
        let ended = value_of("end=").map(position).transpose()?;
        while let Some(value) = value_of("hole=") {
            damage.add_hole(position(value)?);
        }
        while let Some(value) = value_of("copied=") {
            let (at, next) = value.split_once("..").unwrap_or((value, ""));
            damage.add_copied(position(at)?..position(next)?);
        }
        let reigns = reigns
            .parse()
            .map_err(|e: ha::NotUnderstood| refusal(e.to_string()))?;
        Ok(State {
            reigns,
            damage,
            ended,
        })
    }

    /// Notes what somebody else wrote since this broker's last run; gives where that is.
    pub fn note_others(&self, last: LastRun) -> Option<Range<i64>> {
        let state = &mut *self.state.lock();
        let from = match state.ended.take() {
            Some(ended) => ended,
            // Whoever stopped was not this broker, which would have said where.
            None if last.is_clean || last.is_others => state.reigns.known_end(),
            None => return None,
        };
        self.saver.touch();
        (from < last.end).then(|| {
            state.reigns.note_unknown(from, last.end);
            from..last.end
        })
    }

    /// The broker is a master from here on, whose log ends at `end` and is synced; `alone` if SUCCESS needs no slave.
    pub fn begin(&self, end: i64, alone: bool) {
        self.state.lock().reigns.begin(end, alone);
        self.saver.touch();
    }

    /// The broker is a slave from here on.
    pub fn begin_as_slave(&self, end: i64) {
        self.state.lock().reigns.begin_as_slave(end);
        self.saver.touch();
    }

    /// SUCCESS means something else from here on.
    pub fn change(&self, end: i64, alone: bool) {
        let reigns = &mut self.state.lock().reigns;
        reigns.end(end);
        reigns.begin(end, alone);
        self.changes.fetch_add(1, Ordering::Release);
        self.saver.touch();
    }

    /// How often what SUCCESS means has changed since the start. The slaves that are connected then are to be noted once more.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The broker stops: nobody is answered any more, and the log ends at `end` for good.
    pub fn stop(&self, end: i64) {
        let state = &mut *self.state.lock();
        state.reigns.end(end);
        state.ended = Some(end);
        self.saver.touch();
    }

    /// The log was cut.
    pub fn cut(&self, at: i64) {
        let mut state = self.state.lock();
        state.reigns.cut(at);
        state.damage.retain(|damage| damage < at);
        self.saver.touch();
    }

    /// A start found damage. It may be what was copied.
    pub fn note_hole(&self, damaged: &Range<i64>) {
        let damage = &mut self.state.lock().damage;
        let copied = damage.copied.get(&damaged.start);
        if copied.is_none_or(|end| *end < damaged.end) {
            damage.add_hole(damaged.start);
        }
        self.saver.touch();
    }

    /// A master's damage was copied.
    pub fn note_copied_damage(&self, damaged: Range<i64>) {
        self.state.lock().damage.add_copied(damaged);
        self.saver.touch();
    }

    /// Where the log has damage.
    pub fn damage(&self) -> LogDamage {
        self.state.lock().damage.clone()
    }

    /// Slaves have acknowledged everything before `acknowledged`, and the log begins at `min`: for the file's next period.
    pub fn note(&self, acknowledged: i64, min: i64) {
        let mut state = self.state.lock();
        let before = state.clone();
        state.reigns.note_acknowledged(acknowledged);
        state.reigns.forget_before(min);
        state.damage.retain(|damage| damage >= min);
        if *state != before {
            self.saver.touch_later();
        }
    }

    /// A slave at this address reports, at which `count` may live. The change is to be on disk before its reports count.
    pub fn note_slave(&self, address: &str, count: usize) -> Option<Change> {
        let is_new = self.state.lock().reigns.note_slave(address, count);
        is_new.then(|| self.saver.touch())
    }

    /// As [`RoleHistory::note_slave`], and writes it. Waits for the disk.
    ///
    /// # Errors
    /// It is not on disk: what the slave reports must not count.
    pub fn save_slave<D: Disk>(
        &self,
        address: &str,
        count: usize,
        disk: &D,
        now_ms: i64,
    ) -> Result<(), crate::tables::SaveError> {
        match self.note_slave(address, count) {
            Some(_) => save(self, disk, now_ms),
            None => Ok(()),
        }
    }

    /// As it stands.
    pub fn reigns(&self) -> Reigns {
        self.state.lock().reigns.clone()
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
        let state = self.state.lock();
        let LogDamage { holes, copied } = &state.damage;
        let ended = state.ended.map_or_else(String::new, |end| format!("end={end}\n"));
        let holes: String = holes.iter().map(|at| format!("hole={at}\n")).collect();
        let copied = copied.iter().map(|(at, next)| format!("copied={at}..{next}\n"));
        let copied: String = copied.collect();
        format!("{ended}{holes}{copied}{}", state.reigns).into_bytes()
    }
}

/// Notes that the settings of a master say something else about slaves.
pub struct HistoryListener<D: Disk> {
    /// What is acknowledged.
    pub history: Arc<RoleHistory>,
    /// Where the log ends.
    pub store: Arc<Store<D>>,
    /// The disk that the history lies on.
    pub disk: D,
}

impl<D: Disk> HistoryListener<D> {
    fn note(&self, change: &SettingsChange) -> bool {
        let is_other = change.concerns(Settings::waits_for_slaves) && !change.after.is_slave();
        if is_other {
            let end = self.store.max_physical().0;
            self.history.change(end, !change.after.waits_for_slaves());
        }
        is_other
    }
}

impl<D: Disk> SettingsListener for HistoryListener<D> {
    /// Where SUCCESS is to mean less, that is on disk before the first one does.
    fn before(&self, change: &SettingsChange) -> Result<(), String> {
        if change.after.waits_for_slaves() || !self.note(change) {
            return Ok(());
        }
        save(self.history.as_ref(), &self.disk, change.now_ms)
            .map_err(|e| format!("the history of roles can not be written: {e}"))
    }

    /// Where it is to mean more, what was answered until now did not.
    fn changed(&self, change: &SettingsChange) {
        if change.after.waits_for_slaves() {
            self.note(change);
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
        history.save_slave("10.0.0.2", 1, &disk, 1).unwrap();
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
    fn damage_is_known_until_it_is_cut_off_or_expired() {
        let disk = disk();
        let history = RoleHistory::load(&disk, Path::new("/store"), 0).unwrap();
        history.begin(0, true);
        for at in [700, 300, 500] {
            history.note_copied_damage(at + 100..at + 150);
            history.note_hole(&(at..at + 50));
        }
        save(&history, &disk, 0).unwrap();
        let again = || RoleHistory::load(&disk, Path::new("/store"), 900).unwrap();
        let damage = |holes: &[i64], copied: &[i64]| LogDamage {
            holes: holes.iter().copied().collect(),
            copied: copied.iter().map(|at| (*at, at + 50)).collect(),
        };
        assert_eq!(
            (again().damage(), again().reigns()),
            (damage(&[300, 500, 700], &[400, 600, 800]), history.reigns())
        );
        for (cut, min, left) in [
            (401, 0, damage(&[300], &[400])),
            (301, 0, damage(&[300], &[])),
            (300, 0, damage(&[], &[])),
            (900, 300, damage(&[300, 500, 700], &[400, 600, 800])),
            (900, 301, damage(&[500, 700], &[400, 600, 800])),
            (900, 701, damage(&[], &[800])),
        ] {
            let history = again();
            history.cut(cut);
            history.note(0, min);
            assert_eq!(history.damage(), left, "{cut} {min}");
            let kept = RoleHistory::parse(&history.path(), &history.text(0)).unwrap();
            assert_eq!(kept.damage, left, "{cut} {min}");
        }
    }

    #[test]
    fn what_somebody_else_wrote_since_the_last_run_may_be_acknowledged() {
        let run = |end, is_clean, is_others| LastRun {
            end,
            is_clean,
            is_others,
        };
        let reigns = |stopped: bool, last: LastRun| {
            let disk = disk();
            let history = RoleHistory::load(&disk, Path::new("/store"), 0).unwrap();
            assert_eq!(history.note_others(run(0, true, false)), None);
            history.begin(0, false);
            history.save_slave("10.0.0.2", 1, &disk, 1).unwrap();
            history.note(200, 0);
            if stopped {
                history.stop(300);
            }
            save(&history, &disk, 2).unwrap();
            let again = RoleHistory::load(&disk, Path::new("/store"), last.end).unwrap();
            let others = again.note_others(last);
            again.begin_as_slave(last.end);
            assert!(!String::from_utf8(again.text(0)).unwrap().contains("end="));
            let is_kept = again
                .reigns()
                .acknowledged_behind(250, last.end, "10.0.0.2")
                .is_some();
            (others, is_kept)
        };
        // Stopped, and nobody since; Java's broker since, stopped or killed.
        assert_eq!(reigns(true, run(300, true, false)), (None, false));
        assert_eq!(reigns(true, run(300, true, true)), (None, false));
        assert_eq!(reigns(true, run(500, true, true)), (Some(300..500), true));
        assert_eq!(reigns(true, run(500, false, false)), (Some(300..500), true));
        // Killed, and nobody since; Java's broker since, stopped, and killed after its checkpoint.
        assert_eq!(reigns(false, run(500, false, false)), (None, false));
        assert_eq!(reigns(false, run(500, true, false)), (Some(200..500), true));
        assert_eq!(reigns(false, run(500, false, true)), (Some(200..500), true));
    }

    #[test]
    fn what_was_copied_is_no_hole_unless_it_is_longer_now() {
        for (found, hole) in [
            (400..450, None),
            (400..449, None),
            (400..451, Some(400)),
            (401..450, Some(401)),
            (300..350, Some(300)),
        ] {
            let history = RoleHistory::load(&disk(), Path::new("/store"), 0).unwrap();
            history.note_copied_damage(400..450);
            history.note_hole(&found);
            assert_eq!(history.damage().holes.first().copied(), hole, "{found:?}");
        }
    }

    #[test]
    fn a_slave_is_on_disk_before_its_reports_count() {
        let disk = disk();
        let history = RoleHistory::load(&disk, Path::new("/store"), 0).unwrap();
        history.begin(0, false);
        save(&history, &disk, 0).unwrap();
        disk.fail_nth(1);
        assert!(history.save_slave("10.0.0.2", 1, &disk, 1).is_err());
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
        let path = Path::new("/store/roleHistory");
        for damaged in [&b"from=0 sometimes\n"[..], b"\xffrom=0 alone\n", b"hole=x\n"] {
            disk.put(path, damaged);
            let again = RoleHistory::load(&disk, Path::new("/store"), 900).unwrap();
            assert_eq!(again.reigns(), unknown.reigns());
            let aside = disk.content(Path::new("/store/roleHistory.damaged"));
            assert_eq!(aside.as_deref(), Some(damaged));
            assert!(RoleHistory::parse(path, damaged).is_err_and(|why| why.contains("/store/roleHistory")));
        }
    }
}
