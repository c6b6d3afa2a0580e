//! Reput: queue units are built for what became visible, and who waits for messages hears of them.
//!
//! Whoever advanced the visible end (a connection's task after its append, the flush thread after its sync) builds units up
//! to it, so a record is readable before its sender has its answer. What others made visible meanwhile is left to the
//! `reput` thread: under load there is always more, and a connection's task that went on would never serve its connection
//! again.
//!
//! Listeners are told of each message at once and act on it later, in [`Reput::wake`]: after the producer's own answer is
//! on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use disk::Disk;
use store::{Arrival, Store};

use super::Wake;
use crate::config::{SettingsChange, SettingsListener};

/// Records that a connection's task builds units for, at least, before it goes back to its connection.
const INLINE: usize = 64;
/// Records between two looks at the time, no more than [`INLINE`], and the time a connection's task gives to building: queues that are new wait for
/// the disk to make their files, and others wait for this worker.
const STEP: usize = 64;
const INLINE_TIME: Duration = Duration::from_millis(5);
/// How long the reput thread sleeps when nobody asks for it; and when a queue file could not be had, for want of space or
/// descriptors, until it is tried again.
const IDLE: Duration = Duration::from_secs(60);
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Somebody who waits for messages: held pulls, the delivery of delayed messages.
pub trait ArrivalListener: Send + Sync + 'static {
    /// A message became readable. Called under the reput lock: notes it and no more.
    fn arrived(&self, arrival: &Arrival<'_>);

    /// Acts on what was noted. Called often: cheap when there is nothing.
    fn wake(&self);
}

/// Builds queue units and tells the listeners.
pub struct Reput<D: Disk> {
    /// Where the units are built.
    pub store: Arc<Store<D>>,
    /// Who hears of messages.
    pub listeners: Vec<Arc<dyn ArrivalListener>>,
    /// Wakes the thread that goes on with what is left.
    pub rest: Arc<Wake>,
    /// Wakes the thread that builds the index.
    pub maintenance: Arc<Wake>,
    /// Wakes the thread that prepares the log ahead.
    pub allocate: Arc<Wake>,
}

impl<D: Disk> Reput<D> {
    /// Builds units for what is visible now, on a connection's task that made `own` records visible.
    pub fn some(&self, own: usize) {
        let mut left = own.max(INLINE) - STEP;
        // Nearly every read is done with one step, and needs no clock.
        let begun = (left > 0).then(Instant::now);
        let mut more = self.once(STEP);
        while more && left > 0 && begun.is_some_and(|begun| begun.elapsed() < INLINE_TIME) {
            let step = left.min(STEP);
            more = self.once(step);
            left -= step;
        }
        if more {
            self.rest.nudge();
        }
    }

    /// Builds units for everything that is visible now, on a thread that may take its time.
    pub fn all(&self) {
        if self.once(usize::MAX) {
            self.rest.nudge();
        }
    }

    /// Lets the listeners act.
    pub fn wake(&self) {
        self.listeners.iter().for_each(|listener| listener.wake());
    }

    /// The reput thread's body.
    pub fn run(&self, stopping: &AtomicBool) {
        while !stopping.load(Ordering::Acquire) {
            let is_behind = self.store.reput_end() < self.store.visible();
            self.rest.wait(if is_behind { AGAIN_AFTER } else { IDLE });
            while self.once(usize::MAX) {}
            self.wake();
        }
    }

    /// True if there is more that nobody is at.
    fn once(&self, most: usize) -> bool {
        let more = self.store.reput_some(most, &mut |arrival| {
            for listener in &self.listeners {
                listener.arrived(arrival);
            }
        });
        if self.store.index_lags() {
            self.maintenance.nudge();
        }
        if self.store.needs_preparation() {
            self.allocate.nudge();
        }
        more.unwrap_or_else(|latched| {
            tracing::debug!("reput: {latched}");
            false
        })
    }
}

/// The maintenance thread sleeps by the old interval.
impl<D: Disk> SettingsListener for Reput<D> {
    fn changed(&self, _change: &SettingsChange) {
        self.maintenance.nudge();
    }
}
