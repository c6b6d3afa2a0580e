//! Reading the log from where nothing vouches for it: which of its records are good, and their units.
//!
//! The log is taken in stretches. Within one, records are found one after the other by their lengths, then checked in
//! parts and given their units by queue: parts and queues need nothing of one another, so that the helpers can be at
//! several at once.

use super::{LogCut, OpenError, RecoveryReport, TOLD_MAX};
use crate::damage::{self, readable};
use crate::deletions::Deletions;
use crate::ext::Extra;
use crate::log::{Log, LogFile, Step, Walk};
use crate::multi;
use crate::progress::{Helpers, Phase, Progress};
use crate::queue::{Put, Queue, QueueFiles, Queues, Unit};
use crate::reput::{has_unit, taken_place, unit_of};
use crate::settings::StoreSettings;
use disk::{Disk, MappedFile, Operation};
use message::record::{Check, Entry, RecordError, View, decode};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Bytes of a stretch.
pub(super) const STRETCH: i64 = 32 << 20;
/// No kernel gives less at once.
const PAGE: usize = 4096;
/// Fewer records than this are not worth a task.
const PART_MIN: usize = 8;

pub(super) struct Scan<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) settings: &'a StoreSettings,
    pub(super) queue_files: &'a QueueFiles,
    pub(super) queues: &'a Queues<D::File>,
    pub(super) deletions: &'a Deletions,
    pub(super) log: &'a Log<D>,
    pub(super) helpers: &'a Helpers<'a>,
}

/// A record that was found: position and length.
type Place = (i64, i64);

/// What a scan leaves for later.
#[derive(Default)]
pub(super) struct Scanned {
    /// Store time of the last record, ms.
    pub(super) timestamp: i64,
    /// One behind the highest place of damaged records that still say which they had.
    pub(super) places: BTreeMap<(String, i32), i64>,
}

/// Why a stretch ends.
enum Stop {
    /// It is long enough.
    Full,
    /// There is nothing more.
    End,
    /// No record starts there.
    Bad(RecordError),
}

