//! The tokens of an expression, and where they stand.

use winnow::ascii::digit0;
use winnow::ascii::digit1;
use winnow::combinator::{alt, opt, repeat};
use winnow::error::EmptyError;
use winnow::token::{none_of, one_of, take_until, take_while};
use winnow::{Parser, Result};

use super::Refused;

/// What a token is. In the order in which Java lists them where it says what it expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Not,
    And,
    Or,
    Between,
    In,
    True,
    False,
    Null,
    Is,
    Contains,
    StartsWith,
    EndsWith,
    Whole,
    Fraction,
    Text,
    Name,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Open,
    Comma,
    Close,
    Minus,
    Plus,
}

use Kind::*;

/// Every kind, and how messages show it.
pub(super) const KINDS: [(Kind, &str); 28] = [
    (End, "<EOF>"),
    (Not, "\"NOT\""),
    (And, "\"AND\""),
    (Or, "\"OR\""),
    (Between, "\"BETWEEN\""),
    (In, "\"IN\""),
    (True, "\"TRUE\""),
    (False, "\"FALSE\""),
    (Null, "\"NULL\""),
    (Is, "\"IS\""),
    (Contains, "\"CONTAINS\""),
    (StartsWith, "\"STARTSWITH\""),
    (EndsWith, "\"ENDSWITH\""),
    (Whole, "<DECIMAL_LITERAL>"),
    (Fraction, "<FLOATING_POINT_LITERAL>"),
    (Text, "<STRING_LITERAL>"),
    (Name, "<ID>"),
    (Equal, "\"=\""),
    (NotEqual, "\"<>\""),
    (Greater, "\">\""),
    (GreaterOrEqual, "\">=\""),
    (Less, "\"<\""),
    (LessOrEqual, "\"<=\""),
    (Open, "\"(\""),
    (Comma, "\",\""),
    (Close, "\")\""),
    (Minus, "\"-\""),
    (Plus, "\"+\""),
];

/// Reserved words, in any case of letters.
const WORDS: [(&str, Kind); 12] = [
    ("NOT", Not),
    ("AND", And),
    ("OR", Or),
    ("BETWEEN", Between),
    ("IN", In),
    ("TRUE", True),
    ("FALSE", False),
    ("NULL", Null),
    ("IS", Is),
    ("CONTAINS", Contains),
    ("STARTSWITH", StartsWith),
    ("ENDSWITH", EndsWith),
];

/// A token and its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind,
    pub(super) text: &'s str,
    /// Where it starts in the expression, bytes.
    pub(super) start: usize,
}

/// Takes the token at the start of `rest`, a part of `whole`, off it.
pub(super) fn take<'s>(whole: &'s str, rest: &mut &'s str) -> std::result::Result<Token<'s>, Refused> {
    skipped(rest);
    let start = whole.len() - rest.len();
    if rest.is_empty() {
        let text = *rest;
        return Ok(Token {
            kind: End,
            text,
            start,
        });
    }
    match token.with_taken().parse_next(rest) {
        Ok((kind, text)) => Ok(Token { kind, text, start }),
        Err(EmptyError) => Err(no_token(whole, start)),
    }
}

type Input<'s> = &'s str;

/// Blanks and comments. A `--` without an end of line behind it is none.
fn skipped(input: &mut Input<'_>) {
    let blanks = take_while(1.., [' ', '\t', '\n', '\r', '\x0C']).void();
    let line_end = alt(("\r\n", "\n", "\r"));
    let line = ("--", rest_of_line, line_end).void();
    let block = ("/*", take_until(0.., "*/"), "*/").void();
    let all: Result<(), EmptyError> = repeat(0.., alt((blanks, line, block))).parse_next(input);
    all.expect("none at all is enough");
}

/// Up to the end of a line. Each of many minus signs looks for one: that has to be quick.
fn rest_of_line(input: &mut Input<'_>) -> Result<(), EmptyError> {
    let len = memchr::memchr2(b'\n', b'\r', input.as_bytes()).ok_or(EmptyError)?;
    *input = &input[len..];
    Ok(())
}

/// The longest token at the start: a number with a fraction before one without, `<=` before `<`.
fn token(input: &mut Input<'_>) -> Result<Kind, EmptyError> {
    alt((
        word,
        fraction.value(Fraction),
        whole.value(Whole),
        text.value(Text),
        sign,
    ))
    .parse_next(input)
}

fn word(input: &mut Input<'_>) -> Result<Kind, EmptyError> {
    let first = one_of(('a'..='z', 'A'..='Z', '_', '$'));
    let more = take_while(0.., ('a'..='z', 'A'..='Z', '0'..='9', '_', '$'));
    let word = (first, more).take().parse_next(input)?;
    let reserved = WORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word));
    Ok(reserved.map_or(Name, |(_, kind)| *kind))
}

