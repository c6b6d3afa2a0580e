//! The frames a load is made of: encoded once, then only what differs from message to message is written into them.
//!
//! A load generator on the broker's own cores must cost little: what it takes is missing in the broker's rate. The bytes are
//! those of a Java client of 4.9.8: SEND_MESSAGE_V2 with a `UNIQ_KEY`, SEND_BATCH_MESSAGE, PULL_MESSAGE with its subscription.

use acl::SecretKey;
use protocol::code::request;
use protocol::encode::{FieldWriter, encode_request};
use protocol::header::Short;
use protocol::header::broker::{
    EndTransactionRequestHeader, PullMessageRequestHeader, SendMessageRequestHeader,
};
use protocol::{EncodeHeader, Frame, SerializeType};

/// Opaques are this plus the number of a slot, so that all have as many digits.
pub(crate) const OPAQUE: i32 = 1_000_000_000;
/// A message's key before its running number is in it: 32 hex digits, as Java's clients make them.
const KEY: &str = "7F0000015A1C18B4AAC2000000000000";
const KEY_DIGITS: usize = 10;
/// Properties that an expression is about: of a hundred messages one has this part.
const PART: &str = "region\u{1}north\u{2}part\u{1}00";
/// Lets one of a hundred messages through.
pub(crate) const ONE_PART: &str = "region IS NOT NULL AND part BETWEEN 7 AND 7";
/// Group of all producers.
const PRODUCER: &str = "benchmark_producer";
/// The sysFlag of a half message.
const HALF: i32 = 4;
/// `commitOrRollback` of a commit.
const COMMIT: i32 = 8;
/// Where a record has the length of its body (RocketMQ 4.9.8, CommitLog, IPv4 hosts).
const BODY_LEN_AT: usize = 84;

/// A send, or a batch of them, to one queue.
#[derive(Clone)]
pub(crate) struct SendFrame {
    bytes: Vec<u8>,
    serialize_type: SerializeType,
    opaque_at: usize,
    keys_at: Vec<usize>,
    parts_at: Vec<usize>,
    stamp_at: usize,
    signature: Option<Signature>,
}

/// How a frame is signed anew for each message, as clients sign.
#[derive(Clone)]
struct Signature {
    key: SecretKey,
    fields: Vec<(String, String)>,
    /// The field that holds the message's key, and where its running number begins there.
    number_at: (usize, usize),
    /// Where the signature stands in the frame.
    at: usize,
}

/// A header of whatever fields.
struct Pairs<'a>(&'a [(&'a str, &'a str)]);

impl EncodeHeader for Pairs<'_> {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        self.0.encode(writer);
    }
}

/// What a signature stands in for until there is one, as long as one.
const NO_SIGNATURE: &str = "////////////////////////////";

impl Signature {
    fn write(&mut self, bytes: &mut [u8], number: &[u8], body_at: usize) {
        let (field, at) = self.number_at;
        if let (Some((_, value)), Ok(number)) = (self.fields.get_mut(field), std::str::from_utf8(number)) {
            value.replace_range(at..at + KEY_DIGITS, number);
        }
        let fields = self.fields.iter();
        let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
        let signature = self.key.sign(fields, [&bytes[body_at..]]);
        bytes[self.at..self.at + NO_SIGNATURE.len()].copy_from_slice(signature.as_str().as_bytes());
    }
}

/// What every send of a load has in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendShape<'a> {
    pub(crate) topic: &'a str,
    /// Bytes of a body, 8 at least.
    pub(crate) size: usize,
    /// Messages in a request.
    pub(crate) batch: usize,
    pub(crate) serialize_type: SerializeType,
    pub(crate) oneway: bool,
    pub(crate) delay_level: Option<u32>,
    /// Messages have the properties that [`ONE_PART`] is about.
    pub(crate) has_parts: bool,
    /// Half messages of transactions.
    pub(crate) is_half: bool,
}

