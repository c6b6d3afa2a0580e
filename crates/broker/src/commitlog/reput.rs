//! What happens after messages became visible: queue units are built and waiting pulls run again.
//!
//! Whoever advanced the visible end (a connection's task after its append, the flush thread after its sync) reputs up
//! to it, so a record is readable before its sender has its answer. What others made visible meanwhile is left to the
//! `reput` thread: under load there is always more, and a connection's task that went on would never serve its
//! connection again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Store;
use crate::care::Wake;
use crate::handlers::pull::{HeldPull, Pull};
use crate::hold::Hold;
use message::name::SCHEDULE_TOPIC;
use tokio::sync::Notify;

/// Records that a connection's task reputs, at least, before it goes back to its connection.
const INLINE: usize = 64;

/// Builds queue units and wakes pulls.
pub struct Arrivals {
    /// Where the units are built.
    pub store: Arc<Store>,
    /// Who waits.
    pub hold: Arc<Hold<HeldPull>>,
    /// Runs them again.
    pub pull: Arc<Pull>,
    /// Builds the index.
    pub care: Arc<Wake>,
    /// Looks at the delayed messages.
    pub parked: Arc<Notify>,
    /// Prepares the log ahead.
    pub allocate: Arc<Wake>,
    /// Reputs what is left.
    pub rest: Arc<Wake>,
}

impl Arrivals {
    /// Reputs what is visible now, on a connection's task that made `own` records visible.
    pub fn reput(&self, own: usize) {
        if self.reput_once(own.max(INLINE)) {
            self.rest.nudge();
        }
    }

    /// Reputs everything that is visible now, on a thread that may take its time.
    pub fn reput_all(&self) {
        if self.reput_once(usize::MAX) {
            self.rest.nudge();
        }
    }

    /// The reput thread's body.
    pub fn run(&self, stopping: &AtomicBool) {
        while !stopping.load(Ordering::Acquire) {
            self.rest.wait(Duration::from_secs(60));
            while self.reput_once(usize::MAX) {}
        }
    }

    /// True if there is more that nobody is at.
    fn reput_once(&self, most: usize) -> bool {
        let (mut woken, mut parked) = (Vec::new(), false);
        let more = self.store.reput_some(most, &mut |unit| {
            parked |= unit.topic == SCHEDULE_TOPIC;
            if !self.hold.is_empty() {
                let end = unit.queue_offset.0 + 1;
                woken.append(
                    &mut self
                        .hold
                        .take(unit.topic, unit.queue_id, end, Some(unit.tags_code)),
                );
            }
        });
        let more = more.unwrap_or_else(|latched| {
            tracing::debug!("reput: {latched}");
            false
        });
        if parked {
            self.parked.notify_one();
        }
        if self.store.index_lags() {
            self.care.nudge();
        }
        if self.store.needs_preparation() {
            self.allocate.nudge();
        }
        // Outside the reput lock: a pull may take its time.
        for held in woken {
            self.pull.again(held);
        }
        more
    }
}
