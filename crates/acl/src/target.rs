//! What a request is about, and what its user must be allowed to do with that (5.x, DefaultAuthorizationContextBuilder and the
//! annotations of the header classes).
//!
//! Unlike Java, which asks for nothing: what changes the broker's settings, cleans up, makes groups, or makes many topics at
//! once. Names are read as the handlers read them.

use std::borrow::Cow;

use message::name::RETRY_PREFIX;
use protocol::Frame;
use protocol::body::broker::{HeartbeatData, LockBatchRequestBody, SubscriptionGroupConfig};
use protocol::body::topic::TopicConfig;
use protocol::code::request;
use protocol::header::Header;
use serde::Deserialize;

use crate::need::{ConsumerNames, GroupName, SendNames, TopicName, is_for_admins};
use crate::policy::{Actions, Kind, Target};

const SUB_OR_GET: Actions = Actions::SUB.or(Actions::GET);
const SUB_OR_UPDATE: Actions = Actions::SUB.or(Actions::UPDATE);

/// The fields that name something.
#[derive(Header)]
struct Names<'a> {
    topic: Option<Cow<'a, str>>,
    consumer_group: Option<Cow<'a, str>>,
    group: Option<Cow<'a, str>>,
    group_name: Option<Cow<'a, str>>,
    dest_group: Option<Cow<'a, str>>,
    compare_group: Option<Cow<'a, str>>,
    filter_groups: Option<Cow<'a, str>>,
}

