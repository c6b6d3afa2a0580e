//! Brokers that are masters in turn, killed and stopped: no cut takes back what its broker has acknowledged.

use std::collections::BTreeSet;

use crate::logs::Log;
use ha::{Outcome, Reigns};
use proptest::prelude::*;

const BROKERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Append,
    /// A slave copies the master's log.
    Copy(usize),
    /// It copies a part of it.
    CopyPart(usize, usize),
    /// The notes are saved now and then.
    Save,
    Stop,
    Kill,
    LosePower(usize),
    /// A broker becomes master, alone or with slaves, and the others follow it.
    Reign(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let broker = 0..BROKERS;
    let step = prop_oneof![
        8 => Just(Step::Append),
        5 => broker.clone().prop_map(Step::Copy),
        3 => (broker.clone(), 0_usize..400).prop_map(|(broker, len)| Step::CopyPart(broker, len)),
        2 => Just(Step::Save),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => (0_usize..600).prop_map(Step::LosePower),
        3 => (broker, any::<bool>()).prop_map(|(broker, alone)| Step::Reign(broker, alone)),
    ];
    prop::collection::vec(step, 1..80)
}

/// A send that was answered SUCCESS.
#[derive(Clone, Debug)]
struct Answered {
    record: (i64, i64),
    /// The file of reigns has it.
    saved: bool,
    /// It was not saved when the broker was killed.
    forgotten: bool,
    /// Slaves that had reported when it was answered.
    by: BTreeSet<usize>,
}

#[derive(Default)]
struct Broker {
    log: Log,
    reigns: Reigns,
    /// What the next start finds.
    file: String,
    /// What it has answered SUCCESS to, as a master.
    acknowledged: Vec<Answered>,
    /// It waits for somebody to decide.
    stuck: bool,
}

impl Broker {
    fn save(&mut self) {
        self.file = self.reigns.to_string();
        assert_eq!(self.file.parse(), Ok(self.reigns.clone()), "{}", self.file);
        for answered in &mut self.acknowledged {
            answered.saved |= !answered.forgotten;
        }
    }

    fn start(&mut self) {
        self.reigns = self.file.parse().expect("written by us");
        for answered in &mut self.acknowledged {
            answered.forgotten |= !answered.saved;
        }
        self.log.recover();
        self.stuck = false;
    }
}

#[derive(Default)]
struct Group {
    brokers: [Broker; BROKERS],
    /// Who is master, and alone or not.
    master: Option<(usize, bool)>,
    /// The end of the master's log when its reign began: before it, others have answered.
    reign_from: i64,
    reporters: BTreeSet<usize>,
    serial: u64,
    cuts: usize,
    stops: usize,
}

fn address(broker: usize) -> String {
    format!("10.0.0.{broker}")
}

impl Group {
    fn append(&mut self) {
        let Some((index, alone)) = self.master else { return };
        self.serial += 1;
        let master = &mut self.brokers[index];
        let end = master.log.append(self.serial, 60);
        if alone {
            master.acknowledged.push(Answered {
                record: (end - 60, end),
                saved: true,
                forgotten: false,
                by: BTreeSet::new(),
            });
        }
    }

