//! Opening the consumequeues: which of their units are good.

use super::behind::DroppedUnits;
use super::missing::{self, Gap, MissingUnits};
use super::{OpenError, RecoveryReport, Row};
use crate::damaged_units::files_before;
use crate::deletions::Deletions;
use crate::ext::{self, Ext, ExtUnit};
use crate::log::{Log, file_name, is_copy, parse_file_name};
use crate::progress::{Helpers, Phase, Progress};
use crate::queue::{LEFTOVER_MIN, Leftover, Queue, QueueFile, QueueFiles, Queues, UNIT, Unit, found_size};
use crate::queue_checkpoint::{QueueCheckpoint, QueueState};
use crate::reput::unit_of;
use crate::settings::StoreSettings;
use disk::{DirEntry, Disk, MappedFile};
use message::record::{Check, Entry, decode};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a file that are looked at at once: a block.
const FRONT: u64 = 4096;

/// Whether an entry of the consumequeue directory is a topic's.
pub(crate) fn is_topic(entry: &DirEntry) -> bool {
    entry.is_dir && message::name::check_any_topic(&entry.name).is_ok()
}

/// The queue whose directory an entry of a topic's is.
pub(crate) fn queue_id(entry: &DirEntry) -> Option<i32> {
    let id = entry.name.parse::<i32>().ok();
    id.filter(|id| entry.is_dir && *id >= 0 && id.to_string() == entry.name)
}

/// Opens all queues up to `limit` in the log.
pub(super) struct Loader<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) settings: &'a StoreSettings,
    pub(super) queue_files: &'a QueueFiles,
    /// `mappedFileSizeConsumeQueue`
    pub(super) file_size: i64,
    pub(super) queues: &'a Queues<D::File>,
    pub(super) log: &'a Log<D>,
    pub(super) limit: i64,
    /// Units below it were made durable with the log that they point into.
    pub(super) vouched: Option<i64>,
    pub(super) clean: bool,
    /// Topics that have extensions.
    pub(super) with_ext: BTreeSet<String>,
    /// First damaged units that readers have met, by topic and queue id.
    pub(super) damaged: &'a BTreeMap<(String, i32), i64>,
    /// What the queues were when the checkpoint vouched for them.
    pub(super) known: Option<&'a QueueCheckpoint>,
    pub(super) deletions: &'a Deletions,
}

/// What one of the tasks found.
pub(super) struct Found<F> {
    /// End of the highest record that has a unit.
    pub(super) highest: i64,
    /// Whether there is any unit at all.
    pub(super) with_units: bool,
    pub(super) report: RecoveryReport,
    /// Queues in whose files something stands behind the last good unit.
    pub(super) unclear: Vec<Arc<Queue<F>>>,
    /// Queues that had more.
    pub(super) missing: Vec<MissingUnits>,
    /// Files behind a gap, to be removed.
    pub(super) behind_gaps: Vec<PathBuf>,
    /// Units that are not believed, those that may be what the log will be found to say left out.
    pub(super) dropped: DroppedUnits,
}

impl<F: MappedFile> Found<F> {
    fn of<D: Disk<File = F>>(log: &Log<D>) -> Self {
        Found {
            highest: 0,
            with_units: false,
            report: RecoveryReport::default(),
            unclear: Vec::new(),
            missing: Vec::new(),
            behind_gaps: Vec::new(),
            dropped: DroppedUnits::of(log.written()),
        }
    }
}