/// Which of them a request has.
#[derive(Clone, Copy)]
enum Field {
    Topic,
    ConsumerGroup,
    Group,
    GroupName,
    DestGroup,
    CompareGroup,
    /// Many, separated by commas.
    FilterGroups,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicConfigList {
    #[serde(default)]
    topic_config_list: Vec<TopicConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupConfigList {
    #[serde(default)]
    group_config_list: Vec<SubscriptionGroupConfig>,
}

/// Is it about users, policies and accounts? Who may not be asked what he may do needs to be a Super user for that.
pub(crate) fn is_about_users(code: i32) -> bool {
    matches!(
        code,
        request::AUTH_CREATE_USER
            | request::AUTH_UPDATE_USER
            | request::AUTH_DELETE_USER
            | request::AUTH_GET_USER
            | request::AUTH_LIST_USER
            | request::AUTH_CREATE_ACL
            | request::AUTH_UPDATE_ACL
            | request::AUTH_DELETE_ACL
            | request::AUTH_GET_ACL
            | request::AUTH_LIST_ACL
            | request::EXPLAIN_ACL
            | request::GET_BROKER_CLUSTER_ACL_CONFIG
    )
}

/// Requests about the whole cluster.
fn on_cluster(code: i32) -> Option<Actions> {
    Some(match code {
        request::GET_PRODUCER_CONNECTION_LIST
        | request::VIEW_BROKER_STATS_DATA
        | request::GET_BROKER_CONSUME_STATS
        | request::GET_ALL_PRODUCER_INFO
        | request::EXPORT_ROCKSDB_CONFIG_TO_JSON
        | request::AUTH_GET_USER
        | request::AUTH_LIST_USER
        | request::AUTH_GET_ACL
        | request::AUTH_LIST_ACL
        | request::EXPLAIN_ACL
        | request::GET_BROKER_CLUSTER_ACL_INFO
        | request::GET_BROKER_CLUSTER_ACL_CONFIG
        | request::GET_BROKER_CONFIG => Actions::GET,
        request::AUTH_CREATE_USER
        | request::AUTH_UPDATE_USER
        | request::AUTH_DELETE_USER
        | request::AUTH_CREATE_ACL
        | request::AUTH_UPDATE_ACL
        | request::AUTH_DELETE_ACL
        | request::UPDATE_AND_CREATE_ACL_CONFIG
        | request::DELETE_ACL_CONFIG
        | request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG
        | request::UPDATE_BROKER_CONFIG
        | request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG
        | request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG
        | request::SET_COMMITLOG_READ_MODE
        | request::CLEAN_EXPIRED_CONSUMEQUEUE
        | request::CLEAN_UNUSED_TOPIC
        | request::DELETE_EXPIRED_COMMITLOG
        | request::RESUME_CHECK_HALF_MESSAGE => Actions::UPDATE,
        _ => return None,
    })
}

/// Requests that only read, by [`Actions::GET`], and for which an account alone is not enough; and what they need besides.
pub(crate) fn reads_with_a_need(about: Kind) -> Vec<(i32, &'static str)> {
    match about {
        Kind::Cluster => (1..=request::EXPLAIN_ACL)
            .filter(|code| is_for_admins(*code) && on_cluster(*code) == Some(Actions::GET))
            .map(|code| (code, "an admin"))
            .collect(),
        Kind::Topic => [request::QUERY_MESSAGE, request::VIEW_MESSAGE_BY_ID]
            .map(|code| (code, "SUB on the topic"))
            .into(),
        Kind::Group => vec![(request::GET_CONSUMER_LIST_BY_GROUP, "SUB on the group")],
        Kind::Namespace => Vec::new(),
    }
}

/// Requests about what fields of their headers name.
fn by_fields(code: i32) -> Option<(&'static [Field], Actions)> {
    use Field::{CompareGroup, ConsumerGroup, DestGroup, FilterGroups, Group, GroupName, Topic};
    Some(match code {
        request::UPDATE_AND_CREATE_TOPIC => (&[Topic], Actions::CREATE),
        request::DELETE_TOPIC_IN_BROKER => (&[Topic], Actions::DELETE),
        request::DELETE_SUBSCRIPTIONGROUP => (&[GroupName], Actions::DELETE),
        request::SEARCH_OFFSET_BY_TIMESTAMP
        | request::GET_MAX_OFFSET
        | request::GET_MIN_OFFSET
        | request::GET_EARLIEST_MSG_STORETIME
        | request::VIEW_MESSAGE_BY_ID
        | request::GET_TOPIC_STATS_INFO
        | request::QUERY_TOPIC_CONSUME_BY_WHO
        | request::GET_TOPIC_CONFIG => (&[Topic], Actions::GET),
        request::GET_CONSUMER_CONNECTION_LIST | request::GET_CONSUMER_RUNNING_INFO => {
            (&[ConsumerGroup], Actions::GET)
        }
        request::GET_CONSUME_STATS => (&[ConsumerGroup, Topic], Actions::GET),
        request::QUERY_CONSUME_QUEUE => (&[Topic, ConsumerGroup], Actions::GET),
        request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS | request::QUERY_CONSUME_TIME_SPAN => {
            (&[Topic, Group], Actions::GET)
        }
        request::QUERY_SUBSCRIPTION_BY_CONSUMER => (&[Group, Topic], Actions::GET),
        request::QUERY_TOPICS_BY_CONSUMER | request::GET_SUBSCRIPTIONGROUP_CONFIG => (&[Group], Actions::GET),
        request::QUERY_CORRECTION_OFFSET => (&[FilterGroups, CompareGroup, Topic], Actions::GET),
        request::INVOKE_BROKER_TO_RESET_OFFSET => (&[Group, Topic], Actions::UPDATE),
        request::UPDATE_AND_GET_GROUP_FORBIDDEN => (&[Group], Actions::UPDATE),
        request::CLONE_GROUP_OFFSET => (&[DestGroup, Topic], Actions::UPDATE),
        request::CONSUME_MESSAGE_DIRECTLY => (&[ConsumerGroup, Topic], Actions::SUB),
        _ => return None,
    })
}

/// Calls `each` with all that a request is about, until one is an error. The cluster is this broker's.
///
/// Requests that can not be read are about nothing: their handlers refuse them.
pub(crate) fn each_target<'f, E>(
    frame: &'f Frame,
    cluster: &str,
    mut each: impl FnMut(Target<'_>, Actions) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(actions) = on_cluster(frame.code) {
        return each(Target::cluster(cluster), actions);
    }
    if let Some((fields, actions)) = by_fields(frame.code) {
        let Ok(names) = frame.header::<Names<'f>>() else {
            return Ok(());
        };
        return each_field(&names, fields, |target| each(target, actions));
    }
    match frame.code {
        // Unlike Java, which asks for the group that the producer says it is: what goes to a retry topic needs its group.
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
            match frame.header::<SendNames<'f>>().ok().and_then(|names| names.topic) {
                Some(topic) if topic.starts_with(RETRY_PREFIX) => each(Target::group(&topic), Actions::SUB),
                Some(topic) => each(Target::topic(&topic), Actions::PUB),
                None => Ok(()),
            }
        }
        request::END_TRANSACTION | request::RECALL_MESSAGE => {
            let topic = frame.header::<TopicName<'f>>().ok().and_then(|name| name.topic);
            match topic.filter(|topic| !topic.trim().is_empty()) {
                Some(topic) => each(Target::topic(&topic), Actions::PUB),
                None => Ok(()),
            }
        }
        request::PULL_MESSAGE | request::LITE_PULL_MESSAGE => each_of_consumer(frame, Actions::SUB, each),
        request::UNREGISTER_CLIENT => each_group(frame, Actions::SUB, each),
        request::GET_CONSUMER_LIST_BY_GROUP => each_group(frame, SUB_OR_GET, each),
        request::QUERY_CONSUMER_OFFSET => each_of_consumer(frame, SUB_OR_GET, each),
        request::UPDATE_CONSUMER_OFFSET => each_of_consumer(frame, SUB_OR_UPDATE, each),
        request::QUERY_MESSAGE => match frame.header::<TopicName<'f>>().ok().and_then(|name| name.topic) {
            Some(topic) => each(Target::topic(&topic), SUB_OR_GET),
            None => Ok(()),
        },
        request::CONSUMER_SEND_MSG_BACK => {
            match frame.header::<GroupName<'f>>().ok().and_then(|name| name.group) {
                Some(group) => each(Target::group(&group), Actions::SUB),
                None => Ok(()),
            }
        }
        _ => each_of_body(frame, each),
    }
}

