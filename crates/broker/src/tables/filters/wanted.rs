//! Filters that pulls read with.

use std::sync::Arc;

use filter::{Bloom, Expression, Filter, Verdict};
use message::properties::{self, names};
use message::record::View;

use super::FilterTable;
use crate::settings::Settings;

/// What a consumer lets through by an expression. The bitmaps of messages that came after it was registered tell of some that it
/// does not; of the others the record tells.
#[derive(Debug)]
pub struct ConsumerFilter {
    pub(super) expression: Arc<Expression>,
    /// Its bits.
    pub(super) positions: Box<[i32]>,
    /// Bytes of bitmaps that it has its bits in.
    pub(super) bitmap_len: usize,
    /// When it was registered, ms.
    pub(super) born_ms: i64,
}

impl Filter for ConsumerFilter {
    fn by_unit(&self, _tags_code: i64) -> Verdict {
        Verdict::AskRecord
    }

    fn by_extension(&self, _tags_code: i64, store_timestamp: i64, bitmap: &[u8]) -> Verdict {
        let was_there = store_timestamp > self.born_ms && bitmap.len() == self.bitmap_len;
        match was_there && !Bloom::is_hit(&self.positions, bitmap) {
            true => Verdict::Unwanted,
            false => Verdict::AskRecord,
        }
    }

    fn by_record(&self, record: &View<'_>) -> bool {
        self.expression.by_record(record)
    }

    fn is_slow(&self) -> bool {
        self.expression.is_slow()
    }

    fn bytes(&self) -> usize {
        // The table counts the rest.
        size_of::<Self>()
    }
}

/// What a group lets through of its retry topic (`filterSupportRetry`): what its filter for the topic that a message comes from
/// does.
pub struct RetryFilter {
    /// What the subscription to the retry topic itself says.
    pub own: Arc<dyn Filter>,
    /// Filters.
    pub filters: Arc<FilterTable>,
    /// The group.
    pub group: Box<str>,
}

impl std::fmt::Debug for RetryFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryFilter")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Filter for RetryFilter {
    fn by_unit(&self, tags_code: i64) -> Verdict {
        match self.own.by_unit(tags_code) {
            Verdict::Unwanted => Verdict::Unwanted,
            Verdict::Wanted | Verdict::AskRecord => Verdict::AskRecord,
        }
    }

    fn by_record(&self, record: &View<'_>) -> bool {
        let topic = properties::get_str(record.properties(), names::RETRY_TOPIC);
        let filter = topic.and_then(|topic| self.filters.find(topic, &self.group));
        filter.is_none_or(|found| found.filter.by_record(record))
    }

    fn is_slow(&self) -> bool {
        // Each record may be asked about by another filter.
        true
    }

    fn bytes(&self) -> usize {
        self.own.bytes() + self.group.len()
    }
}

/// Writes bitmaps for the store, while the settings say so (`enableCalcFilterBitMap`).
pub struct BitmapSource {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Filters.
    pub filters: Arc<FilterTable>,
}

impl store::Bitmaps for BitmapSource {
    fn has_any(&self, topic: &str) -> bool {
        self.settings.load().broker.enable_calc_filter_bit_map && self.filters.has_any(topic)
    }

    fn write(&self, topic: &str, properties: &[u8], out: &mut Vec<u8>) {
        self.filters.write_bitmap(topic, properties, out);
    }
}
