//! Cutting the end of a slave's log off, while it runs: what the master has not, or has otherwise.
//!
//! The log ends at a record's border then, and everything that follows it ends there, too: queues and their extensions, index,
//! checkpoint, notes of deleted topics, positions. What is cut off the log is kept aside first.
//!
//! # Readers
//!
//! Slices that readers hold stay what they are: the file in which the log ends is replaced by a copy, files behind it lose their
//! names only. All locks are held, so that nobody who takes one sees half a cut; who reads a queue meanwhile reads again
//! ([`Store::read`]).
//!
//! # Crashes
//!
//! The checkpoint is withdrawn first, durably: nothing vouches for what goes. Log files go from the last one back, and the copy takes
//! its place when they are gone. So a crash leaves a log that ends somewhere between the cut and the old end, and never one with a
//! hole; the next start brings the queues after it, and the same cut can be made again. The same goes for an error: what
//! is left is whole, [`Store::reput`] and the index go on from the cut, and another call goes on cutting.

use crate::cut_off::{self, KEPT_BYTES, copy_out};
use crate::flush::ONE_BY_ONE_MAX;
use crate::index::{Index, forget_behind};
use crate::latch::{Latched, Undone};
use crate::log::{Log, LogFile, Step, copy_path};
use crate::multi;
use crate::offset::PhysicalOffset;
use crate::queue::{Queue, QueueEnd};
use crate::queue_checkpoint::{IndexState, Tail};
use crate::raw::Whole;
use crate::reput::{Reput, has_unit};
use crate::store::{LogWriter, Store};
use disk::{Disk, MappedFile};
use message::record::{Check, Entry, View, decode};
use parking_lot::MutexGuard;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Bytes that are copied at once.
const STEP: u64 = 1 << 20;
/// Where all of the log goes, records are counted in so many bytes of it: to read a log of terabytes for that would take hours.
const COUNTED_BYTES: i64 = 4 << 30;

/// What a cut took off the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutBack {
    /// Where the first byte was that went; the log ends there. Where all went, its first byte.
    pub from: PhysicalOffset,
    /// One behind the last byte that went.
    pub until: PhysicalOffset,
    /// Whole records that went.
    pub records: u64,
    /// They were counted up to here: to the end, but where all of a long log went.
    pub counted_until: PhysicalOffset,
    /// Queue units that went.
    pub units: u64,
    /// Where it is kept; `None` where nothing went.
    pub kept: Option<KeptAside>,
}

/// The copy of what was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAside {
    /// The file.
    pub path: PathBuf,
    /// How many bytes it has, from the first one on. It is whole if that is as many as went.
    pub bytes: u64,
}

impl CutBack {
    /// How many bytes went.
    pub fn bytes(&self) -> u64 {
        (self.until.0 - self.from.0) as u64
    }

    /// Whether all that went is kept.
    pub fn is_kept_whole(&self) -> bool {
        self.kept.as_ref().map_or(0, |kept| kept.bytes) == self.bytes()
    }
}

impl fmt::Display for CutBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(kept) = &self.kept else {
            return write!(f, "the commitlog ends at {}, nothing was cut off", self.until);
        };
        let (bytes, at_least) = match self.counted_until < self.until {
            true => (self.bytes(), "at least "),
            false => (self.bytes(), ""),
        };
        write!(
            f,
            "{bytes} bytes of the commitlog, from {} to {}, with {at_least}{} records were cut off, and {} queue units with them; ",
            self.from, self.until, self.records, self.units
        )?;
        match self.is_kept_whole() {
            true => write!(f, "they are kept in {}", kept.path.display()),
            false => write!(
                f,
                "only the first {} bytes are kept, in {}; the rest is lost",
                kept.bytes,
                kept.path.display()
            ),
        }
    }
}

