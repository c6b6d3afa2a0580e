//! What the checkpoint vouches for, and how it is taken back.

use super::{MissingLog, OpenError, Recovery};
use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::log::Log;
use disk::Disk;
use message::record::{Check, Entry, decode};

impl<D: Disk> Recovery<'_, D> {
    /// Vouches for less, before queues that were vouched for are taken apart: should this start not get to its end, the
    /// next one must not believe what is half built.
    pub(super) fn withdraw(
        &self,
        checkpoint: &Checkpoint,
        file: &CheckpointFile<D::File>,
        to: i64,
    ) -> Result<(), OpenError> {
        // The next start is one after a crash.
        self.disk
            .write_small(&self.settings.root_dir.join("abort"), b"", false)?;
        // The position first, by itself: with the old one and other times, which a power cut in between could leave, what says
        // how many units there were would belong to no checkpoint.
        let less = Checkpoint {
            vouched: Some(to),
            ..*checkpoint
        };
        file.save(&less)?;
        let less = Checkpoint {
            physic_timestamp: 0,
            logics_timestamp: 0,
            ..less
        };
        Ok(file.save(&less)?)
    }

    /// The position the checkpoint vouches for, if what lies there looks like the start of a record or the end of the
    /// log. A store that Java went on writing may have been cut below it since.
    pub(super) fn vouched(&self, log: &Log<D>, checkpoint: &Checkpoint) -> Option<i64> {
        if self.report.missing.iter().any(MissingLog::is_short) {
            return None;
        }
        let vouched = checkpoint
            .vouched
            .filter(|vouched| (log.min()..=log.written()).contains(vouched))?;
        if vouched == log.written() {
            return Some(vouched);
        }
        let is_own_stop = self.report.clean && self.known.is_some();
        let from = match log.may_be_vouched(vouched, is_own_stop)? {
            true => vouched,
            // In doubt the whole file is read: that costs time, never messages.
            false => log.next_file(vouched) - log.file_size,
        };
        Some(from.max(log.min()))
    }

    /// The newest file whose first record is older than the checkpoint's time; else the first file.
    pub(super) fn java_start(&self, log: &Log<D>, checkpoint: &Checkpoint) -> i64 {
        let files = log.files();
        let old_enough = files.iter().rev().find(|file| {
            let Ok(record) = log.record_at(file.start) else {
                return false;
            };
            let Ok(Entry::Record(view)) = decode(&record, Check::Lengths) else {
                return false;
            };
            view.store_timestamp() != 0 && view.store_timestamp() <= checkpoint.min_timestamp()
        });
        old_enough.map_or(log.min(), |file| file.start)
    }
}
