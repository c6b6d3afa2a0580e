//! Flushing consumequeues, and the checkpoint that vouches for them.

use crate::latch::{Latched, Undone};
use crate::store::Store;
use disk::Disk;
use std::sync::atomic::Ordering;

/// More dirty queues than this are made durable by one sync of the file system: each sync of a file is a round trip to
/// the device, which for 100,000 queues would take minutes.
const ONE_BY_ONE_MAX: usize = 64;

impl<D: Disk> Store<D> {
    /// Makes consumequeues durable that have at least `least_pages` dirty pages of 4 KiB; with `save_checkpoint` all
    /// of them, and then says so in the checkpoint.
    ///
    /// Java: every `flushIntervalConsumeQueue` 1 s with 2 pages; every 60 s, and at the stop, with 0 and the
    /// checkpoint.
    pub fn flush_consumequeues(&self, least_pages: i64, save_checkpoint: bool) -> Result<(), Latched> {
        self.flush_queues(least_pages, save_checkpoint)
            .or_else(|undone| undone.until_next_time("the sync of the consumequeues"))
    }

    pub(crate) fn flush_queues(&self, least_pages: i64, save_checkpoint: bool) -> Result<(), Undone> {
        let _one_at_a_time = self.queue_flush_lock.lock();
        self.latch.check()?;
        // Taken before the queues are flushed: what reput does meanwhile is not vouched for. The position first:
        // the time may then be that of a later record, so the time is read before it.
        let timestamp = self.reput_timestamp.load(Ordering::Acquire);
        let reput_end = self.reput_end.load(Ordering::Acquire);
        let least_bytes = if save_checkpoint { 0 } else { least_pages * 4096 };
        let mut dirty = self.queues.all();
        dirty.retain(|queue| queue.is_dirty() && queue.dirty_bytes() >= least_bytes && !queue.is_deleted());
        if dirty.len() > ONE_BY_ONE_MAX {
            let ends: Vec<i64> = dirty.iter().map(|queue| queue.begin_flush()).collect();
            // Extensions may be on a mount of their own, and units point there.
            let ext = self.queue_files.ext.then_some(&self.queue_files.ext_dir);
            let mut dirs = ext.into_iter().chain([&self.queue_files.dir]);
            let synced = dirs.try_for_each(|dir| self.latch.guard(self.disk.sync_file_system(dir)));
            if synced.is_err() {
                dirty.iter().for_each(|queue| queue.abandon_flush());
            }
            synced?;
            dirty
                .iter()
                .zip(ends)
                .for_each(|(queue, end)| queue.set_flushed(end));
        } else {
            for queue in dirty {
                let flushed = queue.flush(&self.disk, &self.queue_files);
                // The topic may have been deleted meanwhile, files and all.
                if !queue.is_deleted() {
                    self.latch.guard(flushed)?;
                }
            }
        }
        if save_checkpoint {
            self.save_checkpoint(reput_end, timestamp)?;
        }
        Ok(())
    }

    fn save_checkpoint(&self, reput_end: i64, reput_timestamp: i64) -> Result<(), Undone> {
        let mut checkpoint = self.checkpoint.lock();
        let (file, content) = &mut *checkpoint;
        let flushed_timestamp = self.log.flushed_timestamp.load(Ordering::Acquire);
        let flushed = self.log.flushed();
        // Reput always ends where a record does, but a flushed end can lie inside a later one
        // only if it is beyond what reput has done: the smaller of the two is the start of a record.
        content.vouched = Some(reput_end.min(flushed));
        content.physic_timestamp = content.physic_timestamp.max(flushed_timestamp);
        content.logics_timestamp = content.logics_timestamp.max(reput_timestamp);
        // 5.x without a controller sets this anew at its start; up to here it is true.
        content.confirmed = flushed;
        self.latch.guard(file.save(content))
    }
}
