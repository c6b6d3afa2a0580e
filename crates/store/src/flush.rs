//! Flushing consumequeues, and the checkpoint that vouches for them.

use crate::checkpoint::Checkpoint;
use crate::latch::{Latched, Undone};
use crate::store::Store;
use disk::Disk;
use std::sync::atomic::Ordering;

/// More dirty queues than this are made durable by one sync of the file system: each sync of a file is a round trip to
/// the device, which for 100,000 queues would take minutes.
pub(crate) const ONE_BY_ONE_MAX: usize = 64;

/// What is saved once the queues are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Save {
    /// Nothing.
    Nothing,
    /// The checkpoint and what the queues are; where that cannot be written, both stay as they were.
    Both,
    /// The checkpoint, where need be without the other: at a stop, so that the next start is one after a clean stop.
    CheckpointAtLeast,
}

impl<D: Disk> Store<D> {
    /// Makes consumequeues durable that have at least `least_pages` dirty pages of 4 KiB; with `save_checkpoint` all
    /// of them, and then says so in the checkpoint.
    ///
    /// Java: every `flushIntervalConsumeQueue` 1 s with 2 pages; every 60 s, and at the stop, with 0 and the
    /// checkpoint.
    pub fn flush_consumequeues(&self, least_pages: i64, save_checkpoint: bool) -> Result<(), Latched> {
        let save = if save_checkpoint {
            Save::Both
        } else {
            Save::Nothing
        };
        self.flush_queues(least_pages, save)
            .or_else(|undone| undone.until_next_time("the sync of the consumequeues"))
    }

    pub(crate) fn flush_queues(&self, least_pages: i64, save: Save) -> Result<(), Undone> {
        let _one_at_a_time = self.queue_flush_lock.lock();
        self.latch.check()?;
        // Taken before the queues are flushed: what reput does meanwhile is not vouched for. The position first:
        // the time may then be that of a later record, so the time is read before it.
        let timestamp = self.reput_timestamp.load(Ordering::Acquire);
        let reput_end = self.reput_end.load(Ordering::Acquire);
        let least_bytes = if save == Save::Nothing {
            least_pages * 4096
        } else {
            0
        };
        self.sync_queues(least_bytes)?;
        match save {
            Save::Nothing => Ok(()),
            save => self.save_checkpoint(reput_end, timestamp, save),
        }
    }

    /// Makes queues durable that have at least so many dirty bytes. Only under the lock of this flush.
    pub(crate) fn sync_queues(&self, least_bytes: i64) -> Result<(), Undone> {
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
        Ok(())
    }

    fn save_checkpoint(&self, reput_end: i64, reput_timestamp: i64, save: Save) -> Result<(), Undone> {
        let flushed_timestamp = self.log.flushed_timestamp.load(Ordering::Acquire);
        let flushed = self.log.flushed();
        // A record starts, or the log ends, at both. The flushed end itself may lie inside a record of a slave's log.
        let vouched = reput_end.min(self.durable_whole.load(Ordering::Acquire));
        // Nobody else changes these times, but the index its own in between.
        let before = self.checkpoint.lock().1;
        let physic = before.physic_timestamp.max(flushed_timestamp);
        let logics = before.logics_timestamp.max(reput_timestamp);
        // First what belongs to the checkpoint: should this be cut short, it belongs to none, and a start knows less.
        let queues = self.save_queue_checkpoint((vouched, physic, logics), save);
        match save {
            Save::CheckpointAtLeast => queues.or_else(|undone| undone.until_next_time("queueCheckpoint"))?,
            _ => queues?,
        }
        let change = |content: &mut Checkpoint| {
            content.vouched = Some(vouched);
            content.physic_timestamp = physic;
            content.logics_timestamp = logics;
            // 5.x without a controller sets this anew at its start; up to here it is true.
            content.confirmed = flushed;
        };
        let mut after = before;
        change(&mut after);
        // A broker without traffic writes nothing. What recovery left in the file is another matter.
        let is_known = self.checkpoint_is_saved.load(Ordering::Acquire);
        match is_known && after == before && save == Save::Both {
            true => Ok(()),
            false => self.change_checkpoint(change),
        }
    }

    /// Changes the checkpoint, durably or not at all.
    pub(crate) fn change_checkpoint(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), Undone> {
        let mut checkpoint = self.checkpoint.lock();
        let (file, content) = &mut *checkpoint;
        let mut changed = *content;
        change(&mut changed);
        self.latch.guard(file.save(&changed))?;
        *content = changed;
        self.checkpoint_is_saved.store(true, Ordering::Release);
        Ok(())
    }
}
