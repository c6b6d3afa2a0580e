//! What consumers commit at a slave, until its master has it: `config/commitsForMaster.json`.
//!
//! Consumers commit at a slave while its master is away, or while they read from it. A master's offsets take the place of the slave's, so
//! the master has to hear of these first. (Unlike Java, whose slave forgets them.) The file is written with the offsets themselves:
//!
//! ```text
//! {"commits":{"Topic@group":{"0":{"offset":50,"base":10,"run":1700000000000}}}}
//! ```
//!
//! - `offset`: what was committed last.
//! - `base`: what the master had said before; left out if it had said nothing.
//! - `run`: when the master that said it had been started, ms since 1970.
//!
//! A commit is told the master if it is further than what the master has. It is dropped if the master has less than it had: somebody has
//! set the group back there. A master that was started anew may also have lost what it had not saved; then the commit counts.

use std::collections::BTreeMap;
use std::path::Path;

use disk::Disk;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::config_file::{self, LoadError, pretty};
use super::offsets::{OffsetKey, SEPARATOR};
use super::saver::{ConfigFile, Saver};

/// What was committed for a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Commit {
    offset: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<i64>,
    #[serde(default)]
    run: i64,
}

impl Commit {
    /// Is it to be told a master that has `known` and was started at `run`?
    fn is_further(self, known: Option<i64>, run: i64) -> bool {
        let Some(known) = known else { return true };
        let was_set_back = self.run == run && self.base.is_some_and(|base| known < base);
        !was_set_back && known < self.offset
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct File {
    commits: BTreeMap<String, BTreeMap<i32, Commit>>,
}

/// Commits that the master has not taken yet.
pub struct CommitsForMaster {
    state: Mutex<State>,
    saver: Saver,
}

#[derive(Default)]
struct State {
    commits: BTreeMap<OffsetKey, Commit>,
    /// When the master was started whose offsets this broker has.
    run: i64,
}

impl CommitsForMaster {
    /// Loads what is in `config_dir`. A master has nobody to tell: what it has from its time as a slave is in its own offsets.
    pub fn load<D: Disk>(disk: &D, config_dir: &Path, is_slave: bool) -> Result<Self, LoadError> {
        let saver = Saver::new(config_dir.join("commitsForMaster.json"));
        let mut file: File = config_file::load(disk, saver.path())?.content(&saver);
        if !is_slave && !file.commits.is_empty() {
            file.commits.clear();
            saver.touch();
        }
        let mut state = State::default();
        for (key, queues) in file.commits {
            let Some((topic, group)) = key.split_once(SEPARATOR) else {
                let path = saver.path().display();
                tracing::warn!("{path}: key {key:?} is no topic@group, left out");
                continue;
            };
            for (queue, commit) in queues {
                state.run = state.run.max(commit.run);
                let key = (group.to_owned(), topic.to_owned(), queue);
                state.commits.insert(key, commit);
            }
        }
        Ok(Self {
            state: Mutex::new(state),
            saver,
        })
    }

    /// A consumer commits; until now the offset was `known`.
    pub(super) fn note(&self, key: OffsetKey, known: Option<i64>, offset: i64) {
        let mut state = self.state.lock();
        let run = state.run;
        let new = Commit {
            offset,
            base: known,
            run,
        };
        state.commits.entry(key).or_insert(new).offset = offset;
        self.saver.touch_later();
    }

    /// Is there anything that the master has not taken?
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().commits.is_empty()
    }

    /// The master, started at `run`, has what `known` says: keeps what is further, and gives that.
    pub(super) fn compare(
        &self,
        run: i64,
        known: impl Fn(&OffsetKey) -> Option<i64>,
    ) -> Vec<(OffsetKey, i64)> {
        let mut state = self.state.lock();
        state.run = run;
        let before = state.commits.len();
        state
            .commits
            .retain(|key, commit| commit.is_further(known(key), run));
        if state.commits.len() != before {
            self.saver.touch_later();
        }
        let left = state.commits.iter();
        left.map(|(key, commit)| (key.clone(), commit.offset)).collect()
    }

    /// The master has taken this, or does not want it.
    pub(super) fn told(&self, key: &OffsetKey, offset: i64) {
        let mut state = self.state.lock();
        let State { commits, run } = &mut *state;
        match commits.get_mut(key) {
            Some(commit) if commit.offset != offset => {
                (commit.base, commit.run) = (Some(offset), *run);
            }
            Some(_) => drop(commits.remove(key)),
            None => return,
        }
        self.saver.touch_later();
    }

    /// Nothing is committed behind the end of its queue, by topic and id: what was read there is no more.
    pub(super) fn cut_to(&self, end: impl Fn(&str, i32) -> i64) {
        let mut state = self.state.lock();
        for ((_, topic, queue), commit) in &mut state.commits {
            let end = end(topic, *queue);
            if commit.offset > end {
                commit.offset = end;
                self.saver.touch_later();
            }
        }
    }

    /// Nothing is to be told of this topic any more.
    pub(super) fn remove_topic(&self, topic: &str) {
        let mut state = self.state.lock();
        let before = state.commits.len();
        state.commits.retain(|(_, of, _), _| of != topic);
        if state.commits.len() != before {
            self.saver.touch_later();
        }
    }
}

impl ConfigFile for CommitsForMaster {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        let mut file = File::default();
        for ((group, topic, queue), commit) in &self.state.lock().commits {
            let queues = file.commits.entry(format!("{topic}{SEPARATOR}{group}"));
            queues.or_default().insert(*queue, *commit);
        }
        pretty(&file)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use disk::SimDisk;

