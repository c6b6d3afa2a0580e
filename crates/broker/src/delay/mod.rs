//! Delayed messages: the levels, how far each has been delivered, and the delivery of what is due.
//!
//! A message with a DELAY property waits in SCHEDULE_TOPIC_XXXX, queue level - 1; its queue unit holds the due time in
//! the place of the tagsCode. Rules: RocketMQ 4.9.8, ScheduleMessageService (reference: behaviours.md §1).

mod delivery;
mod offsets;

pub use delivery::{Delivery, ParkedListener, QuietUntil};
pub use offsets::{Content as DelayOffsetContent, DelayOffsetFile, DelayOffsets};
