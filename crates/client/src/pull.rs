//! PULL_MESSAGE 11 and the calls about a queue's offsets.

use crate::Error;
use crate::instance::{Instance, TIMEOUT, refused};
use crate::received::{Received, decode_all};
use protocol::Frame;
use protocol::body::MessageQueue;
use protocol::code::{request, response};
use protocol::header::DecodeHeader;
use protocol::header::broker::{
    OffsetResponseHeader, PullMessageRequestHeader, PullMessageResponseHeader,
    QueryConsumerOffsetRequestHeader, QueueRequestHeader, SearchOffsetRequestHeader,
    UpdateConsumerOffsetRequestHeader,
};
use remoting::Body;
use std::time::Duration;

/// Pull sysFlag bits.
const COMMIT: i32 = 1;
const SUSPEND: i32 = 2;
const SUBSCRIPTION: i32 = 4;
/// How long a broker may hold a pull, and how much longer the call may take.
const SUSPEND_FOR: Duration = Duration::from_secs(15);
const SUSPENDED_TIMEOUT: Duration = Duration::from_secs(30);

/// What a pull found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    /// Messages.
    Found,
    /// None at all there yet.
    NoNew,
    /// None that the subscription wants.
    NoMatched,
    /// The offset is outside the queue.
    OffsetIllegal,
}

/// The answer to a pull.
#[derive(Debug, Clone)]
pub struct PullResult {
    /// What was found.
    pub status: PullStatus,
    /// Where to go on.
    pub next_offset: i64,
    /// First offset of the queue.
    pub min_offset: i64,
    /// End of the queue.
    pub max_offset: i64,
    /// Broker id to ask next time: 0, or a slave when the master would rather not.
    pub suggested_broker: i64,
    /// The messages.
    pub messages: Vec<Received>,
}

/// One pull.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pull<'a> {
    pub(crate) group: &'a str,
    pub(crate) queue: &'a MessageQueue,
    pub(crate) expression: &'a str,
    pub(crate) subscription_version: i64,
    pub(crate) offset: i64,
    pub(crate) max: i32,
    /// May the broker hold it until there is something?
    pub(crate) suspend: bool,
    /// An offset to commit by the way.
    pub(crate) commit: Option<i64>,
    /// Broker id to ask.
    pub(crate) broker: i64,
}

impl Instance {
    pub(crate) async fn pull(&self, pull: Pull<'_>) -> Result<PullResult, Error> {
        let route = self.route(&pull.queue.topic).await?;
        let no_broker = || Error::NoBroker(pull.queue.broker_name.clone());
        let address = route
            .replica(&pull.queue.broker_name, pull.broker)
            .ok_or_else(no_broker)?;
        // Only a master takes commits.
        let commit = pull
            .commit
            .filter(|_| route.master(&pull.queue.broker_name) == Some(address));
        let sys_flag =
            SUBSCRIPTION | if pull.suspend { SUSPEND } else { 0 } | if commit.is_some() { COMMIT } else { 0 };
        let header = PullMessageRequestHeader {
            consumer_group: pull.group.into(),
            topic: pull.queue.topic.as_str().into(),
            queue_id: pull.queue.queue_id,
            queue_offset: pull.offset,
            max_msg_nums: pull.max,
            sys_flag,
            commit_offset: Some(commit.unwrap_or(0)),
            suspend_timeout_millis: Some(SUSPEND_FOR.as_millis() as i64),
            subscription: Some(pull.expression.into()),
            sub_version: Some(pull.subscription_version),
            expression_type: Some("TAG".into()),
            max_msg_bytes: None,
        };
        let timeout = if pull.suspend {
            SUSPENDED_TIMEOUT
        } else {
            Duration::from_secs(10)
        };
        let frame = self
            .client
            .invoke(address, request::PULL_MESSAGE, &header, Body::Empty, timeout)
            .await?;
        let status = match frame.code {
            response::SUCCESS => PullStatus::Found,
            response::PULL_NOT_FOUND => PullStatus::NoNew,
            response::PULL_RETRY_IMMEDIATELY => PullStatus::NoMatched,
            response::PULL_OFFSET_MOVED => PullStatus::OffsetIllegal,
            _ => return Err(refused(&frame)),
        };
        let header: PullMessageResponseHeader = read_header(&frame, address)?;
        let messages =
            decode_all(&frame.body, &pull.queue.broker_name).map_err(|cause| Error::BadAnswer {
                peer: address.to_owned(),
                cause,
            })?;
        Ok(PullResult {
            status,
            next_offset: header.next_begin_offset,
            min_offset: header.min_offset,
            max_offset: header.max_offset,
            suggested_broker: header.suggest_which_broker_id,
            messages,
        })
    }

