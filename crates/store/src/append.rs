//! LogWriter: what goes in, what comes out, and why not.

use crate::index::KeyHashes;
use crate::latch::Latched;
use crate::multi::Multi;
use crate::offset::{PhysicalOffset, QueueOffset};
use crate::queue::Queue;
use crate::retention::ReputStuck;
use disk::MappedFile;
use message::properties::{self, Ending, names};
use message::record::{Fields, Place, View};
use parking_lot::Mutex;
use std::io::IoSlice;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A message to be stored, as the broker made it up.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Topic, already checked as a name.
    pub topic: &'a str,
    /// Queue, already checked against the topic.
    pub queue_id: i32,
    /// The client's free flag.
    pub flag: i32,
    /// See [`message::sys_flag`]; host bits are set by the store.
    pub sys_flag: i32,
    /// When the client made the message, ms.
    pub born_timestamp: i64,
    /// Where the message was made.
    pub born_host: std::net::SocketAddr,
    /// The broker's own address.
    pub store_host: std::net::SocketAddr,
    /// How often a consumer sent it back.
    pub reconsume_times: i32,
    /// Physical offset of the half message this one ends; 0 for none.
    pub prepared_transaction_offset: i64,
    /// The body as received.
    pub body: &'a [u8],
    /// Final properties text.
    pub properties: &'a [u8],
    /// Part of a client batch and not its first message: goes into the same file as the record before it, and
    /// fails with it. All records of a batch have one topic and queue.
    pub joined: bool,
}

impl<'a> NewRecord<'a> {
    /// A copy of a stored record for another topic and queue, with another properties text ([`copy_properties`]). All else is
    /// as it was stored: body, flags with compression and transaction type, times, both hosts, how often it came back, its half
    /// message. Who wants something of that otherwise says so: `NewRecord { reconsume_times: 3, ..NewRecord::copy_of(…) }`.
    ///
    /// A copy keeps the address of the broker that stored the original, so that a message id that a client knows still tells
    /// where the original lies (RocketMQ 4.9.8, ScheduleMessageService and SendMessageProcessor).
    pub fn copy_of(
        original: &View<'a>,
        topic: &'a str,
        queue_id: i32,
        properties: &'a [u8],
    ) -> NewRecord<'a> {
        NewRecord {
            topic,
            queue_id,
            flag: original.flag(),
            sys_flag: original.sys_flag(),
            born_timestamp: original.born_timestamp(),
            born_host: original.born_host(),
            store_host: original.store_host(),
            reconsume_times: original.reconsume_times(),
            prepared_transaction_offset: original.prepared_transaction_offset(),
            body: original.body(),
            properties,
            joined: false,
        }
    }
}

/// Writes the properties of a stored record to the end of `out`, as a text for a copy of it: without the names in `without`,
/// then the pairs of `with`, which replace those of the record.
///
/// What belongs to the original alone is left out: the CRC of its bytes, its places in the queues that it names. So are zero
/// bytes, which a record of Java's broker may hold and this store does not take.
pub fn copy_properties(
    original: &View<'_>,
    without: &[&str],
    with: &[(&str, &str)],
    ending: Ending,
    out: &mut Vec<u8>,
) {
    let own = [names::CRC32, names::INNER_MULTI_QUEUE_OFFSET];
    let without: Vec<&str> = own.iter().chain(without).copied().collect();
    let start = out.len();
    properties::rebuild(original.properties(), &without, with, ending, out);
    if memchr::memchr(0, &out[start..]).is_some() {
        let mut text = out.split_off(start);
        text.retain(|byte| *byte != 0);
        out.append(&mut text);
    }
}