/// Why a log was not cut, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum CutBackError {
    /// The store is no slave's: what it has may be nowhere else.
    #[error("only the commitlog of a slave is cut")]
    NoReplica,
    /// The store was shut down.
    #[error("the store has been shut down")]
    ShutDown,
    /// No whole record ends there.
    #[error("no record of the commitlog ends at {0}")]
    NoBorder(PhysicalOffset),
    /// Nothing was cut: what is to go could not be kept aside.
    #[error("what is to be cut off the commitlog could not be kept, so nothing was cut: {0}")]
    NotKept(disk::Error),
    /// Writes are off for good.
    #[error(transparent)]
    Latched(#[from] Latched),
    /// Something could not be done now. The log ends at the cut, or behind it; another call goes on.
    #[error("the commitlog could not be cut: {0}")]
    Disk(#[from] disk::Error),
}

impl From<Undone> for CutBackError {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Latched(latched) => CutBackError::Latched(latched),
            Undone::Waits(error) => CutBackError::Disk(error),
        }
    }
}

/// A place where the log can end.
#[derive(Clone, Copy, Debug)]
struct Border {
    at: i64,
    /// Store time of the last record before it, ms; 0 where nothing stays.
    timestamp: i64,
    /// Nothing stays: the log begins anew, at the start of any file.
    begins_anew: bool,
}

/// What of the log goes, as it was looked through before.
struct Going<F> {
    records: u64,
    counted_until: i64,
    places: Places<F>,
}

/// The places of a queue that records have which go.
#[derive(Clone, Copy, Debug)]
struct PlacesGone {
    first: i64,
    last: i64,
    /// Each has a place behind that of the one before it.
    in_order: bool,
}

type FileCopy<F> = (F, Arc<LogFile<F>>);

type Places<F> = HashMap<*const Queue<F>, PlacesGone>;

/// The locks whose data a cut changes.
struct Held<'s, D: Disk> {
    index: MutexGuard<'s, Option<Index<D>>>,
    reput: MutexGuard<'s, Reput<D>>,
    writer: MutexGuard<'s, LogWriter<D>>,
}

impl<D: Disk> Store<D> {
    /// Cuts off the log what lies at or behind `to`, where a whole record must end; with 0, or the log's first byte, all of it: it
    /// then begins anew at the start of any file, and so do the queues. `now` in ms.
    ///
    /// Only for a slave's store ([`crate::StoreSettings::replica`]). May take seconds: for a thread that may wait. Appends, reput and
    /// key queries wait meanwhile; reads go on.
    ///
    /// [`Store::max_physical`], [`Store::visible`], [`Store::flushed`], [`Store::reput_end`], [`Store::index_end`] and the ends of
    /// queues go back by this, and by nothing else. A slave has nobody who waits for them; whoever keeps such a position, as a
    /// watermark that only grows, has to set it to these anew before more is appended. Offsets that somebody saved may be
    /// behind a queue's end: [`Store::clamp_offset`]. Afterwards [`Store::append_raw`] goes on at the cut, after an error at
    /// [`Store::max_physical`]; call [`Store::reput`] then.
    pub fn cut_back(&self, to: PhysicalOffset, now: i64) -> Result<CutBack, CutBackError> {
        if !self.settings.replica {
            return Err(CutBackError::NoReplica);
        }
        let _retention = self.retention_lock.lock();
        let _preparation = self.prepare_lock.lock();
        let _flush = self.flush_lock.lock();
        let _queue_flush = self.queue_flush_lock.lock();
        let mut held = Held {
            index: self.index.lock(),
            reput: self.reput.lock(),
            writer: self.writer.lock(),
        };
        if held.writer.shut_down {
            return Err(CutBackError::ShutDown);
        }
        self.latch.check()?;
        let end = held.writer.position;
        let border = self.border(to.0, &held.writer)?;
        let going = self.look_through(&border, end)?;
        let mut cut = CutBack {
            from: PhysicalOffset(border.at.max(self.log.min())),
            until: PhysicalOffset(end),
            records: going.records,
            counted_until: PhysicalOffset(going.counted_until),
            units: 0,
            kept: None,
        };
        if cut.bytes() > 0 {
            let kept = self.keep_aside(cut.from.0, end, now);
            cut.kept = Some(kept.map_err(CutBackError::NotKept)?);
        }
        let done = self.cut_all(&border, &going, &mut held, &mut cut.units);
        // Whatever was done: units and bytes from before it do not belong together with those that come.
        self.cuts.fetch_add(1, Ordering::Release);
        done?;
        Ok(cut)
    }

