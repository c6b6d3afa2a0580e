//! Java's `String.hashCode`, on which tag filters and key indexes stand.

/// Java's `String.hashCode`: over UTF-16 code units, `h = 31 * h + unit`, wrapping.
pub fn java_hash(text: &str) -> i32 {
    JavaHash::new().update(text.as_bytes()).finish()
}

/// Like [`java_hash`], for bytes that should be UTF-8; each malformed part counts as U+FFFD, as Java decodes it.
pub fn java_hash_bytes(text: &[u8]) -> i32 {
    JavaHash::new().update(text).finish()
}

/// [`java_hash_bytes`] over several pieces, without joining them first.
#[derive(Clone, Copy, Debug, Default)]
pub struct JavaHash(i32);

impl JavaHash {
    /// The hash of the empty string.
    pub fn new() -> Self {
        JavaHash(0)
    }

    /// The hash with `text` added at the end.
    pub fn update(self, text: &[u8]) -> Self {
        match ascii(self.0, text) {
            Some(hash) => JavaHash(hash),
            None => self.update_by_units(text),
        }
    }

    #[cold]
    fn update_by_units(self, text: &[u8]) -> Self {
        let mut hash = self.0;
        for chunk in text.utf8_chunks() {
            hash = chunk.valid().encode_utf16().fold(hash, step);
            if !chunk.invalid().is_empty() {
                hash = step(hash, 0xFFFD);
            }
        }
        JavaHash(hash)
    }

    /// The hash of all that was added.
    pub fn finish(self) -> i32 {
        self.0
    }
}

fn step(hash: i32, unit: u16) -> i32 {
    hash.wrapping_mul(31).wrapping_add(i32::from(unit))
}

/// The hash with ASCII added at the end; `None` if it is not ASCII.
fn ascii(mut hash: i32, text: &[u8]) -> Option<i32> {
    let (eights, rest) = text.as_chunks();
    let mut bits = 0;
    for letters in eights {
        bits |= u64::from_ne_bytes(*letters);
        hash = hash
            .wrapping_mul(31i32.wrapping_pow(8))
            .wrapping_add(eight(*letters));
    }
    for &letter in rest {
        bits |= u64::from(letter);
        hash = step(hash, letter.into());
    }
    (bits & u64::from_ne_bytes([0x80; 8]) == 0).then_some(hash)
}

/// The hash of eight letters: of each two, then of each four, then of all, none of which waits for the hash before them.
fn eight(letters: [u8; 8]) -> i32 {
    const BYTES: u64 = 0x00FF_00FF_00FF_00FF;
    const SHORTS: u64 = 0x0000_FFFF_0000_FFFF;
    // The first letter is the lowest byte; no sum is too long for its place.
    let word = u64::from_le_bytes(letters);
    let twos = (word & BYTES) * 31 + (word >> 8 & BYTES);
    let fours = (twos & SHORTS) * 31u64.pow(2) + (twos >> 16 & SHORTS);
    (fours as i32)
        .wrapping_mul(31i32.pow(4))
        .wrapping_add((fours >> 32) as i32)
}

/// The `tagsCode` of a TAGS property: its Java hash, sign-extended; 0 for no tag.
///
/// A multi-tag text is hashed whole (RocketMQ 4.9.8, MessageExtBrokerInner).
pub fn tags_code(tags: &[u8]) -> i64 {
    i64::from(java_hash_bytes(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_java() {
        // Printed by jshell 17: "…".hashCode().
        let cases = [
            ("", 0),
            ("TagA", 2598919),
            ("*", 42),
            ("polygenelubricants", i32::MIN),
            ("标签", 857175),
            ("😀", 1772899),
        ];
        for (text, expected) in cases {
            assert_eq!(java_hash(text), expected, "{text}");
            assert_eq!(java_hash_bytes(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(tags_code(b"polygenelubricants"), -2147483648);
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let whole = java_hash("Topic#标签");
        let pieces = JavaHash::new()
            .update(b"Topic")
            .update(b"#")
            .update("标签".as_bytes());
        assert_eq!(pieces.finish(), whole);
    }

    #[test]
    fn every_length_is_hashed_letter_by_letter() {
        let text = "The quick brown fox jumps over the lazy dog.\x7F\x00~";
        for len in 0..=text.len() {
            let each = text.bytes().take(len).fold(0, |hash: i32, letter| {
                hash.wrapping_mul(31).wrapping_add(i32::from(letter))
            });
            assert_eq!(java_hash(&text[..len]), each);
            let (first, rest) = text.as_bytes()[..len].split_at(len / 3);
            assert_eq!(JavaHash::new().update(first).update(rest).finish(), each);
        }
    }

    #[test]
    fn letters_outside_ascii_count_wherever_they_stand() {
        for at in 0..20 {
            let text = format!("{}é{}", "a".repeat(at), "b".repeat(19 - at));
            let each = text.encode_utf16().fold(0, step);
            assert_eq!(java_hash(&text), each, "{at}");
        }
    }

    #[test]
    fn malformed_utf8_counts_as_replacement() {
        assert_eq!(java_hash_bytes(b"a\xFFb"), java_hash("a\u{FFFD}b"));
    }
}
