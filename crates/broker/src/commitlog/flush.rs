//! The flush thread.
//!
//! Under SYNC_FLUSH an answer is given after a sync that covers its records. While one sync runs, the next group gathers:
//! the thread takes everything appended by then. Under ASYNC_FLUSH the thread syncs each `flushIntervalCommitLog`
//! (RocketMQ 4.9.8, GroupCommitService and FlushRealTimeService).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use disk::Disk;
use metrics::Histogram;
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
    /// What syncs did.
    pub figures: FlushFigures,
}

/// What syncs did, those that had nothing to do left out.
pub struct FlushFigures {
    /// Bytes that one made durable.
    pub bytes: Histogram<9>,
    /// How long one took, µs.
    pub times_us: Histogram<9>,
    /// Requests that waited for the same one.
    pub answers: Histogram<8>,
}

static BYTES_BOUNDS: [u64; 9] = [
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];
static TIME_BOUNDS_US: [u64; 9] = [
    100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000, 10_000_000,
];
static ANSWER_BOUNDS: [u64; 8] = [1, 2, 4, 8, 16, 64, 256, 1024];

impl Default for FlushFigures {
    fn default() -> Self {
        Self {
            bytes: Histogram::new(&BYTES_BOUNDS),
            times_us: Histogram::new(&TIME_BOUNDS_US),
            answers: Histogram::new(&ANSWER_BOUNDS),
        }
    }
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
            let each = Duration::from_millis(settings.store.flush_commit_log_thorough_interval.max(0) as u64);
            let thorough = self.acknowledgements.takes_thorough_flush() || last_thorough.elapsed() >= each;
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
        let (before, begun) = (self.store.flushed().0, Instant::now());
        match self.store.flush(i64::from(least_pages)) {
            Ok(end) => {
                if end.0 > before {
                    self.figures.bytes.add((end.0 - before) as u64);
                    self.figures.times_us.add(begun.elapsed().as_micros() as u64);
                }
                self.acknowledgements.disk_has_flushed();
                self.reput.all();
                let answers = self.acknowledgements.flushed(end);
                if answers > 0 {
                    self.figures.answers.add(answers as u64);
                }
                self.synced.grew();
                self.reput.wake();
            }
            Err(latched) => self.acknowledgements.flush_failed(&latched.to_string()),
        }
    }
}