impl SendFrame {
    pub(crate) fn new(shape: SendShape<'_>, queue_id: i32) -> SendFrame {
        let body = vec![b'x'; shape.size.max(8)];
        let mut own = format!("UNIQ_KEY\u{1}{KEY}\u{2}WAIT\u{1}true");
        if let Some(level) = shape.delay_level {
            own.push_str(&format!("\u{2}DELAY\u{1}{level}"));
        }
        if shape.has_parts {
            own.push_str(&format!("\u{2}{PART}"));
        }
        if shape.is_half {
            own.push_str(&format!("\u{2}TRAN_MSG\u{1}true\u{2}PGROUP\u{1}{PRODUCER}"));
        }
        let is_batch = shape.batch > 1;
        let (code, body, properties) = if is_batch {
            let mut chain = Vec::new();
            for _ in 0..shape.batch {
                message::batch::push_entry(&mut chain, 0, &body, own.as_bytes());
            }
            (request::SEND_BATCH_MESSAGE, chain, String::new())
        } else {
            (request::SEND_MESSAGE_V2, body, own)
        };
        let header = SendMessageRequestHeader {
            producer_group: Some(PRODUCER.into()),
            topic: shape.topic.into(),
            default_topic: Some("TBW102".into()),
            default_topic_queue_nums: Some(4),
            queue_id,
            sys_flag: Some(if shape.is_half { HALF } else { 0 }),
            born_timestamp: now_ms(),
            flag: Some(0),
            properties: Some(&properties),
            reconsume_times: Some(0),
            unit_mode: Some(false),
            batch: Some(is_batch),
            max_reconsume_times: None,
        };
        let mut bytes = Vec::new();
        let kind = shape.serialize_type;
        encode_request(
            &mut bytes,
            kind,
            code,
            OPAQUE,
            shape.oneway,
            &Short(&header),
            body.len(),
        );
        let header_len = bytes.len();
        bytes.extend_from_slice(&body);
        // Plain, or as JSON writes the separator.
        let marks = [&b"part\x01"[..], br"part\u0001"];
        let parts = marks.map(|mark| find_all(&bytes, mark).map(move |at| at + mark.len()));
        SendFrame {
            parts_at: parts.into_iter().flatten().collect(),
            opaque_at: opaque_at(&bytes, kind),
            keys_at: find_all(&bytes, KEY.as_bytes())
                .map(|at| at + KEY.len() - KEY_DIGITS)
                .collect(),
            stamp_at: header_len,
            serialize_type: kind,
            signature: None,
            bytes,
        }
    }

    /// The same, signed by an account: of one message, without the parts that expressions are about.
    pub(crate) fn signed(self, access_key: &str, secret_key: &str) -> SendFrame {
        let frame = Frame::decode(bytes::Bytes::from(self.bytes[4..].to_vec())).expect("it is a frame");
        let own = frame
            .fields()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let fields: Vec<(String, String)> = own
            .chain([(acl::ACCESS_KEY.to_owned(), access_key.to_owned())])
            .collect();
        let mut header: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        header.push((acl::SIGNATURE, NO_SIGNATURE));
        let mut bytes = Vec::new();
        let (kind, body) = (self.serialize_type, &frame.body);
        encode_request(
            &mut bytes,
            kind,
            frame.code,
            OPAQUE,
            frame.is_oneway(),
            &Pairs(&header),
            body.len(),
        );
        let stamp_at = bytes.len();
        bytes.extend_from_slice(body);
        let at_of = |wanted: &str| find_all(&bytes, wanted.as_bytes()).collect::<Vec<_>>();
        let number_at = fields
            .iter()
            .enumerate()
            .find_map(|(index, (_, value))| Some((index, value.find(KEY)? + KEY.len() - KEY_DIGITS)));
        let signature = Signature {
            key: SecretKey::new(secret_key),
            number_at: number_at.expect("its properties have the key"),
            at: at_of(NO_SIGNATURE)[0],
            fields,
        };
        SendFrame {
            opaque_at: opaque_at(&bytes, kind),
            keys_at: at_of(KEY)
                .into_iter()
                .map(|at| at + KEY.len() - KEY_DIGITS)
                .collect(),
            stamp_at,
            parts_at: Vec::new(),
            signature: Some(signature),
            bytes,
            ..self
        }
    }

