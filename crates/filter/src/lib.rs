//! Tag filter expressions: `*`, or tags joined by `||`.
//!
//! A consumer's tags are compared by their Java hash with the `tagsCode` of a consumequeue unit, so the broker
//! may let a message through whose tag only has the same hash; the client compares the text again.
//!
//! ```
//! let filter = filter::TagFilter::parse("TagA || TagB").unwrap();
//! assert!(filter.matches(message::hash::tags_code(b"TagB")));
//! assert!(!filter.matches(message::hash::tags_code(b"TagC")));
//! ```
#![forbid(unsafe_code)]

use message::hash::java_hash;

/// Text that means "everything".
pub const ALL: &str = "*";

/// Which messages a consumer wants, by the hash of their tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagFilter {
    /// Everything.
    All,
    /// Messages whose tagsCode is one of these (sorted, without duplicates).
    Codes(Box<[i32]>),
}

/// The expression has separators but no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("subString split error")]
pub struct NoTag;

impl TagFilter {
    /// Parses a subscription expression as 4.9.8's FilterAPI does: empty or `*` is everything; tags are split at
    /// `||` and trimmed. An expression of nothing but `||` is refused; one whose parts are blank (` || `) is
    /// taken and matches no message.
    pub fn parse(expression: &str) -> Result<TagFilter, NoTag> {
        if expression.is_empty() || expression == ALL {
            return Ok(TagFilter::All);
        }
        if expression.split("||").all(str::is_empty) {
            return Err(NoTag);
        }
        Ok(TagFilter::from_codes(tags(expression).map(java_hash)))
    }

    /// A filter for tags whose hashes are known, as heartbeats carry them.
    pub fn from_codes(codes: impl IntoIterator<Item = i32>) -> TagFilter {
        let mut codes: Vec<i32> = codes.into_iter().collect();
        codes.sort_unstable();
        codes.dedup();
        TagFilter::Codes(codes.into())
    }

    /// Whether a message with this tagsCode is wanted. Only the low 32 bits are looked at, as in Java.
    pub fn matches(&self, tags_code: i64) -> bool {
        match self {
            TagFilter::All => true,
            // Nearly every filter has a few tags, which are found sooner by looking at each.
            TagFilter::Codes(codes) if codes.len() <= 8 => codes.contains(&(tags_code as i32)),
            TagFilter::Codes(codes) => codes.binary_search(&(tags_code as i32)).is_ok(),
        }
    }
}

/// The tags of an expression, trimmed as Java's `trim` does, blank ones left out.
pub fn tags(expression: &str) -> impl Iterator<Item = &str> {
    // Java's trim takes away everything up to U+0020.
    expression
        .split("||")
        .map(|tag| tag.trim_matches(|c: char| c <= ' '))
        .filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::hash::tags_code;

    #[test]
    fn expressions() {
        let codes = |tags: &[&str]| TagFilter::from_codes(tags.iter().map(|tag| java_hash(tag)));
        let cases = [
            ("", Ok(TagFilter::All)),
            ("*", Ok(TagFilter::All)),
            ("a", Ok(codes(&["a"]))),
            ("a||b", Ok(codes(&["a", "b"]))),
            (" b || a ||", Ok(codes(&["a", "b"]))),
            ("||a", Ok(codes(&["a"]))),
            ("a | b", Ok(codes(&["a | b"]))),
            ("* || a", Ok(codes(&["*", "a"]))),
            ("||", Err(NoTag)),
            ("||||", Err(NoTag)),
            (" || ", Ok(codes(&[]))),
            (" ", Ok(codes(&[]))),
        ];
        for (expression, expected) in cases {
            assert_eq!(TagFilter::parse(expression), expected, "{expression:?}");
        }
    }

    #[test]
    fn matching_looks_at_the_low_half() {
        let filter = TagFilter::parse("polygenelubricants || TagA").unwrap();
        assert!(filter.matches(tags_code(b"polygenelubricants")) && filter.matches(tags_code(b"TagA")));
        assert!(filter.matches(tags_code(b"TagA") | 7 << 40));
        assert!(!filter.matches(0) && TagFilter::All.matches(0));
        let many = TagFilter::from_codes(0..100);
        assert!(many.matches(57) && !many.matches(100));
    }
}
