//! A broker without threads whose transactions are driven step by step, on a simulated disk and clock.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use broker::run::Parts;
use broker::settings::Settings;
use broker::tables::save;
use broker::transaction::GROUP;
use disk::{Clock, SimClock, SimDisk};
use filter::TagFilter;
use message::id::OffsetMessageId;
use message::name::{HALF_TOPIC, OP_HALF_TOPIC};
use message::properties;
use message::record::{Check, Entry, decode};
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;
use protocol::{EncodeHeader, Frame};
use remoting::MemoryPeer;
use store::{QueueOffset, ReadLimits};

use crate::fixture::{heartbeat, to};
use crate::still::assembled;

pub(crate) const START: i64 = 1_700_000_000_000;
pub(crate) const COMMIT: i32 = 8;
pub(crate) const ROLLBACK: i32 = 12;
/// Longer than a half message is young, and than an interval.
pub(crate) const LATER: i64 = 61_000;

pub(crate) fn end_of(group: &str, place: Place, how: i32) -> EndTransactionRequestHeader<'_> {
    EndTransactionRequestHeader {
        producer_group: Cow::Borrowed(group),
        tran_state_table_offset: place.0,
        commit_log_offset: place.1,
        commit_or_rollback: how,
        from_transaction_check: Some(false),
        msg_id: None,
        transaction_id: None,
    }
}

/// A broker without threads, and one peer.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) clock: SimClock,
    pub(crate) settings: Settings,
    pub(crate) parts: Parts<SimDisk>,
    pub(crate) peer: Arc<MemoryPeer>,
}

/// A message of a queue, as far as the tests look at it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    pub(crate) physical: i64,
    pub(crate) queue_id: i32,
    pub(crate) flag: i32,
    pub(crate) sys_flag: i32,
    pub(crate) prepared: i64,
    pub(crate) body: String,
    pub(crate) text: String,
}

impl Stored {
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        properties::get_str(self.text.as_bytes(), name)
    }
}

/// Where a half message is: queue offset and physical offset.
pub(crate) type Place = (i64, i64);

impl World {
    pub(crate) fn new(change: impl FnOnce(&mut Settings)) -> World {
        let mut settings = Settings::default();
        settings.broker.broker_name = "broker-a".to_owned();
        settings.broker.broker_ip1 = "127.0.0.1".to_owned();
        settings.broker.broker_config_path = Some("/broker.conf".to_owned());
        settings.store.store_path_root_dir = "/store".to_owned();
        settings.store.mapped_file_size_commit_log = 1 << 20;
        settings.store.mapped_file_size_consume_queue = 2000;
        change(&mut settings);
        let (disk, clock) = (SimDisk::new(), SimClock::at(START));
        disk.set_now(START);
        let parts = assembled(settings.clone(), &disk, &clock);
        let world = World {
            disk,
            clock,
            settings,
            parts,
            peer: MemoryPeer::new(([127, 0, 0, 1], 4000).into()),
        };
        world.beat();
        world
    }

    /// Ends the broker, cleanly or by a power cut that takes all that is not synced, and starts it again.
    pub(crate) fn restart(&mut self, clean: bool) {
        if clean {
            self.parts.close().unwrap();
        }
        self.disk = if clean {
            self.disk.kill()
        } else {
            self.disk.crash(1)
        };
        self.parts = assembled(self.settings.clone(), &self.disk, &self.clock);
        self.beat();
    }

    /// A slave that has the whole log, and a table of offsets from before the first check, becomes the master.
    pub(crate) fn take_over(&mut self) {
        self.disk = self.disk.kill();
        self.parts = assembled(self.settings.clone(), &self.disk, &self.clock);
        assert_eq!(self.offsets(), (None, None));
        self.beat();
    }

    pub(crate) fn ask(&self, code: i32, header: &dyn EncodeHeader, body: &[u8]) -> Frame {
        let (request, opaque) = self.peer.request(code, header, body.to_vec());
        let handlers = &self.parts.handlers;
        handlers.serve(&mut VecDeque::from([request]), true, &|| false);
        self.parts.log.flusher.flush(0);
        self.parts.log.reput.wake();
        let (topics, _) = &self.parts.files[0];
        save(topics.as_ref(), &self.disk, self.clock.now_ms()).unwrap();
        let mut all = self.peer.take();
        let at = all
            .iter()
            .position(|frame| frame.opaque == opaque && frame.is_response());
        all.swap_remove(at.expect("it is answered"))
    }

    pub(crate) fn beat(&self) {
        let beat = heartbeat("c@1", "g", "Orders");
        assert_eq!(self.ask(request::HEART_BEAT, &(), beat.as_bytes()).code, 0);
    }

