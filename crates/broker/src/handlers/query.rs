//! QUERY_MESSAGE (12): messages of a key or unique id. VIEW_MESSAGE_BY_ID (33): one message by its physical offset.
//!
//! Rules: RocketMQ 4.9.8, QueryMessageProcessor and DefaultMessageStore.queryMessage. Unlike Java, messages found by
//! key are checked for the key, and an offset at which no record starts is refused instead of answered with whatever
//! bytes are there.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use disk::Disk;
use message::name;
use message::record::{Check, Entry, decode};
use protocol::Frame;
use protocol::code::response;
use protocol::header::broker::{
    QueryMessageRequestHeader, QueryMessageResponseHeader, ViewMessageRequestHeader,
};
use remoting::{Body, Request, Responder};
use store::{PhysicalOffset, Store};

use crate::access::Guard;
use crate::lane::{Lane, MayWait};
use crate::replication::SlaveServer;
use crate::settings::Settings;

/// Longest answer to a query, bytes. A client takes frames of 16 MiB (RocketMQ 4.9.8, NettyDecoder); the rest is left
/// for the header. What does not fit any more is left out, the newest first.
const ANSWER_MAX: usize = (16 << 20) - (64 << 10);

/// What the handler needs.
pub struct Query<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Access control, where it is on.
    pub access: Option<Arc<Guard>>,
    /// The slaves, which compare their logs with this one's by what they view.
    pub slaves: Arc<SlaveServer<D>>,
    /// Log and index.
    pub store: Arc<Store<D>>,
}

/// Why a request of this family is not answered with messages.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] protocol::header::HeaderError),
    #[error("{0}")]
    Name(#[from] name::NameError),
    #[error("{0}")]
    Access(#[from] acl::Refused),
    #[error("can not find message, maybe time range not correct")]
    NotFound,
    #[error("can not find message by the offset, {0}: {1}")]
    NoRecord(i64, store::RecordAtError),
    #[error("[OVERLOAD]system busy, start flow control for a while")]
    Overload,
    #[error("the index can not be read: {0}")]
    Disk(#[from] disk::Error),
    #[error("the log can not be read at {0}: {1}")]
    Unreadable(i64, store::RecordAtError),
    #[error("what the log has at {0} is not synced yet")]
    NotSynced(i64),
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::NotFound => response::QUERY_NOT_FOUND,
            Error::Overload => response::SYSTEM_BUSY,
            Error::Access(refused) => refused.code(),
            Error::Header(_)
            | Error::Name(_)
            | Error::NoRecord(..)
            | Error::Unreadable(..)
            | Error::NotSynced(_)
            | Error::Disk(_) => response::SYSTEM_ERROR,
        }
    }
}

/// Messages and what is said beside them.
struct Found {
    header: QueryMessageResponseHeader,
    records: Vec<Bytes>,
}

impl<D: Disk + Clone> Query<D> {
    /// Are there as many requests in the lane as `queryThreadPoolQueueCapacity` says?
    pub fn is_overloaded(&self, lane: &Lane) -> bool {
        let most = self.settings.load().broker.query_thread_pool_queue_capacity;
        lane.look().0 >= most.max(1) as usize
    }

    /// Refuses a request for that reason.
    pub fn refuse_overload(&self, request: Request) {
        refuse(request.responder, &Error::Overload);
    }

    /// QUERY_MESSAGE. Index and old records may have to come from the disk.
    pub fn by_key(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = match frame.header::<QueryMessageRequestHeader<'_>>() {
            Ok(header) => header,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        if let Err(e) = name::check_any_topic(&header.topic) {
            return refuse(responder, &Error::Name(e));
        }
        let max = match header.unique_key_query {
            Some(true) => self.settings.load().store.default_query_max_num,
            _ => header.max_num,
        };
        let window = (header.begin_timestamp, header.end_timestamp);
        match find(&self.store, &header.topic, &header.key, max, window) {
            Ok(found) => {
                let body = Body::Chunks(found.records);
                responder.reply(response::SUCCESS, None, &found.header, body);
            }
            Err(e) => {
                // Even then the header has its fields: clients decode it before they look at the code.
                let header = QueryMessageResponseHeader::default();
                responder.reply(e.code(), Some(&e.to_string()), &header, Body::Empty);
            }
        }
    }

    /// VIEW_MESSAGE_BY_ID. The record may have to come from the disk.
    pub fn view(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let offset = match frame.header::<ViewMessageRequestHeader>() {
            Ok(header) => header.offset,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        match self.store.record_at(PhysicalOffset(offset)) {
            Ok(record) => {
                if let Err(e) = self.may_view(&frame, responder.peer().address().ip(), &record) {
                    return refuse(responder, &e);
                }
                let body = Body::Bytes(Bytes::from_owner(record));
                responder.reply(response::SUCCESS, None, &(), body);
            }
            // A slave that compares its log with this one takes the last answer for "there is nothing", and cuts what it has there. It
            // may have acknowledged what is not synced here, and the sender hears of it when it is.
            Err(_) if (self.store.visible()..self.store.max_physical()).contains(&PhysicalOffset(offset)) => {
                refuse(responder, &Error::NotSynced(offset));
            }
            Err(e @ store::RecordAtError::Disk(_)) => refuse(responder, &Error::Unreadable(offset, e)),
            Err(e) => refuse(responder, &Error::NoRecord(offset, e)),
        }
    }
}

impl<D: Disk + Clone> Query<D> {
    /// A slave has all of the log anyway.
    fn may_view(&self, frame: &Frame, peer: IpAddr, record: &[u8]) -> Result<(), Error> {
        let Some(access) = &self.access else { return Ok(()) };
        if self.slaves.serves(peer.to_canonical()) {
            return Ok(());
        }
        match decode(record, Check::Lengths) {
            Ok(Entry::Record(view)) => Ok(access.may_read(frame, peer, &view)?),
            _ => Ok(()),
        }
    }
}

/// The newest messages, in the order of the log.
fn find<D: Disk>(
    store: &Store<D>,
    topic: &str,
    key: &str,
    max: i32,
    (begin, end): (i64, i64),
) -> Result<Found, Error> {
    let mut positions = store.query_by_key(topic, key, max.max(0) as usize, begin, end)?;
    let (time, last) = store.index_end();
    positions.sort_unstable();
    let (mut records, mut len) = (Vec::new(), 0);
    for position in positions {
        // It may have expired since the index named it.
        let Ok(record) = store.record_at(position) else {
            continue;
        };
        len += record.len();
        if len > ANSWER_MAX && !records.is_empty() {
            break;
        }
        records.push(Bytes::from_owner(record));
    }
    if records.is_empty() {
        return Err(Error::NotFound);
    }
    let header = QueryMessageResponseHeader {
        index_last_update_timestamp: time,
        index_last_update_phyoffset: last.0,
    };
    Ok(Found { header, records })
}

fn refuse(responder: Responder, e: &Error) {
    responder.error(e.code(), &e.to_string());
}
