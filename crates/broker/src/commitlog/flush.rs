//! The flush thread and the sends that wait for it.
//!
//! Under SYNC_FLUSH a send is answered after a sync that covers its record. While one sync runs, the next group
//! gathers: the thread takes everything appended by then. Under ASYNC_FLUSH the thread syncs each
//! `flushIntervalCommitLog` (RocketMQ 4.9.8, GroupCommitService and FlushRealTimeService).

use std::cmp::{Ordering as Order, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use protocol::code::response;
use tokio::sync::Notify;

use crate::Store;
use crate::arrivals::Arrivals;
use crate::handlers::send::Answer;
use crate::settings::Settings;

/// How often expired waits are looked for, ms.
pub const TICK_MS: u64 = 50;

/// A send whose record is in the log and waits to be on disk.
pub struct Stored {
    /// End of its record: on disk when the flushed end is not below it.
    pub end: i64,
    /// When it came, ms since 1970.
    pub since_ms: i64,
    /// The answer it will get.
    pub answer: Answer,
}

/// Ordered by the end of the record: the order in which syncs reach them. That is the order in which they came, too, but
/// for a few whose connections overtook each other between the append and here.
impl Ord for Stored {
    fn cmp(&self, other: &Self) -> Order {
        self.end.cmp(&other.end)
    }
}

impl PartialOrd for Stored {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.end == other.end
    }
}

impl Eq for Stored {}

#[derive(Default)]
struct State {
    /// The lowest end first.
    waiting: BinaryHeap<Reverse<Stored>>,
    wanted: bool,
}

/// Sends that wait for a flush.
#[derive(Default)]
pub struct FlushWaiters {
    state: Mutex<State>,
    work: Condvar,
    /// Wakes who looks for expired waits, when there is something to look for.
    first: Notify,
}

impl FlushWaiters {
    /// Answers when the record is on disk, or with FLUSH_DISK_TIMEOUT when that takes too long.
    pub fn wait(&self, stored: Stored, flushed: i64) {
        if stored.end <= flushed {
            return stored.answer.send(response::SUCCESS);
        }
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            self.first.notify_one();
        }
        state.waiting.push(Reverse(stored));
        let wake = !std::mem::replace(&mut state.wanted, true);
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// Waits until a send waits.
    pub async fn wait_for_any(&self) {
        while self.is_empty() {
            self.first.notified().await;
        }
    }

    /// Asks for a flush without waiting for it (WAIT=false under SYNC_FLUSH).
    pub fn nudge(&self) {
        let wake = !std::mem::replace(&mut self.state.lock().wanted, true);
        if wake {
            self.work.notify_one();
        }
    }

    /// How many sends wait.
    pub fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the oldest has waited, ms.
    pub fn head_wait_ms(&self, now: i64) -> i64 {
        self.state
            .lock()
            .waiting
            .peek()
            .map_or(0, |first| (now - first.0.since_ms).max(0))
    }

    /// Answers everybody whose record is on disk.
    fn flushed(&self, end: i64) {
        for stored in self.take(|s| s.end <= end) {
            stored.answer.send(response::SUCCESS);
        }
    }

    /// Answers everybody who has waited longer than `limit_ms`.
    pub fn expire(&self, now: i64, limit_ms: i64) {
        for stored in self.take(|s| now - s.since_ms > limit_ms) {
            stored.answer.send(response::FLUSH_DISK_TIMEOUT);
        }
    }

    /// Answers everybody that the disk failed: what is not on disk will never be.
    pub fn fail_all(&self, why: &str) {
        for stored in self.take(|_| true) {
            stored.answer.fail(response::SERVICE_NOT_AVAILABLE, why);
        }
    }

    /// Takes out the first ones, as long as they are `ready`.
    fn take(&self, ready: impl Fn(&Stored) -> bool) -> Vec<Stored> {
        let mut state = self.state.lock();
        let mut taken = Vec::new();
        while let Some(first) = state.waiting.peek()
            && ready(&first.0)
        {
            taken.extend(state.waiting.pop().map(|first| first.0));
        }
        taken
    }

    /// Waits until somebody wants a flush, at most `limit`.
    fn wait_for_work(&self, limit: Duration) {
        let mut state = self.state.lock();
        if !state.wanted {
            self.work.wait_for(&mut state, limit);
        }
        state.wanted = false;
    }
}

/// Runs the flush thread.
pub struct Flusher {
    /// What is flushed.
    pub store: Arc<Store>,
    /// Who waits for it.
    pub waiters: Arc<FlushWaiters>,
    /// Makes flushed records visible.
    pub arrivals: Arc<Arrivals>,
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Set when the broker stops.
    pub stopping: Arc<AtomicBool>,
    /// For pulls that are woken here and go on elsewhere.
    pub runtime: tokio::runtime::Handle,
}

impl Flusher {
    /// The thread's body: ends after a last flush when the broker stops.
    pub fn run(&self) {
        let _inside = self.runtime.enter();
        let mut last_thorough = Instant::now();
        while !self.stopping.load(Ordering::Acquire) {
            let settings = self.settings.snapshot();
            let sync = settings.is_sync_flush();
            let interval = Duration::from_millis(settings.store.flush_interval_commit_log.max(1) as u64);
            self.waiters.wait_for_work(interval);
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

    fn flush(&self, least_pages: i32) {
        match self.store.flush(i64::from(least_pages)) {
            Ok(end) => {
                self.arrivals.reput_all();
                self.waiters.flushed(end.0);
            }
            Err(latched) => self.waiters.fail_all(&latched.to_string()),
        }
    }
}