    /// Finds `to` among the places where the log can end.
    fn border(&self, to: i64, writer: &LogWriter<D>) -> Result<Border, CutBackError> {
        let no_border = Err(CutBackError::NoBorder(PhysicalOffset(to)));
        let min = self.log.min();
        if to == 0 || to == min {
            return Ok(Border {
                at: 0,
                timestamp: 0,
                begins_anew: true,
            });
        }
        let end = writer.whole.map_or(writer.position, |whole| whole.end);
        if !(min..=end).contains(&to) {
            return no_border;
        }
        // A record does not go over the end of a file.
        let mut walk = self
            .log
            .walk((self.log.next_file(to - 1) - self.log.file_size).max(min), to);
        // Whatever the file before ends with, nothing goes over its end.
        let is_file_start = to % self.log.file_size == 0;
        let mut timestamp = 0;
        loop {
            match walk.next(Check::Lengths)? {
                Step::Record(view) => timestamp = view.store_timestamp(),
                Step::End => break,
                Step::Bad(_) => match self.log.resume(walk.position, i64::MIN)? {
                    Some(next) if next <= to => walk = self.log.walk(next, to),
                    _ if is_file_start => break,
                    _ => return no_border,
                },
            }
        }
        if walk.position != to && !is_file_start {
            return no_border;
        }
        Ok(Border {
            at: to,
            timestamp,
            begins_anew: false,
        })
    }

    /// Counts what goes, and finds out which places in queues it has.
    fn look_through(&self, border: &Border, end: i64) -> disk::Result<Going<D::File>> {
        let from = border.at.max(self.log.min());
        let until = match border.begins_anew {
            true => end.min(from.saturating_add(COUNTED_BYTES)),
            false => end,
        };
        let mut going = Going {
            records: 0,
            counted_until: until,
            places: HashMap::new(),
        };
        let mut walk = self.log.walk(from, until);
        loop {
            match walk.next(Check::Lengths)? {
                Step::Record(view) => {
                    going.records += 1;
                    if !border.begins_anew {
                        self.note_places(&view, border.at, &mut going.places)?;
                    }
                }
                Step::End => return Ok(going),
                Step::Bad(_) => match self.log.resume(walk.position, i64::MIN)? {
                    Some(next) => walk = self.log.walk(next, until),
                    None => return Ok(going),
                },
            }
        }
    }

    /// Notes the places of a record whose units point at or behind `to`. That is nearly always what a look at the ends of the queues
    /// says, too; not where two records say that a place is theirs ([`crate::Store::taken_places`]).
    fn note_places(&self, view: &View<'_>, to: i64, places: &mut Places<D::File>) -> disk::Result<()> {
        if !has_unit(view) {
            return Ok(());
        }
        let own = (view.topic(), view.queue_id(), view.queue_offset());
        let named = match self.settings.multi_dispatch {
            true => multi::places_of(view),
            false => Vec::new(),
        };
        let named = named.into_iter().map(|(name, index)| {
            let id = multi::queue_id(name, view.queue_id(), self.settings.lmq);
            (name, id, index)
        });
        for (topic, id, index) in named.chain([own]) {
            let Some(queue) = self.queues.get(topic, id) else {
                continue;
            };
            if queue.unit(index)?.is_none_or(|unit| unit.physical < to) {
                continue;
            }
            let new = PlacesGone {
                first: index,
                last: index - 1,
                in_order: true,
            };
            let gone = places.entry(Arc::as_ptr(&queue)).or_insert(new);
            gone.in_order &= index > gone.last;
            gone.first = gone.first.min(index);
            gone.last = index;
        }
        Ok(())
    }