/// A record with all done that needs no lock: sizes checked, CRC and tagsCode computed, queue found.
///
/// Made by [`crate::Store::prepare`].
pub struct Pending<'a, F: MappedFile> {
    pub(crate) fields: Fields<'a>,
    pub(crate) len: usize,
    /// Where it stands among the encoded records of an append.
    pub(crate) encoded: Range<usize>,
    pub(crate) tags_code: i64,
    /// Set for a record of the delay topic: its unit holds the time it is due instead of the tagsCode.
    pub(crate) delay_ms: Option<i64>,
    /// What the index needs; none if it has to read the record.
    pub(crate) key_hashes: Option<KeyHashes>,
    pub(crate) queue: Arc<Queue<F>>,
    pub(crate) joined: bool,
    /// The other queues it names; none without `enableMultiDispatch`.
    pub(crate) multi: Option<Box<Multi<F>>>,
    /// Where it is written; its result once it is.
    pub(crate) place: Option<Appended>,
    /// How it went; set by [`crate::Store::append`].
    pub result: Option<Result<Appended, AppendError>>,
}

impl<F: MappedFile> Pending<'_, F> {
    /// Length of the record in bytes.
    pub fn record_len(&self) -> usize {
        self.len
    }
}

impl<F: MappedFile> Pending<'_, F> {
    /// Whether its body goes into the log from where it is, without a copy: a part more of a write costs as much as the
    /// copy of a short body. The CRC of a whole record is made of one piece, and one that names queues is encoded late.
    pub(crate) fn is_split(&self) -> bool {
        self.fields.body.len() >= SPLIT_FROM && !self.fields.append_crc && self.multi.is_none()
    }

    /// Writes the record as it is in the log.
    pub(crate) fn encode(&self, place: Place, out: &mut [u8]) {
        match &self.multi {
            Some(multi) => multi.fields(&self.fields).encode(place, out),
            None => self.fields.encode(place, out),
        }
    }
}

/// Encodes records one after the other, their places left open, so that the append lock is not held meanwhile. Not those
/// that name queues: what they say, and how long they are, depends on their places.
pub(crate) fn encode<F: MappedFile>(pending: &mut [Pending<'_, F>], out: &mut Vec<u8>) {
    let mut len = 0;
    for record in pending.iter_mut().filter(|record| record.multi.is_none()) {
        let body_len = if record.is_split() {
            record.fields.body.len()
        } else {
            0
        };
        record.encoded = len..len + record.len - body_len;
        len = record.encoded.end;
    }
    // Zeros are written once: a buffer does not become shorter.
    if out.len() < len {
        out.resize(len, 0);
    }
    for record in pending.iter().filter(|record| record.multi.is_none()) {
        let out = &mut out[record.encoded.clone()];
        match record.is_split() {
            true => record.fields.encode_around_body(OPEN, out),
            false => record.encode(OPEN, out),
        }
    }
}

/// The parts of a run whose records, as far as they were encoded, are `encoded`: they and the bodies in between.
pub(crate) fn parts<'p, F: MappedFile>(run: &'p [Pending<'_, F>], encoded: &'p [u8]) -> Vec<IoSlice<'p>> {
    let start = run.first().map_or(0, |record| record.encoded.start);
    let mut parts = Vec::with_capacity(2 * run.len() + 1);
    let mut from = 0;
    for record in run.iter().filter(|record| record.is_split()) {
        let body_at = record.encoded.start - start + record.fields.body_at();
        parts.push(IoSlice::new(&encoded[from..body_at]));
        parts.push(IoSlice::new(record.fields.body));
        from = body_at;
    }
    parts.push(IoSlice::new(&encoded[from..]));
    parts
}

/// Bodies of so many bytes are not copied to be written: from here on that is not dearer.
const SPLIT_FROM: usize = 1024;

/// The place of a record that has none yet.
const OPEN: Place = Place {
    queue_offset: 0,
    physical_offset: 0,
    store_timestamp: 0,
};
/// Buffers that are kept, and the bytes of the largest of them.
const BUFFERS_KEPT: usize = 16;
const BUFFER_LEN_KEPT: usize = 1 << 20;

/// Where records are encoded: memory that is used again, because new pages cost more than what is written into them.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if kept.len() < BUFFERS_KEPT && buffer.len() <= BUFFER_LEN_KEPT {
            kept.push(buffer);
        }
    }
}

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its index in the queue; 0 for prepared and rollback records.
    pub queue_offset: QueueOffset,
    /// Its first byte in the log.
    pub physical_offset: PhysicalOffset,
    /// The byte after its last: durable when [`crate::Store::flushed`] has reached it.
    pub end: PhysicalOffset,
    /// Store time, ms.
    pub store_timestamp: i64,
}

