//! What a consumer far behind will ask for next is read from the device before it asks.
//!
//! The kernel reads ahead of a thread that goes through a file; pulls of many queues that share a log look to it like leaps. The units
//! of a queue say which records come next. Where these lie close together, the log is read in strides of [`STRIDE_BYTES`], the one of
//! the pull and [`STRIDES_AHEAD`] behind it, each once for whoever reads there; where they lie apart, each record is read by itself, all
//! at a time, so that a device that serves many requests at once does.

use std::sync::atomic::{AtomicI64, Ordering};

use disk::{Disk, MappedSlice};

use crate::offset::QueueOffset;
use crate::queue::{Queue, UNIT, Unit};
use crate::read::LOOK_BYTES;
use crate::store::Store;

/// Bytes of the log that are asked for at once.
const STRIDE_BYTES: i64 = 4 << 20;
/// Strides that are asked for behind the one that is read: while one is served, the device has the next.
const STRIDES_AHEAD: i64 = 2;
/// Strides that are remembered, so that each is asked for once. A consumer has three of them.
const REMEMBERED: usize = 256;
/// Units that say whether records lie close together, and how many records apart are asked for at a time.
const LOOK_UNITS: i64 = 64;
/// Records lie close together if they are this part of the bytes between the first and the last. Further apart than that, the kernel
/// would not read them together, either.
const CLOSE: i64 = 32;
/// Bytes of units that are asked for: the pulls of more than 3,000 messages.
const UNITS_BYTES: i64 = 64 << 10;

/// How near what a pull wants is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heat {
    /// In memory, as far as the kernel tells, or nothing is there.
    Hot,
    /// In memory, but what follows was not asked for yet: [`Store::read_ahead`] should be called soon.
    Warm,
    /// A read would wait for the device.
    Cold,
}

/// The strides of the log that were asked for last.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// Number of a stride plus 1, at the number modulo the length; 0 where none was.
    strides: Box<[AtomicI64]>,
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self {
            strides: (0..REMEMBERED).map(|_| AtomicI64::new(0)).collect(),
        }
    }
}

impl ReadAhead {
    fn place(&self, stride: i64) -> &AtomicI64 {
        &self.strides[stride.rem_euclid(REMEMBERED as i64) as usize]
    }

    /// Whether a stride was asked for, and not forgotten since.
    fn has(&self, stride: i64) -> bool {
        self.place(stride).load(Ordering::Relaxed) == stride + 1
    }

    /// Remembers a stride; false if it was remembered already.
    fn note(&self, stride: i64) -> bool {
        self.place(stride).swap(stride + 1, Ordering::Relaxed) != stride + 1
    }
}

/// One behind a unit's record, wherever a damaged unit says that lies.
fn end_of(unit: Unit) -> i64 {
    unit.physical.saturating_add(i64::from(unit.size))
}

/// Where the next records of a queue lie.
struct Next {
    units: MappedSlice,
    /// Position of the first.
    from: i64,
    /// They lie close together.
    close: bool,
}

impl Next {
    /// The units that point at something.
    fn valid(&self) -> impl Iterator<Item = Unit> + '_ {
        self.units
            .chunks_exact(UNIT as usize)
            .map(Unit::decode)
            .filter(|unit| unit.is_valid() && unit.physical >= self.from)
    }
}

impl<D: Disk> Store<D> {
    /// How near a read from `offset` is. Takes what this store appended within the memory window to be in memory, and asks about the
    /// rest; costs nothing that grows.
    pub fn heat(&self, topic: &str, queue_id: i32, offset: QueueOffset, max_messages: i32) -> Heat {
        let Some(queue) = self.queues.get(topic, queue_id) else {
            return Heat::Hot;
        };
        // An error is met again by the read, which tells.
        let Ok(Some(units)) = self.units_from(&queue, offset, i64::from(max_messages).max(1)) else {
            return Heat::Hot;
        };
        if offset.0 < queue.loaded_end && !units.is_resident() {
            return Heat::Cold;
        }
        let mut units = units.chunks_exact(UNIT as usize).map(Unit::decode);
        let Some(first) = units.next() else {
            return Heat::Hot;
        };
        let from = first.physical;
        if !first.is_valid() || from >= self.surely_in_memory() {
            return Heat::Hot;
        }
        let last = units.next_back().unwrap_or(first);
        let end = end_of(last).min(from + LOOK_BYTES).min(self.log.next_file(from));
        if matches!(self.log.slice(from, end - from), Ok(Some(slice)) if !slice.is_resident()) {
            return Heat::Cold;
        }
        // Who goes from stride to stride has asked for this one.
        let stride = from / STRIDE_BYTES;
        match self.read_ahead.has(stride) && !self.strides_behind(stride).all(|s| self.read_ahead.has(s)) {
            true => Heat::Warm,
            false => Heat::Hot,
        }
    }

