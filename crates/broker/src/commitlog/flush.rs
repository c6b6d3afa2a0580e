//! The flush thread.
//!
//! Under SYNC_FLUSH an answer is given after a sync that covers its records. While one sync runs, the next group gathers:
//! the thread takes everything appended by then. Under ASYNC_FLUSH the thread syncs each `flushIntervalCommitLog`
//! (RocketMQ 4.9.8, GroupCommitService and FlushRealTimeService).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use disk::Disk;
use store::Store;

use super::{Acknowledgements, Growth, Reput};
use crate::settings::Settings;

/// Runs the flush thread.
pub struct Flusher<D: Disk> {
    /// What is flushed.
    pub store: Arc<Store<D>>,
    /// Who waits for it.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Wakes who sleeps until more is synced.
    pub synced: Arc<Growth>,
    /// Makes flushed records visible.
    pub reput: Arc<Reput<D>>,
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Set when the broker stops.
    pub stopping: Arc<AtomicBool>,
}

impl<D: Disk> Flusher<D> {
    /// The thread's body: ends after a last flush when the broker stops.
    pub fn run(&self) {
        let mut last_thorough = Instant::now();
        while !self.stopping.load(Ordering::Acquire) {
            let interval_ms = self.settings.load().store.flush_interval_commit_log;
            let interval = Duration::from_millis(interval_ms.max(1) as u64);
            self.acknowledgements.flush_request().wait(interval);
            // What counts may have changed meanwhile.
            let settings = self.settings.snapshot();
            let sync = settings.is_sync_flush();
            let thorough = last_thorough.elapsed()
                >= Duration::from_millis(settings.store.flush_commit_log_thorough_interval.max(0) as u64);
            let least_pages = match sync || thorough {
                true => 0,
                false => settings.store.flush_commit_log_least_pages,
            };
            if thorough {
                last_thorough = Instant::now();
            }
            self.flush(least_pages);
        }
        self.flush(0);
    }

    /// Syncs what was appended, unless that is less than `least_pages`; makes it visible, answers who waited for it, and
    /// then lets waiting consumers have it.
    pub fn flush(&self, least_pages: i32) {
        match self.store.flush(i64::from(least_pages)) {
            Ok(end) => {
                self.reput.all();
                self.acknowledgements.flushed(end);
                self.synced.grew();
                self.reput.wake();
            }
            Err(latched) => self.acknowledgements.flush_failed(&latched.to_string()),
        }
    }
}
