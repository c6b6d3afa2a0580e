//! `consumerOrderInfo.json`: what was handed out by POP of ordered messages and not yet acknowledged.
//!
//! Rules: RocketMQ 5.3.3, ConsumerOrderInfoManager.

use std::collections::BTreeMap;

use protocol::body::de;
use serde::{Deserialize, Serialize};

/// An entry that nobody used for so long goes.
const CLEAN_SPAN_MS: i64 = 86_400_000;

/// The file: `topic@group` to queue to what is out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderInfo {
    /// The entries.
    #[serde(deserialize_with = "de::or_default")]
    pub table: BTreeMap<String, BTreeMap<i32, QueueOrder>>,
}

/// What is out of one queue. The file has Java's short names.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueOrder {
    /// Who asked.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    attempt_id: Option<String>,
    /// Which of the offsets are acknowledged, as bits.
    #[serde(rename = "cm", deserialize_with = "de::scalar")]
    commit_offset_bit: i64,
    /// How long the messages stay hidden, ms.
    #[serde(rename = "i", skip_serializing_if = "Option::is_none")]
    invisible_time: Option<i64>,
    /// When they were last asked for, ms since 1970.
    #[serde(rename = "l", deserialize_with = "de::scalar")]
    last_consume_timestamp: i64,
    /// The first offset, then distances from it.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    offset_list: Option<Vec<i64>>,
    /// Offset to times consumed.
    #[serde(rename = "oc", skip_serializing_if = "Option::is_none")]
    offset_consumed_count: Option<BTreeMap<i64, i32>>,
    /// Offset to when it is seen again, ms since 1970.
    #[serde(rename = "ot", skip_serializing_if = "Option::is_none")]
    offset_next_visible_time: Option<BTreeMap<i64, i64>>,
    /// When they were handed out, ms since 1970.
    #[serde(rename = "popTime", deserialize_with = "de::scalar")]
    pop_time: i64,
}

impl OrderInfo {
    /// Drops entries of topics (`queues` gives how many queues one has), groups and queues that are gone, and old
    /// ones. True if something was.
    pub fn clean(
        &mut self,
        now: i64,
        queues: impl Fn(&str) -> Option<i32>,
        is_group: impl Fn(&str) -> bool,
    ) -> bool {
        let count = |table: &BTreeMap<String, BTreeMap<i32, QueueOrder>>| {
            (table.len(), table.values().map(BTreeMap::len).sum::<usize>())
        };
        let before = count(&self.table);
        self.table.retain(|key, orders| {
            let Some((topic, group)) = key.split_once('@') else {
                return true;
            };
            let Some(queues) = queues(topic).filter(|_| is_group(group)) else {
                return false;
            };
            let empty = orders.is_empty();
            orders.retain(|queue_id, order| {
                *queue_id < queues && now - order.last_consume_timestamp <= CLEAN_SPAN_MS
            });
            // One that became empty goes next time, as in Java.
            !empty
        });
        before != count(&self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_nothing_or_is_old_goes() {
        let text = r#"{table:{"T@g":{0:{l:1000},1:{l:5000},7:{l:5000}},"Gone@g":{0:{l:5000}},"T@gone":{0:{l:5000}},"odd":{}}}"#;
        let mut info: OrderInfo = protocol::body::read(text.as_bytes()).expect("as Java writes it");
        let queues = |topic: &str| (topic == "T").then_some(4);
        let clean = |info: &mut OrderInfo, now| info.clean(now, queues, |group| group == "g");
        assert!(clean(&mut info, 1001 + CLEAN_SPAN_MS));
        let left: Vec<_> = info.table["T@g"].keys().copied().collect();
        assert_eq!(
            (info.table.len(), left),
            (2, vec![1]),
            "and the key that is no topic@group stays"
        );
        assert!(!clean(&mut info, 5000 + CLEAN_SPAN_MS));
        assert!(clean(&mut info, 5001 + CLEAN_SPAN_MS), "the last queue");
        assert!(clean(&mut info, 5001 + CLEAN_SPAN_MS), "then the pair");
        assert_eq!(info.table.len(), 1);
    }
}
