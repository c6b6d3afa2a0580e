//! Reading a queue: what a pull asks the store.

use crate::ext;
use crate::offset::{PhysicalOffset, QueueOffset};
use crate::queue::{Queue, UNIT, Unit};
use crate::read_ahead::Heat;
use crate::reput::unit_of;
use crate::store::Store;
use disk::{Disk, MappedSlice};
use filter::{Filter, Verdict};
use message::record::{Check, Entry, RecordError, View, decode};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// A scan looks at this many bytes of units at least.
const SCAN_MIN_BYTES: i64 = 16_000;

/// Bytes of the log that are looked at before a read.
pub(crate) const LOOK_BYTES: i64 = 1 << 20;

/// How a read went (RocketMQ 4.9.8, GetMessageStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// There are messages.
    Found,
    /// Nothing passed the filter within the scan limit; go on at `next_begin_offset`.
    NoMatchedMessage,
    /// The log no longer has the bytes; go on at `next_begin_offset`.
    MessageWasRemoving,
    /// The queue has no data there, though the offset is within its bounds.
    OffsetFoundNull,
    /// The offset is beyond the end by more than one.
    OffsetOverflowBadly,
    /// The offset is the end: nothing new yet.
    OffsetOverflowOne,
    /// The offset is before the queue's first message.
    OffsetTooSmall,
    /// There is no such queue.
    NoMatchedLogicQueue,
    /// The queue never had a message.
    NoMessageInQueue,
}

/// The numbers of a read. The messages themselves are in the caller's `Vec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadResult {
    /// How it went.
    pub status: ReadStatus,
    /// Where to go on.
    pub next_begin_offset: QueueOffset,
    /// First message of the queue.
    pub min_offset: QueueOffset,
    /// One behind the last message of the queue.
    pub max_offset: QueueOffset,
    /// Messages read.
    pub count: u32,
    /// Their bytes.
    pub bytes: u64,
    /// The first message that was passed over because its record, or its unit, is damaged: its offset, and where its unit says that the
    /// record lies.
    pub damaged: Option<(QueueOffset, PhysicalOffset)>,
    /// It is the unit that is damaged: the next start builds the queue again.
    pub is_unit_damaged: bool,
    /// Bytes of the log behind the start of the last message that was looked at; 0 where none was.
    pub bytes_behind: i64,
    /// The last message read lies further behind the log's end than memory reaches: the consumer may be told to
    /// read from a slave.
    pub far_behind: bool,
}

/// Which offset belongs to a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The first message at or after the time.
    Lower,
    /// The last message at or before the time.
    Upper,
    /// The message nearest to the time, the older of two as near (RocketMQ 4.9.8, ConsumeQueue); the end of the queue for a
    /// time after the last one.
    ///
    /// Unlike 4.9.8, which gives the last message then: a group that is set to now would consume it again. 5.3.3 gives the end.
    Nearest,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Most messages.
    pub max_messages: i32,
    /// Most bytes (5.x `maxMsgBytes`); `i64::MAX` for no limit of the caller's own. The first message is always
    /// given.
    pub max_bytes: i64,
}

/// The published rest of the log file that a read is in. The records in it are found without a look at the list of files each.
struct Stretch {
    /// Position in the log of its first byte.
    start: i64,
    bytes: MappedSlice,
}

