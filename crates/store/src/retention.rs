//! Retention: which files may go, and when the disk is too full for writes.

use crate::append::DiskFull;
use crate::flush::Save;
use crate::latch::{Latched, Undone};
use crate::live_settings::Retention;
use crate::store::Store;
use disk::{Disk, MappedFile};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Runs that a manual request lasts (Java: TRIGGER_DELETE_FILES sets a counter of 20).
const MANUAL_RUNS: i64 = 20;
const HOUR_MS: i64 = 3_600_000;

/// How the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Writes are off for good, and why.
    pub latched: Option<Latched>,
    /// Writes are off until space comes back, and where it is missing.
    pub disk_full: Option<DiskFull>,
    /// Writes are off until units that found no space are built.
    pub units_wait: Option<UnitsWait>,
    /// Writes are off until consumequeues can be built again.
    pub reput_stuck: Option<ReputStuck>,
}

/// Units for which there was no space when the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consumequeue units of {bytes} bytes of the commitlog wait for space on the disk")]
pub struct UnitsWait {
    /// Bytes of the log that have no units yet.
    pub bytes: i64,
}

/// How long reput may wait before sends are refused, ms: what fails in between may be over soon.
const REPUT_WAITS_MS: i64 = 5_000;

/// Reput waits, and why.
#[derive(Debug)]
pub(crate) struct ReputWait {
    error: String,
    /// When a look first found it waiting, ms.
    since: Option<i64>,
}

/// Why consumequeues are not built: nothing that was sent since reaches a consumer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consumequeues are not built, no consumer gets what is sent: {error}")]
pub struct ReputStuck {
    /// What the system said.
    pub error: String,
}

impl Health {
    /// What a send would be refused with; none if messages are taken.
    pub fn problem(&self) -> Option<String> {
        let latched = self.latched.as_ref().map(Latched::to_string);
        latched
            .or_else(|| self.disk_full.as_ref().map(DiskFull::to_string))
            .or_else(|| self.units_wait.as_ref().map(UnitsWait::to_string))
            .or_else(|| self.reput_stuck.as_ref().map(ReputStuck::to_string))
    }

    /// Whether messages are taken.
    pub fn is_writable(&self) -> bool {
        self.latched.is_none()
            && self.disk_full.is_none()
            && self.units_wait.is_none()
            && self.reput_stuck.is_none()
    }
}

/// What a retention run removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Log files.
    pub log: Vec<PathBuf>,
    /// Number of consumequeue files.
    pub queue_files: usize,
}

impl<D: Disk> Store<D> {
    /// Whether messages are taken, and if not, why.
    pub fn health(&self) -> Health {
        Health {
            latched: self.latched(),
            disk_full: self.disk_full.read().clone(),
            units_wait: self.units_wait(),
            reput_stuck: self.reput_stuck(),
        }
    }

    /// Why reput has not come on for a while, if so.
    pub(crate) fn reput_stuck(&self) -> Option<ReputStuck> {
        if !self.is_reput_stuck.load(Ordering::Acquire) {
            return None;
        }
        let waits = self.reput_waits.lock();
        waits.as_ref().map(|wait| ReputStuck {
            error: wait.error.clone(),
        })
    }

    /// Reput comes on, or can not.
    pub(crate) fn note_reput(&self, failed: Option<&disk::Error>) {
        let mut waits = self.reput_waits.lock();
        self.has_reput_waited.store(failed.is_some(), Ordering::Relaxed);
        match (failed, &mut *waits) {
            (None, _) => {
                *waits = None;
                self.is_reput_stuck.store(false, Ordering::Release);
            }
            (Some(error), Some(wait)) => wait.error = error.to_string(),
            (Some(error), None) => {
                let (error, since) = (error.to_string(), None);
                *waits = Some(ReputWait { error, since });
            }
        }
    }

    fn look_at_reput(&self, now: i64) {
        if let Some(wait) = &mut *self.reput_waits.lock() {
            let since = *wait.since.get_or_insert(now);
            if now - since >= REPUT_WAITS_MS {
                self.is_reput_stuck.store(true, Ordering::Release);
            }
        }
    }

    /// The units that still wait for space since the start.
    pub(crate) fn units_wait(&self) -> Option<UnitsWait> {
        match self.units_wait_until.load(Ordering::Acquire) {
            0 => None,
            until => Some(UnitsWait {
                bytes: until - self.reput_end.load(Ordering::Acquire),
            }),
        }
    }

    /// Nothing is appended before the units of `from..until` of the log are built. Reput builds them.
    pub(crate) fn let_units_wait(&self, from: i64, until: i64) {
        self.reput.lock().position = from;
        self.reput_end.store(from, Ordering::SeqCst);
        // No later than that of any record that has a unit.
        self.reput_timestamp.store(0, Ordering::Release);
        self.units_wait_until.store(until, Ordering::Release);
    }

    /// Takes appends again once reput has built what waited: now it is known which offsets are next.
    fn end_units_wait(&self) {
        let until = self.units_wait_until.load(Ordering::Acquire);
        if until == 0 || self.reput_end.load(Ordering::SeqCst) < until {
            return;
        }
        let _writer = self.writer.lock();
        for queue in self.queues.all() {
            queue.next.fetch_max(queue.end(), Ordering::Relaxed);
        }
        self.units_wait_until.store(0, Ordering::Release);
        tracing::info!("the consumequeue units that waited for space are built, writes go on");
    }

    /// Used space in percent where the log lies (the least used of its directories counts) and where the queues lie.
    pub fn disk_percent(&self) -> disk::Result<(u32, u32)> {
        let mut log = 100;
        for dir in &self.settings.commitlog_dirs {
            log = log.min(self.disk.usage(dir)?.percent());
        }
        Ok((log, self.disk.usage(&self.queue_files.dir)?.percent()))
    }

