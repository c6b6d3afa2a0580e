//! Tag expressions: `*`, or tags joined by `||`.
//!
//! A consumer's tags are compared by their Java hash with the `tagsCode` of a consumequeue unit, so the broker
//! may let a message through whose tag only has the same hash; the client compares the text again.

use std::sync::{Arc, LazyLock};

use message::hash::java_hash;
use message::record::View;

use crate::{Filter, Verdict};

/// Text that means "everything".
pub const ALL: &str = "*";

/// The filter of who wants everything.
pub fn all() -> Arc<dyn Filter> {
    static ALL: LazyLock<Arc<TagFilter>> = LazyLock::new(|| Arc::new(TagFilter::All));
    Arc::clone(&ALL) as Arc<dyn Filter>
}

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

impl Filter for TagFilter {
    fn by_unit(&self, tags_code: i64) -> Verdict {
        match self.matches(tags_code) {
            true => Verdict::Wanted,
            false => Verdict::Unwanted,
        }
    }

    fn by_record(&self, record: &View<'_>) -> bool {
        let tags = message::properties::get(record.properties(), message::properties::names::TAGS);
        self.matches(tags.map_or(0, message::hash::tags_code))
    }

    fn bytes(&self) -> usize {
        match self {
            TagFilter::All => 0,
            TagFilter::Codes(codes) => size_of_val(&**codes),
        }
    }
}

impl From<TagFilter> for Arc<dyn Filter> {
    fn from(filter: TagFilter) -> Self {
        match filter {
            TagFilter::All => all(),
            filter => Arc::new(filter),
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

    #[test]
    fn a_unit_decides_about_tags_and_who_wants_all_shares_one_filter() {
        let filter: Arc<dyn Filter> = TagFilter::parse("TagA").unwrap().into();
        assert_eq!(filter.by_unit(tags_code(b"TagA")), Verdict::Wanted);
        assert_eq!(filter.by_unit(tags_code(b"TagB")), Verdict::Unwanted);
        assert_eq!(filter.bytes(), 4);
        assert!(Arc::ptr_eq(&all(), &TagFilter::All.into()));
        assert_eq!(all().by_unit(7), Verdict::Wanted);
    }
}
