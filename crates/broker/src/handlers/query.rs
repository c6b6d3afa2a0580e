//! QUERY_MESSAGE (12): messages of a key or unique id. VIEW_MESSAGE_BY_ID (33): one message by its physical offset.
//!
//! Rules: RocketMQ 4.9.8, QueryMessageProcessor and DefaultMessageStore.queryMessage. Unlike Java, messages found by
//! key are checked for the key, and an offset at which no record starts is refused instead of answered with whatever
//! bytes are there.

use std::sync::Arc;

use bytes::Bytes;
use disk::Clock;
use message::name;
use protocol::code::response;
use protocol::header::broker::{
    QueryMessageRequestHeader, QueryMessageResponseHeader, ViewMessageRequestHeader,
};
use remoting::{Body, Request, Responder};
use store::PhysicalOffset;
use tokio::sync::Semaphore;

use crate::Store;
use crate::in_flight::InFlight;
use crate::settings::Settings;

/// Longest answer to a query, bytes. A client takes frames of 16 MiB (RocketMQ 4.9.8, NettyDecoder); the rest is left
/// for the header. What does not fit any more is left out, the newest first.
const ANSWER_MAX: usize = (16 << 20) - (64 << 10);

/// Queries at the disk at once: threads of Java's query pool (queryMessageThreadPoolNums, on two cores).
pub const TURNS: usize = 10;

/// What the handler needs.
pub struct Query {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Log and index.
    pub store: Arc<Store>,
    /// Queries under way.
    pub in_flight: InFlight,
    /// Those that may be at the disk at once.
    pub turns: Arc<Semaphore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a request of this family is not answered with messages.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] protocol::header::HeaderError),
    #[error("{0}")]
    Name(#[from] name::NameError),
    #[error("can not find message, maybe time range not correct")]
    NotFound,
    #[error("can not find message by the offset, {0}: {1}")]
    NoRecord(i64, store::RecordAtError),
    #[error("[OVERLOAD]system busy, start flow control for a while")]
    Overload,
    #[error("the index can not be read: {0}")]
    Disk(#[from] disk::Error),
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::NotFound => response::QUERY_NOT_FOUND,
            Error::Overload => response::SYSTEM_BUSY,
            Error::Header(_) | Error::Name(_) | Error::NoRecord(..) | Error::Disk(_) => {
                response::SYSTEM_ERROR
            }
        }
    }
}

/// What a request of this family is answered with.
enum Answer {
    Found(Found),
    /// Even then the header has its fields: clients decode it before they look at the code.
    NotFound(Error),
    One(Bytes),
    Refused(Error),
}

impl Answer {
    fn send(self, responder: Responder) {
        match self {
            Answer::Found(found) => {
                let body = Body::Chunks(found.records);
                responder.reply(response::SUCCESS, None, &found.header, body);
            }
            Answer::NotFound(e) => {
                let header = QueryMessageResponseHeader::default();
                responder.reply(e.code(), Some(&e.to_string()), &header, Body::Empty);
            }
            Answer::One(record) => responder.reply(response::SUCCESS, None, &(), Body::Bytes(record)),
            Answer::Refused(e) => refuse(responder, &e),
        }
    }
}

/// Messages and what is said beside them.
struct Found {
    header: QueryMessageResponseHeader,
    records: Vec<Bytes>,
}

impl Query {
    /// QUERY_MESSAGE.
    pub fn by_key(&self, request: Request) {
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
        let (topic, key) = (header.topic.into_owned(), header.key.into_owned());
        let window = (header.begin_timestamp, header.end_timestamp);
        self.off_the_worker(responder, move |store| {
            find(store, &topic, &key, max, window).map_or_else(Answer::NotFound, Answer::Found)
        });
    }

    /// VIEW_MESSAGE_BY_ID.
    pub fn view(&self, request: Request) {
        let Request { frame, responder } = request;
        let offset = match frame.header::<ViewMessageRequestHeader>() {
            Ok(header) => header.offset,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        self.off_the_worker(responder, move |store| {
            match store.record_at(PhysicalOffset(offset)) {
                Ok(record) => Answer::One(Bytes::from_owner(record)),
                Err(e) => Answer::Refused(Error::NoRecord(offset, e)),
            }
        });
    }

    /// Index and old records may have to come from the disk, which must not hold up a worker. A few at a time do so, as
    /// many as Java has threads for it; the others wait for them in turn.
    fn off_the_worker(&self, responder: Responder, look: impl FnOnce(&Store) -> Answer + Send + 'static) {
        let most = self.settings.load().broker.query_thread_pool_queue_capacity;
        let Some(entered) = self
            .in_flight
            .try_enter(self.clock.now_ms(), most.max(1) as usize)
        else {
            return refuse(responder, &Error::Overload);
        };
        let (store, turns) = (Arc::clone(&self.store), Arc::clone(&self.turns));
        tokio::spawn(async move {
            let turn = turns.acquire_owned().await;
            let looked = tokio::task::spawn_blocking(move || {
                let answer = look(&store);
                drop((turn, entered));
                answer.send(responder);
            });
            if let Err(e) = looked.await {
                tracing::error!("a query: {e}");
            }
        });
    }
}

/// The newest messages, in the order of the log.
fn find(store: &Store, topic: &str, key: &str, max: i32, (begin, end): (i64, i64)) -> Result<Found, Error> {
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
