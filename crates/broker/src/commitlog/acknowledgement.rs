//! What an answer waits for, and the answer: given when the records are as safe as was asked for.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use disk::Clock;
use message::id::{OffsetMessageId, TEXT_MAX};
use protocol::code::response;
use protocol::header::broker::SendMessageResponseHeader;
use remoting::{Body, Responder};
use store::PhysicalOffset;

use super::Wake;
use crate::config::{SettingsChange, SettingsListener};
use crate::settings::Settings;
use crate::tables::{Change, SaveError, TopicTable};
use crate::watermark::Watermark;
use remoting::budget::{Budget, Share};

/// An answer that is ready but for the safety of what it tells.
pub struct Waiter {
    /// End of its records: they are on disk when the flushed end is not below it.
    pub end: PhysicalOffset,
    /// The topic is as it is by this change; a crash must not leave the records without it.
    pub topic: Option<Change>,
    /// The topic was made for this request: whoever hears of the message may ask for the topic's route.
    pub made_topic: bool,
    /// When the request came, ms since 1970.
    pub since_ms: i64,
    /// The answer.
    pub answer: Answer,
}

/// The answers that wait.
pub enum Answer {
    /// To a send.
    Send(SendAnswer),
    /// To a message that a consumer sent back.
    SendBack(Responder),
    /// To a commit.
    Commit(CommitAnswer),
}

impl Answer {
    /// What it has allocated, bytes.
    fn bytes(&self) -> usize {
        match self {
            Answer::Send(SendAnswer {
                physical: Physical::Many(all),
                ..
            }) => size_of_val(all.as_slice()),
            Answer::Commit(_) => MARK_BYTES,
            _ => 0,
        }
    }

    /// Tells that the records are safe, or with another code how far they are not.
    fn give(self, code: i32) {
        match self {
            Answer::Send(answer) => answer.give(code),
            Answer::SendBack(responder) if code == response::SUCCESS => responder.ok(),
            Answer::Commit(answer) => {
                if code != response::FLUSH_DISK_TIMEOUT {
                    (answer.mark)();
                }
                // What is not safe is checked again (RocketMQ 4.9.7, EndTransactionProcessor).
                answer.responder.ok();
            }
            // A consumer knows no half success: it sends the message back once more.
            Answer::SendBack(responder) => {
                responder.error(code, "the copy is stored and not yet as safe as the settings ask");
            }
        }
    }

    /// Refuses: the records may be in the log, but they are not as safe as was asked for and never will be.
    fn refuse(self, remark: &str) {
        let responder = match self {
            Answer::Send(answer) => answer.responder,
            Answer::SendBack(responder) | Answer::Commit(CommitAnswer { responder, .. }) => responder,
        };
        responder.error(response::SERVICE_NOT_AVAILABLE, remark);
    }
}

/// Who waits for safety.
pub struct Acknowledgements {
    topics: Arc<TopicTable>,
    settings: Arc<settings::Live<Settings>>,
    clock: Arc<dyn Clock>,
    flushed: Watermark<(Waiter, Share)>,
    flush: Wake,
    /// What those occupy that wait for a flush.
    budget: Arc<Budget>,
}

/// Bytes that answers may occupy while they wait for a flush.
const WAITING_MAX_BYTES: usize = 256 << 20;
/// Bytes of a waiter besides its physical offsets: it, its place in the line, its share of region and peer.
const WAITER_BYTES: usize = size_of::<(Waiter, Share)>() + 128;

impl Acknowledgements {
    /// Nobody waits yet; the log is durable up to `flushed`.
    pub fn new(
        topics: Arc<TopicTable>,
        settings: Arc<settings::Live<Settings>>,
        clock: Arc<dyn Clock>,
        flushed: PhysicalOffset,
    ) -> Arc<Self> {
        Arc::new(Self {
            topics,
            settings,
            clock,
            flushed: Watermark::new(flushed.0),
            flush: Wake::default(),
            budget: Budget::new("WAITING_SENDS", WAITING_MAX_BYTES),
        })
    }

    /// Gives the answer when its topic is saved and, if `flush`, its records are on disk.
    #[inline]
    pub fn wait(self: &Arc<Self>, waiter: Waiter, flush: bool) {
        // Where nothing is to be waited for, the waiter is not even moved.
        if !flush && waiter.topic.is_none() {
            return waiter.answer.give(response::SUCCESS);
        }
        self.wait_for_safety(waiter, flush);
    }

