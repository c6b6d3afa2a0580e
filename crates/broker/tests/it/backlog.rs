//! Sends while the disk does not keep up: refused by what waits for it, before anything is appended.

use std::collections::VecDeque;
use std::sync::Arc;

use broker::settings::FlushDiskType;
use protocol::code::{request, response};
use protocol::header::Short;
use remoting::MemoryPeer;

use crate::fixture::{from, to};
use crate::still::{Still, client};

const OVERLOAD: &str = "[OVERLOAD]system busy, start flow control for a while";
const TIMEOUT: &str = "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while";

/// A broker under SYNC_FLUSH whose disk syncs when the test says so, and what its producer has heard.
struct Slow {
    broker: Still,
    producer: Arc<MemoryPeer>,
    /// Sends that were not answered SYSTEM_BUSY.
    taken: i64,
}

impl Slow {
    fn new() -> Slow {
        let broker = Still::new(|s| s.store.flush_disk_type = FlushDiskType::SyncFlush);
        assert_eq!(broker.send(&to("Topic", 0, ""), b"first").code, response::SUCCESS);
        Slow {
            broker,
            producer: client(),
            taken: 1,
        }
    }

    /// Sends some messages in one read; gives the answers that come at once.
    fn send(&mut self, count: usize) -> Vec<(i32, String)> {
        let requests = (0..count).map(|_| {
            let header = to("Topic", 0, "");
            self.producer
                .request(request::SEND_MESSAGE_V2, &Short(&header), "x")
                .0
        });
        let mut requests: VecDeque<_> = requests.collect();
        Arc::clone(&self.broker.parts.handlers).serve(&mut requests, true, &|| false);
        self.taken += count as i64;
        self.heard()
    }

    fn heard(&mut self) -> Vec<(i32, String)> {
        let answers = self.producer.take().into_iter();
        let answers: Vec<_> = answers
            .map(|answer| (answer.code, answer.remark.unwrap_or_default()))
            .collect();
        let busy = answers.iter().filter(|(code, _)| *code == response::SYSTEM_BUSY);
        self.taken -= busy.count() as i64;
        answers
    }

    /// Lets everybody who waits wait for too long.
    fn wait_too_long(&self) {
        let timeout = self.broker.parts.settings.load().store.sync_flush_timeout;
        self.broker.clock.advance(i64::from(timeout) + 1);
        self.broker.parts.expire_answers();
    }

    /// Sends are refused, and are not in the log.
    fn send_in_vain(&mut self, prefix: &str) {
        let end = |slow: &Slow| slow.broker.parts.log.store.max_physical();
        let before = end(self);
        let answers = self.send(4);
        assert_eq!(answers.len(), 4);
        for (code, remark) in answers {
            assert_eq!(code, response::SYSTEM_BUSY);
            assert!(remark.starts_with(prefix), "{remark}");
        }
        assert_eq!(end(self), before);
    }

    /// The disk syncs: whatever was not refused is in the log, and nothing else.
    fn settle(&mut self) -> Vec<(i32, String)> {
        self.broker.settle();
        let answers = self.heard();
        assert_eq!(
            self.broker.parts.log.store.queue_max_offset("Topic", 0).0,
            self.taken
        );
        answers
    }
}

#[test]
fn too_many_bytes_that_wait_refuse_further_sends_and_none_that_is_appended() {
    let mut slow = Slow::new();
    assert_eq!(slow.send(3), [], "they wait");
    let budget = Arc::clone(slow.broker.parts.log.appender.acknowledgements.budget());
    let full = budget.count(256 << 20);
    slow.send_in_vain(OVERLOAD);
    drop(full);
    assert_eq!(slow.send(2), []);
    assert_eq!(slow.settle(), vec![(response::SUCCESS, String::new()); 5]);
}

#[test]
fn sends_that_have_waited_too_long_refuse_further_ones_until_the_disk_has_synced() {
    let mut slow = Slow::new();
    assert_eq!(slow.send(3), []);
    slow.wait_too_long();
    assert_eq!(
        slow.heard(),
        vec![(response::FLUSH_DISK_TIMEOUT, String::new()); 3],
        "what is appended is never busy"
    );
    slow.send_in_vain(TIMEOUT);
    // Nothing else is refused.
    let reader = client();
    let pull = reader.request(request::PULL_MESSAGE, &from("Topic", 0, 0), "").0;
    Arc::clone(&slow.broker.parts.handlers).serve(&mut VecDeque::from([pull]), true, &|| false);
    assert_eq!(reader.take()[0].code, response::SUCCESS);
    assert_eq!(slow.settle(), []);
    assert_eq!(slow.send(1), [], "the disk has synced");
    assert_eq!(slow.settle(), [(response::SUCCESS, String::new())]);
}

/// What a disk that failed is answered with says more than that the broker is busy.
#[test]
fn a_disk_that_failed_is_not_busy() {
    let mut slow = Slow::new();
    slow.send(1);
    slow.wait_too_long();
    slow.heard();
    slow.broker.disk.fail_nth(1);
    slow.broker.parts.log.flusher.flush(0);
    let answers = slow.send(1);
    assert_eq!(answers[0].0, response::SERVICE_NOT_AVAILABLE, "{answers:?}");
}
