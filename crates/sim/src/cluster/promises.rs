//! What was promised to clients, where it is, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use disk::MappedSlice;
use filter::TagFilter;
use message::id::OffsetMessageId;
use message::record::{Check, Entry, View, decode};
use protocol::Frame;
use protocol::code::response;
use protocol::header::broker::SendMessageResponseHeader;
use store::{PhysicalOffset, QueueOffset, ReadLimits};

use super::{Cluster, FILE_LEN, Host, ip};

/// A topic's queue.
pub(super) type Queue = (String, i32);

/// What a request asked for.
pub(super) enum Asked {
    Send { topic: String, body: Vec<u8> },
    Pull { queue: Queue, of: usize },
}

/// An acknowledged message.
pub(super) struct Kept {
    at: i64,
    /// Where its record ends.
    end: i64,
    /// All of its record.
    record: Vec<u8>,
    body: Vec<u8>,
    queue: Queue,
    queue_offset: i64,
    /// Who acknowledged it.
    by: usize,
    /// Machines that have had it and have it no more: power was lost before a sync, or it was cut there.
    lost_by: BTreeSet<usize>,
    /// Machines of which somebody has decided that it may go there.
    let_go: BTreeSet<usize>,
    /// No machine has it, for a reason that docs/replication.md names.
    is_gone: bool,
}

/// What consumers saw of a SYNC_FLUSH master: where the record is, and its body.
pub(super) type Seen = BTreeMap<(Queue, i64), (i64, Vec<u8>)>;

impl Cluster {
    /// Answers to clients.
    pub(super) fn hear(&mut self) {
        for frame in self.peer.take() {
            match self.asked.remove(&frame.opaque) {
                None => {}
                Some(Asked::Pull { queue, of }) => self.saw(&queue, of, &frame),
                Some(Asked::Send { topic, body }) => self.heard(topic, body, &frame),
            }
        }
    }

    fn heard(&mut self, topic: String, body: Vec<u8>, frame: &Frame) {
        match frame.code {
            response::SUCCESS => self.acknowledged(topic, body, frame),
            response::FLUSH_SLAVE_TIMEOUT => self.count("late"),
            response::SLAVE_NOT_AVAILABLE => self.count("alone"),
            response::FLUSH_DISK_TIMEOUT => self.count("unflushed"),
            // Nothing is stored: what came before has waited for the disk as long as anybody may.
            response::SYSTEM_BUSY if self.is_sync_flush => self.count("busy"),
            code => self.fail(&format!("a send is answered {code}: {:?}", frame.remark)),
        }
    }

