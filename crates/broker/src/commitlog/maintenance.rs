//! Two threads around the store: `allocate` makes room ahead of the appends, `maintenance` builds the index, flushes queue
//! files, saves the checkpoint and deletes what has expired. Both wait for the disk so that nobody else has to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use disk::{Clock, Disk};
use store::Store;

use super::Wake;
use crate::settings::Settings;

/// How often expired files are looked for (`cleanResourceInterval`), and when first.
const RETENTION_EACH: Duration = Duration::from_secs(10);
const RETENTION_AFTER: Duration = Duration::from_secs(60);
/// Rest between two steps of preparing the log: 256 KiB a millisecond, faster when the appends come near.
const PREPARE_EACH: Duration = Duration::from_millis(1);
/// The index takes what came within this time together: woken for every append it would cost more than the index does.
const INDEX_EACH: Duration = Duration::from_millis(5);

/// What both threads need.
pub struct Maintenance<D: Disk> {
    /// What is maintained.
    pub store: Arc<Store<D>>,
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Wakes the maintenance thread.
    pub maintenance: Arc<Wake>,
    /// Wakes the allocate thread.
    pub allocate: Arc<Wake>,
    /// Set when the broker stops.
    pub stopping: Arc<AtomicBool>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk> Maintenance<D> {
    /// The allocate thread's body.
    pub fn run_allocate(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            self.allocate.wait(Duration::from_secs(60));
            if self.store.needs_preparation() {
                self.store
                    .prepare_ahead(self.clock.now_ms(), &mut || self.allocate.pause(PREPARE_EACH));
            }
        }
    }

    /// The maintenance thread's body.
    pub fn run_maintenance(&self) {
        let start = Instant::now();
        let (mut last_flush, mut last_checkpoint) = (start, start);
        // Java's first run is a minute after the start.
        let mut last_retention = start + RETENTION_AFTER - RETENTION_EACH;
        while !self.stopping.load(Ordering::Acquire) {
            let flush_each = || millis(self.settings.load().store.flush_interval_consume_queue);
            let left = flush_each().saturating_sub(last_flush.elapsed());
            self.maintenance
                .wait_and_gather(left.max(Duration::from_millis(1)), INDEX_EACH);
            if self.store.index_lags() {
                // A failure is latched and logged by the store; health says so.
                let _latched = self.store.build_index();
            }
            if last_flush.elapsed() >= flush_each() {
                last_flush = Instant::now();
                // What counts may have changed while it slept.
                let settings = self.settings.snapshot();
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

    /// What the maintenance thread does each ten seconds: removes what is deleted, and what has expired by today's settings and by
    /// the hour of the zone.
    pub fn retain(&self) {
        if let Err(latched) = self.store.remove_deleted() {
            tracing::debug!("deleted topics: {latched}");
        }
        let now = self.clock.now_ms();
        self.store.set_local_offset(settings::host::local_offset_ms(now));
        match self.store.tick_retention(now) {
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
