//! The commitlog record: encode into a mapped file, decode as a view.
//!
//! All integers are big-endian and signed. Offsets are those with two IPv4 hosts; an IPv6 host takes 20 bytes
//! instead of 8.
//!
//! | field | bytes | offset |
//! |---|---|---|
//! | totalSize | 4 | 0 |
//! | magic: [`MAGIC_V1`], [`MAGIC_V2`] | 4 | 4 |
//! | bodyCRC: CRC-32 of the body & 0x7FFFFFFF, 0 for an empty body | 4 | 8 |
//! | queueId | 4 | 12 |
//! | flag | 4 | 16 |
//! | queueOffset | 8 | 20 |
//! | physicalOffset | 8 | 28 |
//! | sysFlag | 4 | 36 |
//! | bornTimestamp, ms | 8 | 40 |
//! | bornHost: address, i32 port | 8 or 20 | 48 |
//! | storeTimestamp, ms | 8 | 56 |
//! | storeHost | 8 or 20 | 64 |
//! | reconsumeTimes | 4 | 72 |
//! | preparedTransactionOffset | 8 | 76 |
//! | body length and body | 4 + n | 84 |
//! | topic length and topic | V1: 1 + n, V2: 2 + n | |
//! | properties length and properties | 2 + n | |
//!
//! A *blank* record (i32 bytes left in the file, i32 [`MAGIC_BLANK`]) ends a file (RocketMQ 4.9.8, CommitLog).

use crate::sys_flag;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Magic of a record whose topic length is one byte.
pub const MAGIC_V1: i32 = 0xDAA3_20A7_u32 as i32;
/// Magic of a record whose topic length is two bytes (5.x only).
pub const MAGIC_V2: i32 = 0xDAA3_20AB_u32 as i32;
/// Magic of the record that ends a file.
pub const MAGIC_BLANK: i32 = 0xCBD4_3194_u32 as i32;
/// Bytes of a blank record, and the room that always stays free after the last record of a file.
pub const BLANK_LEN: usize = 8;
/// Bytes of a V1 record with IPv4 hosts besides body, topic and properties.
pub const OVERHEAD_V1: usize = 91;
/// Where a record says at which position of the log it lies, an i64.
pub const PHYSICAL_OFFSET: std::ops::Range<usize> = 28..36;
/// Longest properties area of the CRC property: 20 bytes.
pub const CRC_PROPERTY_LEN: usize = 20;

/// Which of the two record forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Topic length in one signed byte, so at most 127.
    V1,
    /// Topic length in two bytes; 4.9 takes such a record for the end of the log.
    V2,
}

impl Version {
    /// The version 5.x writes for a topic of this length when `autoMessageVersionOnTopicLen` is on.
    pub fn for_topic(topic: &str) -> Version {
        if topic.len() > 127 {
            Version::V2
        } else {
            Version::V1
        }
    }

    fn topic_len_bytes(self) -> usize {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// CRC of a body as it is stored: CRC-32 without its sign bit, 0 for an empty body.
pub fn body_crc(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7FFF_FFFF) as i32
}

/// Everything of a record that is known before its place in the log is.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Record form; V1 needs a topic of at most 127 bytes.
    pub version: Version,
    /// Topic name.
    pub topic: &'a str,
    /// Queue within the topic.
    pub queue_id: i32,
    /// The client's free flag.
    pub flag: i32,
    /// See [`sys_flag`]; the two host bits are set from the hosts.
    pub sys_flag: i32,
    /// When the client made the message, ms.
    pub born_timestamp: i64,
    /// Where the message was made.
    pub born_host: SocketAddr,
    /// The broker's own address, part of the message id.
    pub store_host: SocketAddr,
    /// How often a consumer sent it back.
    pub reconsume_times: i32,
    /// Physical offset of the half message this one ends; 0 for none.
    pub prepared_transaction_offset: i64,
    /// The body as received.
    pub body: &'a [u8],
    /// CRC of the body from [`body_crc`].
    pub body_crc: i32,
    /// Final properties text, at most 32,767 bytes.
    pub properties: &'a [u8],
    /// Adds the 5.x CRC property (`enabledAppendPropCRC`) behind the properties.
    pub append_crc: bool,
}

/// What the log decides about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Logical index in the queue; 0 for prepared and rollback records.
    pub queue_offset: i64,
    /// Position in the log.
    pub physical_offset: i64,
    /// Store time, ms.
    pub store_timestamp: i64,
}