impl<D: Disk> Loader<'_, D> {
    /// Opens the queues of all topics, several at once if the helpers can.
    pub(super) fn load(&self, helpers: &Helpers<'_>) -> Result<Found<D::File>, OpenError> {
        let topics = self.disk.list(&self.queue_files.dir)?;
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results = Mutex::new(Vec::new());
        let work = || {
            let mut found = Found::of(self.log);
            let mut result = Ok(());
            while let (true, Some(topic)) = (result.is_ok(), topics.get(next.fetch_add(1, Ordering::Relaxed)))
            {
                result = self.load_topic(topic, &mut found);
                (helpers.progress)(Progress {
                    phase: Phase::Queues,
                    done: done.fetch_add(1, Ordering::Relaxed) as u64 + 1,
                    total: topics.len() as u64,
                });
            }
            results.lock().push(result.map(|()| found));
        };
        let width = helpers.parallel.width().clamp(1, topics.len().max(1));
        helpers.parallel.run(
            (0..width)
                .map(|_| Box::new(work) as Box<dyn FnOnce() + Send>)
                .collect(),
        );
        let mut all = Found::of(self.log);
        for found in results.into_inner() {
            let found = found?;
            all.highest = all.highest.max(found.highest);
            all.with_units |= found.with_units;
            all.report.add(found.report);
            all.unclear.extend(found.unclear);
            all.missing.extend(found.missing);
            all.behind_gaps.extend(found.behind_gaps);
            all.dropped.extend(found.dropped);
        }
        Ok(all)
    }

    fn load_topic(&self, topic: &DirEntry, found: &mut Found<D::File>) -> Result<(), OpenError> {
        let topic_dir = self.queue_files.dir.join(&topic.name);
        if !is_topic(topic) {
            found.report.ignored.push(topic_dir);
            return Ok(());
        }
        for entry in self.disk.list(&topic_dir)? {
            let Some(id) = queue_id(&entry) else {
                found.report.ignored.push(topic_dir.join(&entry.name));
                continue;
            };
            let known = missing::state_of(self.known, self.deletions, &topic.name, id);
            let loaded = self.load_queue(&topic.name, id, known, found)?;
            found
                .missing
                .extend(self.missing_units(&topic.name, id, known, &loaded));
            found.behind_gaps.extend(loaded.behind_gap);
            found.highest = found.highest.max(loaded.max_physical);
            found.report.queues += 1;
            found.with_units |= loaded.end > 0;
            if loaded.file_size != self.file_size {
                *found.report.other_sizes.entry(loaded.file_size).or_default() += 1;
            }
            let queue = self.queues.insert_with(&topic.name, id, |name| {
                Queue::loaded(
                    name,
                    id,
                    loaded.file_size,
                    loaded.files,
                    loaded.end,
                    loaded.max_physical,
                )
            });
            if loaded.lost_files {
                queue.note_removed_files();
            }
            if let Some(leftover) = loaded.leftover {
                queue.set_leftover(leftover);
                found.unclear.push(queue.clone());
            }
            if !loaded.first_is_alive {
                queue.correct_min(self.log.min())?;
            }
            if self.with_ext.contains(&topic.name) || self.has_addresses(&queue)? {
                self.load_ext(&queue, &mut found.report)?;
            }
        }
        Ok(())
    }

    /// Files of a directory with where they start and how long they are; what is no such file is left alone.
    fn files_of(
        &self,
        dir: &Path,
        report: &mut RecoveryReport,
    ) -> disk::Result<Vec<(i64, PathBuf, DirEntry)>> {
        let mut files = Vec::new();
        for entry in self.disk.list(dir)? {
            let path = dir.join(&entry.name);
            match parse_file_name(&entry.name) {
                Some(start) if !entry.is_dir => files.push((start, path, entry)),
                _ if !entry.is_dir && is_copy(&entry.name) => {
                    self.disk.remove_file(&path)?;
                    report.removed.push(path);
                }
                _ => report.ignored.push(path),
            }
        }
        Ok(files)
    }

    /// Opens the files among `found` that are to be opened; returns the allocated bytes of the last one, too.
    #[allow(clippy::type_complexity)] // Files with something about the last of them.
    fn open_files(
        &self,
        found: Vec<(i64, PathBuf, DirEntry)>,
        size: i64,
        report: &mut RecoveryReport,
    ) -> Result<(Vec<Arc<QueueFile<D::File>>>, u64), OpenError> {
        let mut files = Vec::with_capacity(found.len());
        let mut allocated = u64::MAX;
        let count = found.len();
        let row = Row::of_queue(size, self.clean);
        for (index, (start, path, entry)) in found.into_iter().enumerate() {
            let fit = row.judge((start, &path, &entry), row.is_last(index, count))?;
            if fit.settle(self.disk, report, &path, size)? {
                let file = self.disk.open(&path, size as u64, QueueFiles::options())?;
                files.push(Arc::new(QueueFile { start, file }));
                allocated = entry.allocated;
            }
        }
        Ok((files, allocated))
    }

    fn load_queue(
        &self,
        topic: &str,
        id: i32,
        known: Option<&QueueState>,
        all: &mut Found<D::File>,
    ) -> Result<LoadedQueue<D::File>, OpenError> {
        let (report, dropped) = (&mut all.report, &mut all.dropped);
        let dir = self.queue_files.queue_dir(topic, id);
        let mut found = self.files_of(&dir, report)?;
        let sizes: Vec<_> = found
            .iter()
            .map(|(start, _, entry)| (*start, entry.len))
            .collect();
        let file_size = found_size(self.file_size, UNIT, &sizes);
        let mut lost_files = self.remove_deleted(topic, file_size, &mut found, report)?;
        let known = (self.known.is_some(), known);
        let gap = missing::gap(self.disk, self.log, &dir, &found, file_size, known)?;
        let gap = gap
            .into_iter()
            .chain(self.damaged_file(topic, id, &dir, (&found, file_size)));
        let gap = gap.min_by_key(|gap| gap.before);
        let is_damaged = gap.as_ref().is_some_and(|gap| {
            found
                .get(gap.before)
                .is_some_and(|(_, path, _)| *path == gap.path)
        });
        let behind_gap = gap
            .as_ref()
            .map_or_else(Vec::new, |gap| found.split_off(gap.before));
        lost_files |= !behind_gap.is_empty();
        let mut loaded = LoadedQueue {
            file_size,
            files: Vec::new(),
            end: 0,
            max_physical: 0,
            first_is_alive: true,
            leftover: None,
            lost_files,
            missing: gap.map(|gap| gap.path),
            is_damaged,
            behind_gap: behind_gap.into_iter().map(|(_, path, _)| path).collect(),
        };
        let (mut files, mut allocated) = self.open_files(found, file_size, report)?;
        // From the last file backwards: the first one with a unit that holds.
        while let Some(last) = files.last() {
            let front = Front::of(last)?;
            let counted = front.count_units(self.limit)?;
            let good = self.verified(&front, topic, id, counted)?;
            let lost = front.units_from(counted, self.log.written());
            report.units_cut += (counted - good.units + lost) as u64;
            // Where the log is read anyway, the only file of a queue is kept: its units will most likely be the same.
            let is_kept = good.units > 0 || (!self.clean && files.len() == 1 && last.start == 0);
            if self.clean || !is_kept {
                self.drop_units((topic, id), &front, good.units..counted, dropped)?;
            }
            if is_kept {
                let first = if files.len() == 1 {
                    front.unit(0)?
                } else {
                    Front::of(&files[0])?.unit(0)?
                };
                loaded.end = last.start / UNIT + good.units;
                loaded.max_physical = good.max_physical;
                loaded.first_is_alive = good.units == 0
                    || first.is_valid() && !first.is_pre_blank() && first.physical >= self.log.min();
                loaded.leftover = self.cut_file(&front, good.units, allocated)?;
                break;
            }
            last.file.forget();
            self.disk.remove_file(last.file.path())?;
            files.pop();
            loaded.lost_files = true;
            // Of the files before, what they have is not known: look closer.
            allocated = u64::MAX;
        }
        loaded.files = files;
        Ok(loaded)
    }

    /// Ends a file behind its good units. What stands behind them is cleared after a clean stop, and otherwise compared with the
    /// log first.
    fn cut_file(
        &self,
        front: &Front<'_, D::File>,
        good: i64,
        allocated: u64,
    ) -> Result<Option<Leftover>, OpenError> {
        let (file, cut) = (&front.file.file, (good * UNIT) as u64);
        file.unpublish(cut)?;
        let beyond = allocated > cut.next_multiple_of(4096) && !self.clean;
        if cut >= file.len() || !beyond && front.is_zero_from(cut)? {
            return Ok(None);
        }
        if self.clean {
            file.zero_from(cut)?;
            return Ok(None);
        }
        Ok(Some(front.leftover(good, allocated)))
    }

    /// Notes units that are not believed: the `doubtful` ones, and what follows them.
    fn drop_units(
        &self,
        place: (&str, i32),
        front: &Front<'_, D::File>,
        doubtful: Range<i64>,
        dropped: &mut DroppedUnits,
    ) -> Result<(), OpenError> {
        let (file, next) = (front.file, doubtful.end);
        for index in doubtful {
            dropped.add(place.0, place.1, file.start / UNIT + index, front.unit(index)?);
        }
        // Nearly always nothing follows, and the front says so.
        if next * UNIT < file.file.len() as i64 && front.unit(next)?.is_valid() {
            dropped.add_file(place, file, next, self.limit)?;
        }
        Ok(())
    }

    /// The first file of a queue that is to be built again although it is there: a reader has met a damaged unit in it, or it was cut short
    /// and others follow it.
    fn damaged_file(
        &self,
        topic: &str,
        id: i32,
        dir: &Path,
        (found, size): (&[(i64, PathBuf, DirEntry)], i64),
    ) -> Option<Gap> {
        let noted = self.damaged.get(&(topic.to_owned(), id)).map(|first| {
            let starts = found.iter().map(|(start, ..)| *start);
            files_before(starts, size, *first)
        });
        let short = found.split_last().and_then(|(_, others)| {
            let mut others = others.iter().enumerate();
            let short = others.find(|(_, (.., entry))| !self.clean && entry.len < size as u64);
            short.map(|(before, (start, ..))| (before, *start))
        });
        let (before, start) = noted.into_iter().chain(short).min()?;
        // One that is gone meanwhile is a gap, or has expired.
        found
            .get(before)
            .is_some_and(|(first, ..)| *first == start)
            .then(|| Gap {
                before,
                path: dir.join(file_name(start)),
            })
    }

    /// Removes files that a deleted topic left: a power cut may have undone that they were moved away. Returns whether there
    /// were any.
    fn remove_deleted(
        &self,
        topic: &str,
        file_size: i64,
        found: &mut Vec<(i64, PathBuf, DirEntry)>,
        report: &mut RecoveryReport,
    ) -> Result<bool, OpenError> {
        let deleted = self.deletions.position(topic);
        if deleted == 0 {
            return Ok(false);
        }
        let before = found.len();
        for (start, path, entry) in std::mem::take(found) {
            let is_dead = entry.len == file_size as u64 && {
                let file = self.disk.open(&path, file_size as u64, QueueFiles::options())?;
                let front = Front::of(&QueueFile { start, file })?.first_message();
                front.is_some_and(|unit| unit.physical < deleted)
            };
            if is_dead {
                self.disk.remove_file(&path)?;
                report.removed.push(path);
            } else {
                found.push((start, path, entry));
            }
        }
        Ok(found.len() < before)
    }

    /// What a queue lacks of what was vouched for.
    fn missing_units(
        &self,
        topic: &str,
        id: i32,
        known: Option<&QueueState>,
        loaded: &LoadedQueue<D::File>,
    ) -> Option<MissingUnits> {
        // Where less of the log counts than the file was made for, the rest is built again in any case.
        let comparable = self.known.is_some_and(|known| known.vouched.0 <= self.limit);
        let lacks = comparable && known.is_some_and(|known| known.end > loaded.end);
        if loaded.missing.is_none() && !lacks {
            return None;
        }
        Some(MissingUnits {
            topic: topic.to_owned(),
            queue_id: id,
            vouched_end: known.map(|known| known.end),
            found_end: loaded.end,
            path: loaded.missing.clone(),
            is_damaged: loaded.is_damaged,
            from: loaded.max_physical.max(self.log.min()),
            lost: 0,
        })
    }

    fn load_ext(&self, queue: &Queue<D::File>, report: &mut RecoveryReport) -> Result<(), OpenError> {
        let found = self.files_of(&self.queue_files.ext_queue_dir(&queue.topic, queue.id), report)?;
        let last = queue.last_address()?;
        if found.is_empty() && last.is_none() {
            return Ok(());
        }
        let sizes: Vec<_> = found
            .iter()
            .map(|(start, _, entry)| (*start, entry.len))
            .collect();
        let file_size = found_size(self.queue_files.ext_file_size, 1, &sizes);
        let (files, _) = self.open_files(found, file_size, report)?;
        let (ext, removed) = Ext::loaded(self.disk, file_size, files, last)?;
        report.removed.extend(removed);
        if let Some(last) = last {
            self.restore_ext(queue, &ext, last, report)?;
        }
        queue.set_ext(ext);
        Ok(())
    }

    /// Whether units have extensions though the topic has no directory of them: new ones must not get the same addresses.
    fn has_addresses(&self, queue: &Queue<D::File>) -> Result<bool, OpenError> {
        if !self.queue_files.ext {
            return Ok(false);
        }
        let (first, last) = (queue.unit(queue.min())?, queue.unit(queue.end() - 1)?);
        let mut units = first.into_iter().chain(last);
        Ok(units.any(|unit| ext::is_address(unit.tags_code)))
    }

    /// Writes the units of missing files again as their records say. What filters of consumers a unit was marked for is lost:
    /// they look at the message itself then.
    fn restore_ext(
        &self,
        queue: &Queue<D::File>,
        ext: &Ext<D::File>,
        last: i64,
        report: &mut RecoveryReport,
    ) -> Result<(), OpenError> {
        let first = queue.unit(queue.min())?.map(|unit| unit.tags_code);
        // Without an address at the front it is not known where they begin; what is before the first file may have expired.
        let first = first.filter(|first| ext::is_address(*first));
        let Some(first) = first.or_else(|| ext.first_address()) else {
            return Ok(());
        };
        let missing = ext.missing_files(first, last);
        if missing.is_empty() {
            return Ok(());
        }
        let dir = self.queue_files.ext_queue_dir(&queue.topic, queue.id);
        let (mut units, mut last_of_files) = (0, BTreeMap::new());
        for index in queue.min()..queue.end() {
            let Some(unit) = queue.unit(index)?.filter(|unit| ext::is_address(unit.tags_code)) else {
                continue;
            };
            let position = ext::position_of(unit.tags_code);
            let start = position - position % ext.file_size();
            if missing.binary_search(&start).is_err() {
                continue;
            }
            let Ok(record) = self.log.record_at(unit.physical) else {
                continue;
            };
            if let Ok(Entry::Record(view)) = decode(&record, Check::Lengths) {
                let content = ExtUnit {
                    tags_code: unit_of(&view, self.settings).tags_code,
                    store_timestamp: view.store_timestamp(),
                    bitmap: Vec::new(),
                };
                match ext.restore(self.disk, &dir, unit.tags_code, &content) {
                    // Filters then look at the record, as for every unit whose extension is lost.
                    Err(error) if error.is_full() => break,
                    written => written?,
                }
                last_of_files.insert(start, unit.tags_code);
                units += 1;
            }
        }
        ext.end_restored(last_of_files.into_values(), last)?;
        // So that it is made durable with the queue.
        queue.note_removed_files();
        let place = (queue.topic.to_string(), queue.id);
        report.ext_restored.insert(place, (missing.len() as u64, units));
        Ok(())
    }

    /// Goes back from unit `counted` of a file to one whose record is in the log and says that it is this one.
    ///
    /// Unlike Java, which believes a unit: bytes behind a cut that Java left may look like units of this queue but
    /// point at what came to lie there later.
    fn verified(
        &self,
        front: &Front<'_, D::File>,
        topic: &str,
        id: i32,
        counted: i64,
    ) -> Result<Good, OpenError> {
        let mut units = counted;
        while units > 0 {
            let unit = front.unit(units - 1)?;
            let index = front.file.start / UNIT + units - 1;
            if unit.is_pre_blank() {
                return Ok(Good {
                    units,
                    max_physical: 0,
                });
            }
            if unit.physical < self.log.min() || self.holds(unit, topic, id, index) {
                return Ok(Good {
                    units,
                    max_physical: unit.end(),
                });
            }
            units -= 1;
        }
        Ok(Good {
            units: 0,
            max_physical: 0,
        })
    }

    /// Whether a unit points at its record. One that is vouched for is believed where the log has no record any more: its place
    /// was taken, and consumers know that.
    fn holds(&self, unit: Unit, topic: &str, id: i32, index: i64) -> bool {
        let Ok(record) = self.log.record_at(unit.physical) else {
            return self.vouched.is_some_and(|vouched| unit.end() <= vouched);
        };
        match decode(&record, Check::Lengths) {
            Ok(Entry::Record(view)) => {
                record.len() as i64 == i64::from(unit.size) && Queue::<D::File>::owns(topic, id, index, &view)
            }
            _ => false,
        }
    }
}

