//! The properties text: `name` 0x01 `value` 0x02, repeated.
//!
//! 4.9 writes no 0x02 after the last pair, 5.x does; both read both. Pairs with an empty name or an empty value
//! are dropped on reading. Where a name comes twice the last one counts, as in Java's map.

use std::collections::HashMap;
use std::ops::Range;

/// Byte between name and value.
pub const NAME_VALUE_SEPARATOR: u8 = 1;
/// Byte between pairs.
pub const PAIR_SEPARATOR: u8 = 2;
/// Longest stored properties text in bytes: the stored length is an `i16`.
pub const MAX_LEN_BYTES: usize = 32_767;

/// Reserved property names (RocketMQ 4.9.8 and 5.3.3, MessageConst).
#[rustfmt::skip]
pub mod names {
    #![allow(missing_docs)] // The names are RocketMQ's own and stand for themselves.
    pub const KEYS: &str = "KEYS";
    pub const TAGS: &str = "TAGS";
    pub const WAIT: &str = "WAIT";
    pub const DELAY: &str = "DELAY";
    pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
    pub const REAL_TOPIC: &str = "REAL_TOPIC";
    pub const REAL_QUEUE_ID: &str = "REAL_QID";
    pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
    pub const PRODUCER_GROUP: &str = "PGROUP";
    pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
    pub const TRANSACTION_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
    pub const CHECK_IMMUNITY_TIME_IN_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    pub const TRANSACTION_ID: &str = "__transactionId__";
    pub const MIN_OFFSET: &str = "MIN_OFFSET";
    pub const MAX_OFFSET: &str = "MAX_OFFSET";
    pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
    pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
    pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
    pub const CONSUME_START_TIME: &str = "CONSUME_START_TIME";
    pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
    pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
    pub const MSG_REGION: &str = "MSG_REGION";
    pub const TRACE_ON: &str = "TRACE_ON";
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    pub const EXTEND_UNIQ_INFO: &str = "EXTEND_UNIQ_INFO";
    pub const DUP_INFO: &str = "DUP_INFO";
    pub const INSTANCE_ID: &str = "INSTANCE_ID";
    pub const CORRELATION_ID: &str = "CORRELATION_ID";
    pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
    pub const TTL: &str = "TTL";
    pub const ARRIVE_TIME: &str = "ARRIVE_TIME";
    pub const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";
    pub const CLUSTER: &str = "CLUSTER";
    pub const MSG_TYPE: &str = "MSG_TYPE";
    pub const BUYER_ID: &str = "BUYER_ID";
    pub const POP_CK: &str = "POP_CK";
    pub const POP_CK_OFFSET: &str = "POP_CK_OFFSET";
    pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
    pub const INNER_NUM: &str = "INNER_NUM";
    pub const INNER_BASE: &str = "INNER_BASE";
    pub const INNER_MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
    pub const INNER_MULTI_QUEUE_OFFSET: &str = "INNER_MULTI_QUEUE_OFFSET";
    pub const SHARDING_KEY: &str = "__SHARDINGKEY";
    pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
    pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
    pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
    pub const TIMER_ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
    pub const TIMER_DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
    pub const TIMER_ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
    pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
    pub const TIMER_DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";
    pub const TIMER_DELAY_LEVEL: &str = "TIMER_DELAY_LEVEL";
    pub const BORN_HOST: &str = "__BORNHOST";
    pub const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
    pub const CRC32: &str = "__CRC32#";
}

/// Walks the pairs of a properties text in their order, duplicates included.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    text: &'a [u8],
    /// Where the next pair starts.
    start: usize,
    separators: Separators<'a>,
}

/// The pairs of `text`, in their order; malformed ones are left out.
pub fn pairs(text: &[u8]) -> Pairs<'_> {
    Pairs {
        text,
        start: 0,
        separators: Separators::of(text),
    }
}

/// Where a pair stands in its text.
#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    /// The separator between name and value.
    middle: usize,
    /// End of the value.
    end: usize,
}

impl Span {
    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.start..self.middle]
    }

    fn value(self, text: &[u8]) -> &[u8] {
        &text[self.middle + 1..self.end]
    }
}

