//! `consumerFilter.json`: the subscriptions that are no tags, with their places in a bloom filter.
//!
//! Rules: RocketMQ 4.9.8, ConsumerFilterManager and BloomFilter.

use std::collections::BTreeMap;
use std::f64::consts::LN_2;

use protocol::body::de;
use serde::{Deserialize, Serialize};

/// A subscription of which nobody knows whether its consumer lives counts as dead since so long before the start.
const DEAD_BEFORE_START_MS: i64 = 30_000;

/// Geometry of the bloom filter: entries made for another one are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bloom {
    /// Bits of the whole filter; a multiple of 8.
    pub bits: i32,
    /// Bits of one entry.
    pub hashes: usize,
}

impl Bloom {
    /// For `expectConsumerNumUseFilter` consumers (1 or more) and an error rate of `maxErrorRateOfBloomFilter` percent
    /// (1 to 99).
    pub fn of(consumers: i32, error_percent: i32) -> Self {
        let error = f64::from(error_percent) / 100.0;
        let least = f64::from(consumers) * ((1.0 / error).ln() / LN_2) * (1.0 / LN_2);
        let bytes = (least.ceil() / 8.0).ceil();
        Self {
            bits: bytes as i32 * 8,
            hashes: (error.ln() / 0.5f64.ln()).ceil() as usize,
        }
    }
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filters {
    /// Topic to its filters.
    #[serde(deserialize_with = "de::or_default")]
    filter_data_by_topic: BTreeMap<String, TopicFilters>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TopicFilters {
    #[serde(deserialize_with = "de::or_default")]
    group_filter_data: BTreeMap<String, FilterData>,
    #[serde(deserialize_with = "de::scalar")]
    topic: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FilterData {
    #[serde(skip_serializing_if = "Option::is_none")]
    bloom_filter_data: Option<BloomData>,
    #[serde(deserialize_with = "de::scalar")]
    born_time: i64,
    #[serde(deserialize_with = "de::scalar")]
    client_version: i64,
    #[serde(deserialize_with = "de::scalar")]
    consumer_group: String,
    #[serde(deserialize_with = "de::scalar")]
    dead: bool,
    #[serde(deserialize_with = "de::scalar")]
    dead_time: i64,
    #[serde(deserialize_with = "de::scalar")]
    expression: String,
    #[serde(deserialize_with = "de::scalar")]
    expression_type: String,
    #[serde(deserialize_with = "de::scalar")]
    topic: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BloomData {
    #[serde(deserialize_with = "de::scalar")]
    bit_num: i32,
    #[serde(deserialize_with = "de::scalars")]
    bit_pos: Vec<i32>,
}

impl FilterData {
    fn fits(&self, bloom: Bloom) -> bool {
        let data = self.bloom_filter_data.as_ref();
        data.is_some_and(|d| d.bit_num == bloom.bits && d.bit_pos.len() == bloom.hashes)
    }

    /// Java writes this beside the times and does not read it.
    fn is_dead(&self) -> bool {
        self.dead_time >= self.born_time
    }
}

impl Filters {
    fn all(&mut self) -> impl Iterator<Item = &mut FilterData> {
        self.filter_data_by_topic
            .values_mut()
            .flat_map(|topic| topic.group_filter_data.values_mut())
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        let topics = self.filter_data_by_topic.values();
        topics.map(|topic| topic.group_filter_data.len()).sum()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a start does with the file: entries of another bloom filter go, all of them if one is; consumers are dead
    /// until they come back. True if something changed.
    pub fn take_over(&mut self, bloom: Bloom, now: i64) -> bool {
        if !self.all().all(|filter| filter.fits(bloom)) {
            tracing::warn!(
                "consumerFilter.json was made for another expectConsumerNumUseFilter or maxErrorRateOfBloomFilter; its {} \
                 filters are dropped",
                self.len()
            );
            self.filter_data_by_topic.clear();
            return true;
        }
        let mut changed = false;
        for filter in self.all().filter(|filter| filter.dead_time == 0) {
            filter.dead_time = filter.born_time.max(now - DEAD_BEFORE_START_MS);
            filter.dead = filter.is_dead();
            changed = true;
        }
        changed
    }

    /// Drops what has been dead for `span_ms` (`filterDataCleanTimeSpan`). True if something was.
    pub fn clean(&mut self, now: i64, span_ms: i64) -> bool {
        let before = (self.filter_data_by_topic.len(), self.len());
        for topic in self.filter_data_by_topic.values_mut() {
            topic
                .group_filter_data
                .retain(|_, filter| !filter.is_dead() || now - filter.dead_time < span_ms);
        }
        self.filter_data_by_topic
            .retain(|_, topic| !topic.group_filter_data.is_empty());
        before != (self.filter_data_by_topic.len(), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const BLOOM: Bloom = Bloom { bits: 112, hashes: 3 };

    fn filters(born: i64) -> Filters {
        let text = format!(
            r#"{{"filterDataByTopic":{{"T":{{"groupFilterData":{{"g":{{"bloomFilterData":{{"bitNum":112,"bitPos":[7,4,30]}},
            "bornTime":{born},"consumerGroup":"g","dead":false,"deadTime":0,"expression":"a > 1","topic":"T"}}}},"topic":"T"}}}}}}"#
        );
        protocol::body::read(text.as_bytes()).expect("as Java writes it")
    }

    #[test]
    fn the_bloom_filter_has_javas_size() {
        assert_eq!(Bloom::of(32, 20), BLOOM, "the defaults");
        // Computed by Java's class (BloomFilter.createByFn).
        for (percent, consumers, hashes, bits) in [
            (1, 1, 7, 16),
            (5, 100, 5, 624),
            (10, 1000, 4, 4800),
            (33, 7, 2, 24),
            (50, 1, 1, 8),
            (99, 10, 1, 8),
        ] {
            assert_eq!(
                Bloom::of(consumers, percent),
                Bloom { bits, hashes },
                "{percent} % of {consumers}"
            );
        }
    }

    #[test]
    fn after_a_start_a_filter_is_dead_and_goes_after_a_day() {
        let mut table = filters(1000);
        assert!(table.take_over(BLOOM, 100_000));
        let filter = table.all().next().expect("kept");
        assert_eq!((filter.dead, filter.dead_time), (true, 70_000));
        assert!(!table.take_over(BLOOM, 200_000), "it stays dead since then");
        assert!(!table.clean(70_000 + DAY - 1, DAY));
        assert!(table.clean(70_000 + DAY, DAY));
        assert!(table.filter_data_by_topic.is_empty());
        // Never dead before it was born.
        let mut young = filters(99_999);
        young.take_over(BLOOM, 100_000);
        assert_eq!(young.all().next().expect("kept").dead_time, 99_999);
    }

    #[test]
    fn filters_of_another_bloom_filter_go() {
        let mut table = filters(1000);
        assert!(table.take_over(Bloom::of(100, 20), 100_000));
        assert!(table.is_empty());
    }
}
