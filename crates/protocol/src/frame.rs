//! A received frame: the head, the header fields as ranges, the body.
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 4 | `total`: number of bytes that follow this field |
//! | 4 | 4 | top byte: serialize type (0 JSON, 1 ROCKETMQ); low 24 bits: header length |
//! | 8 | header length | header |
//! | 8 + header | rest | body, may be empty |
//!
//! `remoting` cuts frames at `total`; [`Frame::decode`] gets the bytes behind it.

use crate::header::{DecodeHeader, HeaderError};
use crate::language::Language;
use crate::scan::{JsonError, Scanner, Token, unescape};
use bytes::Bytes;
use std::ops::Range;

/// How many extension fields a frame may carry. RocketMQ's largest header has some twenty.
pub const FIELDS_MAX: usize = 4096;

/// Flag bit 0: this frame is a reply.
pub const FLAG_RESPONSE: i32 = 1;
/// Flag bit 1: nobody waits for a reply.
pub const FLAG_ONEWAY: i32 = 2;

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SerializeType {
    /// Number 0.
    #[default]
    Json,
    /// Number 1, the binary form.
    RocketMq,
}

/// Why a frame cannot be read. The connection it came from is closed, as Java closes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer than the four bytes of type and header length.
    #[error("a frame of {len} bytes is too short for its header length")]
    Short {
        /// Bytes behind the length field.
        len: usize,
    },
    /// The header length points behind the frame.
    #[error("header length {header} does not fit a frame of {frame} bytes")]
    HeaderLength {
        /// Announced header length.
        header: usize,
        /// Bytes behind the length field.
        frame: usize,
    },
    /// Neither JSON nor ROCKETMQ.
    #[error("unknown serialize type {0}")]
    SerializeType(u8),
    /// The JSON header is not an object fastjson would take.
    #[error("damaged JSON header: {0}")]
    Json(#[from] JsonError),
    /// A length inside the binary header points outside.
    #[error("damaged binary header: {0}")]
    Binary(&'static str),
    /// More than [`FIELDS_MAX`] fields.
    #[error("more than {FIELDS_MAX} header fields")]
    Fields,
}

/// Where a name or a value is: in the frame's own bytes or, when it had escapes, among the unescaped ones.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u32,
    len: u32,
    unescaped: bool,
}

/// A request or a reply as it came in.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Request code, or response code in a reply.
    pub code: i32,
    /// The sender's language.
    pub language: Language,
    /// The sender's version number (`crate::version`).
    pub version: i32,
    /// Correlation number: a reply carries its request's.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`], [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Text, mostly on errors.
    pub remark: Option<String>,
    /// How this frame's header was written; the reply is written alike.
    pub serialize_type: SerializeType,
    /// The body; empty and none are the same.
    pub body: Bytes,
    header: Bytes,
    unescaped: Vec<u8>,
    fields: Vec<(Piece, Piece)>,
}

impl Frame {
    /// Decodes what follows the length field. The body shares `bytes`; header fields stay in it too.
    pub fn decode(bytes: Bytes) -> Result<Frame, FrameError> {
        let (serialize_type, header_len) = header_extent(&bytes)?;
        let header = bytes.slice(4..4 + header_len);
        let body = bytes.slice(4 + header_len..);
        Frame::from_parts(serialize_type, header, body)
    }

    /// Decodes only the head of a frame whose body has not arrived: `bytes` is what has come behind the length field.
    /// `None` while the header is incomplete. The frame's body is empty.
    pub fn peek(bytes: &[u8], frame_len: usize) -> Result<Option<Frame>, FrameError> {
        let Some(word) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let (serialize_type, header_len) = split_word(u32::from_be_bytes(*word), frame_len)?;
        let Some(header) = bytes.get(4..4 + header_len) else {
            return Ok(None);
        };
        Frame::from_parts(serialize_type, Bytes::copy_from_slice(header), Bytes::new()).map(Some)
    }

    fn from_parts(serialize_type: SerializeType, header: Bytes, body: Bytes) -> Result<Frame, FrameError> {
        let mut frame = Frame {
            code: 0,
            language: Language::Java,
            version: 0,
            opaque: 0,
            flag: 0,
            remark: None,
            serialize_type,
            body,
            header,
            unescaped: Vec::new(),
            fields: Vec::new(),
        };
        match serialize_type {
            SerializeType::Json => frame.read_json()?,
            SerializeType::RocketMq => frame.read_binary()?,
        }
        Ok(frame)
    }

    /// Whether this is a reply.
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether its sender waits for no reply.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// The typed header.
    pub fn header<'a, H: DecodeHeader<'a>>(&'a self) -> Result<H, HeaderError> {
        H::decode(self.fields())
    }