impl Stretch {
    /// Where a record lies in it; `None` if it is not all there.
    fn range(&self, unit: Unit) -> Option<Range<usize>> {
        let from = usize::try_from(unit.physical.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(usize::try_from(unit.size).ok()?)?;
        (to <= self.bytes.len()).then_some(from..to)
    }
}

/// Whether a unit can point at a record at all.
fn may_have_record(unit: Unit) -> bool {
    unit.is_valid() && unit.size >= message::record::OVERHEAD_V1 as i32
}

/// Whether a unit's record begins with its length and its position. The queue may be damaged; consumers must not get arbitrary bytes.
fn is_record_of(unit: Unit, bytes: &[u8]) -> bool {
    bytes[..4] == unit.size.to_be_bytes() && bytes[28..36] == unit.physical.to_be_bytes()
}

/// Whether a record's parts add up to its length: else no client can read it, nor what comes with it.
fn parts_fit(record: &[u8]) -> bool {
    matches!(decode(record, Check::Lengths), Ok(Entry::Record(_)))
}

/// What a filter says of a record; one whose parts do not add up is left to the consumer.
fn is_wanted(filter: &dyn Filter, record: &[u8]) -> bool {
    match decode(record, Check::Lengths) {
        Ok(Entry::Record(view)) => filter.by_record(&view),
        _ => true,
    }
}

/// The records in what [`Store::read`] gave, one after the other. One whose parts do not add up any more is an error, and the
/// next one follows: a read gives only bytes that begin with their own length and position.
pub fn records(slices: &[MappedSlice]) -> impl Iterator<Item = Result<View<'_>, RecordError>> {
    slices.iter().flat_map(|slice| {
        let mut rest: &[u8] = slice;
        std::iter::from_fn(move || {
            let len = i32::from_be_bytes(*rest.first_chunk()?);
            let (record, behind) = rest.split_at(usize::try_from(len).ok()?.clamp(1, rest.len()));
            rest = behind;
            Some(match decode(record, Check::Lengths) {
                Ok(Entry::Record(view)) => Ok(view),
                Ok(Entry::Blank { left }) => Err(RecordError::Length {
                    what: "record",
                    len: left.into(),
                }),
                Err(error) => Err(error),
            })
        })
    })
}

impl<D: Disk> Store<D> {
    /// Reads messages of a queue from `offset` on into `out`, in place of what it holds: adjacent records come as one slice.
    ///
    /// Takes no lock that an append or reput holds while it works. The scan ends at the end of a queue file, after
    /// max(16,000, 20 * max_messages) bytes of units, at the caller's limits, or at the transfer limits for records in
    /// memory or on disk, whichever is first; the first message is always given.
    pub fn read(
        &self,
        topic: &str,
        queue_id: i32,
        offset: QueueOffset,
        limits: ReadLimits,
        filter: &dyn Filter,
        out: &mut Vec<MappedSlice>,
    ) -> disk::Result<ReadResult> {
        out.clear();
        loop {
            let cuts = self.cuts.load(Ordering::Acquire);
            let result = self.read_once(topic, queue_id, offset, limits, filter, out);
            // Where the log was cut back meanwhile, another queue's record may have come to lie where a unit said that one of this
            // queue was. Its bytes are seen only with the count that was raised before them.
            if self.cuts.load(Ordering::Acquire) == cuts {
                return result;
            }
            out.clear();
        }
    }

    fn read_once(
        &self,
        topic: &str,
        queue_id: i32,
        offset: QueueOffset,
        limits: ReadLimits,
        filter: &dyn Filter,
        out: &mut Vec<MappedSlice>,
    ) -> disk::Result<ReadResult> {
        let mut result = ReadResult {
            status: ReadStatus::NoMatchedLogicQueue,
            next_begin_offset: self.corrected(offset, QueueOffset(0)),
            min_offset: QueueOffset(0),
            max_offset: QueueOffset(0),
            count: 0,
            bytes: 0,
            damaged: None,
            is_unit_damaged: false,
            bytes_behind: 0,
            far_behind: false,
        };
        let Some(queue) = self.queues.get(topic, queue_id) else {
            return Ok(result);
        };
        let (min, max) = (QueueOffset(queue.min()), QueueOffset(queue.end()));
        (result.min_offset, result.max_offset) = (min, max);
        let (status, next) = if max.0 == 0 {
            (ReadStatus::NoMessageInQueue, QueueOffset(0))
        } else if offset < min {
            (ReadStatus::OffsetTooSmall, min)
        } else if offset == max {
            (ReadStatus::OffsetOverflowOne, offset)
        } else if offset > max {
            (ReadStatus::OffsetOverflowBadly, max)
        } else {
            let scan = (i64::from(limits.max_messages) * UNIT).max(SCAN_MIN_BYTES);
            // The file may already hold a unit that is not yet below the queue's end: a reader that went beyond the end
            // would be told that its next offset is wrong.
            let scan = scan.min((max.0 - offset.0).saturating_mul(UNIT));
            match queue.units(offset.0, scan)? {
                Some(units) => {
                    self.read_units(&queue, &units, offset, limits, filter, out, &mut result)?;
                    // Zeros may have been read in place of what is there.
                    units.check()?;
                    out.iter().try_for_each(MappedSlice::check)?;
                    return Ok(result);
                }
                None => (
                    ReadStatus::OffsetFoundNull,
                    QueueOffset(queue.next_data(offset.0)),
                ),
            }
        };
        result.status = status;
        result.next_begin_offset = self.corrected(offset, next);
        Ok(result)
    }