fn each_field<E>(
    names: &Names<'_>,
    fields: &[Field],
    mut each: impl FnMut(Target<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for field in fields {
        let name = match field {
            Field::Topic => &names.topic,
            Field::ConsumerGroup => &names.consumer_group,
            Field::Group => &names.group,
            Field::GroupName => &names.group_name,
            Field::DestGroup => &names.dest_group,
            Field::CompareGroup => &names.compare_group,
            Field::FilterGroups => &names.filter_groups,
        };
        let Some(name) = name.as_deref().filter(|name| !name.trim().is_empty()) else {
            continue;
        };
        match field {
            Field::Topic => each(Target::topic(name))?,
            Field::FilterGroups => {
                let groups = name.split(',').map(str::trim).filter(|group| !group.is_empty());
                groups.map(Target::group).try_for_each(&mut each)?;
            }
            _ => each(Target::group(name))?,
        }
    }
    Ok(())
}

/// The topic, but a retry topic, which is the group's, and the group.
fn each_of_consumer<'f, E>(
    frame: &'f Frame,
    actions: Actions,
    mut each: impl FnMut(Target<'_>, Actions) -> Result<(), E>,
) -> Result<(), E> {
    let Ok(names) = frame.header::<ConsumerNames<'f>>() else {
        return Ok(());
    };
    if let Some(topic) = &names.topic {
        // Unlike Java, which passes over the retry topic of any group.
        each(Target::topic(topic), actions)?;
    }
    each_group(frame, actions, each)
}

fn each_group<'f, E>(
    frame: &'f Frame,
    actions: Actions,
    mut each: impl FnMut(Target<'_>, Actions) -> Result<(), E>,
) -> Result<(), E> {
    let names = frame.header::<ConsumerNames<'f>>().ok();
    let group = names.and_then(|names| names.consumer_group);
    match group.filter(|group| !group.trim().is_empty()) {
        Some(group) => each(Target::group(&group), actions),
        None => Ok(()),
    }
}

/// Requests whose bodies have the names.
fn each_of_body<E>(
    frame: &Frame,
    mut each: impl FnMut(Target<'_>, Actions) -> Result<(), E>,
) -> Result<(), E> {
    use protocol::body::read_request as read;
    match frame.code {
        request::HEART_BEAT => {
            let Ok(data) = read::<HeartbeatData>(&frame.body) else {
                return Ok(());
            };
            for consumer in &data.consumer_data_set {
                each(Target::group(&consumer.group_name), Actions::SUB)?;
                for subscription in &consumer.subscription_data_set {
                    each(Target::topic(&subscription.topic), Actions::SUB)?;
                }
            }
        }
        request::LOCK_BATCH_MQ | request::UNLOCK_BATCH_MQ => {
            let Ok(body) = read::<LockBatchRequestBody>(&frame.body) else {
                return Ok(());
            };
            each(Target::group(&body.consumer_group), Actions::SUB)?;
            for queue in &body.mq_set {
                each(Target::topic(&queue.topic), Actions::SUB)?;
            }
        }
        request::UPDATE_AND_CREATE_TOPIC_LIST => {
            let list = read::<TopicConfigList>(&frame.body).map(|list| list.topic_config_list);
            for config in list.unwrap_or_default() {
                each(Target::topic(&config.topic_name), Actions::CREATE)?;
            }
        }
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => {
            if let Ok(config) = read::<SubscriptionGroupConfig>(&frame.body) {
                each(Target::group(&config.group_name), Actions::CREATE)?;
            }
        }
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => {
            let list = read::<GroupConfigList>(&frame.body).map(|list| list.group_config_list);
            for config in list.unwrap_or_default() {
                each(Target::group(&config.group_name), Actions::CREATE)?;
            }
        }
        _ => {}
    }
    Ok(())
}