    /// One field by its name on the wire. The last one wins where a name comes twice.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .rev()
            .find(|(n, _)| self.text(*n) == name)
            .map(|(_, v)| self.text(*v))
    }

    /// All fields in the order they came.
    pub fn fields(&self) -> Fields<'_> {
        Fields { frame: self, at: 0 }
    }

    /// Bytes this frame keeps alive: header, body and the field table.
    pub fn weight(&self) -> usize {
        self.header.len()
            + self.body.len()
            + self.unescaped.len()
            + self.fields.len() * size_of::<(Piece, Piece)>()
    }

    fn text(&self, piece: Piece) -> &str {
        let source: &[u8] = if piece.unescaped {
            &self.unescaped
        } else {
            &self.header
        };
        let range = piece.start as usize..(piece.start as usize + piece.len as usize);
        // Checked as UTF-8 when the header was read; an empty text instead of a panic should that ever be untrue.
        source
            .get(range)
            .and_then(|b| std::str::from_utf8(b).ok())
            .unwrap_or("")
    }

    fn push_field(&mut self, name: Piece, value: Piece) -> Result<(), FrameError> {
        if self.fields.len() >= FIELDS_MAX {
            return Err(FrameError::Fields);
        }
        if self.fields.is_empty() {
            self.fields.reserve(16);
        }
        self.fields.push((name, value));
        Ok(())
    }

    /// Makes the header valid UTF-8, as Java's decoder does: what is not becomes U+FFFD.
    fn repair_utf8(&mut self) {
        if std::str::from_utf8(&self.header).is_err() {
            self.header = Bytes::from(String::from_utf8_lossy(&self.header).into_owned());
        }
    }

    // ---- JSON ----

    fn read_json(&mut self) -> Result<(), FrameError> {
        self.repair_utf8();
        let header = self.header.clone();
        let mut scanner = Scanner::new(&header);
        if scanner.next()? != Token::ObjectStart {
            return Err(scanner.error("the header is not an object").into());
        }
        while let Some((key, value)) = next_member(&mut scanner)? {
            let key = plain_text(&header, &key);
            if key.as_ref() == b"extFields" && value == Token::ObjectStart {
                self.read_json_fields(&mut scanner)?;
                continue;
            }
            scanner.skip_value(&value)?;
            self.set_json_member(&key, &value, &header);
        }
        if scanner.next()? != Token::End {
            return Err(scanner.error("text behind the header's object").into());
        }
        Ok(())
    }

    fn set_json_member(&mut self, key: &[u8], value: &Token, header: &[u8]) {
        if !matches!(value, Token::Text { .. } | Token::Bare(_)) || is_null(header, value) {
            return;
        }
        let text = plain_text(header, value);
        let text = String::from_utf8_lossy(&text);
        match key {
            b"code" => self.code = lenient_int(&text),
            b"flag" => self.flag = lenient_int(&text),
            b"opaque" => self.opaque = lenient_int(&text),
            b"version" => self.version = lenient_int(&text),
            b"language" => self.language = Language::from_text(&text),
            b"remark" => self.remark = Some(text.into_owned()),
            _ => {}
        }
    }

    fn read_json_fields(&mut self, scanner: &mut Scanner<'_>) -> Result<(), FrameError> {
        // A second extFields object replaces the first, as a second value of any key does.
        self.fields.clear();
        while let Some((key, value)) = next_member(scanner)? {
            let start = match &value {
                Token::Text { range, .. } | Token::Bare(range) => range.start,
                _ => scanner.pos - 1,
            };
            let end = scanner.skip_value(&value)?;
            if is_null(scanner.src, &value) {
                continue;
            }
            let name = self.piece(scanner.src, &key);
            let value = match value {
                Token::Text { .. } | Token::Bare(_) => self.piece(scanner.src, &value),
                // An object or array where a text belongs is kept as its own text, as fastjson does.
                _ => piece(start..end, false),
            };
            self.push_field(name, value)?;
        }
        Ok(())
    }

    fn piece(&mut self, src: &[u8], token: &Token) -> Piece {
        match token {
            Token::Text { range, escaped: true } => {
                let start = self.unescaped.len();
                let mut text = Vec::with_capacity(range.len());
                unescape(&src[range.clone()], &mut text);
                self.unescaped
                    .extend_from_slice(String::from_utf8_lossy(&text).as_bytes());
                piece(start..self.unescaped.len(), true)
            }
            Token::Text { range, .. } | Token::Bare(range) => piece(range.clone(), false),
            _ => piece(0..0, false),
        }
    }

    // ---- binary ----

    fn read_binary(&mut self) -> Result<(), FrameError> {
        let header = self.header.clone();
        let mut reader = Reader { src: &header, pos: 0 };
        let short = "shorter than its fixed part";
        self.code = i32::from(i16::from_be_bytes(reader.array(short)?));
        self.language = Language::from_number(i64::from(reader.array::<1>(short)?[0]));
        self.version = i32::from(i16::from_be_bytes(reader.array(short)?));
        self.opaque = i32::from_be_bytes(reader.array(short)?);
        self.flag = i32::from_be_bytes(reader.array(short)?);
        let remark = reader.long_text("a remark longer than the header")?;
        if !remark.is_empty() {
            self.remark = Some(String::from_utf8_lossy(&header[remark]).into_owned());
        }
        let block = reader.long_text("an extension block longer than the header")?;
        let mut entries = Reader {
            src: &header[..block.end],
            pos: block.start,
        };
        while entries.pos < block.end {
            let key_len = u16::from_be_bytes(entries.array("an entry cut short")?) as usize;
            let key = entries.range(key_len, "a key longer than its block")?;
            let value = entries.long_text("a value longer than its block")?;
            // Java decodes a value of no bytes to null, which is a field that is not there.
            if !value.is_empty() {
                let key = self.binary_piece(&header, key);
                let value = self.binary_piece(&header, value);
                self.push_field(key, value)?;
            }
        }
        Ok(())
    }

    fn binary_piece(&mut self, header: &[u8], range: Range<usize>) -> Piece {
        let bytes = &header[range.clone()];
        if std::str::from_utf8(bytes).is_ok() {
            return piece(range, false);
        }
        let start = self.unescaped.len();
        self.unescaped
            .extend_from_slice(String::from_utf8_lossy(bytes).as_bytes());
        piece(start..self.unescaped.len(), true)
    }
}