impl Pairs<'_> {
    #[inline]
    fn next_span(&mut self) -> Option<Span> {
        while self.start < self.text.len() {
            let start = self.start;
            // What stands behind the last separator without a value is no pair.
            let (middle, kind) = self.separators.next()?;
            self.start = middle + 1;
            if kind == PAIR_SEPARATOR {
                continue;
            }
            // The name's end in a value is a part of it.
            let end = loop {
                match self.separators.next() {
                    Some((_, NAME_VALUE_SEPARATOR)) => {}
                    Some((end, _)) => break end,
                    None => break self.text.len(),
                }
            };
            self.start = end + 1;
            if start < middle && middle + 1 < end {
                return Some(Span { start, middle, end });
            }
        }
        None
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let span = self.next_span()?;
        Some((span.name(self.text), span.value(self.text)))
    }
}

/// The separators of a text and where they stand. Eight bytes at a time: names and values are too short for searches
/// that are good at long texts.
#[derive(Clone, Debug)]
struct Separators<'a> {
    text: &'a [u8],
    /// Where the word starts that comes after that of `found`.
    next: usize,
    /// Has the highest bit of each byte set that may be a separator.
    found: u64,
}

impl<'a> Separators<'a> {
    fn of(text: &'a [u8]) -> Self {
        Separators {
            text,
            next: 0,
            found: 0,
        }
    }

    /// The bytes of `word` below 3.
    #[inline]
    fn in_word(word: [u8; 8]) -> u64 {
        const LOW_BITS: u64 = u64::from_ne_bytes([0x7F; 8]);
        const TO_HIGH: u64 = u64::from_ne_bytes([0x80 - (PAIR_SEPARATOR + 1); 8]);
        let word = u64::from_le_bytes(word);
        !(((word & LOW_BITS) + TO_HIGH) | word) & !LOW_BITS
    }
}

impl Iterator for Separators<'_> {
    type Item = (usize, u8);

    #[inline]
    fn next(&mut self) -> Option<(usize, u8)> {
        loop {
            while self.found == 0 {
                let rest = self.text.get(self.next..).filter(|rest| !rest.is_empty())?;
                self.next += 8;
                self.found = Self::in_word(match rest.first_chunk::<8>() {
                    Some(word) => *word,
                    None => {
                        // Filled up with what is no separator.
                        let mut word = [b' '; 8];
                        word[..rest.len()].copy_from_slice(rest);
                        word
                    }
                });
            }
            let at = self.next - 8 + self.found.trailing_zeros() as usize / 8;
            self.found &= self.found - 1;
            // A zero byte is none.
            if let kind @ (NAME_VALUE_SEPARATOR | PAIR_SEPARATOR) = self.text[at] {
                return Some((at, kind));
            }
        }
    }
}

/// The value of `name`, or `None`. Where the name comes twice the last one counts.
pub fn get<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pairs(text)
        .filter(|(found, _)| *found == name.as_bytes())
        .last()
        .map(|(_, value)| value)
}

/// Like [`get`], for a value that has to be UTF-8; `None` also where it is not.
pub fn get_str<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    get(text, name).and_then(|value| std::str::from_utf8(value).ok())
}

/// The values of the properties that nearly every reader of a record wants, found in one walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// TAGS
    pub tags: Option<&'a [u8]>,
    /// KEYS
    pub keys: Option<&'a [u8]>,
    /// UNIQ_KEY
    pub uniq_key: Option<&'a [u8]>,
    /// WAIT
    pub wait: Option<&'a [u8]>,
    /// DELAY
    pub delay: Option<&'a [u8]>,
    /// TRAN_MSG
    pub prepared: Option<&'a [u8]>,
    /// __SHARDINGKEY
    pub sharding_key: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// Walks `text` once.
    pub fn of(text: &'a [u8]) -> Self {
        let mut wanted = Wanted::default();
        for (name, value) in pairs(text) {
            wanted.take(name, value);
        }
        wanted
    }

    /// What a text says that is followed by one that says `later`.
    pub fn followed_by(self, later: &Self) -> Self {
        Wanted {
            tags: later.tags.or(self.tags),
            keys: later.keys.or(self.keys),
            uniq_key: later.uniq_key.or(self.uniq_key),
            wait: later.wait.or(self.wait),
            delay: later.delay.or(self.delay),
            prepared: later.prepared.or(self.prepared),
            sharding_key: later.sharding_key.or(self.sharding_key),
        }
    }

    fn take(&mut self, name: &[u8], value: &'a [u8]) {
        let place = match name {
            b"TAGS" => &mut self.tags,
            b"KEYS" => &mut self.keys,
            b"__SHARDINGKEY" => &mut self.sharding_key,
            b"UNIQ_KEY" => &mut self.uniq_key,
            b"WAIT" => &mut self.wait,
            b"DELAY" => &mut self.delay,
            b"TRAN_MSG" => &mut self.prepared,
            _ => return,
        };
        *place = Some(value);
    }

    /// Whether the sender waits for flush and replication: always, unless WAIT is `false`.
    pub fn waits(&self) -> bool {
        self.wait != Some(b"false")
    }

    /// Whether this is a half message: TRAN_MSG is `true`, in any case of letters.
    pub fn is_half(&self) -> bool {
        self.prepared
            .is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
    }
}