    pub(crate) fn send(&self, more: &str, body: &str) -> Frame {
        let text = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}UNIQ_KEY\u{1}U{body}{more}");
        let header = SendMessageRequestHeader {
            sys_flag: Some(4),
            flag: Some(5),
            born_timestamp: self.clock.now_ms(),
            ..to("Orders", 2, &text)
        };
        self.ask(request::SEND_MESSAGE_V2, &Short(&header), body.as_bytes())
    }

    /// Sends a half message.
    pub(crate) fn half(&self, more: &str, body: &str) -> Place {
        let sent = self.send(more, body);
        assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
        let header: SendMessageResponseHeader<'_> = sent.header().unwrap();
        assert_eq!(
            header.queue_id, 2,
            "the answer names the queue that was asked for"
        );
        let id: OffsetMessageId = header.msg_id.parse().unwrap();
        (header.queue_offset, id.physical_offset)
    }

    pub(crate) fn end(&self, place: Place, how: i32) -> Frame {
        self.end_by("p", place, how)
    }

    pub(crate) fn end_by(&self, group: &str, place: Place, how: i32) -> Frame {
        self.ask(request::END_TRANSACTION, &end_of(group, place, how), b"")
    }

    /// Commits while the disk does not keep up: the answer comes when the wait for it is over.
    pub(crate) fn commit_unflushed(&self, place: Place) -> Frame {
        let header = end_of("p", place, COMMIT);
        let (request, opaque) = self.peer.request(request::END_TRANSACTION, &header, Vec::new());
        let parts = &self.parts;
        parts
            .handlers
            .serve(&mut VecDeque::from([request]), true, &|| false);
        self.clock
            .advance(i64::from(self.settings.store.sync_flush_timeout) + 1);
        assert!(self.peer.take_answer(opaque).is_none(), "it waits");
        parts.log.appender.acknowledgements.expire(self.clock.now_ms());
        parts.log.reput.wake();
        self.peer.take_answer(opaque).expect("its wait is over")
    }

    /// What is in a queue.
    pub(crate) fn read(&self, topic: &str, queue_id: i32) -> Vec<Stored> {
        let store = &self.parts.log.store;
        let (min, max) = store.queue_bounds(topic, queue_id);
        let (mut next, mut all) = (min.0, Vec::new());
        while next < max.0 {
            let mut slices = Vec::new();
            let limits = ReadLimits {
                max_messages: 32,
                max_bytes: i64::MAX,
            };
            let read = store.read(
                topic,
                queue_id,
                QueueOffset(next),
                limits,
                &TagFilter::All,
                &mut slices,
            );
            next = read.unwrap().next_begin_offset.0;
            for view in store::records(&slices).map(Result::unwrap) {
                all.push(Stored {
                    offset: view.queue_offset(),
                    physical: view.physical_offset(),
                    queue_id: view.queue_id(),
                    flag: view.flag(),
                    sys_flag: view.sys_flag(),
                    prepared: view.prepared_transaction_offset(),
                    body: String::from_utf8_lossy(view.body()).into_owned(),
                    text: String::from_utf8_lossy(view.properties()).into_owned(),
                });
            }
        }
        all
    }

    pub(crate) fn bodies(&self, topic: &str, queue_id: i32) -> Vec<String> {
        self.read(topic, queue_id).into_iter().map(|m| m.body).collect()
    }

    /// Lets time pass, and the check do what is due; returns what producers were asked.
    pub(crate) fn pass(&self, ms: i64) -> Vec<Frame> {
        // The task is woken when something comes.
        self.parts.checks.pause_ms();
        self.clock.advance(ms);
        self.parts.log.flusher.flush(0);
        for _ in 0..10_000 {
            if self.parts.checks.pause_ms() != Some(0) {
                self.parts.log.flusher.flush(0);
                self.parts.checks.pause_ms();
                return self.peer.take();
            }
            self.parts.checks.look();
        }
        panic!("the check does not come to an end");
    }

    /// The consumer offsets that the check keeps.
    pub(crate) fn offsets(&self) -> (Option<i64>, Option<i64>) {
        let offsets = &self.parts.tables.offsets;
        (
            offsets.get(GROUP, HALF_TOPIC, 0),
            offsets.get(GROUP, OP_HALF_TOPIC, 0),
        )
    }
}

/// The place that a question names, and the message in it.
pub(crate) fn question(frame: &Frame) -> (Place, String, String) {
    assert_eq!(frame.code, request::CHECK_TRANSACTION_STATE);
    assert!(frame.is_oneway());
    let header: CheckTransactionStateRequestHeader<'_> = frame.header().unwrap();
    let place = (header.tran_state_table_offset, header.commit_log_offset);
    let Ok(Entry::Record(view)) = decode(&frame.body, Check::Body) else {
        panic!("its body is a record");
    };
    assert_eq!((view.topic(), view.queue_id(), view.flag()), ("Orders", 2, 5));
    assert_eq!((view.queue_offset(), view.physical_offset()), place);
    let body = String::from_utf8_lossy(view.body()).into_owned();
    (
        place,
        body,
        String::from_utf8_lossy(view.properties()).into_owned(),
    )
}