    fn acknowledged(&mut self, topic: String, body: Vec<u8>, frame: &Frame) {
        self.count("acknowledged");
        let Ok(header) = frame.header::<SendMessageResponseHeader<'_>>() else {
            self.fail("an answer without its header");
        };
        let Ok(id) = header.msg_id.parse::<OffsetMessageId>() else {
            self.fail("an answer without a message id");
        };
        let at = id.physical_offset;
        let has = |number: usize| {
            self.host(number).is_some_and(|host| {
                let store = &host.log.store;
                let end = if self.is_sync_flush {
                    store.flushed()
                } else {
                    store.max_physical()
                };
                end.0 > at && body_at(host, at).is_some_and(|found| found == body)
            })
        };
        let by = self.machine_at(id.store_host.ip());
        let holders: Vec<usize> = (0..self.machines.len()).filter(|number| has(*number)).collect();
        let needed = if self.acknowledges_alone() { 1 } else { 2 };
        if holders.len() < needed || !holders.contains(&by) {
            let ends = (0..self.machines.len()).map(|number| {
                let store = self.host(number).map(|host| &host.log.store);
                store.map(|store| (store.max_physical().0, store.flushed().0, store.visible().0))
            });
            self.fail(&format!(
                "the message at {at} is acknowledged by {by}, and {holders:?} of the brokers have it (ends, flushed, visible: {:?})",
                ends.collect::<Vec<_>>()
            ));
        }
        let queue = (topic, header.queue_id);
        let record = self
            .host(by)
            .and_then(|host| host.log.store.record_at(PhysicalOffset(at)).ok());
        let record = record.map_or_else(Vec::new, |record| record.to_vec());
        self.kept.push(Kept {
            at,
            end: at + record.len() as i64,
            record,
            body,
            queue,
            queue_offset: header.queue_offset,
            by,
            lost_by: BTreeSet::new(),
            let_go: BTreeSet::new(),
            is_gone: false,
        });
    }

    fn machine_at(&self, address: IpAddr) -> usize {
        let machine = (0..self.machines.len()).find(|number| ip(*number) == address);
        machine.unwrap_or_else(|| self.fail(&format!("no machine has the address {address}")))
    }

    fn saw(&mut self, queue: &Queue, of: usize, frame: &Frame) {
        if frame.code != response::SUCCESS {
            return;
        }
        self.count("pulls");
        if !self.is_sync_flush {
            return;
        }
        let seen = records(&frame.body).into_iter().map(|view| {
            let place = (queue.clone(), view.queue_offset());
            (place, (view.physical_offset(), view.body().to_vec()))
        });
        self.machines[of].seen.extend(seen);
    }

    /// Which acknowledged messages a running broker has.
    pub(super) fn holds(&self, number: usize) -> BTreeSet<usize> {
        let Some(host) = self.host(number) else {
            return BTreeSet::new();
        };
        let kept = self.kept.iter().enumerate();
        kept.filter(|(_, kept)| has(host, kept))
            .map(|(index, _)| index)
            .collect()
    }

    /// Lacks a running broker what was acknowledged, and some machine has?
    pub(super) fn lacks(&self, number: usize) -> bool {
        let mut kept = self.kept.iter();
        self.host(number)
            .is_some_and(|host| kept.any(|kept| !kept.is_gone && !has(host, kept)))
    }

    /// Has a machine an acknowledged message, whether its broker runs or not?
    fn machine_has(&self, number: usize, index: usize) -> bool {
        match self.host(number) {
            Some(host) => has(host, &self.kept[index]),
            None => self.machines[number].had.contains(&index),
        }
    }

    /// A machine has an acknowledged message no more, for a reason that is documented where it is the last one.
    fn lose(&mut self, number: usize, index: usize) {
        let is_left = (0..self.machines.len()).any(|other| other != number && self.machine_has(other, index));
        let kept = &mut self.kept[index];
        kept.lost_by.insert(number);
        if !is_left {
            kept.is_gone = true;
            self.count("gone");
        }
    }

    /// A broker has started again: it has what it had, but for what a power cut takes.
    pub(super) fn check_start(&mut self, number: usize) {
        let had = std::mem::take(&mut self.machines[number].had);
        let has = self.holds(number);
        let safe = std::mem::replace(&mut self.machines[number].safe_end, i64::MAX);
        for index in had.difference(&has).copied().collect::<Vec<_>>() {
            let Kept { at, end, .. } = self.kept[index];
            if end <= safe {
                self.fail(&format!(
                    "{number} had the acknowledged message at {at}, safe up to {safe}, and has lost it"
                ));
            }
            self.lose(number, index);
        }
        let Some(host) = self.host(number) else { return };
        for ((queue, offset), (at, body)) in &self.machines[number].seen {
            let found = read(host, queue, *offset);
            if found.as_ref() != Some(body) {
                self.fail(&format!(
                    "a consumer saw the message at {at} as {queue:?} {offset} of {number}, and it is taken back"
                ));
            }
        }
    }

    /// A slave has cut its log at `at`, where it had `had`: what it acknowledged itself as a master is not taken back by a broker alone,
    /// what others did only where its new master has lost it, or they have.
    pub(super) fn check_cut(&mut self, slave: usize, master: usize, had: &BTreeSet<usize>, at: i64) {
        self.machines[slave].seen.retain(|_, (seen, _)| *seen < at);
        let before = self.machines[slave].acknowledged;
        self.machines[slave].acknowledged = before.min(at);
        for index in had.iter().copied() {
            if self.machine_has(slave, index) || self.machine_has(master, index) {
                continue;
            }
            let kept = &self.kept[index];
            // Who has let it go where it was acknowledged has decided for copies of it, too.
            let is_let_go =
                kept.let_go.contains(&slave) || kept.let_go.contains(&kept.by) && kept.by != slave;
            let is_own = kept.by == slave && (self.acknowledges_alone() || kept.end <= before);
            let is_left = (0..self.machines.len()).any(|other| self.machine_has(other, index));
            // Power cuts have taken it from its master, or from who acknowledged it.
            let is_lost = kept.lost_by.contains(&master) || kept.lost_by.contains(&kept.by);
            if !is_let_go && (is_own || !(is_lost || is_left)) {
                self.fail(&format!(
                    "{slave} has cut the message at {} that {} acknowledged, and its master {master} does not have it",
                    kept.at, kept.by
                ));
            }
            if !self.is_kept_aside(slave, &kept.record) {
                self.fail(&format!(
                    "{slave} has cut the message at {}, and not kept it",
                    kept.at
                ));
            }
            self.lose(slave, index);
            self.count("taken back");
        }
    }

    fn is_kept_aside(&self, number: usize, record: &[u8]) -> bool {
        let disk = &self.machines[number].disk;
        let paths = disk.paths().into_iter();
        let mut aside = paths.filter(|path| path.starts_with("/store/cut_off"));
        aside.any(|path| {
            let content = disk.content(&path).unwrap_or_default();
            content.windows(record.len()).any(|part| part == record)
        })
    }

    /// Somebody has decided that a machine need not have what its master has not.
    pub(super) fn let_go(&mut self, slave: usize, master: usize) {
        for index in self.holds(slave) {
            if !self.machine_has(master, index) {
                self.kept[index].let_go.insert(slave);
            }
        }
    }

    /// Somebody has thrown a machine's log away.
    pub(super) fn lose_all(&mut self, number: usize) {
        for index in std::mem::take(&mut self.machines[number].had) {
            self.lose(number, index);
        }
        self.machines[number].seen.clear();
        self.machines[number].acknowledged = 0;
    }

    /// A slave that copies has every record of its master, up to its own end. (Where a power cut has left damage in a master's log, the
    /// slave may have the sound bytes.)
    pub(super) fn check_copies(&mut self) {
        for wire in &self.wires {
            let (Some(master), Some(slave), true) =
                (self.host(wire.master), self.host(wire.slave), wire.copy.is_some())
            else {
                continue;
            };
            let (master, slave) = (&master.log.store, &slave.log.store);
            let from = self.compared.get(&wire.slave).copied().unwrap_or(0);
            let file_len = i64::from(FILE_LEN);
            let (from, end) = (PhysicalOffset(from - from % file_len), slave.visible());
            let files = master.files_with_records().expect("a disk that works");
            for file in files.into_iter().filter(|file| *file >= from && *file < end) {
                let next = PhysicalOffset(file.0 - file.0 % file_len + file_len).min(end);
                let starts = master
                    .record_starts(file, next, usize::MAX)
                    .expect("a disk that works");
                for at in starts {
                    let [own, its] =
                        [slave, master].map(|store| store.record_at(at).map(|record| record.to_vec()));
                    let damaged = &self.machines[wire.master].damaged;
                    if damaged.iter().any(|range| range.contains(&at.0)) {
                        continue;
                    }
                    let is_whole = its.as_ref().is_ok_and(|its| at.0 + its.len() as i64 <= end.0);
                    if is_whole && own.ok() != its.ok() {
                        self.fail(&format!(
                            "{} lacks the record at {at} of its master {}",
                            wire.slave, wire.master
                        ));
                    }
                }
            }
            self.compared.insert(wire.slave, end.0);
        }
    }

    /// Everything that was acknowledged, and that nothing has taken, is in this broker's log and queues.
    pub(super) fn check_kept(&self, number: usize) {
        self.check_kept_of(number, &|_| true);
    }

    /// In the end a broker has what its master has of that. What a power cut has left a hole of in the master's log may be elsewhere.
    pub(super) fn check_end(&self, number: usize, master: usize) {
        let Some(host) = self.host(master) else { return };
        for (index, kept) in self.kept.iter().enumerate().filter(|(_, kept)| !kept.is_gone) {
            let is_left = (0..self.machines.len()).any(|machine| self.machine_has(machine, index));
            if !is_left || !(has(host, kept) || kept.lost_by.contains(&master)) {
                self.fail(&format!(
                    "the message at {} that {} acknowledged is not in the log of {master}; is it anywhere: {is_left}",
                    kept.at, kept.by
                ));
            }
        }
        self.check_kept_of(number, &|kept| has(host, kept));
    }

    fn check_kept_of(&self, number: usize, is_meant: &dyn Fn(&Kept) -> bool) {
        let Some(host) = self.host(number) else { return };
        host.log.reput.all();
        for kept in self.kept.iter().filter(|kept| !kept.is_gone && is_meant(kept)) {
            if !has(host, kept) {
                self.fail(&format!(
                    "{number} has lost the message at {} that {} acknowledged",
                    kept.at, kept.by
                ));
            }
            // Under SYNC_FLUSH what is not synced is in no queue yet. A master that has lost a message by a power cut gives its place to another.
            let is_visible = kept.at < host.log.store.visible().0 && (self.is_sync_flush || self.is_careful);
            let found = read(host, &kept.queue, kept.queue_offset);
            if is_visible && found.as_ref() != Some(&kept.body) {
                self.fail(&format!(
                    "the acknowledged message at {} is not {:?} {} of {number}",
                    kept.at, kept.queue, kept.queue_offset
                ));
            }
        }
    }

    /// The queues of a slave are its master's. (Not where the master has lost by a power cut what was not synced, and the slave has it.)
    pub(super) fn check_queues(&self, number: usize, master: usize) {
        if !self.machines[master].damaged.is_empty() {
            return;
        }
        let (Some(host), Some(other)) = (self.host(number), self.host(master)) else {
            return;
        };
        host.log.reput.all();
        other.log.reput.all();
        for topic in (0..3).map(|topic| format!("Topic{topic}")) {
            for queue in 0..2 {
                let [own, its] = [host, other].map(|host| host.log.store.queue_bounds(&topic, queue));
                if own.1 != its.1 {
                    self.fail(&format!(
                        "{topic} {queue} ends at {own:?} on {number} and at {its:?} on {master}"
                    ));
                }
            }
        }
    }
}

