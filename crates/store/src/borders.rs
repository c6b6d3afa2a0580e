//! Where records begin, for a slave that compares its log with its master's. All of it may read a whole log file: for a thread that
//! may wait for the disk.

use crate::log::RecordAtError;
use crate::offset::PhysicalOffset;
use crate::store::Store;
use disk::Disk;

impl<D: Disk> Store<D> {
    /// The files of the log that begin with a whole record, by where they begin.
    pub fn files_with_records(&self) -> disk::Result<Vec<PhysicalOffset>> {
        let mut files = Vec::new();
        let (mut at, end) = (self.min_physical().0, self.max_physical().0);
        while at < end {
            if self.record_end(at)?.is_some() {
                files.push(PhysicalOffset(at));
            }
            at = self.log.next_file(at);
        }
        Ok(files)
    }

    /// Where the last whole record begins that follows its file's first one without damage between.
    pub fn last_record(&self) -> disk::Result<Option<PhysicalOffset>> {
        for file in self.files_with_records()?.into_iter().rev() {
            let next = PhysicalOffset(self.log.next_file(file.0));
            if let Some(last) = self.walk_records(file, next, |_| {})? {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }

    /// Where whole records begin, from one that begins at `from` up to those that begin before `to`, in order; if there are more
    /// than `at_most`, so many of them, evenly spread. None if no record begins at `from`.
    pub fn record_starts(
        &self,
        from: PhysicalOffset,
        to: PhysicalOffset,
        at_most: usize,
    ) -> disk::Result<Vec<PhysicalOffset>> {
        let mut starts = Vec::new();
        self.walk_records(from, to, |at| starts.push(at))?;
        let count = starts.len();
        if count > at_most {
            let spread = (0..at_most).filter_map(|number| starts.get(number * count / at_most).copied());
            starts = spread.collect();
        }
        Ok(starts)
    }

    /// Tells of each record that begins before `to`, from the one at `from` on; gives the last one.
    fn walk_records(
        &self,
        from: PhysicalOffset,
        to: PhysicalOffset,
        mut on: impl FnMut(PhysicalOffset),
    ) -> disk::Result<Option<PhysicalOffset>> {
        let (mut at, mut last) = (from.0, None);
        while at < to.0
            && let Some(end) = self.record_end(at)?
        {
            last = Some(PhysicalOffset(at));
            on(PhysicalOffset(at));
            at = end;
        }
        Ok(last)
    }

    /// The end of the whole record that begins at a position.
    fn record_end(&self, at: i64) -> disk::Result<Option<i64>> {
        match self.log.record_at(at) {
            Ok(record) => Ok(Some(at + record.len() as i64)),
            Err(RecordAtError::Disk(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }
}