struct Good {
    units: i64,
    max_physical: i64,
}

/// A queue as it was found.
struct LoadedQueue<F> {
    file_size: i64,
    files: Vec<Arc<QueueFile<F>>>,
    end: i64,
    max_physical: i64,
    /// The first unit points into the log.
    first_is_alive: bool,
    leftover: Option<Leftover>,
    /// Files were removed.
    lost_files: bool,
    /// The first file that is missing.
    missing: Option<PathBuf>,
    /// It is there, and damaged.
    is_damaged: bool,
    /// Files that stand behind it.
    behind_gap: Vec<PathBuf>,
}

/// A queue file with its first units: most queues are small, and each look at a file that is not mapped opens it.
struct Front<'a, F> {
    file: &'a QueueFile<F>,
    units: Vec<u8>,
}

impl<'a, F: MappedFile> Front<'a, F> {
    fn of(file: &'a QueueFile<F>) -> disk::Result<Self> {
        let mut units = vec![0; FRONT.min(file.file.len()) as usize];
        file.file.read(0, &mut units)?;
        Ok(Front { file, units })
    }

    /// The first unit in front that is a message's.
    fn first_message(&self) -> Option<Unit> {
        let units = self.units.chunks_exact(UNIT as usize).map(Unit::decode);
        let mut units = units.skip_while(|unit| unit.is_pre_blank());
        units.next().filter(|unit| unit.is_valid())
    }

