//! Writing frames: the head and typed fields straight into a buffer, in either serialization.

use crate::frame::{Frame, SerializeType};
use crate::header::EncodeHeader;
use crate::language::Language;
use bytes::Bytes;

/// Everything of a frame but its fields and its body.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Request or response code.
    pub code: i32,
    /// The sender's language.
    pub language: Language,
    /// The sender's version number.
    pub version: i32,
    /// Correlation number.
    pub opaque: i32,
    /// Flag bits.
    pub flag: i32,
    /// Text for people; `None` is left out.
    pub remark: Option<&'a str>,
    /// The form wanted. A code that does not fit 16 bits is written as JSON whatever is asked for here, because the
    /// binary header would lose it (5.x codes from 200050).
    pub serialize_type: SerializeType,
}

/// Why a frame could not be written: it cannot be described in the length fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {header} header bytes and {body} body bytes is too large to be written")]
pub struct TooLarge {
    /// Header bytes.
    pub header: usize,
    /// Body bytes.
    pub body: usize,
}

/// Appends length, head and fields of a frame whose body of `body_len` bytes the caller sends behind it.
/// On error the buffer is as it was.
pub fn encode_head<H: EncodeHeader + ?Sized>(
    out: &mut Vec<u8>,
    head: &Head<'_>,
    header: &H,
    body_len: usize,
) -> Result<(), TooLarge> {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    let binary = head.serialize_type == SerializeType::RocketMq && i16::try_from(head.code).is_ok();
    if binary {
        write_binary(out, head, header)
    } else {
        write_json(out, head, header)
    };
    let header_len = out.len() - start - 8;
    let total = header_len
        .checked_add(body_len)
        .and_then(|n| n.checked_add(4))
        .and_then(|n| i32::try_from(n).ok());
    let (Some(total), true) = (total, header_len < 1 << 24) else {
        out.truncate(start);
        return Err(TooLarge {
            header: header_len,
            body: body_len,
        });
    };
    let word = header_len as u32 | if binary { 1 << 24 } else { 0 };
    out[start..start + 4].copy_from_slice(&total.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&word.to_be_bytes());
    Ok(())
}

/// A whole frame as one buffer, for tests and small requests.
pub fn encode_frame<H: EncodeHeader + ?Sized>(
    head: &Head<'_>,
    header: &H,
    body: &[u8],
) -> Result<Bytes, TooLarge> {
    let mut out = Vec::with_capacity(256 + body.len());
    encode_head(&mut out, head, header, body.len())?;
    out.extend_from_slice(body);
    Ok(out.into())
}

/// Appends a request of ours without its body.
pub fn encode_request(
    out: &mut Vec<u8>,
    serialize_type: SerializeType,
    code: i32,
    opaque: i32,
    oneway: bool,
    header: &dyn EncodeHeader,
    body_len: usize,
) {
    let flag = if oneway { crate::frame::FLAG_ONEWAY } else { 0 };
    let head = Head {
        code,
        language: Language::Java,
        version: crate::VERSION,
        opaque,
        flag,
        remark: None,
        serialize_type,
    };
    encode_ours(out, &head, header, body_len);
}

/// Appends a reply of ours without its body, in the serialization of the request.
pub fn encode_response(
    out: &mut Vec<u8>,
    serialize_type: SerializeType,
    opaque: i32,
    code: i32,
    remark: Option<&str>,
    header: &dyn EncodeHeader,
    body_len: usize,
) {
    let head = Head {
        code,
        language: Language::Java,
        version: crate::VERSION,
        opaque,
        flag: crate::frame::FLAG_RESPONSE,
        remark,
        serialize_type,
    };
    encode_ours(out, &head, header, body_len);
}

fn encode_ours(out: &mut Vec<u8>, head: &Head<'_>, header: &dyn EncodeHeader, body_len: usize) {
    if encode_head(out, head, header, body_len).is_err() {
        // Only a remark or a field of 16 MiB gets here (a peer's text given back to it): what matters is sent.
        let bare = Head {
            remark: None,
            ..*head
        };
        encode_head(out, &bare, &(), body_len).expect("a frame of ours stays below 2 GiB");
    }
}

