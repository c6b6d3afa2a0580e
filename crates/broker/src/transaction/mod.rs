//! Transactions: half messages, the marks of those that are ended, and the check of the others.
//!
//! Rules: RocketMQ 4.9.7, TransactionalMessageBridge and TransactionalMessageServiceImpl (reference: behaviours.md §3). What is
//! in the log and in consumerOffset.json is what a Java broker writes, so that either takes over from the other.
//!
//! | | topic, queue 0 | |
//! |---|---|---|
//! | half message | RMQ_SYS_TRANS_HALF_TOPIC | the message, with REAL_TOPIC and REAL_QID |
//! | mark | RMQ_SYS_TRANS_OP_HALF_TOPIC | tag `d`, its body the half message's queue offset; 5.x: several, each with a comma |
//! | given up | TRANS_CHECK_MAX_TIME_TOPIC | the half message |
//!
//! Start reading at [`Checks::look`].

mod checks;
mod copies;
mod doubt;
mod ended;
mod ends;
mod messages;
mod progress;

pub use checks::{Checks, HalfListener};
pub use ended::Ended;
pub use ends::{Before, End, EndCounts, Ends, Half};
pub use messages::{append_mark, committed, half_text, is_half_record};
pub use progress::Progress;

/// The group whose consumer offsets say how far half messages and marks are looked through.
pub const GROUP: &str = "CID_RMQ_SYS_TRANS";
/// The one queue of each of the topics.
pub const QUEUE: i32 = 0;
