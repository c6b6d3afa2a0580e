//! Reput: from the log into the consumequeues.
//!
//! One at a time; whoever holds the lock also takes what others appended meanwhile, and looks once more
//! after giving the lock up, so that nothing is left behind. What was just appended comes from memory; after a
//! start, or when reput fell far behind, from the log itself.

use crate::ext::Extra;
use crate::index::{self, KeyHashes, Remembered};
use crate::latch::{Latched, Undone};
use crate::log::Step;
use crate::multi;
use crate::offset::{PhysicalOffset, QueueOffset};
use crate::queue::{Put, Queue, Unit};
use crate::store::Store;
use disk::{Disk, MappedFile};
use message::record::{Check, Entry, View, decode};
use message::{hash, name, properties, sys_flag};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Units in one round under the lock of the fresh records.
const ROUND: usize = 256;

/// A message that became readable.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its queue.
    pub queue_id: i32,
    /// Its index in the queue; the queue's end is one more.
    pub queue_offset: QueueOffset,
    /// Hash of its tag, or the time a delayed message is due.
    pub tags_code: i64,
    /// When it was stored, ms.
    pub store_timestamp: i64,
    /// Where it lies in the log.
    pub physical_offset: PhysicalOffset,
    /// Bytes of its record.
    pub size: i32,
}

/// Says which consumers' filters let a message through, in a bitmap that its unit's extension keeps for reads
/// ([`filter::Filter::by_extension`]).
pub trait Bitmaps: Send + Sync {
    /// Whether messages of a topic have bitmaps now.
    fn has_any(&self, topic: &str) -> bool;

    /// Writes the bitmap of a message with these properties to the end of `out`, which is empty.
    fn write(&self, topic: &str, properties: &[u8], out: &mut Vec<u8>);
}

/// A record that was just appended.
pub(crate) struct Fresh<F> {
    /// None for records that have no place in a queue.
    pub(crate) queue: Option<Arc<Queue<F>>>,
    pub(crate) queue_offset: i64,
    pub(crate) physical: i64,
    pub(crate) size: i32,
    pub(crate) tags_code: i64,
    pub(crate) store_timestamp: i64,
    pub(crate) key_hashes: Option<KeyHashes>,
}

impl<F> Fresh<F> {
    fn unit(&self) -> Unit {
        Unit {
            physical: self.physical,
            size: self.size,
            tags_code: self.tags_code,
        }
    }

    /// Whether `next`, which follows in the log, follows in the same queue.
    fn is_followed_by(&self, next: &Fresh<F>) -> bool {
        match (&self.queue, &next.queue) {
            (Some(queue), Some(other)) => {
                Arc::ptr_eq(queue, other) && next.queue_offset == self.queue_offset + 1
            }
            _ => false,
        }
    }
}

/// What belongs to whoever reputs.
pub(crate) struct Reput<D: Disk> {
    pub(crate) position: i64,
    round: Vec<Fresh<D::File>>,
    /// Where units that are written together are put together, and bitmaps.
    units: Vec<u8>,
}

impl<D: Disk> Reput<D> {
    pub(crate) fn at(position: i64) -> Self {
        Reput {
            position,
            round: Vec::new(),
            units: Vec::new(),
        }
    }
}

/// Why reput stopped early.
#[derive(Debug)]
enum Stop {
    /// A consumequeue file can not be had or read now; the next call tries again.
    Waits(disk::Error),
    Latched(Latched),
}

impl From<Undone> for Stop {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Latched(latched) => Stop::Latched(latched),
            Undone::Waits(error) => Stop::Waits(error),
        }
    }
}

impl From<Stop> for Undone {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Latched(latched) => Undone::Latched(latched),
            Stop::Waits(error) => Undone::Waits(error),
        }
    }
}

impl<D: Disk> Store<D> {
    /// From now on units get bitmaps, if they have extensions. Only the first call counts.
    pub fn set_bitmaps(&self, bitmaps: Arc<dyn Bitmaps>) {
        let _first = self.bitmaps.set(bitmaps);
    }

