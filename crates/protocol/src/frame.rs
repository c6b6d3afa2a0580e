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
use crate::scan::{JsonError, Scanner, Token, every_byte, unescape};
use bytes::{Buf, Bytes};
use bytestring::ByteString;
use std::cell::RefCell;
use std::ops::Range;

/// How many extension fields a frame may carry. RocketMQ's largest header has some twenty.
pub const FIELDS_MAX: usize = 4096;

/// Fields that there is room for at once: those of a send.
const FIELDS_USUAL: usize = 16;

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

/// Where a name or a value is: in the frame's own text or, when it was not there as it is to be read, among the unescaped.
///
/// A header has at most 2^24 bytes, and neither making it text nor unescaping makes more than three of one: the start's
/// highest bit is free to say which of the two it is.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u32,
    end: u32,
}

impl Piece {
    const UNESCAPED: u32 = 1 << 31;

    fn of_text(range: Range<usize>) -> Self {
        Piece {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    fn of_unescaped(range: Range<usize>) -> Self {
        let Piece { start, end } = Piece::of_text(range);
        Piece {
            start: start | Piece::UNESCAPED,
            end,
        }
    }

    fn is_unescaped(self) -> bool {
        self.start & Piece::UNESCAPED != 0
    }

    fn range(self) -> Range<usize> {
        (self.start & !Piece::UNESCAPED) as usize..self.end as usize
    }
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
    /// A JSON header, or of the fields of a binary one as much as is text together with the lengths in between.
    text: ByteString,
    table: Table,
}

/// The fields of a frame, and their text where that is not the frame's own. Dropped, it leaves its room to the next frame of
/// its thread.
#[derive(Debug, Clone, Default)]
struct Table {
    unescaped: String,
    fields: Vec<(Piece, Piece)>,
}

/// Tables a thread keeps: those of a few reads.
const TABLES_KEPT: usize = 256;
/// Room of the largest that is kept: text in bytes, and fields.
const TEXT_KEPT: usize = 1024;
const FIELDS_KEPT: usize = 2 * FIELDS_USUAL;

thread_local! {
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

impl Table {
    /// An empty one, with the room of an earlier one if there is any.
    fn take() -> Table {
        TABLES.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.unescaped.clear();
        self.fields.clear();
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let room = (self.unescaped.capacity(), self.fields.capacity());
        if room == (0, 0) || room.0 > TEXT_KEPT || room.1 > FIELDS_KEPT {
            return;
        }
        // A thread that ends keeps nothing.
        let _ = TABLES.try_with(|tables| {
            let mut tables = tables.borrow_mut();
            if tables.len() < TABLES_KEPT {
                self.clear();
                tables.push(Table {
                    unescaped: std::mem::take(&mut self.unescaped),
                    fields: std::mem::take(&mut self.fields),
                });
            }
        });
    }
}

/// Longest frame that is copied to be kept, bytes: a read buffer is not much longer.
const DETACHED_MAX: usize = 32 << 10;

impl Frame {
    /// Decodes what follows the length field. The body shares `bytes`; header fields stay in it too.
    pub fn decode(mut bytes: Bytes) -> Result<Frame, FrameError> {
        let (serialize_type, header_len) = header_extent(&bytes)?;
        let body = bytes.split_off(4 + header_len);
        bytes.advance(4);
        Frame::from_parts(serialize_type, bytes, body)
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
            text: ByteString::new(),
            table: Table::take(),
        };
        match serialize_type {
            SerializeType::Json => frame.read_json(header)?,
            SerializeType::RocketMq => frame.read_binary(header)?,
        }
        Ok(frame)
    }

    /// Bytes of the header's text and the body.
    pub fn len_bytes(&self) -> usize {
        self.text.len() + self.body.len()
    }

    /// A frame that is to be kept for a while. A short one is copied out of the read buffer, which it would keep alive as
    /// a whole; of a long one the buffer holds little else.
    pub fn detached(mut self) -> Frame {
        if self.len_bytes() <= DETACHED_MAX {
            self.body = Bytes::copy_from_slice(&self.body);
            self.text = ByteString::from(self.text.to_string());
        }
        self
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
        self.fields().filter(|(n, _)| *n == name).last().map(|(_, v)| v)
    }

    /// All fields in the order they came.
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            text: &self.text,
            unescaped: &self.table.unescaped,
            pieces: self.table.fields.iter(),
        }
    }