    fn wait_for_safety(self: &Arc<Self>, waiter: Waiter, flush: bool) {
        if !flush {
            return self.when_topic_is_safe(waiter);
        }
        let (now, deadline) = self.times();
        let share = self.budget.count(waiter.answer.bytes() + WAITER_BYTES);
        match self.flushed.park(waiter.end.0, now, deadline, (waiter, share)) {
            Some((waiter, _)) => self.when_topic_is_safe(waiter),
            None => self.flush.nudge(),
        }
    }

    fn times(&self) -> (i64, i64) {
        let now = self.clock.now_ms();
        let limit = self.settings.load().store.sync_flush_timeout;
        (now, now + i64::from(limit))
    }

    /// The last step. Nearly every topic is saved already. One that was made for this request may be on disk sooner than the
    /// name servers know it.
    fn when_topic_is_safe(&self, waiter: Waiter) {
        let made = waiter.made_topic;
        let Some(change) = waiter
            .topic
            .filter(|change| made || !self.topics.is_saved(*change))
        else {
            return waiter.answer.give(response::SUCCESS);
        };
        let (now, deadline) = self.times();
        let give = Box::new(move |saved: Result<(), SaveError>| {
            let code = match saved {
                Ok(()) => response::SUCCESS,
                Err(e) => {
                    tracing::warn!("a message is stored and its topic is not on disk yet: {e}");
                    response::FLUSH_DISK_TIMEOUT
                }
            };
            waiter.answer.give(code);
        });
        if made {
            self.topics.when_settled(change, now, deadline, give);
        } else {
            self.topics.when_saved(change, now, deadline, give);
        }
    }

    /// Asks for a flush that nobody waits for.
    pub fn request_flush(&self) {
        self.flush.nudge();
    }

    /// What the flush thread sleeps on.
    pub fn flush_request(&self) -> &Wake {
        &self.flush
    }

    /// The log is durable up to `end`.
    pub fn flushed(&self, end: PhysicalOffset) {
        for (waiter, _) in self.flushed.advance(end.0) {
            self.when_topic_is_safe(waiter);
        }
    }

    /// The disk failed: what is not on it will never be.
    pub fn flush_failed(&self, why: &str) {
        for (waiter, _) in self.flushed.take_all() {
            waiter.answer.refuse(why);
        }
    }

    /// Answers those that have waited too long.
    pub fn expire(&self, now_ms: i64) {
        for (waiter, _) in self.flushed.take_expired(now_ms) {
            waiter.answer.give(response::FLUSH_DISK_TIMEOUT);
        }
    }

    /// What those occupy that wait for a flush.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// How many wait for a flush.
    pub fn len(&self) -> usize {
        self.flushed.len()
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.flushed.is_empty()
    }

    /// How long the first has waited for a flush, ms.
    pub fn head_wait_ms(&self, now_ms: i64) -> i64 {
        self.flushed.head_wait_ms(now_ms)
    }

    /// Waits until somebody waits for a flush.
    pub async fn wait_for_any(&self) {
        self.flushed.wait_for_any().await;
    }
}

/// The flush thread sleeps by the old interval.
impl SettingsListener for Acknowledgements {
    fn changed(&self, _change: &SettingsChange) {
        self.request_flush();
    }
}

/// The answer to a commit.
pub struct CommitAnswer {
    /// Who gets it.
    pub responder: Responder,
    /// Marks the half message as ended. Not before its message is safe: recovery steps over damage, and could find the mark
    /// behind a message that a power cut took.
    pub mark: Box<dyn FnOnce() + Send>,
}

/// What that closure has allocated, bytes.
const MARK_BYTES: usize = 32;

/// The answer to a send; knows where the message is.
pub struct SendAnswer {
    /// Who gets it.
    pub responder: Responder,
    /// Queue of the topic the sender asked for.
    pub queue_id: i32,
    /// Offset of the first record.
    pub queue_offset: i64,
    /// Physical offset of each record; one, unless it was a batch.
    pub physical: Physical,
    /// brokerIP1:listenPort, part of the message ids.
    pub store_host: SocketAddr,
    /// regionId and traceOn, which clients read without a test.
    pub region: Arc<str>,
    /// traceOn.
    pub trace_on: bool,
    /// What the answer says if the message is safe on this broker but not where else it should be.
    pub code: i32,
}

