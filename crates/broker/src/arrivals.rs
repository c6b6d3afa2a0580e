//! What happens after messages became visible: queue units are built and waiting pulls run again.
//!
//! There is no thread for it: whoever advanced the visible end (a connection's task after its append, the flush thread
//! after its sync) dispatches up to it. A record is readable before its sender has its answer.

use std::sync::Arc;

use crate::Store;
use crate::care::Wake;
use crate::handlers::pull::{HeldPull, Pull};
use crate::hold::Hold;
use crate::topics::SCHEDULE_TOPIC;
use tokio::sync::Notify;

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
}

impl Arrivals {
    /// Dispatches everything that is visible and not yet dispatched.
    pub fn dispatch(&self) {
        let (mut woken, mut parked) = (Vec::new(), false);
        let dispatched = self.store.dispatch(&mut |unit| {
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
        if let Err(latched) = dispatched {
            tracing::debug!("dispatch: {latched}");
        }
        if parked {
            self.parked.notify_one();
        }
        if self.store.index_lags() {
            self.care.nudge();
        }
        if self.store.needs_preparation() {
            self.allocate.nudge();
        }
        // Outside the dispatch lock: a pull may take its time.
        for held in woken {
            self.pull.again(held);
        }
    }
}