    /// Keeps `from..until` of the log aside, up to a bound.
    fn keep_aside(&self, from: i64, until: i64, now: i64) -> disk::Result<KeptAside> {
        let mut content = Vec::new();
        for file in self.log.files().iter() {
            let most = (KEPT_BYTES - content.len()) as i64;
            let (start, end) = (file.start.max(from), (file.start + self.log.file_size).min(until));
            if start < end {
                let end = end.min(start + most);
                let range = (start - file.start) as u64..(end - file.start) as u64;
                copy_out(file, range, &mut content)?;
            }
        }
        let dir = self.settings.cut_off_dir();
        let path = cut_off::keep(&self.disk, &dir, "commitlog", from, &content, now)?;
        Ok(KeptAside {
            path,
            bytes: content.len() as u64,
        })
    }

    /// Cuts everything, now that it is known where.
    fn cut_all(
        &self,
        border: &Border,
        going: &Going<D::File>,
        held: &mut Held<'_, D>,
        units: &mut u64,
    ) -> Result<(), Undone> {
        let to = border.at;
        let copy = self.copy_of_last(to, held.writer.position)?;
        self.withdraw_checkpoint(to, held.index.as_ref())?;
        // First what goes on from the cut: should this be cut short, it finds what is left.
        self.set_reput_position(&mut held.reput, to, border.timestamp);
        let from = match border.begins_anew {
            true => self.remove_queues(units).map(|()| to),
            false => self.cut_queues(to, going, units),
        };
        let from = from?;
        if from < to {
            self.set_reput_position(&mut held.reput, from, 0);
        }
        // Before the log: behind its end their units would tell that it has lost its end.
        self.sync_queues(0)?;
        forget_behind(&mut self.remembered.lock(), to);
        if let Some(index) = held.index.as_mut() {
            let cut = index.cut_back(&self.disk, to, |position| self.time_at(position));
            self.indexed.store(index.position, Ordering::Release);
            self.latch.guard(cut)?;
        }
        held.writer.timestamp = border.timestamp;
        for time in [&self.log.written_timestamp, &self.log.flushed_timestamp] {
            time.fetch_min(border.timestamp, Ordering::AcqRel);
        }
        self.cut_log(to, copy, &mut held.writer)?;
        if border.begins_anew {
            held.writer.whole = None;
            self.whole_end.store(i64::MAX, Ordering::SeqCst);
        }
        // Other records may come to lie where those of deleted topics were.
        self.deletions.follow(self.log.min(), to);
        self.latch.guard(self.deletions.save(&self.disk, to))
    }

    fn time_at(&self, position: i64) -> Option<i64> {
        let record = self.log.record_at(position).ok()?;
        match decode(&record, Check::Lengths) {
            Ok(Entry::Record(view)) => Some(view.store_timestamp()),
            _ => None,
        }
    }

    /// Vouches for nothing at or behind `to`, durably.
    pub(crate) fn withdraw_checkpoint(&self, to: i64, index: Option<&Index<D>>) -> Result<(), Undone> {
        let mut less = self.checkpoint.lock().1;
        let vouched = less.vouched;
        less.confirmed = less.confirmed.min(to);
        less.master_flushed = less.master_flushed.min(to);
        if let Some(index) = index {
            less.index_timestamp = less.index_timestamp.min(index.full_timestamp_below(to));
        }
        let goes_back = vouched.is_some_and(|vouched| vouched > to);
        if goes_back {
            // First what belongs to it, so that a start after a crash knows the queues.
            let index = index.map_or_else(IndexState::default, |index| IndexState {
                ends: index.ends_below(to),
                indexed: index.position.min(to),
            });
            self.write_queue_checkpoint((to, 0, 0), index, Tail::Messages, false)
                .or_else(|undone| undone.until_next_time("queueCheckpoint"))?;
            less.vouched = Some(to);
        }
        self.change_checkpoint(|content| *content = less)?;
        if goes_back {
            // The position before, by itself: a power cut in between must not leave the old one with other times.
            (less.physic_timestamp, less.logics_timestamp) = (0, 0);
            self.change_checkpoint(|content| *content = less)?;
        }
        Ok(())
    }

