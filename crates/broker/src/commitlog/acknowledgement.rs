//! What an answer waits for, and the answer: given when the records are as safe as was asked for.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::Clock;
use ha::{ConnectionId, Need, Replicas, Rule, Standing};
use message::id::{OffsetMessageId, TEXT_MAX};
use protocol::code::response;
use protocol::header::broker::SendMessageResponseHeader;
use remoting::{Body, Responder};
use store::PhysicalOffset;

use super::Wake;
use super::replicated::Replicated;
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
    /// How safe it is to be.
    pub safety: Safety,
    /// The answer.
    pub answer: Answer,
}

/// What makes a record as safe as was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Safety {
    /// It is on disk.
    pub flush: bool,
    /// So many slaves have it.
    pub slaves: usize,
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

    /// No slave is there: a sender is told so, when the rest is done. (As in Java, a message that was sent back is not kept from being
    /// taken by that.)
    pub(super) fn no_slave(&mut self) {
        if let Answer::Send(answer) = self {
            answer.code = response::SLAVE_NOT_AVAILABLE;
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
    /// The next flush leaves nothing, however little there is.
    thorough: AtomicBool,
    /// Somebody has waited for a flush as long as anybody may, and none has been done since.
    late: Arc<AtomicBool>,
    /// The slaves, and who waits for them; by that the flush is done, or was waited for too long.
    replicated: Replicated<(Waiter, Share, i32)>,
    /// What those occupy that wait for a flush or a slave.
    budget: Arc<Budget>,
}

/// Bytes that answers may occupy while they wait for a flush or a slave.
const WAITING_MAX_BYTES: usize = 256 << 20;
/// Bytes of a waiter besides its physical offsets: it, its place in the line, its share of region and peer.
const WAITER_BYTES: usize = size_of::<(Waiter, Share, i32)>() + 128;

impl Acknowledgements {
    /// Nobody waits yet; the log is durable up to `flushed`.
    pub fn new(
        topics: Arc<TopicTable>,
        settings: Arc<settings::Live<Settings>>,
        clock: Arc<dyn Clock>,
        flushed: PhysicalOffset,
    ) -> Arc<Self> {
        let slave_timeout_ms = i64::from(settings.load().store.slave_timeout);
        Arc::new(Self {
            topics,
            settings,
            clock,
            flushed: Watermark::new(flushed.0),
            flush: Wake::default(),
            thorough: AtomicBool::new(false),
            late: Arc::default(),
            replicated: Replicated::new(slave_timeout_ms),
            budget: Budget::new("WAITING_SENDS", WAITING_MAX_BYTES),
        })
    }

    /// Gives the answer when its topic is saved and its records are as safe as they are to be.
    #[inline]
    pub fn wait(self: &Arc<Self>, waiter: Waiter) {
        // Where nothing is to be waited for, the waiter is not even moved.
        if waiter.safety == Safety::default() && waiter.topic.is_none() {
            return waiter.answer.give(response::SUCCESS);
        }
        self.wait_for_safety(waiter);
    }

    fn wait_for_safety(self: &Arc<Self>, waiter: Waiter) {
        if waiter.safety == Safety::default() {
            return self.when_topic_is_safe(waiter);
        }
        let share = self.budget.count(waiter.answer.bytes() + WAITER_BYTES);
        if !waiter.safety.flush {
            return self.when_flushed(waiter, share, response::SUCCESS);
        }
        let (now, deadline) = self.times();
        match self.flushed.park(waiter.end.0, now, deadline, (waiter, share)) {
            Some((waiter, share)) => self.when_flushed(waiter, share, response::SUCCESS),
            None => self.flush.nudge(),
        }
    }

    /// The second step. The slaves had the bytes while this broker's disk had them, so their time began with the request. A slave
    /// that is missing counts for more than the flush (RocketMQ 4.9.8, CommitLog.asyncPutMessage).
    fn when_flushed(&self, waiter: Waiter, share: Share, code: i32) {
        let slaves = waiter.safety.slaves;
        if slaves == 0 {
            return self.when_safe(waiter, code);
        }
        let now = self.clock.now_ms();
        let deadline = waiter.since_ms + i64::from(self.settings.load().store.slave_timeout);
        let end = waiter.end.0;
        if let Some((waiter, _, code)) =
            self.replicated
                .park(slaves, end, now, deadline, (waiter, share, code))
        {
            self.when_safe(waiter, code);
        }
    }

    fn when_safe(&self, waiter: Waiter, code: i32) {
        match code {
            response::SUCCESS => self.when_topic_is_safe(waiter),
            code => waiter.answer.give(code),
        }
    }

    /// What a send that ends at `end` waits for, by the rule of this broker's settings.
    pub fn need(&self, rule: Rule, end: PhysicalOffset) -> Need {
        self.replicated.need(rule, end.0)
    }

    /// Looks at the slaves, or notes who connects and who is gone.
    pub fn replicas<T>(&self, with: impl FnOnce(&mut Replicas) -> T) -> T {
        self.replicated.replicas(with)
    }

    /// Up to where `slaves` slaves have the log.
    pub fn replicated_to(&self, slaves: usize) -> i64 {
        self.replicated.reached(slaves)
    }

    /// A slave's connection stands so: answers who waited for that. Gives a connection that is to be closed.
    pub fn slave_reported(&self, id: ConnectionId, standing: Standing) -> Option<ConnectionId> {
        let reported = self.replicated.report(id, standing, self.clock.now_ms());
        for (waiter, _, code) in reported.ready {
            self.when_safe(waiter, code);
        }
        reported.replaced
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
            .filter(|change| made || !self.topics.is_safe(*change))
        else {
            return waiter.answer.give(response::SUCCESS);
        };
        let (now, deadline) = self.times();
        let give = Box::new(move |saved: Result<(), SaveError>| {
            let code = match saved {
                Ok(()) => response::SUCCESS,
                Err(SaveError::NotCopied) => response::FLUSH_SLAVE_TIMEOUT,
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

    /// The same, and under ASYNC_FLUSH the next flush is of all there is, however little: somebody goes on from it when it is durable.
    pub fn request_thorough_flush(&self) {
        self.thorough.store(true, Ordering::Release);
        // Without anybody who waits, the next period is soon enough.
        if self.settings.load().is_sync_flush() {
            self.flush.nudge();
        }
    }

    /// Whether that was asked for since the last time.
    pub fn takes_thorough_flush(&self) -> bool {
        self.thorough.swap(false, Ordering::AcqRel)
    }

    /// What the flush thread sleeps on.
    pub fn flush_request(&self) -> &Wake {
        &self.flush
    }

    /// Whether the disk is late: somebody has waited for a flush as long as anybody may, and none has been done since. Whatever is
    /// appended now would wait behind that.
    pub fn disk_is_late(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.late)
    }

    /// The disk has done a flush: whoever sees what that made durable may send again.
    pub fn disk_has_flushed(&self) {
        self.late.store(false, Ordering::Release);
    }

    /// The log is durable up to `end`; gives how many waited for that.
    pub fn flushed(&self, end: PhysicalOffset) -> usize {
        let mut count = 0;
        for (waiter, share) in self.flushed.advance(end.0) {
            self.when_flushed(waiter, share, response::SUCCESS);
            count += 1;
        }
        count
    }

    /// The disk failed: what is not on it will never be.
    pub fn flush_failed(&self, why: &str) {
        // The store says more than that it is busy.
        self.late.store(false, Ordering::Release);
        for (waiter, _) in self.flushed.take_all() {
            waiter.answer.refuse(why);
        }
    }

    /// Answers those that have waited too long.
    pub fn expire(&self, now_ms: i64) {
        for (waiter, share) in self.flushed.take_expired(now_ms) {
            self.late.store(true, Ordering::Release);
            self.when_flushed(waiter, share, response::FLUSH_DISK_TIMEOUT);
        }
        for (waiter, ..) in self.replicated.take_expired(now_ms) {
            waiter.answer.give(response::FLUSH_SLAVE_TIMEOUT);
        }
    }

    /// What those occupy that wait for a flush or a slave.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// How many wait for a flush or a slave.
    pub fn len(&self) -> usize {
        self.flushed.len() + self.replicated.len()
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.flushed.is_empty() && self.replicated.is_empty()
    }

    /// How long the first has waited, ms.
    pub fn head_wait_ms(&self, now_ms: i64) -> i64 {
        let flush = self.flushed.head_wait_ms(now_ms);
        flush.max(self.replicated.head_wait_ms(now_ms))
    }

    /// Waits until somebody waits for a flush or a slave.
    pub async fn wait_for_any(&self) {
        tokio::select! {
            () = self.flushed.wait_for_any() => {}
            () = self.replicated.wait_for_any() => {}
        }
    }
}

/// The flush thread sleeps by the old interval.
impl SettingsListener for Acknowledgements {
    fn changed(&self, change: &SettingsChange) {
        let slave_timeout_ms = i64::from(change.after.store.slave_timeout);
        self.replicated
            .replicas(|replicas| replicas.set_slave_timeout_ms(slave_timeout_ms));
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
const MARK_BYTES: usize = 48;

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
            safety: Safety::default(),
            answer: Answer::SendBack(peer.request(1, &(), "").0.responder),
        }
    }

    fn flushed(waiter: Waiter) -> Waiter {
        Waiter {
            safety: Safety {
                flush: true,
                slaves: 0,
            },
            ..waiter
        }
    }

    fn codes(peer: &MemoryPeer) -> Vec<i32> {
        peer.take().iter().map(|answer| answer.code).collect()
    }

    fn slave(acknowledgements: &Acknowledgements, end: i64) {
        let standing = Standing {
            claim: Some(end),
            acknowledged: Some(end),
            newest_file_ms: None,
            began_at: 0,
        };
        let id = acknowledgements.replicas(|replicas| replicas.connect("10.0.0.2", 1, NOW).unwrap());
        assert_eq!(acknowledgements.slave_reported(id, standing), None);
        acknowledgements.replicas(|replicas| replicas.disconnect(id));
    }

    #[test]
    fn an_answer_waits_for_the_disk_and_for_a_slave() {
        let (_, acknowledgements, _) = topics_and_acknowledgements();
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let both = |end| Waiter {
            safety: Safety {
                flush: true,
                slaves: 1,
            },
            ..waiter(&peer, end)
        };
        acknowledgements.wait(both(100));
        acknowledgements.wait(both(200));
        acknowledgements.flushed(PhysicalOffset(200));
        assert_eq!(codes(&peer), [0; 0], "no slave has them");
        slave(&acknowledgements, 100);
        assert_eq!(codes(&peer), [0]);
        assert_eq!(acknowledgements.len(), 1);
        slave(&acknowledgements, 300);
        assert_eq!(codes(&peer), [0]);
        acknowledgements.wait(both(300));
        assert_eq!(codes(&peer), [0; 0], "the disk has not");
        acknowledgements.flushed(PhysicalOffset(300));
        assert_eq!(codes(&peer), [0]);
        assert_eq!(acknowledgements.budget().used(), 0);
    }

    #[test]
    fn the_slave_that_is_late_counts_for_more_than_the_disk() {
        let (_, acknowledgements, _) = topics_and_acknowledgements();
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let safety = |flush, slaves, end| Waiter {
            safety: Safety { flush, slaves },
            // The times of both are over when the clock is looked at.
            since_ms: NOW - 10_000,
            answer: Answer::Send(SendAnswer {
                responder: peer.request(1, &(), "").0.responder,
                queue_id: 0,
                queue_offset: 0,
                physical: Physical::One(0),
                store_host: ([127, 0, 0, 1], 1).into(),
                region: "r".into(),
                trace_on: true,
                code: response::SUCCESS,
            }),
            end: PhysicalOffset(end),
            topic: None,
            made_topic: false,
        };
        slave(&acknowledgements, 100);
        for (flush, slaves, end, code) in [
            (true, 0, 100, response::FLUSH_DISK_TIMEOUT),
            (true, 1, 100, response::FLUSH_DISK_TIMEOUT),
            (true, 1, 200, response::FLUSH_SLAVE_TIMEOUT),
            (false, 1, 200, response::FLUSH_SLAVE_TIMEOUT),
            (false, 1, 100, response::SUCCESS),
            (false, 2, 100, response::FLUSH_SLAVE_TIMEOUT),
        ] {
            acknowledgements.wait(safety(flush, slaves, end));
            acknowledgements.expire(NOW + 10_000);
            assert_eq!(codes(&peer), [code], "{flush} {slaves} {end}");
        }
        let mut nobody = safety(false, 0, 100);
        nobody.answer.no_slave();
        acknowledgements.wait(nobody);
        assert_eq!(codes(&peer), [response::SLAVE_NOT_AVAILABLE]);
    }

    #[test]
    fn what_waits_for_a_flush_is_counted_in_bytes_until_it_is_answered() {
        let (_, acknowledgements, _) = topics_and_acknowledgements();
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let used = || acknowledgements.budget().used();
        for end in [100, 200, 300] {
            acknowledgements.wait(flushed(waiter(&peer, end)));
        }
        assert_eq!(used(), 3 * WAITER_BYTES);
        acknowledgements.flushed(PhysicalOffset(150));
        assert_eq!((used(), peer.take().len()), (2 * WAITER_BYTES, 1));
        acknowledgements.flush_failed("the disk failed");
        assert_eq!((used(), peer.take().len()), (0, 2));
        acknowledgements.wait(flushed(waiter(&peer, 150)));
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
            acknowledgements.wait(waiter);
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
