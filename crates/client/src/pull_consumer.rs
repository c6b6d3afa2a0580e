//! A consumer that decides itself what it reads and when.

use crate::Error;
use crate::instance::Instance;
use crate::pull::{Pull, PullResult};
use protocol::body::MessageQueue;
use protocol::code::request;
use std::sync::Arc;

/// Reads queues from offsets of the caller's choice. It is no member of its group: it sends no heartbeat and takes no part in
/// rebalance.
pub struct PullConsumer {
    instance: Arc<Instance>,
    group: String,
}

impl PullConsumer {
    /// Starts one.
    pub fn start(namesrv: &str, group: &str) -> Result<PullConsumer, Error> {
        PullConsumer::start_as(namesrv, group, None, None)
    }

    /// Starts one whose requests are signed.
    pub fn start_as(
        namesrv: &str,
        group: &str,
        credentials: Option<&acl::Credentials>,
        tls: Option<remoting::tls::ClientTls>,
    ) -> Result<PullConsumer, Error> {
        message::name::check_group(group).map_err(|e| Error::BadMessage(e.to_string()))?;
        Ok(PullConsumer {
            instance: Instance::new(namesrv, credentials, tls, None)?,
            group: group.to_owned(),
        })
    }

    /// The topic's queues that may be read.
    pub async fn queues(&self, topic: &str) -> Result<Vec<MessageQueue>, Error> {
        Ok(self.instance.route(topic).await?.readable.clone())
    }

    /// The same of a light message queue, which is where its parent topic is.
    pub async fn queues_by(&self, topic: &str, parent: &str) -> Result<Vec<MessageQueue>, Error> {
        Ok(self.instance.route_by(topic, parent).await?.readable.clone())
    }

    /// Reads up to `max` messages from `offset`. With `wait` the broker holds the request until there is something, for
    /// 15 s at most. `expression`: `*`, or tags separated by `||`; the broker compares their hashes.
    pub async fn pull(
        &self,
        queue: &MessageQueue,
        expression: &str,
        offset: i64,
        max: i32,
        wait: bool,
    ) -> Result<PullResult, Error> {
        let pull = Pull {
            group: &self.group,
            queue,
            expression,
            subscription_version: 0,
            offset,
            max,
            suspend: wait,
            commit: None,
            broker: 0,
        };
        self.instance.pull(pull).await
    }

    /// The group's committed offset; `None` when there is none.
    pub async fn committed(&self, queue: &MessageQueue) -> Result<Option<i64>, Error> {
        self.instance.committed_offset(&self.group, queue).await
    }

    /// Commits an offset.
    pub async fn commit(&self, queue: &MessageQueue, offset: i64) -> Result<(), Error> {
        self.instance.commit_offset(&self.group, queue, offset).await
    }

    /// The end of the queue.
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        self.instance.end_offset(request::GET_MAX_OFFSET, queue).await
    }

    /// The beginning of the queue.
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        self.instance.end_offset(request::GET_MIN_OFFSET, queue).await
    }

    /// The offset of the first message stored at or after a time, ms since 1970.
    pub async fn offset_at(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64, Error> {
        self.instance.offset_at(queue, timestamp).await
    }

    /// Forgets where a topic is, so that the next use asks the name server.
    pub fn forget_route(&self, topic: &str) {
        self.instance.forget(topic);
    }

    /// Closes the connections.
    pub async fn shutdown(self) {
        self.instance.shutdown(None, None).await;
    }
}