/// Whether the last pair is followed by a separator: 4.9 leaves it out, 5.x writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 4.9: no 0x02 after the last pair.
    Bare,
    /// 5.x: every pair ends with 0x02.
    Separator,
}

/// Appends one pair to `out`, with a separator before it where one is missing.
///
/// Pairs with an empty name or value are left out, as every reader would drop them.
pub fn push(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if name.is_empty() || value.is_empty() {
        return;
    }
    separate(out, 0);
    out.extend_from_slice(name);
    out.push(NAME_VALUE_SEPARATOR);
    out.extend_from_slice(value);
    out.push(PAIR_SEPARATOR);
}

/// Brings the end of the text in `out` into the wanted form.
pub fn finish(out: &mut Vec<u8>, ending: Ending) {
    match (ending, out.last()) {
        (Ending::Bare, Some(&PAIR_SEPARATOR)) => {
            out.pop();
        }
        (Ending::Separator, Some(&last)) if last != PAIR_SEPARATOR => out.push(PAIR_SEPARATOR),
        _ => {}
    }
}

/// [`Parsed::rebuild`] of a text that is looked at for nothing else.
pub fn rebuild(text: &[u8], without: &[&str], with: &[(&str, &str)], ending: Ending, out: &mut Vec<u8>) {
    Parsed::of(text).rebuild(without, with, ending, out);
}

/// Brings the pairs of a text into the order in which Java's brokers of 4.9 write the same pairs: that of a `HashMap` into which
/// they were put in the order of `text`. Nothing depends on it; bytes can be compared by it.
pub fn in_java_order(text: &[u8], ending: Ending) -> Vec<u8> {
    let mut all: Vec<(&[u8], &[u8])> = pairs(text).collect();
    // A map of 16 places doubles when it is more than three quarters full.
    let mut places = 16usize;
    while all.len() > places / 4 * 3 {
        places *= 2;
    }
    all.sort_by_key(|(name, _)| {
        let hash = crate::hash::java_hash_bytes(name) as u32;
        (hash ^ (hash >> 16)) as usize & (places - 1)
    });
    let mut out = Vec::with_capacity(text.len() + 1);
    for (name, value) in all {
        push(&mut out, name, value);
    }
    finish(&mut out, ending);
    out
}

/// Pairs that are looked at without a map.
const FEW: usize = 16;

/// A properties text and what one walk found in it.
pub struct Parsed<'a> {
    text: &'a [u8],
    wanted: Wanted<'a>,
    /// The first pairs.
    few: [Span; FEW],
    /// How many pairs there are.
    count: usize,
}

impl<'a> Parsed<'a> {
    /// Walks `text` once.
    pub fn of(text: &'a [u8]) -> Self {
        let mut parsed = Parsed {
            text,
            wanted: Wanted::default(),
            few: [Span::default(); FEW],
            count: 0,
        };
        let mut walk = pairs(text);
        while let Some(span) = walk.next_span() {
            parsed.wanted.take(span.name(text), span.value(text));
            if let Some(slot) = parsed.few.get_mut(parsed.count) {
                *slot = span;
            }
            parsed.count += 1;
        }
        parsed
    }