fn write_json<H: EncodeHeader + ?Sized>(out: &mut Vec<u8>, head: &Head<'_>, header: &H) {
    out.extend_from_slice(b"{\"code\":");
    put_int(out, head.code);
    if header.is_present() {
        out.extend_from_slice(b",\"extFields\":{");
        header.encode(&mut FieldWriter {
            out,
            form: Form::Json { first: true },
            short: false,
        });
        out.push(b'}');
    }
    out.extend_from_slice(b",\"flag\":");
    put_int(out, head.flag);
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(head.language.name().as_bytes());
    out.extend_from_slice(b"\",\"opaque\":");
    put_int(out, head.opaque);
    if let Some(remark) = head.remark {
        out.extend_from_slice(b",\"remark\":");
        put_json_text(out, remark);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    put_int(out, head.version);
    out.push(b'}');
}

fn write_binary<H: EncodeHeader + ?Sized>(out: &mut Vec<u8>, head: &Head<'_>, header: &H) {
    out.extend_from_slice(&(head.code as i16).to_be_bytes());
    out.push(head.language.number());
    out.extend_from_slice(&(head.version as i16).to_be_bytes());
    out.extend_from_slice(&head.opaque.to_be_bytes());
    out.extend_from_slice(&head.flag.to_be_bytes());
    let remark = head.remark.unwrap_or("");
    out.extend_from_slice(&(remark.len() as u32).to_be_bytes());
    out.extend_from_slice(remark.as_bytes());
    let at = out.len();
    out.extend_from_slice(&0u32.to_be_bytes());
    header.encode(&mut FieldWriter {
        out,
        form: Form::Binary,
        short: false,
    });
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

enum Form {
    Json { first: bool },
    Binary,
}

/// The name of a field of ours, in the form in which it is written.
#[derive(Debug, Clone, Copy)]
pub struct FieldName {
    json: &'static str,
    binary: &'static [u8],
}

impl FieldName {
    /// `json` is the name, of letters that need no escapes, between `,"` and `":"`; `binary` the name behind its two bytes
    /// of length. For derived code.
    #[doc(hidden)]
    pub const fn new(json: &'static str, binary: &'static [u8]) -> Self {
        FieldName { json, binary }
    }

    /// With the first quote of the value behind it, and a comma before it unless it is the first.
    fn json(self, first: bool) -> &'static [u8] {
        let json = self.json.as_bytes();
        if first { &json[1..] } else { json }
    }
}

/// Where a header writes its fields.
pub struct FieldWriter<'a> {
    out: &'a mut Vec<u8>,
    form: Form,
    pub(crate) short: bool,
}

impl FieldWriter<'_> {
    /// The name to write: the short one inside [`crate::header::Short`].
    pub fn pick(&self, long: FieldName, short: FieldName) -> FieldName {
        if self.short { short } else { long }
    }

    /// Writes a text field.
    pub fn text(&mut self, name: FieldName, value: &str) {
        match &mut self.form {
            Form::Json { first } => {
                self.out.extend_from_slice(name.json(std::mem::take(first)));
                put_escaped(self.out, value.as_bytes());
                self.out.push(b'"');
            }
            Form::Binary => {
                self.out.extend_from_slice(name.binary);
                put_binary_value(self.out, value.as_bytes());
            }
        }
    }

    /// Writes a text field whose name is not ours but another frame's, and may hold anything.
    pub fn foreign(&mut self, name: &str, value: &str) {
        match &mut self.form {
            Form::Json { first } => {
                if !std::mem::take(first) {
                    self.out.push(b',');
                }
                put_json_text(self.out, name);
                self.out.push(b':');
                put_json_text(self.out, value);
            }
            Form::Binary => {
                // A name longer than its 16-bit length cannot be said; Java has none beyond thirty letters.
                let Ok(len) = u16::try_from(name.len()) else {
                    return;
                };
                self.out.extend_from_slice(&len.to_be_bytes());
                self.out.extend_from_slice(name.as_bytes());
                put_binary_value(self.out, value.as_bytes());
            }
        }
    }

    /// Writes a whole number as its decimal text.
    pub fn int(&mut self, name: FieldName, value: i64) {
        self.plain(name, int_text(value, &mut [0; 20]));
    }

    /// Writes `true` or `false`.
    pub fn flag(&mut self, name: FieldName, value: bool) {
        self.plain(name, if value { b"true" } else { b"false" });
    }

    /// A text that needs no escapes.
    fn plain(&mut self, name: FieldName, value: &[u8]) {
        match &mut self.form {
            Form::Json { first } => {
                self.out.extend_from_slice(name.json(std::mem::take(first)));
                self.out.extend_from_slice(value);
                self.out.push(b'"');
            }
            Form::Binary => {
                self.out.extend_from_slice(name.binary);
                put_binary_value(self.out, value);
            }
        }
    }
}

