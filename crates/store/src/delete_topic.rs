//! Deleting a topic: its queues go at once, their files in time.
//!
//! A topic of 20,000 queues has as many directories and files. To unlink them takes seconds, in which nobody could wait for the
//! reput lock; so they are moved out of the way by one rename, and removed a few at a time.

use crate::latch::{Latched, Undone};
use crate::offset::PhysicalOffset;
use crate::queue::Queue;
use crate::settings::StoreSettings;
use crate::store::{LogWriter, Store};
use disk::{Disk, MappedFile};
use message::name;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why a deletion does not hold.
#[derive(Debug, thiserror::Error)]
pub enum DeleteTopicError {
    /// Writes are off for good.
    #[error(transparent)]
    Latched(#[from] Latched),
    /// It could not be noted: a start after a kill would bring the queues back. Until then they are gone; deleting the topic once
    /// more tries again.
    #[error("the deletion could not be noted, a restart may undo it: {0}")]
    NotNoted(disk::Error),
}

/// Why a slave has not deleted what its master has.
#[derive(Debug, thiserror::Error)]
pub enum DeleteTopicsError {
    /// As for one topic.
    #[error(transparent)]
    Delete(#[from] DeleteTopicError),
    /// What a topic had that was made anew could not be put into its queues. The same call again does all of it.
    #[error("the queues of deleted topics could not be built anew: {0}")]
    NotBuilt(disk::Error),
}

impl From<Latched> for DeleteTopicsError {
    fn from(latched: Latched) -> Self {
        DeleteTopicsError::Delete(latched.into())
    }
}

/// What a slave's topics lost and got back when its deletions became its master's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchedDeletions {
    /// Topics that were deleted now, or from a later position on.
    pub deleted: Vec<String>,
    /// Topics that have messages again which this store had deleted and the master has not.
    pub restored: Vec<String>,
}

/// Queues whose files are removed in one run.
const RUN: usize = 2000;

impl StoreSettings {
    /// Where the queues of deleted topics are until their files are removed. Not below the consumequeues: every directory
    /// there is a topic.
    pub fn deleted_dir(&self) -> PathBuf {
        self.root_dir.join("deleted_queues")
    }
}

impl<D: Disk> Store<D> {
    /// Deletes all queues of a topic, durably: once it returns no start brings them back. Its records stay in the log until they
    /// expire. The files of its queues are removed by [`Store::remove_deleted`].
    ///
    /// Where they can not be moved or removed, that is told and no error: the queues are gone for all who ask, and a topic of
    /// the name begins anew.
    pub fn delete_topic(&self, topic: &str) -> Result<(), DeleteTopicError> {
        if name::check_any_topic(topic).is_err() {
            return Ok(());
        }
        self.take_out(topic)?;
        // Without the locks: nobody else has to wait for the disk. First the log up to the position that is noted: cut below it by a
        // power cut, and continued by Java's broker, it would have new messages of the topic where the note says deleted ones are.
        self.flush(0)?;
        self.save_deletions().map_err(DeleteTopicError::NotNoted)
    }

    /// Makes a slave's deletions its master's, durably: `master` is all that the master has noted, and it knows them from `master_min` on:
    /// its log begins there, or it has lost its notes.
    ///
    /// What a topic has before the position that the master names goes, and what follows, of a topic that was made anew, is in queues
    /// that begin anew. The log may not have come there: of what comes until then nothing gets a place in the topic's queues. A deletion
    /// that only this store has, because it was a master once, is undone, unless the master's log has nothing before it any more; the
    /// topic's queues are built from the log.
    ///
    /// Appends and reput wait meanwhile: for as long as it takes to read the log from the first position that is another one, from its
    /// beginning where a deletion is undone.
    ///
    /// # Errors
    /// Not all was done. The same call again does the rest.
    pub fn match_deletions(
        &self,
        master: &BTreeMap<String, PhysicalOffset>,
        master_min: PhysicalOffset,
    ) -> Result<MatchedDeletions, DeleteTopicsError> {
        let own = self.deletions.all();
        let position = |topic: &str| own.get(topic).map_or(0, |position| position.0);
        let is_undone = |(topic, position): &(&String, &PhysicalOffset)| {
            !master.contains_key(*topic) && **position > master_min
        };
        let told = master
            .iter()
            .filter(|(topic, _)| name::check_any_topic(topic).is_ok());
        // Each with the position from which on its records count.
        let topics: BTreeMap<&str, i64> = told
            .map(|(topic, position)| (topic.as_str(), position.0))
            .chain(own.iter().filter(is_undone).map(|(topic, _)| (topic.as_str(), 0)))
            .filter(|(topic, from)| position(topic) != *from)
            .collect();
        // What a log that is still to come has lost nobody here knows.
        let is_new = self.log.written() == self.log.min();
        self.deletions.match_since(master_min.0, is_new);
        let Some(&first) = topics.values().min() else {
            self.save_deletions().map_err(DeleteTopicError::NotNoted)?;
            return Ok(MatchedDeletions::default());
        };
        let built = |undone| match undone {
            Undone::Latched(latched) => DeleteTopicsError::from(latched),
            Undone::Waits(error) => DeleteTopicsError::NotBuilt(error),
        };
        {
            let _flush = self.flush_lock.lock();
            let _queue_flush = self.queue_flush_lock.lock();
            let index = self.index.lock();
            let reput = self.reput.lock();
            // What is vouched for may be the old queues, behind the position where they end.
            self.withdraw_checkpoint(first.max(self.log.min()), index.as_ref())
                .map_err(built)?;
            for topic in topics.keys() {
                let queues = self.detach(topic, &self.writer.lock());
                self.forget_files(topic, &queues)?;
            }
            self.put_again(&topics, first.max(self.log.min()), reput.position)
                .map_err(built)?;
            // Last, so that one that failed is made again.
            for (topic, position) in &topics {
                match position {
                    0 => self.deletions.forget(topic),
                    _ => self.note_deletion(topic, *position),
                }
            }
        }
        self.flush(0)?;
        self.save_deletions().map_err(DeleteTopicError::NotNoted)?;
        let (restored, deleted) = topics
            .iter()
            .partition::<Vec<_>, _>(|(topic, from)| **from < position(topic));
        let names =
            |topics: Vec<(&&str, &i64)>| topics.into_iter().map(|(topic, _)| (*topic).to_owned()).collect();
        Ok(MatchedDeletions {
            deleted: names(deleted),
            restored: names(restored),
        })
    }