    /// The values that most look for.
    pub fn wanted(&self) -> &Wanted<'a> {
        &self.wanted
    }

    /// Writes the pairs to the end of `out`, as a text of its own, each name once with its last value, without the names
    /// in `without`, then the pairs of `with`, which replace those of the text.
    ///
    /// This is what Java's parse-into-a-map-and-write-again does to a properties text, with a defined order.
    pub fn rebuild(&self, without: &[&str], with: &[(&str, &str)], ending: Ending, out: &mut Vec<u8>) {
        let replaced = |name: &[u8]| {
            without.iter().any(|other| other.as_bytes() == name)
                || with.iter().any(|(other, _)| other.as_bytes() == name)
        };
        let text = self.text;
        let start = out.len();
        let mut kept = Kept {
            text,
            run: 0..0,
            out,
            start,
        };
        if let Some(few) = self.few.get(..self.count) {
            // A quadratic look for duplicates is quickest for honest texts; thousands of pairs get a map.
            for (index, span) in few.iter().enumerate() {
                let name = span.name(text);
                let superseded = few[index + 1..].iter().any(|later| later.name(text) == name);
                if !superseded && !replaced(name) {
                    kept.take(*span);
                }
            }
        } else {
            let mut last: HashMap<&[u8], usize> = HashMap::new();
            last.extend(pairs(text).enumerate().map(|(index, (name, _))| (name, index)));
            let mut walk = pairs(text);
            let mut index = 0;
            while let Some(span) = walk.next_span() {
                let name = span.name(text);
                if last.get(name) == Some(&index) && !replaced(name) {
                    kept.take(span);
                }
                index += 1;
            }
        }
        kept.copy();
        for (name, value) in with {
            if !name.is_empty() && !value.is_empty() {
                separate(out, start);
                out.extend_from_slice(name.as_bytes());
                out.push(NAME_VALUE_SEPARATOR);
                out.extend_from_slice(value.as_bytes());
            }
        }
        if out.len() > start {
            finish(out, ending);
        }
    }
}

/// Pairs on their way from one text to another: those that stand together are copied together.
struct Kept<'a> {
    text: &'a [u8],
    run: Range<usize>,
    out: &'a mut Vec<u8>,
    /// Where the other text begins.
    start: usize,
}

impl Kept<'_> {
    fn take(&mut self, span: Span) {
        if self.run.end != span.start {
            self.copy();
            self.run.start = span.start;
        }
        self.run.end = self.text.len().min(span.end + 1);
    }

    fn copy(&mut self) {
        if !self.run.is_empty() {
            separate(self.out, self.start);
            self.out.extend_from_slice(&self.text[self.run.clone()]);
        }
    }
}