/// Whether the pages that a file has from `at` on, the border of one, hold nothing: a look at its end gave them to it as far as there were any.
fn is_zero_from<F: MappedFile>(file: &LogFile<F>, mut at: u64) -> disk::Result<bool> {
    while let Some(data) = file.file.next_data(at)? {
        at = (data + PAGE as u64).min(file.file.published());
        if let Some(page) = file.file.slice(data..at)? {
            damage::fetch(file, &page)?;
            if page.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

impl<D: Disk> Scan<'_, D> {
    /// Reads the log from `report.scan_start` to its end. Where `clean_end` is, an end needs no proof.
    pub(super) fn run(
        &self,
        report: &mut RecoveryReport,
        clean_end: Option<i64>,
    ) -> Result<Scanned, OpenError> {
        let mut walk = self.log.walk(report.scan_start, self.log.written());
        let total = (self.log.written() - report.scan_start).max(0) as u64;
        let mut scanned = Scanned::default();
        let mut unread = None;
        loop {
            let from = walk.position;
            match self.fetch(from) {
                Err(error) if error.is_missing_page() => {
                    // It holds what is about to be taken back.
                    walk = self.log.walk(from, self.log.written());
                    unread = Some(self.end_before_hole(from, error)?);
                }
                fetched => fetched?,
            }
            let (mut places, mut stop) = Self::collect(&mut walk)?;
            report.log_end = walk.position;
            let bad = self.bad_ones(&places)?;
            // Only with something sound behind it is a bad one damage; what the settings refuse is none.
            let torn = bad.iter().rev().zip((0..places.len()).rev());
            let torn = torn.take_while(|((index, reason), last)| {
                index == last && !matches!(reason, RecordError::PropertyCrc)
            });
            let sound = places.len() - torn.count();
            if let Some(&(position, _)) = places.get(sound) {
                report.log_end = position;
                let first = bad.iter().find(|(index, _)| *index == sound);
                stop = first.map_or(stop, |(_, reason)| Stop::Bad(*reason));
            }
            places.truncate(sound);
            let mut bad = bad.into_iter().peekable();
            let mut index = 0..;
            places.retain(|&(position, len)| {
                let index = index.next();
                let Some((_, reason)) = bad.next_if(|(nth, _)| Some(*nth) == index) else {
                    return true;
                };
                self.step_over(position, position + len, reason, report, &mut scanned);
                false
            });
            report.records += places.len() as u64;
            let mut built = self.build(&places)?;
            report.units_wait_from = report.units_wait_from.or(built.wait_from);
            report.units_built += built.units;
            report.taken_places += built.taken;
            // Several have looked; told is what comes first in the log.
            built.first_taken.sort_unstable();
            let room = TOLD_MAX - report.first_taken.len();
            let told = built.first_taken.into_iter().take(room).map(|(_, line)| line);
            report.first_taken.extend(told);
            scanned.timestamp = self.last_time(&places)?.unwrap_or(scanned.timestamp);
            (self.helpers.progress)(Progress {
                phase: Phase::Log,
                done: (report.log_end - report.scan_start) as u64,
                total,
            });
            let at = report.log_end;
            match stop {
                Stop::Full => {}
                Stop::End => return Ok(scanned),
                Stop::Bad(reason) => {
                    let is_blank = self.is_blank(at)?;
                    if let Some(unread) = unread.take_if(|_| !is_blank) {
                        // What is not read may belong to it.
                        return Err(unread.into());
                    }
                    let is_in_last = at >= self.log.written() - self.log.file_size;
                    report.end_is_vouched = is_blank && is_in_last && clean_end == Some(at);
                    if report.end_is_vouched {
                        return Ok(scanned);
                    }
                    let next = self.log.resume(at, scanned.timestamp)?;
                    let Some(next) = next else {
                        report.log_cut = (!is_blank).then_some(LogCut { at, reason });
                        return Ok(scanned);
                    };
                    self.step_over(at, next, reason, report, &mut scanned);
                    walk = self.log.walk(next, self.log.written());
                }
            }
        }
    }

    /// The records of a stretch as their lengths say.
    fn collect(walk: &mut Walk<'_, D>) -> Result<(Vec<Place>, Stop), OpenError> {
        let (from, mut places) = (walk.position, Vec::new());
        while walk.position - from < STRETCH {
            match walk.next(Check::Lengths)? {
                Step::Record(view) => places.push((view.physical_offset(), view.total_len() as i64)),
                Step::End => return Ok((places, Stop::End)),
                Step::Bad(bad) => return Ok((places, Stop::Bad(bad))),
            }
        }
        Ok((places, Stop::Full))
    }

    fn last_time(&self, places: &[Place]) -> Result<Option<i64>, OpenError> {
        let Some(&(position, len)) = places.last() else {
            return Ok(None);
        };
        let record = self.log.slice(position, len)?;
        let view = record.as_deref().and_then(|record| readable(record, position));
        Ok(view.map(|view| view.store_timestamp()))
    }

    /// Notes a stretch that holds no record, and the place that a record there says it had.
    fn step_over(
        &self,
        at: i64,
        next: i64,
        reason: RecordError,
        report: &mut RecoveryReport,
        scanned: &mut Scanned,
    ) {
        report.damage.add(self.log.damage(at, next, reason));
        let Ok(Some(rest)) = self.log.slice_to_file_end(at) else {
            return;
        };
        let readable = readable(&rest, at).filter(has_unit);
        if let Some(view) = readable.filter(|view| !self.deletions.covers(view.topic(), at)) {
            let place = (view.topic().to_owned(), view.queue_id());
            let places = scanned.places.entry(place).or_default();
            *places = (*places).max(view.queue_offset() + 1);
        }
    }

    /// Reads a stretch into memory, in parts: one page after the other, as the records are met, takes several times as
    /// long. A page that cannot be read is an error here; met later, it would end the process.
    fn fetch(&self, from: i64) -> disk::Result<()> {
        let Some(file) = self.log.file_at(from) else {
            return Ok(());
        };
        let end = (from - file.start + STRETCH).min(file.file.published() as i64);
        let Some(stretch) = file.file.slice((from - file.start) as u64..end as u64)? else {
            return Ok(());
        };
        let part_len = stretch
            .len()
            .div_ceil(self.helpers.parallel.width().max(1))
            .max(1 << 20);
        let parts = (0..stretch.len().div_ceil(part_len))
            .map(|part| stretch.part(part * part_len..((part + 1) * part_len).min(stretch.len())));
        let failed = Mutex::new(None);
        let failed_one = &failed;
        self.helpers.parallel.run(
            parts
                .map(|part| {
                    Box::new(move || {
                        if let Err(error) = part.fetch() {
                            *failed_one.lock() = Some(error);
                        }
                    }) as Box<dyn FnOnce() + Send>
                })
                .collect(),
        );
        match failed.into_inner() {
            Some(error) => Err(disk::Error::new(Operation::Read, file.file.path(), error)),
            None => Ok(()),
        }
    }

    /// A full tmpfs has no page for what was never written, and reading it would end the process. Where nothing but such a hole follows in
    /// the file, the file ends before it from here on. Gives `error` back.
    fn end_before_hole(&self, from: i64, error: disk::Error) -> Result<disk::Error, OpenError> {
        let Some(file) = self.log.file_at(from) else {
            return Err(error.into());
        };
        let start = (from - file.start) as u64;
        let Some(rest) = file.file.slice(start..file.file.published())? else {
            return Err(error.into());
        };
        let mut readable = 0;
        for step in [1 << 20, PAGE] {
            let reads =
                |at: usize| at < rest.len() && rest.part(at..rest.len().min(at + step)).fetch().is_ok();
            while reads(readable) {
                readable += step;
            }
        }
        drop(rest);
        // The border of a page, as the file's start is one.
        let end = (start + readable as u64) / PAGE as u64 * PAGE as u64;
        if end >= file.file.published() || !is_zero_from(&file, end)? {
            return Err(error.into());
        }
        file.file.unpublish(end)?;
        Ok(error)
    }

    /// Whether the log simply ends at a position.
    fn is_blank(&self, position: i64) -> Result<bool, OpenError> {
        let rest = self.log.slice_to_file_end(position)?;
        Ok(rest.is_none_or(|rest| rest[..rest.len().min(8)].iter().all(|&byte| byte == 0)))
    }

    /// Those of the records that are not as they were written, and why, in order.
    fn bad_ones(&self, places: &[Place]) -> Result<Vec<(usize, RecordError)>, OpenError> {
        let part_len = places
            .len()
            .div_ceil(self.helpers.parallel.width().max(1))
            .max(PART_MIN);
        let bad = Mutex::new(Vec::new());
        let failed = Mutex::new(None);
        let check = |start: usize, part: &[Place]| {
            for (index, place) in part.iter().enumerate() {
                match self.check(*place) {
                    Ok(None) => {}
                    Ok(Some(reason)) => bad.lock().push((start + index, reason)),
                    Err(error) => {
                        *failed.lock() = Some(error);
                        return;
                    }
                }
            }
        };
        let check = &check;
        let parts = places.chunks(part_len).enumerate();
        self.helpers.parallel.run(
            parts
                .map(|(number, part)| {
                    Box::new(move || check(number * part_len, part)) as Box<dyn FnOnce() + Send>
                })
                .collect(),
        );
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        let mut bad = bad.into_inner();
        bad.sort_by_key(|(index, _)| *index);
        Ok(bad)
    }

    fn check(&self, (position, len): Place) -> Result<Option<RecordError>, OpenError> {
        let check = match (
            self.settings.verify_property_crc,
            self.settings.check_crc_on_recover,
        ) {
            (true, true) => Check::BodyAndProperty,
            (false, true) => Check::Body,
            (_, false) => Check::Lengths,
        };
        let Some(record) = self.log.slice(position, len)? else {
            return Ok(Some(RecordError::Truncated {
                needed: len as usize,
                left: 0,
            }));
        };
        Ok(match decode(&record, check) {
            // Unlike Java, which has nothing to tell by that a record's end was not written.
            Ok(Entry::Record(view)) => {
                let unwritten = view.unwritten_sector((position % self.log.file_size) as u64);
                // A copy may end within a record, at any byte; the master has it.
                let is_cut = self.settings.replica
                    && unwritten.is_none()
                    && view.ends_with_zero()
                    && self.is_blank(position + len)?;
                unwritten
                    .or(is_cut.then_some(view.total_len() - 1))
                    .map(|at| RecordError::Torn { at })
            }
            Ok(Entry::Blank { left }) => Some(RecordError::Length {
                what: "record",
                len: left.into(),
            }),
            Err(bad) => Some(bad),
        })
    }

    /// Gives the records their units.
    fn build(&self, places: &[Place]) -> Result<BuiltUnits, OpenError> {
        let shards = (places.len() / PART_MIN)
            .min(self.helpers.parallel.width())
            .max(1) as u64;
        let (all, failed) = (Mutex::new(BuiltUnits::default()), Mutex::new(None));
        let build = |shard: u64| {
            let mut built = BuiltUnits::default();
            for place in places {
                let mine = |topic: &str, id| shards == 1 || shard_of(topic, id) % shards == shard;
                if let Err(error) = self.build_one(*place, mine, &mut built) {
                    return *failed.lock() = Some(error);
                }
            }
            let mut all = all.lock();
            all.wait_from = all.wait_from.into_iter().chain(built.wait_from).min();
            all.units += built.units;
            all.taken += built.taken;
            all.first_taken.extend(built.first_taken);
        };
        let build = &build;
        self.helpers.parallel.run(
            (0..shards)
                .map(|shard| Box::new(move || build(shard)) as Box<dyn FnOnce() + Send>)
                .collect(),
        );
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(all.into_inner()),
        }
    }

    /// Gives a record its units in the queues that are `mine`.
    fn build_one(
        &self,
        (position, len): Place,
        mine: impl Fn(&str, i32) -> bool,
        built: &mut BuiltUnits,
    ) -> Result<(), OpenError> {
        let Some(record) = self.log.slice(position, len)? else {
            return Ok(());
        };
        let Ok(Entry::Record(view)) = decode(&record, Check::Lengths) else {
            return Ok(());
        };
        if !has_unit(&view) {
            return Ok(());
        }
        let (topic, id) = (view.topic(), view.queue_id());
        if mine(topic, id) && !self.deletions.covers(topic, position) {
            let queue = self.queues.get_or_new(topic, id);
            let (unit, index) = (unit_of(&view, self.settings), view.queue_offset());
            // Without a bitmap: filters are not known yet, and look at the record.
            let extra = Extra {
                store_timestamp: view.store_timestamp(),
                bitmap: &[],
            };
            if !queue.waits_for_space.load(Ordering::Relaxed) {
                let put = queue.put(self.disk, self.queue_files, index, unit, Some(extra));
                built.add(&queue, index, unit, put)?;
            }
        }
        if self.settings.multi_dispatch {
            self.build_named(&view, mine, built)?;
        }
        Ok(())
    }

    fn build_named(
        &self,
        view: &View<'_>,
        mine: impl Fn(&str, i32) -> bool,
        built: &mut BuiltUnits,
    ) -> Result<(), OpenError> {
        for (name, index) in multi::places_of(view) {
            let id = multi::queue_id(name, view.queue_id(), self.settings.lmq);
            if mine(name, id) && !self.deletions.covers(name, view.physical_offset()) {
                let unit = unit_of(view, self.settings);
                let queue = self.queues.get_or_new(name, id);
                let multi_dispatched = multi::is_multi_dispatched(view.topic());
                if !queue.waits_for_space.load(Ordering::Relaxed) {
                    let put = queue.put_named(self.disk, self.queue_files, index, unit, multi_dispatched);
                    built.add(&queue, index, unit, put)?;
                }
            }
        }
        Ok(())
    }
}

/// What became of the units of a stretch.
#[derive(Default)]
struct BuiltUnits {
    /// The first record whose unit found no space.
    wait_from: Option<i64>,
    /// Units that were not there.
    units: u64,
    /// Records that took the place of an earlier one.
    taken: u64,
    /// The first of them: where they lie, and what is to be said.
    first_taken: Vec<(i64, String)>,
}

impl BuiltUnits {
    fn add<F: MappedFile>(
        &mut self,
        queue: &Queue<F>,
        index: i64,
        unit: Unit,
        put: disk::Result<Put>,
    ) -> disk::Result<()> {
        let put = match put {
            // What has units can be read meanwhile. The rest of this queue waits: one unit comes after the other.
            Err(error) if error.is_full() => {
                queue.waits_for_space.store(true, Ordering::Relaxed);
                self.wait_from = self.wait_from.or(Some(unit.physical));
                return Ok(());
            }
            put => put?,
        };
        self.units += u64::from(put != Put::Repeat);
        if let Put::TookPlaceOf(earlier) = put {
            self.taken += 1;
            if self.first_taken.len() < TOLD_MAX {
                self.first_taken
                    .push((unit.physical, taken_place(queue, index, unit, earlier)));
            }
        }
        Ok(())
    }
}

/// Spreads queues over shards (FNV-1a).
fn shard_of(topic: &str, id: i32) -> u64 {
    let bytes = topic.bytes().chain(id.to_be_bytes());
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    hash >> 32
}