impl Fields<'_> {
    /// sysFlag with the host bits as the hosts are.
    pub fn stored_sys_flag(&self) -> i32 {
        let mut flag = self.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6);
        if self.born_host.is_ipv6() {
            flag |= sys_flag::BORN_HOST_V6;
        }
        if self.store_host.is_ipv6() {
            flag |= sys_flag::STORE_HOST_V6;
        }
        flag
    }

    /// Length of the stored properties, with the separator and the CRC property that may be added.
    pub fn stored_properties_len(&self) -> usize {
        self.properties.len() + self.crc_addition()
    }

    fn crc_addition(&self) -> usize {
        if self.append_crc {
            usize::from(self.needs_separator()) + CRC_PROPERTY_LEN
        } else {
            0
        }
    }

    fn needs_separator(&self) -> bool {
        self.properties
            .last()
            .is_some_and(|&last| last != crate::properties::PAIR_SEPARATOR)
    }

    /// Length of the whole record in bytes.
    pub fn encoded_len(&self) -> usize {
        84 + host_len(self.born_host) - 8 + host_len(self.store_host) - 8
            + 4
            + self.body.len()
            + self.version.topic_len_bytes()
            + self.topic.len()
            + 2
            + self.stored_properties_len()
    }

    /// Writes the record into `out`, which has exactly [`Fields::encoded_len`] bytes.
    ///
    /// # Panics
    /// When `out` has another length, or a V1 topic is over 127 bytes, or the properties over 32,767: the caller
    /// checked these before it reserved the place.
    pub fn encode(&self, place: Place, out: &mut [u8]) {
        self.encode_with(self.body, place, out);
        if self.append_crc {
            write_crc_property(out);
        }
    }

    /// Writes all of the record but its body, which stands [`Fields::body_at`] bytes behind the start. Not for records with
    /// a CRC property, which covers the body.
    ///
    /// # Panics
    /// As [`Fields::encode`], and when there is a CRC property.
    pub fn encode_around_body(&self, place: Place, out: &mut [u8]) {
        assert!(!self.append_crc, "the CRC property covers the body");
        self.encode_with(&[], place, out);
    }

    /// Where in the record the body starts.
    pub fn body_at(&self) -> usize {
        72 + host_len(self.born_host) + host_len(self.store_host)
    }

    fn encode_with(&self, body: &[u8], place: Place, out: &mut [u8]) {
        let total = self.encoded_len();
        assert_eq!(
            out.len(),
            total - self.body.len() + body.len(),
            "a record is encoded into exactly its own length"
        );
        assert!(
            self.stored_properties_len() <= crate::properties::MAX_LEN_BYTES,
            "properties too long"
        );
        let mut writer = Writer { out, at: 0 };
        writer.i32(total as i32);
        writer.i32(match self.version {
            Version::V1 => MAGIC_V1,
            Version::V2 => MAGIC_V2,
        });
        writer.i32(self.body_crc);
        writer.i32(self.queue_id);
        writer.i32(self.flag);
        writer.i64(place.queue_offset);
        writer.i64(place.physical_offset);
        writer.i32(self.stored_sys_flag());
        writer.i64(self.born_timestamp);
        writer.host(self.born_host);
        writer.i64(place.store_timestamp);
        writer.host(self.store_host);
        writer.i32(self.reconsume_times);
        writer.i64(self.prepared_transaction_offset);
        writer.i32(self.body.len() as i32);
        writer.bytes(body);
        match self.version {
            Version::V1 => {
                assert!(
                    self.topic.len() <= 127,
                    "a V1 record holds a topic of at most 127 bytes"
                );
                writer.bytes(&[self.topic.len() as u8]);
            }
            Version::V2 => writer.bytes(&(self.topic.len() as i16).to_be_bytes()),
        }
        writer.bytes(self.topic.as_bytes());
        writer.bytes(&(self.stored_properties_len() as i16).to_be_bytes());
        writer.bytes(self.properties);
        if self.append_crc && self.needs_separator() {
            writer.bytes(&[crate::properties::PAIR_SEPARATOR]);
        }
    }
}