/// Ends the last pair of the text that begins at `start`, so that another can follow.
fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start && out.last() != Some(&PAIR_SEPARATOR) {
        out.push(PAIR_SEPARATOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(text: &str) -> Vec<(String, String)> {
        pairs(text.as_bytes())
            .map(|(name, value)| {
                (
                    String::from_utf8_lossy(name).into_owned(),
                    String::from_utf8_lossy(value).into_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn the_order_is_that_of_javas_map() {
        // A half message of 4.9.7, and its copy while it is immune.
        let check = |put: &str, read: &str| {
            let text = |pairs: &str| pairs.replace('=', "\u{1}").replace(' ', "\u{2}");
            let ordered = in_java_order(text(put).as_bytes(), Ending::Bare);
            assert_eq!(String::from_utf8_lossy(&ordered), text(read));
        };
        check(
            "KEYS=kA TRAN_MSG=true UNIQ_KEY=7F00 PGROUP=tp TAGS=TagA CLUSTER=c WAIT=true REAL_TOPIC=Trans REAL_QID=1",
            "REAL_TOPIC=Trans KEYS=kA TRAN_MSG=true UNIQ_KEY=7F00 CLUSTER=c PGROUP=tp WAIT=true TAGS=TagA REAL_QID=1",
        );
        check(
            "CHECK_IMMUNITY_TIME_IN_SECONDS=1000 REAL_TOPIC=Trans KEYS=kD TRAN_MSG=true UNIQ_KEY=7F00 CLUSTER=c PGROUP=tp \
             TAGS=TagA REAL_QID=1 TRANSACTION_CHECK_TIMES=1 WAIT=false TRAN_PREPARED_QUEUE_OFFSET=9",
            "CHECK_IMMUNITY_TIME_IN_SECONDS=1000 REAL_TOPIC=Trans TRAN_PREPARED_QUEUE_OFFSET=9 TRANSACTION_CHECK_TIMES=1 \
             KEYS=kD TRAN_MSG=true UNIQ_KEY=7F00 CLUSTER=c PGROUP=tp WAIT=false TAGS=TagA REAL_QID=1",
        );
        // Thirteen pairs are in a map of 32 places.
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "Q"];
        let put: Vec<String> = names.iter().map(|name| format!("{name}=1")).collect();
        check(
            &put.join(" "),
            "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 Q=1",
        );
        check(
            &put[1..].join(" "),
            "Q=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1",
        );
        check("", "");
    }

    #[test]
    fn reads_what_java_reads() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("a\x01b", &[("a", "b")]),
            ("a\x01b\x02", &[("a", "b")]),
            ("a\x01b\x02c\x01d", &[("a", "b"), ("c", "d")]),
            ("a\x01\x02c\x01d", &[("c", "d")]),
            ("\x01x\x02c\x01d", &[("c", "d")]),
            ("\x02\x02\x02", &[]),
            ("no separator at all", &[]),
            ("a\x02b\x01c\x02", &[("b", "c")]),
            ("a\x01b\x01c\x02", &[("a", "b\x01c")]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_string()))
                .collect();
            assert_eq!(show(text), expected, "{text:?}");
        }
    }

    #[test]
    fn last_of_two_counts() {
        let text = b"TAGS\x01a\x02KEYS\x01k\x02TAGS\x01b";
        assert_eq!(get(text, "TAGS"), Some(&b"b"[..]));
        assert_eq!(Wanted::of(text).tags, Some(&b"b"[..]));
        assert_eq!(get(text, "TAG"), None);
    }

    #[test]
    fn rebuild_replaces_and_removes() {
        let text = b"WAIT\x01true\x02TAGS\x01a\x02CLUSTER\x01old\x02TAGS\x01b\x02E\x01";
        let mut out = Vec::new();
        rebuild(text, &["WAIT"], &[("CLUSTER", "new")], Ending::Bare, &mut out);
        assert_eq!(out, b"TAGS\x01b\x02CLUSTER\x01new");
        out.clear();
        rebuild(
            text,
            &["WAIT"],
            &[("CLUSTER", "new")],
            Ending::Separator,
            &mut out,
        );
        assert_eq!(out, b"TAGS\x01b\x02CLUSTER\x01new\x02");
        out.clear();
        rebuild(b"", &[], &[("A", "")], Ending::Separator, &mut out);
        assert_eq!(out, b"");
        // Behind another text it is a text of its own, and leaves the other as it is.
        out.extend_from_slice(b"A\x01b");
        rebuild(b"", &[], &[], Ending::Separator, &mut out);
        rebuild(b"C\x01d", &[], &[("E", "f")], Ending::Bare, &mut out);
        assert_eq!(out, b"A\x01bC\x01d\x02E\x01f");
    }

    #[test]
    fn wait_is_true_unless_false() {
        assert!(Wanted::of(b"").waits());
        assert!(Wanted::of(b"WAIT\x01FALSE").waits());
        assert!(!Wanted::of(b"WAIT\x01false").waits());
    }

    #[test]
    fn a_half_message_says_true() {
        assert!(Wanted::of(b"TRAN_MSG\x01True").is_half());
        assert!(!Wanted::of(b"TRAN_MSG\x01yes").is_half() && !Wanted::of(b"TAGS\x01true").is_half());
    }

    proptest! {
        #[test]
        fn separators_are_found_where_a_loop_finds_them(text in proptest::collection::vec(prop_oneof![0u8..5, 0x7Eu8..0x84, any::<u8>()], 0..40)) {
            let found: Vec<_> = Separators::of(&text).collect();
            let one_by_one = text.iter().copied().enumerate().filter(|(_, byte)| matches!(byte, 1 | 2));
            prop_assert_eq!(found, one_by_one.collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_walked_and_rebuilt(text in proptest::collection::vec(0u8..6, 0..300)) {
            let mut map = HashMap::new();
            map.extend(pairs(&text));
            let mut out = Vec::new();
            rebuild(&text, &[], &[], Ending::Separator, &mut out);
            let again: Vec<_> = pairs(&out).collect();
            prop_assert_eq!(again.len(), map.len());
            prop_assert_eq!(*Parsed::of(&text).wanted(), Wanted::of(&text));
            for (name, value) in again {
                prop_assert_eq!(map.get(name), Some(&value));
            }
        }

        #[test]
        fn two_texts_say_what_the_one_made_of_them_says(
            parts in proptest::collection::vec(prop_oneof![
                Just("TAGS"), Just("KEYS"), Just("DELAY"), Just("\x01"), Just("\x02"), Just("a"), Just("\x01b\x02")], 0..20),
            at in 0..20usize,
        ) {
            let (first, second) = parts.split_at(at.min(parts.len()));
            let (first, second) = (first.concat(), second.concat());
            let whole = format!("{first}\x02{second}");
            let wanted = Wanted::of(first.as_bytes()).followed_by(&Wanted::of(second.as_bytes()));
            prop_assert_eq!(wanted, Wanted::of(whole.as_bytes()));
        }
    }
}
