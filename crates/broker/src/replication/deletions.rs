//! Which topics a slave's master has deleted, and where queues end that the log does not tell: the slave's become the same.
//!
//! A topic that the master has deleted goes from a position of the log on: what the slave's log has before it has a place in no queue any
//! more. The master tells these positions with the topics. The slave asks for them before it copies the log, so that what was deleted
//! long ago gets no place first, and whenever the topics have changed. A deletion that only the slave has, because it was a master once,
//! is undone: what the master serves the slave must have, should it be made the master again. (Java's slaves keep the queues, and its
//! masters do not tell.)
//!
//! Of a queue whose messages are all behind the beginning of the slave's log only the master knows how many there were
//! ([`store::QueueEnds`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::{Clock, Disk};
use protocol::body::topic::{DataVersion, TopicConfig};
use protocol::code::request;
use protocol::header::broker::AllTopicsRequestHeader;
use remoting::Client;
use serde::Deserialize;
use store::{DeleteTopicsError, MatchedDeletions, PhysicalOffset, QueueEnds, QueueOffset, Store};

use super::compare::{self, body_of};
use crate::tables::OffsetTable;
use crate::tables::dormant::DormantFiles;

/// The answer to GET_ALL_TOPIC_CONFIG.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MasterTopics {
    pub(super) data_version: DataVersion,
    pub(super) topic_config_table: BTreeMap<String, TopicConfig>,
    /// Where in the log each was deleted; Java's master does not say.
    pub(super) deleted_topics: Option<BTreeMap<String, i64>>,
    /// Where its log begins, or from where on it knows: it has forgotten the deletions before.
    commit_log_min_offset: Option<i64>,
    /// By topic and queue id.
    queue_ends: BTreeMap<String, BTreeMap<i32, i64>>,
}

impl MasterTopics {
    /// Asks a master; for the ends of queues of which the log from `log_begin` on has nothing, if there is one.
    pub(super) async fn of(
        client: &Client,
        master: &str,
        log_begin: Option<PhysicalOffset>,
    ) -> Result<Self, compare::Error> {
        let header = AllTopicsRequestHeader {
            deleted_topics: Some(true),
            queue_ends_before: log_begin.map(|begin| begin.0),
        };
        body_of(client, master, request::GET_ALL_TOPIC_CONFIG, &header).await
    }
}

/// The deletions of a slave.
pub struct TopicDeletions<D: Disk> {
    /// The copy of the log.
    pub store: Arc<Store<D>>,
    /// Loses the offsets of topics that go.
    pub offsets: Arc<OffsetTable>,
    /// Files of features that are not here.
    pub dormant: Arc<DormantFiles>,
    /// Has the pulls answered that wait for a topic.
    pub answer_waiting: Box<dyn Fn(&str) + Send + Sync>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk> TopicDeletions<D> {
    /// Keeps the ends of queues, of whose messages the log has none.
    ///
    /// # Errors
    /// Not all was done; the same once more does the rest.
    pub(super) async fn keep_ends(&self, topics: &MasterTopics) -> Result<(), compare::Error> {
        if topics.queue_ends.is_empty() {
            return Ok(());
        }
        let ends: QueueEnds = topics
            .queue_ends
            .iter()
            .map(|(topic, queues)| {
                let queues = queues.iter().map(|(id, end)| (*id, QueueOffset(*end)));
                (topic.clone(), queues.collect())
            })
            .collect();
        let store = Arc::clone(&self.store);
        let kept = match tokio::task::spawn_blocking(move || store.keep_ends(&ends)).await {
            Ok(kept) => kept?,
            Err(e) => match e.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The broker stops.
                Err(_) => return Ok(()),
            },
        };
        if kept > 0 {
            tracing::info!(
                "replication: {kept} consumequeues end where the master says; the commitlog has none of their messages any more"
            );
        }
        Ok(())
    }

    /// Makes the deletions those of the master, with whose log the own one agrees. Gives the topics that were deleted now.
    ///
    /// # Errors
    /// Not all was done; the same once more does the rest.
    pub(super) async fn follow(
        self: &Arc<Self>,
        topics: &MasterTopics,
    ) -> Result<Vec<String>, compare::Error> {
        let (Some(deleted), Some(min)) = (&topics.deleted_topics, topics.commit_log_min_offset) else {
            return Ok(Vec::new());
        };
        let deleted: BTreeMap<_, _> = deleted
            .iter()
            .map(|(topic, position)| (topic.clone(), PhysicalOffset(*position)))
            .collect();
        let own = Arc::clone(self);
        // It waits for the disk.
        let matched = tokio::task::spawn_blocking(move || own.match_with(&deleted, PhysicalOffset(min)));
        match matched.await {
            Ok(matched) => Ok(matched?),
            Err(e) => match e.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The broker stops.
                Err(_) => Ok(Vec::new()),
            },
        }
    }

    /// All of it, also if nobody waits for it any more.
    fn match_with(
        &self,
        deleted: &BTreeMap<String, PhysicalOffset>,
        min: PhysicalOffset,
    ) -> Result<Vec<String>, DeleteTopicsError> {
        let MatchedDeletions { deleted, restored } = self.store.match_deletions(deleted, min)?;
        for topic in &deleted {
            self.offsets.remove_topic(topic);
            self.dormant.topic_deleted(topic, self.clock.now_ms());
            (self.answer_waiting)(topic);
            tracing::info!("replication: topic {topic} is deleted, as the master has deleted it");
        }
        for topic in &restored {
            (self.answer_waiting)(topic);
            tracing::warn!(
                "replication: this broker had deleted messages of topic {topic} which the master has; its queues are built anew from \
                 the commitlog"
            );
        }
        Ok(deleted)
    }
}
