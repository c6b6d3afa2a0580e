//! The properties text: `name` 0x01 `value` 0x02, repeated.
//!
//! 4.9 writes no 0x02 after the last pair, 5.x does; both read both. Pairs with an empty name or an empty value
//! are dropped on reading. Where a name comes twice the last one counts, as in Java's map.

use std::collections::HashMap;

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
    rest: &'a [u8],
}

/// The pairs of `text`, in their order; malformed ones are left out.
pub fn pairs(text: &[u8]) -> Pairs<'_> {
    Pairs { rest: text }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            // Names are a few letters: a loop is quicker than a search that is good at long texts.
            let name_len = self
                .rest
                .iter()
                .position(|&byte| byte == NAME_VALUE_SEPARATOR || byte == PAIR_SEPARATOR)
                .unwrap_or(self.rest.len());
            let (name, behind) = self.rest.split_at(name_len);
            let Some((&separator, value)) = behind.split_first() else {
                self.rest = &[];
                return None;
            };
            if separator == PAIR_SEPARATOR {
                self.rest = value;
                continue;
            }
            let value_len = memchr::memchr(PAIR_SEPARATOR, value).unwrap_or(value.len());
            self.rest = value.get(value_len + 1..).unwrap_or_default();
            if name_len > 0 && value_len > 0 {
                return Some((name, &value[..value_len]));
            }
        }
        None
    }
}

/// Whether a zero byte is in `text`.
pub fn has_nul(text: &[u8]) -> bool {
    memchr::memchr(0, text).is_some()
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
}

impl<'a> Wanted<'a> {
    /// Walks `text` once.
    pub fn of(text: &'a [u8]) -> Self {
        let mut wanted = Wanted::default();
        for (name, value) in pairs(text) {
            match name {
                b"TAGS" => wanted.tags = Some(value),
                b"KEYS" => wanted.keys = Some(value),
                b"UNIQ_KEY" => wanted.uniq_key = Some(value),
                b"WAIT" => wanted.wait = Some(value),
                b"DELAY" => wanted.delay = Some(value),
                _ => {}
            }
        }
        wanted
    }

    /// Whether the sender waits for flush and replication: always, unless WAIT is `false`.
    pub fn waits(&self) -> bool {
        self.wait != Some(b"false")
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
    if out.last().is_some_and(|&last| last != PAIR_SEPARATOR) {
        out.push(PAIR_SEPARATOR);
    }
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

/// Writes the pairs of `text` to the end of `out` (which holds whole pairs or nothing), each name once with its
/// last value, without the names in `without`, then the pairs of `with`, which replace those of `text`.
///
/// This is what Java's parse-into-a-map-and-write-again does to a properties text, with a defined order.
pub fn rebuild(text: &[u8], without: &[&str], with: &[(&str, &str)], ending: Ending, out: &mut Vec<u8>) {
    let replaced = |name: &[u8]| {
        without.iter().any(|other| other.as_bytes() == name)
            || with.iter().any(|(other, _)| other.as_bytes() == name)
    };
    let mut few: [(&[u8], &[u8]); FEW] = [(&[], &[]); FEW];
    let mut count = 0;
    for pair in pairs(text) {
        match few.get_mut(count) {
            Some(slot) => *slot = pair,
            None => break,
        }
        count += 1;
    }
    if count < FEW {
        // A quadratic look for duplicates is quickest for honest texts; thousands of pairs get a map.
        let few = &few[..count];
        for (index, (name, value)) in few.iter().enumerate() {
            let superseded = few[index + 1..].iter().any(|(later, _)| later == name);
            if !superseded && !replaced(name) {
                push(out, name, value);
            }
        }
    } else {
        let mut last: HashMap<&[u8], usize> = HashMap::new();
        last.extend(pairs(text).enumerate().map(|(index, (name, _))| (name, index)));
        for (index, (name, value)) in pairs(text).enumerate() {
            if last.get(name) == Some(&index) && !replaced(name) {
                push(out, name, value);
            }
        }
    }
    for (name, value) in with {
        push(out, name.as_bytes(), value.as_bytes());
    }
    finish(out, ending);
}

/// Pairs that are looked at without a map.
const FEW: usize = 32;

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
    }

    #[test]
    fn wait_is_true_unless_false() {
        assert!(Wanted::of(b"").waits());
        assert!(Wanted::of(b"WAIT\x01FALSE").waits());
        assert!(!Wanted::of(b"WAIT\x01false").waits());
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_and_rebuilt(text in proptest::collection::vec(0u8..6, 0..300)) {
            let mut map = HashMap::new();
            map.extend(pairs(&text));
            let mut out = Vec::new();
            rebuild(&text, &[], &[], Ending::Separator, &mut out);
            let again: Vec<_> = pairs(&out).collect();
            prop_assert_eq!(again.len(), map.len());
            for (name, value) in again {
                prop_assert_eq!(map.get(name), Some(&value));
            }
        }
    }
}
