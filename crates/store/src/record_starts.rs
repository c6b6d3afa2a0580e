//! Where records begin in the log: what a slave has to know to compare its log with its master's.
//!
//! Only whole records count, as their lengths say: not what follows the last one of a slave's log, nor damage, behind which the log
//! goes on. All of it reads the log as it lies on the disk: for a thread that may wait.

use crate::damage::readable;
use crate::log::Step;
use crate::offset::PhysicalOffset;
use crate::store::Store;
use disk::Disk;
use message::record::Check;
use std::sync::atomic::Ordering;

impl<D: Disk> Store<D> {
    /// Where the last whole record begins; `None` if the log has none.
    pub fn last_record(&self) -> disk::Result<Option<PhysicalOffset>> {
        let end = self.whole_until();
        for file in self.log.files().iter().rev().filter(|file| file.start < end) {
            let mut last = None;
            let until = end.min(file.start + self.log.file_size);
            self.each_record(file.start, until, |at| last = Some(PhysicalOffset(at)))?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// The first whole record of each file that has one, oldest first: where the file begins, or behind the damage there.
    pub fn files_with_records(&self) -> disk::Result<Vec<PhysicalOffset>> {
        let end = self.whole_until();
        let mut starts = Vec::new();
        for file in self.log.files().iter() {
            let first = match self.has_record_at(file.start, end)? {
                true => Some(file.start),
                false => self.log.resume(file.start, i64::MIN)?,
            };
            let is_here = |at: &i64| *at < (file.start + self.log.file_size).min(end);
            starts.extend(first.filter(is_here).map(PhysicalOffset));
        }
        Ok(starts)
    }

    /// Where whole records begin, from one that begins at `from` up to those that begin before `to`, in order; if there are more
    /// than `at_most`, so many of them, evenly spread, the first one among them. There are none if no whole record begins at `from`.
    pub fn record_starts(
        &self,
        from: PhysicalOffset,
        to: PhysicalOffset,
        at_most: usize,
    ) -> disk::Result<Vec<PhysicalOffset>> {
        let (from, to, end) = (from.0, to.0, self.whole_until());
        if at_most == 0 || from >= to || !self.has_record_at(from, end)? {
            return Ok(Vec::new());
        }
        // One that begins before `to` may end behind it.
        let mut count: u64 = 0;
        self.each_record(from, end.min(to), |_| count += 1)?;
        let wanted = count.min(at_most as u64);
        let (mut starts, mut number) = (Vec::with_capacity(wanted as usize), 0_u64);
        self.each_record(from, end.min(to), |at| {
            let next = u128::from(count) * starts.len() as u128 / u128::from(wanted.max(1));
            if starts.len() < wanted as usize && u128::from(number) == next {
                starts.push(PhysicalOffset(at));
            }
            number += 1;
        })?;
        Ok(starts)
    }

    /// The log up to here is whole records, ends of files, and damage.
    fn whole_until(&self) -> i64 {
        self.log.written().min(self.whole_end.load(Ordering::SeqCst))
    }

    fn has_record_at(&self, at: i64, end: i64) -> disk::Result<bool> {
        let bytes = self.log.slice_to_file_end(at)?;
        let record = bytes.as_deref().and_then(|bytes| readable(bytes, at));
        Ok(record.is_some_and(|view| at + view.total_len() as i64 <= end))
    }

    /// Tells where each record begins that begins in `from..to`, in order.
    fn each_record(&self, from: i64, to: i64, mut on: impl FnMut(i64)) -> disk::Result<()> {
        let mut walk = self.log.walk(from, to);
        loop {
            match walk.next(Check::Lengths)? {
                Step::Record(view) => on(view.physical_offset()),
                Step::End => return Ok(()),
                Step::Bad(_) => match self.log.resume(walk.position, i64::MIN)? {
                    Some(next) => walk = self.log.walk(next, to),
                    None => return Ok(()),
                },
            }
        }
    }
}