    /// Lets reput go on from a position that it has passed.
    fn set_reput_position(&self, reput: &mut Reput<D>, to: i64, timestamp: i64) {
        let mut fresh = self.fresh.lock();
        fresh.retain(|fresh| fresh.physical < to);
        reput.position = reput.position.min(to);
        self.reput_timestamp.fetch_min(timestamp, Ordering::AcqRel);
        self.reput_end.store(reput.position, Ordering::SeqCst);
    }

    /// Cuts the queues. Returns from where in the log units are to be put again.
    fn cut_queues(&self, to: i64, going: &Going<D::File>, units: &mut u64) -> Result<i64, Undone> {
        let (mut from, mut emptied) = (to, BTreeSet::new());
        for queue in self.queues.all() {
            if queue.is_deleted() || queue.max_physical() <= to {
                continue;
            }
            let mut end = self.latch.guard(queue.end_below(to))?;
            let gone = going.places.get(&Arc::as_ptr(&queue));
            let in_order = gone.is_none_or(|gone| gone.in_order && gone.first >= end.index);
            if !in_order || queue.has_taken_places.load(Ordering::Acquire) {
                // Records that go took places from others that stay. What the others were the log knows.
                end = QueueEnd {
                    index: queue.min(),
                    max_physical: 0,
                };
                from = self.log.min();
            }
            *units += (queue.end() - end.index) as u64;
            self.latch
                .guard(queue.cut_back(&self.disk, &self.queue_files, end))?;
            if end.index == 0 {
                // As if it had never been.
                queue.deleted.store(true, Ordering::Release);
                self.queues.remove_queue(&queue);
                emptied.insert(self.queue_files.dir.join(&*queue.topic));
            }
        }
        match emptied.len() > ONE_BY_ONE_MAX {
            true => self
                .latch
                .guard(self.disk.sync_file_system(&self.queue_files.dir))?,
            false => emptied
                .iter()
                .try_for_each(|dir| self.latch.guard(self.disk.sync_dir(dir)))?,
        }
        Ok(from)
    }

    /// Takes all queues away. Durably: without a log they would say that it is lost, and the next start would be refused.
    fn remove_queues(&self, units: &mut u64) -> Result<(), Undone> {
        for topic in self.queues.topics() {
            for queue in self.queues.remove(&topic) {
                queue.deleted.store(true, Ordering::Release);
                *units += (queue.end() - queue.min()).max(0) as u64;
                queue.take_all().iter().for_each(|file| file.file.forget());
            }
        }
        for (dir, kind) in [
            (&self.queue_files.dir, "queues"),
            (&self.queue_files.ext_dir, "ext"),
        ] {
            // Also what is there and was no queue's.
            for topic in self.latch.guard(self.disk.list(dir))? {
                if topic.is_dir {
                    self.put_away(&dir.join(topic.name), kind)?;
                }
            }
            if dir == &self.queue_files.dir || self.queue_files.ext {
                self.latch.guard(self.disk.sync_dir(dir))?;
            }
        }
        Ok(())
    }

    /// Cuts the log itself. `copy` is that of the file in which it will end, with that file, where it ends in one.
    fn cut_log(
        &self,
        to: i64,
        copy: Option<FileCopy<D::File>>,
        writer: &mut LogWriter<D>,
    ) -> Result<(), Undone> {
        self.drop_spare()?;
        let files = self.log.files();
        for file in files.iter().rev().filter(|file| file.start >= to) {
            self.latch.guard(self.disk.remove_file(file.file.path()))?;
            self.log.retain(|other| other.start != file.start);
            self.end_log_at(file.start, writer);
            file.file.forget();
            // Of two files the earlier must not be missing.
            self.order_names(file)?;
        }
        if let Some(first) = files.iter().find(|file| file.start >= to) {
            self.sync_dir_of(first)?;
        }
        if let Some((copy, old)) = copy {
            let file = self.latch.guard(self.disk.replace(copy, old.file.path()))?;
            self.log.replace(Arc::new(LogFile {
                start: old.start,
                file,
                named: AtomicBool::new(true),
                modified_ms: AtomicI64::new(old.modified_ms.load(Ordering::Relaxed)),
            }));
            self.end_log_at(to, writer);
            old.file.forget();
            self.sync_dir_of(&old)?;
        }
        self.end_log_at(to, writer);
        Ok(())
    }