impl Fields<'_> {
    /// Puts another place into a record that [`Fields::encode`] wrote for these fields: far less work than writing it, so
    /// that it can be written before its place is known.
    ///
    /// # Panics
    /// When `record` is shorter than a record.
    pub fn set_place(&self, place: Place, record: &mut [u8]) {
        let store_at = 48 + host_len(self.born_host);
        record[20..28].copy_from_slice(&place.queue_offset.to_be_bytes());
        record[PHYSICAL_OFFSET].copy_from_slice(&place.physical_offset.to_be_bytes());
        record[store_at..store_at + 8].copy_from_slice(&place.store_timestamp.to_be_bytes());
        if self.append_crc {
            write_crc_property(record);
        }
    }
}

/// Writes the CRC property of a record into its end.
fn write_crc_property(record: &mut [u8]) {
    let end = record.len() - CRC_PROPERTY_LEN;
    let property = crc_property(crc32fast::hash(&record[..end]));
    record[end..].copy_from_slice(&property);
}

/// The 20 bytes of the CRC property. The ten digits stand least significant first, padded with `0`.
fn crc_property(crc: u32) -> [u8; CRC_PROPERTY_LEN] {
    let mut property = *b"__CRC32#\x010000000000\x02";
    let mut rest = crc & 0x7FFF_FFFF;
    for digit in &mut property[9..19] {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    property
}

fn host_len(host: SocketAddr) -> usize {
    if host.is_ipv6() { 20 } else { 8 }
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    fn host(&mut self, host: SocketAddr) {
        match host.ip() {
            IpAddr::V4(ip) => self.bytes(&ip.octets()),
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
        self.i32(host.port().into());
    }
}

/// Writes the blank record that ends a file with `left` bytes after the last record.
///
/// # Panics
/// When `out` is shorter than [`BLANK_LEN`].
pub fn encode_blank(left: i32, out: &mut [u8]) {
    out[..4].copy_from_slice(&left.to_be_bytes());
    out[4..8].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer than eight bytes, or fewer than the record says it has.
    #[error("the record needs {needed} bytes, but only {left} are there")]
    Truncated {
        /// Bytes the record says it has.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// Neither V1 nor V2 nor blank. All zero is where a log ends.
    #[error("{magic:#010x} is no record's magic")]
    Magic {
        /// What stands in its place.
        magic: i32,
    },
    /// A length that cannot be.
    #[error("the record's {what} cannot be {len} bytes long")]
    Length {
        /// `record`, `body`, `topic` or `properties`
        what: &'static str,
        /// What the field says.
        len: i64,
    },
    /// The parts do not add up to the record's length.
    #[error("the record says it has {total} bytes, but its parts have {computed}")]
    Sum {
        /// totalSize
        total: usize,
        /// What the parts add up to.
        computed: usize,
    },
    /// The body is not what was stored.
    #[error("the body's CRC is {found:#010x}, the record says {stored:#010x}")]
    BodyCrc {
        /// The CRC in the record.
        stored: i32,
        /// The CRC of the bytes.
        found: i32,
    },
    /// The CRC property does not fit the record.
    #[error("the record's CRC property does not fit its bytes")]
    PropertyCrc,
    /// A sector of the record was never written: a power cut came in between.
    #[error("byte {at} of the record and what follows in its sector were never written")]
    Torn {
        /// Where in the record, in bytes.
        at: usize,
    },
    /// The topic is not UTF-8.
    #[error("the record's topic is not UTF-8")]
    TopicText,
    /// The record says it lies somewhere else.
    #[error("the record at {at} says it lies at {says}")]
    PhysicalOffset {
        /// Where it was read.
        at: i64,
        /// What it says.
        says: i64,
    },
}

/// How closely [`decode`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Lengths and magic only: for records that were checked when they were written or recovered.
    Lengths,
    /// The body's CRC too.
    Body,
    /// The body's CRC, and the CRC property, which then has to be there (`forceVerifyPropCRC`).
    BodyAndProperty,
}

/// What stands at a position of the log.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A record.
    Record(View<'a>),
    /// The end of the file; the log goes on in the next one.
    Blank {
        /// Bytes up to the end of the file, as the blank record says.
        left: i32,
    },
}

/// A decoded record: a view over its bytes. Every length in it has been checked.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    version: Version,
    /// Where the store timestamp lies: behind the born host.
    store_at: usize,
    /// Where reconsumeTimes lies: behind the store host.
    tail_at: usize,
    body_end: usize,
    topic_start: usize,
    topic_end: usize,
}

/// Decodes what stands at the start of `bytes`; bytes behind the record are not looked at.
///
/// Never panics, whatever the bytes. All the checks of RocketMQ's checkMessageAndReturnSize.
pub fn decode(bytes: &[u8], check: Check) -> Result<Entry<'_>, RecordError> {
    if bytes.len() < BLANK_LEN {
        return Err(RecordError::Truncated {
            needed: BLANK_LEN,
            left: bytes.len(),
        });
    }
    let total = i32_at(bytes, 0);
    let version = match i32_at(bytes, 4) {
        MAGIC_V1 => Version::V1,
        MAGIC_V2 => Version::V2,
        MAGIC_BLANK => return Ok(Entry::Blank { left: total }),
        magic => return Err(RecordError::Magic { magic }),
    };
    let length = |what, len: i32| RecordError::Length {
        what,
        len: len.into(),
    };
    let needed = usize::try_from(total).map_err(|_| length("record", total))?;
    if needed < OVERHEAD_V1 {
        return Err(length("record", total));
    }
    let record = bytes.get(..needed).ok_or(RecordError::Truncated {
        needed,
        left: bytes.len(),
    })?;
    let view = lay_out(record, version)?;
    if view.body_crc() != body_crc_if(check, view.body()).unwrap_or(view.body_crc()) {
        return Err(RecordError::BodyCrc {
            stored: view.body_crc(),
            found: body_crc(view.body()),
        });
    }
    if check == Check::BodyAndProperty && !view.crc_property_fits() {
        return Err(RecordError::PropertyCrc);
    }
    Ok(Entry::Record(view))
}

