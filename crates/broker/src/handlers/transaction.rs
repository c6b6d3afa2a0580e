//! END_TRANSACTION (37), RESUME_CHECK_HALF_MESSAGE (323).
//!
//! Checks, codes and remarks: RocketMQ 4.9.7, EndTransactionProcessor and AdminBrokerProcessor (reference: behaviours.md §3.2). The
//! half message is looked up by its place in the log; most ends come soon after it, while it is in memory.

use std::net::IpAddr;
use std::sync::Arc;

use disk::{Clock, Disk};
use message::id::OffsetMessageId;
use message::name::HALF_TOPIC;
use message::properties::{self, names};
use message::record::{Check, Entry, View, decode};
use message::sys_flag;
use protocol::Frame;
use protocol::code::response;
use protocol::header::HeaderError;
use protocol::header::broker::{EndTransactionRequestHeader, ResumeCheckHalfMessageRequestHeader};
use remoting::Request;
use store::{AppendError, NewRecord, PhysicalOffset};

use crate::access::{Guard, topic_of};
use crate::commitlog::{Answer, Appender, CommitAnswer, Safety, StoreError, Waiter};
use crate::lane::MayWait;
use crate::settings::{DelayLevels, Settings};
use crate::tables::OpenHalves;
use crate::transaction::{End, Ends, Half, QUEUE, append_mark, committed, is_half_record};

/// What the handler needs.
pub struct Transaction<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Where half messages are, and where messages and marks go.
    pub appender: Arc<Appender<D>>,
    /// Access control, where it is on.
    pub access: Option<Arc<Guard>>,
    /// How half messages were ended lately.
    pub ends: Arc<Ends>,
    /// Counts of open half messages.
    pub open_halves: Arc<OpenHalves>,
    /// Delays of the delay levels.
    pub delay_levels: Arc<DelayLevels>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a transaction is not ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("{0}")]
    Access(#[from] acl::Refused),
    #[error("Message store is slave mode, so end transaction is forbidden.")]
    Slave,
    #[error("commitOrRollback field wrong")]
    Kind(i32),
    #[error("Find prepared transaction message failed")]
    NoRecord,
    #[error("The producer group wrong")]
    Group,
    #[error("The transaction state table offset wrong")]
    TableOffset,
    #[error("The commit log offset wrong")]
    LogOffset,
    #[error("The half message was {0} before")]
    Ended(End),
    #[error("the half message does not say where it belongs")]
    NoTarget,
    #[error(
        "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC. That is no message id"
    )]
    ResumeId,
    #[error("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed: {0}")]
    Resume(String),
    #[error("{}", store_remark(.0))]
    Store(#[from] StoreError),
}

/// Java's words first: people search for them.
fn store_remark(error: &StoreError) -> String {
    match error {
        StoreError::Illegal(why) => format!(
            "The message is illegal, maybe msg body or properties length not matched. msg body length limit 128k, msg \
             properties length limit 32k. {why}"
        ),
        StoreError::Append(why @ AppendError::NoSpace(_)) => format!("Create mapped file failed. {why}"),
        StoreError::Append(why) => format!("Service not available now. {why}"),
    }
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::Slave => response::SLAVE_NOT_AVAILABLE,
            Error::Store(StoreError::Illegal(_)) => response::MESSAGE_ILLEGAL,
            Error::Store(StoreError::Append(AppendError::NoSpace(_) | AppendError::BatchTooLong { .. })) => {
                response::SYSTEM_ERROR
            }
            Error::Store(StoreError::Append(_)) => response::SERVICE_NOT_AVAILABLE,
            Error::Access(refused) => refused.code(),
            Error::Header(_)
            | Error::Kind(_)
            | Error::NoRecord
            | Error::Group
            | Error::TableOffset
            | Error::LogOffset
            | Error::Ended(_)
            | Error::NoTarget
            | Error::ResumeId
            | Error::Resume(_) => response::SYSTEM_ERROR,
        }
    }
}

/// Marks a half message as ended.
type Mark = Box<dyn FnOnce() + Send>;

/// How a half message is to be ended.
struct Ending {
    commits: bool,
    /// Its producer waits until the message is safe.
    waits: bool,
    half: Half,
}

/// How a transaction ended.
enum Outcome {
    Committed {
        /// Where the log ends behind the message.
        end: PhysicalOffset,
        /// Its producer waits until it is safe.
        waits: bool,
        /// What is to be marked; nothing where it was before.
        marks: Option<Half>,
    },
    RolledBack,
    /// It stays open.
    Unknown,
}