    fn unit(&self, index: i64) -> disk::Result<Unit> {
        let at = (index * UNIT) as usize;
        if let Some(bytes) = self.units.get(at..at + UNIT as usize) {
            return Ok(Unit::decode(bytes));
        }
        let mut bytes = [0; UNIT as usize];
        self.file.file.read(at as u64, &mut bytes)?;
        Ok(Unit::decode(&bytes))
    }

    /// What stands behind the first `good` units, in a file that has so many bytes of blocks.
    fn leftover(&self, good: i64, allocated: u64) -> Leftover {
        let from = ((good * UNIT) as usize).min(self.units.len());
        let rest = &self.units[from..];
        let dirty = rest
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        // With one block, and something in the first, nothing can be elsewhere.
        let all_seen = allocated <= FRONT && self.units.iter().any(|&byte| byte != 0);
        Leftover {
            first: self.file.start / UNIT + good,
            units_from: self.file.start / UNIT + good,
            units: rest[..dirty
                .next_multiple_of(UNIT as usize)
                .min(LEFTOVER_MIN)
                .min(rest.len())]
                .to_vec(),
            dirty_until: match all_seen {
                true => (from + dirty) as u64,
                false => u64::MAX,
            },
        }
    }

    /// How many units follow unit `index` that point behind the log, as far as they were read already.
    fn units_from(&self, index: i64, log_end: i64) -> i64 {
        let rest = self.units.get((index * UNIT) as usize..).unwrap_or_default();
        let units = rest.chunks_exact(UNIT as usize).map(Unit::decode);
        units
            .take_while(|unit| unit.is_valid() && !unit.is_pre_blank() && unit.physical >= log_end)
            .count() as i64
    }

