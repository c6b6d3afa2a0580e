//! What a consumer wants of a topic, behind one type: [`Filter`]. There are tag expressions, [`TagFilter`], and SQL92
//! expressions over a message's properties, [`Expression`].
//!
//! A filter is asked twice: about the unit of a consumequeue, which is cheap, and, where that does not decide, about the
//! record. What a unit's extension says beside the tag is a bitmap, which [`Bloom`] is about.
//!
//! ```
//! let filter = filter::TagFilter::parse("TagA || TagB").unwrap();
//! assert!(filter.matches(message::hash::tags_code(b"TagB")));
//! assert!(!filter.matches(message::hash::tags_code(b"TagC")));
//!
//! let expression = filter::Expression::compile("region IN ('north', 'east') AND price BETWEEN 10 AND 20").unwrap();
//! assert!(expression.matches(b"region\x01east\x02price\x0115"));
//! assert!(!expression.matches(b"region\x01east"), "a price that is not there is not known to be right");
//! ```
#![forbid(unsafe_code)]

use std::fmt::Debug;

use message::record::View;

mod bloom;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod sql;
mod tags;

pub use bloom::Bloom;
pub use sql::{Expression, Failed, Refused};
pub use tags::{ALL, NoTag, TagFilter, all, tags};

/// What is known of a message from its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The consumer wants it.
    Wanted,
    /// The consumer does not want it.
    Unwanted,
    /// Only the record tells.
    AskRecord,
}

/// Which messages a consumer wants.
pub trait Filter: Send + Sync + Debug {
    /// Decides by the tagsCode of a unit, if that is enough.
    fn by_unit(&self, tags_code: i64) -> Verdict;

    /// Decides by what a unit's extension says beside the tagsCode: when the message was stored (ms), and which consumers'
    /// filters let it through ([`Bloom`]).
    fn by_extension(&self, tags_code: i64, _store_timestamp: i64, _bitmap: &[u8]) -> Verdict {
        self.by_unit(tags_code)
    }

    /// Decides by the record; asked where [`Filter::by_unit`] did not decide.
    fn by_record(&self, record: &View<'_>) -> bool;

    /// Whether asking about a record takes so long that others must not wait for it.
    fn is_slow(&self) -> bool {
        false
    }

    /// Bytes that it occupies beside itself.
    fn bytes(&self) -> usize;
}
