//! Two threads around the store: `allocate` makes room ahead of the appends, `care` builds the index, flushes queue
//! files, saves the checkpoint and deletes what has expired. Both wait for the disk so that nobody else has to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use disk::Clock;
use parking_lot::{Condvar, Mutex};

use crate::Store;
use crate::settings::Settings;

/// How often expired files are looked for (`cleanResourceInterval`), and when first.
const RETENTION_EACH: Duration = Duration::from_secs(10);
const RETENTION_AFTER: Duration = Duration::from_secs(60);
/// Rest between two steps of preparing the log: 256 KiB a millisecond, faster when the appends come near.
const PREPARE_EACH: Duration = Duration::from_millis(1);
/// The index takes what came within this time together: woken for every append it would cost more than the index does.
const INDEX_EACH: Duration = Duration::from_millis(5);

/// Wakes a thread; any number of nudges while it works are one.
#[derive(Default)]
pub struct Wake {
    wanted: AtomicBool,
    lock: Mutex<()>,
    work: Condvar,
}

impl Wake {
    /// Asks the thread to look. Cheap when it has been asked already.
    pub fn nudge(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            let _held = self.lock.lock();
            self.work.notify_one();
        }
    }

    /// Sleeps until it is asked for, or for `limit`; asked, it lets `gather` pass first. Nudges of that time cost nobody a
    /// system call.
    pub(crate) fn wait_and_gather(&self, limit: Duration, gather: Duration) {
        let mut held = self.lock.lock();
        if !self.wanted.load(Ordering::Acquire) {
            self.work.wait_for(&mut held, limit);
        }
        drop(held);
        if self.wanted.load(Ordering::Acquire) {
            std::thread::sleep(gather.min(limit));
        }
        self.wanted.store(false, Ordering::Release);
    }

    /// Sleeps until it is asked for, or for `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let mut held = self.lock.lock();
        if !self.wanted.load(Ordering::Acquire) {
            self.work.wait_for(&mut held, limit);
        }
        self.wanted.store(false, Ordering::Release);
    }
}

/// What both threads need.
pub struct Care {
    /// What is cared for.
    pub store: Arc<Store>,
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Wakes the care thread.
    pub care: Arc<Wake>,
    /// Wakes the allocate thread.
    pub allocate: Arc<Wake>,
    /// Set when the broker stops.
    pub stopping: Arc<AtomicBool>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Care {
    /// The allocate thread's body.
    pub fn run_allocate(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            self.allocate.wait(Duration::from_secs(60));
            if self.store.needs_preparation() {
                self.store
                    .prepare_ahead(self.clock.now_ms(), &mut || std::thread::sleep(PREPARE_EACH));
            }
        }
    }

    /// The care thread's body.
    pub fn run_care(&self) {
        let start = Instant::now();
        let (mut last_flush, mut last_checkpoint) = (start, start);
        // Java's first run is a minute after the start.
        let mut last_retention = start + RETENTION_AFTER - RETENTION_EACH;
        while !self.stopping.load(Ordering::Acquire) {
            let settings = self.settings.snapshot();
            let flush_each = millis(settings.store.flush_interval_consume_queue);
            let left = flush_each.saturating_sub(last_flush.elapsed());
            self.care
                .wait_and_gather(left.max(Duration::from_millis(1)), INDEX_EACH);
            if self.store.index_lags() {
                // A failure is latched and logged by the store; health says so.
                let _latched = self.store.build_index();
            }
            if last_flush.elapsed() >= flush_each {
                last_flush = Instant::now();
                let thorough =
                    last_checkpoint.elapsed() >= millis(settings.store.flush_consume_queue_thorough_interval);
                if thorough {
                    last_checkpoint = Instant::now();
                }
                let least_pages = i64::from(settings.store.flush_consume_queue_least_pages);
                let _latched = self.store.flush_consumequeues(least_pages, thorough);
            }
            if last_retention.elapsed() >= RETENTION_EACH {
                last_retention = Instant::now();
                self.retain();
            }
        }
    }

    fn retain(&self) {
        if let Err(latched) = self.store.remove_deleted() {
            tracing::debug!("deleted topics: {latched}");
        }
        match self.store.tick_retention(self.clock.now_ms()) {
            Ok(removed) => {
                for path in &removed.log {
                    tracing::info!("expired and removed: {}", path.display());
                }
                if removed.queue_files > 0 {
                    tracing::info!("{} queue files followed the log", removed.queue_files);
                }
            }
            Err(latched) => tracing::debug!("retention: {latched}"),
        }
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(ms.max(1) as u64)
}