    /// Looks at the disk levels, whether units still wait for space, and whether reput comes on; `now` in ms. Once a second is cheap and lets writes go on soon after
    /// space came back.
    ///
    /// Above the warning level writes are refused; they are taken again at or below the clean-forcibly level. In
    /// between nothing changes (RocketMQ 4.9.8, CleanCommitLogService).
    pub fn tick_disk(&self, now: i64) {
        self.end_units_wait();
        self.look_at_reput(now);
        let (log, queues) = match self.disk_percent() {
            Ok(percents) => percents,
            Err(error) => {
                tracing::warn!(%error, "disk levels unknown");
                return;
            }
        };
        let levels = self.live.retention();
        let warning = levels.disk_warning_percent;
        let places = [
            (log, &self.settings.commitlog_dirs[0]),
            (queues, &self.queue_files.dir),
        ];
        let over = places.iter().find(|(percent, _)| *percent > warning);
        let mut full = self.disk_full.write();
        if let Some((percent, path)) = over {
            if full.is_none() {
                tracing::error!(path = %path.display(), percent, threshold = warning, "disk full, writes stop");
            }
            *full = Some(DiskFull {
                path: path.to_path_buf(),
                percent: *percent,
                threshold: warning,
            });
        } else if places
            .iter()
            .all(|(percent, _)| *percent <= levels.disk_clean_forcibly_percent)
            && full.take().is_some()
        {
            tracing::info!(log, queues, "space came back, writes go on");
        }
        let is_full = full.is_some() || self.units_wait().is_some();
        self.is_disk_full.store(is_full, Ordering::Release);
    }

    /// Deletes expired files at the next runs, whatever the hour (TRIGGER_DELETE_FILES).
    pub fn delete_expired_soon(&self) {
        self.delete_runs.store(MANUAL_RUNS, Ordering::Release);
    }

    /// One retention run; Java has one every 10 s, the first after 60 s. Removes expired log files and then what points
    /// into them. Readers that still have slices of a removed file keep them.
    pub fn tick_retention(&self, now: i64) -> Result<Removed, Latched> {
        let _alone = self.retention_lock.lock();
        self.latch.check()?;
        let (log, queues) = match self.disk_percent() {
            Ok(percents) => percents,
            Err(error) => {
                tracing::warn!(%error, "retention waits");
                return Ok(Removed::default());
            }
        };
        let highest = log.max(queues);
        let hour = ((now + self.live.local_offset_ms()).div_euclid(HOUR_MS)).rem_euclid(24) as u32;
        let manual = self.delete_runs.load(Ordering::Acquire) > 0;
        if manual {
            self.delete_runs.fetch_sub(1, Ordering::AcqRel);
        }
        let rules = self.live.retention();
        let mut removed = Removed::default();
        let due = rules.delete_when.contains(&hour) || highest > rules.disk_max_used_percent || manual;
        if due {
            let forced = rules.clean_forcibly && highest > rules.disk_clean_forcibly_percent;
            self.delete_log_files(now, forced, &rules, &mut removed.log)
                .or_else(|undone| undone.until_next_time("the deletion of expired files"))?;
        }
        // Also for files that went in another way, or before a crash that kept this from happening.
        self.follow_log_min(&mut removed.queue_files)
            .or_else(|undone| undone.until_next_time("the deletion of expired files"))?;
        Ok(removed)
    }

    fn delete_log_files(
        &self,
        now: i64,
        forced: bool,
        rules: &Retention,
        paths: &mut Vec<PathBuf>,
    ) -> Result<(), Undone> {
        let files = self.log.files();
        let flushed = self.log.flushed();
        let reput_end = self.reput_end.load(Ordering::Acquire);
        let age = rules.file_reserved_hours.saturating_mul(HOUR_MS);
        // Never the last file, nor one that has something in it that still has to be flushed or given its units.
        for file in files
            .iter()
            .take(files.len().saturating_sub(1))
            .take(rules.delete_batch_max)
        {
            let expired = now >= file.modified_ms.load(Ordering::Relaxed).saturating_add(age);
            if !(expired || forced) || file.start + self.log.file_size > flushed.min(reput_end) {
                break;
            }
            // Out of the log only when it is off the disk: one that stayed would be a gap for the next start.
            self.latch.guard(self.disk.remove_file(file.file.path()))?;
            self.log.retain(|other| other.start != file.start);
            file.file.forget();
            paths.push(file.file.path().to_path_buf());
        }
        Ok(())
    }

    /// Brings queues and index after the log's oldest file.
    fn follow_log_min(&self, count: &mut usize) -> Result<(), Undone> {
        let min = self.log.min();
        // Looking at 100,000 queues is work; the first run after a start does it if anything was ever deleted.
        if min == self.followed_min.load(Ordering::Acquire) {
            return Ok(());
        }
        for queue in self.queues.all() {
            if queue.is_deleted() || !self.latch.guard(queue.starts_before(min))? {
                continue;
            }
            self.latch.guard(queue.correct_min(min))?;
            for file in self.latch.guard(queue.take_expired(min))? {
                file.file.forget();
                self.latch.guard(self.disk.remove_file(file.file.path()))?;
                *count += 1;
            }
        }
        if let Some(index) = self.index.lock().as_mut() {
            self.latch.guard(index.remove_expired(&self.disk, min))?;
        }
        self.follow_deletions()?;
        if *count > 0 {
            // A start must not take what went for what was lost.
            self.flush_queues(0, Save::Both)?;
        }
        self.followed_min.store(min, Ordering::Release);
        Ok(())
    }
}
