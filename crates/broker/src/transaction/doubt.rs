//! Marks that may be there without their messages.
//!
//! A power cut may take a page of the log and leave the next. Recovery steps over such damage: behind it there can be the mark of a
//! commit whose message was in it. (Java's recovery ends the log there, so the mark is gone as well, and the check asks again.)

use std::collections::BTreeSet;

use disk::Disk;
use message::name::{HALF_TOPIC, OP_HALF_TOPIC};
use store::PhysicalOffset;

use super::checks::{Checks, Halt};
use super::messages::{changed_text, moved};
use super::{QUEUE, ended};

/// Half messages that are put back at most: those of a minute of very many.
const DOUBTFUL_MAX: usize = 1 << 20;

impl<D: Disk> Checks<D> {
    /// Recovery has stepped over damage between these positions: half messages from before it whose marks lie behind it are put back,
    /// and so checked once more. Returns how many; called once, before anything else.
    pub fn put_back_doubtful(&self, first: PhysicalOffset, last: PhysicalOffset) -> usize {
        // Of the last records recovery may have built no units.
        self.appender.reput.all();
        let halves = self.doubtful(first);
        let (store, now) = (&self.appender.store, self.clock.now_ms());
        let mut count = 0;
        for half in halves {
            let mut slices = Vec::new();
            if self.read(HALF_TOPIC, half, &mut slices).is_err() {
                continue;
            }
            let found = store::records(&slices)
                .flatten()
                .find(|view| view.queue_offset() == half);
            let Some(view) = found.filter(|view| view.physical_offset() < last.0) else {
                continue;
            };
            let text = changed_text(&view, &[]);
            match self.appender.append_copy(&moved(&view, HALF_TOPIC, &text), now) {
                Ok(_) => count += 1,
                Err(e) => tracing::error!(
                    "half message {half} may be committed and lost, and can not be put back: {e}"
                ),
            }
        }
        if count > 0 {
            tracing::warn!(
                "{count} ended half messages are checked once more: the damage from {first} to {last} may have had their messages"
            );
            // The next start may not come to see the damage. A failure is latched, and told by every send.
            let _latched = store.flush(0);
        }
        count
    }

    /// What the marks behind a position name that are not done with.
    fn doubtful(&self, behind: PhysicalOffset) -> BTreeSet<i64> {
        let mut halves = BTreeSet::new();
        let place = self.place();
        let mut next = place.mark;
        let end = self.appender.store.queue_max_offset(OP_HALF_TOPIC, QUEUE).0;
        while next < end && halves.len() < DOUBTFUL_MAX {
            let mut slices = Vec::new();
            let read: Result<i64, Halt> = self.read(OP_HALF_TOPIC, next, &mut slices);
            let Ok(read) = read else { break };
            let marks = store::records(&slices).flatten();
            for mark in marks.filter(|mark| mark.physical_offset() > behind.0) {
                halves.extend(ended::named(mark.body()).filter(|half| *half >= place.half));
            }
            next = read.max(next + 1);
        }
        halves
    }
}
