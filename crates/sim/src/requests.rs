//! The requests of the simulated clients.

use std::borrow::Cow;

use protocol::EncodeHeader;
use protocol::header::Short;
use protocol::header::broker::{
    ConsumerSendMsgBackRequestHeader, CreateTopicRequestHeader, PullMessageRequestHeader,
    SendMessageRequestHeader, TopicRequestHeader, UpdateConsumerOffsetRequestHeader,
};

/// The group that consumes everything.
pub(crate) const GROUP: &str = "group";

/// What an answer is compared with.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Send {
        id: String,
        topic: String,
        is_delayed: bool,
        waits: bool,
    },
    SendBack {
        id: String,
    },
    Commit,
    Create(String, usize),
    Delete(String, usize, i64),
    Pull {
        topic: String,
        queue_id: i32,
    },
    Settings,
}

pub(crate) fn send<'a>(topic: &'a str, queue_id: i32, properties: &'a str) -> SendMessageRequestHeader<'a> {
    SendMessageRequestHeader {
        producer_group: Some(Cow::Borrowed("producers")),
        topic: Cow::Borrowed(topic),
        default_topic: Some(Cow::Borrowed("TBW102")),
        default_topic_queue_nums: Some(2),
        queue_id,
        sys_flag: Some(0),
        born_timestamp: 1_700_000_000_000,
        flag: Some(0),
        properties: Some(properties),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: None,
        max_reconsume_times: None,
    }
}

/// As clients since 3.x write it.
pub(crate) fn short<'a, 'b>(header: &'b SendMessageRequestHeader<'a>) -> impl EncodeHeader + use<'a, 'b> {
    Short(header)
}

pub(crate) fn pull(topic: &str, queue_id: i32, offset: i64, suspend: bool) -> PullMessageRequestHeader<'_> {
    // Bits of the flag: 4 a subscription comes with it, 2 it may wait.
    let sys_flag = if suspend { 6 } else { 4 };
    PullMessageRequestHeader {
        consumer_group: Cow::Borrowed(GROUP),
        topic: Cow::Borrowed(topic),
        queue_id,
        queue_offset: offset,
        max_msg_nums: 8,
        sys_flag,
        commit_offset: Some(0),
        suspend_timeout_millis: Some(5_000),
        subscription: Some(Cow::Borrowed("*")),
        sub_version: Some(0),
        expression_type: Some(Cow::Borrowed("TAG")),
        max_msg_bytes: None,
    }
}

pub(crate) fn send_back(offset: i64, delay_level: i32) -> ConsumerSendMsgBackRequestHeader<'static> {
    ConsumerSendMsgBackRequestHeader {
        offset,
        group: Cow::Borrowed(GROUP),
        delay_level,
        origin_msg_id: None,
        origin_topic: None,
        unit_mode: Some(false),
        max_reconsume_times: Some(16),
    }
}

pub(crate) fn commit(topic: &str, queue_id: i32, offset: i64) -> UpdateConsumerOffsetRequestHeader<'_> {
    UpdateConsumerOffsetRequestHeader {
        consumer_group: Cow::Borrowed(GROUP),
        topic: Cow::Borrowed(topic),
        queue_id,
        commit_offset: offset,
    }
}

pub(crate) fn create(topic: &str) -> CreateTopicRequestHeader<'_> {
    CreateTopicRequestHeader {
        topic: Cow::Borrowed(topic),
        default_topic: None,
        read_queue_nums: 2,
        write_queue_nums: 2,
        perm: 6,
        topic_filter_type: None,
        topic_sys_flag: None,
        order: None,
        attributes: None,
    }
}

pub(crate) fn delete(topic: &str) -> TopicRequestHeader<'_> {
    TopicRequestHeader {
        topic: Cow::Borrowed(topic),
    }
}