    /// Asks the device for what a read from `offset` needs, and for what the reads after it will need. Waits for the device at most
    /// until it has taken the requests, so it is for a thread that may wait; a failure is met again by the read, which tells.
    pub fn read_ahead(&self, topic: &str, queue_id: i32, offset: QueueOffset) {
        let Some(queue) = self.queues.get(topic, queue_id) else {
            return;
        };
        if offset.0 < queue.loaded_end
            && let Ok(Some(units)) = self.units_from(&queue, offset, UNITS_BYTES / UNIT)
        {
            units.will_need();
        }
        let Ok(Some(next)) = self.next_records(&queue, offset) else {
            return;
        };
        if next.from >= self.surely_in_memory() {
            return;
        }
        if next.close {
            let stride = next.from / STRIDE_BYTES;
            for stride in std::iter::once(stride).chain(self.strides_behind(stride)) {
                if self.read_ahead.note(stride) {
                    self.will_need(stride * STRIDE_BYTES, (stride + 1) * STRIDE_BYTES);
                }
            }
        } else {
            for unit in next.valid() {
                self.will_need(unit.physical, end_of(unit));
            }
        }
    }

    /// Positions of the log from here on are in memory, appended a while ago at most.
    pub(crate) fn surely_in_memory(&self) -> i64 {
        let window = self.log.written() - self.live.memory_window_bytes();
        self.opened_at.max(window)
    }

    /// The strides behind one, as far as there is something to read from the device.
    fn strides_behind(&self, stride: i64) -> impl Iterator<Item = i64> + use<D> {
        let last = (self.surely_in_memory() - 1) / STRIDE_BYTES;
        stride + 1..=(stride + STRIDES_AHEAD).min(last)
    }

    /// Units of a queue, as many as there are in their file and wanted.
    fn units_from(
        &self,
        queue: &Queue<D::File>,
        offset: QueueOffset,
        count: i64,
    ) -> disk::Result<Option<MappedSlice>> {
        let left = queue.end() - offset.0;
        if offset.0 < queue.min() || left <= 0 {
            return Ok(None);
        }
        queue.units(offset.0, count.min(left) * UNIT)
    }

    fn next_records(&self, queue: &Queue<D::File>, offset: QueueOffset) -> disk::Result<Option<Next>> {
        let Some(units) = self.units_from(queue, offset, LOOK_UNITS)? else {
            return Ok(None);
        };
        let decoded = || {
            let units = units.chunks_exact(UNIT as usize).map(Unit::decode);
            units.filter(|unit| unit.is_valid())
        };
        let (Some(first), Some(last)) = (decoded().next(), decoded().next_back()) else {
            return Ok(None);
        };
        let bytes: i64 = decoded().map(|unit| i64::from(unit.size)).sum();
        let between = end_of(last).saturating_sub(first.physical);
        let close = between <= bytes.saturating_mul(CLOSE);
        units.check()?;
        let from = first.physical;
        Ok(Some(Next { units, from, close }))
    }

    /// Asks for bytes of the log, as far as the log has them.
    fn will_need(&self, from: i64, to: i64) {
        let (mut at, to) = (from.max(self.log.min()), to.min(self.log.written()));
        while at < to {
            let end = self.log.next_file(at).min(to);
            if let Ok(Some(bytes)) = self.log.slice(at, end - at) {
                bytes.will_need();
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_is_asked_for_once_until_another_takes_its_place() {
        let ahead = ReadAhead::default();
        assert!(!ahead.has(0) && !ahead.has(REMEMBERED as i64));
        assert!(ahead.note(0));
        assert!(ahead.has(0) && !ahead.has(REMEMBERED as i64));
        assert!(!ahead.note(0));
        assert!(ahead.note(REMEMBERED as i64));
        assert!(!ahead.has(0));
        assert!(ahead.note(0));
    }
}