    /// A copy of the file in which a log that ends at `end` is to end, and that file; `None` where it is to end with a file.
    fn copy_of_last(&self, to: i64, end: i64) -> Result<Option<FileCopy<D::File>>, Undone> {
        match self.log.file_at(to).filter(|file| file.start < to && to < end) {
            Some(file) => Ok(Some((self.copy_of(&file, to)?, file))),
            None => Ok(None),
        }
    }

    /// A durable copy of a log file up to a position in the log, which nobody has yet.
    fn copy_of(&self, file: &LogFile<D::File>, to: i64) -> Result<D::File, Undone> {
        let (len, path) = ((to - file.start) as u64, copy_path(file.file.path()));
        let copied = self.disk.remove_file(&path).and_then(|()| {
            let options = Log::<D>::options(&self.settings);
            let copy = self.disk.create(&path, self.log.file_size as u64, options)?;
            let mut at = 0;
            while at < len {
                let mut bytes = Vec::new();
                let end = len.min(at + STEP);
                copy_out(file, at..end, &mut bytes)?;
                copy.write_and_publish(at, &bytes)?;
                at = end;
            }
            copy.sync(0..len)?;
            Ok(copy)
        });
        match copied {
            Ok(copy) => Ok(copy),
            Err(error) => {
                // The log does not depend on it: whatever happened, nothing is lost.
                if let Err(error) = self.disk.remove_file(&path) {
                    tracing::warn!(%error, "the copy of a commitlog file stays until the next start");
                }
                Err(Undone::Waits(error))
            }
        }
    }

    /// Removes the file that was made ahead: behind a shorter log it would be one behind a gap.
    fn drop_spare(&self) -> Result<(), Undone> {
        let Some(spare) = self.log.take_spare() else {
            return Ok(());
        };
        if let Err(error) = self.disk.remove_file(spare.file.path()) {
            self.log.give_spare(spare);
            return Err(self.latch.judge(error));
        }
        spare.file.forget();
        self.order_names(&spare)
    }

    /// Makes the removal of a file durable before that of the next one. One directory's journal keeps their order by itself.
    fn order_names(&self, file: &LogFile<D::File>) -> Result<(), Undone> {
        let settings = &self.settings;
        match settings.commitlog_dirs.len() + settings.read_only_commitlog_dirs.len() {
            1 => Ok(()),
            _ => self.sync_dir_of(file),
        }
    }

    fn sync_dir_of(&self, file: &LogFile<D::File>) -> Result<(), Undone> {
        let dir = file.file.path().parent();
        dir.map_or(Ok(()), |dir| self.latch.guard(self.disk.sync_dir(dir)))
    }

    /// Says that the log ends here, no earlier than it did.
    fn end_log_at(&self, end: i64, writer: &mut LogWriter<D>) {
        writer.position = writer.position.min(end);
        let end = writer.position;
        writer.file = self.log.file_at(end);
        if let Some(whole) = writer.whole {
            writer.whole = Some(Whole::up_to(whole.end.min(end)));
            self.whole_end.fetch_min(end, Ordering::SeqCst);
        }
        self.log.set_written(end);
        self.log.set_flushed(self.log.flushed().min(end));
        self.durable_whole.fetch_min(end, Ordering::AcqRel);
        self.units_wait_until.fetch_min(end, Ordering::AcqRel);
        self.prepared.store(end, Ordering::Relaxed);
        self.prepared_from.store(end, Ordering::Relaxed);
    }
}