fn has(host: &Host, kept: &Kept) -> bool {
    let found = host.log.store.record_at(PhysicalOffset(kept.at));
    found.is_ok_and(|found| found[..] == kept.record[..])
}

fn body_at(host: &Host, at: i64) -> Option<Vec<u8>> {
    let record = host.log.store.record_at(PhysicalOffset(at)).ok()?;
    match decode(&record, Check::Body) {
        Ok(Entry::Record(view)) => Some(view.body().to_vec()),
        _ => None,
    }
}

/// The body of the message at a place of a queue.
fn read(host: &Host, (topic, queue_id): &Queue, offset: i64) -> Option<Vec<u8>> {
    let mut slices: Vec<MappedSlice> = Vec::new();
    let limits = ReadLimits {
        max_messages: 1,
        max_bytes: i64::MAX,
    };
    let asked = QueueOffset(offset);
    let store = &host.log.store;
    store
        .read(topic, *queue_id, asked, limits, &TagFilter::All, &mut slices)
        .ok()?;
    let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
    let found = records(&all)
        .into_iter()
        .find(|view| view.queue_offset() == offset);
    found.map(|view| view.body().to_vec())
}

fn records(bytes: &[u8]) -> Vec<View<'_>> {
    let (mut rest, mut all) = (bytes, Vec::new());
    while let Ok(Entry::Record(view)) = decode(rest, Check::Body) {
        rest = &rest[view.total_len()..];
        all.push(view);
    }
    all
}
