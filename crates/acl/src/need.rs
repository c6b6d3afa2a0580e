//! What a request needs: topics and groups, and whether it is an operator's.
//!
//! Names are read as the handlers read them, short and long names alike, so that none can be told one topic and the other another.

use std::borrow::Cow;

use message::name::RETRY_PREFIX;
use protocol::Frame;
use protocol::body::broker::{HeartbeatData, LockBatchRequestBody};
use protocol::code::request;
use protocol::header::Header;

use crate::Permission;

/// A topic or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A group, by its bare name.
    Group(&'a str),
}

impl<'a> Resource<'a> {
    /// A topic; a retry topic is its group.
    pub fn topic(name: &'a str) -> Self {
        match name.strip_prefix(RETRY_PREFIX) {
            Some(group) => Resource::Group(group),
            None => Resource::Topic(name),
        }
    }

    /// What a send needs: to a retry topic SUB on its group.
    pub fn needed_to_send(self) -> Permission {
        match self {
            Resource::Group(_) => Permission::Sub,
            Resource::Topic(_) => Permission::Pub,
        }
    }
}

#[derive(Header)]
pub(crate) struct SendNames<'a> {
    #[header(short = "b")]
    pub(crate) topic: Option<Cow<'a, str>>,
}

#[derive(Header)]
pub(crate) struct ConsumerNames<'a> {
    pub(crate) consumer_group: Option<Cow<'a, str>>,
    pub(crate) topic: Option<Cow<'a, str>>,
}

#[derive(Header)]
pub(crate) struct TopicName<'a> {
    pub(crate) topic: Option<Cow<'a, str>>,
}

#[derive(Header)]
struct GroupAndTopic<'a> {
    group: Option<Cow<'a, str>>,
    topic: Option<Cow<'a, str>>,
}

#[derive(Header)]
struct ClonedNames<'a> {
    src_group: Option<Cow<'a, str>>,
    dest_group: Option<Cow<'a, str>>,
    topic: Option<Cow<'a, str>>,
}

#[derive(Header)]
pub(crate) struct GroupName<'a> {
    pub(crate) group: Option<Cow<'a, str>>,
}

/// Is it for operators alone? Java's list (4.9: 17, 25, 200, 207, 215), the forms of the same requests that 5.x added, and
/// what Java 4.9 lets every account do: read and change accounts, read all settings, delete files and topics, have half messages
/// checked anew.
pub fn is_for_admins(code: i32) -> bool {
    matches!(
        code,
        request::UPDATE_AND_CREATE_TOPIC
            | request::UPDATE_AND_CREATE_TOPIC_LIST
            | request::UPDATE_BROKER_CONFIG
            | request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
            | request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST
            | request::DELETE_SUBSCRIPTIONGROUP
            | request::UPDATE_AND_GET_GROUP_FORBIDDEN
            | request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG
            | request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG
            | request::SET_COMMITLOG_READ_MODE
            | request::DELETE_TOPIC_IN_BROKER
            | request::UPDATE_AND_CREATE_ACL_CONFIG
            | request::DELETE_ACL_CONFIG
            | request::GET_BROKER_CLUSTER_ACL_INFO
            | request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG
            | request::GET_BROKER_CLUSTER_ACL_CONFIG
            | request::EXPLAIN_ACL
            | request::GET_BROKER_CONFIG
            | request::CLEAN_EXPIRED_CONSUMEQUEUE
            | request::CLEAN_UNUSED_TOPIC
            | request::DELETE_EXPIRED_COMMITLOG
            | request::RESUME_CHECK_HALF_MESSAGE
    )
}

/// Is it a tool's, of which every admin may make use, also one that permissions bind?
pub(crate) fn is_of_tools(code: i32) -> bool {
    matches!(
        code,
        request::INVOKE_BROKER_TO_RESET_OFFSET | request::CLONE_GROUP_OFFSET
    )
}