/// Fields of another frame, passed on as they are (a request that the broker relays to a client).
impl EncodeHeader for crate::frame::Fields<'_> {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        for (name, value) in self.clone() {
            writer.foreign(name, value);
        }
    }
}

impl EncodeHeader for Frame {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        self.fields().encode(writer);
    }
}

fn put_binary_value(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(int_text(i64::from(value), &mut [0; 20]));
}

#[inline]
fn int_text(value: i64, buf: &mut [u8; 20]) -> &[u8] {
    if let 0..=9 = value {
        // Most are: codes, flags, queues.
        buf[0] = b'0' + value as u8;
        return &buf[..1];
    }
    long_int_text(value, buf)
}

fn long_int_text(value: i64, buf: &mut [u8; 20]) -> &[u8] {
    let mut at = buf.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buf[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    &buf[at..]
}

/// A JSON string with Java's escapes: what must be escaped is, `/` and letters beyond ASCII are not.
pub(crate) fn put_json_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    put_escaped(out, text.as_bytes());
    out.push(b'"');
}

/// What is between the quotes.
fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        put_with_escapes(out, text);
    }
}

#[cold]
fn put_with_escapes(out: &mut Vec<u8>, text: &[u8]) {
    let mut start = 0;
    for (at, b) in text.iter().enumerate().filter(|(_, b)| must_be_escaped(**b)) {
        out.extend_from_slice(&text[start..at]);
        start = at + 1;
        put_escape(out, *b);
    }
    out.extend_from_slice(&text[start..]);
}

/// Whether nothing must be escaped; eight bytes at a time, the last eight whatever is left.
fn is_plain(text: &[u8]) -> bool {
    let plain = |word: &[u8; 8]| !word.iter().fold(false, |found, b| found | must_be_escaped(*b));
    match text.last_chunk() {
        Some(last) => text.as_chunks().0.iter().all(plain) && plain(last),
        None => !text.iter().any(|b| must_be_escaped(*b)),
    }
}

fn must_be_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_json_text_reads_back(text in "[ -~]{0,40}|(.|[\"\\\\\u{0}-\u{1f}]){0,40}") {
            let mut out = Vec::new();
            put_json_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        }

        #[test]
        fn one_byte_to_escape_is_seen_wherever_it_is(len in 0..40usize, at in 0..40usize, byte in 0..0x20u8) {
            let mut text = vec![b'x'; len];
            prop_assert!(is_plain(&text));
            for byte in [byte, b'"', b'\\'].into_iter().filter(|_| at < len) {
                text[at] = byte;
                prop_assert!(!is_plain(&text));
            }
        }

        #[test]
        fn whole_numbers_are_written_as_rust_writes_them(value: i64, small in -1000..1000i64) {
            for value in [value, small, i64::MIN, i64::MAX] {
                let mut digits = [0; 20];
                let digits = int_text(value, &mut digits);
                prop_assert_eq!(std::str::from_utf8(digits), Ok(&*value.to_string()));
            }
        }
    }
}
