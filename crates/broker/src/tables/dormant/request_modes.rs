//! `messageRequestMode.json`: which groups consume which topics by PULL or POP.
//!
//! Rules: RocketMQ 5.3.3, MessageRequestModeManager.

use std::collections::BTreeMap;

use protocol::body::de;
use serde::{Deserialize, Serialize};

/// The file.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestModes {
    /// Topic to group to mode.
    #[serde(deserialize_with = "de::or_default")]
    pub message_request_mode_map: BTreeMap<String, BTreeMap<String, RequestMode>>,
}

/// How one group consumes one topic.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestMode {
    #[serde(deserialize_with = "de::scalar")]
    consumer_group: String,
    mode: Mode,
    /// Queues a client takes from others; -1 all, 0 none.
    #[serde(deserialize_with = "de::scalar")]
    pop_share_queue_num: i32,
    #[serde(deserialize_with = "de::scalar")]
    topic: String,
}

protocol::java_enum! {
    /// PULL or POP.
    pub enum Mode {
        /// The client's own long polling.
        #[default]
        Pull = "PULL",
        /// The broker hands out messages.
        Pop = "POP",
    }
}