/// SUB on groups and topics.
fn subscribed<E>(
    groups: &[Option<Cow<'_, str>>],
    topic: Option<&str>,
    each: &mut impl FnMut(Resource<'_>, Permission) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(topic) = topic.filter(|topic| !topic.trim().is_empty()) {
        each(Resource::topic(topic), Permission::Sub)?;
    }
    groups
        .iter()
        .flatten()
        .try_for_each(|group| each(Resource::Group(group), Permission::Sub))
}

/// Calls `each` with all that a request needs, until one is an error (RocketMQ 4.9.8, PlainAccessResource.parse).
///
/// Requests that can not be read need nothing: their handlers refuse them.
pub fn each_need<'f, E>(
    frame: &'f Frame,
    mut each: impl FnMut(Resource<'_>, Permission) -> Result<(), E>,
) -> Result<(), E> {
    match frame.code {
        // Unlike Java 4.9: what goes to a retry topic needs the group, whoever the producer says it is, and batches need what
        // single messages need. 5.x has both.
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
            match frame.header::<SendNames<'f>>().ok().and_then(|names| names.topic) {
                Some(topic) => {
                    let resource = Resource::topic(&topic);
                    each(resource, resource.needed_to_send())
                }
                None => Ok(()),
            }
        }
        request::PULL_MESSAGE
        | request::LITE_PULL_MESSAGE
        | request::UPDATE_CONSUMER_OFFSET
        | request::UNREGISTER_CLIENT
        | request::GET_CONSUMER_LIST_BY_GROUP => {
            let Ok(names) = frame.header::<ConsumerNames<'f>>() else {
                return Ok(());
            };
            if let Some(topic) = &names.topic {
                each(Resource::topic(topic), Permission::Sub)?;
            }
            match &names.consumer_group {
                Some(group) => each(Resource::Group(group), Permission::Sub),
                None => Ok(()),
            }
        }
        request::QUERY_MESSAGE => match frame.header::<TopicName<'f>>().ok().and_then(|name| name.topic) {
            Some(topic) => each(Resource::topic(&topic), Permission::Sub),
            None => Ok(()),
        },
        request::CONSUMER_SEND_MSG_BACK => {
            match frame.header::<GroupName<'f>>().ok().and_then(|name| name.group) {
                Some(group) => each(Resource::Group(&group), Permission::Sub),
                None => Ok(()),
            }
        }
        // Unlike Java, which asks for nothing: whoever may not commit a group's offsets may not set them in another way, nor keep
        // its members from its queues.
        request::INVOKE_BROKER_TO_RESET_OFFSET => match frame.header::<GroupAndTopic<'f>>() {
            Ok(names) => subscribed(&[names.group], names.topic.as_deref(), &mut each),
            Err(_) => Ok(()),
        },
        request::CLONE_GROUP_OFFSET => match frame.header::<ClonedNames<'f>>() {
            Ok(names) => subscribed(
                &[names.src_group, names.dest_group],
                names.topic.as_deref(),
                &mut each,
            ),
            Err(_) => Ok(()),
        },
        request::LOCK_BATCH_MQ | request::UNLOCK_BATCH_MQ => {
            let Ok(body) = protocol::body::read_request::<LockBatchRequestBody>(&frame.body) else {
                return Ok(());
            };
            each(Resource::Group(&body.consumer_group), Permission::Sub)?;
            body.mq_set
                .iter()
                .try_for_each(|queue| each(Resource::topic(&queue.topic), Permission::Sub))
        }
        request::HEART_BEAT => {
            let Ok(data) = protocol::body::read_request::<HeartbeatData>(&frame.body) else {
                return Ok(());
            };
            for consumer in &data.consumer_data_set {
                each(Resource::Group(&consumer.group_name), Permission::Sub)?;
                for subscription in &consumer.subscription_data_set {
                    each(Resource::topic(&subscription.topic), Permission::Sub)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