/// The fields of a frame, in the order they came: (name, text).
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    frame: &'a Frame,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.frame.fields.get(self.at)?;
        self.at += 1;
        Some((self.frame.text(*name), self.frame.text(*value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.frame.fields.len() - self.at;
        (left, Some(left))
    }
}

/// Splits the word behind the frame length into type and header length, checked against the frame's length.
fn split_word(word: u32, frame_len: usize) -> Result<(SerializeType, usize), FrameError> {
    let header = (word & 0x00FF_FFFF) as usize;
    let serialize_type = match (word >> 24) as u8 {
        0 => SerializeType::Json,
        1 => SerializeType::RocketMq,
        other => return Err(FrameError::SerializeType(other)),
    };
    if frame_len < 4 || header > frame_len - 4 {
        return Err(FrameError::HeaderLength {
            header,
            frame: frame_len,
        });
    }
    Ok((serialize_type, header))
}

fn header_extent(bytes: &[u8]) -> Result<(SerializeType, usize), FrameError> {
    let word = bytes
        .first_chunk::<4>()
        .ok_or(FrameError::Short { len: bytes.len() })?;
    split_word(u32::from_be_bytes(*word), bytes.len())
}

fn piece(range: Range<usize>, unescaped: bool) -> Piece {
    // A header has at most 2^24 bytes and unescaping never makes more than three of one.
    let fit = |n: usize| u32::try_from(n).unwrap_or(0);
    Piece {
        start: fit(range.start),
        len: fit(range.len()),
        unescaped,
    }
}

/// The next key and the first token of its value; `None` at the object's end. Stray commas are skipped.
fn next_member(scanner: &mut Scanner<'_>) -> Result<Option<(Token, Token)>, JsonError> {
    loop {
        match scanner.next()? {
            Token::Comma => {}
            Token::ObjectEnd => return Ok(None),
            key @ (Token::Text { .. } | Token::Bare(_)) => {
                if scanner.next()? != Token::Colon {
                    return Err(scanner.error("a ':' is missing"));
                }
                return Ok(Some((key, scanner.next()?)));
            }
            _ => return Err(scanner.error("a key is missing")),
        }
    }
}

fn plain_text<'a>(src: &'a [u8], token: &Token) -> std::borrow::Cow<'a, [u8]> {
    match token {
        Token::Text { range, escaped: true } => {
            let mut out = Vec::with_capacity(range.len());
            unescape(&src[range.clone()], &mut out);
            out.into()
        }
        Token::Text { range, .. } | Token::Bare(range) => src[range.clone()].into(),
        _ => (&src[..0]).into(),
    }
}

fn is_null(src: &[u8], token: &Token) -> bool {
    matches!(token, Token::Bare(range) if &src[range.clone()] == b"null")
}

/// A number as fastjson casts it to int: text of a number, fractions cut, what does not fit wraps, anything else 0.
fn lenient_int(text: &str) -> i32 {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(number) => number as i32,
        Err(_) => text.parse::<f64>().map_or(0, |f| f as i32),
    }
}

struct Reader<'a> {
    src: &'a [u8],
    pos: usize,
}

impl Reader<'_> {
    fn range(&mut self, len: usize, what: &'static str) -> Result<Range<usize>, FrameError> {
        let end = self.pos.checked_add(len).filter(|end| *end <= self.src.len());
        let end = end.ok_or(FrameError::Binary(what))?;
        let range = self.pos..end;
        self.pos = end;
        Ok(range)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let range = self.range(N, what)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.src[range]);
        Ok(out)
    }

    fn long_text(&mut self, what: &'static str) -> Result<Range<usize>, FrameError> {
        let len = i32::from_be_bytes(self.array(what)?);
        let len = usize::try_from(len).map_err(|_| FrameError::Binary(what))?;
        self.range(len, what)
    }
}
