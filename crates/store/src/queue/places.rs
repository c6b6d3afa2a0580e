//! Places of a queue: left out, taken from another, kept for nobody.

use super::{Put, Queue, QueueFiles, UNIT, Unit};
use crate::ext::Extra;
use disk::{Disk, MappedFile};
use std::sync::atomic::Ordering;

impl<F: MappedFile> Queue<F> {
    /// Puts a unit at a place below the end. Nothing to do if its record has the place, as where the log is read once more.
    ///
    /// If another record has it, both say that they are the queue's message of that number: queue files were lost and the
    /// numbers given a second time, or the topic was deleted and made again, by a broker that left no note of it. The later one
    /// gets the place. Consumers have been at the earlier one, and what they have not seen yet is the later. No other unit is
    /// touched: those behind it may be of the same kind, or the only ones that lead to their messages.
    ///
    /// Unlike Java, which lets the earlier one stand and drops the later, or (for the first of a queue) appends it at a number
    /// that is not its own.
    pub(super) fn take_place<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        index: i64,
        unit: Unit,
        extra: Option<Extra<'_>>,
    ) -> disk::Result<Put> {
        let stood = self
            .unit(index)?
            .filter(|unit| unit.is_valid() && !unit.is_pre_blank());
        if stood.is_some_and(|stood| stood.physical == unit.physical) {
            return Ok(Put::Repeat);
        }
        let unit = self.with_extension(disk, files, unit, extra)?;
        self.overwrite(disk, files, index, unit)?;
        self.max_physical.store(unit.end(), Ordering::Release);
        self.min.fetch_min(index, Ordering::AcqRel);
        // Flushed again from here on.
        self.flushed.fetch_min(index, Ordering::AcqRel);
        let Some(stood) = stood else {
            return Ok(Put::Done);
        };
        self.has_taken_places.store(true, Ordering::Release);
        Ok(Put::TookPlaceOf(stood.physical))
    }

    /// Writes a unit over what stands at its place. Readers find nothing behind it in its file for a moment, and come again.
    fn overwrite<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        index: i64,
        unit: Unit,
    ) -> disk::Result<()> {
        let byte = index * UNIT;
        let Some(file) = self.file_at(byte) else {
            // All of its file was left out.
            let start = (byte - byte % self.file_size) / UNIT;
            (start..index).try_for_each(|index| self.write(disk, files, index, Unit::PRE_BLANK))?;
            return self.write(disk, files, index, unit);
        };
        let at = (byte - file.start) as u64;
        let published = file.file.published();
        if at >= published {
            let first = (file.start + published as i64) / UNIT;
            (first..index).try_for_each(|index| self.write(disk, files, index, Unit::PRE_BLANK))?;
            return self.write(disk, files, index, unit);
        }
        let mut rest = vec![0; (published - at) as usize];
        file.file.read(at, &mut rest)?;
        rest[..UNIT as usize].copy_from_slice(&unit.encode());
        file.file.unpublish(at)?;
        let written = file.file.write_and_publish(at, &rest);
        // Also if nothing was written: the old ones are there.
        file.file.publish(published);
        written
    }

    /// Leaves the places below `end` to nobody: to messages that the log has lost, and that consumers may have seen.
    pub(crate) fn keep_places<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        end: i64,
    ) -> disk::Result<()> {
        if self.end() >= end {
            return Ok(());
        }
        if self.files.read().is_empty() && self.end() == 0 {
            self.cut(disk, 0)?;
        }
        self.skip_to(disk, files, end - 1)?;
        self.fill(disk, files, end - 1..end)?;
        // Also where the disk was full before the last place the time before.
        if self.message_behind(self.min(), end)?.is_none() {
            self.min.store(end, Ordering::Release);
        }
        Ok(())
    }

    /// Leaves out the units up to `queue_offset`: from the end of what there is to the end of its file, and from the
    /// start of the new unit's file to the unit, [`Unit::PRE_BLANK`] is written.
    ///
    /// Unlike Java, which appends at the wrong place when the queue has units before the gap: queue offsets in
    /// records and in units stay the same.
    pub(super) fn skip_to<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        queue_offset: i64,
    ) -> disk::Result<()> {
        let per_file = self.file_size / UNIT;
        let file_start = queue_offset - queue_offset % per_file;
        let end = self.end();
        let mut filled = 0;
        if self.files.read().is_empty() {
            self.min.store(queue_offset, Ordering::Release);
        } else {
            filled = ((end + per_file - 1) / per_file * per_file).min(queue_offset);
            self.fill(disk, files, end..filled)?;
        }
        self.fill(disk, files, file_start.max(filled)..queue_offset)
    }

    /// Writes fillers. Each counts at once: should the disk be full before the last, the next try goes on behind it.
    fn fill<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        places: std::ops::Range<i64>,
    ) -> disk::Result<()> {
        for index in places {
            self.write(disk, files, index, Unit::PRE_BLANK)?;
            self.set_end(index + 1);
        }
        Ok(())
    }
}
