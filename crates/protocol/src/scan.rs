//! A scanner for the JSON that fastjson takes: single quotes, bare names, comments, stray commas.
//!
//! It yields tokens that are ranges of the source; nothing is copied here. Both users, the frame header and the body
//! reader, bound depth and count themselves.

use std::ops::Range;

/// How deep objects and arrays may nest in anything we read.
pub(crate) const DEPTH_MAX: usize = 100;

/// One token. Ranges are positions in the scanned bytes, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Colon,
    Comma,
    /// A quoted string; `escaped` says that it holds a backslash.
    Text {
        range: Range<usize>,
        escaped: bool,
    },
    /// Anything unquoted: a number, `true`, `null`, a name.
    Bare(Range<usize>),
    End,
}

/// What was wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the JSON text")]
pub struct JsonError {
    /// What was wrong.
    pub what: &'static str,
    /// Position in the text, in bytes.
    pub at: usize,
}

pub(crate) struct Scanner<'a> {
    pub(crate) src: &'a [u8],
    pub(crate) pos: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(src: &'a [u8]) -> Self {
        // A byte order mark is what some editors leave in front; fastjson skips it as well.
        let pos = if src.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Scanner { src, pos }
    }

    pub(crate) fn error(&self, what: &'static str) -> JsonError {
        JsonError { what, at: self.pos }
    }

    fn skip_blank(&mut self) -> Result<(), JsonError> {
        loop {
            match self.src.get(self.pos) {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0C | 0x08) => self.pos += 1,
                Some(b'/') => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), JsonError> {
        let rest = &self.src[self.pos..];
        match rest.get(1) {
            Some(b'/') => {
                let len = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                self.pos += len;
                Ok(())
            }
            Some(b'*') => match rest[2..].windows(2).position(|w| w == b"*/") {
                Some(len) => {
                    self.pos += len + 4;
                    Ok(())
                }
                None => Err(self.error("a comment without an end")),
            },
            _ => Err(self.error("a stray '/'")),
        }
    }

    pub(crate) fn next(&mut self) -> Result<Token, JsonError> {
        self.skip_blank()?;
        let Some(byte) = self.src.get(self.pos) else {
            return Ok(Token::End);
        };
        let token = match byte {
            b'{' => Token::ObjectStart,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayStart,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' | b'\'' => return self.text(*byte),
            _ => return self.bare(),
        };
        self.pos += 1;
        Ok(token)
    }

    fn text(&mut self, quote: u8) -> Result<Token, JsonError> {
        let start = self.pos + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            match self.src.get(at) {
                None => return Err(self.error("a string without an end")),
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(b) if *b == quote => break,
                Some(_) => at += 1,
            }
        }
        self.pos = at + 1;
        Ok(Token::Text {
            range: start..at,
            escaped,
        })
    }

    fn bare(&mut self) -> Result<Token, JsonError> {
        let start = self.pos;
        let rest = &self.src[start..];
        let is_end = |b: &u8| {
            matches!(b, b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"' | b'\'' | b'/')
                || b.is_ascii_whitespace()
        };
        let len = rest.iter().position(is_end).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.error("an unexpected character"));
        }
        self.pos += len;
        Ok(Token::Bare(start..self.pos))
    }

    /// Skips one value whose first token has been read, and returns where it ended.
    pub(crate) fn skip_value(&mut self, first: &Token) -> Result<usize, JsonError> {
        let mut depth = match first {
            Token::ObjectStart | Token::ArrayStart => 1usize,
            Token::Text { .. } | Token::Bare(_) => return Ok(self.pos),
            _ => return Err(self.error("a value is missing")),
        };
        while depth > 0 {
            match self.next()? {
                Token::ObjectStart | Token::ArrayStart => depth += 1,
                Token::ObjectEnd | Token::ArrayEnd => depth -= 1,
                Token::End => return Err(self.error("the text ends inside a value")),
                _ => {}
            }
            if depth > DEPTH_MAX {
                return Err(self.error("nested too deep"));
            }
        }
        Ok(self.pos)
    }
}

/// A word of eight times the same byte.
pub(crate) const fn every_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// A word whose lowest bit set is in the first zero byte, counted from the least; bits above that may be wrong.
pub(crate) const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(every_byte(1)) & !word & every_byte(0x80)
}