    /// Whether a read from `offset` would wait for the device, as far as the kernel tells: then it is for a thread that
    /// may wait.
    pub fn is_cold(&self, topic: &str, queue_id: i32, offset: QueueOffset, max_messages: i32) -> bool {
        self.heat(topic, queue_id, offset, max_messages) == Heat::Cold
    }

    /// Whether [`Store::record_at`] would wait for the device, as far as the kernel tells; as [`Store::is_cold`].
    pub fn is_cold_at(&self, offset: PhysicalOffset) -> bool {
        if offset.0 >= self.surely_in_memory() || offset.0 < self.log.min() {
            return false;
        }
        let end = (offset.0 + LOOK_BYTES)
            .min(self.log.next_file(offset.0))
            .min(self.log.written());
        matches!(self.log.slice(offset.0, end - offset.0), Ok(Some(slice)) if !slice.is_resident())
    }

    fn corrected(&self, asked: QueueOffset, right: QueueOffset) -> QueueOffset {
        if self.settings.correct_offsets {
            right
        } else {
            asked
        }
    }

    #[allow(clippy::too_many_arguments)] // The second half of `read`.
    fn read_units(
        &self,
        queue: &Queue<D::File>,
        units: &MappedSlice,
        offset: QueueOffset,
        limits: ReadLimits,
        filter: &dyn Filter,
        out: &mut Vec<MappedSlice>,
        result: &mut ReadResult,
    ) -> disk::Result<()> {
        let log_end = self.log.written();
        let mut scanned = 0;
        let mut last_physical = log_end;
        // Units into a log file that is gone are skipped without trying each.
        let mut gone_until = i64::MIN;
        let mut stretch = None;
        let memory_window = self.live.memory_window_bytes();
        result.status = ReadStatus::NoMatchedMessage;
        for bytes in units.chunks_exact(UNIT as usize) {
            let unit = Unit::decode(bytes);
            if unit.physical < gone_until {
                scanned += 1;
                continue;
            }
            let on_disk = log_end - unit.physical > memory_window;
            if self.is_full(result, limits, i64::from(unit.size), on_disk) {
                break;
            }
            scanned += 1;
            if !unit.is_pre_blank() {
                last_physical = unit.physical;
            }
            let verdict = match ext::is_address(unit.tags_code) {
                true => self.verdict_by_extension(queue, unit, filter)?,
                false => filter.by_unit(unit.tags_code),
            };
            if verdict == Verdict::Unwanted {
                continue;
            }
            let Some((stretch, range)) = self.find(&mut stretch, unit)? else {
                if result.count == 0 {
                    result.status = ReadStatus::MessageWasRemoving;
                }
                // A unit of zeros says that as well, and the place of one that retention took is below the log.
                if !unit.is_pre_blank() && (unit.physical >= self.log.min() || !unit.is_valid()) {
                    let index = offset.plus(scanned - 1);
                    if result.damaged.is_none() {
                        result.damaged = Some((index, PhysicalOffset(unit.physical)));
                        result.is_unit_damaged = self.note_if_damaged(queue, index.0, unit)?;
                    }
                }
                if !unit.is_pre_blank() && unit.physical < self.log.min() {
                    gone_until = self.log.next_file(unit.physical);
                }
                continue;
            };
            if verdict == Verdict::AskRecord && !is_wanted(filter, &stretch.bytes[range.clone()]) {
                stretch.bytes.check_part(range)?;
                continue;
            }
            result.count += 1;
            result.bytes += range.len() as u64;
            result.status = ReadStatus::Found;
            gone_until = i64::MIN;
            let last = out.last_mut();
            if !last.is_some_and(|last| last.join_part(&stretch.bytes, range.clone())) {
                out.push(stretch.bytes.part(range));
            }
        }
        result.next_begin_offset = offset.plus(scanned);
        result.bytes_behind = log_end - last_physical;
        result.far_behind = result.bytes_behind > memory_window;
        Ok(())
    }