impl<D: Disk> Transaction<D> {
    /// Would the half message have to come from the disk?
    pub fn is_cold(&self, request: &Request) -> bool {
        let header = request.frame.header::<EndTransactionRequestHeader<'_>>();
        header.is_ok_and(|header| {
            self.appender
                .store
                .is_cold_at(PhysicalOffset(header.commit_log_offset))
        })
    }

    /// END_TRANSACTION of a half message that has to come from the disk.
    pub fn end_cold(&self, request: Request, _: MayWait) {
        self.end(request);
        self.appender.reput.wake();
    }

    /// END_TRANSACTION.
    pub fn end(&self, request: Request) {
        let Request { frame, responder } = request;
        let (now, settings) = (self.clock.now_ms(), self.settings.load());
        let ended = frame.header().map_err(Error::Header).and_then(|header| {
            self.end_one(&header, &frame, responder.peer().address().ip(), &settings, now)
        });
        match ended {
            Ok(Outcome::Committed { end, waits, marks }) => {
                let waiter = Waiter {
                    end,
                    topic: None,
                    made_topic: false,
                    since_ms: now,
                    safety: Safety::default(),
                    answer: Answer::Commit(CommitAnswer {
                        responder,
                        mark: marks.map_or_else(|| Box::new(|| {}) as Mark, |marks| self.mark(marks)),
                    }),
                };
                self.appender.acknowledge(waiter, waits, &settings);
            }
            // Java does not answer at all where the end is unknown.
            Ok(Outcome::RolledBack | Outcome::Unknown) => responder.ok(),
            Err(e) => {
                tracing::debug!(
                    "a transaction of {} is not ended: {e}",
                    responder.peer().address()
                );
                responder.error(e.code(), &e.to_string());
            }
        }
    }

    fn end_one(
        &self,
        header: &EndTransactionRequestHeader<'_>,
        frame: &Frame,
        peer: IpAddr,
        settings: &Settings,
        now: i64,
    ) -> Result<Outcome, Error> {
        if settings.is_slave() {
            return Err(Error::Slave);
        }
        let commits = match header.commit_or_rollback {
            0 => return Ok(Outcome::Unknown),
            sys_flag::TRANSACTION_COMMIT => true,
            sys_flag::TRANSACTION_ROLLBACK => false,
            other => return Err(Error::Kind(other)),
        };
        // Under SYNC_FLUSH a producer that is asked may answer before the copy it was asked for is on the disk.
        let record = self
            .appender
            .store
            .appended_record_at(PhysicalOffset(header.commit_log_offset))
            .map_err(|_| Error::NoRecord)?;
        let Ok(Entry::Record(half)) = decode(&record, Check::Lengths) else {
            return Err(Error::NoRecord);
        };
        check(header, &half)?;
        if let Some(access) = &self.access {
            let resource = acl::Resource::topic(topic_of(&half));
            access.permits(frame, peer, resource, resource.needed_to_send())?;
        }
        let waits = properties::get(half.properties(), names::WAIT) != Some(b"false");
        let end = if commits { End::Committed } else { End::RolledBack };
        let first = properties::get_str(half.properties(), names::TRANSACTION_PREPARED_QUEUE_OFFSET);
        let place = Half {
            at: half.queue_offset(),
            first: first.and_then(|first| first.parse().ok()),
        };
        let ending = Ending {
            commits,
            waits,
            half: place,
        };
        match self.ends.begin(place, end) {
            Ok(()) => {
                let outcome = self.store_end(&half, ending, settings, now);
                if outcome.is_err() {
                    self.ends.forget(place);
                } else {
                    let age_ms = now.saturating_sub(half.born_timestamp());
                    let items = &self.appender.stats.items;
                    items.ended(topic_of(&half), commits, (age_ms / 1000).max(0) as u64);
                    self.open_halves.ended(topic_of(&half), now);
                }
                outcome
            }
            Err(before) if before.end != end => Err(Error::Ended(before.end)),
            // The first answer may have come before the message was safe, without a mark.
            Err(before) if commits => Ok(Outcome::Committed {
                end: self.appender.store.max_physical(),
                waits,
                marks: (!before.is_marked).then_some(place),
            }),
            Err(before) => {
                if !before.is_marked {
                    append_mark(&self.appender, place.at, now)?;
                    self.ends.marked(place);
                }
                Ok(Outcome::RolledBack)
            }
        }
    }