    /// From which position of the log on all deletions are known.
    pub fn deletions_known_from(&self) -> PhysicalOffset {
        PhysicalOffset(self.deletions.since())
    }

    /// The topics whose deletion still matters, each with the position of the log before which nothing of it counts.
    pub fn deleted_topics(&self) -> BTreeMap<String, PhysicalOffset> {
        self.deletions.all()
    }

    fn take_out(&self, topic: &str) -> Result<(), Latched> {
        let _reput = self.reput.lock();
        let queues = {
            let writer = self.writer.lock();
            let queues = self.detach(topic, &writer);
            self.note_deletion(topic, writer.position);
            queues
        };
        self.forget_files(topic, &queues)
    }

    fn note_deletion(&self, topic: &str, position: i64) {
        if let Some(forgotten) = self.deletions.note(topic, position) {
            tracing::warn!(
                "so many topics were deleted whose messages are still in the commitlog that the deletion of {forgotten} is \
                 forgotten: were the queues built again from the commitlog, it would come back"
            );
        }
    }

    /// The queues of a topic, which nobody finds any more. Under both locks.
    fn detach(&self, topic: &str, _writer: &LogWriter<D>) -> Vec<Arc<Queue<D::File>>> {
        let queues = self.queues.remove(topic);
        queues
            .iter()
            .for_each(|queue| queue.deleted.store(true, Ordering::Release));
        queues
    }

    fn forget_files(&self, topic: &str, queues: &[Arc<Queue<D::File>>]) -> Result<(), Latched> {
        queues
            .iter()
            .flat_map(|queue| queue.take_all())
            .for_each(|file| file.file.forget());
        for (dir, kind) in [
            (&self.queue_files.dir, "queues"),
            (&self.queue_files.ext_dir, "ext"),
        ] {
            if let Err(undone) = self.put_away(&dir.join(topic), kind) {
                undone.until_next_time("the deletion of a topic's files")?;
            }
        }
        Ok(())
    }

    /// Moves a topic's directory to those that are removed in time.
    pub(crate) fn put_away(&self, dir: &Path, kind: &str) -> Result<(), Undone> {
        let deleted = self.settings.deleted_dir();
        let moved = self.disk.create_dirs(&deleted).and_then(|()| {
            let number = self.deleted_number.fetch_add(1, Ordering::Relaxed);
            let position = self.log.written();
            self.disk
                .rename(dir, &deleted.join(format!("{position}-{number}-{kind}")))
        });
        match moved {
            Ok(()) => {
                self.has_deleted.store(true, Ordering::Release);
                Ok(())
            }
            // Queues on a file system of their own, for one.
            Err(_) => self.latch.guard(self.disk.remove_dir_all(dir)),
        }
    }

    /// Removes files of deleted topics, those of 2,000 queues at most. True if there are more. For a thread that may wait for
    /// the disk; cheap where nothing was deleted.
    pub fn remove_deleted(&self) -> Result<bool, Latched> {
        // The flag first: a topic that is deleted meanwhile sets it again.
        if !self.has_deleted.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        let removed = self.remove_some();
        if !matches!(removed, Ok(false)) {
            self.has_deleted.store(true, Ordering::Release);
        }
        removed.or_else(|undone| {
            undone.until_next_time("the deletion of a topic's files")?;
            Ok(false)
        })
    }

    fn remove_some(&self) -> Result<bool, Undone> {
        let deleted = self.settings.deleted_dir();
        let mut left = RUN;
        for topic in self.latch.guard(self.disk.list(&deleted))? {
            let topic = deleted.join(topic.name);
            for queue in self.latch.guard(self.disk.list(&topic))? {
                if left == 0 {
                    return Ok(true);
                }
                left -= 1;
                self.latch
                    .guard(self.disk.remove_dir_all(&topic.join(queue.name)))?;
            }
            self.latch.guard(self.disk.remove_dir_all(&topic))?;
        }
        Ok(false)
    }
}