    /// Appends the frame for a slot; `number` is the first message's running number, `stamp` goes into the body's first 8 bytes.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, slot: usize, number: u64, stamp: Option<u64>) {
        write_opaque(&mut self.bytes, self.opaque_at, slot, self.serialize_type);
        for (at, number) in self.keys_at.iter().zip(number..) {
            for (i, byte) in self.bytes[*at..*at + KEY_DIGITS].iter_mut().enumerate() {
                *byte = b"0123456789ABCDEF"[(number >> (4 * (KEY_DIGITS - 1 - i)) & 15) as usize];
            }
        }
        for (at, number) in self.parts_at.iter().zip(number..) {
            let part = (number % 100) as u8;
            self.bytes[*at..*at + 2].copy_from_slice(&[b'0' + part / 10, b'0' + part % 10]);
        }
        if let Some(stamp) = stamp {
            self.bytes[self.stamp_at..self.stamp_at + 8].copy_from_slice(&stamp.to_be_bytes());
        }
        if let Some(signature) = &mut self.signature {
            let number = self.keys_at[0];
            let number = self.bytes[number..number + KEY_DIGITS].to_vec();
            signature.write(&mut self.bytes, &number, self.stamp_at);
        }
        out.extend_from_slice(&self.bytes);
    }
}

/// Of a pull: what it is for, and whether the broker may hold it for 15 s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// An expression; without one all messages.
    pub(crate) sql: Option<&'static str>,
    pub(crate) waits: bool,
}

/// Appends a pull of up to 32 messages.
pub(crate) fn push_pull(out: &mut Vec<u8>, topic: &str, slot: usize, queue_id: i32, offset: i64, wish: Wish) {
    let header = PullMessageRequestHeader {
        consumer_group: "benchmark_consumer".into(),
        topic: topic.into(),
        queue_id,
        queue_offset: offset,
        max_msg_nums: 32,
        // The subscription is in the header.
        sys_flag: if wish.waits { 4 | 2 } else { 4 },
        commit_offset: Some(0),
        suspend_timeout_millis: Some(15_000),
        subscription: Some(wish.sql.unwrap_or("*").into()),
        sub_version: Some(0),
        expression_type: Some(if wish.sql.is_some() { "SQL92" } else { "TAG" }.into()),
        max_msg_bytes: None,
    };
    let opaque = OPAQUE + slot as i32;
    encode_request(
        out,
        SerializeType::Json,
        request::PULL_MESSAGE,
        opaque,
        false,
        &header,
        0,
    );
}

/// Appends the commit of a half message, which stands at this offset of the half queue and this position of the log.
pub(crate) fn push_commit(out: &mut Vec<u8>, slot: usize, offset: i64, position: i64) {
    let header = EndTransactionRequestHeader {
        producer_group: PRODUCER.into(),
        tran_state_table_offset: offset,
        commit_log_offset: position,
        commit_or_rollback: COMMIT,
        from_transaction_check: Some(false),
        msg_id: Some(KEY.into()),
        transaction_id: Some(KEY.into()),
    };
    let opaque = OPAQUE + slot as i32;
    let json = SerializeType::Json;
    encode_request(out, json, request::END_TRANSACTION, opaque, false, &header, 0);
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

fn find_all<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let windows = bytes.windows(wanted.len()).enumerate();
    windows
        .filter(move |(_, window)| *window == wanted)
        .map(|(at, _)| at)
}

fn opaque_at(bytes: &[u8], kind: SerializeType) -> usize {
    match kind {
        // Two lengths, code, language and version stand before it.
        SerializeType::RocketMq => 8 + 2 + 1 + 2,
        SerializeType::Json => {
            let mark = b"\"opaque\":";
            find_all(bytes, mark).next().expect("every header has it") + mark.len()
        }
    }
}

fn write_opaque(bytes: &mut [u8], at: usize, slot: usize, kind: SerializeType) {
    let mut opaque = OPAQUE + slot as i32;
    if kind == SerializeType::RocketMq {
        return bytes[at..at + 4].copy_from_slice(&opaque.to_be_bytes());
    }
    for digit in bytes[at..at + 10].iter_mut().rev() {
        *digit = b'0' + (opaque % 10) as u8;
        opaque /= 10;
    }
}

