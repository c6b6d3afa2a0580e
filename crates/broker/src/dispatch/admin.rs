//! From the code of an operator's request to its handler.

use disk::Disk;
use protocol::code::request;
use remoting::Request;

use super::Handlers;
use crate::lane::MayWait;

/// Operators' requests: all of them may wait.
pub(super) fn admin<D: Disk + Clone>(code: i32) -> Option<fn(&Handlers<D>, Request, MayWait)> {
    Some(match code {
        request::GET_ALL_CONSUMER_OFFSET => |h, r, may| h.offset.all(r, may),
        request::UPDATE_AND_CREATE_TOPIC => |h, r, may| h.admin.topic.create(r, may),
        request::UPDATE_AND_CREATE_TOPIC_LIST => |h, r, may| h.admin.topic.create_list(r, may),
        request::GET_ALL_TOPIC_CONFIG => |h, r, may| h.admin.topic.all(r, may),
        request::GET_TOPIC_CONFIG => |h, r, may| h.admin.topic.one(r, may),
        request::GET_TOPIC_STATS_INFO => |h, r, may| h.admin.topic.stats(r, may),
        request::DELETE_TOPIC_IN_BROKER => |h, r, may| h.admin.topic.delete(r, may),
        request::QUERY_TOPIC_CONSUME_BY_WHO => |h, r, may| h.admin.topic.consumed_by(r, may),
        request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => |h, r, may| h.admin.topic.system(r, may),
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => |h, r, may| h.admin.group.create(r, may),
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => |h, r, may| h.admin.group.create_list(r, may),
        request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => |h, r, may| h.admin.group.all(r, may),
        request::GET_SUBSCRIPTIONGROUP_CONFIG => |h, r, may| h.admin.group.one(r, may),
        request::UPDATE_AND_GET_GROUP_FORBIDDEN => |h, r, may| h.admin.group.forbid(r, may),
        request::DELETE_SUBSCRIPTIONGROUP => |h, r, may| h.admin.group.delete(r, may),
        request::GET_CONSUMER_CONNECTION_LIST => |h, r, may| h.admin.group.consumer_connections(r, may),
        request::GET_PRODUCER_CONNECTION_LIST => |h, r, may| h.admin.group.producer_connections(r, may),
        request::GET_CONSUME_STATS => |h, r, may| h.admin.group.consume_stats(r, may),
        request::GET_BROKER_CONSUME_STATS => |h, r, may| h.admin.group.all_consume_stats(r, may),
        request::GET_ALL_PRODUCER_INFO => |h, r, may| h.admin.group.producers(r, may),
        request::QUERY_TOPICS_BY_CONSUMER => |h, r, may| h.admin.group.topics_of(r, may),
        request::QUERY_SUBSCRIPTION_BY_CONSUMER => |h, r, may| h.admin.group.subscription(r, may),
        request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => |h, r, may| h.admin.relay.statuses(r, may),
        request::INVOKE_BROKER_TO_RESET_OFFSET => |h, r, may| h.admin.reset.reset(r, may),
        request::QUERY_CONSUME_TIME_SPAN => |h, r, may| h.admin.offsets.time_span(r, may),
        request::QUERY_CORRECTION_OFFSET => |h, r, may| h.admin.offsets.correction(r, may),
        request::CLONE_GROUP_OFFSET => |h, r, may| h.admin.offsets.clone_group(r, may),
        request::VIEW_BROKER_STATS_DATA => |h, r, may| h.admin.stats.view(r, may),
        request::QUERY_CONSUME_QUEUE => |h, r, may| h.admin.queue.query(r, may),
        request::CLEAN_EXPIRED_CONSUMEQUEUE => |h, r, may| h.admin.cleanup.expired_queues(r, may),
        request::CLEAN_UNUSED_TOPIC => |h, r, may| h.admin.cleanup.unused_topics(r, may),
        request::DELETE_EXPIRED_COMMITLOG => |h, r, may| h.admin.cleanup.expired_log(r, may),
        request::UPDATE_BROKER_CONFIG => |h, r, may| h.admin.settings.update(r, may),
        request::GET_BROKER_CONFIG => |h, r, may| h.admin.settings.get(r, may),
        request::GET_ALL_DELAY_OFFSET => |h, r, may| h.admin.ha.delay_offsets(r, may),
        request::GET_TIMER_METRICS => |h, r, may| h.admin.ha.timer_metrics(r, may),
        request::GET_ALL_MESSAGE_REQUEST_MODE => |h, r, may| h.admin.ha.request_modes(r, may),
        request::GET_BROKER_HA_STATUS => |h, r, may| h.admin.ha.status(r, may),
        request::GET_BROKER_RUNTIME_INFO => |h, r, may| h.admin.runtime.get(r, may),
        request::UPDATE_AND_CREATE_ACL_CONFIG => |h, r, may| h.admin.acl.update(r, may),
        request::DELETE_ACL_CONFIG => |h, r, may| h.admin.acl.delete(r, may),
        request::GET_BROKER_CLUSTER_ACL_INFO => |h, r, may| h.admin.acl.info(r, may),
        request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG => |h, r, may| h.admin.acl.update_white(r, may),
        request::GET_BROKER_CLUSTER_ACL_CONFIG => |h, r, may| h.admin.acl.config(r, may),
        request::AUTH_CREATE_USER => |h, r, may| h.admin.users.create(r, may),
        request::AUTH_UPDATE_USER => |h, r, may| h.admin.users.update(r, may),
        request::AUTH_DELETE_USER => |h, r, may| h.admin.users.delete(r, may),
        request::AUTH_GET_USER => |h, r, may| h.admin.users.get(r, may),
        request::AUTH_LIST_USER => |h, r, may| h.admin.users.list(r, may),
        request::AUTH_CREATE_ACL | request::AUTH_UPDATE_ACL => |h, r, may| h.admin.users.put_acl(r, may),
        request::AUTH_DELETE_ACL => |h, r, may| h.admin.users.delete_acl(r, may),
        request::AUTH_GET_ACL => |h, r, may| h.admin.users.acl(r, may),
        request::AUTH_LIST_ACL => |h, r, may| h.admin.users.acls(r, may),
        request::UPDATE_COLD_DATA_FLOW_CTR_CONFIG => |h, r, may| h.admin.cold.update(r, may),
        request::REMOVE_COLD_DATA_FLOW_CTR_CONFIG => |h, r, may| h.admin.cold.remove(r, may),
        request::GET_COLD_DATA_FLOW_CTR_INFO => |h, r, may| h.admin.cold.info(r, may),
        request::SET_COMMITLOG_READ_MODE => |h, r, may| h.admin.cold.read_mode(r, may),
        request::EXPLAIN_ACL => |h, r, may| h.admin.explain.answer(r, may),
        request::RESUME_CHECK_HALF_MESSAGE => |h, r, may| h.transaction.resume(r, may),
        _ => return None,
    })
}
