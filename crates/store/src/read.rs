//! Reading a queue: what a pull asks the store.

use crate::offset::QueueOffset;

/// How a read went (RocketMQ 4.9.8, GetMessageStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// There are messages.
    Found,
    /// Nothing passed the filter within the scan limit; go on at `next_begin_offset`.
    NoMatchedMessage,
    /// The log no longer has the bytes; go on at `next_begin_offset`.
    MessageWasRemoving,
    /// The queue has no data there, though the offset is within its bounds.
    OffsetFoundNull,
    /// The offset is beyond the end by more than one.
    OffsetOverflowBadly,
    /// The offset is the end: nothing new yet.
    OffsetOverflowOne,
    /// The offset is before the queue's first message.
    OffsetTooSmall,
    /// There is no such queue.
    NoMatchedLogicQueue,
    /// The queue never had a message.
    NoMessageInQueue,
}

/// The numbers of a read. The messages themselves are in the caller's `Vec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadResult {
    /// How it went.
    pub status: ReadStatus,
    /// Where to go on.
    pub next_begin_offset: QueueOffset,
    /// First message of the queue.
    pub min_offset: QueueOffset,
    /// One behind the last message of the queue.
    pub max_offset: QueueOffset,
    /// Messages read.
    pub count: u32,
    /// Their bytes.
    pub bytes: u64,
    /// The last message read lies further behind the log's end than memory reaches: the consumer may be told to
    /// read from a slave.
    pub far_behind: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Most messages.
    pub max_messages: i32,
    /// Most bytes (5.x `maxMsgBytes`); `i64::MAX` for no limit of the caller's own. The first message is always
    /// given.
    pub max_bytes: i64,
}