fn body_crc_if(check: Check, body: &[u8]) -> Option<i32> {
    (check != Check::Lengths && !body.is_empty()).then(|| body_crc(body))
}

/// Finds the parts of a record and checks that they add up.
fn lay_out(record: &[u8], version: Version) -> Result<View<'_>, RecordError> {
    let total = record.len();
    let sum = |computed: usize| RecordError::Sum { total, computed };
    let flag = i32_at(record, 36);
    let store_at = 48 + if flag & sys_flag::BORN_HOST_V6 != 0 { 20 } else { 8 };
    let tail_at = store_at
        + 8
        + if flag & sys_flag::STORE_HOST_V6 != 0 {
            20
        } else {
            8
        };
    // From here each part is looked for before it is read: IPv6 hosts make the fixed part longer than the minimum.
    let body_at = tail_at + 16;
    if body_at > total {
        return Err(sum(body_at));
    }
    let body_len = i32_at(record, body_at - 4);
    let body_len = usize::try_from(body_len).map_err(|_| RecordError::Length {
        what: "body",
        len: body_len.into(),
    })?;
    let body_end = body_at.saturating_add(body_len);
    let topic_start = body_end.saturating_add(version.topic_len_bytes());
    if topic_start > total {
        return Err(sum(topic_start));
    }
    let topic_len = match version {
        Version::V1 => i64::from(record[body_end] as i8),
        Version::V2 => i64::from(i16_at(record, body_end)),
    };
    let topic_len = usize::try_from(topic_len).map_err(|_| RecordError::Length {
        what: "topic",
        len: topic_len,
    })?;
    let topic_end = topic_start + topic_len;
    if topic_end + 2 > total {
        return Err(sum(topic_end + 2));
    }
    let properties_len = i16_at(record, topic_end);
    let properties_len = usize::try_from(properties_len).map_err(|_| RecordError::Length {
        what: "properties",
        len: properties_len.into(),
    })?;
    let computed = topic_end + 2 + properties_len;
    if computed != total {
        return Err(sum(computed));
    }
    if std::str::from_utf8(&record[topic_start..topic_end]).is_err() {
        return Err(RecordError::TopicText);
    }
    Ok(View {
        bytes: record,
        version,
        store_at,
        tail_at,
        body_end,
        topic_start,
        topic_end,
    })
}

impl<'a> View<'a> {
    /// The record's own bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Length of the record in bytes.
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// Record form.
    pub fn version(&self) -> Version {
        self.version
    }

    /// CRC of the body as stored.
    pub fn body_crc(&self) -> i32 {
        i32_at(self.bytes, 8)
    }

    /// Queue within the topic.
    pub fn queue_id(&self) -> i32 {
        i32_at(self.bytes, 12)
    }

    /// The client's free flag.
    pub fn flag(&self) -> i32 {
        i32_at(self.bytes, 16)
    }