    /// Where a unit's record lies in the stretch, which is taken anew where that does not have it; `None` as
    /// [`Store::record_of`].
    fn find<'a>(
        &self,
        stretch: &'a mut Option<Stretch>,
        unit: Unit,
    ) -> disk::Result<Option<(&'a Stretch, Range<usize>)>> {
        if !may_have_record(unit) {
            return Ok(None);
        }
        if stretch
            .as_ref()
            .is_none_or(|stretch| stretch.range(unit).is_none())
        {
            let bytes = self.log.slice_to_file_end(unit.physical)?;
            *stretch = bytes.map(|bytes| Stretch {
                start: unit.physical,
                bytes,
            });
        }
        let found = stretch
            .as_ref()
            .and_then(|stretch| Some((stretch, stretch.range(unit)?)));
        let Some((stretch, range)) = found else {
            return Ok(None);
        };
        let record = &stretch.bytes[range.clone()];
        // What was appended since the start is as it was made; what lay on the disk may be damaged, and a client stays at it for ever.
        let is_trusted = unit.physical >= self.opened_at;
        if is_record_of(unit, record) && (is_trusted || parts_fit(record)) {
            return Ok(Some((stretch, range)));
        }
        stretch.bytes.check_part(range)?;
        Ok(None)
    }

    /// What a filter says of a unit with an address: by the extension, or where that is gone by the tagsCode of the record.
    fn verdict_by_extension(
        &self,
        queue: &Queue<D::File>,
        unit: Unit,
        filter: &dyn Filter,
    ) -> disk::Result<Verdict> {
        let known = queue.look_at_extension(unit, |tags_code, extra| {
            filter.by_extension(tags_code, extra.store_timestamp, extra.bitmap)
        })?;
        if let Some(verdict) = known {
            return Ok(verdict);
        }
        let record = self.record_of(unit)?;
        let decoded = record.as_deref().map(|record| decode(record, Check::Lengths));
        Ok(filter.by_unit(match decoded {
            Some(Ok(Entry::Record(view))) => unit_of(&view, &self.settings).tags_code,
            _ => unit.tags_code,
        }))
    }

    /// Whether one more record of `size` bytes is too much.
    fn is_full(&self, result: &ReadResult, limits: ReadLimits, size: i64, on_disk: bool) -> bool {
        if result.count == 0 {
            return false;
        }
        let (most_bytes, most_count) = self.live.transfer(on_disk);
        let bytes = (result.bytes as i64).saturating_add(size);
        result.count as i64 >= i64::from(limits.max_messages.min(most_count))
            || bytes > most_bytes.min(limits.max_bytes)
    }

    /// The bytes of a unit's record; `None` if the log no longer has them or has something else there.
    fn record_of(&self, unit: Unit) -> disk::Result<Option<MappedSlice>> {
        if !may_have_record(unit) {
            return Ok(None);
        }
        let Some(slice) = self.log.slice(unit.physical, i64::from(unit.size))? else {
            return Ok(None);
        };
        if is_record_of(unit, &slice) {
            return Ok(Some(slice));
        }
        slice.check()?;
        Ok(None)
    }

    /// First and one-behind-last offset of a queue; zeros for one that is not there.
    pub fn queue_bounds(&self, topic: &str, queue_id: i32) -> (QueueOffset, QueueOffset) {
        self.queues
            .get(topic, queue_id)
            .map_or_else(Default::default, |queue| {
                let max = queue.end();
                (QueueOffset(queue.min().min(max)), QueueOffset(max))
            })
    }

    /// First offset of a queue; 0 for one that is not there.
    pub fn queue_min_offset(&self, topic: &str, queue_id: i32) -> QueueOffset {
        self.queue_bounds(topic, queue_id).0
    }

    /// One behind the last offset of a queue; 0 for one that is not there.
    pub fn queue_max_offset(&self, topic: &str, queue_id: i32) -> QueueOffset {
        self.queue_bounds(topic, queue_id).1
    }

    /// An offset that somebody saved, brought into what the queue has: where reading can go on. A log that was lost or cut since
    /// has fewer messages than the offset counts; retention may have taken those it points at.
    pub fn clamp_offset(&self, topic: &str, queue_id: i32, saved: QueueOffset) -> QueueOffset {
        let (min, max) = self.queue_bounds(topic, queue_id);
        saved.clamp(min, max)
    }

    /// Store time of a queue's message, ms; `None` if there is no such message (any more).
    pub fn store_time(&self, topic: &str, queue_id: i32, offset: QueueOffset) -> disk::Result<Option<i64>> {
        let Some(queue) = self.queues.get(topic, queue_id) else {
            return Ok(None);
        };
        self.store_time_in(&queue, offset.0)
    }

    fn store_time_in(&self, queue: &Queue<D::File>, index: i64) -> disk::Result<Option<i64>> {
        let Some(unit) = queue.unit(index)? else {
            return Ok(None);
        };
        let Some(slice) = self.record_of(unit)? else {
            return Ok(None);
        };
        Ok(match decode(&slice, Check::Lengths) {
            Ok(Entry::Record(view)) => Some(view.store_timestamp()),
            _ => None,
        })
    }

    /// Store time of the first message a queue still has, ms.
    pub fn earliest_store_time(&self, topic: &str, queue_id: i32) -> disk::Result<Option<i64>> {
        self.store_time(topic, queue_id, self.queue_min_offset(topic, queue_id))
    }

    /// Store time of the newest record of the log, ms; `None` for an empty log.
    pub fn last_store_time(&self) -> Option<i64> {
        let time = self
            .log
            .written_timestamp
            .load(std::sync::atomic::Ordering::Acquire);
        (time > 0).then_some(time)
    }

    /// Store time of the oldest record of the log, ms; `None` for an empty log.
    pub fn earliest_log_time(&self) -> Option<i64> {
        let slice = self.log.record_at(self.log.min()).ok()?;
        match decode(&slice, Check::Lengths) {
            Ok(Entry::Record(view)) => Some(view.store_timestamp()),
            _ => None,
        }
    }

    /// The offset of a queue that belongs to a time.
    ///
    /// With [`Boundary::Lower`] the first message stored at or after `timestamp`, with [`Boundary::Upper`] the last one
    /// stored at or before it (5.x). Where there is none of the kind: the end of the queue for `Lower`, its start for
    /// `Upper`. [`Boundary::Nearest`] is 4.9's: the message at that time, else the nearer neighbour.
    pub fn offset_by_time(
        &self,
        topic: &str,
        queue_id: i32,
        timestamp: i64,
        boundary: Boundary,
    ) -> disk::Result<QueueOffset> {
        let Some(queue) = self.queues.get(topic, queue_id) else {
            return Ok(QueueOffset(0));
        };
        let (min, max) = (queue.min(), queue.end());
        if min >= max {
            return Ok(QueueOffset(max));
        }
        let lower = self.first_where(&queue, min, max, |time| time >= timestamp)?;
        let chosen = match boundary {
            Boundary::Lower => lower,
            Boundary::Upper => {
                self.first_where(&queue, lower, max, |time| time > timestamp)?
                    .max(min + 1)
                    - 1
            }
            Boundary::Nearest if lower == max => max,
            Boundary::Nearest if lower == min => min,
            Boundary::Nearest => {
                let after = self
                    .store_time_in(&queue, lower)?
                    .map(|time| time.saturating_sub(timestamp));
                let before = self
                    .store_time_in(&queue, lower - 1)?
                    .map(|time| timestamp.saturating_sub(time));
                match (before, after) {
                    (Some(before), Some(after)) if before <= after => lower - 1,
                    _ => lower,
                }
            }
        };
        Ok(QueueOffset(chosen))
    }

    /// The first index in `low..high` whose store time passes `test`, else `high`. Messages that are not there any more say
    /// nothing: the next one that is decides, and none of them is the answer.
    fn first_where(
        &self,
        queue: &Queue<D::File>,
        mut low: i64,
        high: i64,
        test: impl Fn(i64) -> bool,
    ) -> disk::Result<i64> {
        let (mut until, mut found) = (high, high);
        while low < until {
            let middle = low + (until - low) / 2;
            match self.first_with_time(queue, middle, until)? {
                Some((index, time)) if test(time) => (until, found) = (middle, index),
                Some((index, _)) => low = index + 1,
                None => until = middle,
            }
        }
        Ok(found)
    }

    /// The first message in `from..until` that is there, and its store time.
    fn first_with_time(
        &self,
        queue: &Queue<D::File>,
        from: i64,
        until: i64,
    ) -> disk::Result<Option<(i64, i64)>> {
        let mut from = from;
        while let Some((index, _)) = queue.message_behind(from, until)? {
            if let Some(time) = self.store_time_in(queue, index)? {
                return Ok(Some((index, time)));
            }
            from = index + 1;
        }
        Ok(None)
    }
}