fn fraction(input: &mut Input<'_>) -> Result<(), EmptyError> {
    let exponent = || (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1).void();
    alt((
        (digit1, '.', digit0, opt(exponent())).void(),
        ('.', digit1, opt(exponent())).void(),
        (digit1, exponent()).void(),
    ))
    .parse_next(input)
}

fn whole(input: &mut Input<'_>) -> Result<(), EmptyError> {
    // No number but zero begins with one: `007` is three of them.
    let other = (one_of('1'..='9'), digit0, opt(one_of(['l', 'L']))).void();
    alt(('0'.void(), other)).parse_next(input)
}

fn text(input: &mut Input<'_>) -> Result<(), EmptyError> {
    let all = *input;
    let inside = || repeat::<_, _, (), _, _>(0.., alt(("''".void(), none_of('\'').void())));
    let closed: Result<(), EmptyError> = ('\'', inside(), '\'').void().parse_next(input);
    if closed.is_ok() || !all.starts_with('\'') {
        return closed;
    }
    // Of a text without end the longest part that has one counts: up to the first of its last two quotes.
    let last_two = all
        .get(1..)
        .and_then(|inside| inside.rfind("''"))
        .ok_or(EmptyError)?;
    *input = &all[1 + last_two + 1..];
    Ok(())
}

fn sign(input: &mut Input<'_>) -> Result<Kind, EmptyError> {
    let two = alt((
        "<>".value(NotEqual),
        "<=".value(LessOrEqual),
        ">=".value(GreaterOrEqual),
    ));
    let one = alt((
        "<".value(Less),
        ">".value(Greater),
        "=".value(Equal),
        "(".value(Open),
        ",".value(Comma),
        ")".value(Close),
        "+".value(Plus),
        "-".value(Minus),
    ));
    alt((two, one)).parse_next(input)
}

/// What a text literal says: without its quotes, each two within it one.
pub(super) fn text_of(literal: &str) -> Box<str> {
    let inside = literal.get(1..literal.len() - 1).unwrap_or_default();
    inside.replace("''", "'").into()
}

/// Java's words for a place where no token is. They tell of the last character that was looked at.
fn no_token(whole: &str, start: usize) -> Refused {
    let rest = &whole[start..];
    let looked_at = match rest.as_bytes() {
        [b'\'', ..] | [b'/', b'*', ..] => rest.encode_utf16().count(),
        [b'.' | b'/', _, ..] => 2,
        _ => 1,
    };
    let units: Vec<u16> = rest.encode_utf16().take(looked_at).collect();
    let (mut line, mut column) = place(whole, start, looked_at);
    let is_end = rest.encode_utf16().nth(looked_at).is_none();
    let last = units.last().copied().unwrap_or_default();
    let (seen, after) = if is_end {
        if last == u16::from(b'\n') || last == u16::from(b'\r') {
            (line, column) = (line + 1, 0);
        } else {
            column += 1;
        }
        (
            "<EOF> ".to_owned(),
            if units.len() <= 1 { &[][..] } else { &units[..] },
        )
    } else {
        let seen = format!("\"{}\" ({last}), ", escaped(&[last]));
        (seen, &units[..units.len() - 1])
    };
    let after = escaped(after);
    Refused::new(format!(
        "org.apache.rocketmq.filter.parser.TokenMgrError: Lexical error at line {line}, column {column}.  Encountered: {seen}after : \
         \"{after}\""
    ))
}

/// Line and column, from 1, of the `nth` UTF-16 unit (from 1) that starts at a byte: tabs go to columns of eight.
pub(super) fn place(whole: &str, start: usize, nth: usize) -> (usize, usize) {
    let before = whole[..start].encode_utf16().count();
    let (mut line, mut column, mut last) = (1, 0, 0);
    for unit in whole.encode_utf16().take(before + nth) {
        let (feed, ret) = (u16::from(b'\n'), u16::from(b'\r'));
        if last == feed || (last == ret && unit != feed) {
            (line, column) = (line + 1, 0);
        }
        column = match unit == u16::from(b'\t') {
            true => column + 8 - column % 8,
            false => column + 1,
        };
        last = unit;
    }
    (line, column)
}

/// UTF-16 with what is not printable written as Java writes it in messages.
pub(super) fn escaped(units: &[u16]) -> String {
    let mut out = String::new();
    for &unit in units {
        match u8::try_from(unit).unwrap_or_default() {
            0 if unit == 0 => {}
            b'\x08' => out.push_str("\\b"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            b'\x0C' => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            quote @ (b'"' | b'\'' | b'\\') => out.extend(['\\', char::from(quote)]),
            plain @ 0x20..0x7F => out.push(char::from(plain)),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out
}