    /// Logical index in the queue.
    pub fn queue_offset(&self) -> i64 {
        i64_at(self.bytes, 20)
    }

    /// Where the record says it lies in the log.
    pub fn physical_offset(&self) -> i64 {
        i64_at(self.bytes, PHYSICAL_OFFSET.start)
    }

    /// See [`sys_flag`].
    pub fn sys_flag(&self) -> i32 {
        i32_at(self.bytes, 36)
    }

    /// When the client made the message, ms.
    pub fn born_timestamp(&self) -> i64 {
        i64_at(self.bytes, 40)
    }

    /// Where the message was made.
    pub fn born_host(&self) -> SocketAddr {
        host_at(self.bytes, 48, self.store_at)
    }

    /// When the record was stored, ms.
    pub fn store_timestamp(&self) -> i64 {
        i64_at(self.bytes, self.store_at)
    }

    /// Address of the broker that stored the record.
    pub fn store_host(&self) -> SocketAddr {
        host_at(self.bytes, self.store_at + 8, self.tail_at)
    }

    /// How often a consumer sent it back.
    pub fn reconsume_times(&self) -> i32 {
        i32_at(self.bytes, self.tail_at)
    }

    /// Physical offset of the half message this one ends; 0 for none.
    pub fn prepared_transaction_offset(&self) -> i64 {
        i64_at(self.bytes, self.tail_at + 4)
    }

    /// The body as received from the client.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.tail_at + 16..self.body_end]
    }

    /// Topic name. Not checked as a name: see [`crate::name`].
    pub fn topic(&self) -> &'a str {
        std::str::from_utf8(&self.bytes[self.topic_start..self.topic_end]).unwrap_or_default()
    }

    /// Properties text.
    pub fn properties(&self) -> &'a [u8] {
        &self.bytes[self.topic_end + 2..]
    }

    /// Whether the record ends with a CRC property that fits.
    pub fn crc_property_fits(&self) -> bool {
        let Some(start) = self.bytes.len().checked_sub(CRC_PROPERTY_LEN) else {
            return false;
        };
        start >= self.topic_end + 2
            && self.bytes[start..] == crc_property(crc32fast::hash(&self.bytes[..start]))
    }

    /// Looks for a disk sector behind the body that is still zero as it was before the record was written, for a record
    /// that starts at `position` of its file. Returns where in the record it starts.
    ///
    /// The body has its CRC and the fixed part its lengths and position, but nothing in the format tells whether all of
    /// topic and properties reached the disk.
    pub fn unwritten_sector(&self, position: u64) -> Option<usize> {
        const SECTOR: u64 = 512;
        // The length of no properties is zero itself: where a sector begins just there, it tells nothing.
        let end = if self.properties().is_empty() {
            self.topic_end
        } else {
            self.bytes.len()
        };
        let first = (position + self.body_end as u64).next_multiple_of(SECTOR) - position;
        (first as usize..end).step_by(SECTOR as usize).find(|&start| {
            self.bytes[start..end.min(start + SECTOR as usize)]
                .iter()
                .all(|&byte| byte == 0)
        })
    }

    /// Whether topic or properties end with zeros, as they do where the end of a record was not written. Brokers write no such
    /// topics; properties that a client made may end so.
    pub fn ends_with_zero(&self) -> bool {
        self.topic().ends_with('\0') || self.properties().last() == Some(&0)
    }

    /// Refuses a record that says it lies elsewhere: a leftover of a log that was cut, or a copy.
    pub fn at(self, physical_offset: i64) -> Result<Self, RecordError> {
        if self.physical_offset() == physical_offset {
            Ok(self)
        } else {
            Err(RecordError::PhysicalOffset {
                at: physical_offset,
                says: self.physical_offset(),
            })
        }
    }
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from(i32_at(bytes, at)) << 32 | i64::from(i32_at(bytes, at + 4) as u32)
}

fn host_at(bytes: &[u8], from: usize, end: usize) -> SocketAddr {
    let address = &bytes[from..end - 4];
    let ip = match <[u8; 4]>::try_from(address) {
        Ok(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
        Err(_) => {
            let mut octets = [0u8; 16];
            octets.copy_from_slice(address);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    };
    // Java stores the port as an i32; only its low 16 bits can be a port.
    SocketAddr::new(ip, i32_at(bytes, end - 4) as u16)
}

#[cfg(test)]
mod tests;