    fn push_field(&mut self, name: Piece, value: Piece) -> Result<(), FrameError> {
        if self.table.fields.len() >= FIELDS_MAX {
            return Err(FrameError::Fields);
        }
        self.table.fields.push((name, value));
        Ok(())
    }

    // ---- JSON ----

    fn read_json(&mut self, header: Bytes) -> Result<(), FrameError> {
        // Made valid UTF-8 as Java's decoder does it: what is not becomes U+FFFD.
        let text = ByteString::try_from(header.clone())
            .unwrap_or_else(|_| String::from_utf8_lossy(&header).into_owned().into());
        if self.read_plain_json(&text).is_none() {
            // Something that the quick look does not know: from the start, with all that fastjson takes.
            self.forget_json();
            self.read_any_json(text.as_bytes())?;
        }
        self.text = text;
        Ok(())
    }

    fn read_any_json(&mut self, header: &[u8]) -> Result<(), FrameError> {
        let mut scanner = Scanner::new(header);
        if scanner.next()? != Token::ObjectStart {
            return Err(scanner.error("the header is not an object").into());
        }
        while let Some((key, value)) = next_member(&mut scanner)? {
            let key = plain_text(header, &key);
            if key.as_ref() == b"extFields" && value == Token::ObjectStart {
                self.read_json_fields(&mut scanner)?;
                continue;
            }
            scanner.skip_value(&value)?;
            self.set_json_member(&key, &value, header);
        }
        if scanner.next()? != Token::End {
            return Err(scanner.error("text behind the header's object").into());
        }
        Ok(())
    }