    /// Gives every record that is visible now its consumequeue unit and tells `on` about each, in the order of the log.
    /// True if more became visible meanwhile that nobody is at: somebody must call again. It does not go on by itself,
    /// because under load there would always be more and the caller would never get back to its own work.
    ///
    /// Before `on` is told of a message the end of its queue is behind it, sequentially consistent. Whoever lets a request wait
    /// must do as much: first put it where `on` finds it, by a sequentially consistent store (or fence) that a look of `on`
    /// reads, and then look at [`Store::queue_max_offset`] again.
    ///
    /// Returns false at once when somebody else is at it. `on` is called under the reput lock: it may read, but not
    /// reput, append or delete. A full disk, or a file that can not be opened now, is no error here: the rest waits for the
    /// next call.
    pub fn reput(&self, on: &mut impl FnMut(&Arrival<'_>)) -> Result<bool, Latched> {
        self.reput_some(usize::MAX, on)
    }

    /// [`Self::reput`] of at most `most` records (a stretch that must be read from the log counts as one). For callers
    /// with other work to do, because a unit that is the first of its queue waits until the disk has made a file.
    pub fn reput_some(&self, most: usize, on: &mut impl FnMut(&Arrival<'_>)) -> Result<bool, Latched> {
        let goal = self.visible().0;
        let mut left = most;
        while left > 0 && self.reput_end.load(Ordering::SeqCst) < goal {
            let Some(mut reput) = self.reput.try_lock() else {
                return Ok(false);
            };
            let done = self.reput_locked(&mut reput, goal, &mut left, on);
            match done {
                Ok(()) if self.has_reput_waited.load(Ordering::Relaxed) => self.note_reput(None),
                Ok(()) => {}
                Err(Stop::Waits(error)) => {
                    tracing::warn!(%error, "reput waits");
                    self.note_reput(Some(&error));
                    return Ok(false);
                }
                Err(Stop::Latched(latched)) => return Err(latched),
            }
        }
        // Looked at after the lock is free: whoever found it taken had made its records visible before.
        Ok(self.reput_end.load(Ordering::SeqCst) < self.visible().0)
    }

    fn reput_locked(
        &self,
        state: &mut Reput<D>,
        goal: i64,
        left: &mut usize,
        on: &mut impl FnMut(&Arrival<'_>),
    ) -> Result<(), Stop> {
        loop {
            if *left == 0 || state.position >= goal {
                return Ok(());
            }
            let limit = self.visible().0;
            let log_until = self.take_round(state, limit, *left);
            self.remember_keys(&state.round);
            // A stretch read from the log counts as one: it is rare, and its records are not counted beforehand.
            *left = left.saturating_sub(state.round.len().max(1));
            if state.round.is_empty() {
                self.reput_from_log(state, log_until, on)?;
                continue;
            }
            let mut round = std::mem::take(&mut state.round);
            let mut result = Ok(());
            for run in round.chunk_by(Fresh::is_followed_by) {
                result = self.reput_run(run, &mut state.units, on);
                if result.is_err() {
                    // What is left of the round will be read from the log.
                    break;
                }
                let last = &run[run.len() - 1];
                self.advance(state, last.unit().end(), last.store_timestamp);
            }
            round.clear();
            state.round = round;
            result?;
        }
    }

    /// Moves fresh records that start at the reput position into the round. If there are none, says up to where
    /// the log has to be read instead.
    fn take_round(&self, state: &mut Reput<D>, limit: i64, most: usize) -> i64 {
        let mut fresh = self.fresh.lock();
        let mut position = state.position;
        while let Some(front) = fresh.front() {
            if front.physical < position {
                fresh.pop_front();
                continue;
            }
            let end = front.physical + i64::from(front.size);
            if front.physical > position || end > limit || state.round.len() == ROUND.min(most) {
                break;
            }
            position = end;
            state.round.extend(fresh.pop_front());
        }
        fresh
            .front()
            .map_or(limit, |front| front.physical.clamp(position, limit))
    }

    /// Keeps what the index needs of the records of a round. Before they count as reput, which is when the index
    /// wants them.
    fn remember_keys(&self, round: &[Fresh<D::File>]) {
        if !self.settings.index {
            return;
        }
        let mut remembered = self.remembered.lock();
        for fresh in round {
            if let Some(hashes) = fresh.key_hashes {
                let record = Remembered {
                    physical: fresh.physical,
                    timestamp: fresh.store_timestamp,
                    size: fresh.size,
                    hashes,
                };
                index::remember(&mut remembered, record);
            }
        }
    }

    fn advance(&self, state: &mut Reput<D>, position: i64, timestamp: i64) {
        state.position = position;
        self.reput_timestamp.store(timestamp, Ordering::Release);
        self.reput_end.store(position, Ordering::SeqCst);
    }

    /// Records that follow one another in the log and in a queue, or one that has no place in any.
    fn reput_run(
        &self,
        run: &[Fresh<D::File>],
        bytes: &mut Vec<u8>,
        on: &mut impl FnMut(&Arrival<'_>),
    ) -> Result<(), Stop> {
        let mut rest = run;
        while let Some(first) = rest.first()
            && let Some(queue) = &first.queue
            && !queue.is_deleted()
        {
            let units = rest.iter().map(Fresh::unit);
            let count = match self.queue_files.ext {
                true => 0,
                false => queue
                    .put_run(first.queue_offset, units, bytes)
                    .map_err(|error| self.stop_for(error))?,
            };
            let (put, later) = rest.split_at(count.max(1));
            rest = later;
            if count == 0 {
                self.put_unit(
                    queue,
                    (first.queue_offset, first.unit(), first.store_timestamp),
                    bytes,
                    on,
                )?;
                continue;
            }
            for fresh in put {
                on(&arrival(
                    queue,
                    fresh.queue_offset,
                    fresh.unit(),
                    fresh.store_timestamp,
                ));
            }
        }
        Ok(())
    }

    fn stop_for(&self, error: disk::Error) -> Stop {
        self.latch.judge(error).into()
    }

    fn put_unit(
        &self,
        queue: &Queue<D::File>,
        (queue_offset, unit, store_timestamp): (i64, Unit, i64),
        bytes: &mut Vec<u8>,
        on: &mut impl FnMut(&Arrival<'_>),
    ) -> Result<(), Stop> {
        bytes.clear();
        if self.queue_files.ext {
            self.write_bitmap(&queue.topic, unit, bytes);
        }
        let (disk, files) = (&self.disk, &self.queue_files);
        let extra = Extra {
            store_timestamp,
            bitmap: bytes,
        };
        let put = queue.put(disk, files, queue_offset, unit, Some(extra));
        self.tell(queue, queue_offset, unit, store_timestamp, put, on)
    }

    /// Without a bitmap, as where the record can not be read, filters look at the record.
    fn write_bitmap(&self, topic: &str, unit: Unit, out: &mut Vec<u8>) {
        let Some(bitmaps) = self.bitmaps.get().filter(|bitmaps| bitmaps.has_any(topic)) else {
            return;
        };
        let Ok(Some(record)) = self.log.slice(unit.physical, i64::from(unit.size)) else {
            return;
        };
        if let Ok(Entry::Record(view)) = decode(&record, Check::Lengths) {
            bitmaps.write(topic, view.properties(), out);
        }
    }

    /// Puts units into the queues that a record names besides its own.
    fn put_multi(&self, view: &View<'_>, on: &mut impl FnMut(&Arrival<'_>)) -> Result<(), Stop> {
        let at = view.physical_offset();
        self.put_multi_of(view, &|topic| !self.deletions.covers(topic, at), on)
    }

    /// The same where a topic counts.
    fn put_multi_of(
        &self,
        view: &View<'_>,
        counts: &dyn Fn(&str) -> bool,
        on: &mut impl FnMut(&Arrival<'_>),
    ) -> Result<(), Stop> {
        let unit = unit_of(view, &self.settings);
        let (disk, files) = (&self.disk, &self.queue_files);
        for (name, index) in multi::places_of(view) {
            let id = multi::queue_id(name, view.queue_id(), self.settings.lmq);
            if !counts(name) {
                continue;
            }
            let queue = self.queues.get_or_new(name, id);
            if !queue.is_deleted() {
                let put = queue.put_named(disk, files, index, unit, multi::is_multi_dispatched(view.topic()));
                self.tell(&queue, index, unit, view.store_timestamp(), put, on)?;
            }
        }
        Ok(())
    }

    fn tell(
        &self,
        queue: &Queue<D::File>,
        queue_offset: i64,
        unit: Unit,
        store_timestamp: i64,
        put: disk::Result<Put>,
        on: &mut impl FnMut(&Arrival<'_>),
    ) -> Result<(), Stop> {
        match put.map_err(|error| self.stop_for(error))? {
            Put::Repeat => return Ok(()),
            Put::Done => {}
            Put::TookPlaceOf(earlier) => {
                let count = self.taken_places.fetch_add(1, Ordering::Relaxed) + 1;
                match self.settings.replica {
                    false => tracing::error!(
                        "{} ({count} so far)",
                        taken_place(queue, queue_offset, unit, earlier)
                    ),
                    // Ordinary where the master has made a deleted topic anew, and this slave does not know of the deletion yet.
                    true if count.is_power_of_two() => tracing::warn!(
                        "{} ({count} so far; more are told when they are twice as many)",
                        taken_place(queue, queue_offset, unit, earlier)
                    ),
                    true => {}
                }
            }
        }
        on(&arrival(queue, queue_offset, unit, store_timestamp));
        Ok(())
    }

    fn reput_from_log(
        &self,
        state: &mut Reput<D>,
        until: i64,
        on: &mut impl FnMut(&Arrival<'_>),
    ) -> Result<(), Stop> {
        let mut walk = self.log.walk(state.position, until);
        loop {
            let step = walk.next(Check::Lengths);
            let step = step.map_err(|error| self.stop_for(error))?;
            match step {
                Step::Record(view) => {
                    let end = view.physical_offset() + view.total_len() as i64;
                    let timestamp = view.store_timestamp();
                    if let Some((queue, unit)) = self.queue_of(&view)
                        && !queue.is_deleted()
                    {
                        self.put_unit(
                            &queue,
                            (view.queue_offset(), unit, timestamp),
                            &mut state.units,
                            on,
                        )?;
                    }
                    if self.settings.multi_dispatch && has_unit(&view) {
                        self.put_multi(&view, on)?;
                    }
                    self.advance(state, end, timestamp);
                }
                // Never back, into the last record.
                Step::End if state.position >= until => return Ok(()),
                Step::End => {
                    let position = walk.position.min(until).max(state.position);
                    let timestamp = self.reput_timestamp.load(Ordering::Acquire);
                    // Nothing but the end of a file lies between: without this the walk would start there for ever.
                    self.advance(
                        state,
                        if position == state.position {
                            until
                        } else {
                            position
                        },
                        timestamp,
                    );
                    return Ok(());
                }
                Step::Bad(error) => {
                    // Damage that recovery stepped over, or bytes that changed since.
                    let at = walk.position;
                    let next = self.log.resume(at, i64::MIN);
                    let next = next.map_err(|error| self.stop_for(error))?;
                    let next = next.unwrap_or(until).min(until);
                    tracing::error!("{}", self.log.damage(at, next, error));
                    let timestamp = self.reput_timestamp.load(Ordering::Acquire);
                    self.advance(state, next, timestamp);
                    return Ok(());
                }
            }
        }
    }

    /// The queue of a record and the unit it has there; `None` for records without a place in a queue, for those whose topic
    /// cannot be part of a path, and for those of a topic that was deleted since.
    pub(crate) fn queue_of(&self, view: &View<'_>) -> Option<(Arc<Queue<D::File>>, Unit)> {
        if !has_unit(view) || self.deletions.covers(view.topic(), view.physical_offset()) {
            return None;
        }
        Some((
            self.queues.get_or_new(view.topic(), view.queue_id()),
            unit_of(view, &self.settings),
        ))
    }
}

impl<D: Disk> Store<D> {
    /// Puts what these topics have in `from..until` of the log, each from its position on, into their queues once more. Under the
    /// reput lock; nobody is told.
    pub(crate) fn put_again(
        &self,
        topics: &BTreeMap<&str, i64>,
        from: i64,
        until: i64,
    ) -> Result<(), Undone> {
        let counts = |topic: &str, at: i64| topics.get(topic).is_some_and(|position| *position <= at);
        let mut bytes = Vec::new();
        let mut walk = self.log.walk(from, until.max(from));
        loop {
            match self.latch.guard(walk.next(Check::Lengths))? {
                Step::Record(view) if has_unit(&view) => {
                    let unit = unit_of(&view, &self.settings);
                    if counts(view.topic(), unit.physical) {
                        let queue = self.queues.get_or_new(view.topic(), view.queue_id());
                        let place = (view.queue_offset(), unit, view.store_timestamp());
                        self.put_unit(&queue, place, &mut bytes, &mut |_| {})?;
                    }
                    if self.settings.multi_dispatch {
                        self.put_multi_of(&view, &|topic| counts(topic, unit.physical), &mut |_| {})?;
                    }
                }
                Step::Record(_) => {}
                Step::End => return Ok(()),
                Step::Bad(_) => match self.latch.guard(self.log.resume(walk.position, i64::MIN))? {
                    Some(next) if next < until => walk = self.log.walk(next, until),
                    _ => return Ok(()),
                },
            }
        }
    }
}

fn arrival<F>(queue: &Queue<F>, queue_offset: i64, unit: Unit, store_timestamp: i64) -> Arrival<'_> {
    Arrival {
        topic: &queue.topic,
        queue_id: queue.id,
        queue_offset: QueueOffset(queue_offset),
        tags_code: unit.tags_code,
        store_timestamp,
        physical_offset: PhysicalOffset(unit.physical),
        size: unit.size,
    }
}

/// What is to be said of a record that takes the place of an earlier one.
pub(crate) fn taken_place<F: MappedFile>(
    queue: &Queue<F>,
    queue_offset: i64,
    unit: Unit,
    earlier: i64,
) -> String {
    format!(
        "consumequeue {} {}: two messages have the offset {queue_offset}; it now leads to the later one, at {} in the commitlog, and \
         the earlier one, at {earlier}, can only be found by its id or key",
        queue.topic, queue.id, unit.physical
    )
}

/// Whether a record has a unit in a queue.
pub(crate) fn has_unit(view: &View<'_>) -> bool {
    sys_flag::is_queued(view.sys_flag())
        && view.queue_id() >= 0
        && view.queue_offset() >= 0
        && view.queue_offset() < i64::MAX / 32
        && name::check_any_topic(view.topic()).is_ok()
}

/// The unit of a record.
pub(crate) fn unit_of(view: &View<'_>, settings: &crate::settings::StoreSettings) -> Unit {
    let wanted = properties::Wanted::of(view.properties());
    let tags_code = match settings.delay_ms(view.topic(), wanted.delay) {
        Some(delay) => view.store_timestamp().saturating_add(delay),
        None => wanted.tags.map_or(0, hash::tags_code),
    };
    Unit {
        physical: view.physical_offset(),
        size: view.total_len() as i32,
        tags_code,
    }
}

impl<F: MappedFile> Queue<F> {
    /// Whether `view` is the record of unit `index`.
    pub(crate) fn owns(topic: &str, id: i32, index: i64, view: &View<'_>) -> bool {
        let own = view.queue_offset() == index && view.queue_id() == id && view.topic() == topic;
        own || multi::places_of(view).iter().any(|&(name, place)| {
            let is_queue = view.queue_id() == id || multi::queue_id(name, view.queue_id(), true) == id;
            name == topic && place == index && is_queue
        })
    }

    /// Puts the unit of a record that names this queue, which is not the record's own. `multi_dispatched` is whether such records
    /// are: the place of one that is not may be that of the message it is a copy of, so that only the next place of the
    /// queue is believed.
    pub(crate) fn put_named<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &crate::queue::QueueFiles,
        index: i64,
        unit: Unit,
        multi_dispatched: bool,
    ) -> disk::Result<Put> {
        let end = self.end();
        // A message of a topic does not lose its place for what another topic's record says.
        let takes = multi_dispatched && name::is_lmq(&self.topic);
        if (index < end && !takes) || (index != end && !multi_dispatched) {
            return Ok(Put::Repeat);
        }
        // Java writes no extension for these.
        self.put(disk, files, index, unit, None)
    }
}