    /// Whether no unit follows at `at`, and no byte in what was read already.
    fn is_zero_from(&self, at: u64) -> disk::Result<bool> {
        let nothing = Unit {
            physical: 0,
            size: 0,
            tags_code: 0,
        };
        let read = self.units.get(at as usize..).unwrap_or_default();
        Ok(read.iter().all(|&byte| byte == 0) && self.unit(at as i64 / UNIT)? == nothing)
    }

    /// How many units from the start of the file on are valid and lie below `limit` in the log.
    fn count_units(&self, limit: i64) -> disk::Result<i64> {
        let good = |unit: Unit| unit.is_valid() && unit.physical < limit;
        let bytes = self.units.chunks_exact(UNIT as usize);
        let in_front = bytes.take_while(|bytes| good(Unit::decode(bytes))).count();
        if in_front < self.units.len() / UNIT as usize || self.units.len() as u64 == self.file.file.len() {
            return Ok(in_front as i64);
        }
        // Below the limit the file is whole, so that a binary search finds its end; what it takes for units behind is
        // looked at more closely by `verified`.
        let Some(all) = self.file.file.slice(0..self.file.file.len())? else {
            return Ok(0);
        };
        let (mut low, mut high) = (in_front, all.len() / UNIT as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            if good(Unit::decode(&all[middle * UNIT as usize..])) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low as i64)
    }
}
