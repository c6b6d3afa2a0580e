//! Signs that a queue lacks units, where nothing says how many it had: `queueCheckpoint` is missing, or Java's broker ran last.
//!
//! A queue without its last units would give their offsets a second time. To compare all queues with all of the log takes too
//! long for every start of a store that Java left. Two looks are cheap:
//!
//! - The last stretch of the log that counts: a record behind the last unit of its queue, whose place the queue has not, is
//!   missed. A queue that is in use has messages there.
//! - A queue of which all files are full: it may have lost those that followed. The log is searched from its last record on for
//!   the next one, up to a bound.
//!
//! A record before the last unit of its queue says nothing: the topic may have been deleted since, by a broker that leaves no note.
//! Nor does one without a queue, but in a store of ours, which notes deletions.

use super::missing::MissingUnits;
use super::{OpenError, Recovery};
use crate::log::{Log, Step, file_name};
use crate::queue::{Queue, UNIT};
use crate::reput::has_unit;
use disk::{Disk, MappedFile};
use message::record::{Check, View};
use std::collections::BTreeMap;

/// Bytes of the log's last stretch that are looked at.
const TAIL_BYTES: i64 = 32 << 20;
/// Bytes that are searched for the next record of one queue, and of all.
const SEARCH_BYTES: i64 = 16 << 20;
const SEARCH_BYTES_ALL: i64 = 256 << 20;
/// Queues that are told one by one.
const TOLD_MAX: usize = 20;

/// Queues that lack units, by topic and number.
type Lacking = BTreeMap<(String, i32), MissingUnits>;

/// What is known of a record's queue.
#[derive(PartialEq)]
enum Compared {
    /// It has the unit, lacks it and is noted, or should not have it.
    Noted,
    /// It is not there: its topic was deleted, or it was lost. Nothing tells.
    NoQueue,
}

impl<D: Disk> Recovery<'_, D> {
    /// Queues that lack units of records before `until`, as far as a short look tells. `is_own` is whether deletions of topics
    /// were noted.
    pub(super) fn look_for_missing(
        &mut self,
        log: &Log<D>,
        until: i64,
        is_own: bool,
    ) -> Result<Vec<MissingUnits>, OpenError> {
        let (mut lacking, mut unqueued) = (Lacking::new(), BTreeMap::<(String, i32), u64>::new());
        let tail = self.start_of_tail(log, until)?;
        if let Some(tail) = tail {
            self.walk_records(log, tail, until, |recovery, view| {
                if recovery.compare(log, view, is_own, &mut lacking) == Compared::NoQueue {
                    *unqueued
                        .entry((view.topic().to_owned(), view.queue_id()))
                        .or_default() += 1;
                }
                true
            })?;
        }
        self.report.unqueued = unqueued.len() as u64;
        let first = unqueued.into_iter().take(TOLD_MAX);
        self.report.first_unqueued = first
            .map(|((topic, id), records)| format!("{topic} {id} ({records} messages)"))
            .collect();
        let (mut left, mut unclear) = (SEARCH_BYTES_ALL, Vec::new());
        for queue in self.queues.all() {
            let place = (queue.topic.to_string(), queue.id);
            let from = queue.max_physical().max(log.min());
            let is_seen = tail.is_some_and(|tail| from >= tail);
            if !ends_with_file(&queue) || is_seen || from >= until || lacking.contains_key(&place) {
                continue;
            }
            let most = SEARCH_BYTES.min(left).min(until - from);
            left -= most;
            let mut found = false;
            self.walk_records(log, from, from + most, |_, view| {
                found = is_next_of(&queue, view);
                !found
            })?;
            if found {
                lacking.insert(place, self.missing_behind(log, &queue));
            } else if from + most < until {
                unclear.push(format!("{} {}", queue.topic, queue.id));
            }
        }
        unclear.sort();
        self.report.unclear_ends = unclear.len() as u64;
        unclear.truncate(TOLD_MAX);
        self.report.first_unclear_ends = unclear;
        Ok(lacking.into_values().collect())
    }

    /// Where a record begins from which on the last stretch is looked at.
    fn start_of_tail(&self, log: &Log<D>, until: i64) -> Result<Option<i64>, OpenError> {
        let from = until - TAIL_BYTES;
        if from <= log.min() {
            return Ok(Some(log.min()).filter(|min| *min < until));
        }
        Ok(log.resume(from, i64::MIN)?.filter(|start| *start < until))
    }

    /// Shows each record of `from..until` as long as it is wanted.
    fn walk_records(
        &self,
        log: &Log<D>,
        from: i64,
        until: i64,
        mut on: impl FnMut(&Self, &View<'_>) -> bool,
    ) -> Result<(), OpenError> {
        let mut walk = log.walk(from, until);
        loop {
            match walk.next(Check::Lengths)? {
                Step::Record(view) if on(self, &view) => {}
                Step::Record(_) | Step::End => return Ok(()),
                Step::Bad(_) => match log.resume(walk.position, i64::MIN)? {
                    Some(next) => walk = log.walk(next, until),
                    None => return Ok(()),
                },
            }
        }
    }

    /// Notes the queue of a record if it lacks the record's unit.
    fn compare(&self, log: &Log<D>, view: &View<'_>, is_own: bool, lacking: &mut Lacking) -> Compared {
        let (topic, id) = (view.topic(), view.queue_id());
        if !has_unit(view) || self.deletions.covers(topic, view.physical_offset()) {
            return Compared::Noted;
        }
        match self.queues.get(topic, id) {
            Some(queue) if is_next_of(&queue, view) => {
                let place = (topic.to_owned(), id);
                lacking
                    .entry(place)
                    .or_insert_with(|| self.missing_behind(log, &queue));
            }
            None if is_own => {
                lacking
                    .entry((topic.to_owned(), id))
                    .or_insert_with(|| MissingUnits {
                        topic: topic.to_owned(),
                        queue_id: id,
                        vouched_end: None,
                        found_end: 0,
                        path: Some(self.queue_files.queue_dir(topic, id)),
                        is_damaged: false,
                        from: log.min(),
                        lost: 0,
                    });
            }
            None => return Compared::NoQueue,
            Some(_) => {}
        }
        Compared::Noted
    }

    fn missing_behind(&self, log: &Log<D>, queue: &Queue<D::File>) -> MissingUnits {
        let next = file_name(queue.end() * UNIT);
        let dir = self.queue_files.queue_dir(&queue.topic, queue.id);
        MissingUnits {
            topic: queue.topic.to_string(),
            queue_id: queue.id,
            vouched_end: None,
            found_end: queue.end(),
            path: ends_with_file(queue).then(|| dir.join(next)),
            is_damaged: false,
            from: queue.max_physical().max(log.min()),
            lost: 0,
        }
    }
}

/// Whether a queue has no place left in its last file.
fn ends_with_file<F: MappedFile>(queue: &Queue<F>) -> bool {
    queue.end() > 0 && queue.end() * UNIT % queue.file_size == 0
}

/// Whether a record has a place behind the end of its queue, and lies behind the queue's last record.
fn is_next_of<F: MappedFile>(queue: &Queue<F>, view: &View<'_>) -> bool {
    has_unit(view)
        && view.physical_offset() >= queue.max_physical()
        && view.queue_offset() >= queue.end()
        && view.queue_id() == queue.id
        && view.topic() == &*queue.topic
}