/// Physical offsets of what one request stored.
pub enum Physical {
    /// One record.
    One(i64),
    /// A batch.
    Many(Vec<i64>),
}

impl SendAnswer {
    /// Sends the answer; `code` is SUCCESS or one of the codes that are successes to the client as well.
    fn give(self, code: i32) {
        let mut buffer = [0; TEXT_MAX];
        let ids = match &self.physical {
            Physical::One(at) => Cow::Borrowed(self.id(*at).text(&mut buffer)),
            Physical::Many(all) => {
                let mut ids = String::with_capacity(33 * all.len());
                for (i, at) in all.iter().enumerate() {
                    if i > 0 {
                        ids.push(',');
                    }
                    ids.push_str(self.id(*at).text(&mut buffer));
                }
                Cow::Owned(ids)
            }
        };
        let header = SendMessageResponseHeader {
            msg_id: ids,
            queue_id: self.queue_id,
            queue_offset: self.queue_offset,
            transaction_id: None,
            region: Some(Cow::Borrowed(&self.region)),
            trace_on: Some(Cow::Borrowed(if self.trace_on { "true" } else { "false" })),
        };
        // A failed flush counts less than a missing slave (RocketMQ 4.9.8, CommitLog.asyncPutMessage).
        let code = if self.code == response::SUCCESS {
            code
        } else {
            self.code
        };
        self.responder.reply(code, None, &header, Body::Empty);
    }

    fn id(&self, physical_offset: i64) -> OffsetMessageId {
        OffsetMessageId {
            store_host: self.store_host,
            physical_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use disk::{SimClock, SimDisk};
    use remoting::MemoryPeer;

    use super::*;
    use crate::tables::Identity;

    const NOW: i64 = 1000;

    fn topics_and_acknowledgements() -> (Arc<TopicTable>, Arc<Acknowledgements>, SimDisk) {
        let disk = SimDisk::default();
        let settings = Settings::default();
        let file = PathBuf::from("/config/topics.json");
        let topics = Arc::new(TopicTable::load(&disk, file, &Identity::of(&settings), NOW).unwrap());
        let acknowledgements = Acknowledgements::new(
            Arc::clone(&topics),
            Arc::new(settings::Live::new(settings)),
            Arc::new(SimClock::at(NOW)),
            PhysicalOffset(0),
        );
        (topics, acknowledgements, disk)
    }

    fn waiter(peer: &Arc<MemoryPeer>, end: i64) -> Waiter {
        Waiter {
            end: PhysicalOffset(end),
            topic: None,
            made_topic: false,
            since_ms: NOW,
            answer: Answer::SendBack(peer.request(1, &(), "").0.responder),
        }
    }

    #[test]
    fn what_waits_for_a_flush_is_counted_in_bytes_until_it_is_answered() {
        let (_, acknowledgements, _) = topics_and_acknowledgements();
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let used = || acknowledgements.budget().used();
        for end in [100, 200, 300] {
            acknowledgements.wait(waiter(&peer, end), true);
        }
        assert_eq!(used(), 3 * WAITER_BYTES);
        acknowledgements.flushed(PhysicalOffset(150));
        assert_eq!((used(), peer.take().len()), (2 * WAITER_BYTES, 1));
        acknowledgements.flush_failed("the disk failed");
        assert_eq!((used(), peer.take().len()), (0, 2));
        acknowledgements.wait(waiter(&peer, 150), true);
        assert_eq!((used(), peer.take().len()), (0, 1), "it is flushed already");
    }

    #[test]
    fn whoever_made_a_topic_waits_for_the_name_servers_also_if_it_is_saved_before_the_message_is() {
        let (topics, acknowledgements, disk) = topics_and_acknowledgements();
        let made = topics.create_for_group("Made", 1, 6, 0, NOW).unwrap();
        assert!(made.made);
        crate::tables::save(&*topics, &disk, NOW).unwrap();
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        for made_topic in [false, true] {
            let waiter = Waiter {
                topic: made.unsaved,
                made_topic,
                ..waiter(&peer, 100)
            };
            acknowledgements.wait(waiter, false);
        }
        assert_eq!(peer.take().len(), 1, "a topic that was there is on disk");
        topics.set_told(topics.changes());
        assert_eq!(
            peer.take().len(),
            1,
            "the name servers know the one that was made"
        );
    }
}
