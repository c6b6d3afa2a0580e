//! Taking the newest entries out of the index again: their records are cut off the log.
//!
//! An entry holds what its slot held before it. So entries are taken out from the newest backwards, each one's slot gets back
//! what it held, and the file is as it was before they came. Nothing has to be read again from the log.

use super::{ENTRY, HEADER, Header, Index, IndexFile, RememberedQueue, int, name_of};
use disk::{Disk, MappedFile};

/// Entries that are taken out at once.
const STEP: i32 = 4096;

impl<D: Disk> Index<D> {
    /// End time of the newest file that is full and stays as it is when the log is cut at `to`; 0 when there is none. One that goes,
    /// or was made at the same time as one that goes, must not be believed after a crash.
    pub(crate) fn full_timestamp_below(&self, to: i64) -> i64 {
        let gone = self.files.iter().find(|file| file.header.end_physical >= to);
        let before = gone.map_or(i64::MAX, |file| file.header.end_timestamp);
        let full = self.files.iter().filter(|file| {
            let header = &file.header;
            header.count >= self.entries && header.end_physical < to && header.end_timestamp < before
        });
        full.map(|file| file.header.end_timestamp).max().unwrap_or(0)
    }

    /// Names of the files that end before `to`, and the position of the last record of each.
    pub(crate) fn ends_below(&self, to: i64) -> Vec<(String, i64)> {
        let files = self.files.iter().filter(|file| file.header.end_physical < to);
        files
            .map(|file| (name_of(file.file.path()), file.header.end_physical))
            .collect()
    }

    /// Takes out the entries of records at or behind `to`, where the log is about to end. `time_of` gives a record's store time.
    /// After an error some are still there, and what is gone is entered again.
    pub(crate) fn cut_back(
        &mut self,
        disk: &D,
        to: i64,
        time_of: impl Fn(i64) -> Option<i64>,
    ) -> disk::Result<()> {
        self.full_timestamp = self.full_timestamp_below(to);
        self.position = self.position.min(to);
        forget_behind(&mut self.remembered, to);
        while let Some(last) = self.files.pop_if(|file| file.header.begin_physical >= to) {
            if let Err(error) = disk.remove_file(last.file.path()) {
                self.files.push(last);
                return Err(error);
            }
            last.file.forget();
        }
        if let Some(last) = self.files.last_mut() {
            last.take_out(self.slots, to, time_of)?;
        }
        Ok(())
    }
}

impl<F: MappedFile> IndexFile<F> {
    /// Takes out the entries of records at or behind `to`.
    fn take_out(&mut self, slots: i32, to: i64, time_of: impl Fn(i64) -> Option<i64>) -> disk::Result<()> {
        let before = self.header.count;
        while self.header.count > 1 {
            let from = (self.header.count - STEP).max(1);
            let entries = self.entries(slots, from, self.header.count)?;
            let gone = entries
                .chunks_exact(ENTRY as usize)
                .rev()
                .take_while(|entry| physical_of(entry) >= to)
                .count();
            let (kept, gone) = entries.split_at(entries.len() - gone * ENTRY as usize);
            self.give_slots_back(slots, gone)?;
            self.dirty = true;
            if !kept.is_empty() {
                break;
            }
        }
        if self.header.count < before {
            self.end_header(slots, time_of)?;
        }
        Ok(())
    }

    /// The entries with the numbers `from..until`.
    fn entries(&self, slots: i32, from: i32, until: i32) -> disk::Result<Vec<u8>> {
        let at = HEADER + slots as u64 * 4 + from as u64 * ENTRY;
        let mut bytes = vec![0; (until - from) as usize * ENTRY as usize];
        self.file.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Gives the slots of the newest entries, `gone`, what they held before, and counts the entries out.
    fn give_slots_back(&mut self, slots: i32, gone: &[u8]) -> disk::Result<()> {
        let mut header = self.header;
        self.file.write_with(HEADER, slots as u64 * 4, |table| {
            for entry in gone.chunks_exact(ENTRY as usize).rev() {
                header.count -= 1;
                let (hash, previous) = (int(entry, 0), int(entry, 16));
                let at = (hash % slots) as usize * 4;
                // Of a damaged file anything may be said.
                let slot = table.get_mut(at..at + 4).filter(|_| hash >= 0);
                if let Some(slot) = slot.filter(|slot| int(slot, 0) == header.count) {
                    slot.copy_from_slice(&previous.to_be_bytes());
                    header.slots_used -= i32::from(previous == 0);
                }
            }
        })?;
        self.header = header;
        Ok(())
    }

    /// Brings what the header says of the last entry after those that were taken out.
    fn end_header(&mut self, slots: i32, time_of: impl Fn(i64) -> Option<i64>) -> disk::Result<()> {
        let count = self.header.count;
        if count <= 1 {
            self.header.end_physical = self.header.begin_physical;
            self.header.end_timestamp = self.header.begin_timestamp;
            return Ok(());
        }
        let last = self.entries(slots, count - 1, count)?;
        let physical = physical_of(&last);
        // An entry has whole seconds only.
        let seconds = i64::from(int(&last, 12));
        self.header = Header {
            end_physical: physical,
            end_timestamp: time_of(physical).unwrap_or(self.header.begin_timestamp + seconds * 1000 + 999),
            ..self.header
        };
        Ok(())
    }
}

fn physical_of(entry: &[u8]) -> i64 {
    i64::from(int(entry, 4)) << 32 | i64::from(int(entry, 8) as u32)
}

/// Drops what is remembered of records at or behind `to`.
pub(crate) fn forget_behind(queue: &mut RememberedQueue, to: i64) {
    queue.retain(|record| record.physical < to);
}
