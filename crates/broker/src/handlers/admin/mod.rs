//! Requests of operators and their tools, one file a subject.

pub mod acl;
pub mod cleanup;
pub mod cold;
pub mod explain;
pub mod group;
pub mod ha;
pub mod limits;
pub mod offset;
pub mod queue;
pub mod relay;
pub mod reset;
pub mod runtime;
pub mod settings;
pub mod stats;
pub mod topic;
pub mod users;

use std::sync::Arc;

use disk::Disk;
use protocol::code::response;
use protocol::header::broker::GivenBackRequestHeader;
use remoting::{Body, Responder};
use serde::Serialize;

use crate::tables::{Change, ConfigFile, OffsetTable, SaveError, WhenSaved};

/// The handlers of operators' requests; each is asked by the dispatch alone.
pub struct Admin<D: Disk> {
    pub(crate) topic: topic::Topic<D>,
    pub(crate) group: group::Group<D>,
    pub(crate) settings: settings::SettingsRequests<D>,
    pub(crate) runtime: runtime::Runtime<D>,
    pub(crate) ha: ha::Ha<D>,
    pub(crate) relay: relay::Relay<D>,
    pub(crate) reset: reset::Reset<D>,
    pub(crate) offsets: offset::Offset<D>,
    pub(crate) queue: queue::ConsumeQueue<D>,
    pub(crate) cleanup: cleanup::Cleanup<D>,
    pub(crate) stats: stats::BrokerStats,
    pub(crate) cold: cold::Cold,
    pub(crate) acl: acl::AclRequests<D>,
    pub(crate) users: users::UserRequests<D>,
    pub(crate) explain: explain::Explain,
}

/// A remark and its code: what the admin handlers refuse with.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] protocol::header::HeaderError),
    #[error("{0}")]
    Body(#[from] protocol::body::BodyError),
    #[error("{0}")]
    Name(#[from] message::name::NameError),
    #[error("{0}")]
    Access(#[from] ::acl::Refused),
    #[error("The topic[{0}] is conflict with system topic.")]
    SystemTopic(String),
    #[error("topic[{0}] not exist")]
    TopicUnknown(String),
    #[error("subscription group [{0}] not exist")]
    GroupUnknown(String),
    #[error("the consumer group[{0}] not online")]
    ConsumerOffline(String),
    #[error("the producer group[{0}] not exist")]
    ProducerOffline(String),
    #[error(
        "Can't modify topic or subscription group from slave broker, please execute it from master broker."
    )]
    Slave,
    #[error(
        "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {timestamp}"
    )]
    NoConsumerToReset {
        group: String,
        topic: String,
        timestamp: i64,
    },
    #[error("the client does not support this feature. version={0}")]
    OldClient(i32),
    #[error("{0}")]
    Value(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    NotCreated(#[from] crate::tables::NotCreated),
    #[error("{0}")]
    GroupNotPut(#[from] crate::tables::NotPut),
    #[error("{0}")]
    Attributes(#[from] crate::tables::attributes::Error),
    #[error("the change is in force but not on disk: {0}")]
    NotSaved(#[from] SaveError),
    #[error("the queues of topic[{0}] could not be removed: {1}")]
    NotRemoved(String, String),
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::TopicUnknown(_) => response::TOPIC_NOT_EXIST,
            Error::GroupUnknown(_) => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            Error::ConsumerOffline(_) | Error::NoConsumerToReset { .. } => response::CONSUMER_NOT_ONLINE,
            Error::Forbidden(_) => response::NO_PERMISSION,
            Error::Access(refused) => refused.code(),
            Error::Header(_)
            | Error::Body(_)
            | Error::Name(_)
            | Error::SystemTopic(_)
            | Error::ProducerOffline(_)
            | Error::Slave
            | Error::OldClient(_)
            | Error::Value(_)
            | Error::NotCreated(_)
            | Error::GroupNotPut(_)
            | Error::Attributes(_)
            | Error::NotSaved(_)
            | Error::NotRemoved(..) => response::SYSTEM_ERROR,
        }
    }
}

/// Answers SUCCESS with a body whose maps have objects as keys, as Java writes them.
fn object_keys_body<T: Serialize>(responder: Responder, body: &T) {
    let text = protocol::body::write_object_keys(body);
    responder.reply(response::SUCCESS, None, &(), Body::Bytes(text));
}

fn refuse(responder: Responder, e: &Error) {
    responder.error(e.code(), &e.to_string());
}

/// How long an operator's request waits for a file, ms.
const SAVED_WITHIN_MS: i64 = 30_000;

/// The answer to a change of a table: SUCCESS once it is safe.
fn when_saved(responder: Responder) -> WhenSaved {
    Box::new(move |saved| answer_saved(responder, saved))
}

fn answer_saved(responder: Responder, saved: Result<(), SaveError>) {
    match saved {
        Ok(()) => responder.ok(),
        // As safe as in Java; the slave gets it when it asks.
        Err(SaveError::NotCopied) => {
            let peer = responder.peer().address();
            tracing::warn!("a change by {peer} is on disk, and no slave has asked for it in time");
            responder.ok();
        }
        Err(e) => refuse(responder, &Error::NotSaved(e)),
    }
}

/// Told whether what was asked for was done.
type Done = Box<dyn FnOnce(bool) + Send>;

/// What settings of topics or groups are put for.
#[derive(Clone, Copy)]
enum Kind {
    /// Somebody wants them so.
    Change,
    /// A slave has kept them, and the master has lost its own.
    GivenBack,
}

impl Kind {
    fn of(header: &GivenBackRequestHeader) -> Self {
        match header.given_back {
            Some(true) => Self::GivenBack,
            _ => Self::Change,
        }
    }
}

/// The same, and tells `done`.
fn when_done(responder: Responder, done: Done) -> WhenSaved {
    Box::new(move |saved| {
        done(matches!(saved, Ok(()) | Err(SaveError::NotCopied)));
        answer_saved(responder, saved);
    })
}

/// Answers SUCCESS once a change of this table is on disk.
fn answer_when_saved(responder: Responder, file: &dyn ConfigFile, change: Change, now: i64) {
    let deadline = now + SAVED_WITHIN_MS;
    file.saver()
        .when_saved(change, now, deadline, when_saved(responder));
}

/// Answers SUCCESS once a change of this table and one of the offsets are on disk.
fn answer_when_forgotten(
    responder: Responder,
    file: &dyn ConfigFile,
    change: Change,
    offsets: (&Arc<OffsetTable>, Change),
    now: i64,
) {
    let deadline = now + SAVED_WITHIN_MS;
    let (table, offsets_change) = (Arc::clone(offsets.0), offsets.1);
    let then = Box::new(move |saved| match saved {
        Ok(()) | Err(SaveError::NotCopied) => {
            let answer = when_saved(responder);
            table.saver().when_saved(offsets_change, now, deadline, answer);
        }
        Err(e) => refuse(responder, &Error::NotSaved(e)),
    });
    file.saver().when_saved(change, now, deadline, then);
}