/// Appends the unescaped text to `out`. What fastjson takes: the JSON escapes, `\'`, `\v`, `\xHH` and octal digits.
/// A surrogate without its partner becomes U+FFFD.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < raw.len() {
        at += copy_plain(&raw[at..], out);
        let Some(kind) = raw.get(at + 1) else { return };
        at += 2;
        match kind {
            b'b' => out.push(0x08),
            b'f' | b'F' => out.push(0x0C),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0B),
            b'0'..=b'7' => out.push(kind - b'0'),
            b'x' => {
                let unit = hex(raw, at, 2).unwrap_or(0xFFFD);
                push_char(char::from_u32(unit), out);
                at += 2;
            }
            b'u' => {
                let unit = hex(raw, at, 4);
                at += 4;
                match unit {
                    // The separators of properties, above all.
                    Some(ascii @ 0..=0x7F) => out.push(ascii as u8),
                    Some(high @ 0xD800..=0xDBFF) => match low_surrogate(raw, at) {
                        Some(low) => {
                            at += 6;
                            push_char(
                                char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)),
                                out,
                            );
                        }
                        None => push_char(None, out),
                    },
                    Some(unit) => push_char(char::from_u32(unit), out),
                    None => push_char(None, out),
                }
            }
            other => out.push(*other),
        }
    }
}

/// Appends what is before the first backslash and returns its length. Eight bytes at a time: what is between escapes is
/// short.
fn copy_plain(raw: &[u8], out: &mut Vec<u8>) -> usize {
    let (words, rest) = raw.as_chunks::<8>();
    let mut len = 0;
    for word in words {
        let backslashes = zero_bytes(u64::from_le_bytes(*word) ^ every_byte(b'\\'));
        out.extend_from_slice(word);
        if backslashes != 0 {
            let before = backslashes.trailing_zeros() as usize / 8;
            out.truncate(out.len() - 8 + before);
            return len + before;
        }
        len += 8;
    }
    let before = rest.iter().position(|b| *b == b'\\').unwrap_or(rest.len());
    out.extend_from_slice(&rest[..before]);
    len + before
}

/// The second half of a pair, if `\uDC00` to `\uDFFF` stands at `at`.
fn low_surrogate(raw: &[u8], at: usize) -> Option<u32> {
    raw.get(at..at + 2).filter(|start| *start == b"\\u")?;
    hex(raw, at + 2, 4).filter(|low| (0xDC00..=0xDFFF).contains(low))
}

fn hex(raw: &[u8], at: usize, digits: usize) -> Option<u32> {
    let digits = raw
        .get(at..at + digits)?
        .iter()
        .map(|d| HEX_DIGITS[usize::from(*d)]);
    let (value, all) = digits.fold((0, 0), |(value, all), d| (value << 4 | u32::from(d), all | d));
    (all < 16).then_some(value)
}

/// What each byte is as a hexadecimal digit; 16 for none.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        let letter = b"0123456789abcdef"[digit];
        table[letter as usize] = digit as u8;
        table[letter.to_ascii_uppercase() as usize] = digit as u8;
        digit += 1;
    }
    table
};

fn push_char(c: Option<char>, out: &mut Vec<u8>) {
    let mut buf = [0; 4];
    out.extend_from_slice(
        c.unwrap_or(char::REPLACEMENT_CHARACTER)
            .encode_utf8(&mut buf)
            .as_bytes(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Result<Vec<Token>, JsonError> {
        let mut scanner = Scanner::new(text.as_bytes());
        let mut out = Vec::new();
        loop {
            match scanner.next()? {
                Token::End => return Ok(out),
                token => out.push(token),
            }
        }
    }

    #[test]
    fn tokens_of_the_dialect() {
        let found = tokens("{'a':1, // x\n b : /* y */ \"q\\\"\",}").expect("scans");
        assert_eq!(found.len(), 10);
        assert_eq!(
            found[1],
            Token::Text {
                range: 2..3,
                escaped: false
            }
        );
        assert_eq!(found[3], Token::Bare(5..6));
        assert!(matches!(&found[7], Token::Text { escaped: true, .. }));
    }

    #[test]
    fn damaged_text_is_an_error() {
        for bad in ["\"abc", "\"abc\\", "/", "/* x", "{\"a\\\"}"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes() {
        let table = [
            (r"a\n\t\\\/\'", "a\n\t\\/'"),
            (r"\u4e2d\u6587", "中文"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83d!", "\u{FFFD}!"),
            (r"\uZZ", "\u{FFFD}"),
            (r"\uZZZZ\u00fG\xG1!", "\u{FFFD}\u{FFFD}\u{FFFD}!"),
            (r"\u00Ff\xfF", "\u{FF}\u{FF}"),
            (r"\x41\1", "A\u{1}"),
        ];
        for (raw, expected) in table {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{raw}");
        }
    }

    #[test]
    fn hexadecimal_digits() {
        for byte in 0..=255 {
            let digit = char::from(byte).to_digit(16).unwrap_or(16);
            assert_eq!(u32::from(HEX_DIGITS[usize::from(byte)]), digit, "{byte}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_unescaped(text in "([a-zé]{0,20}[\"\\\\\u{0}-\u{1f}]?){0,6}") {
            let json = serde_json::to_vec(&text).expect("JSON");
            // Behind what was there already.
            let mut out = b"before".to_vec();
            unescape(&json[1..json.len() - 1], &mut out);
            prop_assert_eq!(String::from_utf8_lossy(&out), format!("before{text}"));
        }
    }
}