/// A message that no store would take: MESSAGE_ILLEGAL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The body is longer than `maxMessageSize`.
    #[error("the body has {len} bytes, more than maxMessageSize {max}")]
    Body {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: i64,
    },
    /// The record would be longer than `maxMessageSize` + 64 KiB, or than a log file can hold.
    #[error("the record would have {len} bytes, more than {max}")]
    Record {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: i64,
    },
    /// The properties text is longer than 32,767 bytes.
    #[error("the properties have {len} bytes, more than 32767")]
    Properties {
        /// Their length in bytes.
        len: usize,
    },
    /// The properties text holds a zero byte.
    ///
    /// Unlike Java, which takes it: in a record whose end did not reach the disk those bytes are zero too, and recovery
    /// must be able to tell.
    #[error("the properties hold a zero byte")]
    PropertiesNul,
    /// The topic is longer than the record form can hold: 127 bytes for V1, 255 for V2.
    #[error("the topic has {len} bytes, more than {max}")]
    Topic {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The topic is no name: it would become part of a path.
    #[error(transparent)]
    Name(#[from] message::name::NameError),
    /// It would make one light message queue more than `maxLmqConsumeQueueNum`: SYSTEM_ERROR.
    #[error("there are {max} light message queues, and maxLmqConsumeQueueNum allows no more")]
    LmqNumber {
        /// The limit.
        max: usize,
    },
    /// The queue id is negative.
    #[error("the queue id {0} is negative")]
    QueueId(i32),
}

/// Why a record was not appended. It is not in the log and will not appear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Writes are off for good after a failed write or sync: SERVICE_NOT_AVAILABLE.
    #[error(transparent)]
    Latched(#[from] Latched),
    /// The disk is above its warning level: SERVICE_NOT_AVAILABLE until space comes back.
    #[error(transparent)]
    DiskLevel(#[from] DiskFull),
    /// The consumequeues can not be built, so that nobody could read it: SERVICE_NOT_AVAILABLE until they can.
    #[error(transparent)]
    ReputStuck(#[from] ReputStuck),
    /// No room, or no file, could be had for the next bytes of the log; the next append tries again.
    #[error("the commitlog can not grow: {0}")]
    NoSpace(String),
    /// The store was shut down.
    #[error("the store has been shut down")]
    ShutDown,
    /// It is a slave's store: its log is its master's, which [`crate::Store::append_raw`] appends.
    #[error("this broker is a slave, the commitlog is its master's")]
    Replica,
    /// The records of a client batch do not fit one log file together: MESSAGE_ILLEGAL.
    #[error("the batch has {len} bytes, more than a log file holds ({max})")]
    BatchTooLong {
        /// Bytes of all its records.
        len: i64,
        /// Bytes one file holds.
        max: i64,
    },
    /// The topic was deleted while the message was on its way.
    #[error("the topic was deleted while the message was being stored")]
    TopicDeleted,
}

/// A file system that is too full for writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk of {} is {percent} % full, writes stop above {threshold} %", path.display())]
pub struct DiskFull {
    /// The directory that was looked at.
    pub path: PathBuf,
    /// How full it is, percent.
    pub percent: u32,
    /// The level in the settings, percent.
    pub threshold: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_buffers_are_kept_and_no_large_ones() {
        let buffers = Buffers::default();
        assert!(buffers.take().is_empty());
        buffers.give(vec![0; BUFFER_LEN_KEPT + 1]);
        assert!(buffers.take().is_empty());
        for len in 1..=BUFFERS_KEPT + 3 {
            buffers.give(vec![0; len]);
        }
        let kept: Vec<_> = std::iter::repeat_with(|| buffers.take().len())
            .take_while(|&len| len > 0)
            .collect();
        assert_eq!(kept, (1..=BUFFERS_KEPT).rev().collect::<Vec<_>>());
    }
}