/// An answer, as far as a load looks at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) code: i32,
    pub(crate) slot: usize,
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Takes the answer at the front of `bytes` and says how long it is; `None`: it has not come whole yet.
pub(crate) fn cut(bytes: &[u8]) -> Option<(Answer<'_>, usize)> {
    let len = 4 + u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    let frame = bytes.get(8..len)?;
    let header_len = u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]) as usize;
    let (header, body) = frame.split_at_checked(header_len)?;
    let (code, opaque) = if bytes[4] == SerializeType::RocketMq as u8 {
        let code = i16::from_be_bytes(*header.first_chunk::<2>()?);
        (
            i32::from(code),
            i32::from_be_bytes(*header.get(5..)?.first_chunk::<4>()?),
        )
    } else {
        // From the end: a long message id stands before it.
        let mark = b"\"opaque\":";
        let at = header.windows(mark.len()).rposition(|window| window == mark)?;
        (
            leading_number(header.get(8..)?) as i32,
            leading_number(&header[at + mark.len()..]) as i32,
        )
    };
    let slot = opaque
        .checked_sub(OPAQUE)
        .and_then(|slot| usize::try_from(slot).ok())
        .unwrap_or(usize::MAX);
    Some((
        Answer {
            code,
            slot,
            header,
            body,
        },
        len,
    ))
}

fn leading_number(bytes: &[u8]) -> i64 {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

impl<'a> Answer<'a> {
    /// A number among the fields of a JSON header.
    pub(crate) fn field(&self, name: &str) -> Option<i64> {
        let mark = format!("\"{name}\":\"");
        let at = find_all(self.header, mark.as_bytes()).next()?;
        self.header.get(at + mark.len()..).map(leading_number)
    }

    /// Where in the log the message stands that a send's answer names: the last 16 hexadecimal digits of `msgId`.
    pub(crate) fn position(&self) -> Option<i64> {
        let mark = b"\"msgId\":\"";
        let at = find_all(self.header, mark).next()? + mark.len();
        let id = self.header.get(at..)?.split(|byte| *byte == b'"').next()?;
        let digits = std::str::from_utf8(id.get(id.len().checked_sub(16)?..)?).ok()?;
        i64::from_str_radix(digits, 16).ok()
    }

    /// The records in the body of a pull's answer.
    pub(crate) fn records(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let len = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
            let (record, after) = rest.split_at_checked(len).filter(|_| len > BODY_LEN_AT)?;
            rest = after;
            Some(record)
        })
    }
}

