//! Offsets: QUERY_CONSUMER_OFFSET (14), UPDATE_CONSUMER_OFFSET (15), SEARCH_OFFSET_BY_TIMESTAMP (29), GET_MAX_OFFSET
//! (30), GET_MIN_OFFSET (31), GET_EARLIEST_MSG_STORETIME (32), GET_ALL_CONSUMER_OFFSET (43).
//!
//! Rules: RocketMQ 4.9.8, ConsumerManageProcessor and AdminBrokerProcessor (reference: wire.md §18).

use std::sync::Arc;

use disk::Disk;
use filter::TagFilter;
use message::name;
use protocol::code::response;
use protocol::header::broker::{
    OffsetResponseHeader, QueryConsumerOffsetRequestHeader, QueueRequestHeader, SearchOffsetRequestHeader,
    TimestampResponseHeader, UpdateConsumerOffsetRequestHeader,
};
use remoting::{Body, Request, Responder};
use store::{Boundary, QueueOffset, ReadLimits, Store};

use crate::lane::{Lane, MayWait};
use crate::tables::{Full, OffsetTable};

/// What the handler needs.
pub struct ConsumerOffset<D: Disk> {
    /// Committed offsets.
    pub offsets: Arc<OffsetTable>,
    /// The queues.
    pub store: Arc<Store<D>>,
}

/// Why a request of this family is refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] protocol::header::HeaderError),
    #[error("Not found, maybe this group consumer boot first")]
    NotStored,
    #[error("{0}")]
    Name(#[from] name::NameError),
    #[error("queueId[{0}] or offset[{1}] is illegal, neither may be below 0")]
    Negative(i32, i64),
    #[error("{0}")]
    Full(#[from] Full),
    #[error("the queue can not be read: {0}")]
    Disk(#[from] disk::Error),
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::NotStored => response::QUERY_NOT_FOUND,
            Error::Header(_) | Error::Name(_) | Error::Negative(..) | Error::Full(_) | Error::Disk(_) => {
                response::SYSTEM_ERROR
            }
        }
    }
}

impl<D: Disk> Clone for ConsumerOffset<D> {
    fn clone(&self) -> Self {
        Self {
            offsets: Arc::clone(&self.offsets),
            store: Arc::clone(&self.store),
        }
    }
}