    /// Reads the form in which clients write headers: no blanks, double quotes, no object but extFields, no
    /// null. `None` for everything else, with some of it read.
    fn read_plain_json(&mut self, header: &str) -> Option<()> {
        let mut plain = Plain::new(header.as_bytes());
        plain.take(b'{')?;
        loop {
            let key = plain.key()?;
            match &plain.src[key] {
                b"extFields" => self.read_plain_fields(&mut plain)?,
                b"remark" => self.remark = Some(header[plain.text()?].to_owned()),
                b"language" => self.language = Language::from_text(&header[plain.text()?]),
                b"code" => self.code = plain.int()?,
                b"flag" => self.flag = plain.int()?,
                b"opaque" => self.opaque = plain.int()?,
                b"version" => self.version = plain.int()?,
                _ if plain.src.get(plain.pos) == Some(&b'"') => {
                    plain.text()?;
                }
                _ => {
                    plain.int()?;
                }
            }
            match plain.byte()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        (plain.pos == header.len()).then_some(())
    }

    #[inline(always)]
    fn read_plain_fields(&mut self, plain: &mut Plain<'_>) -> Option<()> {
        plain.take(b'{')?;
        // A second extFields object replaces the first, as a second value of any key does.
        self.table.fields.clear();
        if plain.src.get(plain.pos) == Some(&b'}') {
            plain.pos += 1;
            return Some(());
        }
        self.table.fields.reserve(FIELDS_USUAL);
        plain.take(b'"')?;
        let src = plain.src;
        let mut marks = plain.marks;
        let mut name_start = plain.pos;
        marks.next()?;
        loop {
            let name_end = marks.next()?;
            let [b'"', b':', b'"', ..] = src[name_end..] else {
                return None;
            };
            marks.next()?;
            let start = name_end + 3;
            let mut end = marks.next()?;
            if self.table.fields.len() == FIELDS_MAX {
                return None;
            }
            let value = if src[end] == b'"' {
                Piece::of_text(start..end)
            } else {
                (marks, end) = marks.end_of_escaped(end)?;
                self.unescaped_piece(&src[start..end])
            };
            self.table
                .fields
                .push((Piece::of_text(name_start..name_end), value));
            match src[end + 1..] {
                [b',', b'"', ..] => {
                    marks.next()?;
                    name_start = end + 3;
                }
                [b'}', ..] => {
                    plain.pos = end + 2;
                    plain.marks = marks;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Back to a frame of which nothing has been read.
    fn forget_json(&mut self) {
        (self.code, self.version, self.opaque, self.flag) = (0, 0, 0, 0);
        self.language = Language::Java;
        self.remark = None;
        self.table.clear();
    }

    fn unescaped_piece(&mut self, raw: &[u8]) -> Piece {
        let all = &mut self.table.unescaped;
        let start = all.len();
        // Mostly there is one such field, which is written where it stays.
        let mut unescaped = match start {
            0 => std::mem::take(all).into_bytes(),
            _ => Vec::new(),
        };
        unescaped.reserve(raw.len());
        unescape(raw, &mut unescaped);
        // An escape may name half a letter, or begin within one.
        let text = String::from_utf8(unescaped)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        if start == 0 {
            *all = text;
        } else {
            all.push_str(&text);
        }
        Piece::of_unescaped(start..all.len())
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
        self.table.fields.clear();
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
                _ => Piece::of_text(start..end),
            };
            self.push_field(name, value)?;
        }
        Ok(())
    }

    fn piece(&mut self, src: &[u8], token: &Token) -> Piece {
        match token {
            Token::Text { range, escaped: true } => self.unescaped_piece(&src[range.clone()]),
            Token::Text { range, .. } | Token::Bare(range) => Piece::of_text(range.clone()),
            _ => Piece::of_text(0..0),
        }
    }

    // ---- binary ----

    fn read_binary(&mut self, header: Bytes) -> Result<(), FrameError> {
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
        self.text = text_at_front(&header, block.clone());
        let block = &header[block];
        let mut entries = Reader { src: block, pos: 0 };
        // No field has fewer than seven bytes.
        self.table.fields.reserve(FIELDS_USUAL.min(block.len() / 7));
        while entries.pos < block.len() {
            let key_len = u16::from_be_bytes(entries.array("an entry cut short")?) as usize;
            let key = entries.range(key_len, "a key longer than its block")?;
            let value = entries.long_text("a value longer than its block")?;
            // Java decodes a value of no bytes to null, which is a field that is not there.
            if !value.is_empty() {
                let key = self.binary_piece(block, key);
                let value = self.binary_piece(block, value);
                self.push_field(key, value)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn binary_piece(&mut self, block: &[u8], range: Range<usize>) -> Piece {
        if self.text.get(range.clone()).is_some() {
            Piece::of_text(range)
        } else {
            self.repaired_piece(&block[range])
        }
    }

    #[inline(never)]
    fn repaired_piece(&mut self, bytes: &[u8]) -> Piece {
        let all = &mut self.table.unescaped;
        let start = all.len();
        all.push_str(&String::from_utf8_lossy(bytes));
        Piece::of_unescaped(start..all.len())
    }
}

/// As much of the block as is text. Mostly that is all of it: a length is none only where its last byte is above 127.
fn text_at_front(header: &Bytes, block: Range<usize>) -> ByteString {
    ByteString::try_from(header.slice(block.clone()))
        .or_else(|e| ByteString::try_from(header.slice(block.start..block.start + e.valid_up_to())))
        .unwrap_or_default()
}

/// The fields of a frame, in the order they came: (name, text).
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    text: &'a str,
    unescaped: &'a str,
    pieces: std::slice::Iter<'a, (Piece, Piece)>,
}

impl<'a> Fields<'a> {
    /// The next field, its name as bytes: to be compared it need not be known as text. For derived code.
    #[doc(hidden)]
    #[inline]
    pub fn next_named(&mut self) -> Option<(&'a [u8], &'a str)> {
        let (name, value) = self.pieces.next()?;
        Some((
            self.store(*name).as_bytes().get(name.range()).unwrap_or_default(),
            self.text(*value),
        ))
    }

    #[inline]
    fn text(&self, piece: Piece) -> &'a str {
        // An empty text instead of a panic should a piece ever be none.
        self.store(piece).get(piece.range()).unwrap_or_default()
    }

    #[inline]
    fn store(&self, piece: Piece) -> &'a str {
        if piece.is_unescaped() {
            self.unescaped
        } else {
            self.text
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = *self.pieces.next()?;
        Some((self.text(name), self.text(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.pieces.size_hint()
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

/// A reader of the plain form of JSON: every method returns `None` where the text is anything else.
///
/// Only names and values have quotes and backslashes in this form: all those before `pos` have been asked for. What is
/// called for every name is inlined by force: the calls cost a tenth of all the reading.
struct Plain<'a> {
    src: &'a [u8],
    pos: usize,
    marks: Marks<'a>,
}

impl<'a> Plain<'a> {
    fn new(src: &'a [u8]) -> Self {
        Plain {
            src,
            pos: 0,
            marks: Marks::new(src),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.src.get(self.pos)?;
        self.pos += 1;
        Some(byte)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.byte()? == wanted).then_some(())
    }

    /// A name and the colon behind it.
    #[inline(always)]
    fn key(&mut self) -> Option<Range<usize>> {
        let range = self.text()?;
        self.take(b':')?;
        Some(range)
    }

    /// A quoted text that has no escapes, without its quotes.
    #[inline(always)]
    fn text(&mut self) -> Option<Range<usize>> {
        self.take(b'"')?;
        // The quote just taken.
        self.marks.next()?;
        let start = self.pos;
        let end = self.marks.next()?;
        self.pos = end;
        self.take(b'"')?;
        Some(start..end)
    }

    /// A whole number of 32 bits.
    #[inline(always)]
    fn int(&mut self) -> Option<i32> {
        let negative = self.src.get(self.pos) == Some(&b'-');
        self.pos += usize::from(negative);
        let start = self.pos;
        let mut value = 0i64;
        while let Some(digit @ b'0'..=b'9') = self.src.get(self.pos) {
            value = value * 10 + i64::from(digit - b'0');
            self.pos += 1;
            if self.pos - start > 10 {
                return None;
            }
        }
        if self.pos == start {
            return None;
        }
        i32::try_from(if negative { -value } else { value }).ok()
    }
}

/// How many bytes are looked at at once.
const BLOCK: usize = 64;

/// The quotes and backslashes of a text, one after the other. Most names and values are short and there are thirty to a
/// header: it is cheaper to look for all at once than to begin anew for each.
#[derive(Clone, Copy)]
struct Marks<'a> {
    src: &'a [u8],
    /// How far has been looked.
    seen: usize,
    /// Those of the last 64 bytes looked at that are still to be told, the first in the lowest bit.
    left: u64,
}

impl<'a> Marks<'a> {
    fn new(src: &'a [u8]) -> Self {
        Marks {
            src,
            seen: 0,
            left: 0,
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            (self.seen, self.left) = look_on(self.src, self.seen)?;
        }
        let at = self.seen - BLOCK + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(at)
    }

    /// The quote that ends a text whose first backslash is known.
    fn end_of_escaped(mut self, mut backslash: usize) -> Option<(Self, usize)> {
        loop {
            let mut mark = self.next()?;
            if mark == backslash + 1 {
                mark = self.next()?;
            }
            if self.src[mark] == b'"' {
                return Some((self, mark));
            }
            backslash = mark;
        }
    }
}

/// Looks for marks behind `seen`: how far it looked, and those of the last block.
#[inline(never)]
fn look_on(src: &[u8], mut seen: usize) -> Option<(usize, u64)> {
    loop {
        let rest = src.get(seen..).filter(|rest| !rest.is_empty())?;
        seen += BLOCK;
        let marks = match rest.first_chunk() {
            Some(block) => marks(block),
            None => {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                marks(&block)
            }
        };
        if marks != 0 {
            return Some((seen, marks));
        }
    }
}

/// A bit for each byte that is a quote or a backslash.
fn marks(block: &[u8; BLOCK]) -> u64 {
    // Each byte becomes its bit among the eight of its word, and their sum all eight: the compiler has vectors for it.
    let bits: [u8; BLOCK] = std::array::from_fn(|i| {
        if matches!(block[i], b'"' | b'\\') {
            1 << (i % 8)
        } else {
            0
        }
    });
    let (words, _) = bits.as_chunks::<8>();
    words.iter().rev().fold(0, |marks, word| {
        marks << 8 | u64::from_le_bytes(*word).wrapping_mul(every_byte(1)) >> 56
    })
}

struct Reader<'a> {
    src: &'a [u8],
    pos: usize,
}

impl Reader<'_> {
    #[inline]
    fn range(&mut self, len: usize, what: &'static str) -> Result<Range<usize>, FrameError> {
        if len > self.src.len() - self.pos {
            return Err(FrameError::Binary(what));
        }
        let start = self.pos;
        self.pos += len;
        Ok(start..self.pos)
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let array = self.src[self.pos..]
            .first_chunk()
            .ok_or(FrameError::Binary(what))?;
        self.pos += N;
        Ok(*array)
    }

    #[inline]
    fn long_text(&mut self, what: &'static str) -> Result<Range<usize>, FrameError> {
        let len = i32::from_be_bytes(self.array(what)?);
        let len = usize::try_from(len).map_err(|_| FrameError::Binary(what))?;
        self.range(len, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blank() -> Frame {
        Frame::from_parts(SerializeType::Json, Bytes::from_static(b"{}"), Bytes::new())
            .expect("an empty header")
    }

    fn told(frame: &Frame) -> String {
        let fields: Vec<_> = frame.fields().collect();
        format!(
            "{} {:?} {} {} {} {:?} {fields:?}",
            frame.code, frame.language, frame.version, frame.opaque, frame.flag, frame.remark
        )
    }

    /// Both readers on one text: what the quick one takes, the other takes too, and finds the same.
    fn compare(text: &[u8]) -> bool {
        let header = ByteString::try_from(text).expect("text");
        let (mut quick, mut whole) = (blank(), blank());
        quick.text = header.clone();
        whole.text = header.clone();
        let plain = quick.read_plain_json(&header).is_some();
        if plain {
            whole.read_any_json(text).expect("what the quick reader took");
            assert_eq!(told(&quick), told(&whole), "{}", String::from_utf8_lossy(text));
        }
        plain
    }

    const SEND: &str = r#"{"code":310,"extFields":{"a":"group","b":"topic","e":"-1","i":"KEYS\u0001k\u0002TAGS\u0001\ud83d\ude00\"","k":"false"},"flag":0,"language":"JAVA","opaque":7,"remark":"so","serializeTypeCurrentRPC":"JSON","version":401}"#;

    #[test]
    fn what_clients_write_is_read_by_the_quick_reader() {
        assert!(compare(SEND.as_bytes()));
        assert!(compare(
            br#"{"code":0,"extFields":{},"flag":1,"language":"GO","opaque":2147483647,"version":317}"#
        ));
        let frame = Frame::from_parts(
            SerializeType::Json,
            Bytes::from_static(SEND.as_bytes()),
            Bytes::new(),
        );
        let frame = frame.expect("a header");
        assert_eq!(frame.field("i"), Some("KEYS\u{1}k\u{2}TAGS\u{1}\u{1F600}\""));
        assert_eq!((frame.code, frame.opaque, frame.version), (310, 7, 401));
    }

    #[test]
    fn what_the_quick_reader_does_not_take_is_read_all_the_same() {
        for text in [
            r#"{"code":10,"opaque":3,"language":null}"#,
            r#"{ "code" : "10" , 'opaque':3.0,}"#,
            r#"{"code":10,"extFields":{"a":{"b":1}},"opaque":3}"#,
            r#"{"code":10,"extFields":{"a":5},"opaque":3}"#,
        ] {
            assert!(!compare(text.as_bytes()), "{text}");
            let frame = Frame::from_parts(
                SerializeType::Json,
                Bytes::from_static(text.as_bytes()),
                Bytes::new(),
            );
            let frame = frame.expect("a header");
            assert_eq!((frame.code, frame.opaque), (10, 3), "{text}");
        }
    }

    #[test]
    fn what_is_damaged_is_left_to_the_whole_reader() {
        for fields in [
            r#""a\:"v""#,
            r#""a":"v\""#,
            r#""a":"v"b"#,
            r#""a":"v";"b":"w""#,
            r#""a";"v""#,
            r#""a":'v'"#,
            r#""a":"v",}"#,
        ] {
            let text = format!(r#"{{"code":10,"extFields":{{{fields}}}}}"#);
            assert!(!compare(text.as_bytes()), "{text}");
        }
    }

    fn json(fields: usize) -> Frame {
        let fields: Vec<_> = (0..fields).map(|i| format!(r#""f{i}":"a\n{i}""#)).collect();
        let header = format!(r#"{{"code":10,"extFields":{{{}}}}}"#, fields.join(","));
        Frame::from_parts(SerializeType::Json, header.into(), Bytes::new()).expect("a header")
    }

    fn kept() -> usize {
        TABLES.with_borrow(Vec::len)
    }

    /// Runs it on a thread that has kept nothing yet.
    fn on_new_thread(test: fn()) {
        std::thread::spawn(test).join().expect("no panic");
    }

    #[test]
    fn the_room_of_a_frame_is_the_next_ones() {
        on_new_thread(|| {
            let first = json(3);
            assert_eq!(kept(), 0);
            drop(first);
            assert_eq!(kept(), 1);
            let second = json(1);
            assert_eq!(kept(), 0);
            assert_eq!(second.fields().collect::<Vec<_>>(), [("f0", "a\n0")]);
            // Frames without fields have no room to leave.
            drop(blank());
            assert_eq!(kept(), 0);
        });
    }

    #[test]
    fn few_tables_are_kept_and_no_large_ones() {
        on_new_thread(|| {
            drop(json(FIELDS_MAX));
            assert_eq!(kept(), 0);
            drop(
                std::iter::repeat_with(|| json(2))
                    .take(TABLES_KEPT + 9)
                    .collect::<Vec<_>>(),
            );
            assert_eq!(kept(), TABLES_KEPT);
            let long = format!(r#"{{"extFields":{{"a":"\n{}"}}}}"#, "x".repeat(TEXT_KEPT));
            let long = Frame::from_parts(SerializeType::Json, long.into(), Bytes::new());
            assert_eq!(kept(), TABLES_KEPT - 1);
            drop(long.expect("a header"));
            assert_eq!(kept(), TABLES_KEPT - 1);
            // Given to another thread, it is that one's.
            let frame = json(2);
            std::thread::spawn(move || drop(frame)).join().expect("no panic");
            assert_eq!(kept(), TABLES_KEPT - 2);
        });
    }

    proptest! {
        #[test]
        fn marks_are_the_quotes_and_backslashes(text in "[a\"\\\\]{0,9}(x{0,70}[\"\\\\]?){0,5}") {
            let mut marks = Marks::new(text.as_bytes());
            let found: Vec<_> = std::iter::from_fn(|| marks.next()).collect();
            let wanted: Vec<_> = text.bytes().enumerate().filter(|(_, b)| matches!(b, b'"' | b'\\')).collect();
            prop_assert_eq!(found, wanted.into_iter().map(|(at, _)| at).collect::<Vec<_>>());
        }

        #[test]
        fn fields_of_a_binary_header_are_made_text_each_by_itself(
            // Some lengths are no text, some texts are none, and some are only together with what is beside them.
            entries in proptest::collection::vec(
                ("[a-zé]{0,3}[\u{80}-\u{ff}]?", proptest::collection::vec(any::<u8>(), 1..4), 0..300usize, 0..3usize), 0..8)
        ) {
            let entries: Vec<(Vec<u8>, Vec<u8>)> = entries.into_iter().map(|(name, odd, len, kind)| {
                let value = match kind {
                    0 => odd,
                    1 => vec![b'v'; len + 1],
                    _ => [odd.as_slice(), &vec![b'v'; len]].concat(),
                };
                // A name cut inside a letter is no text either.
                let cut = if kind == 2 { name.len().saturating_sub(1) } else { name.len() };
                (name.as_bytes()[..cut].to_vec(), value)
            }).collect();
            let mut block = Vec::new();
            for (name, value) in &entries {
                block.extend_from_slice(&(name.len() as u16).to_be_bytes());
                block.extend_from_slice(name);
                block.extend_from_slice(&(value.len() as u32).to_be_bytes());
                block.extend_from_slice(value);
            }
            let mut header = vec![0; 17];
            header.extend_from_slice(&(block.len() as u32).to_be_bytes());
            header.extend_from_slice(&block);
            let frame = Frame::from_parts(SerializeType::RocketMq, header.into(), Bytes::new()).expect("sound");
            let wanted = entries.iter().map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
            let found: Vec<_> = frame.fields().map(|(name, value)| (name.into(), value.into())).collect();
            prop_assert_eq!(found, wanted.collect::<Vec<_>>());
        }

        #[test]
        fn both_readers_agree_on_damaged_headers(
            changes in proptest::collection::vec((0..SEND.len(), any::<u8>(), 0..4usize), 0..4)
        ) {
            let mut text = SEND.as_bytes().to_vec();
            for (at, byte, kind) in changes {
                let at = at % text.len().max(1);
                match kind {
                    0 => text[at..].iter_mut().take(1).for_each(|b| *b = byte),
                    1 => drop(text.drain(at..text.len().min(at + 1))),
                    2 => text.insert(at, br#"{}[]:,"'\ un0-"#[usize::from(byte) % 14]),
                    _ => text.truncate(at),
                }
            }
            // Headers are made valid UTF-8 before either reads them.
            compare(String::from_utf8_lossy(&text).as_bytes());
        }
    }
}