    /// Stores the message of a commit, or the mark of a rollback.
    fn store_end(
        &self,
        half: &View<'_>,
        end: Ending,
        settings: &Settings,
        now: i64,
    ) -> Result<Outcome, Error> {
        if !end.commits {
            for place in self.ends.to_mark(end.half) {
                append_mark(&self.appender, place, now)?;
            }
            if settings.is_sync_flush() {
                // Nobody waits for it, and it is not visible before.
                self.appender.acknowledgements.request_flush();
            }
            return Ok(Outcome::RolledBack);
        }
        let mut text = Vec::with_capacity(half.properties().len() + 16);
        let message = committed(half, &self.delay_levels, &mut text).ok_or(Error::NoTarget)?;
        let stored = self.appender.append_copy(&message, now)?;
        Ok(Outcome::Committed {
            end: stored.end,
            waits: end.waits,
            marks: Some(end.half),
        })
    }

    /// Marks a half message as ended whose message is stored. A crash before that asks once more. It must not lose the message.
    fn mark(&self, half: Half) -> Mark {
        let (appender, clock) = (Arc::clone(&self.appender), Arc::clone(&self.clock));
        let ends = Arc::clone(&self.ends);
        Box::new(move || {
            for at in ends.to_mark(half) {
                match append_mark(&appender, at, clock.now_ms()) {
                    Ok(_) => ends.marked(Half { at, ..half }),
                    Err(e) => {
                        tracing::warn!("half message {at} is committed, and will be checked once more: {e}");
                    }
                }
            }
            if appender.settings.load().is_sync_flush() {
                // Nobody waits for it, and it is not visible before.
                appender.acknowledgements.request_flush();
            }
        })
    }

    /// RESUME_CHECK_HALF_MESSAGE: what was given up is checked again, from the first check on.
    pub fn resume(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let resumed = frame
            .header()
            .map_err(Error::Header)
            .and_then(|header| self.resume_one(&header));
        match resumed {
            Ok(()) => responder.ok(),
            Err(e) => responder.error(e.code(), &e.to_string()),
        }
        self.appender.reput.wake();
    }

    fn resume_one(&self, header: &ResumeCheckHalfMessageRequestHeader<'_>) -> Result<(), Error> {
        let failed = |why: &str| Error::Resume(why.to_owned());
        if self.settings.load().is_slave() {
            return Err(failed("this broker is a slave"));
        }
        let id = header.msg_id.as_deref().unwrap_or_default();
        let id: OffsetMessageId = id.parse().map_err(|_| Error::ResumeId)?;
        let record = self.appender.store.record_at(PhysicalOffset(id.physical_offset));
        let record = record.map_err(|why| Error::Resume(why.to_string()))?;
        let Ok(Entry::Record(half)) = decode(&record, Check::Lengths) else {
            return Err(failed("no record starts there"));
        };
        if half.topic() != message::name::CHECK_MAX_TIME_TOPIC && !is_half_record(&half) {
            return Err(failed("that is no half message"));
        }
        let mut text = Vec::with_capacity(half.properties().len());
        let with = [(names::TRANSACTION_CHECK_TIMES, "0")];
        store::copy_properties(&half, &[], &with, properties::Ending::Bare, &mut text);
        let text = properties::in_java_order(&text, properties::Ending::Bare);
        let copy = NewRecord {
            sys_flag: half.sys_flag() & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6),
            ..NewRecord::copy_of(&half, HALF_TOPIC, QUEUE, &text)
        };
        let now = self.clock.now_ms();
        let stored = self.appender.append_copy(&copy, now)?;
        if !is_half_record(&half) {
            let offset = stored.first.queue_offset.0;
            self.open_halves.began(topic_of(&half), offset, now);
        }
        self.appender.acknowledgements.request_flush();
        Ok(())
    }
}

/// Whether this is the half message that the request is about. (Java ends anything that has a PGROUP, also what was committed before.)
fn check(header: &EndTransactionRequestHeader<'_>, half: &View<'_>) -> Result<(), Error> {
    if !is_half_record(half) {
        return Err(Error::NoRecord);
    }
    if properties::get_str(half.properties(), names::PRODUCER_GROUP) != Some(&header.producer_group) {
        return Err(Error::Group);
    }
    if half.queue_offset() != header.tran_state_table_offset {
        return Err(Error::TableOffset);
    }
    if half.physical_offset() != header.commit_log_offset {
        return Err(Error::LogOffset);
    }
    Ok(())
}