/// The first 8 bytes of a record's body.
pub(crate) fn stamp_of(record: &[u8]) -> Option<u64> {
    record
        .get(BODY_LEN_AT + 4..)?
        .first_chunk::<8>()
        .map(|stamp| u64::from_be_bytes(*stamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::Frame;

    #[test]
    fn a_patched_send_is_signed_anew() {
        for serialize_type in [SerializeType::Json, SerializeType::RocketMq] {
            let shape = SendShape {
                topic: "T",
                size: 100,
                batch: 1,
                serialize_type,
                oneway: false,
                delay_level: None,
                has_parts: false,
                is_half: false,
            };
            let mut send = SendFrame::new(shape, 5).signed("account", "its secret");
            let mut signatures = Vec::new();
            for number in [1, 0xAB_CDEF] {
                let mut out = Vec::new();
                send.push(&mut out, 4321, number, None);
                let frame = Frame::decode(Bytes::from(out).slice(4..)).expect("a frame");
                let (account, signature) = acl::identity(&frame);
                assert_eq!((account, frame.opaque), (Some("account"), OPAQUE + 4321));
                let signature = signature.expect("it is signed").to_owned();
                let key = SecretKey::new("its secret");
                assert!(key.has_signed(&signature, frame.version, frame.fields(), &frame.body));
                signatures.push(signature);
            }
            assert_ne!(signatures[0], signatures[1]);
        }
    }

    #[test]
    fn a_patched_send_decodes_to_what_was_patched_in() {
        for serialize_type in [SerializeType::Json, SerializeType::RocketMq] {
            for batch in [1, 3] {
                let shape = SendShape {
                    topic: "T",
                    size: 100,
                    batch,
                    serialize_type,
                    oneway: false,
                    delay_level: None,
                    has_parts: true,
                    is_half: false,
                };
                let mut out = Vec::new();
                let mut send = SendFrame::new(shape, 5);
                send.push(&mut out, 7, 1, None);
                out.clear();
                send.push(&mut out, 4321, 0xAB_CDEF, None);
                let frame = Frame::decode(Bytes::from(out).slice(4..)).expect("a frame");
                assert_eq!(frame.opaque, OPAQUE + 4321);
                let header: SendMessageRequestHeader<'_> = frame.header().expect("its header");
                assert_eq!(header.queue_id, 5);
                let properties = header.properties.unwrap_or_default();
                let mut all = properties.as_bytes().to_vec();
                all.extend_from_slice(&frame.body);
                for number in 0..batch {
                    let key = format!("5A1C18B4AAC20000000{:05X}", 0xAB_CDEF + number);
                    let found = find_all(&all, &key.as_bytes()[key.len() - 10..]).count();
                    assert_eq!(found, 1, "{key} {serialize_type:?} {batch}");
                    let part = format!("part\u{1}{:02}", (0xAB_CDEF + number) % 100);
                    assert_eq!(
                        find_all(&all, part.as_bytes()).count(),
                        1,
                        "{part} {serialize_type:?} {batch}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_delayed_send_says_its_level() {
        for (delay_level, expected) in [(None, None), (Some(1), Some(&b"1"[..]))] {
            let shape = SendShape {
                topic: "T",
                size: 100,
                batch: 1,
                serialize_type: SerializeType::Json,
                oneway: false,
                delay_level,
                has_parts: false,
                is_half: false,
            };
            let mut out = Vec::new();
            SendFrame::new(shape, 5).push(&mut out, 7, 1, None);
            let frame = Frame::decode(Bytes::from(out).slice(4..)).expect("a frame");
            let header: SendMessageRequestHeader<'_> = frame.header().expect("its header");
            let properties = header.properties.unwrap_or_default();
            assert_eq!(message::properties::get(properties.as_bytes(), "DELAY"), expected);
        }
    }

    #[test]
    fn a_half_message_is_committed_where_its_answer_says() {
        let mut bytes = Vec::new();
        let fields = [
            ("msgId", "7F00000100002A9F00000000000004D2"),
            ("queueOffset", "17"),
        ];
        protocol::encode_response(
            &mut bytes,
            SerializeType::Json,
            OPAQUE + 3,
            0,
            None,
            &&fields[..],
            0,
        );
        let (answer, _) = cut(&bytes).expect("whole");
        let (offset, position) = (answer.field("queueOffset"), answer.position());
        assert_eq!((offset, position), (Some(17), Some(1234)));
        let mut out = Vec::new();
        push_commit(&mut out, 3, 17, 1234);
        let frame = Frame::decode(Bytes::from(out).slice(4..)).expect("a frame");
        let header: EndTransactionRequestHeader<'_> = frame.header().expect("its header");
        assert_eq!(
            (header.commit_log_offset, header.tran_state_table_offset),
            (1234, 17)
        );
        assert_eq!((header.commit_or_rollback, frame.opaque), (8, OPAQUE + 3));
    }

    #[test]
    fn an_answer_is_cut_only_when_it_is_whole() {
        for kind in [SerializeType::Json, SerializeType::RocketMq] {
            let mut bytes = Vec::new();
            let header = [("nextBeginOffset", "1234")];
            protocol::encode_response(&mut bytes, kind, OPAQUE + 65, 19, None, &&header[..], 3);
            bytes.extend_from_slice(b"abc");
            assert!((0..bytes.len()).all(|len| cut(&bytes[..len]).is_none()));
            let (answer, len) = cut(&bytes).expect("whole");
            assert_eq!(
                (answer.code, answer.slot, answer.body, len),
                (19, 65, &b"abc"[..], bytes.len())
            );
            if kind == SerializeType::Json {
                assert_eq!(answer.field("nextBeginOffset"), Some(1234));
            }
        }
    }
}