    use super::*;
    use crate::tables::save;

    fn key(queue: i32) -> OffsetKey {
        ("group".to_owned(), "Topic".to_owned(), queue)
    }

    fn commits(disk: &SimDisk, is_slave: bool) -> CommitsForMaster {
        CommitsForMaster::load(disk, Path::new("/config"), is_slave).unwrap()
    }

    #[test]
    fn what_is_further_than_the_masters_is_told_unless_it_was_set_back_there() {
        for (base, run, known, is_told) in [
            // Nothing has changed there, or it is further, or it is as far.
            (Some(10), 7, Some(10), true),
            (Some(10), 7, Some(30), true),
            (Some(10), 7, Some(50), false),
            (Some(10), 7, Some(60), false),
            // The master knows nothing of it.
            (None, 7, None, true),
            (Some(10), 7, None, true),
            (None, 7, Some(5), true),
            // Set back, and lost at a kill.
            (Some(10), 7, Some(5), false),
            (Some(10), 6, Some(5), true),
        ] {
            let commits = commits(&SimDisk::new(), true);
            assert!(commits.compare(run, |_| None).is_empty());
            commits.note(key(0), base, 40);
            commits.note(key(0), Some(40), 50);
            let told = commits.compare(7, |_| known);
            let expected: &[_] = if is_told { &[(key(0), 50)] } else { &[] };
            assert_eq!(told, expected, "{base:?} {run} {known:?}");
            assert_eq!(commits.is_empty(), !is_told);
        }
    }

    #[test]
    fn what_was_told_is_the_base_of_what_comes_meanwhile() {
        let commits = commits(&SimDisk::new(), true);
        commits.note(key(0), Some(10), 50);
        commits.note(key(1), None, 5);
        commits.note(key(0), Some(50), 60);
        commits.told(&key(0), 50);
        commits.told(&key(1), 5);
        assert_eq!(commits.compare(0, |_| Some(50)), [(key(0), 60)]);
        assert_eq!(commits.compare(0, |_| Some(49)), []);
    }

    #[test]
    fn a_restart_forgets_nothing_and_a_master_tells_nobody() {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/config")).unwrap();
        let before = commits(&disk, true);
        before.compare(7, |_| None);
        before.note(key(3), Some(10), 50);
        before.note(("group".to_owned(), "Gone".to_owned(), 0), None, 9);
        before.remove_topic("Gone");
        save(&before, &disk, 0).unwrap();
        let again = commits(&disk, true);
        assert_eq!(again.compare(7, |_| Some(12)), [(key(3), 50)]);
        assert_eq!(again.compare(7, |_| Some(9)), []);
        let master = commits(&disk, false);
        assert!(master.is_empty());
        save(&master, &disk, 1).unwrap();
        assert!(commits(&disk, true).is_empty());
    }
}
