//! What people do: they make a slave the master, and decide what a slave does not decide by itself.

use std::path::Path;

use disk::SimDisk;
use ha::{Reign, Stop};

use super::{Cluster, Way};

impl Cluster {
    /// The master is gone: a slave takes its place. A careful operator takes the one with the longest log that was not cut since; others
    /// do not look, and may take one that lacks what was acknowledged.
    pub(super) fn take_over(&mut self) {
        if !self.random.one_in(3) {
            if let Some(gone) = self.machines.iter().position(|machine| machine.host.is_none()) {
                self.come_back(gone);
            }
            return;
        }
        let looks = self.is_careful || !self.random.one_in(4);
        let there: Vec<usize> = (0..self.machines.len())
            .filter(|number| self.host(*number).is_some())
            .collect();
        // One that was cut, or has lost something, and has not all of it again is nobody's choice; nor is one that has less.
        let is_copy = |number: &usize| self.end(*number) >= self.machines[*number].heals_until;
        let longest = there.iter().copied().max_by_key(|number| self.end(*number));
        let next = match looks {
            true => longest.filter(is_copy),
            false if there.is_empty() => None,
            false => Some(there[self.random.below(there.len() as u64) as usize]),
        };
        let Some(next) = next else { return };
        self.make_master(next);
        self.count("takeovers");
        self.note(format!("{next} takes over"));
        if self.is_careful {
            self.check_kept(next);
        } else if self.lacks(next) {
            self.count("takeovers with less");
        }
    }

    fn make_master(&mut self, next: usize) {
        self.shut_down(next, Way::Stop);
        self.machines
            .iter_mut()
            .for_each(|machine| machine.is_master = false);
        self.machines[next].is_master = true;
        self.open(next);
    }

    /// An operator looks at a slave that does not cut by itself. Whoever is careful has let nobody take over that lacks something, and so
    /// knows that the master has all that was promised. Others may make the slave the master again, or let go what it has.
    pub(super) fn decide(&mut self, slave: usize, master: usize, stop: &Stop) {
        if self.is_careful {
            self.check_kept(master);
        } else if !self.is_finishing && self.random.one_in(2) {
            self.count("masters again");
            self.note(format!("{slave} is made the master again"));
            self.shut_down(master, Way::Stop);
            self.make_master(slave);
            return self.open(master);
        }
        self.let_go(slave, master);
        self.shut_down(slave, Way::Stop);
        match stop {
            Stop::Acknowledged { reign, .. } => self.remove_reign(slave, reign),
            Stop::TooMuch { .. } => self.machines[slave].most_cut = i64::MAX,
            // Nothing of its log is the master's: it begins with an empty store.
            Stop::NothingInCommon => {
                self.machines[slave].disk = SimDisk::new();
                self.lose_all(slave);
            }
        }
        self.open(slave);
    }

    /// As docs/replication.md says: that line, no other.
    fn remove_reign(&mut self, slave: usize, reign: &Reign) {
        let disk = &self.machines[slave].disk;
        let history = Path::new("/store/roleHistory");
        let text = String::from_utf8(disk.content(history).unwrap_or_default()).expect("text");
        let line = format!("{reign}\n");
        if !text.contains(&line) {
            self.fail(&format!(
                "{slave} names a line that its history does not have: {line}{text}"
            ));
        }
        disk.put(history, text.replace(&line, "").as_bytes());
    }
}
