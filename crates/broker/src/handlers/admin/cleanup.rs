//! What operators have cleaned: CLEAN_EXPIRED_CONSUMEQUEUE (306), CLEAN_UNUSED_TOPIC (316), DELETE_EXPIRED_COMMITLOG (329).
//!
//! Rules: RocketMQ 4.9.8, DefaultMessageStore.

use std::sync::Arc;

use disk::{Clock, Disk};
use message::name::{self, HALF_TOPIC, OP_HALF_TOPIC, SCHEDULE_TOPIC};
use remoting::Request;
use store::Store;

use super::{Error, refuse};
use crate::lane::MayWait;
use crate::stats::Stats;
use crate::tables::TopicTable;

/// What the handler needs.
pub struct Cleanup<D: Disk> {
    /// Topics.
    pub topics: Arc<TopicTable>,
    /// Statistics of topics.
    pub stats: Arc<Stats>,
    /// Log and queues.
    pub store: Arc<Store<D>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk> Cleanup<D> {
    /// CLEAN_EXPIRED_CONSUMEQUEUE: what the maintenance thread does in its time, at once. Unlike Java a queue without messages keeps
    /// its offsets: they are not given again.
    pub fn expired_queues(&self, request: Request, _: MayWait) {
        let Request { responder, .. } = request;
        match self.store.tick_retention(self.clock.now_ms()) {
            Ok(removed) => {
                let files = removed.queue_files;
                tracing::info!(
                    "{files} expired files of consumequeues removed for {}",
                    responder.peer().address()
                );
                responder.ok();
            }
            Err(e) => refuse(responder, &Error::Value(e.to_string())),
        }
    }

    /// DELETE_EXPIRED_COMMITLOG: by the maintenance thread, at its next runs.
    pub fn expired_log(&self, request: Request, _: MayWait) {
        let Request { responder, .. } = request;
        tracing::info!(
            "expired files of the commitlog are deleted soon, says {}",
            responder.peer().address()
        );
        self.store.delete_expired_soon();
        responder.ok();
    }

    /// CLEAN_UNUSED_TOPIC: queues of topics that are not there.
    pub fn unused_topics(&self, request: Request, _: MayWait) {
        let Request { responder, .. } = request;
        let is_kept = |topic: &str| {
            matches!(topic, SCHEDULE_TOPIC | HALF_TOPIC | OP_HALF_TOPIC)
                || name::is_lmq(topic)
                || self.topics.get(topic).is_some()
        };
        for topic in self.store.topics() {
            if is_kept(&topic) {
                continue;
            }
            if let Err(e) = self.store.delete_topic(&topic) {
                return refuse(responder, &Error::NotRemoved(topic.to_string(), e.to_string()));
            }
            self.stats.items.topic_gone(&topic);
            let by = responder.peer().address();
            tracing::info!("the queues of {topic}, which is no topic any more, are removed for {by}");
        }
        responder.ok();
    }
}