impl<D: Disk> ConsumerOffset<D> {
    /// QUERY_CONSUMER_OFFSET. Nearly always known; to know where a new group starts, the queue may have to be read, which
    /// is done in the lane.
    pub fn query(&self, request: Request, lane: &Arc<Lane>) {
        let Request { frame, responder } = request;
        let header: QueryConsumerOffsetRequestHeader<'_> = match frame.header() {
            Ok(header) => header,
            Err(e) => return answer_offset(responder, Err(Error::Header(e))),
        };
        let (group, topic, queue_id) = (&header.consumer_group, &header.topic, header.queue_id);
        if let Some(offset) = self.offsets.get(group, topic, queue_id) {
            return answer_offset(responder, Ok(offset));
        }
        if header.set_zero_if_not_found == Some(false) || self.store.queue_min_offset(topic, queue_id).0 > 0 {
            return answer_offset(responder, Err(Error::NotStored));
        }
        if !self.store.is_cold(topic, queue_id, QueueOffset(0), 1) {
            return answer_offset(responder, self.first_offset(topic, queue_id));
        }
        let (offsets, topic) = (self.clone(), topic.to_string());
        lane.serve(responder, topic.len(), move |responder, _| {
            answer_offset(responder, offsets.first_offset(&topic, queue_id));
        });
    }

    /// A group without an offset gets 0 only while the queue still starts at 0 and its beginning is in memory: then a
    /// new consumer loses nothing by starting there. Everybody else decides by consumeFromWhere.
    fn first_offset(&self, topic: &str, queue_id: i32) -> Result<i64, Error> {
        match self.starts_on_disk(topic, queue_id)? {
            true => Err(Error::NotStored),
            false => Ok(0),
        }
    }

    /// Is the queue's first message further behind the log's end than memory reaches? Not so for an empty queue.
    fn starts_on_disk(&self, topic: &str, queue_id: i32) -> Result<bool, Error> {
        let limits = ReadLimits {
            max_messages: 1,
            max_bytes: i64::MAX,
        };
        let mut first = Vec::new();
        let read = self.store.read(
            topic,
            queue_id,
            QueueOffset(0),
            limits,
            &TagFilter::All,
            &mut first,
        )?;
        Ok(read.count > 0 && read.far_behind)
    }

    /// UPDATE_CONSUMER_OFFSET.
    pub fn update(&self, request: Request) {
        let Request { frame, responder } = request;
        match frame
            .header()
            .map_err(Error::Header)
            .and_then(|h| self.commit(&h))
        {
            Ok(()) => responder.ok(),
            Err(e) => responder.error(e.code(), &e.to_string()),
        }
    }

    fn commit(&self, header: &UpdateConsumerOffsetRequestHeader<'_>) -> Result<(), Error> {
        // Unlike Java: names and numbers that could never be used are not stored for ever.
        name::check_group(&header.consumer_group)?;
        name::check_any_topic(&header.topic)?;
        if header.queue_id < 0 || header.commit_offset < 0 {
            return Err(Error::Negative(header.queue_id, header.commit_offset));
        }
        let (group, topic) = (&header.consumer_group, &header.topic);
        if self.offsets.is_reset(group, topic, header.queue_id) {
            // Its consumer does not know yet where it goes on (RocketMQ 5.3.3, ConsumerManageProcessor).
            return Ok(());
        }
        Ok(self
            .offsets
            .commit_of_consumer(group, topic, header.queue_id, header.commit_offset)?)
    }

    /// GET_MAX_OFFSET.
    pub fn max(&self, request: Request) {
        self.of_queue(request, |h| self.store.queue_max_offset(&h.topic, h.queue_id).0);
    }

    /// GET_MIN_OFFSET.
    pub fn min(&self, request: Request) {
        self.of_queue(request, |h| self.store.queue_min_offset(&h.topic, h.queue_id).0);
    }

    fn of_queue(&self, request: Request, offset: impl Fn(&QueueRequestHeader<'_>) -> i64) {
        let Request { frame, responder } = request;
        answer_offset(
            responder,
            frame.header().map(|h| offset(&h)).map_err(Error::Header),
        );
    }

    /// SEARCH_OFFSET_BY_TIMESTAMP.
    pub fn search(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<SearchOffsetRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| {
                let boundary = match h.boundary_type.as_deref() {
                    Some(b) if b.eq_ignore_ascii_case("upper") => Boundary::Upper,
                    Some(b) if b.eq_ignore_ascii_case("lower") => Boundary::Lower,
                    _ => Boundary::Nearest,
                };
                Ok(self
                    .store
                    .offset_by_time(&h.topic, h.queue_id, h.timestamp, boundary)?
                    .0)
            });
        answer_offset(responder, outcome);
    }

    /// GET_EARLIEST_MSG_STORETIME.
    pub fn earliest(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame.header::<QueueRequestHeader<'_>>().map_err(Error::Header);
        match outcome.and_then(|h| Ok(self.store.earliest_store_time(&h.topic, h.queue_id)?)) {
            Ok(time) => {
                let header = TimestampResponseHeader {
                    timestamp: time.unwrap_or(-1),
                };
                responder.reply(response::SUCCESS, None, &header, Body::Empty);
            }
            Err(e) => responder.error(e.code(), &e.to_string()),
        }
    }

    /// GET_ALL_CONSUMER_OFFSET.
    pub fn all(&self, request: Request, _: MayWait) {
        request.responder.body(&self.offsets.file());
    }
}

fn answer_offset(responder: Responder, outcome: Result<i64, Error>) {
    match outcome {
        Ok(offset) => responder.reply(
            response::SUCCESS,
            None,
            &OffsetResponseHeader { offset },
            Body::Empty,
        ),
        Err(e) => responder.error(e.code(), &e.to_string()),
    }
}
