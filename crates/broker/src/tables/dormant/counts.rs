//! `timermetrics`: how many timed messages each topic has waiting.
//!
//! Rules: RocketMQ 5.3.3, TimerMetrics.

use std::collections::BTreeMap;

use protocol::body::de;
use protocol::body::topic::DataVersion;
use serde::{Deserialize, Serialize};

/// `timermetrics`.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimerMetrics {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Topic to timed messages.
    #[serde(deserialize_with = "de::or_default")]
    pub timing_count: BTreeMap<String, Count>,
}

/// A count of one topic.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Count {
    /// Messages; below 0 when more were taken than seen.
    #[serde(deserialize_with = "de::scalar")]
    count: i64,
    /// When it changed, ms since 1970.
    #[serde(deserialize_with = "de::scalar")]
    time_stamp: i64,
}
