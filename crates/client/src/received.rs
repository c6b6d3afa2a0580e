//! A message that came out of a broker.

use bytes::Bytes;
use message::properties::{self, names};
use message::record::{Check, Entry, View, decode};
use protocol::body::MessageQueue;
use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;

/// Largest body after unpacking, bytes.
const UNPACKED_MAX: u64 = 64 << 20;

/// A message that was pulled. Displayed as Java displays its MessageExt.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Topic, broker and queue it was read from; a retried message says its first topic.
    pub queue: MessageQueue,
    /// Offset in the queue.
    pub queue_offset: i64,
    /// Offset in the broker's commitlog.
    pub physical_offset: i64,
    /// Size of the record, bytes.
    pub store_size: usize,
    /// Message sysFlag.
    pub sys_flag: i32,
    /// The application's own number.
    pub flag: i32,
    /// When the producer made it, ms since 1970.
    pub born_timestamp: i64,
    /// Where the producer is.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since 1970.
    pub store_timestamp: i64,
    /// Where the broker is.
    pub store_host: SocketAddr,
    /// CRC of the body as stored.
    pub body_crc: i32,
    /// How often it was consumed without success.
    pub reconsume_times: i32,
    /// Of a transactional message, where its half message was.
    pub prepared_transaction_offset: i64,
    /// Names and values.
    pub properties: HashMap<String, String>,
    /// What it says, unpacked. A body packed with something other than zlib is as it came; `sys_flag` tells.
    pub body: Bytes,
}

impl Received {
    /// A property's value.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// The tag.
    pub fn tags(&self) -> Option<&str> {
        self.property(names::TAGS)
    }

    /// The keys, separated by blanks.
    pub fn keys(&self) -> Option<&str> {
        self.property(names::KEYS)
    }

    /// The producer's id of it, or where it has none the broker's.
    pub fn msg_id(&self) -> String {
        self.property(names::UNIQ_KEY)
            .map_or_else(|| self.offset_msg_id(), str::to_owned)
    }

    /// The broker's id of it.
    pub fn offset_msg_id(&self) -> String {
        let (store_host, physical_offset) = (self.store_host, self.physical_offset);
        message::id::OffsetMessageId {
            store_host,
            physical_offset,
        }
        .to_string()
    }

    /// All records of an answer's body, of a broker of this name. The error says what is wrong with the first that is damaged.
    ///
    /// # Errors
    /// One is damaged.
    pub fn decode_all(bytes: &[u8], broker_name: &str) -> Result<Vec<Received>, String> {
        decode_all(bytes, broker_name)
    }

    fn of(view: &View<'_>, broker_name: &str) -> Received {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = properties::pairs(view.properties()).map(|(name, value)| (text(name), text(value)));
        let queue = MessageQueue {
            broker_name: broker_name.to_owned(),
            queue_id: view.queue_id(),
            topic: view.topic().to_owned(),
        };
        Received {
            queue,
            queue_offset: view.queue_offset(),
            physical_offset: view.physical_offset(),
            store_size: view.total_len(),
            sys_flag: view.sys_flag(),
            flag: view.flag(),
            born_timestamp: view.born_timestamp(),
            born_host: view.born_host(),
            store_timestamp: view.store_timestamp(),
            store_host: view.store_host(),
            body_crc: view.body_crc(),
            reconsume_times: view.reconsume_times(),
            prepared_transaction_offset: view.prepared_transaction_offset(),
            properties: pairs.collect(),
            body: unpack(view),
        }
    }
}

/// zlib bodies unpacked, anything else as it is: kind 0 or 3 of the compression bits is zlib.
fn unpack(view: &View<'_>) -> Bytes {
    let flag = view.sys_flag();
    let kind = flag & message::sys_flag::COMPRESSION_MASK;
    if flag & message::sys_flag::COMPRESSED != 0 && (kind == 0 || kind == 0x300) {
        let mut out = Vec::new();
        let read = flate2::read::ZlibDecoder::new(view.body())
            .take(UNPACKED_MAX + 1)
            .read_to_end(&mut out);
        if read.is_ok_and(|len| len as u64 <= UNPACKED_MAX) {
            return out.into();
        }
        tracing::warn!(
            "the body of the message at {} cannot be unpacked",
            view.physical_offset()
        );
    }
    Bytes::copy_from_slice(view.body())
}

/// All records of an answer's body. The error says what is wrong with the first that is damaged.
pub(crate) fn decode_all(mut bytes: &[u8], broker_name: &str) -> Result<Vec<Received>, String> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        match decode(bytes, Check::Body).map_err(|e| e.to_string())? {
            Entry::Record(view) => {
                out.push(Received::of(&view, broker_name));
                bytes = &bytes[view.total_len()..];
            }
            Entry::Blank { .. } => return Err("the end of a file among the records".to_owned()),
        }
    }
    Ok(out)
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MessageExt [brokerName={}, queueId={}, storeSize={}, queueOffset={}, sysFlag={}, bornTimestamp={}, \
             bornHost=/{}, storeTimestamp={}, storeHost=/{}, msgId={}, commitLogOffset={}, bodyCRC={}, \
             reconsumeTimes={}, preparedTransactionOffset={}, toString()=Message{{topic='{}', flag={}, properties={{",
            self.queue.broker_name,
            self.queue.queue_id,
            self.store_size,
            self.queue_offset,
            self.sys_flag,
            self.born_timestamp,
            self.born_host,
            self.store_timestamp,
            self.store_host,
            self.offset_msg_id(),
            self.physical_offset,
            self.body_crc,
            self.reconsume_times,
            self.prepared_transaction_offset,
            self.queue.topic,
            self.flag,
        )?;
        for (index, (name, value)) in self.properties.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str("}, body=[")?;
        for (index, byte) in self.body.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, *byte as i8)?;
        }
        f.write_str("], transactionId='null'}]")
    }
}