    /// A slave compares, cuts if it may, and copies up to `len` bytes; it acknowledges what it has.
    fn copy(&mut self, slave: usize, len: usize) {
        let Some((index, alone)) = self.master else { return };
        if slave == index || self.brokers[slave].stuck {
            return;
        }
        let master = self.brokers[index].log.clone();
        let broker = &mut self.brokers[slave];
        let (outcome, _) = broker.log.compare(&master);
        let last = broker.log.records().last().map_or(0, |last| last.1);
        let allowed = outcome.allowed(last, i64::MAX, &broker.reigns, &address(index));
        let until = match (outcome, allowed) {
            (Outcome::Keep { until }, Ok(())) => until,
            (Outcome::BeginAnew, Ok(())) => 0,
            _ => {
                self.stops += 1;
                broker.stuck = true;
                return;
            }
        };
        for answered in &broker.acknowledged {
            if answered.record.1 > until && answered.record.1 <= last {
                // Nobody can tell: it was told that today's master has it, and only after the last save.
                let is_known = answered.saved || answered.by != BTreeSet::from([index]);
                assert!(
                    !is_known,
                    "cut at {until} of {last}: {answered:?}; {}",
                    broker.reigns
                );
            }
        }
        if until < last {
            self.cuts += 1;
        }
        broker.log.cut(until);
        broker.acknowledged.retain(|answered| answered.record.1 <= until);
        broker.reigns.cut(until);
        broker.save();
        let end = broker.log.end();
        let len = len.min((master.end() - end) as usize);
        broker.log.bytes.extend_from_slice(master.slice(end, len));
        let has = broker.log.end();
        if !alone {
            let master = &mut self.brokers[index];
            if master.reigns.note_slave(&address(slave), 1) {
                master.save();
            }
            master.reigns.note_acknowledged(has);
            let before = master.acknowledged.last().map_or(0, |answered| answered.record.1);
            let from = self.reign_from.max(before);
            self.reporters.insert(slave);
            for record in master.log.records() {
                if record.0 >= from && record.1 <= has {
                    master.acknowledged.push(Answered {
                        record,
                        saved: false,
                        forgotten: false,
                        by: self.reporters.clone(),
                    });
                }
            }
        }
    }

    fn end_reign(&mut self, how: &Step) {
        let Some((index, _)) = self.master.take() else {
            return;
        };
        let master = &mut self.brokers[index];
        match how {
            Step::Stop => {
                master.reigns.end(master.log.end());
                master.save();
            }
            Step::LosePower(lost) => {
                // It synced its log before it reigned.
                let at = (master.log.end() - *lost as i64).max(self.reign_from);
                master.log.cut(at);
                master.log.recover();
            }
            _ => {}
        }
        let end = master.log.end();
        master.acknowledged.retain(|answered| answered.record.1 <= end);
    }

    fn reign(&mut self, next: usize, alone: bool) {
        if self.master.is_some() {
            self.end_reign(&Step::Kill);
        }
        for (index, broker) in self.brokers.iter_mut().enumerate() {
            broker.start();
            let end = broker.log.end();
            if index == next {
                self.reign_from = end;
                self.reporters.clear();
                broker.reigns.begin(end, alone);
            } else {
                broker.reigns.begin_as_slave(end);
            }
            broker.save();
        }
        self.master = Some((next, alone));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append => self.append(),
            Step::Copy(slave) => self.copy(*slave, usize::MAX),
            Step::CopyPart(slave, len) => self.copy(*slave, *len),
            Step::Save => {
                if let Some((index, _)) = self.master {
                    self.brokers[index].save();
                }
            }
            Step::Stop | Step::Kill | Step::LosePower(_) => self.end_reign(step),
            Step::Reign(next, alone) => self.reign(*next, *alone),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_cut_takes_back_what_was_acknowledged(steps in steps()) {
        let mut group = Group::default();
        for step in &steps {
            group.step(step);
        }
    }
}

/// A pair whose master is killed with records that no slave has: it comes back as a slave and drops them.
#[test]
fn the_old_master_comes_back_and_drops_what_nobody_was_told() {
    let mut group = Group::default();
    let append = |group: &mut Group, count: usize| (0..count).for_each(|_| group.append());
    group.reign(0, false);
    append(&mut group, 5);
    group.copy(1, usize::MAX);
    append(&mut group, 3);
    group.reign(1, false);
    append(&mut group, 2);
    group.copy(0, usize::MAX);
    assert_eq!((group.cuts, group.stops), (1, 0));
    assert_eq!(group.brokers[0].log, group.brokers[1].log);
    // The same with a master alone: those three were acknowledged.
    group.reign(0, true);
    append(&mut group, 3);
    group.reign(1, true);
    append(&mut group, 1);
    group.copy(0, usize::MAX);
    assert_eq!((group.cuts, group.stops), (1, 1));
    // A third broker that missed it all copies from the one that has it.
    group.copy(2, usize::MAX);
    assert_eq!(group.brokers[2].log, group.brokers[1].log);
}
