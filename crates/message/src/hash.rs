//! Java's `String.hashCode`, on which tag filters and key indexes stand.

/// 31 to the seventh power and down to the zeroth.
const POWERS: [i32; 8] = {
    let (mut powers, mut at) = ([1i32; 8], 7);
    while at > 0 {
        powers[at - 1] = powers[at].wrapping_mul(31);
        at -= 1;
    }
    powers
};
/// 31 to the eighth power.
const EIGHTH: i32 = POWERS[0].wrapping_mul(31);

/// Java's `String.hashCode`: over UTF-16 code units, `h = 31 * h + unit`, wrapping.
pub fn java_hash(text: &str) -> i32 {
    if text.is_ascii() {
        return ascii(0, text.as_bytes());
    }
    text.encode_utf16().fold(0, |hash: i32, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
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
        if text.is_ascii() {
            return JavaHash(ascii(self.0, text));
        }
        let mut hash = self.0;
        for chunk in text.utf8_chunks() {
            for unit in chunk.valid().encode_utf16() {
                hash = hash.wrapping_mul(31).wrapping_add(i32::from(unit));
            }
            if !chunk.invalid().is_empty() {
                hash = hash.wrapping_mul(31).wrapping_add(0xFFFD);
            }
        }
        JavaHash(hash)
    }

    /// The hash of all that was added.
    pub fn finish(self) -> i32 {
        self.0
    }
}

/// The hash with ASCII added at the end. Eight letters at a time, which do not wait for one another.
fn ascii(mut hash: i32, text: &[u8]) -> i32 {
    let (eights, rest) = text.as_chunks::<8>();
    for eight in eights {
        let letters = eight.iter().zip(&POWERS);
        let sum = letters.fold(0, |sum: i32, (letter, power)| {
            sum.wrapping_add(power.wrapping_mul(i32::from(*letter)))
        });
        hash = hash.wrapping_mul(EIGHTH).wrapping_add(sum);
    }
    rest.iter().fold(hash, |hash, letter| {
        hash.wrapping_mul(31).wrapping_add(i32::from(*letter))
    })
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
    fn malformed_utf8_counts_as_replacement() {
        assert_eq!(java_hash_bytes(b"a\xFFb"), java_hash("a\u{FFFD}b"));
    }
}
