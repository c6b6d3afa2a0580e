//! What happens after messages became visible: queue units are built and waiting pulls run again.
//!
//! There is no thread for it: whoever advanced the visible end (a connection's task after its append, the flush thread
//! after its sync) dispatches up to it. A record is readable before its sender has its answer.

use std::sync::Arc;

use disk::Clock;

use crate::Store;
use crate::handlers::pull::{HeldPull, Pull};
use crate::hold::Hold;

/// Builds queue units and wakes pulls.
pub struct Arrivals {
    /// Where the units are built.
    pub store: Arc<Store>,
    /// Who waits.
    pub hold: Arc<Hold<HeldPull>>,
    /// Runs them again.
    pub pull: Arc<Pull>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Arrivals {
    /// Dispatches everything that is visible and not yet dispatched.
    pub fn dispatch(&self) {
        let mut woken = Vec::new();
        self.store.dispatch(self.clock.now_ms(), &mut |unit| {
            if !self.hold.is_empty() {
                let end = unit.queue_offset + 1;
                woken.append(&mut self.hold.take(unit.topic, unit.queue_id, end, Some(unit.tags_code)));
            }
        });
        // Outside the dispatch lock: a pull may take its time.
        for held in woken {
            self.pull.again(held);
        }
    }
}