    /// The group's committed offset; `None` when there is none.
    pub(crate) async fn committed_offset(
        &self,
        group: &str,
        queue: &MessageQueue,
    ) -> Result<Option<i64>, Error> {
        let address = self.master_of(queue).await?;
        let header = QueryConsumerOffsetRequestHeader {
            consumer_group: group.into(),
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            set_zero_if_not_found: None,
        };
        let asked = self.client.invoke(
            &address,
            request::QUERY_CONSUMER_OFFSET,
            &header,
            Body::Empty,
            TIMEOUT,
        );
        let frame = asked.await?;
        match frame.code {
            response::SUCCESS => Ok(Some(
                read_header::<OffsetResponseHeader>(&frame, &address)?.offset,
            )),
            response::QUERY_NOT_FOUND => Ok(None),
            _ => Err(refused(&frame)),
        }
    }

    /// Commits an offset and waits for the answer.
    pub(crate) async fn commit_offset(
        &self,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), Error> {
        let address = self.master_of(queue).await?;
        let header = UpdateConsumerOffsetRequestHeader {
            consumer_group: group.into(),
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            commit_offset: offset,
        };
        let asked = self.client.invoke(
            &address,
            request::UPDATE_CONSUMER_OFFSET,
            &header,
            Body::Empty,
            TIMEOUT,
        );
        let frame = asked.await?;
        if frame.code == response::SUCCESS {
            Ok(())
        } else {
            Err(refused(&frame))
        }
    }

    /// GET_MAX_OFFSET or GET_MIN_OFFSET.
    pub(crate) async fn end_offset(&self, code: i32, queue: &MessageQueue) -> Result<i64, Error> {
        let address = self.master_of(queue).await?;
        let header = QueueRequestHeader {
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
        };
        let frame = self
            .client
            .invoke(&address, code, &header, Body::Empty, TIMEOUT)
            .await?;
        offset_of(&frame, &address)
    }

    /// The offset of the first message stored at or after a time.
    pub(crate) async fn offset_at(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64, Error> {
        let address = self.master_of(queue).await?;
        let header = SearchOffsetRequestHeader {
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            timestamp,
            boundary_type: None,
        };
        let asked = self.client.invoke(
            &address,
            request::SEARCH_OFFSET_BY_TIMESTAMP,
            &header,
            Body::Empty,
            TIMEOUT,
        );
        offset_of(&asked.await?, &address)
    }

    async fn master_of(&self, queue: &MessageQueue) -> Result<String, Error> {
        let route = self.route(&queue.topic).await?;
        let address = route
            .master(&queue.broker_name)
            .or_else(|| route.replica(&queue.broker_name, 1));
        address
            .map(str::to_owned)
            .ok_or_else(|| Error::NoBroker(queue.broker_name.clone()))
    }
}

fn offset_of(frame: &Frame, peer: &str) -> Result<i64, Error> {
    if frame.code != response::SUCCESS {
        return Err(refused(frame));
    }
    Ok(read_header::<OffsetResponseHeader>(frame, peer)?.offset)
}

fn read_header<'a, H: DecodeHeader<'a>>(frame: &'a Frame, peer: &str) -> Result<H, Error> {
    frame.header().map_err(|cause| Error::BadAnswer {
        peer: peer.to_owned(),
        cause: cause.to_string(),
    })
}
